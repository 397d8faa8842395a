/**
 * Store log: how the machine, and the archive from which every log is served, come to have the log of a mounted store: all of it when
 * it is mounted, then what has come to it since, in order and each operation once. And how it is made shorter.
 *
 * Of a store that is not mounted any more nothing is told. Driven by own-stores.ts.
 */
import type { Logger } from 'pino';
import { type Checkpoint, checkpointMessage, type LogBase } from '../core/checkpoint.js';
import { ClusterError } from '../core/fault.js';
import {
  type LogOp,
  type LogPosition,
  type LogSegment,
  logAfter,
  logStart,
  positionMessage,
} from '../core/holdings-log.js';
import type { HostId, StoreId } from '../core/ids.js';
import type { Signer } from '../core/signed.js';
import type { IndexDatabase } from '../store/index-database.js';
import type { AppendVerdict } from '../store/log-archive.js';
import type { Store } from '../store/store.js';
import { Turns } from '../store/turns.js';
import type { Clock } from './clock.js';
import type { Unstamped } from './driver.js';

/** A checkpoint that could not be made is tried again after this, in ms: it takes room, and the log can do without. */
const CHECKPOINT_AGAIN_MS = 10 * 60_000;
/** Operations told to the machine, and signed, at once when a store is mounted. */
const OPS_AT_ONCE = 4_096;

export interface StoreLogOptions {
  readonly host: HostId;
  readonly signer: Signer;
  readonly index: Pick<IndexDatabase, 'logs'>;
  readonly clock: Clock;
  readonly tell: (input: Unstamped) => void;
  readonly log: Logger;
  /** The store, still. */
  readonly isMounted: () => boolean;
  readonly mountedStores: () => ReadonlySet<StoreId>;
  /** Of the store, its trash apart. */
  readonly usedBytes: () => Promise<number>;
}

/** A part of a store's log, as the machine is told of it. */
type LogPart = Extract<Unstamped, { readonly is: 'log' | 'checkpoint' }>;

const endOf = (part: LogPart): number => (part.is === 'log' ? part.segment.end.seq : part.piece.checkpoint.at.seq);

/** Verdicts of the archive on a part of a log of our own that leave it with that part. */
const IS_KEPT: Readonly<Record<AppendVerdict, boolean>> = {
  appended: true,
  known: true,
  collected: true,
  full: false,
  gap: false,
  'old-epoch': false,
  fork: false,
};

export class StoreLog {
  readonly #store: Store;
  readonly #options: StoreLogOptions;
  readonly #turns = new Turns<'log'>();
  /** Operations that the machine has been told of. */
  #toldSeq = 0;
  /** No checkpoint is begun before, by `clock.nowMs()`; while one is being made, Infinity. */
  #checkpointAfterMs = Number.NEGATIVE_INFINITY;

  constructor(store: Store, options: StoreLogOptions) {
    this.#store = store;
    this.#options = options;
  }

