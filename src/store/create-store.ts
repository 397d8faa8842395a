/**
 * Create store: makes a store in an existing folder, once.
 *
 * Only where nothing says that there was one: a folder without its marker may be a disk that is not mounted, or a store
 * that lost its marker, and neither may get another. The marker is written last, and nothing is a store without it
 * (marker.ts).
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
  // Written last: until it is there, this is no store, and `createStore` may be tried again.
  await writeMarker(real, { cluster, host, store, epoch, boot, rescan: false });
  return store;
}

/** Looks for files, not for folders: a program that copied the disk may have left out empty folders. */
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
