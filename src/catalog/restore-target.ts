/**
 * Restore target: may a restore begin in this folder, and what may it do with what is there?
 *
 * A restore marks its target with a folder `.scatterhoard-restore`: `mark` says which restore it is, `part-…` are unfinished
 * files, `begun-…` those of them that the next run may go on with, `links/…` holds one name of each hard-linked file, and in
 * `names` names are tried. It goes at the end; where it stays, the same restore goes on.
 * Unfinished files lie there and not beside their names, so that nothing is left behind and nobody sees half a file.
 *
 * Driven by restore-tree.ts.
 */
import { lstatSync, mkdirSync, readdirSync, realpathSync, rmSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { ClusterError } from '../core/fault.js';
import type { BlobId } from '../core/ids.js';
import { readIfThere, writeDurable } from '../platform/durable.js';
import { escapePath } from './path-text.js';
import { MARK_FOLDER } from './restore-names.js';

/** What makes two restores the same one. */
export interface RestoreMark {
  readonly snapshot: string;
  readonly sourceId: string;
  readonly under: Buffer;
}

/** What to do with files that are there already: `refuse` the target, replace those that differ, or leave all as they are. */
export type ExistingFiles = 'refuse' | 'overwrite' | 'keep';

/**
 * `fresh`: the folder was absent or empty, so it is the restore's own, its metadata too. `resume`: it carries this restore's
 * mark (`wasFresh` then says how it began). `shared`: other files are there and the caller agreed.
 */
export interface RestoreTarget {
  /** Absolute, symlinks resolved. */
  readonly folder: Buffer;
  readonly state: 'fresh' | 'resume' | 'shared';
  readonly ownsFolder: boolean;
  /** This run made the folder. */
  readonly isNew: boolean;
}

interface TargetRequest {
  readonly target: string;
  readonly mark: RestoreMark;
  readonly existing: ExistingFiles;
}

/** Names shown when a target is refused. */
const NAMES_SHOWN = 3;
const LINKS_FOLDER = 'links';
const NAMES_FOLDER = 'names';
const PART = 'part-';
const BEGUN = 'begun-';

/** Looks, and writes nothing. @throws ClusterError TARGET_NOT_FOLDER, TARGET_NOT_EMPTY */
export function lookAtTarget({
  target,
  mark,
  existing,
}: TargetRequest): Omit<RestoreTarget, 'isNew'> & { readonly exists: boolean } {
  const found = statSync(target, { throwIfNoEntry: false });
  if (found === undefined) {
    return { folder: Buffer.from(target), state: 'fresh', ownsFolder: true, exists: false };
  }
  if (!found.isDirectory()) {
    throw new ClusterError('TARGET_NOT_FOLDER', `the target ${target} is not a folder. It was left as it is.`, {
      blame: 'operator',
    });
  }
  const folder = realpathSync(target, 'buffer');
  const names = readdirSync(folder, 'buffer').map(escapePath);
  const other = names.filter(name => name !== MARK_FOLDER);
  const carried = names.length === other.length ? undefined : readMark(target);
  if (carried?.same(mark)) return { folder, state: 'resume', ownsFolder: carried.ownsFolder, exists: true };
  if (other.length === 0 && carried === undefined) return { folder, state: 'fresh', ownsFolder: true, exists: true };
  if (existing !== 'refuse') return { folder, state: 'shared', ownsFolder: false, exists: true };
  const shown =
    other.slice(0, NAMES_SHOWN).join(', ') + (other.length > NAMES_SHOWN ? `, … (${other.length} in all)` : '');
  const why =
    carried === undefined
      ? `it holds ${shown}`
      : `it carries the mark of an unfinished restore of ${carried.text}, which goes on when you name that`;
  throw new ClusterError(
    'TARGET_NOT_EMPTY',
    `the target ${target} is not empty: ${why}. Nothing was changed. Restore into an empty folder, or say --overwrite ` +
      '(replace files that differ) or --keep-existing (leave every file that is there).',
    { blame: 'operator' },
  );
}

/** Makes the target where it is absent, and its mark. Leftovers of an interrupted run go. */
export async function prepareTarget(request: TargetRequest): Promise<RestoreTarget> {
  const { exists, state, ownsFolder } = lookAtTarget(request);
  if (!exists) {
    mkdirSync(dirname(resolve(request.target)), { recursive: true });
    // Closed to others until the restore sets the mode of the source's folder.
    mkdirSync(request.target, { mode: 0o700 });
  }
  const folder = realpathSync(request.target, 'buffer');
  const markFolder = below(folder, MARK_FOLDER);
  mkdirSync(markFolder, { recursive: true, mode: 0o700 });
  // `recursive` is content with a symlink to a folder, which would lead our writes elsewhere.
  if (!lstatSync(markFolder).isDirectory()) {
    throw new ClusterError(
      'TARGET_NOT_FOLDER',
      `${MARK_FOLDER} in ${request.target} is not a folder. Nothing was changed: remove it.`,
      {
        blame: 'operator',
      },
    );
  }
  const isLeftover = (name: string): boolean => name.startsWith(PART) || (name.startsWith(BEGUN) && state !== 'resume');
  for (const name of readdirSync(markFolder)) if (isLeftover(name)) rmSync(below(markFolder, name), { force: true });
  rmSync(below(markFolder, NAMES_FOLDER), { recursive: true, force: true });
  if (state !== 'resume') rmSync(below(markFolder, LINKS_FOLDER), { recursive: true, force: true });
  mkdirSync(below(markFolder, LINKS_FOLDER), { recursive: true, mode: 0o700 });
  const { snapshot, sourceId, under } = request.mark;
  const text = JSON.stringify(
    { restore: 1, snapshot, source: sourceId, under: escapePath(under), ownsFolder },
    null,
    2,
  );
  await writeDurable(`${request.target}/${MARK_FOLDER}/mark`, `${text}\n`);
  return { folder, state, ownsFolder, isNew: !exists };
}

export function removeMark({ folder }: RestoreTarget): void {
  rmSync(below(folder, MARK_FOLDER), { recursive: true, force: true });
}

/** Where unfinished file number `number` lies. */
export const partPath = (folder: Buffer, number: number): Buffer => below(folder, `${MARK_FOLDER}/${PART}${number}`);

/** Where what has come of a large blob lies, also between two runs. */
export const begunPath = (folder: Buffer, blob: BlobId): Buffer => below(folder, `${MARK_FOLDER}/${BEGUN}${blob}`);

/** Where names are tried: there only while one is. */
export const namesFolder = (folder: Buffer): Buffer => below(folder, `${MARK_FOLDER}/${NAMES_FOLDER}`);

/** One name of a hard-linked file: its group and its content, for only equal content may be linked. */
export const linkAnchor = (folder: Buffer, link: string, blob: string): Buffer =>
  below(folder, `${MARK_FOLDER}/${LINKS_FOLDER}/${link}-${blob.slice(0, 32)}`);

/** `path` (bytes or ASCII) below `folder`; the folder itself for an empty path. */
export function below(folder: Buffer, path: Buffer | string): Buffer {
  return path.length === 0
    ? folder
    : Buffer.concat([folder, SEPARATOR, typeof path === 'string' ? Buffer.from(path) : path]);
}

const SEPARATOR = Buffer.from('/');

/** Of the unfinished restore whose mark a folder carries, as strings that its writer vouches for, if it was ours. */
export function unfinishedIn(target: string): Omit<FoundMark, 'same'> | undefined {
  return statSync(target, { throwIfNoEntry: false })?.isDirectory() ? readMark(target) : undefined;
}

interface FoundMark {
  /** As a person names it, but for the host. */
  readonly text: string;
  readonly snapshot: string;
  readonly sourceId: string;
  /** Escaped. */
  readonly under: string;
  readonly ownsFolder: boolean;
  same(mark: RestoreMark): boolean;
}

/** `undefined`: no mark, or none that a restore has finished writing. */
function readMark(target: string): FoundMark | undefined {
  const bytes = readIfThere(`${target}/${MARK_FOLDER}/mark`);
  if (bytes === undefined) return undefined;
  const fields = parseMark(bytes.toString());
  const snapshot = String(fields.snapshot);
  const sourceId = String(fields.source);
  const under = String(fields.under);
  const name = sourceId.slice(sourceId.indexOf('/') + 1);
  return {
    text: `${name}@${snapshot.slice(0, 8)}${under === '' ? '' : `:${under}`}`,
    snapshot,
    sourceId,
    under,
    ownsFolder: fields.ownsFolder === true,
    same: mark => snapshot === mark.snapshot && sourceId === mark.sourceId && under === escapePath(mark.under),
  };
}

function parseMark(text: string): Record<string, unknown> {
  try {
    const fields: unknown = JSON.parse(text);
    return typeof fields === 'object' && fields !== null ? (fields as Record<string, unknown>) : {};
  } catch {
    // Not JSON: not a mark of ours, and so the mark of another restore.
    return {};
  }
}
