/**
 * Blob index: which blobs a store holds, by how many of its PRESENT parcels, and how large they are.
 *
 * A blob is held when it is in this table. The table names the log position that it stands for. If that is a prefix of
 * the store's log, the table is brought up to date from there; otherwise it is rebuilt (recovery.ts). A record takes 42
 * bytes.
 */

import { decode, encode } from 'cborg';
import type { Database, RootDatabase } from 'lmdb';
import { assert } from '../core/fault.js';
import type { LogPosition } from '../core/holdings-log.js';
import { type BlobId, bytesOf, hexOf, parseBlobId, type StoreId } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import type { IndexRefusals } from './index-refusals.js';

export interface HeldBlob {
  /** How many parcels list it, at least 1. */
  readonly refs: number;
  readonly bytes: number;
}

export interface BlobChange {
  readonly blob: BlobRef;
  readonly by: 1 | -1;
}

/** What is known of a store besides its log. */
export interface StoreNote {
  /** The log position that the table stands for; absent while it is being rebuilt. */
  readonly position?: Pick<LogPosition, 'epoch' | 'seq' | 'digest'>;
  /**
   * Boot counters that the store's marker may rightly have: of the last mount, and of one that was about to be noted.
   */
  readonly boots: readonly number[];
  /** The boot of the machine (platform/lock.ts) in which a flush of the store failed last. */
  readonly flushFailedIn?: string;
}

type NoteFields = [number[], [number, string, number, string] | null, string?];

/** refs u32, bytes u48 */
const VALUE_BYTES = 10;
/** Read in one go: LMDB keeps old pages alive while a range is open, so none stays open across other work. */
const RANGE_ROWS = 4096;
/** Removed in one transaction when the table is emptied. */
const CLEAR_ROWS = 65_536;

export class BlobIndex {
  readonly #root: RootDatabase<Buffer, Uint8Array>;
  readonly #blobs: Database<Buffer, Uint8Array>;
  readonly #notes: Database<Buffer, Uint8Array>;
  readonly #key: Uint8Array;
  readonly #refusals: Pick<IndexRefusals, 'flush'>;
  #distrusted = false;
  #isBehind = false;

  constructor(root: RootDatabase<Buffer, Uint8Array>, store: StoreId, refusals: Pick<IndexRefusals, 'flush'>) {
    this.#root = root;
    this.#refusals = refusals;
    this.#blobs = root.openDB({ name: `blobs-${store}`, keyEncoding: 'binary', encoding: 'binary' });
    this.#notes = root.openDB({ name: 'stores', keyEncoding: 'binary', encoding: 'binary' });
    this.#key = bytesOf(store);
  }

