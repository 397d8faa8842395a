/**
 * Log archive: the holdings logs of other hosts' stores, as far as their writers have told us.
 *
 * Kept so that a restart does not ask for everything again, and so that a host that has a writer's log can give it to
 * others while the writer is away. For that, signed ends are kept: a segment is only worth something with its writer's
 * signature over the position after its last operation.
 *
 * A log stands on its newest checkpoint: its contents, piece by piece, and only the operations after it. Who followed the
 * log derives them from what it has; who is behind collects them. New contents are written beside the ones in use, on the
 * other of two sides, and one transaction makes them those in use. What a crash leaves on the side that is not in use, and
 * operations from before the checkpoint, are given to nobody, and go with the next checkpoint.
 *
 * Checked here is that a segment extends the log or replaces it by a greater epoch, and that operations and contents make
 * the digests that were signed. That a signature is good and its signer a member is for the caller to check first.
 */

import { setImmediate } from 'node:timers/promises';
import { decode, encode } from 'cborg';
import type { Database, RootDatabase } from 'lmdb';
import {
  type Checkpoint,
  type CheckpointPiece,
  CheckpointReading,
  ContentsChain,
  ContentsChange,
  isSameBase,
  PIECE_OPS_MAX,
  piecesOf,
} from '../core/checkpoint.js';
import {
  compareEpochs,
  decodeOp,
  encodeOp,
  type LogOp,
  type LogPosition,
  type LogSegment,
  logAfter,
  logAfterAll,
  logStart,
} from '../core/holdings-log.js';
import { bytesOf, type HostId, hexOf, parseHostId, parseStoreId, type StoreId } from '../core/ids.js';
import { Turns } from './turns.js';

export type AppendVerdict =
  /** It was new, and is kept. */
  | 'appended'
  /** We have all of it. */
  | 'known'
  /** A piece of a checkpoint: it waits for the others. */
  | 'collected'
  /** It begins after what we have: ask the writer from our position on. */
  | 'gap'
  /** It belongs to an epoch that a greater one has replaced. */
  | 'old-epoch'
  /** The store is another host's. */
  | 'stranger'
  /** It does not continue what we have, or does not make its own digest. Counts for nothing until re-read from its writer. */
  | 'fork';

/**
 * Between two kept signatures there are at least so many operations, the last one apart: a writer that adds parcel by
 * parcel would else cost a signature each. A segment given out may be this much longer than asked for.
 */
export const SIGNED_EVERY_OPS = 512;
/** Removed in one transaction when operations are not needed any more, or read at once when a log is dropped. */
const DROP_ROWS = 65_536;

interface End {
  readonly digest: string;
  readonly signature: Uint8Array;
}

interface Head {
  readonly host: HostId;
  readonly position: LogPosition;
  /** The last kept signature before the one at `position`. */
  readonly signedBefore: number;
}

/** The contents of a checkpoint lie on one of two sides, and the next one's on the other. */
type Side = 0 | 1;

interface Standing {
  readonly checkpoint: Checkpoint;
  readonly side: Side;
}

/** A checkpoint of which some pieces have come. */
interface Collecting {
  readonly reading: CheckpointReading;
  readonly writing: ContentsWriting;
}

export class LogArchive {
  readonly #root: RootDatabase<Buffer, Uint8Array>;
  readonly #heads: Database<Buffer, Uint8Array>;
  readonly #ops: Database<Buffer, Uint8Array>;
  readonly #ends: Database<Buffer, Uint8Array>;
  readonly #checkpoints: Database<Buffer, Uint8Array>;
  /** Runs of PIECE_OPS_MAX, the last one shorter. */
  readonly #contents: Database<Buffer, Uint8Array>;
  readonly #collecting = new Map<StoreId, Collecting>();
  /** What changes one log goes one after the other: a checkpoint takes more than one transaction. */
  readonly #turns = new Turns<StoreId>();
  #closing = false;

  constructor(root: RootDatabase<Buffer, Uint8Array>) {
    const table = (name: string) =>
      root.openDB<Buffer, Uint8Array>({ name, keyEncoding: 'binary', encoding: 'binary' });
    this.#root = root;
    this.#heads = table('log-heads');
    this.#ops = table('log-ops');
    this.#ends = table('log-ends');
    this.#checkpoints = table('log-checkpoints');
    this.#contents = table('log-contents');
  }

