/**
 * Holdings log: what a store holds, as told by the log's only writer.
 *
 * Numbered operations, chained by hash: digest(n) = BLAKE3(digest(n−1) ‖ op), digest(0) = BLAKE3 of the store's id and
 * epoch. So one signature over a position commits the writer to the whole log, and a reader can tell at once whether
 * what it receives extends what it has. Only a greater epoch replaces a log.
 *
 * The log is the commit record: a copy exists once its `add` is durable, and no longer once its `del` is.
 */
import { decode, encode } from 'cborg';
import { hash, hashHex } from './hash.js';
import {
  bytesOf,
  type HostId,
  hexOf,
  type ParcelId,
  parseParcelId,
  parseSourceId,
  type SourceId,
  type StoreId,
} from './ids.js';
import { signable } from './signed.js';

export type LogOp =
  | { readonly op: 'add' | 'del' | 'corrupt'; readonly parcel: ParcelId }
  /** "I durably hold this head (or a later one), its snapshots and pages, and the records of my copies." */
  | { readonly op: 'head'; readonly source: SourceId; readonly seq: number };

/** `counter` rises with every doubt about a log; `random` tells two clones of one disk apart. */
export interface Epoch {
  /** A safe integer, at first the wall clock in ms. */
  readonly counter: number;
  /** 8 random bytes, 16 hex digits. */
  readonly random: string;
}

export interface LogPosition {
  readonly store: StoreId;
  readonly epoch: Epoch;
  /** Number of operations so far. */
  readonly seq: number;
  /** The chain's digest after operation `seq`. 64 hex digits. */
  readonly digest: string;
}

/** A run of operations, with its writer's signature over the position after the last of them. */
export interface LogSegment {
  readonly host: HostId;
  /** The position after the last operation. */
  readonly end: LogPosition;
  /** Operations `end.seq − ops.length + 1` to `end.seq`. */
  readonly ops: readonly LogOp[];
  /** By the writing host's peer key over `positionMessage`. 64 bytes. */
  readonly signature: Uint8Array;
}

const OP_CODES = { add: 1, del: 2, corrupt: 3, head: 4 } as const;

/** Canonical bytes of one operation, as they are chained, stored and sent. */
export function encodeOp(op: LogOp): Uint8Array {
  return op.op === 'head' ? encode([OP_CODES.head, op.source, op.seq]) : encode([OP_CODES[op.op], bytesOf(op.parcel)]);
}

/** @throws MalformedOp on anything that `encodeOp` cannot produce; MalformedId on an id or name that is none */
export function decodeOp(bytes: Uint8Array): LogOp {
  let fields: unknown;
  try {
    fields = decode(bytes);
  } catch (cause) {
    throw new MalformedOp('not CBOR', { cause });
  }
  if (!Array.isArray(fields)) throw new MalformedOp('not an array');
  const [code, first, second] = fields as unknown[];
  if (code === OP_CODES.head && typeof first === 'string' && Number.isSafeInteger(second) && (second as number) > 0) {
    return { op: 'head', source: parseSourceId(first), seq: second as number };
  }
  for (const op of ['add', 'del', 'corrupt'] as const) {
    if (code === OP_CODES[op] && first instanceof Uint8Array) return { op, parcel: parseParcelId(hexOf(first)) };
  }
  throw new MalformedOp(`unknown operation ${String(code)}`);
}

export class MalformedOp extends Error {
  readonly code = 'MALFORMED_OP';
  readonly blame = 'peer';
}

/** The position of an empty log. */
export function logStart(store: StoreId, epoch: Epoch): LogPosition {
  return {
    store,
    epoch,
    seq: 0,
    digest: hashHex(signable('scatterhoard/log-start/1', [store, epoch.counter, epoch.random])),
  };
}

/** The position after `op`. */
export function logAfter(position: LogPosition, op: LogOp): LogPosition {
  return logAfterAll(position, [op]);
}

/**
 * The position after all of `ops`. Every host chains every operation of every other host, so this makes as little
 * garbage as possible.
 */
