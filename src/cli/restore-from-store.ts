/**
 * Restore from stores: `cluster restore --from-store PATH…`, for when the house is gone and disks are left.
 *
 * No service, no state folder, no key and no peer: all that is asked is on the disks (store/bare-stores.ts), and nothing is
 * written to them. What they lack is named as far as they know its name; the rest is restored.
 */
import { existsSync, realpathSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type BlobFault, contentFromDisks } from '../catalog/blob-content.js';
import { escapePath } from '../catalog/path-text.js';
import type { ContentFrame, ContentRequest, LackingEntries, PlacedEntry } from '../catalog/restore-content.js';
import { isNothing, type Shortfall, shortfallOf, WholeSnapshots } from '../catalog/shortfall.js';
import { isPartial } from '../catalog/snapshot.js';
import { chooseSnapshot, parseSourceSpec, type SourceSpec } from '../catalog/source-spec.js';
import { ifReadable, readSnapshot, type WalkGap, walkReadable } from '../catalog/walk.js';
import { ClusterError } from '../core/fault.js';
import type { ObjectId } from '../core/ids.js';
import { BareStores, type Damage } from '../store/bare-stores.js';
import { MARKER_NAME } from '../store/marker.js';
import type { Context } from './context.js';
import type { Restorable } from './restorable.js';
import {
  type KnownSnapshot,
  lookInto,
  type SourceOnStores,
  type StoresContent,
  sourceNamed,
} from './sources-on-stores.js';
import { countText, shortId, sizeText, tableText, timeRecord, timeText } from './text.js';

export interface FromStores {
  /** What stood behind `--from-store`: paths, and maybe the source. */
  readonly words: readonly string[];
  /** The argument, where it was given by itself. */
  readonly spec: string | undefined;
  readonly target: string;
  readonly dryRun: boolean;
  readonly onDamage: (damage: Damage) => void;
  /** A file whose content is on none of the disks, told in a dry run: else the restore comes upon it. */
  readonly onMissing: (path: Buffer) => void;
}

/** @throws ClusterError for whatever is wrong with what was typed; then nothing was written */
export async function restorableFrom(context: Context, from: FromStores): Promise<Restorable> {
  const { paths, spec } = partWords(from);
  const stores = await BareStores.open(paths, { onDamage: from.onDamage });
  refuseTargetInStore(from.target, stores);
  const content = await lookInto(stores, context.signal);
  const wanted = spec === undefined ? undefined : parseSourceSpec(spec);
  const hint = spec === from.spec ? '' : `. ${spec} is no store either`;
  const source = await sourceOf(context, { content, stores, wanted, paths, hint });
  if (!source.isVerified) context.note(notVerified(content, source));
  const under = wanted?.path ?? Buffer.alloc(0);
  const finding: Finding = { context, stores, source };
  const snapshot = await chosen(finding, wanted?.snapshot ?? { kind: 'latest' });
  const shortfall = await shortfallOf(stores, snapshot.id, {
    under,
    signal: context.signal,
    ...(from.dryRun && { onMissing: from.onMissing }),
  });
  if (under.length > 0) await needPath(finding, { snapshot, under });
  if (!isNothing(shortfall)) {
    context.note(`of snapshot ${shortId(snapshot.id)} ${lackText(shortfall)}`);
    const others = otherStores(content, stores);
    if (others !== undefined) context.note(others);
  }
  return {
    source: source.name,
    sourceId: source.id,
    snapshot,
    under,
    total: shortfall,
    entries: signal => entriesOf(stores, { snapshot: snapshot.id, under, signal }),
    content: (request, signal) => contentOf(stores, request, signal),
    advice: `With more of the stores, run it again as ${source.name}@${shortId(snapshot.id)}: it goes on from what is written.`,
    isShort: from.dryRun && !isNothing(shortfall),
  };
}

// ── What was typed ──

/** An option takes all words up to the next one, so the source may stand among the paths: it is the one that is no store. */
function partWords({ words, spec }: FromStores): {
  readonly paths: readonly [string, ...string[]];
  readonly spec: string | undefined;
} {
  const among = spec !== undefined ? [] : words.filter(word => isSpec(word) && !existsSync(`${word}/${MARKER_NAME}`));
  const [only] = among.length === 1 ? among : [];
  const [first, ...others] = words.filter(word => word !== only);
  if (first !== undefined) return { paths: [first, ...others], spec: spec ?? only };
  throw new ClusterError(
    'NOT_A_STORE',
    `${words.join(' ')} is no store: name the folders that have a ${MARKER_NAME} in them`,
    {
      blame: 'operator',
    },
  );
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

/** Not even through a symlink, nor around one: nothing of a store may be touched. */
function refuseTargetInStore(target: string, { stores }: BareStores): void {
  let place = resolve(target);
  while (!existsSync(place)) place = dirname(place);
  const real = realpathSync(place);
  for (const { folder, path } of stores) {
    const isAround = existsSync(target) && `${folder}/`.startsWith(real === '/' ? '/' : `${real}/`);
    if (!`${real}/`.startsWith(`${folder}/`) && !isAround) continue;
    throw new ClusterError(
      'TARGET_IN_STORE',
      `the target ${target} ${isAround ? 'holds' : 'lies in'} the store ${path}, to which nothing is written. Nothing was changed: name another folder`,
      { blame: 'operator' },
    );
  }
}

interface Asked {
  readonly content: StoresContent;
  readonly stores: BareStores;
  readonly wanted: SourceSpec | undefined;
  readonly paths: readonly string[];
  /** For a source that is none. */
  readonly hint: string;
}

async function sourceOf(context: Context, { content, stores, wanted, paths, hint }: Asked): Promise<SourceOnStores> {
  const { sources } = content;
  const [only] = sources;
  if (only === undefined) {
    throw new ClusterError(
      'NO_SOURCE',
      `no snapshot of any source can be found on ${paths.join(', ')}. Nothing was written; another store may have one`,
      {
        blame: 'operator',
      },
    );
  }
  if (wanted !== undefined) return sourceNamed(wanted, sources, hint);
  if (sources.length === 1) return only;
  await listSources(context, stores, sources);
  throw new ClusterError(
    'SOURCE_NEEDED',
    `these stores have ${sources.length} sources. Say which, before --from-store: cluster restore ${only.name} --from-store ${paths.map(shellWord).join(' ')} --target DIR`,
    { blame: 'operator' },
  );
}

const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;

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
  await context.print(await tableText(context.isTerminal, columns, rows));
}

