/** Source reading: what people are told when a source cannot be read. */
import type { SnapshotRefusal } from '../catalog/take-snapshot.js';
import { ClusterError } from '../core/fault.js';
import type { SourceSetting } from '../membership/policy.js';
import { DiskHangs } from '../platform/disk.js';
import { HANGS } from './hanging.js';

/** @throws ClusterError SOURCE_MISSING if the source's disk is given up, now or earlier */
export async function unlessHanging<T>({ name }: SourceSetting, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (cause) {
    if (!(cause instanceof DiskHangs)) throw cause;
    const text = `source ${name} could not be read: ${HANGS}; snapshots that it has are kept, and more are taken when it answers`;
    throw new ClusterError('SOURCE_MISSING', text, { blame: 'operator', cause });
  }
}

/** Texts for people, who know their folders better than their errno. */
export function refusalText(
  { because, detail }: { readonly because: SnapshotRefusal; readonly detail: string },
  path: string,
): string {
  switch (because) {
    case 'missing-source':
      return `${path} is missing (${detail})`;
    case 'unreadable-source':
      return `${path} cannot be read (${detail})`;
    case 'not-a-folder':
      return `${path} is not a folder`;
    case 'inside-store':
      return `${path} ${path === detail ? 'is' : `lies in ${detail}, which is`} a store or the state folder of this host; these are never backed up`;
    default:
      return `${path}: ${detail}`;
  }
}
