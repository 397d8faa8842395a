/**
 * Recipe index: where in a store to find a chunk that a peer is about to send.
 *
 * For each large held blob it has the recipe, and for each chunk all blobs that have it, and where. It is filled when
 * a blob is committed, with the recipe that the fetch used, and emptied when the blob leaves the store. Each blob has
 * entries of its own, so a blob that leaves takes nothing from those that stay. The blob that came last is named
 * first, because the next version is most like it.
 *
 * Nothing in it is believed: a named blob must be held, and bytes are hashed before they count (assembly.ts). So a lost
 * or stale index costs bytes on the wire and nothing else.
 *
 * On disk, some 100 bytes a chunk: 95 MB for a terabyte of large files. Changes run one after the other, a slice at a
 * time, since a transaction holds up the event loop. Driven by kept-recipes.ts, and read by assembly.ts.
 */
import type { Database, RootDatabase } from 'lmdb';
import { type BlobId, bytesOf, hexOf, parseBlobId, type StoreId } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import { type Chunk, chunksOf, isRecipe, pagesOf } from '../core/recipe.js';
import { Turns } from './turns.js';

/** Chunks in one transaction: some 2 ms. */
const SLICE_CHUNKS = 1024;
/** Blobs looked at in one turn of the event loop: some 2 ms. */
const SWEPT_AT_ONCE = 256;
/** Bytes kept of a chunk's hash: the chance that two share them is 1 in 2^80 for as many chunks as a store can have. */
const KEY_HASH_BYTES = 16;
const BLOB_BYTES = 32;
/** blob, offset u48 */
const PLACE_BYTES = BLOB_BYTES + 6;

const PAGE_KEY = 0;
const CHUNK_KEY = 1;
const NUMBER_KEY = 2;
/** A blob's number in the order of all blobs that ever came: u48 */
const NUMBER_BYTES = 6;

export interface ChunkPlace {
  readonly blob: BlobId;
  readonly offset: number;
}

export class RecipeIndex {
  readonly #root: RootDatabase<Buffer, Uint8Array>;
  readonly #table: Database<Buffer, Uint8Array>;
  readonly #turns = new Turns<'change'>();

  constructor(root: RootDatabase<Buffer, Uint8Array>, store: StoreId) {
    this.#root = root;
    this.#table = root.openDB({ name: `recipes-${store}`, keyEncoding: 'binary', encoding: 'binary' });
  }

  /** The packed recipe; `undefined` when it is missing or incomplete. */
  recipe({ blob, bytes }: BlobRef): Uint8Array | undefined {
    const packed = Buffer.concat([...this.#pages(blob)].map(({ value }) => value));
    return packed.length > 0 && isRecipe(packed, bytes) ? packed : undefined;
  }

  /** Places of the chunk, the blob that came last first. */
  *places(chunk: Chunk): Generator<ChunkPlace, undefined, undefined> {
    const range = { start: chunkKey(chunk, NUMBER_MAX), end: chunkKey(chunk, 0), reverse: true };
    for (const { value } of this.#table.getRange(range)) {
      const place = placeFrom(value);
      if (place !== undefined) yield place;
    }
    return undefined;
  }

  /** @param packed a whole recipe of that blob */
  put(blob: string, packed: Uint8Array): Promise<void> {
    return this.#turns.take('change', async () => {
      let offset = 0;
      for (const [n, page] of [...pagesOf(packed, SLICE_CHUNKS)].entries()) {
        await this.#root.transaction(() => {
          const number = this.#number(blob) ?? this.#giveNumber(blob);
          for (const chunk of chunksOf(page)) {
            void this.#table.put(chunkKey(chunk, number), placeOf(blob, offset));
            offset += chunk.bytes;
          }
          void this.#table.put(pageKey(blob, n), Buffer.from(page));
        });
      }
    });
  }

  forget(blob: string): Promise<void> {
    return this.#turns.take('change', async () => {
      // The last page first: a crash then leaves no whole recipe, and the rest is swept.
      const pages = [...this.#pages(blob)];
      for (let page = pages.pop(); page !== undefined; page = pages.pop()) {
        const { key, value } = page;
        await this.#root.transaction(() => {
          const number = this.#number(blob);
          if (number !== undefined)
            for (const chunk of chunksOf(value)) void this.#table.remove(chunkKey(chunk, number));
          void this.#table.remove(key);
          if (pages.length === 0) void this.#table.remove(numberKey(blob));
        });
      }
    });
  }

  /** Forgets recipes of blobs that are not held, left by a crash or by a rebuild of the index. */
  async sweep(isHeld: (blob: BlobId) => boolean, signal: AbortSignal): Promise<void> {
    let start: Uint8Array = Buffer.of(PAGE_KEY);
    for (let looked = 0; ; looked += 1) {
      if (looked % SWEPT_AT_ONCE === 0) await new Promise(setImmediate);
      if (signal.aborted) return;
      const [key] = [...this.#table.getKeys({ start, end: Buffer.of(CHUNK_KEY), limit: 1 })];
      if (key === undefined) return;
      const blob = parseBlobId(hexOf(key.subarray(1, 1 + BLOB_BYTES)));
      if (!isHeld(blob)) await this.forget(blob);
      start = pageKey(blob, 0xffff_ffff);
    }
  }

  /** Resolves when all that was begun is written. */
  settled(): Promise<void> {
    return this.#turns.allDone();
  }

  #number(blob: string): number | undefined {
    return this.#table.get(numberKey(blob))?.readUIntBE(0, NUMBER_BYTES);
  }

  /** Must run in a transaction. */
  #giveNumber(blob: string): number {
    const number = (this.#table.get(LAST_NUMBER_KEY)?.readUIntBE(0, NUMBER_BYTES) ?? 0) + 1;
    void this.#table.put(LAST_NUMBER_KEY, packNumber(number));
    void this.#table.put(numberKey(blob), packNumber(number));
    return number;
  }

  #pages(blob: string) {
    return this.#table.getRange({ start: pageKey(blob, 0), end: pageKey(blob, 0xffff_ffff) });
  }
}

function pageKey(blob: string, page: number): Buffer {
  const key = Buffer.alloc(1 + BLOB_BYTES + 4, PAGE_KEY);
  key.set(bytesOf(blob), 1);
  key.writeUInt32BE(page, 1 + BLOB_BYTES);
  return key;
}

const NUMBER_MAX = 2 ** (8 * NUMBER_BYTES) - 1;
const LAST_NUMBER_KEY = Buffer.of(NUMBER_KEY);

function packNumber(number: number): Buffer {
  const packed = Buffer.alloc(NUMBER_BYTES);
  packed.writeUIntBE(number, 0, NUMBER_BYTES);
  return packed;
}

const numberKey = (blob: string): Buffer => Buffer.concat([LAST_NUMBER_KEY, bytesOf(blob)]);

const chunkKey = ({ hash }: Chunk, number: number): Buffer =>
  Buffer.concat([Buffer.of(CHUNK_KEY), hash.subarray(0, KEY_HASH_BYTES), packNumber(number)]);

function placeFrom(value: Buffer): ChunkPlace | undefined {
  if (value.length !== PLACE_BYTES) return undefined;
  return { blob: parseBlobId(hexOf(value.subarray(0, BLOB_BYTES))), offset: value.readUIntBE(BLOB_BYTES, 6) };
}

function placeOf(blob: string, offset: number): Buffer {
  const place = Buffer.alloc(PLACE_BYTES);
  place.set(bytesOf(blob));
  place.writeUIntBE(offset, BLOB_BYTES, 6);
  return place;
}
