/**
 * Take a snapshot: scan a source, compare it with its last snapshot, and store what is new, durably.
 *
 * A new snapshot costs what changed: unchanged parcels, pages and files are used again. When this returns `taken`,
 * everything that the snapshot refers to has been flushed; no head lists it yet (source-history.ts does that). Nothing
 * is ever removed.
 *
 * **Brakes**: a source is *missing*, not empty, when its folder is absent, on another device than last time, or empty
 * when it was not. Then there is no snapshot, and the daemon raises an alarm. *Another device*: the folder was a mount
 * point and no longer is; or its file system seems to be another one (file-system-print.ts) and more than half of the
 * names in it are gone. The same is said of mounts below it that are away, whose files are else carried over, and of
 * what was carried over before and is lost in the catalog; `missing` says what becomes of it all.
 *
 * Parts of the last snapshot that cannot be read anywhere count as not in it: what the folder has there is stored
 * again. What the folder lacks there (a mount that is away) may be missed, and cannot be named: so the snapshot is
 * partial. But if entries that were carried over already lie in such a part, there is no snapshot: the last one alone
 * says that the source has them, and those after this one would be complete without them.
 *
 * Driven by the daemon, one call at a time for a source.
 */
import { availableParallelism, tmpdir } from 'node:os';
import { ClusterError } from '../core/fault.js';
import { type SourceId, splitSourceId } from '../core/ids.js';
import type { ObjectWriter } from '../core/objects.js';
import type { Signer } from '../core/signed.js';
import { type FileSystemFound, isSameFileSystem } from './file-system-print.js';
import type { ForbiddenFolder } from './forbidden-folder.js';
import { leftOutBy } from './left-out.js';
import { MalformedObject } from './malformed-object.js';
import { MISSING_LISTED_MAX, type Missing, ScanMerge, type Tally, type Unentered, type Unread } from './merge-scan.js';
import { missingText } from './missing-text.js';
import { ParcelBuilder } from './parcel-builder.js';
import { ObjectMissing, readSnapshot } from './read-object.js';
import { type ScanOptions, scan } from './scan.js';
import { dayAt, type ScanCache } from './scan-cache.js';
import type { DivideWhen, ScanRefusal } from './scan-message.js';
import type { ScanProgress } from './scan-part.js';
import { encodeSnapshot, SNAPSHOT_PAGES_MAX, type Snapshot, type SnapshotId } from './snapshot.js';
import { SnapshotParcels } from './snapshot-parcels.js';

/** Below this a second scan thread takes as long to start as it saves, unless there is much to read. */
const DIVIDED_FILES_MIN = 20_000;
/** A second thread is at work after another 100 ms. */
const WHEN_BUSY: DivideWhen = { afterMs: 100, busyMin: 0.6 };

export interface SnapshotOrder {
  /** The source's folder. */
  readonly path: string;
  readonly source: SourceId;
  /** The source's last snapshot. Undefined: the first. */
  readonly previous: SnapshotId | undefined;
  readonly objects: ObjectWriter;
  /** Undefined: every file is read. */
  readonly cache: ScanCache | undefined;
  /** Patterns as in .gitignore. Default: none. */
  readonly exclude?: readonly string[];
  /** Default: false. */
  readonly crossMounts?: boolean;
  /** The stores and state folders of this host: never scanned, and no source may lie in one. */
  readonly forbidden: readonly ForbiddenFolder[];
  /** The wall clock: the snapshot's time. */
  readonly nowMs: number;
  readonly holdDays: number;
  /** Has the origin's present host key. */
  readonly signer: Signer;
  /** Default: `keep`. */
  readonly missing?: MissingHandling;
  /** For a temporary file of the size of the changed records. Default: the system's temporary folder. */
  readonly scratchFolder?: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: ScanProgress) => void;
  /** Set only in tests: the file that lists what is mounted (scan.ts). */
  readonly mountTable?: string;
  /** Set only in tests that show what the limit does. Default: `SNAPSHOT_PAGES_MAX`. */
  readonly pagesMax?: number;
}

