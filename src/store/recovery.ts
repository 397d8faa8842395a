/**
 * Recovery: what a store really holds, found out at each opening.
 *
 * PRESENT = `add` in the log *and* every file there. The log says what should be there; it is checked against the
 * index, the records and the names under `.blobs`. A parcel that lacks a file gets a `corrupt` operation and is fetched
 * again.
 *
 * A log in doubt (core/mounting.ts) is not believed: a new epoch begins with an empty log, and a rescan hashes every
 * parcel before it counts again. Blobs are never removed here.
 *
 * Files that no PRESENT parcel lists (strays) never count, and stay where they are. Most remain from a parcel that
 * lacks one other file, and may be the last of their kind; some come from an interrupted commit; some from a deletion
 * that a crash kept from the trash. Recovery cannot tell these apart: a deleted parcel may list the same blobs as one
 * that lost a file. A host that grabs such a parcel again finds and hashes them; those that are not used within
 * `gcGrace` are swept (stray-sweep.ts).
 *
 * Files under `.blobs` are checked by name, not by size: reading each inode would take a Pi's disk minutes for a
 * million files. A file that is too short is found when it is read.
 */
import type { Logger } from 'pino';
import { assert, unreachable } from '../core/fault.js';
import { compareEpochs, type LogOp, type LogPosition } from '../core/holdings-log.js';
import type { ParcelId, SourceId } from '../core/ids.js';
import { decideMount, type MountDoubt } from '../core/mounting.js';
import type { BlobRef } from '../core/parcel.js';
import { lstat, rename } from '../platform/disk-calls.js';
import type { BlobChange, BlobIndex, StoreNote } from './blob-index.js';
import { LogFile, type OpenedLog } from './log-file.js';
import type { LogReader } from './log-opening.js';
import { type Marker, writeMarker } from './marker.js';
import type { ObjectFolder } from './object-folder.js';
import { systemCode } from './own-folder.js';
import { newEpoch, type StoreFolder } from './store-folder.js';

export interface Recovering {
  readonly folder: StoreFolder;
  readonly marker: Marker;
  readonly objects: ObjectFolder;
  readonly index: BlobIndex;
  readonly boot: number;
  readonly previousBoot: number;
  readonly nowMs: number;
  /** The caller's own doubt, and the greatest epoch counter that any peer has shown for this store. */
  readonly doubt?: { readonly because: string; readonly counterSeen: number } | undefined;
  readonly blobsOf: (record: Uint8Array) => readonly BlobRef[];
  readonly log: Logger;
  readonly random: () => Uint8Array;
}

export interface Recovered {
  readonly marker: Marker;
  readonly log: LogFile;
  /** Grows with the number of parcels: 64 hex digits each. */
  readonly present: Set<ParcelId>;
  readonly headSeqs: Map<SourceId, number>;
  /** Bytes of all files under `.blobs`. */
  readonly blobBytes: number;
  readonly straysPossible: boolean;
}

/** Above this many parcels between index and log, rebuilding the index is as cheap and needs no large transaction. */
const CATCH_UP_PARCELS_MAX = 1024;
/** Parcels counted into the index in one transaction. */
const BATCH_PARCELS = 128;

