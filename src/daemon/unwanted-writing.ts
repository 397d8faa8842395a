/**
 * Unwanted writing: notes since when nobody wants a parcel, some at a time. When a source is let go, all of its parcels
 * are noted in one moment, a hundred thousand and more: each would take its own promises, and all of them the event
 * loop for seconds.
 *
 * What is still to be noted when the machine fails is noted again later (unwanted-notes.ts). Driven by dropper.ts.
 */
import { setImmediate as breathe } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { ParcelId } from '../core/ids.js';
import type { UnwantedChange, UnwantedNotes } from '../store/unwanted-notes.js';

/** Notes written together: some 20 ms of the event loop. Fewer at a time would make the index database do more in all. */
export const NOTES_AT_ONCE = 8_192;

export class UnwantedWriting {
  readonly #notes: Pick<UnwantedNotes, 'change'>;
  readonly #log: Logger;
  /** What is to be written, the newest of each parcel. */
  #next = new Map<ParcelId, number | undefined>();
  #running: Promise<void> | undefined;

  constructor({ notes, log }: { readonly notes: Pick<UnwantedNotes, 'change'>; readonly log: Logger }) {
    this.#notes = notes;
    this.#log = log;
  }

  /** @param sinceRunMs undefined: it is wanted again, or gone */
  note(parcel: ParcelId, sinceRunMs: number | undefined): void {
    this.#next.set(parcel, sinceRunMs);
    this.#running ??= this.#run();
  }

  /** Resolves when everything is written that was to be noted. */
  async done(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    // What is said in the same turn goes along.
    await breathe();
    while (this.#next.size > 0) {
      const all = this.#next;
      this.#next = new Map();
      await this.#write(all);
    }
    this.#running = undefined;
  }

  async #write(all: ReadonlyMap<ParcelId, number | undefined>): Promise<void> {
    let some: UnwantedChange[] = [];
    const writeSome = async (): Promise<void> => {
      try {
        await this.#notes.change(some);
      } catch (error) {
        this.#log.error(
          { code: 'UNWANTED_NOT_NOTED', parcels: some.length, err: error },
          'the time since which nobody wants some parcels could not be recorded',
        );
      }
      some = [];
      await breathe();
    };
    for (const [parcel, sinceRunMs] of all) {
      some.push({ parcel, sinceRunMs });
      if (some.length === NOTES_AT_ONCE) await writeSome();
    }
    if (some.length > 0) await writeSome();
  }
}
