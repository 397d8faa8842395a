/** Missing stores: which of the configured stores are not mounted, why, and the alarms about them. Driven by own-stores.ts. */
import type { Logger } from 'pino';
import type { Alarms } from './alarms.js';

export class MissingStores {
  readonly #because = new Map<string, string>();
  readonly #alarms: Alarms;
  readonly #log: Logger;

  constructor({ alarms, log }: { readonly alarms: Alarms; readonly log: Logger }) {
    this.#alarms = alarms;
    this.#log = log;
  }

  get isEmpty(): boolean {
    return this.#because.size === 0;
  }

  why(path: string): string | undefined {
    return this.#because.get(path);
  }

  isMissing(path: string, because: string, error?: unknown): void {
    if (this.#because.get(path) !== because)
      this.#log.error({ code: 'STORE_NOT_MOUNTED', path, because, err: error }, 'a store is not mounted');
    this.#because.set(path, because);
    this.#alarms.raise('STORE_MISSING', path, `store ${path} is not mounted: ${because}`);
    this.#alarms.clear('STORE_UNMEASURED', path);
  }

  /** The store is mounted and its log counts; only its free room is not known at present. */
  isUnmeasured(path: string, because: string): void {
    this.#alarms.raise('STORE_UNMEASURED', path, `store ${path} is mounted, but could not be measured: ${because}`);
  }

  /** The store is mounted and was measured, or is no longer configured. */
  found(path: string): void {
    this.#because.delete(path);
    for (const code of ['STORE_MISSING', 'STORE_UNMEASURED'] as const) this.#alarms.clear(code, path);
  }
}
