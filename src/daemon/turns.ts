/**
 * Turns: work under one key runs one after the other, in order of arrival; work under different keys side by side.
 */
export class KeyedTurns<Key> {
  readonly #last = new Map<Key, Promise<unknown>>();

  /** Runs `work` when everything taken before under `key` has ended, well or badly. */
  async take<T>(key: Key, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    // Who came before reports its own failure; here only its end matters.
    const turn = before.then(work, work);
    this.#last.set(key, turn);
    try {
      return await turn;
    } finally {
      if (this.#last.get(key) === turn) this.#last.delete(key);
    }
  }
}
