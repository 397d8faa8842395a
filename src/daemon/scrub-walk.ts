/**
 * Scrub walk: this host's own scrub of one mounted store. It reads every parcel of it once in each cycle (the policy's
 * `scrub`) and compares it with its hashes, whoever else holds it, and whether or not its origin is still there: other
 * hosts' audits reach only what they can compare.
 *
 * One parcel at a time, when scrub-pace.ts lets it and the disk is quiet: whatever people and other hosts wait for goes
 * first, unless it has gone on for so long that the cycle would not come to its end. The cursor is kept over a
 * restart, so no parcel is read twice in a cycle, and a parcel that comes behind the cursor, verified, has its turn in
 * the next one. What is wrong is found out, reported and fetched again as for an audit (dropper.ts).
 *
 * Driven by own-scrubs.ts.
 */
import type { Logger } from 'pino';
import { type Nonce, type ParcelId, parseParcelId } from '../core/ids.js';
import type { ScrubCycle, ScrubNotes } from '../store/scrub-notes.js';
import type { Store } from '../store/store.js';
import type { PossessionReader } from './auditor.js';
import type { Clock } from './clock.js';
import { bytesOfAll, parcelsAfter } from './parcels-in-order.js';
import { decideRest, placeOf } from './scrub-pace.js';

/** From the mount to the first read, in ms: a host that starts has more urgent work. */
const FIRST_MS = 60_000;
/** Longest time between two looks, in ms: the policy, the clock or the store may have changed. */
const LOOK_MS = 60_000;
/** For this long before a read, in ms, nobody may have called the disk. */
const QUIET_MS = 250;
/** A busy disk is looked at again after this, in ms. */
const BUSY_LOOK_MS = 5_000;
/** The shorter a cycle, the shorter all of these: no rest is longer than this part of it, a day of 30, … */
const DAYS = 30;
/** … and nobody who is busy without a break is given way to for longer. */
const WAITED_FOR_DAYS = 1;
/** Parcels that are looked for in one go, each time in all that the store holds. */
const PARCELS_AHEAD = 256;
/** How often what is held is summed up, in ms: a second of work for a million parcels. */
const SUM_EVERY_MS = 3_600_000;
/** How often the cursor is written down, in ms: a crash costs the reads since then. */
const NOTE_EVERY_MS = 10_000;

/** The cursor of a cycle that is through. */
const LAST_ID = parseParcelId('f'.repeat(64));

export interface ScrubWalkOptions {
  readonly store: Pick<Store, 'id' | 'present' | 'isPresent' | 'presentCount' | 'rescanDue'>;
  readonly reader: PossessionReader;
  /** Undefined for a parcel that no page has described. */
  readonly bytesOf: (parcel: ParcelId) => number | undefined;
  readonly nonce: () => Nonce;
  readonly notes: Pick<ScrubNotes, 'get' | 'note'>;
  readonly cycleMs: () => number;
  readonly isMounted: () => boolean;
  /** False while its disk hangs. */
  readonly answers: () => boolean;
  /** Calls to its disk: how many were begun so far, and whether one is under way. */
  readonly calls: () => { readonly begun: number; readonly isBusy: boolean };
  /** This host is fetching, or about to drop, copies. */
  readonly isMoving: () => boolean;
  /** A person wants nothing of the kind now. */
  readonly isPaused: () => boolean;
  readonly clock: Clock;
  /** Rejects with the signal's reason. */
  readonly pause: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly log: Logger;
}

/** How far a scrub is. */
export interface ScrubProgress {
  readonly beganMs: number;
  /** Of the present cycle, from 0 to 1. */
  readonly done: number;
  /** Parcels that the disk did not give in this cycle. */
  readonly unread: number;
  /** When a cycle in which every parcel was read came to its end; absent for never. */
  readonly endedMs?: number;
}

export class ScrubWalk {
  readonly #options: ScrubWalkOptions;
  #cycle: ScrubCycle;
  #notedMs = Number.NEGATIVE_INFINITY;
  #ahead: ParcelId[] = [];
  #heldBytes = 0;
  #summedMs = Number.NEGATIVE_INFINITY;
  #last: { readonly startMs: number; readonly bytes: number; readonly tookMs: number } | undefined;
  #busySinceMs: number | undefined;

  constructor(options: ScrubWalkOptions) {
    this.#options = options;
    const { store, notes, clock } = options;
    this.#cycle = notes.get(store.id) ?? begunAt(clock.wallMs(), undefined);
  }

  get progress(): ScrubProgress {
    const { beganMs, cursor, unread, endedMs } = this.#cycle;
    return { beganMs, done: doneOf(cursor), unread, ...(endedMs === undefined ? {} : { endedMs }) };
  }

  /** Goes on until the signal aborts or the store is no longer mounted. */
  async run(signal: AbortSignal): Promise<void> {
    const { isMounted } = this.#options;
    try {
      await this.#rest(FIRST_MS, signal);
      while (isMounted()) await this.#step(signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      await this.#note();
    }
  }

