/**
 * Hanging: when has a disk kept a caller waiting too long, and how often is that checked?
 *
 * A hanging disk is asked last for objects that other disks may have too, and gets nothing new: one that is merely busy
 * answers sooner. A slow stick may take longer to flush what it was given, and counts as hanging for that time. Driven
 * by the daemon's store-disks.ts and by the simulator, which tell the machine (`store-hangs`).
 */
export const HANGING = {
  /** Longest wait for a read, or any other call except a flush, in ms. */
  callMs: 5_000,
  /** Longest wait for a flush, in ms. */
  flushMs: 30_000,
} as const;

/** Time between two checks, in ms. */
export const LOOK_EVERY_MS = 2_000;
