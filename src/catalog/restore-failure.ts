/**
 * Restore failure: does what went wrong concern one name, or the target as a whole?
 *
 * What one entry has is told of it, and the others go on. A target that cannot be written any more would fail each of them.
 */
import { ClusterError } from '../core/fault.js';

/** Failures of the target as a whole, not of one name: going on would fail again and again. */
const STOPPING: ReadonlySet<string> = new Set([
  'ENOSPC',
  'EDQUOT',
  'EROFS',
  'EIO',
  'EMFILE',
  'ENFILE',
  'ENODEV',
  'ESTALE',
]);

/** @throws ClusterError RESTORE_STOPPED when the target as a whole cannot be written any more, or what an abort gave */
export function throwIfStopping(error: unknown): void {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (error instanceof ClusterError || (error instanceof Error && error.name === 'AbortError')) throw error;
  if (!STOPPING.has(code)) return;
  const why = code === 'ENOSPC' || code === 'EDQUOT' ? 'there is no room left on the target' : messageOf(error);
  throw new ClusterError(
    'RESTORE_STOPPED',
    `the restore stopped: ${why}. What is written is whole and stays: see to the target and run the same command again, and it goes on from there.`,
    { blame: 'operator', cause: error },
  );
}

/** For a promise's `catch`. @throws as `throwIfStopping`, else the error itself */
export function rethrow(error: unknown): never {
  throwIfStopping(error);
  throw error;
}

/** Without the path that Node puts behind a system call's error: it is told already, and escaped. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return /^[A-Z0-9]+: [^,'"]*(?=, \w+ ['"]| failed on )/.exec(message)?.[0] ?? message;
}
