/**
 * Teardown: what must be ended, in the reverse of the order in which it was begun, whatever happens meanwhile.
 *
 * Node 20 has no AsyncDisposableStack; this is the part of it that is needed.
 */
export class Teardown {
  readonly #steps: (() => unknown)[] = [];

  defer(step: () => unknown): void {
    this.#steps.push(step);
  }

  /** Runs every step, also after one has failed. @throws AggregateError of all failures */
  async run(): Promise<void> {
    const failures: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw new AggregateError(failures, 'the service did not end cleanly');
  }
}
