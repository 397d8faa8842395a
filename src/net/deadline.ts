/**
 * Deadline: work with a signal that fires after a time, or with any of some signals, and leaves nothing behind.
 *
 * In place of `AbortSignal.any`, which on Node 20.20 keeps 2 kB for ever at each call that names a long-lived signal
 * (measured). May go when the oldest Node that we run on does not.
 */
export async function withDeadline<T>(
  ms: number,
  signals: readonly (AbortSignal | undefined)[],
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const undo: (() => void)[] = [];
  for (const signal of signals) {
    if (signal === undefined) continue;
    const onAbort = (): void => controller.abort(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    undo.push(() => signal.removeEventListener('abort', onAbort));
  }
  const timer = setTimeout(() => controller.abort(new Error(`not done within ${ms / 1000} s`)), ms);
  try {
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
    for (const remove of undo) remove();
  }
}
