/**
 * Commit: the order in which a parcel whose blobs are all here becomes PRESENT.
 *
 *   counted   each blob is held, or has arrived and was hashed. It is pinned until the commit is over
 *   placed    the arrived blobs: bytes flushed → renamed into `.blobs` → names flushed; beside them, the record
 *   entered   `add` in the log, flushed → the index (held-parcels.ts)
 *   told      the caller
 *
 * So what is announced is durable, and what a crash interrupts was never announced. Concurrent commits share each of
 * these flushes. Driven by store.ts.
 */
import { ClusterError } from '../core/fault.js';
import { hashHex } from '../core/hash.js';
import type { LogPosition } from '../core/holdings-log.js';
import type { ParcelId } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import type { DiskSync } from './disk-sync.js';
import type { HeldBlobs } from './held-blobs.js';
import type { HeldParcels } from './held-parcels.js';
import type { Arrival, Incoming } from './incoming.js';
import type { ObjectFolder } from './object-folder.js';
import { storeFull } from './own-folder.js';
import type { Records } from './records.js';
import type { StoreFolder } from './store-folder.js';

export interface CommitParts {
  readonly parcels: HeldParcels;
  readonly blobs: HeldBlobs;
  readonly incoming: Incoming;
  readonly objects: ObjectFolder;
  readonly sync: DiskSync;
  readonly folder: StoreFolder;
  readonly records: Records;
  /** The store's path, as the operator wrote it. */
  readonly path: string;
}

/** As `Store.commit`. */
export function commit(parts: CommitParts, parcel: ParcelId, record: Uint8Array): Promise<LogPosition> {
  const { parcels } = parts;
  return parcels.take(parcel, async () => {
    if (parcels.isPresent(parcel)) return parcels.position;
    mustBe(parcel, record);
    return commitAbsent(parts, parcel, record);
  });
}

async function commitAbsent(parts: CommitParts, parcel: ParcelId, record: Uint8Array): Promise<LogPosition> {
  const { parcels, blobs, incoming, objects } = parts;
  const refs = parts.records.blobsOf(record);
  const pinned: string[] = [];
  let arrivals: readonly Arrival[] = [];
  let held = false;
  try {
    const counted = await blobs.pinAll(refs, pinned);
    if (counted.missing.length > 0) throw lacking(parcel, refs, counted.missing);
    ({ arrivals } = counted);
    await objects.putReadable(record);
    // Side by side, so that the record's two flushes are those of the blobs. When one fails, the other must not go on
    // after the commit is over: its blobs would move when nobody has them pinned, or the store is closed.
    const writes = [place(parts, arrivals), objects.flush()];
    await Promise.allSettled(writes);
    await Promise.all(writes);
    // Meanwhile a read may have found a blob wrong that this commit took for held.
    const lost = refs.filter(({ blob }) => blobs.isLost(blob));
    if (lost.length > 0) throw lacking(parcel, refs, lost);
    const position = await parcels.enter({ op: 'add', parcel }, refs);
    held = true;
    return position;
  } catch (error) {
    throw storeFull(error, parts.path);
  } finally {
    incoming.settle(arrivals, { held });
    await blobs.release(pinned);
  }
}

async function place({ blobs, incoming, sync, folder }: CommitParts, arrivals: readonly Arrival[]): Promise<void> {
  await sync.flush(arrivals.map(({ path }) => path));
  await incoming.place(arrivals);
  await sync.flush(new Set(arrivals.map(({ blob }) => folder.blobs.folderOf(blob))));
  for (const { blob } of arrivals) blobs.notLost(blob);
}

function mustBe(parcel: ParcelId, record: Uint8Array): void {
  if (hashHex(record) === parcel) return;
  throw new ClusterError(
    'RECORD_MISMATCH',
    `the record that came for parcel ${parcel} has another hash; nothing was kept`,
    { blame: 'peer' },
  );
}

function lacking(parcel: ParcelId, refs: readonly BlobRef[], missing: readonly BlobRef[]): ClusterError {
  const [first] = missing;
  return new ClusterError(
    'BLOBS_MISSING',
    `parcel ${parcel} lacks ${missing.length} of its ${refs.length} blobs here, the first ${first?.blob} (${first?.bytes} bytes)`,
    { blame: 'passing' },
  );
}
