/**
 * Own objects: what a host that is not trusted may read of the catalog here: what belongs to its own sources, and
 * nothing of anybody else's. Without it a machine that has lost its state, or goes on in the place of another, could
 * never list its snapshots again.
 *
 * A snapshot and a record say whose they are. A page does not: it is given if all parcels in it are that host's, so its
 * head must be in force here. By the logs such a host knows the ids of others' parcels, and so of their records.
 */
import { MalformedObject } from '../catalog/malformed-object.js';
import { decodePage } from '../catalog/page.js';
import { decodeRecord } from '../catalog/record.js';
import { decodeSnapshot } from '../catalog/snapshot.js';
import { type HostId, splitSourceId } from '../core/ids.js';
import type { Known } from '../core/known.js';
import type { ObjectReader } from '../core/objects.js';

/** Whose a parcel is that the catalog has described. */
type Owners = Pick<Known, 'originOf'>;

/** @param all reads everything that is here */
export const objectsOf = (host: HostId, all: ObjectReader, owners: Owners): ObjectReader => ({
  get: async id => {
    const bytes = await all.get(id);
    return bytes !== undefined && isOf(host, bytes, owners) ? bytes : undefined;
  },
});

function isOf(host: HostId, bytes: Uint8Array, owners: Owners): boolean {
  const ofSource = ifWell(() => decodeSnapshot(bytes).source) ?? ifWell(() => decodeRecord(bytes).source);
  if (ofSource !== undefined) return splitSourceId(ofSource).origin === host;
  return ifWell(() => decodePage(bytes))?.every(({ id }) => owners.originOf(id) === host) ?? false;
}

/** Undefined when the bytes are an object of another kind. */
function ifWell<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (error instanceof MalformedObject) return undefined;
    throw error;
  }
}
