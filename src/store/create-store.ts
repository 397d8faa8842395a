/**
 * Create store: makes a store in an existing folder, once.
 *
 * Only where nothing says that one was there: a folder without its marker may be a disk that is not mounted, or a store whose
 * marker was lost, and neither may get another. Nothing is a store until its marker is there, which comes last (marker.ts).
 */

import { ClusterError } from '../core/fault.js';
import { type ClusterId, type HostId, hexOf, parseStoreId, type StoreId } from '../core/ids.js';
import { counterAbove } from '../core/mounting.js';
import { readdir } from '../platform/disk-calls.js';
import { LogFile } from './log-file.js';
import { MARKER_NAME, readMarker, writeMarker } from './marker.js';
import { systemCode } from './own-folder.js';
import { newEpoch, resolveStorePath, StoreFolder } from './store-folder.js';

export interface StoreCreating {
  readonly cluster: ClusterId;
  readonly host: HostId;
  /** The service's present boot counter. */
  readonly boot: number;
  readonly nowMs: number;
  /** At least 8 random bytes a call. */
  readonly random: () => Uint8Array;
}

/** @throws ClusterError STORE_FOLDER_MISSING, STORE_EXISTS, STORE_HAS_REMAINS */
export async function createStore(
  path: string,
  { cluster, host, boot, nowMs, random }: StoreCreating,
): Promise<StoreId> {
  const real = await resolveStorePath(path);
  if (real === undefined) {
    throw refusal(
      'STORE_FOLDER_MISSING',
      `${path} is not a folder: make it (or mount its disk) first; no store was made`,
    );
  }
  if ((await readMarker(real)).kind !== 'absent') {
    throw refusal('STORE_EXISTS', `${path} has a ${MARKER_NAME} already: it is a store, and was left as it is`);
  }
  const folder = new StoreFolder(real);
  if (await hasBlobs(folder)) {
    throw refusal(
      'STORE_HAS_REMAINS',
      `${path} holds blobs but no ${MARKER_NAME}: put the marker back, or move .blobs away; nothing was touched`,
    );
  }
  await folder.make();
  const store = parseStoreId(hexOf(Buffer.concat([random(), random()]).subarray(0, 16)));
  const epoch = newEpoch(counterAbove([nowMs]), random);
  const log = await LogFile.create(folder.log, store, epoch);
  await log.close();
  // Last: until it is there, this is no store, and making one may be tried again.
  await writeMarker(real, { cluster, host, store, epoch, boot, rescan: false });
  return store;
}

/** Whatever is left of their folders: what copies a disk may leave out those that are empty. */
async function hasBlobs({ blobs }: StoreFolder): Promise<boolean> {
  for (const folder of blobs.folders()) {
    try {
      if ((await readdir(folder)).length > 0) return true;
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
    }
  }
  return false;
}

const refusal = (code: string, message: string) => new ClusterError(code, message, { blame: 'operator' });
