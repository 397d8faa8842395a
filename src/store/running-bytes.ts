/** Running bytes: a moment of this host's running time, as the notes of the index database keep it. */

/** 285,000 years of running time. */
export const RUN_BYTES = 6;

/** Rounded up: a little too late is better than too early. */
export function packRun(runMs: number): Buffer {
  const bytes = Buffer.alloc(RUN_BYTES);
  bytes.writeUIntBE(Math.ceil(runMs), 0, RUN_BYTES);
  return bytes;
}

/**
 * A time later than `ranMs` was noted before the running time was lost. It counts from now on: too late is better than
 * too early.
 */
export const runFrom = (value: Uint8Array, ranMs: number): number =>
  Math.min(Buffer.from(value).readUIntBE(0, RUN_BYTES), ranMs);
