/**
 * Log rows: the format and the keys of other hosts' logs in the tables of the archive (log-archive.ts).
 *
 * A log's key is its writer's host and the store; a number follows, so that a range of a table is one log in order.
 */
import { decode, encode } from 'cborg';
import { type Checkpoint, PIECE_OPS_MAX } from '../core/checkpoint.js';
import { decodeOp, encodeOp, type LogOp, type LogPosition } from '../core/holdings-log.js';
import { bytesOf, type HostId, hexOf, parseHostId, parseStoreId, type StoreId } from '../core/ids.js';

/** Host and store in hex digits, one after the other. */
export type LogKey = string;
export const logKeyOf = (host: HostId, store: StoreId): LogKey => `${host}${store}`;
const HOST_DIGITS = 32;
const LOG_KEY_BYTES = 32;

export const hostOf = (log: LogKey): HostId => parseHostId(log.slice(0, HOST_DIGITS));
export const storeOf = (log: LogKey): StoreId => parseStoreId(log.slice(HOST_DIGITS));

export interface KeyRange {
  readonly start: Buffer;
  readonly end: Buffer;
}

/** Log, side, then the run's number. */
export function contentsKey(log: LogKey, side: Side, run: number): Buffer {
  const key = Buffer.alloc(LOG_KEY_BYTES + 5);
  key.set(bytesOf(log));
  key.writeUInt8(side, LOG_KEY_BYTES);
  key.writeUInt32BE(run, LOG_KEY_BYTES + 1);
  return key;
}

export const contentsRange = (log: LogKey, side: Side): KeyRange => ({
  start: contentsKey(log, side, 0),
  end: contentsKey(log, side, 0xffff_ffff),
});

/** Log, then number: so that a range is a log in order. */
export function keyOf(log: LogKey, seq: number): Buffer {
  const key = Buffer.alloc(LOG_KEY_BYTES + 8);
  key.set(bytesOf(log));
  key.writeBigUInt64BE(BigInt(seq), LOG_KEY_BYTES);
  return key;
}

export function seqOf(key: Uint8Array): number {
  return Number(Buffer.from(key).readBigUInt64BE(LOG_KEY_BYTES));
}

/** All logs of a host. */
export function logsRange(host: HostId): KeyRange {
  const start = Buffer.alloc(LOG_KEY_BYTES);
  start.set(bytesOf(host));
  const end = Buffer.alloc(LOG_KEY_BYTES + 1, 0xff);
  end.set(bytesOf(host));
  return { start, end };
}

/** The end of a segment as its writer signed it. */
export interface End {
  readonly digest: string;
  readonly signature: Uint8Array;
}

/** How far a log is kept here. */
export interface Head {
  readonly position: LogPosition;
  /** The position of the last kept signature before the one at `position`. */
  readonly signedBefore: number;
}

/** The contents of a checkpoint lie on one of two sides, and those of the next on the other. */
export type Side = 0 | 1;

/** The checkpoint that a log stands on. */
export interface Standing {
  readonly checkpoint: Checkpoint;
  readonly side: Side;
}

export function formatHead({ position, signedBefore }: Head): Buffer {
  const { epoch, seq, digest } = position;
  return Buffer.from(encode([epoch.counter, epoch.random, seq, digest, signedBefore]));
}

export function parseHead(log: LogKey, value: Uint8Array): Head {
  const [counter, random, seq, digest, signedBefore] = decode(value) as [number, string, number, string, number];
  return { position: { store: storeOf(log), epoch: { counter, random }, seq, digest }, signedBefore };
}

export function formatStanding({ checkpoint, side }: Standing): Buffer {
  const { at, count, digest, signature } = checkpoint;
  return Buffer.from(encode([side, at.epoch.counter, at.epoch.random, at.seq, at.digest, count, digest, signature]));
}

export function parseStanding(log: LogKey, value: Uint8Array): Standing {
  const [side, counter, random, seq, atDigest, count, digest, signature] = decode(value) as [
    Side,
    number,
    string,
    number,
    string,
    number,
    string,
    Uint8Array,
  ];
  const at = { store: storeOf(log), epoch: { counter, random }, seq, digest: atDigest };
  return { side, checkpoint: { host: hostOf(log), at, count, digest, signature } };
}

export function formatEnd({ digest, signature }: End): Buffer {
  return Buffer.from(encode([bytesOf(digest), signature]));
}

export function parseEnd(value: Uint8Array): End {
  const [digest, signature] = decode(value) as [Uint8Array, Uint8Array];
  return { digest: hexOf(digest), signature };
}

export const parseRun = (value: Uint8Array): LogOp[] => (decode(value) as Uint8Array[]).map(decodeOp);

/** Writes contents to one side, in runs of PIECE_OPS_MAX, whatever pieces they come in. */
export class ContentsWriting {
  readonly side: Side;
  readonly #log: LogKey;
  readonly #put: (key: Buffer, value: Buffer) => Promise<unknown>;
  #waiting: Uint8Array[] = [];
  #runs = 0;

  constructor(log: LogKey, side: Side, put: (key: Buffer, value: Buffer) => Promise<unknown>) {
    this.#log = log;
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
    await this.#put(contentsKey(this.#log, this.side, this.#runs), Buffer.from(encode(run)));
    this.#runs += 1;
  }
}
