/**
 * Store log: how the machine, and the archive from which every log is served, get the log of a mounted store: all of
 * it when the store is mounted, then what is added, in order and each operation once. And how the log is shortened.
 *
 * Nothing is reported of a store that is no longer mounted. Driven by own-stores.ts.
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

/**
 * A checkpoint that could not be made is tried again after this, in ms: it takes room, and the log can do without it.
 */
const CHECKPOINT_AGAIN_MS = 10 * 60_000;
/** How many operations the machine gets, signed, at once when a store is mounted. */
const OPS_AT_ONCE = 4_096;

export interface StoreLogOptions {
  readonly host: HostId;
  readonly signer: Signer;
  readonly index: Pick<IndexDatabase, 'logs'>;
  readonly clock: Clock;
  readonly tell: (input: Unstamped) => void;
  readonly log: Logger;
  /** True while the store is still mounted. */
  readonly isMounted: () => boolean;
  readonly mountedStores: () => ReadonlySet<StoreId>;
  /** Bytes used in the store, without its trash. */
  readonly usedBytes: () => Promise<number>;
}

/** A part of a store's log, as the machine gets it. */
type LogPart = Extract<Unstamped, { readonly is: 'log' | 'checkpoint' }>;

const endOf = (part: LogPart): number => (part.is === 'log' ? part.segment.end.seq : part.piece.checkpoint.at.seq);

/** Whether the archive keeps a part of this host's own log, by its verdict on it. */
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
  /** The last operation that the machine has been told of. */
  #toldSeq = 0;
  /** By `clock.nowMs()`: no checkpoint begins before this; Infinity while one is being made. */
  #checkpointAfterMs = Number.NEGATIVE_INFINITY;

  constructor(store: Store, options: StoreLogOptions) {
    this.#store = store;
    this.#options = options;
  }

  /**
   * Gives the machine, as the input that `completion` makes, the part of the store's log that it does not have yet.
   * That is done in the turn in which the log is read, because a segment that overtakes another leaves a gap that
   * nobody can fill. Several commits may share one segment; the machine takes each operation once.
   */
  tellOps(completion: (segment: LogSegment) => Unstamped): Promise<void> {
    return this.#turns.take('log', async () => {
      this.#mustBeMounted();
      const end = this.#store.position();
      const ops = await this.#store.ops(this.#toldSeq, end.seq - this.#toldSeq);
      const segment = this.#signed(end, ops);
      await this.#keep({ is: 'log', segment });
      // The machine may have heard meanwhile that the store is gone. It gets this with the whole log, when the store is
      // mounted again.
      this.#mustBeMounted();
      this.#options.tell(completion(segment));
      this.#toldSeq = end.seq;
      this.checkpointIfDue();
    });
  }

  /** Of what the store has entered by itself (corrupt-parcels.ts). */
  async tellRest(): Promise<void> {
    if (this.#store.position().seq > this.#toldSeq) await this.tellOps(segment => ({ is: 'log', segment }));
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
          'the log of a store could not be shortened; it goes on as it is, and this is tried again later',
        );
      }
    };
    void make();
  }

  async #makeCheckpoint(): Promise<void> {
    const { index, log } = this.#options;
    const store = this.#store;
    // The operations that the checkpoint replaces cannot be read afterwards: the machine must have heard of each.
    await store.makeCheckpoint(async () => {
      const usedBytes = await this.#options.usedBytes();
      await this.tellOps(segment => ({ is: 'own-ops', segment, usedBytes }));
    });
    const { base } = store;
    if (base === undefined) return;
    await index.logs.takePiece({ checkpoint: this.#signedBase(base), first: 0, ops: [] });
    log.info(
      { code: 'CHECKPOINT_MADE', store: store.id, seq: base.at.seq, held: base.count },
      'the log of a store was shortened',
    );
  }

  /** Takes a turn: otherwise an operation that is reported between two pieces would be reported twice, or never. */
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

  /** Resolves when nothing of the log is being reported any longer. */
  toldEnds(): Promise<void> {
    return this.#turns.allDone();
  }

  #mustBeMounted(): void {
    if (!this.#options.isMounted()) throw gone(this.#store.id);
  }

  /** What a store's log stands on, then its operations up to now: as the machine gets them, in that order. */
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

  /** Puts a part into the archive, from which every log is served. */
  async #keep(part: LogPart): Promise<void> {
    const { host, index, log, mountedStores } = this.#options;
    const store = this.#store;
    let verdict = await this.#archived(part);
    if (IS_KEPT[verdict]) return;
    // The index was lost, or is from before a doubt that it did not hear of: others would read nothing of this log, or
    // another one.
    log.warn(
      { code: 'OWN_LOG_NOT_KEPT', store: store.id, because: verdict },
      'the index has another log of a store; the log is put into it again',
    );
    await index.logs.drop(host, store.id);
    if (verdict === 'full') await index.logs.keepOnly(host, mountedStores());
    for await (const again of this.#whole()) verdict = await this.#archived(again);
    if (IS_KEPT[verdict]) return;
    log.error(
      { code: 'OWN_LOG_NOT_KEPT', store: store.id, because: verdict },
      'the index does not take the log of a store; others will not hear of its copies until it is mounted again',
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
  new ClusterError('STORE_MISSING', `store ${id} is no longer mounted`, { blame: 'passing' });
