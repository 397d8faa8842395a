/**
 * Holdings: what each store holds, as far as its writer's log has reached this host.
 *
 * A log that does not extend ours counts for nothing until it is read again from its writer: on a gap or a digest that
 * does not fit we ask, and never guess. What we have is replaced only by a greater epoch, or by a later checkpoint of
 * the same epoch. A checkpoint comes in pieces, which are collected beside what is known and then swapped in, in one
 * step: what is in both never counts as gone. Signatures have been checked by the caller (the daemon, at its border).
 *
 * What another host can make this one remember is limited, because a host writes its own log and can put anything into
 * it. The limits are on stores, on parcels that no other host has named, and on sources. Beyond them nothing is
 * believed, which costs bytes at most.
 */
import { CHECKPOINT_OPS_MAX, type CheckpointPiece, CheckpointReading } from './checkpoint.js';
import { assert, unreachable } from './fault.js';
import { type LogOp, type LogPosition, type LogSegment, logAfterAll, logStart } from './holdings-log.js';
import type { HostId, ParcelId, SourceId, StoreId } from './ids.js';
import type { ParcelTable, Row, StoreSlot } from './parcel-table.js';
import { RowSet } from './row-set.js';
import type { Rules } from './rules.js';

export type Applied =
  /** The log was extended; these rows changed. */
  | { readonly outcome: 'extended'; readonly rows: readonly Row[] }
  /** We had all of it already. */
  | { readonly outcome: 'known' }
  /** A piece of a checkpoint; others are missing. */
  | { readonly outcome: 'collected' }
  /**
   * It begins after our end, or does not chain with it: ask its writer, from `fromSeq` on. `forged`: contents that do
   * not match their checkpoint, none of which was believed.
   */
  | { readonly outcome: 'ask'; readonly because: 'gap' | 'mismatch' | 'forged' }
  /** Older than what we have: from an epoch that was given up. */
  | { readonly outcome: 'stale' }
  /** The log of one store more than a host may have. */
  | { readonly outcome: 'too-many' };

export interface HoldingsLimits {
  /** Logs per host. */
  readonly logs: number;
  /** Parcels per host that its logs were the first to name. */
  readonly parcels: number;
  /** Sources per log whose heads it names. */
  readonly sources: number;
}

export const HOLDINGS_LIMITS: HoldingsLimits = {
  // As many stores as a policy may give a host, and a heartbeat may list.
  logs: 64,
  // As many as a checkpoint may have. They stay until this host restarts, at some 100 bytes each.
  parcels: CHECKPOINT_OPS_MAX,
  // 250 hosts with as many sources as they may have.
  sources: 65_536,
};

export interface HoldingsContext extends Pick<Rules, 'compareEpochs'> {
  /** This host. Its own logs have no limits: everything that is stored here must be known here. */
  readonly self: HostId;
  /** False for a store that its host no longer lists: its log makes room for another one. */
  readonly isListed: (host: HostId, store: StoreId) => boolean;
  /** The slot will belong to another store. */
  readonly onGivenUp: (slot: StoreSlot) => void;
  /** Set only in tests that show what the limits are for. Default: `HOLDINGS_LIMITS`. */
  readonly limits?: HoldingsLimits;
}

interface StoreLog {
  readonly host: HostId;
  position: LogPosition;
  /** For each source, the highest head that the store says it durably holds. */
  readonly heads: Map<SourceId, number>;
  collecting?: Collecting | undefined;
}

/** A checkpoint of which some pieces have arrived. */
interface Collecting {
  readonly reading: CheckpointReading;
  readonly rows: RowSet;
  readonly heads: Map<SourceId, number>;
}

const NO_SLOTS: readonly StoreSlot[] = [];

