/** Time limit: a signal that is aborted with another or when the time is up, and knows which it was. */

import { ClusterError } from '../core/fault.js';
import { abortWith } from '../platform/abort-with.js';
import { longTimer } from '../platform/long-timer.js';

export interface TimeLimit {
  readonly signal: AbortSignal;
  isUp(): boolean;
  [Symbol.dispose](): void;
}

/** Without `limitMs` there is no limit. */
export function timeLimit(outer: AbortSignal, limitMs: number | undefined): TimeLimit {
  const ended = new AbortController();
  const undo = abortWith(ended, [outer]);
  let isUp = false;
  const timeout =
    limitMs === undefined
      ? undefined
      : longTimer(limitMs, () => {
          isUp = true;
          ended.abort(new Error('the time is up'));
        });
  return {
    signal: ended.signal,
    isUp: () => isUp && !outer.aborted,
    [Symbol.dispose]: () => {
      timeout?.stop();
      undo();
    },
  };
}

/** @param how what to give for it. @throws ClusterError BAD_ARGUMENT */
export function limitsOnlyWaiting(
  { wait, timeout }: { readonly wait?: unknown; readonly timeout?: number | undefined },
  how = '--wait',
): void {
  if (timeout === undefined || wait) return;
  const text = `--timeout says how long to --wait: give ${how} too`;
  throw new ClusterError('BAD_ARGUMENT', text, { blame: 'operator' });
}
