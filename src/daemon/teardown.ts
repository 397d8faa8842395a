/**
 * Teardown: what must be ended, in the reverse of the order in which it was begun, whatever happens meanwhile.
 *
 * Node 20 has no AsyncDisposableStack; this is the part of it that is needed. Each failure is logged where it happens, for
 * what made the service end may be the greater news.
 */
import type { Logger } from 'pino';

export class Teardown {
  readonly #steps: (() => unknown)[] = [];
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  defer(step: () => unknown): void {
    this.#steps.push(step);
  }

  /** Runs every step, also after one has failed. Gives the failures. */
  async run(): Promise<readonly unknown[]> {
    const failures: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        this.#log.error({ code: 'TEARDOWN_FAILED', err: error }, 'a part of the service did not end cleanly');
        failures.push(error);
      }
    }
    return failures;
  }
}
