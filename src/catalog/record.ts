/**
 * Record: a parcel's list of entries. BLAKE3 of its bytes is the parcel's id.
 *
 * `[tag, origin, source, key, entries]` in canonical CBOR. It names the origin and the source, so that ids are
 * namespaced: equal files of two origins are two parcels. Entries are in path order (path-order.ts), each path once.
 */
import { encode } from 'cborg';
import { EMPTY_BLOB, hashHex } from '../core/hash.js';
import {
  bytesOf,
  type Key,
  type ParcelId,
  parseHostId,
  type SourceId,
  sourceIdOf,
  splitSourceId,
} from '../core/ids.js';
import type { BlobRef, ParcelRef } from '../core/parcel.js';
import { type Entry, encodeEntry, entryFrom } from './entry.js';
import { decodeFields, MalformedObject, readArray, readHex, readParsed, readText } from './malformed-object.js';
import { comparePaths } from './path-order.js';

export interface ParcelRecord {
  readonly source: SourceId;
  readonly key: Key;
  /** 1 to 512, in path order. */
  readonly entries: readonly Entry[];
}

const TAG = 'scatterhoard/record/1';
/** Keeps a record small enough to be read, checked and changed as one thing. */
export const RECORD_ENTRIES_MAX = 512;
/** Keeps a record small enough for every message that carries one. */
export const RECORD_BYTES_MAX = 256 * 1024;
/** More than the tag, the origin, the source, the key and all their heads take. */
export const RECORD_HEAD_BYTES_MAX = 160;

export function encodeRecord({ source, key, entries }: ParcelRecord): Uint8Array {
  return recordFromEntries({ source, key, count: entries.length, encoded: entries.map(encodeEntry) });
}

/** The record of entries that are already encoded (`encodeEntry`), in path order. */
export function recordFromEntries({
  source,
  key,
  count,
  encoded,
}: {
  readonly source: SourceId;
  readonly key: Key;
  readonly count: number;
  readonly encoded: readonly Uint8Array[];
}): Uint8Array {
  const { origin, source: name } = splitSourceId(source);
  return Buffer.concat([
    // An array of five, with the head of the array of entries: in CBOR an array is its head followed by its items.
    Uint8Array.of(0x85),
    encode(TAG),
    encode(bytesOf(origin)),
    encode(name),
    encode(bytesOf(key)),
    arrayHead(count),
    ...encoded,
  ]);
}

function arrayHead(count: number): Uint8Array {
  if (count < 24) return Uint8Array.of(0x80 | count);
  if (count < 256) return Uint8Array.of(0x98, count);
  return Uint8Array.of(0x99, count >> 8, count & 0xff);
}

/** @throws MalformedObject */
export function decodeRecord(bytes: Uint8Array): ParcelRecord {
  const [originField, nameField, keyField, entriesField] = decodeFields(bytes, {
    tag: TAG,
    bytesMax: RECORD_BYTES_MAX,
    fields: 4,
  });
  const origin = parseHostId(readHex(originField, 'origin', 16));
  const name = readText(nameField, 'source', { max: 63 });
  const source = readParsed('source', () => sourceIdOf(origin, name));
  const key = readHex(keyField, 'key', 16) as Key;
  const entries = readArray(entriesField, 'entries', { min: 1, max: RECORD_ENTRIES_MAX }).map(entryFrom);
  const sizes = new Map<string, number>();
  let last: Entry | undefined;
  for (const entry of entries) {
    if (last !== undefined && comparePaths(last.path, entry.path) >= 0)
      throw new MalformedObject('entries: not in path order');
    last = entry;
    if (entry.blob === undefined) continue;
    if ((sizes.get(entry.blob) ?? entry.size) !== entry.size)
      throw new MalformedObject('entries: one blob with two sizes');
    sizes.set(entry.blob, entry.size);
  }
  return { source, key, entries };
}

/** The blobs that a copy of these entries needs: non-empty ones, in the order of the entries, each once. */
export function blobsOf(entries: Iterable<Entry>): BlobRef[] {
  const blobs = new Map<string, number>();
  for (const { blob, size } of entries) {
    if (blob !== undefined && blob !== EMPTY_BLOB && !blobs.has(blob)) blobs.set(blob, size);
  }
  return Array.from(blobs, ([blob, bytes]) => ({ blob, bytes }));
}

/** What a holder of this record's parcel must hold. @throws MalformedObject */
export const recordBlobs = (record: Uint8Array): BlobRef[] => blobsOf(decodeRecord(record).entries);

/**
 * The only reference that a page may have for this record; bytes: the sum over `recordBlobs`. A page that says
 * something else about a record voids its head.
 * @throws MalformedObject
 */
export function parcelRefOf(record: Uint8Array): ParcelRef {
  const { key, entries } = decodeRecord(record);
  return { id: parcelIdOf(record), key, bytes: bytesOfParcel(entries) };
}

const parcelIdOf = (record: Uint8Array): ParcelId => hashHex(record) as ParcelId;

export const bytesOfParcel = (entries: Iterable<Entry>): number =>
  blobsOf(entries).reduce((sum, { bytes }) => sum + bytes, 0);
