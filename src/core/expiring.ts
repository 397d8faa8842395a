/**
 * Expiring: what becomes of copies in our stores that nobody wants any more. The decision is expiry.ts; here is what it
 * must know and remember: since when nobody wants a parcel, in this host's own running time, over restarts too.
 *
 * Driven by the machine.
 */
import type { Effect, Input } from './effects.js';
import { decideExpiry, type ExpiryView, ExpiryWarrant } from './expiry.js';
import type { ParcelId, SourceId, StoreId } from './ids.js';
import { FLAG, type ParcelTable, type Row } from './parcel-table.js';
import type { StoreRests } from './store-rests.js';
import type { Wanted } from './wanted.js';

/** What could not be told or done is tried again after this, in ms. */
const TRY_AGAIN_MS = 600_000;

export interface ExpiringContext {
  readonly table: ParcelTable;
  readonly wanted: Wanted;
  readonly nowMs: () => number;
  /** How long this host has run in all its starts. */
  readonly runMs: () => number;
  readonly gcGraceMs: () => number;
  /** The highest head of the source that anybody, in gossip or in a log, spoke of. */
  readonly heardSeq: (source: SourceId) => number;
  /** The store of ours that holds the row. */
  readonly heldIn: (row: Row) => StoreId | undefined;
  /** A log of ours says that we hold the row, whether its store is mounted or not. */
  readonly isOurs: (row: Row) => boolean;
  /** An attempt to drop it, or a read for a grant, is under way. */
  readonly isBusy: (row: Row) => boolean;
  readonly rests: StoreRests;
  readonly emit: (effect: Effect) => void;
  /** Looks at the row again at `atMs`, once, however often it is asked for. */
  readonly lookLater: (row: Row, atMs: number) => void;
}

export class Expiring {
  readonly #of: ExpiringContext;
  readonly #sinceRunMs = new Map<ParcelId, number>();
  /** Of rows that no page has described: by their record. */
  readonly #sources = new Map<Row, SourceId>();
  readonly #identifying = new Set<Row>();
  /** And from which store. */
  readonly #expiring = new Map<Row, StoreId>();
  /** Rows whose store would not do it: not to be tried before, though the store comes back at once. */
  readonly #restUntilMs = new Map<Row, number>();

  constructor(context: ExpiringContext) {
    this.#of = context;
  }

  isExpiring(row: Row): boolean {
    return this.#expiring.has(row);
  }

  /** What was noted before this start. */
  recall({ parcels }: Extract<Input, { is: 'unwanted-before' }>): void {
    for (const { parcel, sinceRunMs } of parcels) this.#sinceRunMs.set(parcel, sinceRunMs);
  }

  consider(row: Row): void {
    const { table, heldIn, nowMs, runMs, emit, lookLater } = this.#of;
    if (table.has(row, FLAG.wanted)) {
      if (this.#sinceRunMs.size > 0) this.#forget(row);
      return;
    }
    // Held nowhere, or in a store that is not mounted (yet): its time goes on, else it would begin anew with each start.
    const store = heldIn(row);
    if (store === undefined || this.#expiring.has(row)) return;
    const parcel = table.id(row);
    const view = this.#view(row, parcel);
    const verdict = decideExpiry(view);
    switch (verdict.act) {
      case 'wait':
        // In whole milliseconds: a remainder that is lost in the sum would bring the row up again at once, for ever.
        lookLater(row, nowMs() + Math.ceil(verdict.untilRunMs - runMs()));
        return;
      case 'keep':
        lookLater(row, nowMs() + TRY_AGAIN_MS);
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
          lookLater(row, restUntilMs);
          return;
        }
        const warrant = ExpiryWarrant.from(view, { parcel, store });
        if (warrant === undefined) return;
        this.#expiring.set(row, store);
        emit({ do: 'expire', warrant });
      }
    }
  }

  /** By its log, a store of ours has it no longer. */
  left(row: Row): void {
    if (!this.#of.isOurs(row)) this.#forget(row);
  }

  #forget(row: Row): void {
    const parcel = this.#of.table.id(row);
    this.#sources.delete(row);
    if (this.#sinceRunMs.delete(parcel)) this.#of.emit({ do: 'note-unwanted', parcel, sinceRunMs: undefined });
  }

  #view(row: Row, parcel: ParcelId): ExpiryView {
    const { table, wanted, runMs, gcGraceMs, heardSeq, isBusy, emit } = this.#of;
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
      // Every log of every host is asked for it: only where the verdict hangs on it.
      get heardSeq() {
        return source === undefined ? 0 : heardSeq(source);
      },
      runMs: runMs(),
      unwantedSinceRunMs,
      gcGraceMs: gcGraceMs(),
      busy: isBusy(row),
    };
  }

  identified(row: Row, source: SourceId | undefined): void {
    this.#identifying.delete(row);
    if (source === undefined) this.#of.lookLater(row, this.#of.nowMs() + TRY_AGAIN_MS);
    else {
      this.#sources.set(row, source);
      this.consider(row);
    }
  }

  /** `expired` or `not-expired`. */
  ended(row: Row, done: boolean): void {
    const store = this.#expiring.get(row);
    this.#expiring.delete(row);
    this.#restUntilMs.delete(row);
    if (done) {
      if (store !== undefined) this.#of.rests.forget(store);
      return;
    }
    if (store !== undefined) this.#of.rests.begin(store, this.#of.nowMs());
    const untilMs = this.#of.nowMs() + TRY_AGAIN_MS;
    this.#restUntilMs.set(row, untilMs);
    this.#of.lookLater(row, untilMs);
  }
}