export function logAfterAll(position: LogPosition, ops: readonly LogOp[]): LogPosition {
  const last = ops.at(-1);
  if (last === undefined) return position;
  let before = bytesOf(position.digest);
  for (let i = 0; i < ops.length - 1; i += 1) before = hash(chained(before, ops[i] as LogOp));
  // Usually there is one operation, whose digest is wanted as text: the native hash makes that more cheaply.
  const digest = hashHex(chained(before, last));
  return { store: position.store, epoch: position.epoch, seq: position.seq + ops.length, digest };
}

/** Returns a buffer that the next call reuses. */
const chained = (digest: Uint8Array, op: LogOp): Uint8Array =>
  op.op === 'head' ? chainedHead(digest, op) : chainedParcel(digest, op);

/**
 * A digest, then the bytes that `encodeOp` makes of a `head`: an array of 3, its code, the source's name as text, and a
 * number.
 */
const HEAD_CHAIN = Buffer.alloc(32 + 2 + 3 + 256 + 9);
HEAD_CHAIN.set([0x83, OP_CODES.head], 32);

function chainedHead(digest: Uint8Array, op: Extract<LogOp, { op: 'head' }>): Uint8Array {
  const bytes = Buffer.byteLength(op.source);
  if (bytes > 256) return Buffer.concat([digest, encodeOp(op)]);
  HEAD_CHAIN.set(digest);
  const nameAt = putCbor(HEAD_CHAIN, 34, { kind: 0x60, number: bytes });
  HEAD_CHAIN.write(op.source, nameAt);
  return HEAD_CHAIN.subarray(0, putCbor(HEAD_CHAIN, nameAt + bytes, { kind: 0, number: op.seq }));
}

/** Writes the shortest head of a CBOR item (RFC 8949, section 4.2.1). @returns the offset after it */
function putCbor(to: Buffer, at: number, { kind, number }: { readonly kind: number; readonly number: number }): number {
  if (number < 24) return to.writeUInt8(kind | number, at);
  if (number < 0x100) return to.writeUInt8(number, to.writeUInt8(kind | 24, at));
  if (number < 0x1_0000) return to.writeUInt16BE(number, to.writeUInt8(kind | 25, at));
  if (number < 0x1_0000_0000) return to.writeUInt32BE(number, to.writeUInt8(kind | 26, at));
  return to.writeBigUInt64BE(BigInt(number), to.writeUInt8(kind | 27, at));
}

/**
 * A digest, then the bytes that `encodeOp` makes of an operation on a parcel: an array of 2, a code below 24, 32 bytes
 * and the parcel.
 */
const PARCEL_CHAIN = Buffer.alloc(32 + 4 + 32);
PARCEL_CHAIN.set([0x82, 0, 0x58, 32], 32);

function chainedParcel(digest: Uint8Array, { op, parcel }: Exclude<LogOp, { op: 'head' }>): Uint8Array {
  PARCEL_CHAIN.set(digest);
  PARCEL_CHAIN[33] = OP_CODES[op];
  PARCEL_CHAIN.write(parcel, 36, 'hex');
  return PARCEL_CHAIN;
}

/** What a writer signs: that this store's log, in this epoch, has exactly these operations so far. */
export function positionMessage(host: HostId, { store, epoch, seq, digest }: LogPosition): Uint8Array {
  return signable('scatterhoard/log-position/1', [host, store, epoch.counter, epoch.random, seq, digest]);
}

/** By counter, then by random, the same way on every host. @returns positive when `a` is greater */
export function compareEpochs(a: Epoch, b: Epoch): number {
  if (a.counter !== b.counter) return a.counter < b.counter ? -1 : 1;
  return a.random < b.random ? -1 : a.random > b.random ? 1 : 0;
}

/** Negative when `a` is before `b` in the log of one store: in a lower epoch, or after fewer operations. */
export function comparePositions(a: Pick<LogPosition, 'epoch' | 'seq'>, b: Pick<LogPosition, 'epoch' | 'seq'>): number {
  return compareEpochs(a.epoch, b.epoch) || a.seq - b.seq;
}
