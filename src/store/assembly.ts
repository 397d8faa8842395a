/**
 * Assembly: a large blob put together from chunks, in order, in one file under `.incoming`.
 *
 * Each chunk comes from what an earlier try left there, from another blob of this store, from an earlier place in the
 * same file, or from a peer. Whatever its source, it is hashed before it is written, and the whole blob's hash decides
 * in the end. Since the file grows in order, an interrupted one is simply a beginning: the next try checks it chunk by
 * chunk and continues after the last right one, also after a restart and whoever it fetches from.
 *
 * Invariants: nothing wrong is ever written behind what is right; one assembly at a time a blob; written bytes count as
 * used room at once. A second caller that wants the same blob waits; then it finds the blob here, or continues from
 * what is there.
 *
 * A thread of the store's own does the hashing, reading and writing (assembly-worker.ts). Driven by store.ts.
 */
import { assert, ClusterError } from '../core/fault.js';
import { type BlobId, hexOf } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import type { Chunk } from '../core/recipe.js';
import { diskOf, watchedBy } from '../platform/disk.js';
import { orAborted } from '../platform/or-aborted.js';
import { type WorkerSession, WorkerThread } from '../platform/worker-thread.js';
import { ChunkBuffers } from './chunk-buffers.js';
import type { Incoming } from './incoming.js';
import { storeFull } from './own-folder.js';
import type { PartialBlob } from './partial-blobs.js';
import type { ChunkPlace, RecipeIndex } from './recipe-index.js';

export type AssemblyAsk = { readonly session: number } & (
  | { readonly is: 'open'; readonly path: string }
  | { readonly is: 'keep'; readonly chunk: Uint8Array; readonly bytes: number }
  | { readonly is: 'append'; readonly chunk: Uint8Array; readonly content: Uint8Array; readonly holes: readonly Hole[] }
  | {
      readonly is: 'copy';
      readonly chunk: Uint8Array;
      readonly from: { readonly path: string; readonly offset: number; readonly bytes: number };
    }
  | { readonly is: 'finish' | 'close' }
);

/** A gap in a chunk, to be filled with a piece of a file here. */
interface Hole {
  readonly at: number;
  readonly path: string;
  readonly offset: number;
  readonly bytes: number;
}

/** The same, naming the held blob that has the piece. */
export interface Patch {
  readonly at: number;
  readonly blob: BlobId;
  readonly offset: number;
  readonly bytes: number;
}

/**
 * For `append`, whether the chunk was right, with its buffer handed back; for `open`, how many bytes lie there; for
 * `finish`, the hash of the whole.
 */
export type AssemblyReply = boolean | Appended | number | Uint8Array;

export interface Appended {
  readonly isRight: boolean;
  readonly buffer: ArrayBuffer;
}

type Session = WorkerSession<AssemblyAsk, AssemblyReply>;

/**
 * Bytes handed to the thread and not written yet, and so in memory. Above this limit an assembly takes nothing more:
 * the thread has its next chunk ready when it is done with one.
 */
const AHEAD_BYTES = 2 * 1024 * 1024;
/** … of all assemblies of a store together, which share its thread; even above it, each may have one chunk there. */
const AHEAD_BYTES_IN_ALL = 8 * 1024 * 1024;

/** What the assemblies of one store share. */
export interface Shared {
  readonly buffers: ChunkBuffers;
  aheadBytes: number;
}

/** What all assemblies of one store use. */
export interface AssemblyParts {
  readonly incoming: Incoming;
  readonly recipes: RecipeIndex;
  /** The path of a held blob that can be counted on; `undefined` for all others. */
  readonly pathOf: (blob: string) => string | undefined;
}

interface AssemblyOptions extends AssemblyParts {
  readonly session: Session;
  readonly shared: Shared;
  readonly end: () => void;
}

