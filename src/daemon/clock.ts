/**
 * Clock: the time that the machine gets. It starts at the wall clock's time when the service starts and runs steadily
 * from there, so that a jump of the wall clock (a time server, a person) ages nothing and brings nothing back. It
 * stands still while the computer sleeps, even where the system's own steady clock goes on, as on macOS (libuv reads
 * mach_continuous_time there).
 */
export interface Clock {
  /** Steady ms; at the start of the service the same as the wall clock. */
  nowMs(): number;
  /** Wall clock, ms since 1970: for what people read and what is signed. */
  wallMs(): number;
}

/**
 * The most time that passes between two looks at the clock, in ms. When more has passed, the computer slept, and
 * holds, `gcGrace` and others' silence must not run out because of that. Twice what running-time.ts allows, which
 * looks once a minute; a service that was held up for longer only waits longer.
 */
const UNWATCHED_MS_MAX = 120_000;

export function steadyClock({
  wallMs = Date.now,
  steadyMs = () => performance.now(),
}: {
  readonly wallMs?: () => number;
  readonly steadyMs?: () => number;
} = {}): Clock {
  let lastMs = steadyMs();
  let nowMs = wallMs();
  return {
    nowMs: () => {
      const atMs = steadyMs();
      nowMs += Math.min(atMs - lastMs, UNWATCHED_MS_MAX);
      lastMs = atMs;
      return nowMs;
    },
    wallMs,
  };
}
