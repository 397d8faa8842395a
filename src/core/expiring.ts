/**
 * Expiring: removes unwanted copies from our stores. The decision is expiry.ts; this file keeps what the decision
 * needs: since when each parcel has been unwanted, in this host's own running time, over restarts too.
 *
 * Driven by the machine.
 */
import type { ClusterConfig } from './cluster-config.js';
import type { Effect, Input } from './effects.js';
import { decideExpiry, type ExpiryView, ExpiryWarrant } from './expiry.js';
import type { Heeding } from './heeding.js';
import type { HeldHere } from './held-here.js';
import type { ParcelId, SourceId, StoreId } from './ids.js';
import type { Marks } from './marks.js';
import { FLAG, type ParcelTable, type Row } from './parcel-table.js';
import { RowSet } from './row-set.js';
import type { StoreRests } from './store-rests.js';
import type { Wanted } from './wanted.js';

/** An unidentified parcel or a failed removal is tried again after this, in ms. */
const TRY_AGAIN_MS = 600_000;

/**
 * Parcels expired at once in a store. Of a source that is let go all are due at the same moment, and each takes some
 * 9 kB until it is gone: 100,000 of them, 0.9 GB. So many share the flushes well enough. Each store has its own, because
 * those of a disk that hangs end only when it answers; with all 64 stores of a host they come to 300 MB.
 */
export const EXPIRIES_PER_STORE_MAX = 512;

export interface ExpiringContext {
  readonly table: ParcelTable;
  readonly wanted: Wanted;
  readonly nowMs: () => number;
  /** This host's running time, summed over all its starts. */
  readonly runMs: () => number;
  readonly config: () => Pick<ClusterConfig, 'timing'>;
  readonly heeding: Pick<Heeding, 'heardSeq'>;
  readonly here: Pick<HeldHere, 'heldIn' | 'isOurs'>;
  /** An attempt to drop it, or a read for a grant, is under way. */
  readonly isBusy: (row: Row) => boolean;
  readonly rests: StoreRests;
  readonly emit: (effect: Effect) => void;
  readonly marks: Pick<Marks, 'lookLater' | 'mark'>;
}

export class Expiring {
  readonly #of: ExpiringContext;
  readonly #sinceRunMs = new Map<ParcelId, number>();
  /** Sources of rows that no page has described, read from their records. */
  readonly #sources = new Map<Row, SourceId>();
  readonly #identifying = new Set<Row>();
  /** The rows being expired, and the store of each. */
  readonly #expiring = new Map<Row, StoreId>();
  /** How many of these each store has; none is 0. */
  readonly #counts = new Map<StoreId, number>();
  /**
   * By store: rows that are due while `EXPIRIES_PER_STORE_MAX` of it are being expired, in no order. None is empty. In a
   * `Set` the first entry is found behind all that were deleted before it: emptying one of 300,000 takes 11 s.
   */
  readonly #queues = new Map<StoreId, RowSet>();
  /** Rows whose store refused: not to be tried before this, even if the store comes back at once. */
  readonly #restUntilMs = new Map<Row, number>();

  constructor(context: ExpiringContext) {
    this.#of = context;
  }

  isExpiring(row: Row): boolean {
    return this.#expiring.has(row);
  }

  /** Takes what was noted before this start. */
  recall({ parcels }: Extract<Input, { is: 'unwanted-before' }>): void {
    for (const { parcel, sinceRunMs } of parcels) this.#sinceRunMs.set(parcel, sinceRunMs);
  }