export async function recover(recovering: Recovering): Promise<Recovered> {
  const { folder, index, log: logger } = recovering;
  const note = index.note();
  const replay = new Replay(note.position);
  const opened = await LogFile.open(folder.log, recovering.marker.store, replay);
  const verdict = decideMount({
    ...recovering,
    wallMs: recovering.nowMs,
    log:
      opened.kind === 'sound'
        ? { kind: 'sound', end: opened.log.position, hasRemembered: replay.matched || replay.hasPassed }
        : { kind: 'damaged', epoch: opened.epoch },
    remembered: { boots: note.boots, position: note.position },
    doubt: recovering.doubt,
  });

  let { marker } = recovering;
  let log: LogFile;
  let held: Held;
  if (verdict.act === 'begin-epoch') {
    const because = wordsOf(verdict.because, { recovering, opened, note });
    if (opened.kind === 'sound') await opened.log.close();
    logger.warn(
      { code: 'STORE_DOUBT', because },
      'the log of this store is in doubt: a new one begins, and every parcel is hashed again',
    );
    ({ marker, log } = await beginEpoch(recovering, verdict.counter));
    await index.clear();
    await index.apply([], log.position);
    held = new Held(recovering, new Set());
  } else {
    assert(opened.kind === 'sound', 'a damaged log is not believed');
    log = opened.log;
    if (opened.cutBytes > 0) {
      logger.info(
        { code: 'LOG_TAIL_CUT', bytes: opened.cutBytes },
        'an unfinished operation was cut off the end of the log',
      );
    }
    held = new Held(recovering, replay.present);
  }

  try {
    return await bringUp(recovering, { marker, log, held, replay, isBegun: verdict.act === 'begin-epoch' });
  } catch (error) {
    await log.close();
    throw error;
  }
}

/** Checks the disk against the log, or against the empty set that a new log begins with. */
async function bringUp(
  recovering: Recovering,
  found: {
    readonly marker: Marker;
    readonly log: LogFile;
    readonly held: Held;
    readonly replay: Replay;
    /** The log is a new one. */
    readonly isBegun: boolean;
  },
): Promise<Recovered> {
  const { folder, objects, index, boot } = recovering;
  const { log, held, replay, isBegun } = found;
  await objects.measure((shard, ids) => held.takeRecords(shard, ids));
  await held.bringIndexUp(replay, log.position);
  const files = await survey(recovering);
  if (files.gone > 0) await held.findIncomplete(log.position);
  await held.declareCorrupt(log);

  const marker: Marker = { ...found.marker, boot };
  // Only when it changes: on a full disk there is no room for another marker.
  if (found.marker.boot !== boot) {
    // Both counters are noted first, so whichever marker a crash leaves behind raises no doubt.
    await index.noteBoots([found.marker.boot, boot]);
    await writeMarker(folder.path, marker);
  }
  await index.noteBoots([boot]);
  return {
    marker,
    log,
    present: held.present,
    headSeqs: isBegun ? new Map() : replay.headSeqs,
    blobBytes: files.bytes,
    straysPossible: files.strays > 0 || files.gone > 0,
  };
}

function wordsOf(
  because: MountDoubt,
  {
    recovering: { marker, previousBoot, doubt },
    opened,
    note,
  }: { readonly recovering: Recovering; readonly opened: OpenedLog; readonly note: StoreNote },
): string {
  switch (because) {
    case 'others-remember':
      return doubt?.because ?? 'other hosts remember more of it';
    case 'other-boot': {
      const expected = note.boots.length > 0 ? note.boots : [previousBoot];
      return `its marker is of boot ${marker.boot}, but this host remembers boot ${expected.join(' or ')}: one of the two is an old image`;
    }
    case 'damaged':
      return opened.kind === 'damaged' ? opened.because : 'its log is damaged';
    case 'other-epoch':
      return 'its log and its marker are of different epochs';
    case 'earlier-epoch':
      return 'its log is of an earlier epoch than the index remembers';
    case 'lacks-remembered': {
      const end = opened.kind === 'sound' ? opened.log.position.seq : 0;
      return `the index remembers operation ${note.position?.seq}, which its log (up to ${end}) does not have`;
    }
    default:
      return unreachable(because);
  }
}

async function beginEpoch(
  { folder, marker, random }: Recovering,
  counter: number,
): Promise<{ readonly marker: Marker; readonly log: LogFile }> {
  const epoch = newEpoch(counter, random);
  const next: Marker = { ...marker, epoch, rescan: true };
  // The marker first: a crash between the two writes leaves epochs that differ, which is a doubt again.
  await writeMarker(folder.path, next);
  try {
    await rename(folder.log, `${folder.log}.doubted`);
  } catch (error) {
    // A missing log is one kind of doubt.
    if (systemCode(error) !== 'ENOENT') throw error;
  }
  return { marker: next, log: await LogFile.create(folder.log, marker.store, epoch) };
}

