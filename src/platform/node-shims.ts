/**
 * Shims: what the libraries take for granted and Node 20 lacks. Import this first, wherever libp2p is imported.
 *
 * `Promise.withResolvers` (libp2p 3 uses it everywhere) came with Node 22. May go on the day `engines` in package.json
 * says node >= 22, which is no sooner than Debian 13 and Raspberry Pi OS ship one (they ship 20.19).
 */
if (typeof Promise.withResolvers !== 'function') {
  Promise.withResolvers = function withResolvers<T>(): PromiseWithResolvers<T> {
    let resolve: PromiseWithResolvers<T>['resolve'] | undefined;
    let reject: PromiseWithResolvers<T>['reject'] | undefined;
    const promise = new Promise<T>((onResolve, onReject) => {
      resolve = onResolve;
      reject = onReject;
    });
    // The executor above has run by now: the standard says so.
    return { promise, resolve: resolve as typeof resolve & {}, reject: reject as typeof reject & {} };
  };
}

export {};
