/**
 * Teardown: ends the parts of the service in the reverse of the order in which they began, whatever happens meanwhile.
 *
 * Node 20 has no AsyncDisposableStack; this is the part of it that is needed. Each failure is logged where it happens,
 * because the reason why the service ended may matter more.
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

  /** Runs every step, even after one has failed. Returns the failures. */
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