/**
 * What becomes of what is missing. `keep`: files of mounts that are away are carried over; if all is missing, there is
 * no snapshot. `refuse`: there is none if anything is missing. `let-go`: the operator has looked, and all of it is gone
 * for good.
 */
export type MissingHandling = 'keep' | 'refuse' | 'let-go';

export type SnapshotRefusal = ScanRefusal | 'other-device' | 'empty-source' | 'mounts-away';

export type SnapshotVerdict =
  | {
      readonly kind: 'taken';
      readonly snapshot: SnapshotId;
      readonly files: number;
      readonly bytes: number;
      readonly stale: number;
      readonly missed: number;
      /** The first 100 paths that could not be read. */
      readonly unread: readonly Unread[];
      /** Mount points that were not entered. The policy says so, so they make no snapshot partial. */
      readonly unentered: Unentered;
      readonly parcels: number;
      /** Parcels shared with the last snapshot. If all are and none left, nothing but the time has changed. */
      readonly reused: number;
      /** For the brake on mass changes: files of the last snapshot, and how many are gone or have other content. */
      readonly filesBefore: number;
      readonly filesGone: number;
      readonly filesChanged: number;
      /** Why not all of the last snapshot could be read. */
      readonly lastUnread: string | undefined;
      /** With `let-go`: what was missing. */
      readonly letGo: Missing;
    }
  | Refused;

/** No snapshot was taken; the earlier ones are unchanged. */
interface Refused {
  readonly kind: 'refused';
  readonly because: SnapshotRefusal;
  readonly detail: string;
  /** What `let-go` would let go of; undefined: that would change nothing. */
  readonly missing?: Missing;
}

/**
 * @throws ClusterError SCAN_FAILED, SOURCE_TOO_LARGE, HISTORY_LOST; ObjectMissing and MalformedObject about the last snapshot itself,
 *   not its pages and records; the signal's reason.
 */
export async function takeSnapshot(order: SnapshotOrder): Promise<SnapshotVerdict> {
  try {
    return await take(order, undefined);
  } catch (error) {
    if (!(error instanceof ObjectMissing || error instanceof MalformedObject)) throw error;
    return take(order, error.message);
  }
}

/** `lastUnread`: why part of the last snapshot cannot be read; the snapshot is taken without that part. */
async function take(order: SnapshotOrder, lastUnread: string | undefined): Promise<SnapshotVerdict> {
  const { objects, missing: handling = 'keep' } = order;
  const before = await openLast(order, lastUnread !== undefined);
  const { last, readableOnly } = before;
  const isLeftOut = leftOutBy({ path: order.path, exclude: order.exclude ?? [], forbidden: order.forbidden });
  const merge = new ScanMerge({ previous: before.parcels, acceptMissing: handling === 'let-go', isLeftOut });
  const builder = await ParcelBuilder.create({
    source: order.source,
    objects,
    previous: before.parcels,
    // Not the cache's own day, which is that of the service's start.
    day: dayAt(order.nowMs),
    scratchFolder: order.scratchFolder ?? tmpdir(),
    signal: order.signal,
  });
  try {
    const scanned = await addScanned(order, { before, merge, builder });
    if (scanned.kind === 'refused') return scanned;
    const { found } = scanned;
    const tally = readableOnly && last !== undefined ? withAllOf(last, merge.tally) : merge.tally;
    const braked = decideBrake({ tally, sameDevice: last === undefined || isSameFileSystem(last.device, found) });
    const staleLost = lastUnread === undefined ? 0 : (last?.stale ?? 0) - merge.tally.staleBefore;
    const missing = missingOf({ braked, away: tally.away, staleLost });
    if (handling !== 'let-go') {
      if (braked !== undefined) return { kind: 'refused', ...braked, missing };
      if (lastUnread !== undefined && staleLost > 0) throw carriedOverLost(order, { staleLost, lastUnread, missing });
      if (handling === 'refuse' && missing.count > 0)
        return { kind: 'refused', because: 'mounts-away', detail: 'what was mounted below it is away', missing };
    }
    const built = await builder.end();
    const letGo = handling === 'let-go' ? missing : NOTHING_MISSING;
    return { kind: 'taken', ...(await seal(order, { tally, device: found.print, built })), lastUnread, letGo };
  } finally {
    await builder.close();
    await merge.close();
  }
}

