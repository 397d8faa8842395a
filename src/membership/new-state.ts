/**
 * New state: a state folder that `init` or `join` is about to make a cluster's. One at a time: two that made keys there
 * at once would each believe in its own, and only one would be left. So the folder's lock is held meanwhile, as a
 * service holds it; the second is refused, and what the first has made stays.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ClusterError } from '../core/fault.js';
import { LOCK_NAME, takeLock } from '../platform/lock.js';
import { hasCluster } from './config-store.js';
import { FOLDER_MODE } from './identity.js';

/** @throws ClusterError ALREADY_IN_CLUSTER; StateLocked; what `work` throws */
export async function inNewState<T>(stateDir: string, work: () => Promise<T>): Promise<T> {
  mustHaveNoCluster(stateDir);
  await mkdir(stateDir, { recursive: true, mode: FOLDER_MODE });
  const lock = takeLock(join(stateDir, LOCK_NAME));
  try {
    // Another one may just have ended.
    mustHaveNoCluster(stateDir);
    return await work();
  } finally {
    lock.release();
  }
}

function mustHaveNoCluster(stateDir: string): void {
  if (!hasCluster(stateDir)) return;
  throw new ClusterError(
    'ALREADY_IN_CLUSTER',
    `${stateDir} belongs to a cluster already; nothing was changed. Take another --state for another cluster`,
    { blame: 'operator' },
  );
}