  /**
   * Tells the machine, as the input that `completion` makes, what the store's log has beyond what it was told. Told in the
   * turn in which it is read, for a segment that overtakes another leaves a gap that nobody can fill. Several commits may
   * share one segment; the machine takes each operation once.
   */
  tellOps(completion: (segment: LogSegment) => Unstamped): Promise<void> {
    return this.#turns.take('log', async () => {
      this.#mustBeMounted();
      const end = this.#store.position();
      const ops = await this.#store.ops(this.#toldSeq, end.seq - this.#toldSeq);
      const segment = this.#signed(end, ops);
      await this.#keep({ is: 'log', segment });
      // The machine may have heard meanwhile that it is gone. It hears of this with the whole log, when it is mounted again.
      this.#mustBeMounted();
      this.#options.tell(completion(segment));
      this.#toldSeq = end.seq;
      this.checkpointIfDue();
    });
  }

  /** Not waited for: it runs beside everything else. */
  checkpointIfDue(): void {
    const { clock, log, isMounted } = this.#options;
    const store = this.#store;
    if (!store.isCheckpointDue || clock.nowMs() < this.#checkpointAfterMs) return;
    this.#checkpointAfterMs = Number.POSITIVE_INFINITY;
    const make = async (): Promise<void> => {
      try {
        await this.#makeCheckpoint();
        this.#checkpointAfterMs = Number.NEGATIVE_INFINITY;
      } catch (error) {
        this.#checkpointAfterMs = clock.nowMs() + CHECKPOINT_AGAIN_MS;
        if (!isMounted()) return;
        log.warn(
          { code: 'CHECKPOINT_NOT_MADE', store: store.id, err: error },
          'the log of a store could not be made shorter; it goes on as it is, and that is tried again later',
        );
      }
    };
    void make();
  }

  async #makeCheckpoint(): Promise<void> {
    const { index, log } = this.#options;
    const store = this.#store;
    // What it will stand for cannot be read any more: the machine must have been told of each operation.
    await store.makeCheckpoint(async () => {
      const usedBytes = await this.#options.usedBytes();
      await this.tellOps(segment => ({ is: 'own-ops', segment, usedBytes }));
    });
    const { base } = store;
    if (base === undefined) return;
    await index.logs.takePiece({ checkpoint: this.#signedBase(base), first: 0, ops: [] });
    log.info(
      { code: 'CHECKPOINT_MADE', store: store.id, seq: base.at.seq, held: base.count },
      'the log of a store was made shorter',
    );
  }

  /** In its turn: an operation that comes meanwhile and is told of between two pieces would be told of twice, or never. */
  tellAll(): Promise<void> {
    return this.#turns.take('log', async () => {
      for await (const part of this.#whole()) {
        this.#mustBeMounted();
        this.#toldSeq = endOf(part);
        this.#options.tell(part);
        await this.#keep(part);
      }
    });
  }

  /** What is being told of it has ended. */
  toldEnds(): Promise<void> {
    return this.#turns.allDone();
  }

  #mustBeMounted(): void {
    if (!this.#options.isMounted()) throw gone(this.#store.id);
  }

  /** What a store's log stands on, and then its operations up to now: as the machine is told, in that order. */
  async *#whole(): AsyncGenerator<LogPart> {
    const store = this.#store;
    const { base } = store;
    const end = store.position();
    if (base !== undefined) {
      const checkpoint = this.#signedBase(base);
      let first = 0;
      for await (const ops of store.contents()) {
        yield { is: 'checkpoint', piece: { checkpoint, first, ops } };
        first += ops.length;
      }
      if (base.count === 0) yield { is: 'checkpoint', piece: { checkpoint, first, ops: [] } };
    }
    let position = base?.at ?? logStart(store.id, end.epoch);
    do {
      const ops = await store.ops(position.seq, Math.min(OPS_AT_ONCE, end.seq - position.seq));
      position = ops.reduce(logAfter, position);
      yield { is: 'log', segment: this.#signed(position, ops) };
    } while (position.seq < end.seq);
  }

  /** Into the archive, from which every log is served. */
  async #keep(part: LogPart): Promise<void> {
    const { host, index, log, mountedStores } = this.#options;
    const store = this.#store;
    let verdict = await this.#archived(part);
    if (IS_KEPT[verdict]) return;
    // The index was lost, or is from before a doubt that it did not hear of: others would read nothing of this log, or another one.
    log.warn(
      { code: 'OWN_LOG_NOT_KEPT', store: store.id, because: verdict },
      'the index has another log of a store; it is told anew',
    );
    await index.logs.drop(host, store.id);
    if (verdict === 'full') await index.logs.keepOnly(host, mountedStores());
    for await (const again of this.#whole()) verdict = await this.#archived(again);
    if (IS_KEPT[verdict]) return;
    log.error(
      { code: 'OWN_LOG_NOT_KEPT', store: store.id, because: verdict },
      'the index does not take the log of a store; others will not hear of its copies until it is mounted anew',
    );
  }

  #archived(part: LogPart): Promise<AppendVerdict> {
    const { logs } = this.#options.index;
    return part.is === 'log' ? logs.append(part.segment) : logs.takePiece(part.piece);
  }

  #signedBase(base: LogBase): Checkpoint {
    const { host, signer } = this.#options;
    return { host, ...base, signature: signer.sign(checkpointMessage(host, base)) };
  }

  #signed(end: LogPosition, ops: readonly LogOp[]): LogSegment {
    const { host, signer } = this.#options;
    return { host, end, ops, signature: signer.sign(positionMessage(host, end)) };
  }
}

export const gone = (id: StoreId): ClusterError =>
  new ClusterError('STORE_MISSING', `store ${id} is not mounted any more`, { blame: 'passing' });