const NOTHING_MISSING: Missing = { count: 0, parts: [] };

function missingOf({
  braked,
  away,
  staleLost,
}: {
  readonly braked: ReturnType<typeof decideBrake>;
  readonly away: Missing;
  /** Entries that were carried over, and lie where the last snapshot cannot be read. */
  readonly staleLost: number;
}): Missing {
  const ofAll = [
    ...(braked === undefined ? [] : [braked.because === 'empty-source' ? 'EMPTY' : 'OTHER_DEVICE']),
    ...(staleLost > 0 ? ['HISTORY_LOST'] : []),
  ];
  const parts = [...ofAll.map(because => ({ path: Buffer.alloc(0), because })), ...away.parts];
  return { count: ofAll.length + away.count, parts: parts.slice(0, MISSING_LISTED_MAX) };
}

/** The snapshot before this one, as far as it is read. */
interface Last {
  readonly last: Snapshot | undefined;
  readonly parcels: SnapshotParcels | undefined;
  /** Parts of it that cannot be read are left out. */
  readonly readableOnly: boolean;
}

async function openLast(
  { source, previous, objects, cache, signal }: SnapshotOrder,
  readableOnly: boolean,
): Promise<Last> {
  const last = previous === undefined ? undefined : await readSnapshot(objects, previous);
  if (last !== undefined && last.source !== source) {
    throw new Error(`bug: ${previous} is a snapshot of ${last.source} and cannot be the last one of ${source}`);
  }
  cache?.flush();
  const parcels =
    previous === undefined ? undefined : await SnapshotParcels.open(objects, previous, { signal, readableOnly });
  return { last, parcels, readableOnly };
}

/** Adds what the scan finds, merged with what was there before. */
async function addScanned(
  order: SnapshotOrder,
  {
    before: { last, parcels, readableOnly },
    merge,
    builder,
  }: { readonly before: Last; readonly merge: ScanMerge; readonly builder: ParcelBuilder },
): Promise<
  Extract<SnapshotVerdict, { kind: 'refused' }> | { readonly kind: 'scanned'; readonly found: FileSystemFound }
> {
  let found: FileSystemFound = { device: 0n, print: 0n };
  const isLarge = last !== undefined && last.files >= DIVIDED_FILES_MIN;
  const middle = isLarge ? await parcels?.middle() : undefined;
  const divide = availableParallelism() > 1 ? (middle ?? WHEN_BUSY) : undefined;
  // A section of the last snapshot would be taken over without being read.
  const sectionsOf = readableOnly ? undefined : order.previous;
  for await (const event of scan({ ...scanOptions(order), previous: sectionsOf, divide })) {
    if (event.kind === 'refused') return event;
    if (event.kind === 'root') {
      found = event;
      continue;
    }
    if (event.kind === 'latecomers') {
      merge.miss(event.paths);
      continue;
    }
    for await (const merged of merge.merge(event.items)) await builder.add(merged);
  }
  for await (const merged of merge.end()) await builder.add(merged);
  return { kind: 'scanned', found };
}

/** Stores the snapshot itself, durably: from then on it may be listed. @throws ClusterError SOURCE_TOO_LARGE */
async function seal(
  order: SnapshotOrder,
  {
    tally,
    device,
    built: { pages, parcels, reused, sections },
  }: {
    readonly tally: Tally;
    readonly device: bigint;
    readonly built: Awaited<ReturnType<ParcelBuilder['end']>>;
  },
): Promise<Omit<Extract<SnapshotVerdict, { kind: 'taken' }>, 'kind' | 'lastUnread' | 'letGo'>> {
  const { source, objects, cache, pagesMax = SNAPSHOT_PAGES_MAX } = order;
  if (pages.length > pagesMax) throw tooLarge(order, { parcels, pages: pages.length, pagesMax });
  const { files, bytes, stale, missed, unread, unentered, filesBefore, filesGone, filesChanged } = tally;
  const made: Snapshot = {
    source,
    timeMs: order.nowMs,
    holdDays: order.holdDays,
    stale,
    missed,
    files,
    bytes,
    device,
    recutOf: undefined,
    pages,
  };
  const snapshot = await objects.put(encodeSnapshot(made, order.signer));
  await objects.flush();
  cache?.putSections(source, snapshot, sections);
  return {
    snapshot,
    files,
    bytes,
    stale,
    missed,
    unread,
    unentered,
    parcels,
    reused,
    filesBefore,
    filesGone,
    filesChanged,
  };
}

