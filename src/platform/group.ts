/**
 * Group: callers that arrive while a round of slow work runs share the next round.
 *
 * One disk flush then serves everybody who waits for one. A call returns when a round that *began after it*, with its
 * items, is done; a round that fails does so for all callers in it.
 */
interface Round<Item> {
  readonly items: Item[];
  readonly done: Promise<void>;
  readonly end: (error?: unknown) => void;
}

export class Group<Item> {
  readonly #work: (items: readonly Item[]) => Promise<void>;
  #next: Round<Item> | undefined;
  #running = false;

  constructor(work: (items: readonly Item[]) => Promise<void>) {
    this.#work = work;
  }

  join(items: Iterable<Item>): Promise<void> {
    this.#next ??= newRound<Item>();
    const round = this.#next;
    for (const item of items) round.items.push(item);
    if (!this.#running) {
      this.#running = true;
      // One turn of the event loop later, so that all callers of this turn join.
      setImmediate(() => void this.#run());
    }
    return round.done;
  }

  async #run(): Promise<void> {
    while (this.#next !== undefined) {
      const round = this.#next;
      this.#next = undefined;
      try {
        await this.#work(round.items);
        round.end();
      } catch (error) {
        round.end(error ?? new Error('a round failed without a reason'));
      }
    }
    this.#running = false;
  }
}

function newRound<Item>(): Round<Item> {
  let end: Round<Item>['end'] = () => {};
  const done = new Promise<void>((resolve, reject) => {
    end = error => (error === undefined ? resolve() : reject(error));
  });
  return { items: [], done, end };
}
