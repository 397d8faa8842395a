/**
 * Long timer: a timer of any length, for times that people give.
 *
 * Node's `setTimeout` takes no more than 24.8 days, and fires after 1 ms where it is given more. May go on the day it does not.
 */

/** Of one of Node's timers. */
export const TIMER_MS_MAX = 2 ** 31 - 1;

export interface LongTimer {
  /** It will not fire any more. Doing it twice is harmless. */
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
