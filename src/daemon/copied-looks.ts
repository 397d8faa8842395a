/**
 * Copied looks: while some snapshots of one source are not known to have been copied, looks now and then which have.
 */
import type { Logger } from 'pino';
import type { SourceId } from '../core/ids.js';

/** Time between two looks, in ms. A look ends at the first parcel that nobody has. */
const LOOK_EVERY_MS = 10 * 60_000;

export interface CopiedLooksOptions {
  readonly source: SourceId;
  /** @returns whether all snapshots are copied, or were */
  readonly look: () => Promise<boolean>;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export class CopiedLooks {
  readonly #options: CopiedLooksOptions;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: CopiedLooksOptions) {
    this.#options = options;
  }

  /** Looks after a while, and again until all are copied. */
  begin(): void {
    if (this.#isClosed || this.#options.signal.aborted) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#look();
    }, LOOK_EVERY_MS).unref();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const { source, look, log, signal } = this.#options;
    try {
      if (await look()) return;
    } catch (error) {
      if (signal.aborted) return;
      log.warn(
        { code: 'COPIED_NOT_NOTED', source, err: error },
        'which snapshots are copied could not be noted; it is tried again',
      );
    }
    this.begin();
  }
}