  /** Waits for what is being written. A checkpoint that is half made is given up, and made when it is told of again. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#turns.allDone();
  }

  /** Kept on disk, not flushed: after a power cut the writer is asked again. */
  append(segment: LogSegment): Promise<AppendVerdict> {
    return this.#turns.take(segment.end.store, () => this.#root.transaction(() => this.#append(segment)));
  }

  #append(segment: LogSegment): AppendVerdict {
    const { end, host, ops, signature } = segment;
    const { store } = end;
    const old = this.#head(store);
    // A store is its first writer's; whatever epoch another host claims for it, it replaces nothing.
    if (old !== undefined && old.host !== host) return 'stranger';
    const order = old === undefined ? 1 : compareEpochs(end.epoch, old.position.epoch);
    if (order < 0) return 'old-epoch';
    const ours = old === undefined || order > 0 ? logStart(store, end.epoch) : old.position;
    const before = end.seq - ops.length;
    if (end.seq <= ours.seq && (end.seq > 0 || old !== undefined) && order === 0) {
      // Equal numbers with another digest: two logs under one epoch, a clone of a disk.
      return end.seq === ours.seq && end.digest !== ours.digest ? 'fork' : 'known';
    }
    if (before > ours.seq) return 'gap';
    if (before < 0) return 'fork';
    let position = ours;
    const fresh = ops.slice(ours.seq - before);
    for (const op of fresh) position = logAfter(position, op);
    if (position.digest !== end.digest) return 'fork';

