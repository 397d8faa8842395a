/**
 * On stores: what a command that was given `--from-store` works with: the disks, and the source and the snapshot that
 * were meant.
 *
 * It needs no service, state folder, key or peer: everything is read from the disks (store/bare-stores.ts).
 */
import { existsSync } from 'node:fs';
import { escapePath } from '../catalog/path-text.js';
import { ifReadable, readSnapshot } from '../catalog/read-object.js';
import { type Shortfall, shortfallOf, WholeSnapshots } from '../catalog/shortfall.js';
import { isPartial } from '../catalog/snapshot.js';
import { type ChosenSnapshot, chooseSnapshot, parseSourceSpec, type SourceSpec } from '../catalog/source-spec.js';
import { walkReadable } from '../catalog/walk-readable.js';
import { ClusterError } from '../core/fault.js';
import { looksLikeStore } from '../store/bare-store.js';
import { BareStores, type Damage } from '../store/bare-stores.js';
import { MARKER_NAME } from '../store/marker.js';
import type { Context } from './context.js';
import {
  type KnownSnapshot,
  lookInto,
  type SourceOnStores,
  type StoresContent,
  searchSnapshots,
  sourceNamed,
} from './sources-on-stores.js';
import { countText, shellWord, shortId, sizeText, tableText, timeRecord, timeText } from './text.js';

export interface AskedOfStores {
  /** The command's name, for messages. */
  readonly command: 'ls' | 'restore' | 'snapshots';
  /** The words after `--from-store`: paths, and maybe the source. */
  readonly words: readonly string[];
  /** The source, if it was given as an argument of its own. */
  readonly spec: string | undefined;
  readonly onDamage: (damage: Damage) => void;
}

export interface OpenStores {
  readonly stores: BareStores;
  readonly content: StoresContent;
  /** The source that was asked for, if any. */
  readonly wanted: SourceSpec | undefined;
  /** The command line to suggest when no source was named. */
  readonly example: (source: string) => string;
  /** Added to the refusal of a source that is not on these disks. */
  readonly hint: string;
}

/** @throws ClusterError for what is wrong with the paths, or when there is nothing on them */
export async function openStores(context: Context, asked: AskedOfStores): Promise<OpenStores> {
  const { paths, spec } = partWords(asked);
  const stores = await BareStores.open(paths, { onDamage: asked.onDamage });
  const wanted = spec === undefined ? undefined : parseSourceSpec(spec);
  const looking = lookInto(stores, { wanted, signal: context.signal });
  const content = await tellIfLong(context, 'looking for sources on these disks …', looking);
  if (content.sources.length === 0) {
    throw new ClusterError(
      'NO_SOURCE',
      `no snapshot of any source can be found on ${paths.join(', ')}. Nothing was written; another store may have one`,
      { blame: 'operator' },
    );
  }
  return {
    stores,
    content,
    wanted,
    example: source =>
      `cluster ${asked.command} ${source} --from-store ${paths.map(shellWord).join(' ')}${asked.command === 'restore' ? ' --target DIR' : ''}`,
    hint: spec === asked.spec ? '' : `. ${spec} is not a store either`,
  };
}

/** After this long a person may think that nothing is happening. */
const LONG_MS = 5_000;

/** Every file is looked for before the first is restored: with many of them, on a slow disk, that takes minutes. */
export async function tellIfLong<T>(context: Context, what: string, work: Promise<T>): Promise<T> {
  const timer = setTimeout(() => context.note(what), LONG_MS);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}

export interface FoundOnStores {
  readonly source: SourceOnStores;
  readonly snapshot: KnownSnapshot;
  /** Empty for all of it. */
  readonly under: Buffer;
}

/** @throws ClusterError SOURCE_NEEDED, and for a source, snapshot or path that was named and is not there */
export async function findOnStores(context: Context, open: OpenStores): Promise<FoundOnStores> {
  const { stores, content, wanted } = open;
  const source = await sourceOf(context, open);
  if (!source.isVerified) context.note(notVerified(content, source));
  const under = wanted?.path ?? Buffer.alloc(0);
  const finding: Finding = { context, stores, content, source };
  const choosing = chosen(finding, wanted?.snapshot ?? { kind: 'latest' });
  const snapshot = await tellIfLong(
    context,
    `looking for a snapshot of ${source.name} that is whole on these disks …`,
    choosing,
  );
  if (under.length > 0) await needPath(finding, { snapshot, under });
  return { source, snapshot, under };
}