/**
 * The log, read from its beginning: which parcels should be present, and which have changed since the index's position.
 */
class Replay implements LogReader {
  readonly present = new Set<ParcelId>();
  readonly headSeqs = new Map<SourceId, number>();
  /** Parcels touched after the index's position → whether they were present at it. */
  readonly touched = new Map<ParcelId, boolean>();
  readonly #from: StoreNote['position'];
  matched = false;
  /**
   * The log stands on a checkpoint after the index's position, so what was present at that position can no longer be
   * known.
   */
  hasPassed = false;

  constructor(from: StoreNote['position']) {
    this.#from = from;
  }

  held(op: LogOp): void {
    this.#apply(op);
  }

  begin(position: LogPosition): void {
    const from = this.#from;
    if (from === undefined) return;
    this.hasPassed = compareEpochs(position.epoch, from.epoch) === 0 && from.seq < position.seq;
    this.#match(position);
  }

  op(op: LogOp, position: LogPosition): void {
    if (op.op !== 'head' && this.matched && !this.touched.has(op.parcel))
      this.touched.set(op.parcel, this.present.has(op.parcel));
    this.#apply(op);
    this.#match(position);
  }

  #apply(op: LogOp): void {
    if (op.op === 'head') this.headSeqs.set(op.source, Math.max(op.seq, this.headSeqs.get(op.source) ?? 0));
    else if (op.op === 'add') this.present.add(op.parcel);
    else this.present.delete(op.parcel);
  }

  #match(position: LogPosition): void {
    const from = this.#from;
    if (from === undefined || position.seq !== from.seq) return;
    this.matched = position.digest === from.digest && compareEpochs(position.epoch, from.epoch) === 0;
  }
}

/** The parcels that are present by the log, checked against what is really there. */
class Held {
  readonly present: Set<ParcelId>;
  /** Parcels whose record is missing or damaged, so that their blobs are not known here; not counted in the index. */
  readonly #recordless = new Set<ParcelId>();
  readonly #incomplete = new Set<ParcelId>();
  readonly #of: Recovering;
  #byShard: Map<string, ParcelId[]> | undefined;

  constructor(of: Recovering, present: Set<ParcelId>) {
    this.#of = of;
    this.present = present;
  }

  takeRecords(shard: string, ids: readonly string[]): void {
    this.#byShard ??= byShard(this.present);
    const expected = this.#byShard.get(shard);
    if (expected === undefined) return;
    const there: ReadonlySet<string> = new Set(ids);
    for (const parcel of expected) if (!there.has(parcel)) this.#recordless.add(parcel);
  }

