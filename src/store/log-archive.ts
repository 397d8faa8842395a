/**
 * Log archive: the holdings logs of other hosts' stores, as far as their writers have told us.
 *
 * Kept so that a restart does not ask for everything again, and so that a host that has a writer's log can give it to
 * others while the writer is away. For that, signed ends are kept: a segment is only worth something with its writer's
 * signature over the position after its last operation.
 *
 * Checked here is that a segment extends the log or replaces it by a greater epoch, and that its operations make the digest
 * that was signed. That the signature is good and its signer a member is for the caller to check first.
 */

import { decode, encode } from 'cborg';
import type { Database, RootDatabase } from 'lmdb';
import {
  compareEpochs,
  decodeOp,
  encodeOp,
  type LogOp,
  type LogPosition,
  type LogSegment,
  logAfter,
  logStart,
} from '../core/holdings-log.js';
import { bytesOf, type HostId, hexOf, parseHostId, parseStoreId, type StoreId } from '../core/ids.js';

export type AppendVerdict =
  /** It was new, and is kept. */
  | 'appended'
  /** We have all of it. */
  | 'known'
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
/** Removed in one transaction when a log is dropped. */
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

export class LogArchive {
  readonly #root: RootDatabase<Buffer, Uint8Array>;
  readonly #heads: Database<Buffer, Uint8Array>;
  readonly #ops: Database<Buffer, Uint8Array>;
  readonly #ends: Database<Buffer, Uint8Array>;

  constructor(root: RootDatabase<Buffer, Uint8Array>) {
    const table = (name: string) =>
      root.openDB<Buffer, Uint8Array>({ name, keyEncoding: 'binary', encoding: 'binary' });
    this.#root = root;
    this.#heads = table('log-heads');
    this.#ops = table('log-ops');
    this.#ends = table('log-ends');
  }

  /** Kept on disk, not flushed: after a power cut the writer is asked again. */
  append(segment: LogSegment): Promise<AppendVerdict> {
    // Inside the transaction, so that of two segments at once the second sees the first.
    return this.#root.transaction(() => this.#append(segment));
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
    for (const [n, op] of fresh.entries())
      void this.#ops.put(keyOf(store, ours.seq + n + 1), Buffer.from(encodeOp(op)));
    let signedBefore = order === 0 && old !== undefined ? old.signedBefore : 0;
    if (ours.seq - signedBefore >= SIGNED_EVERY_OPS) signedBefore = ours.seq;
    else if (ours.seq > 0) void this.#ends.remove(keyOf(store, ours.seq));
    void this.#ends.put(keyOf(store, end.seq), Buffer.from(encode([bytesOf(end.digest), signature])));
    this.#putHead({ host, position: end, signedBefore });
    return 'appended';
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
   * came more. `undefined` when there is nothing after `fromSeq`.
   */
  segment(store: StoreId, fromSeq: number, opsMax: number): LogSegment | undefined {
    const head = this.#head(store);
    if (head === undefined || fromSeq >= head.position.seq) return undefined;
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
    await this.#root.transaction(() => this.#remove(store));
  }

  #remove(store: StoreId): void {
    void this.#heads.remove(bytesOf(store));
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

  #putHead({ host, position, signedBefore }: Head): void {
    const { store, epoch, seq, digest } = position;
    const value = encode([host, epoch.counter, epoch.random, seq, digest, signedBefore]);
    void this.#heads.put(bytesOf(store), Buffer.from(value));
  }
}

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

function parseEnd(value: Uint8Array): End {
  const [digest, signature] = decode(value) as [Uint8Array, Uint8Array];
  return { digest: hexOf(digest), signature };
}
