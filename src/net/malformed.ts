/**
 * Malformed: the one error for bytes that a peer sent and no build of this program can have made, whatever the decoder
 * threw.
 */
import { ClusterError } from '../core/fault.js';

/** `what` says which message and, if known, which field. The bytes themselves are not echoed: they may be 1 MiB. */
export function malformed(what: string, cause?: unknown): ClusterError {
  return new ClusterError('MALFORMED_MESSAGE', `a peer sent a malformed ${what}; none of it was used`, {
    blame: 'peer',
    ...(cause === undefined ? {} : { cause }),
  });
}

/**
 * Runs a decoder over a peer's bytes.
 * @throws ClusterError MALFORMED_MESSAGE (peer) instead of whatever the decoder throws.
 */
export function reading<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof ClusterError) throw cause;
    throw malformed(what, cause);
  }
}

/** Protobuf's u64 may have lost its last bits above 2^53 as a JavaScript number: no count here gets that large. */
export function countFrom(value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a safe whole number: ${value}`);
  return value;
}
