/**
 * Chunk fetch: fetches one large blob from one peer by its recipe. Chunks that this host's store already has are
 * copied from there; only the rest is asked for.
 *
 * The recipe is read as it comes, and planned in batches: some ranges to ask for, and what is copied between them. A
 * batch is one ask. The next is asked when the present one is nearly here and little is left to copy, so that the line
 * is never idle. It is not asked sooner, because a sender gives up an answer that nobody reads for a while. The blob is
 * assembled in order (store/assembly.ts), each chunk checked as it comes, so the next fetch continues where this broke
 * off, from any peer. Chunks that are missing between others that are here are first compared with their older version
 * (older-version.ts).
 *
 * Driven by fetcher.ts.
 */
import { type ByteRange, sumOf } from '../core/byte-range.js';
import { ClusterError } from '../core/fault.js';
import type { BlobId, ParcelId, PeerName } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import { type Chunk, chunksOf } from '../core/recipe.js';
import { askFetch, type FetchPart, type FetchPurpose } from '../net/fetch-protocol.js';
import { askRecipe, type RecipePart } from '../net/fetch-recipe.js';
import type { Net } from '../net/net.js';
import { lastingAbort } from '../platform/lasting-abort.js';
import type { Assembly, Patch } from '../store/assembly.js';
import type { Store } from '../store/store.js';
import { Batch, COPIED_BYTES_MAX, type Piece, type Step } from './fetch-batch.js';
import { type Following, followingOf, type Gap, gapsIn, OldPieces } from './older-version.js';
import { BlobsGone, PeerBusy } from './peer-answers.js';
import { heldPlace, type Recipes } from './recipes.js';
import { Repeats } from './repeats.js';
import { Replay } from './replay.js';

/**
 * The next batch is asked for when this much of the present one is still to come: what a gigabit line brings in 30 ms.
 */
const AHEAD_BYTES = 4 * 1024 * 1024;
/** A peer is asked for something this often, in ms: it keeps our place for 10 s after giving all it was asked for. */
const PLACE_ASKED_MS = 4_000;

export interface ChunkFetchOrder {
  readonly net: Net;
  readonly peer: PeerName;
  readonly store: Store;
  readonly recipes: Recipes;
  readonly parcel: ParcelId;
  readonly blob: BlobRef & { readonly blob: BlobId };
  readonly purpose: FetchPurpose;
  /** What the peer gave of this parcel last time hashed to another name. */
  readonly doubted: boolean;
  /** Called as bytes of the blob arrive. */
  readonly onReceived: (bytes: number) => void;
  /** Called as bytes of the blob are taken from what this host already has. */
  readonly onFound: (bytes: number) => void;
}

export type ChunkFetched =
  /** The store has the whole blob. `recipe` is the packed recipe, if one was used; it is kept once the blob is held. */
  | { readonly is: 'here'; readonly recipe?: Uint8Array }
  /**
   * The peer gives no recipe of the blob. It may still give the bytes, or have nothing of it, so bytes that came before
   * are kept.
   */
  | { readonly is: 'no-recipe' };

/** @throws ClusterError as `askFetch` and `Assembly`; BlobsGone, PeerBusy. Bytes that came are kept for a while. */
export async function fetchByChunks(order: ChunkFetchOrder, signal: AbortSignal): Promise<ChunkFetched> {
  const assembly = await order.store.assemble(order.blob, signal);
  if (assembly === undefined) return { is: 'here' };
  // However this ends, no stream of it stays open.
  const streams = lastingAbort();
  const onAbort = (): void => streams.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  const fetch = new ChunkFetch(order, assembly, streams.signal);
  try {
    return await fetch.run();
  } finally {
    signal.removeEventListener('abort', onAbort);
    streams.abort(new Error('this fetch is over'));
    fetch.leave();
    await assembly.leave();
  }
}

class RecipeGone extends Error {}