export class Holdings {
  readonly #table: ParcelTable;
  /** By host and store: each host's logs are its own, so that no host can take another's store id. */
  readonly #slots = new Map<HostId, Map<StoreId, StoreSlot>>();
  readonly #slotsOf = new Map<HostId, StoreSlot[]>();
  readonly #logs: StoreLog[] = [];
  /** Per host, the number of parcels that its logs were the first to name. */
  readonly #namedFirst = new Map<HostId, number>();
  readonly #of: HoldingsContext;
  readonly #limits: HoldingsLimits;
  readonly #compareEpochs: Rules['compareEpochs'];
  #logsBegun = 0;

  constructor(table: ParcelTable, context: HoldingsContext) {
    this.#table = table;
    this.#of = context;
    this.#limits = context.limits ?? HOLDINGS_LIMITS;
    this.#compareEpochs = context.compareEpochs;
  }

  /** The store's slot, or undefined when nothing was ever heard of it. */
  slotOf(host: HostId, store: StoreId): StoreSlot | undefined {
    return this.#slots.get(host)?.get(store);
  }

  /** The number of slots: they are numbered from 0. */
  get size(): number {
    return this.#logs.length;
  }

  /** Rises when a slot is given to another store, or to a first one. */
  get logsBegun(): number {
    return this.#logsBegun;
  }

  hostOf(slot: StoreSlot): HostId {
    return this.#log(slot).host;
  }

  position(slot: StoreSlot): LogPosition {
    return this.#log(slot).position;
  }

  /** How far we have read every log. The objects are live: they show later progress too. */
  positions(): IterableIterator<{ readonly host: HostId; readonly position: LogPosition }> {
    return this.#logs.values();
  }

  /** In order of their slots. */
  slotsOf(host: HostId): readonly StoreSlot[] {
    return this.#slotsOf.get(host) ?? NO_SLOTS;
  }

  /** The highest head of `source` that the store says it durably holds; 0 for none. */
  headSeq(slot: StoreSlot, source: SourceId): number {
    return this.#log(slot).heads.get(source) ?? 0;
  }

  /**
   * The highest head of `source`, up to `seqMax`, that any store of a believed host says it durably holds; 0 for none.
   */
  highestHead(source: SourceId, seqMax: number, isBelieved: (host: HostId) => boolean): number {
    let highest = 0;
    for (const { host, heads } of this.#logs) {
      const seq = heads.get(source) ?? 0;
      if (seq > highest && seq <= seqMax && isBelieved(host)) highest = seq;
    }
    return highest;
  }

  /** True when our copy of the log is not behind `position`. */
  hasReached(host: HostId, position: LogPosition): boolean {
    const ahead = this.#aheadOf(host, position);
    return ahead === undefined ? position.seq === 0 : ahead >= 0;
  }

  /** True when we have read the log further than `position`, or have a later epoch of it. */
  isPast(host: HostId, position: LogPosition): boolean {
    return (this.#aheadOf(host, position) ?? 0) > 0;
  }

  /**
   * Positive when our copy of the log goes further than `position`, negative when less far; undefined when there is
   * none.
   */
  #aheadOf(host: HostId, position: LogPosition): number | undefined {
    const slot = this.slotOf(host, position.store);
    if (slot === undefined) return undefined;
    const ours = this.#log(slot).position;
    return this.#compareEpochs(ours.epoch, position.epoch) || ours.seq - position.seq;
  }

