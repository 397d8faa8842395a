/**
 * Read object: a snapshot, a page or a record, checked against what refers to it.
 *
 * The bytes come from any `ObjectReader`, which vouches that they belong to their id.
 */
import { ClusterError } from '../core/fault.js';
import type { ObjectId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { ParcelRef } from '../core/parcel.js';
import type { Entry } from './entry.js';
import { MalformedObject } from './malformed-object.js';
import { decodePage } from './page.js';
import { bytesOfParcel, decodeRecord } from './record.js';
import { decodeSnapshot, type Snapshot, type SnapshotId } from './snapshot.js';

/** A needed object is not where it was looked for: fetch it from a peer, or read elsewhere. */
export class ObjectMissing extends ClusterError {
  readonly id: ObjectId;

  constructor(id: ObjectId, what: string) {
    super('OBJECT_MISSING', `the ${what} ${id} is not here; a holder of the snapshot or its origin has it`, {
      blame: 'passing',
    });
    this.id = id;
  }
}

/** @throws ObjectMissing, MalformedObject */
export async function readSnapshot(reader: ObjectReader, id: SnapshotId): Promise<Snapshot> {
  return decodeSnapshot(await need(reader, id, 'snapshot'));
}

/** @throws ObjectMissing, MalformedObject */
export async function readPage(reader: ObjectReader, id: ObjectId): Promise<readonly ParcelRef[]> {
  return decodePage(await need(reader, id, 'page'));
}

/** @throws ObjectMissing; MalformedObject also when the record is not what its page says. */
export async function readRecord(reader: ObjectReader, ref: ParcelRef): Promise<readonly Entry[]> {
  const { key, entries } = decodeRecord(await need(reader, ref.id, 'record'));
  if (key !== ref.key) throw new MalformedObject(`record ${ref.id}: its page gives it another key`);
  if (bytesOfParcel(entries) !== ref.bytes)
    throw new MalformedObject(`record ${ref.id}: its page gives it ${ref.bytes} bytes`);
  return entries;
}

async function need(reader: ObjectReader, id: ObjectId, what: string): Promise<Uint8Array> {
  const bytes = await reader.get(id);
  if (bytes === undefined) throw new ObjectMissing(id, what);
  return bytes;
}

/** `undefined` when an object is not here, or does not match what referred to it. */
export async function ifReadable<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof ObjectMissing || error instanceof MalformedObject) return undefined;
    throw error;
  }
}