class ChunkFetch {
  readonly #order: ChunkFetchOrder;
  readonly #assembly: Assembly;
  readonly #signal: AbortSignal;
  /** Asks whose bytes have all come, but which the peer has yet to end. */
  readonly #ending: Promise<void>[] = [];
  /** What follows, on this host, the last chunk of the batches so far that is copied from here. */
  #following: Following;
  #next: Batch | undefined;
  #ahead: Want | undefined;
  /** All asks that have not ended. */
  readonly #wants = new Set<Want>();
  #askedMs = performance.now();
  readonly #repeats: Repeats;

  constructor(order: ChunkFetchOrder, assembly: Assembly, signal: AbortSignal) {
    this.#order = order;
    this.#assembly = assembly;
    this.#signal = signal;
    this.#repeats = new Repeats(order.blob.blob);
  }

  async run(): Promise<ChunkFetched> {
    const { net, peer, parcel, blob, purpose, doubted } = this.#order;
    const asked = askRecipe(net, peer, { parcel, blob, purpose, doubted }, { signal: this.#signal });
    // Read at once, however slowly the bytes come: otherwise the sender would wait for this host, and give up.
    const recipe = new Replay(pagesIn(asked));
    try {
      await this.#carryOut(this.#batches(recipe.read()));
    } catch (error) {
      if (!(error instanceof RecipeGone)) throw error;
      if (recipe.items.length === 0) return { is: 'no-recipe' };
      throw new BlobsGone(`blob ${blob.blob} went while ${peer} made its recipe`);
    }
    await this.#assembly.finish();
    await Promise.all(this.#ending);
    return { is: 'here', recipe: Buffer.concat(recipe.items) };
  }

  /**
   * A signal alone does not end an ask whose answer nobody awaits: its stream would stay, and its place at the peer.
   */
  leave(): void {
    for (const want of this.#wants) want.leave();
  }

  async *#batches(pages: AsyncIterable<Uint8Array>): AsyncGenerator<Batch, undefined, undefined> {
    let offset = 0;
    let keeps = true;
    for await (const page of pages) {
      let batch = new Batch();
      for (const chunk of chunksOf(page)) {
        const repeated = this.#repeats.take(chunk, offset);
        keeps = keeps && (await this.#assembly.keep(chunk));
        if (keeps) this.#found(chunk);
        else {
          const step: Step = { chunk, offset, place: this.#assembly.find(chunk) ?? repeated };
          if (!batch.takes(step)) {
            yield this.#compared(batch);
            batch = new Batch();
          }
          batch.add(step);
        }
        offset += chunk.bytes;
      }
      // Not held back until the next page comes, which the peer may still have to make.
      if (batch.steps.length > 0) yield this.#compared(batch);
    }
    return undefined;
  }

  /** Finds out which parts of the batch's missing chunks this host's older version of the file contains. */
  async #compared(batch: Batch): Promise<Batch> {
    const { blob } = this.#order.blob;
    const gaps = gapsIn(batch.steps, { of: blob, before: this.#following });
    const last = batch.steps.findLast(({ place }) => place !== undefined);
    if (last !== undefined) this.#following = followingOf(last, blob);
    const missing = gaps.flatMap(({ steps }) => steps);
    if (missing.length === 0) return batch;
    const [theirs, ours] = await Promise.all([this.#theirPieces(missing), this.#ourPieces(gaps)]);
    if (theirs !== undefined) ours.note(missing, theirs);
    return batch;
  }

  /** `undefined` when the peer does not say. */
  async #theirPieces(missing: readonly Step[]): Promise<Uint8Array | undefined> {
    const { net, peer, parcel, blob, purpose } = this.#order;
    const ranges = missing.map(({ offset, chunk }) => ({ offset, bytes: chunk.bytes }));
    const pages: Uint8Array[] = [];
    try {
      const asked = askRecipe(net, peer, { parcel, blob, purpose, ranges }, { signal: this.#signal });
      for await (const page of pagesIn(asked)) pages.push(page);
      return Buffer.concat(pages);
    } catch (error) {
      if (error instanceof RecipeGone) return undefined;
      throw error;
    }
  }

  async #ourPieces(gaps: readonly Gap[]): Promise<OldPieces> {
    const { store, recipes } = this.#order;
    const found = new OldPieces();
    for (const { old } of gaps) {
      const held = await store.openBlob(old.blob);
      const bytes = Math.min(old.bytes, (held?.bytes ?? 0) - old.offset);
      if (held === undefined || bytes <= 0) continue;
      const ranges = [{ offset: old.offset, bytes }];
      const pages: Uint8Array[] = [];
      try {
        for await (const page of recipes.pieces(heldPlace(store, held), ranges, this.#signal)) pages.push(page);
      } catch {
        this.#signal.throwIfAborted();
        // The older version cannot be read here, so the peer has to give more.
        continue;
      }
      found.add(old, chunksOf(Buffer.concat(pages)));
    }
    return found;
  }

  async #carryOut(batches: AsyncGenerator<Batch, undefined, undefined>): Promise<void> {
    for (let coming = batches.next(); ; ) {
      const { value: batch } = await coming;
      if (batch === undefined) return;
      this.#next = undefined;
      coming = batches.next();
      coming.then(
        ({ value }) => {
          this.#next = value;
        },
        () => {}, // thrown when its turn comes
      );
      let want = this.#ahead ?? this.#ask(batch);
      this.#ahead = undefined;
      const copied = ({ place, chunk }: Step): number => (place === undefined ? 0 : chunk.bytes);
      let leftBytes = batch.steps.reduce((sum, step) => sum + copied(step), 0);
      for (const step of batch.steps) {
        await this.#take(step, want);
        leftBytes -= copied(step);
        if (want?.leftBytes === 0) {
          this.#ending.push(want.end());
          want = undefined;
        }
        this.#askAhead(want, leftBytes);
      }
    }
  }

  async #take(step: Step, want: Want | undefined): Promise<void> {
    const { chunk, offset, place, pieces } = step;
    if (place === undefined && pieces === undefined) return this.#append(chunk, want);
    if (place !== undefined ? await this.#assembly.copy(chunk, place) : await this.#patch(chunk, pieces ?? [], want))
      return this.#found(chunk);
    // The bytes are unexpectedly not on this host after all.
    const alone = new Batch();
    alone.add({ chunk, offset, place: undefined });
    const asked = this.#ask(alone);
    await this.#append(chunk, asked);
    if (asked !== undefined) this.#ending.push(asked.end());
  }

  /**
   * All or most of the chunk was on this host. Looking through what is here may take minutes in which nothing has to
   * come. So one byte is asked for now and then: otherwise the peer would think that this host is done, and give its
   * place to somebody else.
   */
  #found({ bytes }: Chunk): void {
    this.#order.onFound(bytes);
    if (this.#wants.size > 0 || performance.now() - this.#askedMs < PLACE_ASKED_MS) return;
    // Whatever the peer answers to this, it answers again to the next ask.
    this.#ending.push(this.#askFor([{ offset: 0, bytes: 1 }]).end());
  }

  async #append(chunk: Chunk, want: Want | undefined): Promise<void> {
    const content = this.#assembly.bufferFor(chunk);
    await read(want, content);
    await this.#assembly.append(chunk, content);
  }

  async #patch(chunk: Chunk, pieces: readonly Piece[], want: Want | undefined): Promise<boolean> {
    const content = this.#assembly.bufferFor(chunk);
    const patches: Patch[] = [];
    for (const { at, bytes, from } of pieces) {
      if (from === undefined) await read(want, content.subarray(at, at + bytes));
      else patches.push({ ...from, at, bytes });
    }
    if (patches.length > 0) return this.#assembly.patch(chunk, content, patches);
    await this.#assembly.append(chunk, content);
    return true;
  }

  /** @param copiedBytes still to copy of the present batch */
  #askAhead(present: Want | undefined, copiedBytes: number): void {
    if (this.#ahead !== undefined || this.#next === undefined) return;
    if ((present?.leftBytes ?? 0) > AHEAD_BYTES || copiedBytes > COPIED_BYTES_MAX) return;
    this.#ahead = this.#ask(this.#next);
  }

  /** `undefined` when this host has all of the batch. */
  #ask(batch: Batch): Want | undefined {
    const ranges = batch.ranges();
    return ranges.length === 0 ? undefined : this.#askFor(ranges);
  }

  #askFor(ranges: readonly ByteRange[]): Want {
    this.#askedMs = performance.now();
    const bytes = sumOf(ranges);
    const { net, peer, parcel, blob, purpose, onReceived } = this.#order;
    const request = { parcel, blobs: [blob.blob], purpose, ranges };
    const parts = askFetch(net, peer, request, { signal: this.#signal });
    const want = new Want(parts, {
      bytes,
      blob: blob.blob,
      onReceived,
      onEnd: () => this.#wants.delete(want),
    });
    this.#wants.add(want);
    return want;
  }
}

function read(want: Want | undefined, into: Uint8Array): Promise<void> {
  if (want === undefined) throw new Error('a chunk that is not here was not asked for');
  return want.read(into);
}

interface Wanted {
  readonly bytes: number;
  readonly blob: BlobId;
  readonly onReceived: (bytes: number) => void;
  readonly onEnd: () => void;
}

/** One ask, as its answer comes. */
class Want {
  readonly #parts: AsyncGenerator<FetchPart, void, undefined>;
  readonly #wanted: Wanted;
  /** Started with the ask, so that the ask goes out before anybody reads. */
  #first: Promise<IteratorResult<FetchPart, void>> | undefined;
  #data: Uint8Array = new Uint8Array();
  leftBytes: number;

  constructor(parts: AsyncGenerator<FetchPart, void, undefined>, wanted: Wanted) {
    this.#parts = parts;
    this.#wanted = wanted;
    this.leftBytes = wanted.bytes;
    this.#first = parts.next();
    this.#first.catch(() => {}); // thrown by the read that waits for it
  }

  /** Reads the next bytes, as many as there is room for. */
  async read(into: Uint8Array): Promise<void> {
    for (let at = 0; at < into.length; ) {
      while (this.#data.length === 0) await this.#more();
      const piece = this.#data.subarray(0, into.length - at);
      into.set(piece, at);
      at += piece.length;
      this.#data = this.#data.subarray(piece.length);
    }
    this.leftBytes -= into.length;
  }

  /**
   * Called after the last byte. If the peer only now says that the file changed, that is too late to matter: each chunk
   * is checked by its hash.
   */
  async end(): Promise<void> {
    try {
      for await (const _ of this.#parts);
    } catch {
      // All bytes came.
    }
    this.#wanted.onEnd();
  }

  /** Nothing more of the answer is wanted. Does not wait: the signal first ends any read that is under way. */
  leave(): void {
    this.#parts.return().catch(() => {}); // the reader gets it
  }

  async #more(): Promise<void> {
    const { value: part } = await (this.#first ?? this.#parts.next());
    this.#first = undefined;
    switch (part?.kind) {
      case 'busy':
        throw new PeerBusy(part.retryAfterMs);
      case 'gone':
      case undefined:
        throw new BlobsGone(`blob ${this.#wanted.blob} is gone`);
      case 'blob':
        if (part.bytes === this.#wanted.bytes) return;
        throw new ClusterError(
          'BLOB_MISMATCH',
          `${this.#wanted.bytes} bytes of blob ${this.#wanted.blob} were asked for, but ${part.bytes} are offered; none of them was used`,
          { blame: 'peer' },
        );
      case 'data':
        this.#data = part.data;
        this.#wanted.onReceived(part.data.length);
    }
  }
}

async function* pagesIn(parts: AsyncIterable<RecipePart>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const part of parts) {
    switch (part.kind) {
      case 'busy':
        throw new PeerBusy(part.retryAfterMs);
      case 'gone':
        throw new RecipeGone();
      case 'chunks':
        yield part.page;
    }
  }
}
