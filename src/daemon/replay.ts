/**
 * Replay: reads an iterable to its end, even with no reader, and gives each reader all of it from the beginning. All
 * items are held until the replay is let go, so it is for iterables that are small as a whole.
 */
export class Replay<T> {
  readonly #items: T[] = [];
  readonly #ended: Promise<void>;
  #isOver = false;
  #waiting: (() => void)[] = [];

  constructor(source: AsyncIterable<T>) {
    this.#ended = this.#take(source);
    this.#ended.catch(() => {}); // thrown by each reader
  }

  /** What has come so far. */
  get items(): readonly T[] {
    return this.#items;
  }

  /** Fulfilled when the source has ended. @throws what it threw */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /** @throws what the source threw, after all that came before */
  async *read(): AsyncGenerator<T, void, undefined> {
    for (let at = 0; ; at += 1) {
      while (at >= this.#items.length) {
        if (this.#isOver) return await this.#ended;
        await new Promise<void>(resolve => this.#waiting.push(resolve));
      }
      yield this.#items[at] as T;
    }
  }

  async #take(source: AsyncIterable<T>): Promise<void> {
    try {
      for await (const item of source) {
        this.#items.push(item);
        this.#wake();
      }
    } finally {
      this.#isOver = true;
      this.#wake();
    }
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}