    if (old !== undefined && order > 0) this.#remove(store);
    if (order > 0) this.#collecting.delete(store);
    for (const [n, op] of fresh.entries())
      void this.#ops.put(keyOf(store, ours.seq + n + 1), Buffer.from(encodeOp(op)));
    let signedBefore = order === 0 && old !== undefined ? old.signedBefore : 0;
    if (ours.seq - signedBefore >= SIGNED_EVERY_OPS) signedBefore = ours.seq;
    else if (ours.seq > 0) void this.#ends.remove(keyOf(store, ours.seq));
    void this.#ends.put(keyOf(store, end.seq), Buffer.from(encode([bytesOf(end.digest), signature])));
    this.#putHead({ host, position: end, signedBefore });
    return 'appended';
  }

  /**
   * Keeps a piece of a checkpoint, until all have come; then the log stands on it. Of a log that goes as far already, the
   * first piece is enough: the contents are derived, and what came before them is let go.
   */
  takePiece(piece: CheckpointPiece): Promise<AppendVerdict> {
    return this.#turns.take(piece.checkpoint.at.store, () => this.#takePiece(piece));
  }

  async #takePiece(piece: CheckpointPiece): Promise<AppendVerdict> {
    const { checkpoint } = piece;
    const { store, epoch, seq } = checkpoint.at;
    const old = this.#head(store);
    if (old !== undefined) {
      if (old.host !== checkpoint.host) return 'stranger';
      const order = compareEpochs(epoch, old.position.epoch);
      if (order < 0) return 'old-epoch';
      if (order === 0 && old.position.seq >= seq) return this.#compact(checkpoint);
    }
    return this.#collect(piece);
  }

  async #collect(piece: CheckpointPiece): Promise<AppendVerdict> {
    const { checkpoint } = piece;
    const { store } = checkpoint.at;
    if (piece.first === 0 && this.#collecting.get(store)?.reading.isOf(checkpoint) !== true) {
      const writing = await this.#beginContents(store);
      this.#collecting.set(store, { reading: new CheckpointReading(checkpoint), writing });
    }
    const collecting = this.#collecting.get(store);
    if (collecting === undefined) return 'gap';
    const taken = collecting.reading.take(piece);
    if (taken.is === 'gap') return 'gap';
    if (taken.is === 'forged') {
      this.#collecting.delete(store);
      return 'gap';
    }
    await collecting.writing.put(taken.ops);
    if (!taken.whole) return 'collected';
    this.#collecting.delete(store);
    await collecting.writing.end();
    await this.#root.transaction(() => {
      const old = this.#head(store);
      // Of another epoch nothing may be left behind whose numbers are those of this one.
      if (old !== undefined && compareEpochs(old.position.epoch, checkpoint.at.epoch) !== 0) this.#removeLog(store);
      this.#putHead({ host: checkpoint.host, position: checkpoint.at, signedBefore: checkpoint.at.seq });
      this.#putStanding({ checkpoint, side: collecting.writing.side });
    });
    await this.#letGoBefore(checkpoint.at);
    return 'appended';
  }

  /** Makes a log that has gone past a checkpoint stand on it. */
  async #compact(checkpoint: Checkpoint): Promise<AppendVerdict> {
    const { store, seq, epoch } = checkpoint.at;
    const standing = this.#standing(store);
    const start = standing?.checkpoint.at ?? logStart(store, epoch);
    if (seq < start.seq || (standing !== undefined && isSameBase(standing.checkpoint, checkpoint))) return 'known';
    const change = new ContentsChange();
    let position = start;
    while (position.seq < seq) {
      const ops = this.ops(store, position.seq, Math.min(PIECE_OPS_MAX, seq - position.seq));
      if (this.#closing) return 'gap';
      if (ops.length === 0) return 'fork';
      change.take(ops);
      position = logAfterAll(position, ops);
      // Others have a turn: a log that was never let go of can have millions.
      await setImmediate();
    }
    if (position.digest !== checkpoint.at.digest) return 'fork';
    const chain = new ContentsChain(checkpoint.at);
    const writing = await this.#beginContents(store);
    const derived = change.appliedTo(standing === undefined ? [] : this.#contentsOf(store, standing.side));
    for (const { ops: some } of piecesOf(checkpoint, derived)) {
      if (this.#closing) return 'gap';
      chain.take(some);
      await writing.put(some);
    }
    if (!isSameBase(chain.base, checkpoint)) return 'fork';
    await writing.end();
    await this.#root.transaction(() => this.#putStanding({ checkpoint, side: writing.side }));
    await this.#letGoBefore(checkpoint.at);
    return 'appended';
  }

  async #beginContents(store: StoreId): Promise<ContentsWriting> {
    const side: Side = this.#standing(store)?.side === 0 ? 1 : 0;
    this.#collecting.delete(store);
    await this.#removeRows(this.#contents, contentsRange(store, side));
    return new ContentsWriting(store, side, (key, value) => this.#contents.put(key, value));
  }

  async #letGoBefore({ store, seq }: LogPosition): Promise<void> {
    const range = { start: keyOf(store, 0), end: keyOf(store, seq + 1) };
    await this.#removeRows(this.#ops, range);
    await this.#removeRows(this.#ends, { start: range.start, end: keyOf(store, seq) });
    const standing = this.#standing(store);
    if (standing !== undefined)
      await this.#removeRows(this.#contents, contentsRange(store, standing.side === 0 ? 1 : 0));
  }

  async #removeRows(table: Database<Buffer, Uint8Array>, range: KeyRange): Promise<void> {
    for (;;) {
      const keys = [...table.getKeys({ ...range, limit: DROP_ROWS })];
      if (keys.length === 0 || this.#closing) return;
      await this.#root.transaction(() => {
        for (const key of keys) void table.remove(key);
      });
    }
  }

  /** What a store's log stands on; `undefined` while it has all operations. */
  checkpoint(store: StoreId): Checkpoint | undefined {
    return this.#standing(store)?.checkpoint;
  }

  /** The contents of what the log stands on, in pieces. Ends early when that changes meanwhile, or its rows are not there. */
  *pieces(store: StoreId): Generator<CheckpointPiece> {
    const standing = this.#standing(store);
    if (standing === undefined) return;
    const { checkpoint, side } = standing;
    let first = 0;
    do {
      const now = this.#standing(store);
      if (now === undefined || !isSameBase(now.checkpoint, checkpoint)) return;
      const ops = this.#run(store, side, first / PIECE_OPS_MAX);
      if (ops.length === 0 && checkpoint.count > 0) return;
      yield { checkpoint, first, ops };
      first += PIECE_OPS_MAX;
    } while (first < checkpoint.count);
  }

  *#contentsOf(store: StoreId, side: Side): Generator<LogOp> {
    for (let run = 0; ; run += 1) {
      const ops = this.#run(store, side, run);
      if (ops.length === 0) return;
      yield* ops;
    }
  }

  #run(store: StoreId, side: Side, run: number): LogOp[] {
    const value = this.#contents.get(contentsKey(store, side, run));
    return value === undefined ? [] : (decode(value) as Uint8Array[]).map(decodeOp);
  }

  /** The last signed position that we have of a store's log. */
  position(store: StoreId): LogPosition | undefined {
    return this.#head(store)?.position;
  }

  /** Every store of which we have a log, with its writer and position. */
  *stores(): Generator<{ readonly host: HostId; readonly position: LogPosition }> {
    for (const { key, value } of [...this.#heads.getRange({})]) yield parseHead(parseStoreId(hexOf(key)), value);
  }

  /** Operations `fromSeq + 1` onwards, at most `max`. */
  ops(store: StoreId, fromSeq: number, max: number): LogOp[] {
    const head = this.#head(store);
    if (head === undefined || max <= 0) return [];
    const end = keyOf(store, head.position.seq + 1);
    const rows = this.#ops.getRange({ start: keyOf(store, fromSeq + 1), end, limit: max });
    return [...rows].map(({ value }) => decodeOp(value));
  }

  /**
   * Operations `fromSeq + 1` onwards up to a signed end: about `opsMax`, at most SIGNED_EVERY_OPS or one segment as it
   * came more. `undefined` when there is nothing after `fromSeq`, or the log stands on a checkpoint after it.
   */
  segment(store: StoreId, fromSeq: number, opsMax: number): LogSegment | undefined {
    const head = this.#head(store);
    if (head === undefined || fromSeq >= head.position.seq) return undefined;
    if (fromSeq < (this.checkpoint(store)?.at.seq ?? 0)) return undefined;
    const signedAfter = (seq: number) =>
      this.#ends.getRange({ start: keyOf(store, seq + 1), end: keyOf(store, Number.MAX_SAFE_INTEGER), limit: 1 });
    let last: { readonly seq: number; readonly end: End } | undefined;
    for (;;) {
      const [row] = [...signedAfter(last?.seq ?? fromSeq)];
      if (row === undefined) break;
      const seq = seqOf(row.key);
      if (last !== undefined && seq - fromSeq > opsMax) break;
      last = { seq, end: parseEnd(row.value) };
    }
    if (last === undefined) return undefined;
    const { seq, end } = last;
    return {
      host: head.host,
      end: { store, epoch: head.position.epoch, seq, digest: end.digest },
      ops: this.ops(store, fromSeq, seq - fromSeq),
      signature: end.signature,
    };
  }

  /** The last signed end, without operations. */
  end(store: StoreId): LogSegment | undefined {
    const head = this.#head(store);
    const row = head === undefined ? undefined : this.#ends.get(keyOf(store, head.position.seq));
    if (head === undefined || row === undefined) return undefined;
    return { host: head.host, end: head.position, ops: [], signature: parseEnd(row).signature };
  }

  /** Forgets a store's log, for it counts for nothing until its writer is asked again. */
  async drop(store: StoreId): Promise<void> {
    await this.#turns.take(store, async () => {
      this.#collecting.delete(store);
      await this.#root.transaction(() => this.#remove(store));
    });
  }

  #remove(store: StoreId): void {
    this.#removeLog(store);
    for (const side of [0, 1] as const)
      for (const key of [...this.#contents.getKeys(contentsRange(store, side))]) void this.#contents.remove(key);
  }

  /** All but the contents of checkpoints. */
  #removeLog(store: StoreId): void {
    void this.#heads.remove(bytesOf(store));
    void this.#checkpoints.remove(bytesOf(store));
    const range = { start: keyOf(store, 0), end: keyOf(store, Number.MAX_SAFE_INTEGER), limit: DROP_ROWS };
    for (const table of [this.#ops, this.#ends]) {
      for (;;) {
        const keys = [...table.getKeys(range)];
        for (const key of keys) void table.remove(key);
        if (keys.length < DROP_ROWS) break;
      }
    }
  }

  #head(store: StoreId): Head | undefined {
    const value = this.#heads.get(bytesOf(store));
    return value === undefined ? undefined : parseHead(store, value);
  }

  #standing(store: StoreId): Standing | undefined {
    const value = this.#checkpoints.get(bytesOf(store));
    return value === undefined ? undefined : parseStanding(store, value);
  }

  #putStanding({ checkpoint, side }: Standing): void {
    const { host, at, count, digest, signature } = checkpoint;
    const value = encode([side, host, at.epoch.counter, at.epoch.random, at.seq, at.digest, count, digest, signature]);
    void this.#checkpoints.put(bytesOf(at.store), Buffer.from(value));
  }

  #putHead({ host, position, signedBefore }: Head): void {
    const { store, epoch, seq, digest } = position;
    const value = encode([host, epoch.counter, epoch.random, seq, digest, signedBefore]);
    void this.#heads.put(bytesOf(store), Buffer.from(value));
  }
}

