/**
 * Checkpoint: the contents of a holdings log after one of its operations, so that nobody has to keep, send or read the
 * operations before it.
 *
 * The contents are again operations, in one canonical order: an `add` for each PRESENT parcel by rising id, then one
 * `head` for each source by rising name. Their hash chain starts from the store, the epoch and the position they stand
 * for, so a digest is valid for no other position. The writer signs position, number and digest. A checkpoint stays
 * within its epoch: a new epoch means doubt, and a checkpoint raises none.
 *
 * Pure. Made by a store (log-file.ts), read in pieces by holdings.ts and log-archive.ts; on the wire: protocols/state.
 */
import { hash } from './hash.js';
import { compareEpochs, type LogOp, type LogPosition, logAfterAll } from './holdings-log.js';
import { type HostId, hexOf, type ParcelId, type SourceId } from './ids.js';
import { signable } from './signed.js';

/** A store makes a checkpoint after at least this many operations: its log has some 4 MB by then. */
export const CHECKPOINT_EVERY_OPS = 100_000;
/**
 * A store that holds more makes no checkpoint. 4 million parcels are 170 MB to send, and 32 MB for a reader to collect.
 */
export const CHECKPOINT_OPS_MAX = 1 << 22;
/** The most operations in one piece: at most 460 KB, however long the names of its sources are. */
export const PIECE_OPS_MAX = 4_096;

/** What a log stands on: the contents have `count` operations, whose chain ends in `digest`. */
export interface LogBase {
  /** The position after the last operation that it stands for. */
  readonly at: LogPosition;
  readonly count: number;
  /** 64 hex digits. */
  readonly digest: string;
}

export interface Checkpoint extends LogBase {
  readonly host: HostId;
  /** By the writing host's peer key over `checkpointMessage`. 64 bytes. */
  readonly signature: Uint8Array;
}

/** A run of a checkpoint's contents. A piece without operations announces the checkpoint. */
export interface CheckpointPiece {
  readonly checkpoint: Checkpoint;
  /** How many operations of the contents come before these. */
  readonly first: number;
  readonly ops: readonly LogOp[];
}

/** The position where the chain of the contents begins. Its `seq` counts the contents. */
function contentsStart({ store, epoch, seq, digest }: LogPosition): LogPosition {
  const start = signable('scatterhoard/log-checkpoint-start/1', [store, epoch.counter, epoch.random, seq, digest]);
  return { store, epoch, seq: 0, digest: hexOf(hash(start)) };
}

/** What a writer signs: that these are the contents of its log at that position. */
export function checkpointMessage(host: HostId, { at, count, digest }: LogBase): Uint8Array {
  const { store, epoch, seq, digest: atDigest } = at;
  return signable('scatterhoard/log-checkpoint/1', [
    host,
    store,
    epoch.counter,
    epoch.random,
    seq,
    atDigest,
    count,
    digest,
  ]);
}

/**
 * Whether a new checkpoint is worth its cost. Making one costs as much as the store holds, so a store that holds more
 * waits until as much has happened. The log is never longer than twice the contents plus `everyOps`.
 */
export function isCheckpointDue({
  opsSince,
  baseOps,
  held,
  everyOps,
}: {
  /** Operations after the last checkpoint, or from the beginning. */
  readonly opsSince: number;
  /** Contents of the last checkpoint. */
  readonly baseOps: number;
  /** What the next one would have. */
  readonly held: number;
  readonly everyOps: number;
}): boolean {
  return opsSince >= Math.max(everyOps, baseOps) && held <= CHECKPOINT_OPS_MAX;
}

/** The hash chain over the contents handed in so far. */
export class ContentsChain {
  readonly at: LogPosition;
  #end: LogPosition;

  constructor(at: LogPosition) {
    this.at = at;
    this.#end = contentsStart(at);
  }

  take(ops: readonly LogOp[]): void {
    this.#end = logAfterAll(this.#end, ops);
  }

  /** What the log would stand on if this were all. */
  get base(): LogBase {
    return { at: this.at, count: this.#end.seq, digest: this.#end.digest };
  }
}

/**
 * The contents: an `add` for each present parcel, then the highest head of each source. Copied at the call; sorted
 * while read.
 */
export function contentsOf(
  present: Iterable<ParcelId>,
  heads: Iterable<readonly [SourceId, number]>,
): IterableIterator<LogOp> {
  // In parts, so that a million ids are not sorted in one go while everything else waits.
  const parts = new Map<string, ParcelId[]>();
  for (const parcel of present) {
    const prefix = parcel.slice(0, 2);
    const part = parts.get(prefix);
    if (part === undefined) parts.set(prefix, [parcel]);
    else part.push(parcel);
  }
  const sources = [...heads].sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted(parts, sources);
}

function* sorted(
  parts: ReadonlyMap<string, ParcelId[]>,
  sources: readonly (readonly [SourceId, number])[],
): IterableIterator<LogOp> {
  for (const prefix of [...parts.keys()].sort())
    for (const parcel of (parts.get(prefix) ?? []).sort()) yield { op: 'add', parcel };
  for (const [source, seq] of sources) yield { op: 'head', source, seq };
}

/** What some operations change in the contents before them. Only the changes are in memory. */
export class ContentsChange {
  readonly #present = new Map<ParcelId, boolean>();
  readonly #heads = new Map<SourceId, number>();