// ── What was typed ──

/** The option takes all words up to the next option, so the source may be among them: the word that is not a store. */
function partWords({ words, spec }: AskedOfStores): {
  readonly paths: readonly [string, ...string[]];
  readonly spec: string | undefined;
} {
  const among = spec !== undefined ? [] : words.filter(word => isSpec(word) && !mayBeStore(word));
  const [only] = among.length === 1 ? among : [];
  const [first, ...others] = words.filter(word => word !== only);
  if (first !== undefined) return { paths: [first, ...others], spec: spec ?? only };
  throw new ClusterError(
    'NOT_A_STORE',
    `${words.join(' ')} is not a store: name the folders that have a ${MARKER_NAME} in them`,
    {
      blame: 'operator',
    },
  );
}

function mayBeStore(word: string): boolean {
  try {
    return looksLikeStore(word);
  } catch {
    // A folder that cannot be read counts as a store: opening it reports why. If not even its existence can be seen, as
    // inside a closed folder, the word counts as a source's name.
    return existsSync(word);
  }
}

function isSpec(word: string): boolean {
  try {
    parseSourceSpec(word);
    return true;
  } catch (error) {
    if (error instanceof ClusterError) return false;
    throw error;
  }
}

async function sourceOf(
  context: Context,
  { content, stores, wanted, example, hint }: OpenStores,
): Promise<SourceOnStores> {
  const { sources } = content;
  if (wanted !== undefined) return sourceNamed(wanted, sources, hint);
  const [first] = sources;
  if (first !== undefined && sources.length === 1) return first;
  await listSources(context, stores, sources);
  throw new ClusterError(
    'SOURCE_NEEDED',
    `these stores have ${sources.length} sources. Say which, before --from-store: ${example(first?.name ?? 'SOURCE')}`,
    { blame: 'operator' },
  );
}

async function listSources(
  context: Context,
  { objects }: BareStores,
  sources: readonly SourceOnStores[],
): Promise<void> {
  const rows: string[][] = [];
  for (const { name, origin, snapshots } of sources) {
    const newest = snapshots.at(-1);
    const read = newest === undefined ? undefined : await ifReadable(readSnapshot(objects, newest.id));
    if (context.json) {
      await context.record({
        message_type: 'source',
        source: name,
        origin,
        snapshots: snapshots.length,
        snapshot:
          newest === undefined
            ? null
            : {
                id: newest.id,
                time: timeRecord(newest.timeMs),
                files: read?.files ?? null,
                bytes: read?.bytes ?? null,
                partial: read === undefined ? null : isPartial(read),
              },
      });
    }
    rows.push([
      name,
      origin,
      newest === undefined ? '' : shortId(newest.id),
      newest === undefined ? '' : timeText(newest.timeMs),
      read === undefined ? '' : String(read.files),
      read === undefined ? '' : sizeText(read.bytes),
      String(snapshots.length),
    ]);
  }
  if (context.json) return;
  const columns = [
    { head: 'source' },
    { head: 'origin' },
    { head: 'newest' },
    { head: 'time' },
    { head: 'files', align: 'right' },
    { head: 'size', align: 'right' },
    { head: 'snapshots', align: 'right' },
  ] as const;
  await context.print(tableText(context.isTerminal, columns, rows));
}

// ── Which snapshot ──

interface Finding {
  readonly context: Context;
  readonly stores: BareStores;
  readonly content: StoresContent;
  readonly source: SourceOnStores;
}

