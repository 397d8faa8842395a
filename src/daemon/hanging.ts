/** Hanging: how long a disk of this host may keep a caller waiting (platform/disk.ts), and what people are told. */
import { LOOK_EVERY_MS } from '../core/hanging.js';
import type { Disk, Patience } from '../platform/disk.js';

/**
 * How long the end of the service waits for a disk, in ms: well below the 90 s after which systemd and launchd kill it.
 */
const END_MS_MAX = 30_000;
export const END_PATIENCE: Patience = { callMs: END_MS_MAX, flushMs: END_MS_MAX };

/**
 * Has disks looked at until its timer is cleared. A late look means that this process stood still (it was stopped, or
 * the machine slept); and timers run before the process hears of what ended meanwhile.
 */
export function watchDisks(disks: () => Iterable<Disk>, look: () => void): NodeJS.Timeout {
  let dueMs = performance.now() + LOOK_EVERY_MS;
  return setInterval(() => {
    const nowMs = performance.now();
    const lateMs = Math.max(0, nowMs - dueMs);
    dueMs = nowMs + LOOK_EVERY_MS;
    for (const disk of new Set(disks())) disk.stoodStill(lateMs);
    look();
  }, LOOK_EVERY_MS);
}

/** For the text about a store or a source. */
export const HANGS = 'its disk does not answer. Look at its cable, its power and what the system says of it';