  take(ops: Iterable<LogOp>): void {
    for (const op of ops) {
      if (op.op === 'head') this.#takeHead(op);
      else this.#present.set(op.parcel, op.op === 'add');
    }
  }

  #takeHead({ source, seq }: Extract<LogOp, { op: 'head' }>): void {
    this.#heads.set(source, Math.max(seq, this.#heads.get(source) ?? 0));
  }

  /**
   * The contents after the operations. The old contents are read as needed. Can be read only once: it takes in the
   * heads it reads.
   */
  *appliedTo(contents: Iterable<LogOp>): IterableIterator<LogOp> {
    const added = [...this.#present.keys()].filter(parcel => this.#present.get(parcel)).sort();
    let next = 0;
    for (const op of contents) {
      if (op.op === 'head') {
        this.#takeHead(op);
        continue;
      }
      for (let parcel = added[next]; parcel !== undefined && parcel < op.parcel; parcel = added[++next])
        yield { op: 'add', parcel };
      if (!this.#present.has(op.parcel)) yield op;
    }
    for (const parcel of added.slice(next)) yield { op: 'add', parcel };
    yield* contentsOf([], this.#heads);
  }
}

export type Taken =
  /** `ops`: those that were new. `whole`: they were the last ones, and the contents match the digest. */
  | { readonly is: 'taken'; readonly ops: readonly LogOp[]; readonly whole: boolean }
  /** The piece belongs to another checkpoint, or something is missing before it. */
  | { readonly is: 'gap' }
  /** No contents with these operations can match the digest: the reading is worthless. */
  | { readonly is: 'forged' };

/** The reading of one checkpoint, piece by piece. Nothing that was taken counts until it is whole. */
export class CheckpointReading {
  readonly checkpoint: Checkpoint;
  readonly #chain: ContentsChain;
  #last: LogOp | undefined;

  constructor(checkpoint: Checkpoint) {
    this.checkpoint = checkpoint;
    this.#chain = new ContentsChain(checkpoint.at);
  }

  isOf({ host, at, count, digest }: Checkpoint): boolean {
    const ours = this.checkpoint;
    return host === ours.host && isSameBase(ours, { at, count, digest });
  }

  take({ checkpoint, first, ops }: CheckpointPiece): Taken {
    const have = this.#chain.base.count;
    if (!this.isOf(checkpoint) || first > have) return { is: 'gap' };
    const fresh = ops.slice(have - first);
    for (const op of fresh) {
      if (!follows(this.#last, op)) return { is: 'forged' };
      this.#last = op;
    }
    this.#chain.take(fresh);
    const { count, digest } = this.#chain.base;
    if (count > checkpoint.count || (count === checkpoint.count && digest !== checkpoint.digest))
      return { is: 'forged' };
    return { is: 'taken', ops: fresh, whole: count === checkpoint.count };
  }
}

export function isSameBase(a: LogBase, b: LogBase): boolean {
  return (
    a.at.store === b.at.store &&
    compareEpochs(a.at.epoch, b.at.epoch) === 0 &&
    a.at.seq === b.at.seq &&
    a.at.digest === b.at.digest &&
    a.count === b.count &&
    a.digest === b.digest
  );
}

/** In the canonical order, each parcel and source named once. */
function follows(last: LogOp | undefined, op: LogOp): boolean {
  if (op.op === 'head') return last?.op !== 'head' || last.source < op.source;
  return op.op === 'add' && (last === undefined || (last.op === 'add' && last.parcel < op.parcel));
}

/** Cuts `contents` into the pieces that are sent. At least one, because a checkpoint may have no contents. */
export function* piecesOf(
  checkpoint: Checkpoint,
  contents: Iterable<LogOp>,
  opsMax = PIECE_OPS_MAX,
): IterableIterator<CheckpointPiece> {
  let first = 0;
  let ops: LogOp[] = [];
  for (const op of contents) {
    ops.push(op);
    if (ops.length < opsMax) continue;
    yield { checkpoint, first, ops };
    first += ops.length;
    ops = [];
  }
  if (ops.length > 0 || first === 0) yield { checkpoint, first, ops };
}
