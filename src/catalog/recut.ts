/**
 * Re-cut: what becomes of a snapshot of which a blob was lost before any holder had it.
 *
 * The origin keeps no second copy: a file that changed between scan and fetch is torn out of its snapshot. A new
 * snapshot of the same time replaces it. In the new one, which is partial, that entry is as in the snapshot before
 * (`stale`) or left out (`missed`). All other parcels and pages stay as they are; a holder keeps what it has of them.
 *
 * The record is not cut again: so an old version of 8 MiB or more may stand in a run until the next snapshot.
 * Driven by the daemon at the origin, with what `readSourceFile` called gone; the next head lists the result instead.
 */
import type { ParcelId, SourceId } from '../core/ids.js';
import type { ObjectReader, ObjectWriter } from '../core/objects.js';
import type { ParcelRef } from '../core/parcel.js';
import type { Signer } from '../core/signed.js';
import type { Entry } from './entry.js';
import { encodePage } from './page.js';
import { pathKey } from './path-order.js';
import { type FoundEntry, PathSearch } from './path-search.js';
import { readPage, readRecord, readSnapshot } from './read-object.js';
import { encodeRecord, parcelRefOf } from './record.js';
import { encodeSnapshot, type Snapshot, type SnapshotId, storableBytes } from './snapshot.js';

export interface TornEntry {
  readonly parcel: ParcelId;
  readonly path: Uint8Array;
}

export interface Recut {
  readonly snapshot: SnapshotId;
  /** How many entries are now as in the snapshot before, and how many are left out. */
  readonly stale: number;
  readonly missed: number;
}

/** @throws ObjectMissing, MalformedObject; the signal's reason */
export async function recut({
  snapshot,
  previous,
  torn,
  objects,
  signer,
  signal,
}: {
  readonly snapshot: SnapshotId;
  /** The snapshot before it, whose blobs holders have. Undefined if there is none: then all torn entries are missed. */
  readonly previous: SnapshotId | undefined;
  readonly torn: readonly TornEntry[];
  readonly objects: ObjectWriter;
  readonly signer: Signer;
  readonly signal?: AbortSignal;
}): Promise<Recut> {
  const before = await readSnapshot(objects, snapshot);
  const tornPaths = pathsByParcel(torn);
  const search = new PathSearch(
    objects,
    torn.map(({ path }) => Buffer.from(path)),
    { ...(signal && { signal }) },
  );
  const older = previous === undefined ? [] : await search.look(previous);
  const mending = new Mending(before.source, older, objects);
  const pages = [];
  for (const page of before.pages) {
    const refs = await readPage(objects, page);
    if (!refs.some(({ id }) => tornPaths.has(id))) {
      pages.push(page);
      continue;
    }
    const kept: ParcelRef[] = [];
    for (const ref of refs) {
      const paths = tornPaths.get(ref.id);
      const now = paths === undefined ? ref : await mending.parcel(ref, paths);
      if (now !== undefined) kept.push(now);
    }
    if (kept.length > 0) pages.push(await objects.put(encodePage(kept)));
  }
  const { stale, missed, files, bytes } = mending.change;
  const id = await objects.put(
    encodeSnapshot(
      {
        ...before,
        stale: before.stale + stale,
        missed: before.missed + missed,
        files: before.files + files,
        bytes: storableBytes(before.bytes + bytes),
        recutOf: snapshot,
        pages,
      },
      signer,
    ),
  );
  await objects.flush();
  return { snapshot: id, stale, missed };
}

interface KnownSnapshot {
  readonly id: SnapshotId;
  readonly snapshot: Snapshot;
}

/**
 * A snapshot as its scan made it, before anything was cut out of it: what that one lacks could not be read, and what
 * the given one lacks beside was gone, or another, before anybody had it.
 * @throws ObjectMissing, MalformedObject
 */
export async function beforeRecuts(objects: ObjectReader, recut: KnownSnapshot): Promise<KnownSnapshot> {
  let taken = recut;
  while (taken.snapshot.recutOf !== undefined) {
    const id = taken.snapshot.recutOf;
    taken = { id, snapshot: await readSnapshot(objects, id) };
  }
  return taken;
}

function pathsByParcel(torn: readonly TornEntry[]): ReadonlyMap<ParcelId, ReadonlySet<string>> {
  const byParcel = new Map<ParcelId, Set<string>>();
  for (const { parcel, path } of torn) {
    const paths = byParcel.get(parcel) ?? new Set();
    paths.add(pathKey(Buffer.from(path)));
    byParcel.set(parcel, paths);
  }
  return byParcel;
}

/** Makes parcels without the torn entries, and counts how that changes the snapshot. */
class Mending {
  /** How much more than the old snapshot the new one has; negative for less. */
  readonly change = { stale: 0, missed: 0, files: 0, bytes: 0 };
  readonly #source: SourceId;
  /** By path: what the snapshot before has there. */
  readonly #older: ReadonlyMap<string, Entry>;
  readonly #objects: ObjectWriter;

  constructor(source: SourceId, older: readonly FoundEntry[], objects: ObjectWriter) {
    this.#source = source;
    this.#older = new Map(older.map(({ entry }) => [pathKey(entry.path), entry]));
    this.#objects = objects;
  }

  /** `undefined` when no entry is left in the parcel. */
  async parcel(ref: ParcelRef, paths: ReadonlySet<string>): Promise<ParcelRef | undefined> {
    const entries: Entry[] = [];
    for (const entry of await readRecord(this.#objects, ref)) {
      const isTorn = entry.kind === 'file' && paths.has(pathKey(entry.path));
      const kept = isTorn ? this.#entry(entry) : entry;
      if (kept !== undefined) entries.push(kept);
    }
    if (entries.length === 0) return undefined;
    const record = encodeRecord({ source: this.#source, key: ref.key, entries });
    await this.#objects.put(record);
    return parcelRefOf(record);
  }

  /** The entry as in the snapshot before, or nothing. */
  #entry(entry: Entry): Entry | undefined {
    const { change } = this;
    const old = this.#older.get(pathKey(entry.path));
    // If the snapshot before has the same blob, that is just as lost.
    const isUsable = old !== undefined && old.kind === 'file' && old.blob !== entry.blob;
    if (!entry.stale) change[isUsable ? 'stale' : 'missed'] += 1;
    else if (!isUsable) {
      change.stale -= 1;
      change.missed += 1;
    }
    change.bytes += (isUsable ? old.size : 0) - entry.size;
    if (!isUsable) change.files -= 1;
    return isUsable ? { ...old, stale: true } : undefined;
  }
}