  async bringIndexUp(replay: Replay, position: LogPosition): Promise<void> {
    this.#byShard = undefined;
    const { index } = this.#of;
    const known = index.note().position;
    if (known?.digest === position.digest && this.#recordless.size === 0) return;
    if (
      known === undefined ||
      !replay.matched ||
      replay.touched.size > CATCH_UP_PARCELS_MAX ||
      this.#recordless.size > 0
    ) {
      return this.#rebuildIndex(position);
    }
    const changes: BlobChange[] = [];
    for (const [parcel, was] of replay.touched) {
      const is = this.present.has(parcel);
      if (was === is) continue;
      const refs = await this.#refsOf(parcel);
      if (refs === undefined) return this.#rebuildIndex(position);
      for (const blob of refs) changes.push({ blob, by: is ? 1 : -1 });
    }
    await index.apply(changes, position);
  }

  async #rebuildIndex(position: LogPosition): Promise<void> {
    const { index, log } = this.#of;
    log.info(
      { code: 'INDEX_REBUILD', parcels: this.present.size },
      'rebuilding the index of this store from its records',
    );
    await index.clear();
    let batch: BlobChange[] = [];
    let parcels = 0;
    for (const parcel of this.present) {
      if (this.#recordless.has(parcel)) continue;
      const refs = await this.#refsOf(parcel);
      if (refs === undefined) {
        this.#recordless.add(parcel);
        continue;
      }
      for (const blob of refs) batch.push({ blob, by: 1 });
      if (++parcels % BATCH_PARCELS > 0) continue;
      await index.apply(batch, undefined);
      batch = [];
    }
    // The position comes last: a table without one is rebuilt.
    await index.apply(batch, position);
  }

  /** Some blob is gone: finds the parcels that lack one. Only then is every file checked. */
  async findIncomplete(position: LogPosition): Promise<void> {
    const { folder } = this.#of;
    const recordlessBefore = this.#recordless.size;
    for (const parcel of this.present) {
      if (this.#recordless.has(parcel)) continue;
      const refs = await this.#refsOf(parcel);
      if (refs === undefined) this.#recordless.add(parcel);
      else {
        const there = await Promise.all(refs.map(({ blob }) => isFile(folder.blobs.pathOf(blob))));
        if (there.includes(false)) this.#incomplete.add(parcel);
      }
    }
    if (this.#recordless.size > recordlessBefore) await this.#rebuildIndex(position);
  }

  async declareCorrupt(log: LogFile): Promise<void> {
    const corrupt = [...this.#recordless, ...this.#incomplete];
    for (let at = 0; at < corrupt.length; at += BATCH_PARCELS) {
      const batch = corrupt.slice(at, at + BATCH_PARCELS);
      const changes: BlobChange[] = [];
      for (const parcel of batch) {
        const refs = this.#incomplete.has(parcel) ? await this.#refsOf(parcel) : [];
        for (const blob of refs ?? []) changes.push({ blob, by: -1 });
        this.present.delete(parcel);
        this.#of.log.warn(
          { code: 'PARCEL_CORRUPT', parcel },
          'a parcel in the log lacks files here and no longer counts',
        );
      }
      await log.append(batch.map(parcel => ({ op: 'corrupt', parcel })));
      await this.#of.index.apply(changes, log.position);
    }
  }

  async #refsOf(parcel: ParcelId): Promise<readonly BlobRef[] | undefined> {
    const record = await this.#of.objects.get(parcel);
    return record && this.#of.blobsOf(record);
  }
}

function byShard(parcels: Iterable<ParcelId>): Map<string, ParcelId[]> {
  const shards = new Map<string, ParcelId[]>();
  for (const parcel of parcels) {
    const shard = parcel.slice(0, 2);
    const there = shards.get(shard);
    if (there === undefined) shards.set(shard, [parcel]);
    else there.push(parcel);
  }
  return shards;
}

interface Survey {
  /** Bytes of all files under `.blobs`. */
  bytes: number;
  /** Blobs of the index that have no file. */
  gone: number;
  /** Files that are not in the index. */
  strays: number;
}

/** Compares the names under `.blobs` with the index, shard by shard, both in order. */
async function survey({ folder, index }: Recovering): Promise<Survey> {
  const found: Survey = { bytes: 0, gone: 0, strays: 0 };
  for await (const { shard, ids } of folder.blobs.shards()) {
    let at = 0;
    const passStraysBefore = async (blob: string | undefined) => {
      for (let id = ids[at]; id !== undefined && (blob === undefined || id < blob); id = ids[++at]) {
        found.strays += 1;
        found.bytes += (await lstat(folder.blobs.pathOf(id))).size;
      }
    };
    for (const held of index.shard(shard)) {
      await passStraysBefore(held.blob);
      if (ids[at] === held.blob) {
        at += 1;
        found.bytes += held.bytes;
      } else found.gone += 1;
    }
    await passStraysBefore(undefined);
  }
  return found;
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isFile();
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}
