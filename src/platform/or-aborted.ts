/**
 * Or aborted: a wait that ends when a signal fires, for work that does not listen to signals itself.
 *
 * Not by `Promise.race` with one promise of the signal that is shared by many waits: that promise would keep what each
 * of them returned for as long as it lives, which for an answer in many parts is all of its bytes.
 */

/** As `work`, but the wait ends once the signal fires. @throws the signal's reason */
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