// ── Which snapshot ──

interface Finding {
  readonly context: Context;
  readonly stores: BareStores;
  readonly source: SourceOnStores;
}

/** `latest` is the newest that is whole on these disks; where none is, the newest. */
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
  const choice = chooseSnapshot(wanted, readable);
  if (choice.kind === 'chosen') return choice.snapshot;
  const newest = `the newest is ${snapshotText(readable.at(-1) as KnownSnapshot)}`;
  if (choice.kind === 'ambiguous') {
    throw new ClusterError(
      'SNAPSHOT_AMBIGUOUS',
      `${choice.snapshots.length} snapshots of ${source.name} begin so; give more digits`,
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
      const lack = shortfall === undefined ? 'cannot be read on these disks' : lackText(shortfall);
      context.note(`a newer snapshot ${snapshotText(newest)} is known, but of it ${lack}`);
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
  // A gap may hold it.
  for await (const _ of walkReadable(stores.objects, snapshot.id, { under, signal: context.signal })) return;
  throw new ClusterError(
    'PATH_UNKNOWN',
    `snapshot ${shortId(snapshot.id)} of ${source.name} has no path ${JSON.stringify(escapePath(under))}`,
    { blame: 'operator' },
  );
}

// ── What is told of it ──

const snapshotText = ({ id, timeMs }: KnownSnapshot): string => `${shortId(id)} of ${timeText(timeMs)}`;

function lackText(shortfall: Shortfall): string {
  const { missingFiles, missingBytes, unreadParcels, unreadBytes, unreadPages } = shortfall;
  const parts: string[] = [];
  if (missingFiles > 0) parts.push(`${countText(missingFiles, 'file')} (${sizeText(missingBytes)})`);
  if (unreadParcels > 0)
    parts.push(`${countText(unreadParcels, 'parcel')} (${sizeText(unreadBytes)}) with the names of its files`);
  if (unreadPages > 0) parts.push(`${countText(unreadPages, 'page')} of such parcels`);
  return `these disks lack ${parts.join(', and ')}`;
}

function gapText({ before, parcels, bytes, pages }: WalkGap): string {
  const parts: string[] = [];
  if (parcels > 0) parts.push(`${countText(parcels, 'parcel')} (${sizeText(bytes)})`);
  if (pages > 0) parts.push(`${countText(pages, 'page')} of parcels`);
  const end = before === undefined ? '' : ` before ${escapePath(before)}`;
  return `${parts.join(' and ')}${end}, of which these disks have not even the names`;
}

function notVerified({ configuration }: StoresContent, { origin }: SourceOnStores): string {
  const why =
    configuration === undefined
      ? 'no configuration can be read on these disks'
      : `the configuration on these disks does not know the host ${origin}`;
  return `${why}: who signed the snapshots is not checked. Every hash is`;
}

/** Where else to look, by the policy on these disks. */
function otherStores({ configuration }: StoresContent, { stores }: BareStores): string | undefined {
  const others = (configuration?.hosts ?? []).flatMap(({ host, name, stores: lent }) => {
    const here = stores.filter(({ marker }) => marker.host === host).length;
    return lent.length > here ? [`${name} (${lent.join(', ')})`] : [];
  });
  if (configuration === undefined || others.length === 0) return undefined;
  return `By the configuration of ${timeText(configuration.signedMs)} there are also the stores of ${others.join(', ')}`;
}

// ── What is restored ──

async function* entriesOf(
  { objects }: BareStores,
  { snapshot, under, signal }: { readonly snapshot: ObjectId; readonly under: Buffer; readonly signal: AbortSignal },
): AsyncGenerator<PlacedEntry | LackingEntries> {
  for await (const item of walkReadable(objects, snapshot, { under, signal })) {
    if (item.is === 'gap') yield { after: item.gap.after ?? Buffer.alloc(0), lacking: gapText(item.gap) };
    else yield { entry: item.entry, parcel: item.parcel, isStandIn: item.is === 'stand-in' };
  }
}

async function* contentOf(
  stores: BareStores,
  { blobs }: ContentRequest,
  signal: AbortSignal,
): AsyncGenerator<ContentFrame> {
  for (const blob of blobs) {
    const damagedOn: string[] = [];
    const isGiven = yield* contentFromDisks(blob, stores.stores, {
      signal,
      onFault: (store, fault) => {
        stores.damaged(store, `the blob ${blob}`, errorOf(fault));
        damagedOn.push(store.path);
      },
    });
    if (isGiven) continue;
    const because =
      damagedOn.length === 0
        ? 'its content is on none of these disks'
        : `its content is damaged on ${damagedOn.join(' and ')}, and on no other of these disks`;
    yield { kind: 'unavailable', blob, because, hosts: [] };
  }
}

const errorOf = (fault: BlobFault): unknown =>
  fault.is === 'changed' ? new Error('its bytes have another hash') : fault.error;