  /** `undefined` when no PRESENT parcel lists it. */
  lookup(blob: string): HeldBlob | undefined {
    return parseValue(this.#blobs.get(bytesOf(blob)));
  }

  /** Held blobs whose id begins with these two hex digits, in order. */
  *shard(shard: string): Generator<{ readonly blob: BlobId; readonly bytes: number }> {
    const last = bytesOf(shard.padEnd(64, 'f'));
    let start: Uint8Array = bytesOf(shard);
    for (;;) {
      const rows = [...this.#blobs.getRange({ start, end: Buffer.concat([last, Buffer.of(0)]), limit: RANGE_ROWS })];
      for (const { key, value } of rows) {
        const held = parseValue(value);
        if (held !== undefined) yield { blob: parseBlobId(hexOf(key)), bytes: held.bytes };
      }
      const end = rows.at(-1);
      if (end === undefined || rows.length < RANGE_ROWS) return;
      start = Buffer.concat([end.key, Buffer.of(0)]);
    }
  }

  /** The last operations of the log are missing here: a blob may be listed that is not in the table. */
  get isBehind(): boolean {
    return this.#isBehind;
  }

  /**
   * In one transaction: counts references up and down, and notes the position that results. When this fails nothing has
   * changed, and the table is behind until a later call succeeds.
   */
  async apply(changes: Iterable<BlobChange>, position: LogPosition | undefined): Promise<void> {
    try {
      await this.#applyAll(changes, position);
      this.#isBehind = false;
    } catch (error) {
      this.#isBehind = true;
      throw error;
    }
  }

  async #applyAll(changes: Iterable<BlobChange>, position: LogPosition | undefined): Promise<void> {
    await this.#root.transaction(() => {
      // Everything is counted before anything is written: a throw inside a transaction does not undo the earlier puts.
      const counted = new Map<string, HeldBlob>();
      for (const { blob, by } of changes) {
        const held = counted.get(blob.blob) ?? this.lookup(blob.blob) ?? { refs: 0, bytes: blob.bytes };
        counted.set(blob.blob, { refs: held.refs + by, bytes: held.bytes });
      }
      for (const [blob, { refs }] of counted)
        assert(refs >= 0, `blob ${blob} is given up more often than it was taken`);
      for (const [blob, held] of counted) {
        if (held.refs === 0) void this.#blobs.remove(bytesOf(blob));
        else void this.#blobs.put(bytesOf(blob), formatValue(held));
      }
      this.#putNote({ ...this.note(), ...(position === undefined || this.#distrusted ? {} : { position }) });
    });
  }

  /**
   * Called before references go that cannot be counted down because their record is lost. From then on the table may
   * hold too much, never too little; without a position it is rebuilt at the next opening.
   */
  async distrust(): Promise<void> {
    this.#distrusted = true;
    await this.#root.transaction(() => this.#putNote(this.#withoutPosition()));
  }

  note(): StoreNote {
    const bytes = this.#notes.get(this.#key);
    if (bytes === undefined) return { boots: [] };
    const [boots, position, flushFailedIn] = decode(bytes) as NoteFields;
    const failed = flushFailedIn === undefined ? {} : { flushFailedIn };
    if (position === null) return { boots, ...failed };
    const [counter, random, seq, digest] = position;
    return { boots, position: { epoch: { counter, random }, seq, digest }, ...failed };
  }

  #withoutPosition(): StoreNote {
    const { position: _, ...note } = this.note();
    return note;
  }

  /** Durable when this returns. */
  async noteBoots(boots: readonly number[]): Promise<void> {
    await this.#refusals.flush(() => this.#putNote({ ...this.note(), boots }));
  }

  async noteFlushFailed(flushFailedIn: string): Promise<void> {
    await this.#root.transaction(() => this.#putNote({ ...this.note(), flushFailedIn }));
  }

  /** Waits until all that has been applied so far is on the disk. */
  async flush(): Promise<void> {
    await this.#refusals.flush(() => this.#putNote(this.note()));
  }

  /** Empties the table and forgets its position. */
  async clear(): Promise<void> {
    await this.#root.transaction(() => this.#putNote(this.#withoutPosition()));
    for (;;) {
      const keys = [...this.#blobs.getKeys({ limit: CLEAR_ROWS })];
      if (keys.length === 0) return;
      await this.#root.transaction(() => {
        for (const key of keys) void this.#blobs.remove(key);
      });
    }
  }

  #putNote({ boots, position, flushFailedIn }: StoreNote): void {
    const place = position && [position.epoch.counter, position.epoch.random, position.seq, position.digest];
    const failed = flushFailedIn === undefined ? [] : [flushFailedIn];
    void this.#notes.put(this.#key, Buffer.from(encode([boots, place ?? null, ...failed])));
  }
}

function parseValue(value: Buffer | undefined): HeldBlob | undefined {
  if (value === undefined || value.length !== VALUE_BYTES) return undefined;
  return { refs: value.readUInt32BE(0), bytes: value.readUIntBE(4, 6) };
}

function formatValue({ refs, bytes }: HeldBlob): Buffer {
  const value = Buffer.alloc(VALUE_BYTES);
  value.writeUInt32BE(refs, 0);
  value.writeUIntBE(bytes, 4, 6);
  return value;
}
