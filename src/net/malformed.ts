/**
 * Malformed: what a peer sent that nothing of ours can have made. The one error for it, whatever the decoder threw.
 */
import { ClusterError } from '../core/fault.js';

/** Says in `what` which message, and which field of it where that is known. The bytes themselves are not echoed: they may be 1 MiB. */
export function malformed(what: string, cause?: unknown): ClusterError {
  return new ClusterError('MALFORMED_MESSAGE', `a peer sent a malformed ${what}; nothing of it was used`, {
    blame: 'peer',
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Runs a decoder over a peer's bytes. @throws ClusterError MALFORMED_MESSAGE (peer) in place of whatever it throws. */
export function reading<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof ClusterError) throw cause;
    throw malformed(what, cause);
  }
}

/** Protobuf's u64 as JavaScript's number may have lost its last bits above 2^53: nothing we count goes there. */
export function countFrom(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a safe whole number: ${value}`);
  return value;
}
