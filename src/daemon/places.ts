/**
 * Places: lets only so many pieces of work run at once for each key. When all places of a key are taken, the next
 * caller waits for its turn, in the order of arrival.
 */
export class Places<Key> {
  readonly #most: number;
  readonly #taken = new Map<Key, number>();
  readonly #waiting = new Map<Key, Set<() => void>>();

  /** @param most places of each key */
  constructor(most: number) {
    this.#most = most;
  }

  /** @throws the signal's reason at once if it fires during the wait; `work` must watch the signal itself. */
  async take<T>(key: Key, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const taken = this.#taken.get(key) ?? 0;
    if (taken < this.#most) this.#taken.set(key, taken + 1);
    else await this.#turn(key, signal);
    try {
      return await work();
    } finally {
      this.#leave(key);
    }
  }

  #turn(key: Key, signal: AbortSignal | undefined): Promise<void> {
    const waiting = this.#waiting.get(key) ?? new Set();
    this.#waiting.set(key, waiting);
    return new Promise((resolve, reject) => {
      const go = (): void => {
        signal?.removeEventListener('abort', giveUp);
        resolve();
      };
      const giveUp = (): void => {
        waiting.delete(go);
        reject(signal?.reason);
      };
      waiting.add(go);
      signal?.addEventListener('abort', giveUp, { once: true });
    });
  }

  /** Gives the place to the caller that has waited longest; with nobody waiting, it is free. */
  #leave(key: Key): void {
    const waiting = this.#waiting.get(key);
    const [next] = waiting ?? [];
    if (next === undefined) {
      this.#waiting.delete(key);
      this.#taken.set(key, (this.#taken.get(key) ?? 1) - 1);
    } else {
      waiting?.delete(next);
      next();
    }
  }
}