export class Assemblies {
  readonly #parts: AssemblyParts;
  readonly #thread = new WorkerThread<AssemblyAsk, AssemblyReply>(
    new URL('./assembly-worker.js', import.meta.url),
    'assembly',
  );
  /** By blob: the assembly that is open, and when it ends. Until then nobody else may begin. */
  readonly #open = new Map<string, { readonly assembly: Promise<Assembly>; readonly ended: Promise<void> }>();
  readonly #shared: Shared = { buffers: new ChunkBuffers(), aheadBytes: 0 };

  constructor(parts: AssemblyParts) {
    this.#parts = parts;
  }

  /**
   * Begins an assembly, or continues from what is there. The caller must `leave` it in the end. `undefined`: the blob
   * is here, whole.
   *
   * @throws the signal's reason, BLOB_MISMATCH (the blob is here with another size), STORE_FULL, and what the disk says
   */
  async begin(ref: BlobRef, signal?: AbortSignal): Promise<Assembly | undefined> {
    for (let other = this.#open.get(ref.blob); other !== undefined; other = this.#open.get(ref.blob))
      await (signal === undefined ? other.ended : orAborted(other.ended, signal));
    const { incoming, pathOf } = this.#parts;
    if (pathOf(ref.blob) !== undefined || incoming.hasArrived(ref)) return undefined;
    const place = incoming.partial(ref);
    let end = (): void => {};
    const ended = new Promise<void>(resolve => {
      end = () => {
        this.#open.delete(ref.blob);
        resolve();
      };
    });
    const session = this.#thread.open();
    const assembly = Assembly.open(ref, place, { ...this.#parts, shared: this.#shared, session, end });
    this.#open.set(ref.blob, { assembly, ended });
    return assembly;
  }

  /** Discards what is there of a blob, once nobody is at it. @throws as `begin` */
  async discard(ref: BlobRef, signal?: AbortSignal): Promise<void> {
    const assembly = await this.begin(ref, signal);
    assembly?.discard();
    await assembly?.leave();
  }

  /** Ends all open assemblies; what they have written stays as it is. */
  async end(): Promise<void> {
    await Promise.all(
      [...this.#open.values()].map(async ({ assembly }) => {
        const open = await assembly.catch(() => undefined); // reported to its own caller
        await open?.leave().catch(() => {}); // reported to the caller that is putting it together
      }),
    );
    await this.#thread.end();
  }
}

/** One caller, one call at a time. */
export class Assembly {
  readonly #ref: BlobRef;
  readonly #place: PartialBlob;
  readonly #recipes: RecipeIndex;
  readonly #pathOf: AssemblyParts['pathOf'];
  readonly #session: Session;
  readonly #shared: Shared;
  readonly #end: () => void;
  /** The chunks handed to the thread, in order. */
  readonly #ahead: { readonly bytes: number; readonly written: Promise<void> }[] = [];
  #aheadBytes = 0;
  /** Bytes of the leftover that have not been checked yet. */
  #leftoverBytes = 0;
  #bytes = 0;
  #failure: unknown;
  #isOfNoUse = false;
  #leaving: Promise<void> | undefined;

  private constructor(ref: BlobRef, place: PartialBlob, { recipes, pathOf, session, shared, end }: AssemblyOptions) {
    this.#ref = ref;
    this.#place = place;
    this.#recipes = recipes;
    this.#pathOf = pathOf;
    this.#session = session;
    this.#shared = shared;
    this.#end = end;
  }

  /** For `Assemblies` only. */
  static async open(ref: BlobRef, place: PartialBlob, options: AssemblyOptions): Promise<Assembly> {
    const assembly = new Assembly(ref, place, options);
    try {
      assembly.#leftoverBytes = (await assembly.#ask({ is: 'open', path: place.path })) as number;
      return assembly;
    } catch (error) {
      await assembly.leave();
      throw storeFull(error, place.path);
    }
  }

  /** How many bytes are in place, from the blob's beginning. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Takes the next chunk if an earlier try has left it here. To be called for each chunk from the first on, until it
   * returns false: then the rest of the leftover has been cut off.
   */
  async keep({ hash, bytes }: Chunk): Promise<boolean> {
    if (this.#leftoverBytes === 0) return false;
    const kept = await this.#orFail(() => this.#ask({ is: 'keep', chunk: hash, bytes }));
    if (kept === true) {
      this.#leftoverBytes -= bytes;
      this.#bytes += bytes;
      return true;
    }
    this.#place.wrote(-this.#leftoverBytes);
    this.#leftoverBytes = 0;
    return false;
  }

  /** A buffer for the content of a chunk that is to be appended or patched next. */
  bufferFor({ bytes }: Chunk): Uint8Array<ArrayBuffer> {
    return this.#shared.buffers.take(bytes);
  }

  /** Where the index says that a blob of this store has the chunk. `copy` finds out whether it really has. */
  find(chunk: Chunk): ChunkPlace | undefined {
    for (const place of this.#recipes.places(chunk)) if (this.#pathOf(place.blob) !== undefined) return place;
    return undefined;
  }

  /**
   * Takes the next chunk from another blob of this store, or from this one's own beginning. False: it is not there
   * after all, and must come from elsewhere.
   */
  async copy({ hash, bytes }: Chunk, { blob, offset }: ChunkPlace): Promise<boolean> {
    this.#mustGrow();
    const path = blob === this.#ref.blob ? this.#place.path : this.#pathOf(blob);
    if (path === undefined) return false;
    const from = { path, offset, bytes };
    const copied = await this.#orFail(() => this.#ask({ is: 'copy', chunk: hash, from }));
    if (copied === true) this.#grew(bytes);
    return copied === true;
  }

  /**
   * Takes the next chunk, some pieces of which come from blobs of this store. False: the pieces together are not the
   * chunk, and it must come from elsewhere.
   *
   * @param content with the received pieces in their places; handed over, with all of its buffer
   */
  async patch({ hash, bytes }: Chunk, content: Uint8Array<ArrayBuffer>, patches: readonly Patch[]): Promise<boolean> {
    this.#mustGrow();
    const holes = patches.flatMap(({ blob, ...hole }) => {
      const path = this.#pathOf(blob);
      return path === undefined ? [] : [{ ...hole, path }];
    });
    if (holes.length < patches.length) return false;
    const isRight = await this.#orFail(() => this.#handOver(hash, content, holes));
    if (isRight) this.#grew(bytes);
    return isRight;
  }

  /**
   * Takes the next chunk, as received. Returns when there is room for another one; so an error may be that of an
   * earlier chunk.
   *
   * @param content is handed over, with all of its buffer
   * @throws ClusterError BLOB_MISMATCH (peer), STORE_FULL
   */
  async append({ hash, bytes }: Chunk, content: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#mustGrow();
    if (this.#failure !== undefined) throw this.#failure;
    assert(content.length === bytes, `a chunk of ${bytes} bytes comes with ${content.length}`);
    const written = this.#orFail(async () => {
      if (!(await this.#handOver(hash, content, [])))
        throw this.#mismatch(`a chunk at ${this.#bytes} hashes to another name than its recipe gives it`);
      this.#grew(bytes);
    });
    written.catch(() => {}); // thrown by the next call
    this.#ahead.push({ bytes, written });
    this.#aheadBytes += bytes;
    this.#shared.aheadBytes += bytes;
    while (this.#aheadBytes > AHEAD_BYTES || (this.#ahead.length > 1 && this.#shared.aheadBytes > AHEAD_BYTES_IN_ALL))
      await this.#oldest();
  }

  async #handOver(chunk: Uint8Array, content: Uint8Array<ArrayBuffer>, holes: readonly Hole[]): Promise<boolean> {
    const appended = await this.#ask({ is: 'append', chunk, content, holes }, [content.buffer]);
    const { isRight, buffer } = appended as Appended;
    this.#shared.buffers.giveBack(buffer);
    return isRight;
  }

  /**
   * All chunks are there: the blob has arrived. @throws ClusterError BLOB_MISMATCH (peer): then nothing of it is kept
   */
  async finish(): Promise<void> {
    while (this.#ahead.length > 0) await this.#oldest();
    assert(this.#leftoverBytes === 0, 'a blob is finished with a leftover behind it');
    await this.#orFail(async () => {
      const hash = hexOf((await this.#ask({ is: 'finish' })) as Uint8Array);
      if (hash === this.#ref.blob && this.#bytes === this.#ref.bytes) return;
      await this.#place.remove();
      throw this.#mismatch(`its ${this.#bytes} bytes hash to ${hash}; nothing of it was kept`);
    });
    await this.#place.arrived();
  }

  /** What is there is useless: `leave` will remove it. */
  discard(): void {
    this.#isOfNoUse = true;
  }

  /** Ends the assembly, however it went. What is there is kept for a while. Harmless when called twice. */
  leave(): Promise<void> {
    this.#leaving ??= this.#leave();
    return this.#leaving;
  }

  async #leave(): Promise<void> {
    for (const { written, bytes } of this.#ahead.splice(0)) {
      await written.catch(() => {}); // reported by a later call
      this.#shared.aheadBytes -= bytes;
    }
    try {
      await this.#ask({ is: 'close' });
    } catch {
      // The thread has ended, or could not open the file: there is nothing to close.
    }
    this.#session.close();
    // On a full disk an unfinished file only takes up room.
    const isInTheWay = this.#failure instanceof ClusterError && this.#failure.code === 'STORE_FULL';
    try {
      if (this.#isOfNoUse || isInTheWay || this.#bytes + this.#leftoverBytes === 0) await this.#place.remove();
      else this.#place.leave();
    } finally {
      this.#end();
    }
  }

  async #oldest(): Promise<void> {
    const oldest = this.#ahead.shift();
    if (oldest === undefined) return;
    this.#aheadBytes -= oldest.bytes;
    try {
      await oldest.written;
    } finally {
      this.#shared.aheadBytes -= oldest.bytes;
    }
  }

  #grew(bytes: number): void {
    this.#bytes += bytes;
    this.#place.wrote(bytes);
  }

  #mustGrow(): void {
    assert(this.#leaving === undefined, 'an assembly goes on after its end');
    assert(this.#leftoverBytes === 0, 'a chunk is written while a leftover is there');
  }

  #ask(ask: Parts<AssemblyAsk>, transfer: readonly ArrayBuffer[] = []): Promise<AssemblyReply> {
    const asked = { ...ask, session: this.#session.number };
    return watchedBy(diskOf(this.#place.path), this.#session, asked, transfer);
  }

  async #orFail<T>(work: () => Promise<T>): Promise<T> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return await work();
    } catch (error) {
      this.#failure ??= storeFull(error, this.#place.path);
      throw this.#failure;
    }
  }

  #mismatch(what: string): ClusterError {
    return new ClusterError('BLOB_MISMATCH', `blob ${this.#ref.blob}: ${what}`, { blame: 'peer' });
  }
}

/** Of each member of a union, all but the session. */
type Parts<Ask> = Ask extends unknown ? Omit<Ask, 'session'> : never;
