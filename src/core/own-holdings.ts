/**
 * Own holdings: what follows when one of this host's stores comes, changes, hangs or goes, and when one has made
 * operations durable.
 *
 * A store keeps every head that is in force, so that its copies count (I1). It is asked once for each head, and again
 * the next time that heads are checked after a failure.
 *
 * Driven by the machine.
 */
import type { ClusterConfig } from './cluster-config.js';
import type { Dropping } from './dropping.js';
import type { Effect, Input } from './effects.js';
import type { Expiring } from './expiring.js';
import type { Fitting } from './fitting.js';
import type { Holdings } from './holdings.js';
import type { LogSegment } from './holdings-log.js';
import type { HostId, SourceId, StoreId } from './ids.js';
import type { LogReading } from './log-reading.js';
import type { Marks } from './marks.js';
import type { ParcelTable, Row } from './parcel-table.js';
import type { Pursuing } from './pursuing.js';
import type { Relocating } from './relocating.js';
import type { Room } from './room.js';
import type { TakingBack } from './taking-back.js';
import type { Voice } from './voice.js';
import type { Wanted } from './wanted.js';

export interface OwnHoldingsContext {
  readonly self: HostId;
  readonly table: ParcelTable;
  readonly holdings: Pick<Holdings, 'slotOf' | 'position' | 'headSeq'>;
  readonly room: Room;
  readonly wanted: Pick<Wanted, 'heads'>;
  readonly takingBack: Pick<TakingBack, 'storeGone'>;
  readonly voice: Pick<Voice, 'tell'>;
  readonly marks: Pick<Marks, 'heldBy' | 'short'>;
  readonly fitting: Pick<Fitting, 'roomIsFree'>;
  readonly logs: Pick<LogReading, 'apply'>;
  readonly expiring: Pick<Expiring, 'left'>;
  readonly pursuing: Pick<Pursuing, 'storeDrains' | 'storeGone' | 'storeHangs' | 'copiesChanged'>;
  readonly dropping: Pick<Dropping, 'storeGone' | 'entered'>;
  readonly relocating: Pick<Relocating, 'storeTakesNoMore' | 'holdingsChanged'>;
  readonly nowMs: () => number;
  readonly config: () => ClusterConfig;
  readonly emit: (effect: Effect) => void;
  /** Makes the next heartbeat due now. */
  readonly sayNow: () => void;
}

export class OwnHoldings {
  readonly #of: OwnHoldingsContext;
  /** Heads that our stores are about to add to their logs. */
  readonly #keepingHead = new Set<string>();
  #returnedAtMs: number | undefined;

  constructor(context: OwnHoldingsContext) {
    this.#of = context;
  }

  /** When a store of ours last came back from having been away; undefined if none has since the start. */
  get returnedAtMs(): number | undefined {
    return this.#returnedAtMs;
  }

  /** Heads are on their way into our stores. */
  get isKeepingHeads(): boolean {
    return this.#keepingHead.size > 0;
  }

  // -------------------------------------------------------------------------------------------------- what they made durable

  /**
   * Operations that one of our own stores has just made durable: they count from now on, and others must hear of them.
   * Commits that share a segment hand it in twice; each operation is taken once.
   */
  wrote(segment: LogSegment): void {
    const { self, table, holdings, voice, logs, expiring, nowMs, config } = this.#of;
    const { store, seq } = segment.end;
    const slot = holdings.slotOf(self, store);
    const knownSeq = slot === undefined ? 0 : holdings.position(slot).seq;
    logs.apply(segment);
    if (seq <= knownSeq) return;
    const ops = segment.ops.slice(Math.max(0, knownSeq - (seq - segment.ops.length)));
    for (const op of ops) if (op.op === 'del' || op.op === 'corrupt') expiring.left(table.rowOf(op.parcel));
    voice.tell(segment, ops, { nowMs: nowMs(), heartbeatMs: config().timing.heartbeatMs });
  }

  /** A copy of ours was removed by our own decision: its room is free, and others must hear of it. */
  removed(segment: LogSegment, usedBytes: number): void {
    this.#of.room.used(segment.end.store, usedBytes);
    this.wrote(segment);
    this.#of.fitting.roomIsFree();
  }

  /** A copy of our own has come or gone: whatever depends on the copies here must be decided again. */
  changed(row: Row): void {
    this.#of.relocating.holdingsChanged();
    this.#of.dropping.entered(row);
    this.#of.pursuing.copiesChanged(row);
  }

  // ---------------------------------------------------------------------------------------------- the state of the stores

  measured(measured: Extract<Input, { is: 'store' }>): void {
    const { self, room, marks, pursuing, relocating, nowMs, sayNow } = this.#of;
    const { isNew, isBack, isOther, isReadOtherwise, grew } = room.measured(measured);
    if (isBack) this.#returnedAtMs = nowMs();
    // Copies in a store to be emptied no longer count, or count again.
    if (isOther && measured.draining) {
      pursuing.storeDrains(measured.store);
      relocating.storeTakesNoMore(measured.store);
    }
    if (isNew || isOther) marks.heldBy(self);
    if (isNew || isOther || isReadOtherwise) sayNow();
    this.keepHeads();
    if (grew) marks.short();
  }

  /** A store has more room than before: parcels that are short may fit here, and other hosts plan with it. */
  moreRoom(): void {
    this.#of.marks.short();
    this.#of.sayNow();
  }

  hangs(store: StoreId, hangs: boolean): void {
    const { room, pursuing, nowMs, sayNow } = this.#of;
    if (!room.hangs(store, hangs ? nowMs() : Number.POSITIVE_INFINITY)) return;
    sayNow();
    if (hangs) pursuing.storeHangs(store);
    else this.moreRoom();
  }

  gone(store: StoreId): void {
    const { self, room, takingBack, marks, pursuing, dropping, relocating, sayNow } = this.#of;
    if (!room.remove(store)) return;
    pursuing.storeGone(store);
    dropping.storeGone(store);
    // Their outcome may never be reported.
    for (const id of this.#keepingHead) if (id.startsWith(keepId(store, ''))) this.#keepingHead.delete(id);
    relocating.storeTakesNoMore(store);
    takingBack.storeGone(store);
    marks.heldBy(self);
    sayNow();
  }

  // -------------------------------------------------------------------------------------------------- heads kept in stores

  /** Asks each store to keep each head that it neither has nor is about to have. */
  keepHeads(): void {
    const { self, holdings, room, wanted, emit } = this.#of;
    for (const { store } of room.stores()) {
      const slot = holdings.slotOf(self, store);
      for (const { source, seq } of wanted.heads()) {
        if (slot !== undefined && holdings.headSeq(slot, source) >= seq) continue;
        const id = keepId(store, source);
        if (this.#keepingHead.has(id)) continue;
        this.#keepingHead.add(id);
        emit({ do: 'keep-head', store, source, seq });
      }
    }
  }

  headKept({ store, source, segment }: Extract<Input, { is: 'head-kept' }>): void {
    this.#keepingHead.delete(keepId(store, source));
    this.wrote(segment);
    this.keepHeads();
  }

  headNotKept({ store, source }: Extract<Input, { is: 'head-not-kept' }>): void {
    this.#keepingHead.delete(keepId(store, source));
  }
}

const keepId = (store: StoreId, source: SourceId | ''): string => `${store} ${source}`;
