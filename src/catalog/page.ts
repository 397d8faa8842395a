/**
 * Page: a list of parcel references: all that placement needs to know of a part of a snapshot.
 *
 * `[tag, [[id, key, bytes], …]]`. References stand in the order of their parcels' first paths. A page is cut by
 * content: it ends after a reference whose key says so (one in 64), so that a change makes one new page, and not a new
 * one of all that follow. The key decides and not the id, since the key stays when a parcel's content changes.
 */
import { encode } from 'cborg';
import { bytesOf, type Key, type ParcelId } from '../core/ids.js';
import type { ParcelRef } from '../core/parcel.js';
import { decodeFields, MalformedObject, readArray, readBack, readCount, readHex } from './malformed-object.js';

const TAG = 'scatterhoard/page/1';
export const PAGE_REFS_MAX = 128;
/** 128 references of at most 60 bytes (32 + 16 + 9 and their heads), and the tag. */
export const PAGE_BYTES_MAX = 8 * 1024;
/** One key in 64 ends its page. */
const PAGE_END_BELOW = 2 ** 32 / 64;

/** @throws Error that is a bug, when no host could read it */
export function encodePage(refs: readonly ParcelRef[]): Uint8Array {
  const page = encode([TAG, refs.map(({ id, key, bytes }) => [bytesOf(id), bytesOf(key), bytes])]);
  readBack(
    () => `page from parcel ${refs[0]?.id} on`,
    () => decodePage(page),
  );
  return page;
}

/** @throws MalformedObject */
export function decodePage(bytes: Uint8Array): readonly ParcelRef[] {
  const [refs] = decodeFields(bytes, { tag: TAG, bytesMax: PAGE_BYTES_MAX, fields: 1 });
  const seen = new Set<string>();
  return readArray(refs, 'references', { min: 1, max: PAGE_REFS_MAX }).map(ref => {
    const [idField, keyField, bytesField] = readArray(ref, 'reference', { min: 3, max: 3 });
    const id = readHex(idField, 'parcel id', 32) as ParcelId;
    if (seen.has(id)) throw new MalformedObject('references: one parcel twice');
    seen.add(id);
    return { id, key: readHex(keyField, 'key', 16) as Key, bytes: readCount(bytesField, 'bytes') };
  });
}

/** True when a page of `count` references ends after the one with this key. */
export function endsPage(key: Key, count: number): boolean {
  return count >= PAGE_REFS_MAX || Number.parseInt(key.slice(0, 8), 16) < PAGE_END_BELOW;
}
