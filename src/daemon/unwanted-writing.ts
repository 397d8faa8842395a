/**
 * Unwanted writing: notes since when nobody wants a parcel, some at a time. When a source is let go, all of its parcels
 * are noted in one moment, a hundred thousand and more: each would take its own promises, and all of them the event
 * loop for seconds.
 *
 * What the disk refuses is tried again: an old note that outlives a restart would shorten the grace of a parcel that was
 * wanted again meanwhile. What is still to be noted when the machine fails is noted again later (unwanted-notes.ts).
 *
 * Driven by dropper.ts.
 */
import { setImmediate as breathe } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { ParcelId } from '../core/ids.js';
import type { UnwantedChange, UnwantedNotes } from '../store/unwanted-notes.js';

/** Notes written together: some 20 ms of the event loop. Fewer at a time would make the index database do more in all. */
export const NOTES_AT_ONCE = 8_192;

/** What was refused is tried again after this, in ms. */
const NOTE_AGAIN_MS = 60_000;

export class UnwantedWriting {
  readonly #notes: Pick<UnwantedNotes, 'change'>;
  readonly #log: Logger;
  readonly #againMs: number;
  /** What is to be written, the newest of each parcel. */
  #next = new Map<ParcelId, number | undefined>();
  readonly #refused = new Map<ParcelId, number | undefined>();
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor({
    notes,
    log,
    againMs = NOTE_AGAIN_MS,
  }: {
    readonly notes: Pick<UnwantedNotes, 'change'>;
    readonly log: Logger;
    /** Default: a minute. */
    readonly againMs?: number;
  }) {
    this.#notes = notes;
    this.#log = log;
    this.#againMs = againMs;
  }

  /** @param sinceRunMs undefined: it is wanted again, or gone */
  note(parcel: ParcelId, sinceRunMs: number | undefined): void {
    this.#refused.delete(parcel);
    this.#next.set(parcel, sinceRunMs);
    this.#running ??= this.#run();
  }

  /** Resolves when everything is written that was to be noted, but for what the disk refuses: that is not tried again. */
  async done(): Promise<void> {
    await this.#running;
    clearTimeout(this.#timer);
  }

  #again(): void {
    for (const [parcel, sinceRunMs] of [...this.#refused]) this.note(parcel, sinceRunMs);
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
          'the time since which nobody wants some parcels could not be recorded; this is tried again',
        );
        // A newer word counts.
        for (const { parcel, sinceRunMs } of some) if (!this.#next.has(parcel)) this.#refused.set(parcel, sinceRunMs);
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#again(), this.#againMs).unref();
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