  consider(row: Row): void {
    for (const store of this.#queues.keys()) this.#leaveQueue(row, store);
    this.#decide(row);
    // The row may have come from a queue without taking the free place.
    if (!this.#expiring.has(row)) for (const store of this.#queues.keys()) this.#nextTurn(store);
  }

  #decide(row: Row): void {
    const { table, here, nowMs, runMs, emit, marks } = this.#of;
    if (table.has(row, FLAG.wanted)) {
      if (this.#sinceRunMs.size > 0) this.#forget(row);
      return;
    }
    // Held nowhere, or in a store that is not mounted (yet): the time keeps running, otherwise it would restart at each
    // start.
    const store = here.heldIn(row);
    if (store === undefined || this.#expiring.has(row)) return;
    const parcel = table.id(row);
    const view = this.#view(row, parcel);
    const verdict = decideExpiry(view);
    switch (verdict.act) {
      case 'wait':
        // In whole milliseconds: a fraction that is lost in the sum would bring the row up again at once, for ever.
        marks.lookLater(row, nowMs() + Math.ceil(verdict.untilRunMs - runMs()));
        return;
      case 'keep':
        marks.lookLater(row, nowMs() + TRY_AGAIN_MS);
        return;
      case 'identify':
        if (this.#identifying.has(row)) return;
        this.#identifying.add(row);
        emit({ do: 'identify', parcel });
        return;
      case 'expire': {
        const restUntilMs = Math.max(
          this.#restUntilMs.get(row) ?? Number.NEGATIVE_INFINITY,
          this.#of.rests.untilMs(store),
        );
        if (nowMs() < restUntilMs) {
          marks.lookLater(row, restUntilMs);
          return;
        }
        if (this.#count(store) >= EXPIRIES_PER_STORE_MAX) {
          const queue = this.#queues.get(store) ?? new RowSet();
          queue.add(row);
          this.#queues.set(store, queue);
          return;
        }
        const warrant = ExpiryWarrant.from(view, { parcel, store });
        if (warrant === undefined) return;
        this.#expiring.set(row, store);
        this.#counts.set(store, this.#count(store) + 1);
        emit({ do: 'expire', warrant });
      }
    }
  }

  /** The log of a store of ours no longer has the row. */
  left(row: Row): void {
    if (!this.#of.here.isOurs(row)) this.#forget(row);
  }

  #forget(row: Row): void {
    const parcel = this.#of.table.id(row);
    this.#sources.delete(row);
    if (this.#sinceRunMs.delete(parcel)) this.#of.emit({ do: 'note-unwanted', parcel, sinceRunMs: undefined });
  }

  #view(row: Row, parcel: ParcelId): ExpiryView {
    const { table, wanted, runMs, config, heeding, isBusy, emit } = this.#of;
    let unwantedSinceRunMs = this.#sinceRunMs.get(parcel);
    if (unwantedSinceRunMs === undefined) {
      unwantedSinceRunMs = runMs();
      this.#sinceRunMs.set(parcel, unwantedSinceRunMs);
      emit({ do: 'note-unwanted', parcel, sinceRunMs: unwantedSinceRunMs });
    }
    const source = wanted.sourceOf(row) ?? this.#sources.get(row);
    return {
      source,
      wanted: table.has(row, FLAG.wanted),
      headSeq: source === undefined ? 0 : (wanted.head(source)?.seq ?? 0),
      // This asks every log of every host, so it is computed only if the verdict depends on it.
      get heardSeq() {
        return source === undefined ? 0 : heeding.heardSeq(source);
      },
      runMs: runMs(),
      unwantedSinceRunMs,
      gcGraceMs: config().timing.gcGraceMs,
      busy: isBusy(row),
    };
  }

  identified(row: Row, source: SourceId | undefined): void {
    this.#identifying.delete(row);
    if (source === undefined) this.#of.marks.lookLater(row, this.#of.nowMs() + TRY_AGAIN_MS);
    else {
      this.#sources.set(row, source);
      this.consider(row);
    }
  }

  #count(store: StoreId): number {
    return this.#counts.get(store) ?? 0;
  }

  #leaveQueue(row: Row, store: StoreId): void {
    const queue = this.#queues.get(store);
    queue?.delete(row);
    if (queue?.size === 0) this.#queues.delete(store);
  }

  #nextTurn(store: StoreId): void {
    const queue = this.#count(store) < EXPIRIES_PER_STORE_MAX ? this.#queues.get(store) : undefined;
    const next = queue?.take();
    if (next === undefined) return;
    if (queue?.size === 0) this.#queues.delete(store);
    this.#of.marks.mark(next);
  }

  /** `expired` or `not-expired`. */
  ended(row: Row, done: boolean): void {
    const store = this.#expiring.get(row);
    this.#expiring.delete(row);
    if (store !== undefined) {
      const count = this.#count(store) - 1;
      if (count === 0) this.#counts.delete(store);
      else this.#counts.set(store, count);
      this.#nextTurn(store);
    }
    this.#restUntilMs.delete(row);
    if (done) {
      if (store !== undefined) this.#of.rests.forget(store);
      return;
    }
    if (store !== undefined) this.#of.rests.begin(store, this.#of.nowMs());
    const untilMs = this.#of.nowMs() + TRY_AGAIN_MS;
    this.#restUntilMs.set(row, untilMs);
    this.#of.marks.lookLater(row, untilMs);
  }
}
