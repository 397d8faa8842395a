/** Time limit: a signal that is aborted with another or when the time is up, and knows which it was. */
import { longTimer } from '../platform/long-timer.js';

export interface TimeLimit {
  readonly signal: AbortSignal;
  isUp(): boolean;
  [Symbol.dispose](): void;
}

/** Without `limitMs` there is no limit. */
export function timeLimit(outer: AbortSignal, limitMs: number | undefined): TimeLimit {
  const timer = new AbortController();
  const timeout =
    limitMs === undefined ? undefined : longTimer(limitMs, () => timer.abort(new Error('the time is up')));
  return {
    signal: AbortSignal.any([outer, timer.signal]),
    isUp: () => timer.signal.aborted && !outer.aborted,
    [Symbol.dispose]: () => timeout?.stop(),
  };
}