  apply(segment: LogSegment): Applied {
    const { end, host, ops } = segment;
    const fromSeq = end.seq - ops.length;
    let slot = this.slotOf(host, end.store);
    const ours = slot === undefined ? undefined : this.#log(slot);

    const order = ours === undefined ? -1 : this.#compareEpochs(ours.position.epoch, end.epoch);
    if (order > 0) return { outcome: 'stale' };
    const start = order === 0 && ours !== undefined ? ours.position : logStart(end.store, end.epoch);
    if (end.seq < start.seq) return { outcome: 'known' };
    if (fromSeq > start.seq) return { outcome: 'ask', because: 'gap' };

    // Chain first, believe afterwards: a segment counts as a whole or not at all.
    const fresh = ops.slice(start.seq - fromSeq);
    const position = endOf(segment, start, fresh);
    if (position === undefined) return { outcome: 'ask', because: 'mismatch' };
    if (order === 0 && fresh.length === 0) return { outcome: 'known' };

    const rows = slot !== undefined && order < 0 ? this.#forget(slot) : [];
    slot ??= this.#addLog(host, position);
    if (slot === undefined) return { outcome: 'too-many' };
    const log = this.#log(slot);
    this.#reached(log, position);
    for (const op of fresh) {
      switch (op.op) {
        case 'add':
        case 'del':
        case 'corrupt': {
          const row = this.#rowOf(host, op.parcel);
          if (row === undefined) break;
          this.#table.setHeld(row, slot, op.op === 'add');
          rows.push(row);
          break;
        }
        case 'head':
          this.#noteHead(log.heads, op.source, Math.max(op.seq, log.heads.get(op.source) ?? 0));
          break;
        default:
          unreachable(op);
      }
    }
    return { outcome: 'extended', rows };
  }

  /** Takes a piece of a checkpoint. Nothing counts until the last piece has arrived; then everything does at once. */
  take(piece: CheckpointPiece): Applied {
    const { host, at } = piece.checkpoint;
    let slot = this.slotOf(host, at.store);
    if (slot !== undefined) {
      const ours = this.#log(slot).position;
      const order = this.#compareEpochs(ours.epoch, at.epoch);
      if (order > 0) return { outcome: 'stale' };
      if (order === 0 && ours.seq > at.seq) return { outcome: 'known' };
      if (order === 0 && ours.seq === at.seq)
        return ours.digest === at.digest ? { outcome: 'known' } : { outcome: 'ask', because: 'mismatch' };
    }
    slot ??= this.#addLog(host, logStart(at.store, at.epoch));
    if (slot === undefined) return { outcome: 'too-many' };
    return this.#collect(slot, piece);
  }

