/**
 * Came back: was that a *good* absence, one from which the host returned with its copies, so that a similar one need
 * not raise an alarm?
 *
 * An absence was good when every store that the host listed before is listed again and continues the log it had, as an
 * `add` in a log means that the files are there. A store may be mounted some time after the service has started, so a
 * missing one is waited for. Also, it must have been that host which was away: if no other host was there either, this
 * host may have been cut off, and then nothing was learned about anybody.
 *
 * Pure. Driven by away.ts, at each heartbeat of a returned host until there is an answer.
 */
import { compareEpochs, type LogPosition } from './holdings-log.js';

export interface ReturnView {
  /** The stores that it listed when it was last there; undefined when nothing is known from before. */
  readonly before: readonly LogPosition[] | undefined;
  /** The stores that it lists now. */
  readonly now: readonly LogPosition[];
  /** How much of the absence some other host was there. */
  readonly companyMs: number;
  /** How much of `companyMs` proves nothing: a host counts as live for a while after its last sign of life. */
  readonly doubtMs: number;
}

export type ReturnVerdict =
  | { readonly act: 'learn' }
  | { readonly act: 'wait'; readonly because: 'store-missing' }
  | { readonly act: 'forget'; readonly because: 'never-met' | 'alone' | 'log-replaced' | 'log-cut' };

export function decideReturn({ before, now, companyMs, doubtMs }: ReturnView): ReturnVerdict {
  if (before === undefined) return { act: 'forget', because: 'never-met' };
  if (companyMs <= doubtMs) return { act: 'forget', because: 'alone' };
  let missing = false;
  for (const { store, epoch, seq } of before) {
    const after = now.find(position => position.store === store);
    if (after === undefined) missing = true;
    else if (compareEpochs(after.epoch, epoch) !== 0) return { act: 'forget', because: 'log-replaced' };
    else if (after.seq < seq) return { act: 'forget', because: 'log-cut' };
  }
  return missing ? { act: 'wait', because: 'store-missing' } : { act: 'learn' };
}
