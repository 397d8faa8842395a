/**
 * Tree name: what a tree is called in its origin's folder. `photos` is the tree of a source's newest protected snapshot;
 * `photos@2026-11-01T10-00-00Z` is a **dated tree**, of the snapshot that a person asked for, by its time in UTC.
 *
 * No source name has an `@`, so neither is ever taken for the other; and there is no colon, which FAT does not allow in
 * names. Of two snapshots within one second, only one can have the name.
 */
import { ClusterError } from '../core/fault.js';
import { NAME_PATTERN } from '../core/ids.js';

export interface TreeName {
  /** The origin's host name and the source's name. */
  readonly originName: string;
  readonly source: string;
  /** For a dated tree: its snapshot's time, ms since 1970. Default: the tree of the newest snapshot. */
  readonly datedMs?: number;
}

/**
 * Ends the name of the file beside a tree that says of which snapshot it is. That file exists for as long as the tree
 * has files.
 */
export const SNAPSHOT_ENDING = '.snapshot';

const DATED = /^([a-z0-9-]+)@(\d{4}-\d{2}-\d{2})T(\d{2})-(\d{2})-(\d{2})Z$/;
/** From then on its time would have more digits. */
const YEAR_10000_MS = Date.UTC(10_000, 0);

/** The tree's name in the origin's folder. @throws ClusterError BAD_NAME */
export function treeNameOf({ originName, source, datedMs }: TreeName): string {
  for (const name of [originName, source]) if (!NAME_PATTERN.test(name)) throw badName(name);
  if (datedMs === undefined) return source;
  if (!(datedMs >= 0 && datedMs < YEAR_10000_MS)) throw badName(String(datedMs));
  return `${source}@${new Date(datedMs).toISOString().slice(0, 'YYYY-MM-DDTHH:MM:SS'.length).replaceAll(':', '-')}Z`;
}

/** `undefined` when the name is not that of a dated tree. */
export function datedTreeFrom(originName: string, name: string): Required<TreeName> | undefined {
  const [, source, day, hours, minutes, seconds] = DATED.exec(name) ?? [];
  if (source === undefined || !NAME_PATTERN.test(source)) return undefined;
  const datedMs = Date.parse(`${day}T${hours}:${minutes}:${seconds}Z`);
  return Number.isNaN(datedMs) ? undefined : { originName, source, datedMs };
}

/** The tree beside which a `.snapshot` file of this name stands; `undefined` for other files. */
export function treeBeside(originName: string, fileName: string): TreeName | undefined {
  if (!fileName.endsWith(SNAPSHOT_ENDING)) return undefined;
  const name = fileName.slice(0, -SNAPSHOT_ENDING.length);
  return NAME_PATTERN.test(name) ? { originName, source: name } : datedTreeFrom(originName, name);
}

function badName(name: string): ClusterError {
  return new ClusterError('BAD_NAME', `not a name for a tree: ${JSON.stringify(name)}`, { blame: 'peer' });
}
