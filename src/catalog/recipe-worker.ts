/**
 * Recipe worker: reads a file, cuts it and hashes its chunks, in a thread of its own. Its calls are synchronous and do
 * a little at each ask, so that several files progress side by side, and the reading stops when the caller stops
 * asking. Started by recipe-maker.ts only.
 */
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { ByteRange } from '../core/byte-range.js';
import { createHasher } from '../core/hash.js';
import { type Chunk, packChunks } from '../core/recipe.js';
import { answerAsks } from '../platform/worker-thread.js';
import { ChunkCutter, chunkSizesOf, PIECES } from './chunk-cutter.js';
import type { RecipeAsk, RecipeReply } from './recipe-maker.js';
import type { ContentStat } from './scan-cache-format.js';

/** Fits a processor's cache, since the bytes are read twice. */
const READ_BYTES = 512 * 1024;
/** Bytes read at one ask: a tenth of a second's work, and at most 128 chunks. */
const ASK_BYTES = 32 * 1024 * 1024;
/** The same for pieces: these bytes have at most 2048, plus the ends of ranges. */
const ASK_PIECES_BYTES = 4 * 1024 * 1024;
/** Half a page, since one read may add up to 256. */
const ASK_CHUNKS_MAX = 2048;

const { O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
const buffer = Buffer.allocUnsafe(READ_BYTES);

class Making {
  readonly #descriptor: number;
  readonly #bytes: number;
  readonly #before: BigIntStats;
  readonly #isWhole: boolean;
  readonly #seen: ContentStat | undefined;
  /** The ranges that have not been read yet. */
  readonly #ranges: ByteRange[];
  #cutter: ChunkCutter;
  #hasher = createHasher();
  /** Bytes of the open chunk. */
  #length = 0;

  constructor({ path, bytes, ranges, stat }: Extract<RecipeAsk, { is: 'open' }>) {
    this.#bytes = bytes;
    this.#seen = stat;
    this.#isWhole = ranges === undefined;
    this.#ranges = ranges === undefined ? [{ offset: 0, bytes }] : [...ranges];
    this.#cutter = this.#newCutter();
    this.#descriptor = openSync(Buffer.from(path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    this.#before = fstatSync(this.#descriptor, { bigint: true });
  }

  /** Whether it is a file of the right size, and unchanged since the caller's look. */
  isAsSeen(): boolean {
    const now = this.#before;
    return now.isFile() && now.size === BigInt(this.#bytes) && (this.#seen === undefined || isSame(now, this.#seen));
  }

  #isAsBefore(): boolean {
    const now = fstatSync(this.#descriptor, { bigint: true });
    // A held blob is linked into a tree, or out of it, meanwhile: that changes its ctime, and no byte.
    return this.#seen === undefined ? isWrittenAlike(this.#before, now) : isSame(this.#before, now);
  }

  more(giveSign: () => void): RecipeReply {
    const chunks: Chunk[] = [];
    const askBytes = this.#isWhole ? ASK_BYTES : ASK_PIECES_BYTES;
    for (let readBytes = 0; readBytes < askBytes && chunks.length < ASK_CHUNKS_MAX; ) {
      const [range] = this.#ranges;
      if (range === undefined) {
        if (!this.#isAsBefore()) return { is: 'changed' };
        return { is: 'chunks', page: packChunks(chunks), last: true };
      }
      const { offset, bytes } = range;
      giveSign();
      const got = readSync(this.#descriptor, buffer, 0, Math.min(READ_BYTES, bytes), offset);
      if (got === 0) return { is: 'changed' };
      this.#cut(buffer.subarray(0, got), chunks);
      readBytes += got;
      if (got < bytes) this.#ranges[0] = { offset: offset + got, bytes: bytes - got };
      else {
        this.#ranges.shift();
        if (this.#length > 0) chunks.push(this.#end());
        this.#cutter = this.#newCutter();
      }
    }
    return { is: 'chunks', page: packChunks(chunks), last: false };
  }

  #newCutter(): ChunkCutter {
    return new ChunkCutter(this.#isWhole ? chunkSizesOf(this.#bytes) : PIECES);
  }

  #cut(bytes: Uint8Array, chunks: Chunk[]): void {
    for (let at = 0; at < bytes.length; ) {
      const end = this.#cutter.next(bytes, at);
      const stop = end === -1 ? bytes.length : end;
      this.#hasher.update(bytes.subarray(at, stop));
      this.#length += stop - at;
      at = stop;
      if (end !== -1) chunks.push(this.#end());
    }
  }

  #end(): Chunk {
    const chunk = { hash: this.#hasher.digest(), bytes: this.#length };
    this.#hasher = createHasher();
    this.#length = 0;
    return chunk;
  }

  close(): void {
    this.#hasher.dispose();
    closeSync(this.#descriptor);
  }
}

function isSame(a: ContentStat, b: ContentStat): boolean {
  return isWrittenAlike(a, b) && a.ctimeNs === b.ctimeNs && a.ino === b.ino;
}

const isWrittenAlike = (a: ContentStat, b: ContentStat): boolean => a.size === b.size && a.mtimeNs === b.mtimeNs;

const open = new Map<number, Making>();

function answer(ask: RecipeAsk, giveSign: () => void): RecipeReply {
  switch (ask.is) {
    case 'open': {
      const making = new Making(ask);
      if (!making.isAsSeen()) {
        making.close();
        return { is: 'changed' };
      }
      open.set(ask.session, making);
      return { is: 'done' };
    }
    case 'more':
      return open.get(ask.session)?.more(giveSign) ?? { is: 'changed' };
    case 'close':
      open.get(ask.session)?.close();
      open.delete(ask.session);
      return { is: 'done' };
  }
}

answerAsks(answer, reply => (reply.is === 'chunks' ? [reply.page.buffer] : []));
