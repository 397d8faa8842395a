/**
 * Name path: gives a failed system call the path that it was about.
 *
 * Node names the path of what could not be opened, renamed or removed, and not of an open file that could not be written
 * or flushed: on a full disk nothing then says which disk that is.
 */

/** Returns the error, which has a path now. */
export function namePath(error: unknown, path: string): unknown {
  if (error instanceof Error && 'code' in error && !('path' in error)) Object.assign(error, { path });
  return error;
}
