/** Listeners: those that want to hear one kind of news. One that throws has a bug; the others still hear the news. */
import type { Logger } from 'pino';

export class Listeners<Args extends readonly unknown[]> {
  readonly #log: Logger;
  readonly #all = new Set<(...args: Args) => void>();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** @returns the function that ends listening. */
  add(listener: (...args: Args) => void): () => void {
    this.#all.add(listener);
    return () => this.#all.delete(listener);
  }

  tell(...args: Args): void {
    for (const listener of this.#all) {
      try {
        listener(...args);
      } catch (error) {
        this.#log.error({ err: error }, 'bug: a listener of the network threw');
      }
    }
  }
}