/**
 * Used where part of the last snapshot is unknown. At least as many files count as gone as there are fewer now, so
 * that the brakes hold; and at least one entry counts as missed.
 */
function withAllOf({ files }: Snapshot, tally: Tally): Tally {
  const topBefore = Math.max(tally.topBefore, files > 0 ? 1 : 0);
  const filesGone = Math.max(tally.filesGone, files - tally.files);
  return { ...tally, missed: Math.max(tally.missed, 1), topBefore, filesBefore: files, filesGone };
}

/** Is this folder the source, or the place where the source was? */
export function decideBrake({
  tally,
  sameDevice,
}: {
  readonly tally: Pick<Tally, 'met' | 'topBefore' | 'topKept' | 'rootUnmounted'>;
  readonly sameDevice: boolean;
}): { readonly because: SnapshotRefusal; readonly detail: string } | undefined {
  const { met, topBefore, topKept, rootUnmounted } = tally;
  if (rootUnmounted)
    return { because: 'other-device', detail: 'it was a mount point, and nothing is mounted there now' };
  if (topBefore > 0 && met <= 1) return { because: 'empty-source', detail: `it had ${topBefore} names, and has none` };
  if (!sameDevice && topKept * 2 < topBefore) {
    return {
      because: 'other-device',
      detail: `on another device, and ${topBefore - topKept} of its ${topBefore} names are gone`,
    };
  }
  return undefined;
}

function scanOptions(order: SnapshotOrder): ScanOptions {
  return {
    path: order.path,
    source: order.source,
    cachePath: order.cache?.path,
    settleMs: order.cache?.settleMs,
    nowMs: order.nowMs,
    exclude: order.exclude ?? [],
    crossMounts: order.crossMounts ?? false,
    forbidden: order.forbidden,
    mountTable: order.mountTable,
    ...(order.signal === undefined ? {} : { signal: order.signal }),
    ...(order.onProgress === undefined ? {} : { onProgress: order.onProgress }),
  };
}

function carriedOverLost(
  { source }: SnapshotOrder,
  {
    staleLost,
    lastUnread,
    missing,
  }: { readonly staleLost: number; readonly lastUnread: string; readonly missing: Missing },
): ClusterError {
  const name = splitSourceId(source).source;
  return new ClusterError(
    'HISTORY_LOST',
    `source ${name} was not backed up: ${staleLost} of its files and folders, which could not be read when its last snapshot was taken, are in that snapshot alone, and the part of the catalog that lists them is lost here and on every host that is up (${lastUnread}). All snapshots are kept: switch on the hosts that are off, and mount the stores that are away. If no host has it any longer, 'cluster backup ${name} --accept-changes --yes' lets go of all that is missing: ${missingText(missing)}`,
    { blame: 'passing' },
  );
}

function tooLarge(
  { source, previous }: SnapshotOrder,
  { parcels, pages, pagesMax }: { readonly parcels: number; readonly pages: number; readonly pagesMax: number },
): ClusterError {
  const kept = previous === undefined ? 'it has no snapshot yet' : 'its earlier snapshots are kept';
  return new ClusterError(
    'SOURCE_TOO_LARGE',
    `source ${splitSourceId(source).source} was not backed up: its ${parcels} parcels take ${pages} pages, and a snapshot lists at most ${pagesMax}; ${kept}. Divide it into several sources, or leave something out with 'exclude'`,
    { blame: 'operator' },
  );
}