  #collect(slot: StoreSlot, piece: CheckpointPiece): Applied {
    const log = this.#log(slot);
    // Another checkpoint than the one begun: the host that sent the old one has stopped, or the writer has made a later
    // one.
    if (piece.first === 0 && log.collecting?.reading.isOf(piece.checkpoint) !== true) {
      const reading = new CheckpointReading(piece.checkpoint);
      log.collecting = { reading, rows: new RowSet(), heads: new Map() };
    }
    const { collecting } = log;
    if (collecting === undefined) return { outcome: 'ask', because: 'gap' };
    const taken = collecting.reading.take(piece);
    switch (taken.is) {
      case 'gap':
        return { outcome: 'ask', because: 'gap' };
      case 'forged':
        log.collecting = undefined;
        return { outcome: 'ask', because: 'forged' };
      case 'taken': {
        for (const op of taken.ops) {
          if (op.op === 'head') {
            this.#noteHead(collecting.heads, op.source, op.seq);
            continue;
          }
          const row = this.#rowOf(log.host, op.parcel);
          if (row !== undefined) collecting.rows.add(row);
        }
        return taken.whole ? this.#swap(slot, collecting) : { outcome: 'collected' };
      }
      default:
        return unreachable(taken);
    }
  }

  /** Swaps a whole checkpoint in. What is in both the old and the new contents stays held throughout. */
  #swap(slot: StoreSlot, { reading, rows, heads }: Collecting): Applied {
    const log = this.#log(slot);
    const changed = [...this.#table.heldBy(slot)].filter(row => !rows.has(row));
    for (const row of changed) this.#table.setHeld(row, slot, false);
    for (let place = 0; place < rows.size; place += 1) {
      const row = rows.at(place);
      if (this.#table.isHeldBy(row, slot)) continue;
      this.#table.setHeld(row, slot, true);
      changed.push(row);
    }
    log.heads.clear();
    for (const [source, seq] of heads) log.heads.set(source, seq);
    this.#reached(log, reading.checkpoint.at);
    return { outcome: 'extended', rows: changed };
  }

  /** Also stops collecting a checkpoint that the log has reached by other means. */
  #reached(log: StoreLog, position: LogPosition): void {
    log.position = position;
    const at = log.collecting?.reading.checkpoint.at;
    if (at === undefined) return;
    const order = this.#compareEpochs(position.epoch, at.epoch);
    if (order > 0 || (order === 0 && position.seq >= at.seq)) log.collecting = undefined;
  }

  /** @returns undefined when the host has as many logs as it may, and still lists all of them. */
  #addLog(host: HostId, position: LogPosition): StoreSlot | undefined {
    const slots = this.slotsOf(host);
    const isFull = host !== this.#of.self && slots.length >= this.#limits.logs;
    const slot = isFull ? this.#giveUpOne(slots) : this.#logs.length;
    if (slot === undefined) return undefined;
    const ofHost = this.#slots.get(host) ?? new Map<StoreId, StoreSlot>();
    this.#slots.set(host, ofHost.set(position.store, slot));
    if (!isFull) this.#slotsOf.set(host, [...slots, slot]);
    this.#logs[slot] = { host, position, heads: new Map() };
    this.#logsBegun += 1;
    return slot;
  }

  /**
   * Frees the slot of the store with the lowest epoch among those no longer listed. Its copies count for nothing from
   * then on.
   */
  #giveUpOne(slots: readonly StoreSlot[]): StoreSlot | undefined {
    const gone = slots.filter(slot => !this.#of.isListed(this.hostOf(slot), this.position(slot).store));
    const [first] = gone.sort((a, b) => this.#compareEpochs(this.position(a).epoch, this.position(b).epoch));
    if (first === undefined) return undefined;
    this.#forget(first);
    this.#slots.get(this.hostOf(first))?.delete(this.position(first).store);
    this.#of.onGivenUp(first);
    return first;
  }

  /** The row of a parcel that a log names; undefined when its host has named too many that no other host knows. */
  #rowOf(host: HostId, parcel: ParcelId): Row | undefined {
    const known = this.#table.find(parcel);
    if (known !== undefined) return known;
    const named = this.#namedFirst.get(host) ?? 0;
    if (host !== this.#of.self && named >= this.#limits.parcels) return undefined;
    this.#namedFirst.set(host, named + 1);
    return this.#table.rowOf(parcel);
  }

  #noteHead(heads: Map<SourceId, number>, source: SourceId, seq: number): void {
    if (heads.has(source) || heads.size < this.#limits.sources) heads.set(source, seq);
  }

  /** Discards what we have of a log, so that it is read again from its start. @returns the rows that it held. */
  restart(host: HostId, store: StoreId): readonly Row[] {
    const slot = this.slotOf(host, store);
    if (slot === undefined) return [];
    const log = this.#log(slot);
    log.position = logStart(store, log.position.epoch);
    log.collecting = undefined;
    return this.#forget(slot);
  }

  #forget(slot: StoreSlot): Row[] {
    const rows = [...this.#table.heldBy(slot)];
    for (const row of rows) this.#table.setHeld(row, slot, false);
    this.#log(slot).heads.clear();
    return rows;
  }

  #log(slot: StoreSlot): StoreLog {
    const log = this.#logs[slot];
    assert(log !== undefined, `no store ${slot}`);
    return log;
  }
}

/** Segments whose operations lead to their end → the digest that they began at. */
const CHAINED = new WeakMap<LogSegment, string>();

/**
 * Where `fresh`, the last operations of the segment, lead from `start`; undefined if that is not the segment's end. What
 * has been chained once is not chained again for the next host of a simulation: it gets the same object.
 */
function endOf(segment: LogSegment, start: LogPosition, fresh: readonly LogOp[]): LogPosition | undefined {
  const { end, ops } = segment;
  const isWhole = fresh.length === ops.length;
  if (isWhole && CHAINED.get(segment) === start.digest)
    return { store: start.store, epoch: start.epoch, seq: end.seq, digest: end.digest };
  const position = logAfterAll(start, fresh);
  if (position.digest !== end.digest) return undefined;
  if (isWhole) CHAINED.set(segment, start.digest);
  return position;
}
