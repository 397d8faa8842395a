/**
 * Restore failure: does an error concern one name, or the target as a whole?
 *
 * An error of one entry is reported, and the others go on. A target that can no longer be written would fail each of
 * them.
 */
import { ClusterError, messageOf } from '../core/fault.js';

/** Errors of the target as a whole, not of one name: going on would fail again and again. */
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

/**
 * @throws ClusterError RESTORE_STOPPED when the target as a whole can no longer be written, or the reason of an abort
 */
export function throwIfStopping(error: unknown): void {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (error instanceof ClusterError || (error instanceof Error && error.name === 'AbortError')) throw error;
  if (!STOPPING.has(code)) return;
  const why = code === 'ENOSPC' || code === 'EDQUOT' ? 'there is no room left on the target' : pathlessMessageOf(error);
  throw new ClusterError(
    'RESTORE_STOPPED',
    `the restore stopped: ${why}. Files already written are complete and stay. Fix the problem with the target, then run the same command again: it continues from there.`,
    { blame: 'operator', cause: error },
  );
}

/** For a promise's `catch`. @throws as `throwIfStopping`; otherwise the error itself */
export function rethrow(error: unknown): never {
  throwIfStopping(error);
  throw error;
}

/** Without the path that Node puts behind a system call's error: the path is already reported, escaped. */
export function pathlessMessageOf(error: unknown): string {
  const message = messageOf(error);
  return /^[A-Z0-9]+: [^,'"]*(?=, \w+ ['"]| failed on )/.exec(message)?.[0] ?? message;
}
