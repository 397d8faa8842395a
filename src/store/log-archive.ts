/**
 * Log archive: the holdings logs of other hosts' stores, as far as this host has received them.
 *
 * Kept so that a restart need not fetch everything again, and so that a host that has a writer's log can give it to
 * others while the writer is away. Signed ends are kept for that: a segment is worth something only with its writer's
 * signature over the position after its last operation. A log is kept under its writer's host and its store, so nobody
 * can take the place of another's log by naming the store first.
 *
 * A log stands on its newest checkpoint: the contents, piece by piece, and only the operations after it. A host that
 * followed the log derives the contents from what it has; a host that is behind collects them. New contents are written
 * to the one of two sides that is not in use, and one transaction switches the sides. What a crash leaves on the unused
 * side, and operations from before the checkpoint, are never given out and go with the next checkpoint.
 *
 * Checked here: a segment extends the log or replaces it by a greater epoch, and operations and contents make the
 * signed digests. The caller must check first that the signature is good and its signer a member.
 */

import { setImmediate } from 'node:timers/promises';
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
import { HOLDINGS_LIMITS } from '../core/holdings.js';
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
import { bytesOf, type HostId, hexOf, type StoreId } from '../core/ids.js';
import {
  ContentsWriting,
  contentsKey,
  contentsRange,
  type End,
  formatEnd,
  formatHead,
  formatStanding,
  type Head,
  hostOf,
  type KeyRange,
  keyOf,
  type LogKey,
  logKeyOf,
  logsRange,
  parseEnd,
  parseHead,
  parseRun,
  parseStanding,
  type Side,
  type Standing,
  seqOf,
  storeOf,
} from './log-rows.js';
import { Turns } from './turns.js';

export type AppendVerdict =
  /** It was new and was kept. */
  | 'appended'
  /** It was here already, all of it. */
  | 'known'
  /** A piece of a checkpoint; the others are still awaited. */
  | 'collected'
  /** It begins after the end of this copy: ask the writer from this copy's position on. */
  | 'gap'
  /** Its host has as many other logs here as it may: `keepOnly` makes room. */
  | 'full'
  /** It belongs to an epoch that a greater one has replaced. */
  | 'old-epoch'
  /**
   * It does not continue this copy, or does not make its own digest. It counts for nothing until re-read from its
   * writer.
   */
  | 'fork';

/**
 * Between two kept signatures, not counting the last, there are at least this many operations: otherwise a writer that
 * adds parcel by parcel would cost a signature each. A segment given out may be longer than asked for by this much.
 */
