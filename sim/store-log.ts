/**
 * Store log: a store's holdings log on a simulated disk: the durable operations of one epoch, and the chain's digest
 * after each.
 *
 * All hosts that have read some of a log point into this one object, as it only grows. An image of a disk is another
 * object with the same beginning, and what it appends is another chain. So operations before a checkpoint stay here,
 * for hosts whose copies of the log have not reached it; but they are never sent to others (`telling`).
 */
import { type Checkpoint, type CheckpointPiece, ContentsChain, contentsOf, piecesOf } from '../src/core/checkpoint.js';
import { assert } from '../src/core/fault.js';
import {
  type Epoch,
  type LogOp,
  type LogPosition,
  type LogSegment,
  logAfter,
  logStart,
} from '../src/core/holdings-log.js';
import type { HostId, ParcelId, SourceId, StoreId } from '../src/core/ids.js';

/** Signatures are taken for granted: they are checked at the border, which is not simulated. */
const SIGNATURE = new Uint8Array(64);
/** So few that most checkpoints need several pieces. */
const PIECE_OPS = 8;

/** What a host that lacks a part of a log is sent, in this order. */
export interface LogTelling {
  /**
   * Pieces of the checkpoint that the log stands on; a single one without operations if the asker has read past it, and
   * may drop what came before.
   */
  readonly pieces: readonly CheckpointPiece[];
  readonly segment: LogSegment;
}

interface CheckpointWithContents {
  readonly checkpoint: Checkpoint;
  readonly contents: readonly LogOp[];
}

export class StoreLog {
  readonly host: HostId;
  readonly store: StoreId;
  readonly epoch: Epoch;
  readonly #ops: LogOp[];
  /** Digest after operation n at index n. */
  readonly #digests: string[];
  /** In the order in which they were made. */
  readonly #checkpoints: CheckpointWithContents[];

  private constructor({
    host,
    store,
    epoch,
    ops,
    digests,
    checkpoints,
  }: {
    readonly host: HostId;
    readonly store: StoreId;
    readonly epoch: Epoch;
    readonly ops: LogOp[];
    readonly digests: string[];
    readonly checkpoints: CheckpointWithContents[];
  }) {
    this.host = host;
    this.store = store;
    this.epoch = epoch;
    this.#ops = ops;
    this.#digests = digests;
    this.#checkpoints = checkpoints;
  }

  static begin(host: HostId, store: StoreId, epoch: Epoch): StoreLog {
    return new StoreLog({ host, store, epoch, ops: [], digests: [logStart(store, epoch).digest], checkpoints: [] });
  }

  /** Another log, with the first `seq` operations of this one. */
  fork(seq = this.seq): StoreLog {
    const { host, store, epoch } = this;
    return new StoreLog({
      host,
      store,
      epoch,
      ops: this.#ops.slice(0, seq),
      digests: this.#digests.slice(0, seq + 1),
      checkpoints: this.#checkpoints.filter(({ checkpoint }) => checkpoint.at.seq <= seq),
    });
  }

  get seq(): number {
    return this.#ops.length;
  }

  get ops(): readonly LogOp[] {
    return this.#ops;
  }

  positionAt(seq: number): LogPosition {
    return { store: this.store, epoch: this.epoch, seq, digest: this.digestAt(seq) };
  }

  digestAt(seq: number): string {
    const digest = this.#digests[seq];
    assert(digest !== undefined, `the log has no operation ${seq}`);
    return digest;
  }

  /** True when this log has what `other` has up to `seq`. */
  continues(other: StoreLog, seq: number): boolean {
    return seq <= this.seq && this.#digests[seq] === other.#digests[seq];
  }

  append(op: LogOp): void {
    this.#digests.push(logAfter(this.positionAt(this.seq), op).digest);
    this.#ops.push(op);
  }

  /** The newest checkpoint of a copy that has operations up to `seq`. */
  checkpointBefore(seq: number): Checkpoint | undefined {
    return this.#newestBefore(seq)?.checkpoint;
  }

  #newestBefore(seq: number): CheckpointWithContents | undefined {
    return this.#checkpoints.findLast(({ checkpoint }) => checkpoint.at.seq <= seq);
  }

  /** Makes a checkpoint: what is present now, and the heads, stand for all operations so far. */
  makeCheckpoint(present: Iterable<ParcelId>, heads: Iterable<readonly [SourceId, number]>): void {
    const contents = [...contentsOf(present, heads)];
    const chain = new ContentsChain(this.positionAt(this.seq));
    chain.take(contents);
    this.#checkpoints.push({ checkpoint: { host: this.host, ...chain.base, signature: SIGNATURE }, contents });
  }

  /** What a copy with operations up to `seq` sends to a host that has them up to `afterSeq`. */
  telling(afterSeq: number, seq = this.seq): LogTelling {
    const known = this.#newestBefore(seq);
    if (known === undefined) return { pieces: [], segment: this.segment(afterSeq, seq) };
    const { checkpoint, contents } = known;
    if (afterSeq >= checkpoint.at.seq)
      return { pieces: [{ checkpoint, first: 0, ops: [] }], segment: this.segment(afterSeq, seq) };
    return { pieces: [...piecesOf(checkpoint, contents, PIECE_OPS)], segment: this.segment(checkpoint.at.seq, seq) };
  }

  /** Operations `afterSeq` + 1 to `seq`, as machines are told them and as they are sent. */
  segment(afterSeq: number, seq = this.seq): LogSegment {
    return { host: this.host, end: this.positionAt(seq), ops: this.#ops.slice(afterSeq, seq), signature: SIGNATURE };
  }
}
