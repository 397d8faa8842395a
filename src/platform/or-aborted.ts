/**
 * Or aborted: a wait that ends when a signal fires, for whoever waits for something that does not listen to signals.
 *
 * Not by `Promise.race` with one promise of the signal's for many waits: that one would keep what each of them gave for as long
 * as it lives, for an answer of many parts all of its bytes.
 */

/** As `work`, which nobody waits for any more once the signal fires. @throws the signal's reason */
export function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    const settle = (done: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      done();
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    work.then(
      value => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    );
  });
}