export const SIGNED_EVERY_OPS = 512;
/** Tables of builds from before December 2026, keyed by store alone; their writers are asked again. To go with 0.2. */
const TABLES_BY_STORE = ['log-heads', 'log-ops', 'log-ends', 'log-checkpoints', 'log-contents'];
/** Rows removed in one transaction when operations are no longer needed, or read at once when a log is dropped. */
const DROP_ROWS = 65_536;

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
  /** In runs of PIECE_OPS_MAX operations, the last one shorter. */
  readonly #contents: Database<Buffer, Uint8Array>;
  readonly #collecting = new Map<LogKey, Collecting>();
  /** Changes to one log run one after the other: a checkpoint takes more than one transaction. */
  readonly #turns = new Turns<LogKey>();
  #closing = false;

  constructor(root: RootDatabase<Buffer, Uint8Array>) {
    const table = (name: string) =>
      root.openDB<Buffer, Uint8Array>({ name, keyEncoding: 'binary', encoding: 'binary' });
    this.#root = root;
    this.#heads = table('host-log-heads');
    this.#ops = table('host-log-ops');
    this.#ends = table('host-log-ends');
    this.#checkpoints = table('host-log-checkpoints');
    this.#contents = table('host-log-contents');
    const there = new Set([...root.getKeys()].map(name => name.toString().replace(/\0$/, '')));
    for (const name of TABLES_BY_STORE) if (there.has(name)) table(name).dropSync();
  }

  /** Waits for writes under way. An unfinished checkpoint is given up, and made when its writer mentions it again. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#turns.allDone();
  }

  /** Written to disk, not flushed: after a power cut the writer is asked again. */
  append(segment: LogSegment): Promise<AppendVerdict> {
    const log = logKeyOf(segment.host, segment.end.store);
    return this.#turns.take(log, () => this.#root.transaction(() => this.#append(log, segment)));
  }

  #append(log: LogKey, { end, ops, signature }: LogSegment): AppendVerdict {
    const old = this.#head(log);
    const order = old === undefined ? 1 : compareEpochs(end.epoch, old.position.epoch);
    if (order < 0) return 'old-epoch';
    if (old === undefined && this.#isFull(log)) return 'full';
    const ours = old === undefined || order > 0 ? logStart(end.store, end.epoch) : old.position;
    const before = end.seq - ops.length;
    if (end.seq <= ours.seq && (end.seq > 0 || old !== undefined) && order === 0) {
      // The same number with another digest: two logs under one epoch, as from a clone of a disk.
      return end.seq === ours.seq && end.digest !== ours.digest ? 'fork' : 'known';
    }
    if (before > ours.seq) return 'gap';
    if (before < 0) return 'fork';
    let position = ours;
    const fresh = ops.slice(ours.seq - before);
    for (const op of fresh) position = logAfter(position, op);
    if (position.digest !== end.digest) return 'fork';

    if (old !== undefined && order > 0) this.#remove(log);
    if (order > 0) this.#collecting.delete(log);
    for (const [n, op] of fresh.entries()) void this.#ops.put(keyOf(log, ours.seq + n + 1), Buffer.from(encodeOp(op)));
    let signedBefore = order === 0 && old !== undefined ? old.signedBefore : 0;
    if (ours.seq - signedBefore >= SIGNED_EVERY_OPS) signedBefore = ours.seq;
    else if (ours.seq > 0) void this.#ends.remove(keyOf(log, ours.seq));
    void this.#ends.put(keyOf(log, end.seq), formatEnd({ digest: end.digest, signature }));
    this.#putHead(log, { position: end, signedBefore });
    return 'appended';
  }

  /**
   * Keeps a piece of a checkpoint until all have come; then the log stands on it. For a log that already reaches the
   * checkpoint the first piece is enough: the contents are derived, and what came before them is let go.
   */
  takePiece(piece: CheckpointPiece): Promise<AppendVerdict> {
    const log = logKeyOf(piece.checkpoint.host, piece.checkpoint.at.store);
    return this.#turns.take(log, () => this.#takePiece(log, piece));
  }

  async #takePiece(log: LogKey, piece: CheckpointPiece): Promise<AppendVerdict> {
    const { checkpoint } = piece;
    const { epoch, seq } = checkpoint.at;
    const old = this.#head(log);
    if (old !== undefined) {
      const order = compareEpochs(epoch, old.position.epoch);
      if (order < 0) return 'old-epoch';
      if (order === 0 && old.position.seq >= seq) return this.#compact(log, checkpoint);
    }
    return this.#collect(log, piece);
  }

  async #collect(log: LogKey, piece: CheckpointPiece): Promise<AppendVerdict> {
    const { checkpoint } = piece;
    if (this.#head(log) === undefined && this.#isFull(log)) return 'full';
    if (piece.first === 0 && this.#collecting.get(log)?.reading.isOf(checkpoint) !== true) {
      const writing = await this.#beginContents(log);
      this.#collecting.set(log, { reading: new CheckpointReading(checkpoint), writing });
    }
    const collecting = this.#collecting.get(log);
    if (collecting === undefined) return 'gap';
    const taken = collecting.reading.take(piece);
    if (taken.is === 'gap') return 'gap';
    if (taken.is === 'forged') {
      this.#collecting.delete(log);
      return 'gap';
    }
    await collecting.writing.put(taken.ops);
    if (!taken.whole) return 'collected';
    this.#collecting.delete(log);
    await collecting.writing.end();
    await this.#root.transaction(() => {
      const old = this.#head(log);
      // Rows of another epoch must not stay: their numbers are those of this one.
      if (old !== undefined && compareEpochs(old.position.epoch, checkpoint.at.epoch) !== 0) this.#removeLog(log);
      this.#putHead(log, { position: checkpoint.at, signedBefore: checkpoint.at.seq });
      this.#putStanding(log, { checkpoint, side: collecting.writing.side });
    });
    await this.#letGoBefore(log, checkpoint.at.seq);
    return 'appended';
  }

  /** Makes a log that already reaches past a checkpoint stand on it. */
  async #compact(log: LogKey, checkpoint: Checkpoint): Promise<AppendVerdict> {
    const { store, seq, epoch } = checkpoint.at;
    const standing = this.#standing(log);
    const start = standing?.checkpoint.at ?? logStart(store, epoch);
    if (seq < start.seq || (standing !== undefined && isSameBase(standing.checkpoint, checkpoint))) return 'known';
    const change = new ContentsChange();
    let position = start;
    while (position.seq < seq) {
      const ops = this.#opsOf(log, position.seq, Math.min(PIECE_OPS_MAX, seq - position.seq));
      if (this.#closing) return 'gap';
      if (ops.length === 0) return 'fork';
      change.take(ops);
      position = logAfterAll(position, ops);
      // Lets other work run: a log that has never been compacted can have millions of operations.
      await setImmediate();
    }
    if (position.digest !== checkpoint.at.digest) return 'fork';
    const chain = new ContentsChain(checkpoint.at);
    const writing = await this.#beginContents(log);
    const derived = change.appliedTo(standing === undefined ? [] : this.#contentsOf(log, standing.side));
    for (const { ops: some } of piecesOf(checkpoint, derived)) {
      if (this.#closing) return 'gap';
      chain.take(some);
      await writing.put(some);
    }
    if (!isSameBase(chain.base, checkpoint)) return 'fork';
    await writing.end();
    await this.#root.transaction(() => this.#putStanding(log, { checkpoint, side: writing.side }));
    await this.#letGoBefore(log, checkpoint.at.seq);
    return 'appended';
  }

  async #beginContents(log: LogKey): Promise<ContentsWriting> {
    const side: Side = this.#standing(log)?.side === 0 ? 1 : 0;
    this.#collecting.delete(log);
    await this.#removeRows(this.#contents, contentsRange(log, side));
    return new ContentsWriting(log, side, (key, value) => this.#contents.put(key, value));
  }

  async #letGoBefore(log: LogKey, seq: number): Promise<void> {
    const range = { start: keyOf(log, 0), end: keyOf(log, seq + 1) };
    await this.#removeRows(this.#ops, range);
    await this.#removeRows(this.#ends, { start: range.start, end: keyOf(log, seq) });
    const standing = this.#standing(log);
    if (standing !== undefined) await this.#removeRows(this.#contents, contentsRange(log, standing.side === 0 ? 1 : 0));
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
  checkpoint(host: HostId, store: StoreId): Checkpoint | undefined {
    return this.#standing(logKeyOf(host, store))?.checkpoint;
  }

  /**
   * The contents that the log stands on, in pieces. Ends early when these change meanwhile, or the rows are missing.
   */
  *pieces(host: HostId, store: StoreId): Generator<CheckpointPiece> {
    const log = logKeyOf(host, store);
    const standing = this.#standing(log);
    if (standing === undefined) return;
    const { checkpoint, side } = standing;
    let first = 0;
    do {
      const now = this.#standing(log);
      if (now === undefined || !isSameBase(now.checkpoint, checkpoint)) return;
      const ops = this.#run(log, side, first / PIECE_OPS_MAX);
      if (ops.length === 0 && checkpoint.count > 0) return;
      yield { checkpoint, first, ops };
      first += PIECE_OPS_MAX;
    } while (first < checkpoint.count);
  }

  *#contentsOf(log: LogKey, side: Side): Generator<LogOp> {
    for (let run = 0; ; run += 1) {
      const ops = this.#run(log, side, run);
      if (ops.length === 0) return;
      yield* ops;
    }
  }

  #run(log: LogKey, side: Side, run: number): LogOp[] {
    const value = this.#contents.get(contentsKey(log, side, run));
    return value === undefined ? [] : parseRun(value);
  }

  /** The last signed position of a store's log that is kept here. */
  position(host: HostId, store: StoreId): LogPosition | undefined {
    return this.#head(logKeyOf(host, store))?.position;
  }

  /** Every store whose log is kept here, with its writer and position. */
  *stores(): Generator<{ readonly host: HostId; readonly position: LogPosition }> {
    for (const { key, value } of [...this.#heads.getRange({})]) {
      const log = hexOf(key);
      yield { host: hostOf(log), position: parseHead(log, value).position };
    }
  }

  /** Operations `fromSeq + 1` onwards, at most `max`. */
  ops(host: HostId, store: StoreId, fromSeq: number, max: number): LogOp[] {
    return this.#opsOf(logKeyOf(host, store), fromSeq, max);
  }

  #opsOf(log: LogKey, fromSeq: number, max: number): LogOp[] {
    const head = this.#head(log);
    if (head === undefined || max <= 0) return [];
    const end = keyOf(log, head.position.seq + 1);
    const rows = this.#ops.getRange({ start: keyOf(log, fromSeq + 1), end, limit: max });
    return [...rows].map(({ value }) => decodeOp(value));
  }

  /**
   * Operations `fromSeq + 1` onwards, up to a signed end: about `opsMax`, or more, by at most SIGNED_EVERY_OPS or one
   * segment as it came. `undefined` when there is nothing after `fromSeq`, or the log stands on a checkpoint after it.
   */
  segment(host: HostId, store: StoreId, fromSeq: number, opsMax: number): LogSegment | undefined {
    const log = logKeyOf(host, store);
    const head = this.#head(log);
    if (head === undefined || fromSeq >= head.position.seq) return undefined;
    if (fromSeq < (this.#standing(log)?.checkpoint.at.seq ?? 0)) return undefined;
    const signedAfter = (seq: number) =>
      this.#ends.getRange({ start: keyOf(log, seq + 1), end: keyOf(log, Number.MAX_SAFE_INTEGER), limit: 1 });
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
      host,
      end: { store, epoch: head.position.epoch, seq, digest: end.digest },
      ops: this.#opsOf(log, fromSeq, seq - fromSeq),
      signature: end.signature,
    };
  }

  /** The last signed end, without operations. */
  end(host: HostId, store: StoreId): LogSegment | undefined {
    const log = logKeyOf(host, store);
    const head = this.#head(log);
    const row = head === undefined ? undefined : this.#ends.get(keyOf(log, head.position.seq));
    if (head === undefined || row === undefined) return undefined;
    return { host, end: head.position, ops: [], signature: parseEnd(row).signature };
  }

  /** Forgets a store's log: it counts for nothing until its writer is asked again. */
  async drop(host: HostId, store: StoreId): Promise<void> {
    const log = logKeyOf(host, store);
    await this.#turns.take(log, async () => {
      this.#collecting.delete(log);
      await this.#root.transaction(() => this.#remove(log));
    });
  }

  /** Forgets the logs of all stores of this host but these. */
  async keepOnly(host: HostId, stores: ReadonlySet<StoreId>): Promise<void> {
    for (const log of this.#logsOf(host)) if (!stores.has(storeOf(log))) await this.drop(host, storeOf(log));
  }

  /** Includes logs of which only pieces of a checkpoint have come. */
  #logsOf(host: HostId): Set<LogKey> {
    const kept = [...this.#heads.getKeys(logsRange(host))].map(hexOf);
    return new Set([...kept, ...[...this.#collecting.keys()].filter(log => hostOf(log) === host)]);
  }

  /** Whether its host has as many other logs here as it may. */
  #isFull(log: LogKey): boolean {
    const others = this.#logsOf(hostOf(log));
    others.delete(log);
    return others.size >= HOLDINGS_LIMITS.logs;
  }

  #remove(log: LogKey): void {
    this.#removeLog(log);
    for (const side of [0, 1] as const)
      for (const key of [...this.#contents.getKeys(contentsRange(log, side))]) void this.#contents.remove(key);
  }

  /** Removes all but the contents of checkpoints. */
  #removeLog(log: LogKey): void {
    void this.#heads.remove(bytesOf(log));
    void this.#checkpoints.remove(bytesOf(log));
    const range = { start: keyOf(log, 0), end: keyOf(log, Number.MAX_SAFE_INTEGER), limit: DROP_ROWS };
    for (const table of [this.#ops, this.#ends]) {
      for (;;) {
        const keys = [...table.getKeys(range)];
        for (const key of keys) void table.remove(key);
        if (keys.length < DROP_ROWS) break;
      }
    }
  }

  #head(log: LogKey): Head | undefined {
    const value = this.#heads.get(bytesOf(log));
    return value === undefined ? undefined : parseHead(log, value);
  }

  #standing(log: LogKey): Standing | undefined {
    const value = this.#checkpoints.get(bytesOf(log));
    return value === undefined ? undefined : parseStanding(log, value);
  }

  #putStanding(log: LogKey, standing: Standing): void {
    void this.#checkpoints.put(bytesOf(log), formatStanding(standing));
  }

  #putHead(log: LogKey, head: Head): void {
    void this.#heads.put(bytesOf(log), formatHead(head));
  }
}
