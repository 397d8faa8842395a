/**
 * Long timer: a timer of any length, for times that people give.
 *
 * Node's `setTimeout` takes at most 24.8 days, and fires after 1 ms when given more. May go once it does not.
 */

/** The longest time for one of Node's timers. */
export const TIMER_MS_MAX = 2 ** 31 - 1;

export interface LongTimer {
  /** Stops the timer; it no longer fires. Doing it twice is harmless. */
  stop(): void;
}

export function longTimer(ms: number, onTime: () => void): LongTimer {
  let leftMs = ms;
  let timer: NodeJS.Timeout;
  const next = (): void => {
    const pieceMs = Math.min(TIMER_MS_MAX, leftMs);
    leftMs -= pieceMs;
    timer = setTimeout(leftMs > 0 ? next : onTime, pieceMs);
  };
  next();
  return { stop: () => clearTimeout(timer) };
}
