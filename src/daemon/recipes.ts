/**
 * Recipes: gives the recipe of a large blob to peers that ask for it.
 *
 * A recipe that a store keeps (store/recipe-index.ts), or that was made lately, is given at once. Any other is made in
 * a worker thread, given out while it is made, and kept. Peers that ask for the same one meanwhile get it along with
 * the first, so that N fetchers of a new file cost its origin one reading. Each disk has a thread of its own, so that
 * one that hangs does not hold up the others.
 *
 * A recipe depends on the blob's content alone, so a kept one stays right whatever becomes of the file, unless the
 * file was read wrong when the recipe was made. So the recipe is made again when bytes that this host gave have hashed
 * to another name.
 */
import type { Logger } from 'pino';
import { makeRecipe, NoRecipe, type RecipeFile, type RecipeThread, recipeThread } from '../catalog/recipe-maker.js';
import type { ByteRange } from '../core/byte-range.js';
import type { BlobId } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import { isRecipe, pagesOf } from '../core/recipe.js';
import type { StoredBlob } from '../store/blob-reader.js';
import type { Store } from '../store/store.js';
import { Replay } from './replay.js';

/** Packed bytes kept in memory: the recipes of half a terabyte of files. */
const KEPT_BYTES_MAX = 16 * 1024 * 1024;

type LargeBlob = BlobRef & { readonly blob: BlobId };

/** Where a recipe can be made. */
export interface RecipePlace {
  readonly file: RecipeFile;
  /** The name of its disk: files of one disk are read by one thread. */
  readonly disk: string;
}

export function heldPlace(store: Store, { path, bytes }: StoredBlob): RecipePlace {
  return { file: { path: Buffer.from(path), bytes, stat: undefined }, disk: store.id };
}

/** A recipe that is being made, for as long as somebody reads it. */
interface Making {
  readonly pages: Replay<Uint8Array>;
  readonly abort: AbortController;
  readers: number;
  /** Set if somebody has found it wrong: it is not kept. */
  isDoubted: boolean;
}

export class Recipes {
  /** The recipe asked for longest ago comes first. */
  readonly #kept = new Map<BlobId, Uint8Array>();
  #keptBytes = 0;
  readonly #making = new Map<BlobId, Making>();
  readonly #threads = new Map<string, RecipeThread>();
  readonly #log: Logger;

  constructor({ log }: { readonly log: Logger }) {
    this.#log = log;
  }

  #find(blob: BlobId): Uint8Array | undefined {
    const packed = this.#kept.get(blob);
    if (packed === undefined) return undefined;
    this.#kept.delete(blob);
    this.#kept.set(blob, packed);
    return packed;
  }

  /**
   * Pages of the recipe.
   * @param isDoubted by the asker: then the recipe is made again
   * @throws NoRecipe, and the disk's own errors
   */
  async *pages(
    blob: BlobId,
    place: RecipePlace,
    signal: AbortSignal,
    isDoubted = false,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    if (isDoubted) this.#forget(blob);
    const kept = this.#find(blob);
    if (kept !== undefined) return yield* pagesOf(kept);
    const making = this.#making.get(blob) ?? this.#begin(blob, place);
    making.readers += 1;
    try {
      for await (const page of making.pages.read()) {
        signal.throwIfAborted();
        yield page;
      }
    } finally {
      making.readers -= 1;
      if (making.readers === 0) this.#end(blob, making);
    }
  }

  /** Pages of the recipe of a blob that a store holds, which keeps it if its index takes it. @throws as `pages` */
  async *ofHeld(
    store: Store,
    ref: LargeBlob,
    signal: AbortSignal,
    isDoubted = false,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    if (isDoubted) await this.#orWarn(ref, () => store.forgetRecipe(ref));
    const kept = isDoubted ? undefined : store.recipe(ref);
    if (kept !== undefined) return yield* pagesOf(kept);
    const opened = await store.openBlob(ref.blob);
    if (opened === undefined) throw new NoRecipe(`store ${store.id} does not hold blob ${ref.blob}`);
    const pages: Uint8Array[] = [];
    for await (const page of this.pages(ref.blob, heldPlace(store, opened), signal, isDoubted)) {
      pages.push(page);
      yield page;
    }
    await this.#orWarn(ref, () => store.keepRecipe(ref, Buffer.concat(pages)));
  }

  /** Whoever asked has all pages, and this may be the last copy: a disk that takes no writes must still give it. */
  async #orWarn({ blob }: LargeBlob, write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      this.#log.warn({ code: 'RECIPE_NOT_KEPT', blob, err: error }, 'a recipe could not be kept');
    }
  }

  /** The pieces of some ranges of a file. They are not kept. @throws as `pages` */
  pieces(
    { file, disk }: RecipePlace,
    ranges: readonly ByteRange[],
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void> {
    return makeRecipe(this.#threadOf(disk), file, signal, ranges);
  }

  /** Ends the threads that nobody uses any longer. */
  async stop(): Promise<void> {
    for (const { abort } of this.#making.values()) abort.abort(new Error('the service stops'));
    await Promise.all([...this.#threads.values()].map(thread => thread.end()));
  }

  #begin(blob: BlobId, { file, disk }: RecipePlace): Making {
    const thread = this.#threadOf(disk);
    const abort = new AbortController();
    const pages = new Replay(makeRecipe(thread, file, abort.signal));
    const making: Making = { pages, abort, readers: 0, isDoubted: false };
    this.#making.set(blob, making);
    const made = (): void => {
      if (!making.isDoubted) this.#keep(blob, Buffer.concat(pages.items), file.bytes);
    };
    pages.ended.then(made).catch(() => {}); // its readers get the error
    return making;
  }

  #threadOf(disk: string): RecipeThread {
    const thread = this.#threads.get(disk) ?? recipeThread();
    this.#threads.set(disk, thread);
    return thread;
  }

  /** From now on a caller starts a new making, unless the recipe is kept. */
  #end(blob: BlobId, making: Making): void {
    if (this.#making.get(blob) === making) this.#making.delete(blob);
    making.abort.abort(new Error('nobody waits for this recipe any longer'));
  }

  /** Forgets the kept recipe and the one being made, which its present readers still get to the end. */
  #forget(blob: BlobId): void {
    this.#keptBytes -= this.#kept.get(blob)?.length ?? 0;
    this.#kept.delete(blob);
    const making = this.#making.get(blob);
    if (making !== undefined) making.isDoubted = true;
    this.#making.delete(blob);
  }

  #keep(blob: BlobId, packed: Uint8Array, bytes: number): void {
    if (this.#kept.has(blob) || packed.length > KEPT_BYTES_MAX || !isRecipe(packed, bytes)) return;
    this.#kept.set(blob, packed);
    this.#keptBytes += packed.length;
    for (const [oldest, { length }] of this.#kept) {
      if (this.#keptBytes <= KEPT_BYTES_MAX) break;
      this.#kept.delete(oldest);
      this.#keptBytes -= length;
    }
  }
}
