/** Abort of: a signal as a promise, for whoever waits for something that does not listen to signals. */

/** A promise that is never fulfilled, and rejected when the signal fires. */
export function abortOf(signal: AbortSignal): Disposable & { readonly promise: Promise<never> } {
  let onAbort = (): void => {};
  const promise = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  // Whoever races with it is told; if nobody does any more, nobody waits.
  promise.catch(() => {});
  return { promise, [Symbol.dispose]: () => signal.removeEventListener('abort', onAbort) };
}