interface KeyRange {
  readonly start: Buffer;
  readonly end: Buffer;
}

/** Contents on their way to one side, in runs of PIECE_OPS_MAX whatever pieces they come in. */
class ContentsWriting {
  readonly side: Side;
  readonly #store: StoreId;
  readonly #put: (key: Buffer, value: Buffer) => Promise<unknown>;
  #waiting: Uint8Array[] = [];
  #runs = 0;

  constructor(store: StoreId, side: Side, put: (key: Buffer, value: Buffer) => Promise<unknown>) {
    this.#store = store;
    this.side = side;
    this.#put = put;
  }

  async put(ops: readonly LogOp[]): Promise<void> {
    for (const op of ops) this.#waiting.push(encodeOp(op));
    while (this.#waiting.length >= PIECE_OPS_MAX) await this.#write(this.#waiting.splice(0, PIECE_OPS_MAX));
  }

  async end(): Promise<void> {
    if (this.#waiting.length > 0) await this.#write(this.#waiting.splice(0));
  }

  async #write(run: readonly Uint8Array[]): Promise<void> {
    await this.#put(contentsKey(this.#store, this.side, this.#runs), Buffer.from(encode(run)));
    this.#runs += 1;
  }
}

/** Store, side, then the run's number. */
function contentsKey(store: StoreId, side: Side, run: number): Buffer {
  const key = Buffer.alloc(21);
  key.set(bytesOf(store));
  key.writeUInt8(side, 16);
  key.writeUInt32BE(run, 17);
  return key;
}

const contentsRange = (store: StoreId, side: Side): KeyRange => ({
  start: contentsKey(store, side, 0),
  end: contentsKey(store, side, 0xffff_ffff),
});

/** Store, then number: so that a range is a log in order. */
function keyOf(store: StoreId, seq: number): Buffer {
  const key = Buffer.alloc(24);
  key.set(bytesOf(store));
  key.writeBigUInt64BE(BigInt(seq), 16);
  return key;
}

function seqOf(key: Uint8Array): number {
  return Number(Buffer.from(key).readBigUInt64BE(16));
}

function parseHead(store: StoreId, value: Uint8Array): Head {
  const [host, counter, random, seq, digest, signedBefore] = decode(value) as [
    string,
    number,
    string,
    number,
    string,
    number,
  ];
  return { host: parseHostId(host), position: { store, epoch: { counter, random }, seq, digest }, signedBefore };
}

function parseStanding(store: StoreId, value: Uint8Array): Standing {
  const [side, host, counter, random, seq, atDigest, count, digest, signature] = decode(value) as [
    Side,
    string,
    number,
    string,
    number,
    string,
    number,
    string,
    Uint8Array,
  ];
  const at = { store, epoch: { counter, random }, seq, digest: atDigest };
  return { side, checkpoint: { host: parseHostId(host), at, count, digest, signature } };
}

function parseEnd(value: Uint8Array): End {
  const [digest, signature] = decode(value) as [Uint8Array, Uint8Array];
  return { digest: hexOf(digest), signature };
}
