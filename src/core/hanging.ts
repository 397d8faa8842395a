/**
 * Hanging: when does a disk keep whoever asks it waiting for too long, and how often is that looked at?
 *
 * Such a disk is asked last for objects that may lie elsewhere too, and gets nothing new: one that is merely busy answers sooner. A
 * slow stick may take longer to write down what it was given, and goes on for as long. Driven by the daemon's store-disks.ts and
 * by the simulator, which tell the machine (`store-hangs`).
 */
export const HANGING = {
  /** Of a read, or any other call, in ms. */
  callMs: 5_000,
  /** Of a flush, in ms. */
  flushMs: 30_000,
} as const;

/** Between two looks, in ms. */
export const LOOK_EVERY_MS = 2_000;
