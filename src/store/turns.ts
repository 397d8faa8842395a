/**
 * Turns: work on one thing at a time, in the order of asking; work on different things side by side.
 */
export class Turns<Key> {
  /** By key: the end of the work that was asked for last. */
  readonly #last = new Map<Key, Promise<void>>();

  /** Begins at once when no other work on the key is under way. */
  async take<T>(key: Key, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key);
    const mine = before === undefined ? work() : before.then(work);
    const end = mine.then(nothing, nothing); // a failure is reported to its own caller
    this.#last.set(key, end);
    try {
      return await mine;
    } finally {
      if (this.#last.get(key) === end) this.#last.delete(key);
    }
  }

  /** Whether work on the key is under way or waits. */
  busy(key: Key): boolean {
    return this.#last.has(key);
  }

  /** Whether no work is under way. */
  get isIdle(): boolean {
    return this.#last.size === 0;
  }

  /** Resolves when all work that was asked for so far is done. */
  async allDone(): Promise<void> {
    await Promise.all(this.#last.values());
  }
}

const nothing = (): void => {};
