/**
 * Store log: a store's holdings log as it lies on a simulated disk: the durable operations of one epoch, and the chain's
 * digest after each.
 *
 * Everybody who has read some of a log points into this one object, for it only grows. An image of a disk is another
 * object with the same beginning; what it says after that is another chain.
 */
import { assert } from '../src/core/fault.js';
import {
  type Epoch,
  type LogOp,
  type LogPosition,
  type LogSegment,
  logAfter,
  logStart,
} from '../src/core/holdings-log.js';
import type { HostId, StoreId } from '../src/core/ids.js';

/** Signatures are taken for granted here: who may say what is checked at the border, which is not simulated. */
const SIGNATURE = new Uint8Array(64);

export class StoreLog {
  readonly host: HostId;
  readonly store: StoreId;
  readonly epoch: Epoch;
  readonly #ops: LogOp[];
  /** Digest after operation n at index n. */
  readonly #digests: string[];

  private constructor({
    host,
    store,
    epoch,
    ops,
    digests,
  }: {
    readonly host: HostId;
    readonly store: StoreId;
    readonly epoch: Epoch;
    readonly ops: LogOp[];
    readonly digests: string[];
  }) {
    this.host = host;
    this.store = store;
    this.epoch = epoch;
    this.#ops = ops;
    this.#digests = digests;
  }

  static begin(host: HostId, store: StoreId, epoch: Epoch): StoreLog {
    return new StoreLog({ host, store, epoch, ops: [], digests: [logStart(store, epoch).digest] });
  }

  /** Another log with the first `seq` operations of this one. */
  fork(seq = this.seq): StoreLog {
    const { host, store, epoch } = this;
    return new StoreLog({ host, store, epoch, ops: this.#ops.slice(0, seq), digests: this.#digests.slice(0, seq + 1) });
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

  /** Operations `afterSeq` + 1 to `seq`, as they are told to machines and sent. */
  segment(afterSeq: number, seq = this.seq): LogSegment {
    return { host: this.host, end: this.positionAt(seq), ops: this.#ops.slice(afterSeq, seq), signature: SIGNATURE };
  }
}