/** `latest` is the newest snapshot that is whole on these disks; if none is, the newest that can be read. */
async function chosen(finding: Finding, wanted: SourceSpec['snapshot']): Promise<KnownSnapshot> {
  const { stores, source } = finding;
  const readable: KnownSnapshot[] = [];
  for (const listed of source.snapshots) {
    const read = await ifReadable(readSnapshot(stores.objects, listed.id));
    if (read?.source === source.id) readable.push(listed);
  }
  if (readable.length === 0) {
    throw new ClusterError(
      'NO_SNAPSHOT',
      `no snapshot of ${source.name} can be read on these stores. Nothing was written; another store may have one`,
      { blame: 'operator' },
    );
  }
  if (wanted.kind === 'latest') return latest(finding, readable);
  const listed = chooseSnapshot(wanted, readable);
  const choice = listed.kind === 'none' && wanted.kind === 'id' ? await unlisted(finding, wanted) : listed;
  if (choice.kind === 'chosen') return choice.snapshot;
  const newest = `the newest is ${snapshotText(readable.at(-1) as KnownSnapshot)}`;
  if (choice.kind === 'ambiguous') {
    throw new ClusterError(
      'SNAPSHOT_AMBIGUOUS',
      `${choice.snapshots.length} snapshots of ${source.name} begin with these digits; give more of them`,
      { blame: 'operator' },
    );
  }
  const what = wanted.kind === 'id' ? `snapshot ${wanted.prefix}` : 'snapshot from that time or before';
  throw new ClusterError(
    'SNAPSHOT_UNKNOWN',
    `source ${source.name} has no ${what} on these stores; there are ${readable.length}, ${newest}`,
    { blame: 'operator' },
  );
}

/** Looks for it among the snapshots that are no longer listed but that their hold has kept. */
async function unlisted(
  { context, stores, content, source }: Finding,
  wanted: SourceSpec['snapshot'],
): Promise<ChosenSnapshot<KnownSnapshot>> {
  const all = await searchSnapshots(stores, content, context.signal);
  return chooseSnapshot(wanted, all.get(source.id) ?? []);
}

/** @param readable not empty */
async function latest(
  { context, stores, source }: Finding,
  readable: readonly KnownSnapshot[],
): Promise<KnownSnapshot> {
  const { signal } = context;
  const whole = new WholeSnapshots(stores);
  const newest = source.snapshots.at(-1) as KnownSnapshot;
  for (const listed of [...readable].reverse()) {
    if (!(await whole.isWhole(listed.id, signal))) continue;
    if (listed.id !== newest.id) {
      const shortfall = await ifReadable(shortfallOf(stores, newest.id, { under: Buffer.alloc(0), signal }));
      const lack = shortfall === undefined ? 'it cannot be read on these disks' : `not whole: ${lackText(shortfall)}`;
      context.note(`a newer snapshot ${snapshotText(newest)} is known, but ${lack}`);
    }
    return listed;
  }
  context.note(`no snapshot of ${source.name} is whole on these disks; the newest is taken`);
  return readable.at(-1) as KnownSnapshot;
}

async function needPath(
  { context, stores, source }: Finding,
  { snapshot, under }: { readonly snapshot: KnownSnapshot; readonly under: Buffer },
): Promise<void> {
  // Any item will do, for a gap may hold the path.
  for await (const _ of walkReadable(stores.objects, snapshot.id, { under, signal: context.signal })) return;
  throw new ClusterError(
    'PATH_UNKNOWN',
    `snapshot ${shortId(snapshot.id)} of ${source.name} has no path ${JSON.stringify(escapePath(under))}`,
    { blame: 'operator' },
  );
}

// ── Messages ──

const snapshotText = ({ id, timeMs }: KnownSnapshot): string => `${shortId(id)} of ${timeText(timeMs)}`;

export function lackText(shortfall: Shortfall): string {
  const { missingFiles, missingBytes, unreadParcels, unreadBytes, unreadPages } = shortfall;
  const parts: string[] = [];
  if (missingFiles > 0) parts.push(`${countText(missingFiles, 'file')} (${sizeText(missingBytes)})`);
  if (unreadParcels > 0)
    parts.push(`${countText(unreadParcels, 'parcel')} (${sizeText(unreadBytes)}) with the names of its files`);
  if (unreadPages > 0) parts.push(`${countText(unreadPages, 'page')} of such parcels`);
  return `these disks lack ${parts.join(', and ')}`;
}

function notVerified({ configuration }: StoresContent, { origin }: SourceOnStores): string {
  const why =
    configuration === undefined
      ? 'no configuration can be read on these disks'
      : `the configuration on these disks does not know the host ${origin}`;
  return `${why}: the signatures of the snapshots are not checked. Every hash is`;
}