  async #step(signal: AbortSignal): Promise<void> {
    const { store, answers, isPaused, clock } = this.#options;
    // What a rescan has not read does not count yet.
    if (!answers() || store.rescanDue || isPaused()) return this.#rest(LOOK_MS, signal);
    this.#cycle = this.#cycleNow();
    // A cycle without a parcel would be over at once, and what comes then would wait for the next one.
    if (store.presentCount === 0) this.#cycle = begunAt(clock.wallMs(), this.#cycle.endedMs);
    if (store.presentCount === 0 || this.#cycle.cursor === LAST_ID) return this.#rest(LOOK_MS, signal);
    const parcel = await this.#next();
    if (parcel === undefined) return this.#end();
    const leftMs = await this.#leftMs(parcel);
    if (leftMs > QUIET_MS) return this.#rest(leftMs - QUIET_MS, signal);
    if (await this.#isItsTurn(signal)) return this.#read(parcel, signal);
    return this.#rest(BUSY_LOOK_MS, signal);
  }

  #rest(ms: number, signal: AbortSignal): Promise<void> {
    const { pause, cycleMs } = this.#options;
    return pause(Math.min(ms, LOOK_MS, cycleMs() / DAYS), signal);
  }

  /** The wall clock may have gone back: then the cycle is on time, and one that is through is begun anew. */
  #cycleNow(): ScrubCycle {
    const { clock, cycleMs } = this.#options;
    const { beganMs, cursor, endedMs } = this.#cycle;
    const nowMs = clock.wallMs();
    const isBack = nowMs < beganMs;
    if (cursor === LAST_ID) return isBack || nowMs >= beganMs + cycleMs() ? begunAt(nowMs, endedMs) : this.#cycle;
    return isBack ? { ...this.#cycle, beganMs: nowMs - doneOf(cursor) * cycleMs() } : this.#cycle;
  }

  /** Undefined when the cycle is through. */
  async #next(): Promise<ParcelId | undefined> {
    const { store } = this.#options;
    const { cursor } = this.#cycle;
    for (;;) {
      this.#ahead = this.#ahead.filter(parcel => (cursor === undefined || parcel > cursor) && store.isPresent(parcel));
      if (this.#ahead.length > 0) return this.#ahead[0];
      this.#ahead = await parcelsAfter(store.present(), cursor, PARCELS_AHEAD);
      if (this.#ahead.length === 0) return undefined;
    }
  }

  async #leftMs(next: ParcelId): Promise<number> {
    const { clock, cycleMs } = this.#options;
    if (this.#last === undefined) return 0;
    await this.#sumUp();
    const restMs = decideRest({
      cycleMs: cycleMs(),
      elapsedMs: clock.wallMs() - this.#cycle.beganMs,
      heldBytes: this.#heldBytes,
      next,
      last: this.#last,
    });
    return this.#last.startMs + restMs - clock.nowMs();
  }

  async #sumUp(): Promise<void> {
    const { store, bytesOf, clock } = this.#options;
    if (clock.nowMs() < this.#summedMs + SUM_EVERY_MS) return;
    this.#heldBytes = await bytesOfAll(store.present(), parcel => bytesOf(parcel) ?? 0);
    this.#summedMs = clock.nowMs();
  }

  async #isItsTurn(signal: AbortSignal): Promise<boolean> {
    const { calls, isMoving, clock, pause, cycleMs } = this.#options;
    const { begun } = calls();
    await pause(QUIET_MS, signal);
    const now = calls();
    if (now.begun === begun && !now.isBusy && !isMoving()) {
      this.#busySinceMs = undefined;
      return true;
    }
    this.#busySinceMs ??= clock.nowMs();
    return clock.nowMs() - this.#busySinceMs >= (cycleMs() / DAYS) * WAITED_FOR_DAYS;
  }

  async #read(parcel: ParcelId, signal: AbortSignal): Promise<void> {
    const { store, reader, bytesOf, nonce, isMounted, answers, clock } = this.#options;
    const startMs = clock.nowMs();
    const read = await reader.possess({ parcel, store: store.id, nonce: nonce(), holders: [] }, signal);
    signal.throwIfAborted();
    this.#last = { startMs, bytes: bytesOf(parcel) ?? 0, tookMs: clock.nowMs() - startMs };
    // Then nothing is known of this parcel, and it is read when the store is back.
    if (read === 'unreadable' && !(isMounted() && answers())) return;
    // One that is not here any longer was rightly dropped meanwhile.
    const isUnread = read === 'unreadable' && store.isPresent(parcel);
    this.#cycle = { ...this.#cycle, cursor: parcel, unread: this.#cycle.unread + (isUnread ? 1 : 0) };
    if (clock.nowMs() >= this.#notedMs + NOTE_EVERY_MS) await this.#note();
  }

  async #end(): Promise<void> {
    const { store, clock, log } = this.#options;
    const { unread } = this.#cycle;
    this.#cycle = { ...this.#cycle, cursor: LAST_ID, ...(unread === 0 ? { endedMs: clock.wallMs() } : {}) };
    if (unread === 0)
      log.info(
        { code: 'STORE_SCRUBBED', store: store.id },
        'a store has been read through: what was wrong counts no more',
      );
    else
      log.warn(
        { code: 'STORE_SCRUBBED_IN_PART', store: store.id, unread },
        'some copies in a store could not be read; they have their turn again in the next cycle',
      );
    await this.#note();
  }

  async #note(): Promise<void> {
    const { store, notes, clock, log } = this.#options;
    this.#notedMs = clock.nowMs();
    try {
      await notes.note(store.id, this.#cycle);
    } catch (error) {
      log.warn(
        { code: 'SCRUB_NOT_NOTED', store: store.id, err: error },
        'how far the scrub of a store is could not be recorded; after a restart some parcels are read again',
      );
    }
  }
}

const begunAt = (beganMs: number, endedMs: number | undefined): ScrubCycle => ({
  beganMs,
  cursor: undefined,
  unread: 0,
  endedMs,
});

const doneOf = (cursor: ParcelId | undefined): number =>
  cursor === undefined ? 0 : cursor === LAST_ID ? 1 : placeOf(cursor);
