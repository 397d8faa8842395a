/**
 * Incoming: blobs on their way into a store, and blobs on its disk that no PRESENT parcel lists yet.
 *
 * Bytes are hashed as they come and written under `.incoming`; only what hashes to its name is ever moved to `.blobs`.
 * Files that this process has not hashed (leftovers of an earlier run under `.incoming`, strays under `.blobs` that no
 * `add` in the log covers, the trash) are hashed when the blob is asked for, and count as arrived if they are right. So
 * an interrupted fetch continues where it was, a dropped blob need not be sent again while it lies in the trash, and
 * nothing is believed because of its name. What came back from the trash and was not used goes there again, for its
 * full time.
 *
 * After a failed flush, until the machine restarts, a hash says nothing about what the disk has (disk-sync.ts). Then
 * what an earlier mount left under `.incoming` is removed, and what is found elsewhere is written again, into a file of
 * its own.
 *
 * Driven by store.ts, commit.ts and held-blobs.ts.
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { assert, ClusterError } from '../core/fault.js';
import { hashHex } from '../core/hash.js';
import { type BlobId, parseBlobId } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import { lstat, readdir, rm } from '../platform/disk-calls.js';
import { renameFiles, writeSmallFiles } from '../platform/small-files.js';
import { readBlob } from './blob-reader.js';
import type { FanFolder } from './fan-folder.js';
import { type FileRead, hashFile } from './hash-file.js';
import { beginAnew, fileAt, modifiedMs, sizeOf } from './incoming-file.js';
import { FILE_MODE, isBadSector, storeFull } from './own-folder.js';
import { type PartialBlob, PartialBlobs, partialNameOf } from './partial-blobs.js';
import { type IncomingBlob, Receiving } from './receiving.js';
import type { Trash } from './trash.js';
import { Turns } from './turns.js';

/** Ends the name, after 12 hex digits, of a file that came back from the trash. */
const TRASH_MARK = '.trash';

/** A blob held in memory as a whole: at most 1 MiB. */
export interface SmallBlob {
  readonly blob: BlobId;
  readonly content: Uint8Array;
}

/** A blob on this disk that this process has hashed and no PRESENT parcel lists yet. */
export interface Arrival {
  readonly blob: BlobId;
  readonly bytes: number;
  readonly path: string;
  readonly placed: boolean;
}

interface ArrivalState extends Arrival {
  path: string;
  placed: boolean;
  placing?: Promise<void>;
}

export interface Finding {
  /** Whether a blob that lies in the trash is taken back. */
  readonly fromTrash: boolean;
  /** Ends the hashing of a found file, which may be large; the file stays where it is. */
  readonly signal?: AbortSignal | undefined;
}

export class Incoming {
  readonly #path: string;
  readonly #trash: Trash;
  readonly #blobs: FanFolder;
  readonly #log: Logger;
  readonly #arrived = new Map<string, ArrivalState>();
  /** Files of an earlier run, not hashed yet. There are as many as were being fetched when it ended. */
  readonly #leftovers = new Map<string, string[]>();
  readonly #partials: PartialBlobs;
  readonly #adopting = new Turns<string>();
  /** Blobs that fetches and commits under way count on. They are not swept away. */
  readonly #pins: ReadonlyMap<string, number>;
  readonly #flushFailed: boolean;
  /** Whether `.blobs` may have files that no `add` in the log covers; looking for each costs a system call. */
  #straysPossible: boolean;
  #incomingBytes = 0;
  readonly #wrote = (bytes: number): void => {
    this.#incomingBytes += bytes;
  };
  /** The bytes of all files under `.blobs`, held or not. */
  #blobBytes: number;

  constructor(options: {
    readonly path: string;
    readonly trash: Trash;
    readonly blobs: FanFolder;
    readonly log: Logger;
    readonly blobBytes: number;
    readonly straysPossible: boolean;
    readonly pins: ReadonlyMap<string, number>;
    /** In an earlier mount during this boot of the machine. */
    readonly flushFailed: boolean;
  }) {
    this.#path = options.path;
    this.#partials = new PartialBlobs(options.path);
    this.#trash = options.trash;
    this.#blobs = options.blobs;
    this.#log = options.log;
    this.#blobBytes = options.blobBytes;
    this.#straysPossible = options.straysPossible;
    this.#pins = options.pins;
    this.#flushFailed = options.flushFailed;
  }

  /** Lists what an earlier run left under `.incoming`. */
  async survey(): Promise<void> {
    for (const name of await readdir(this.#path)) {
      const path = `${this.#path}/${name}`;
      const [blob] = name.split('.');
      if (this.#flushFailed && path.endsWith(TRASH_MARK) && blob !== undefined) {
        await this.#trash.put(path, blob);
        continue;
      }
      // Anything else is a link on its way into a tree.
      if (this.#flushFailed || blob === undefined || !/^[0-9a-f]{64}$/.test(blob)) {
        await rm(path, { force: true });
        continue;
      }
      const { size } = await lstat(path);
      this.#incomingBytes += size;
      // The host may have been off for longer than a leftover is kept.
      await beginAnew(path);
      if (name === partialNameOf(blob)) this.#partials.found(blob, size);
      else this.#leftovers.set(blob, [...(this.#leftovers.get(blob) ?? []), path]);
    }
  }

  get usedBytes(): number {
    return this.#blobBytes + this.#incomingBytes + this.#trash.bytes;
  }

  receive(ref: BlobRef): IncomingBlob {
    const blob = parseBlobId(ref.blob);
    assert(ref.bytes > 0, 'an empty blob is never sent: everybody has it');
    return new Receiving(
      this.#newPath(blob),
      { blob, bytes: ref.bytes },
      {
        wrote: this.#wrote,
        arrived: path => this.#arrive({ blob, bytes: ref.bytes, path, placed: false }),
      },
    );
  }

  /**
   * Receives small blobs as a whole, like `receive` and `finish` for each. The event loop hashes them: that takes 2 µs for
   * 4 KiB (8 in WebAssembly), of the 380 that a small file costs a process.
   * @returns those whose bytes do not match their ids: nothing of them is kept
   * @throws ClusterError STORE_FULL, and whatever the disk says; some of them may have arrived then
   */
  async receiveSmall(blobs: readonly SmallBlob[]): Promise<readonly SmallBlob[]> {
    const wrong: SmallBlob[] = [];
    const files: {
      readonly blob: BlobId;
      readonly path: string;
      readonly content: Uint8Array;
      readonly mode: number;
    }[] = [];
    const mark = newMark();
    for (const { blob, content } of blobs) {
      if (hashHex(content) === blob)
        files.push({ blob, path: `${this.#path}/${blob}.${mark}`, content, mode: FILE_MODE });
      else wrong.push({ blob, content });
    }
    const failures = await writeSmallFiles(files);
    for (const [n, { blob, path, content }] of files.entries()) {
      if (failures[n] !== undefined) continue;
      this.#incomingBytes += content.length;
      await this.#arrive({ blob, bytes: content.length, path, placed: false });
    }
    const failure = failures.find(one => one !== undefined);
    if (failure !== undefined) throw storeFull(failure, this.#path);
    return wrong;
  }

  async #arrive(state: ArrivalState): Promise<void> {
    if (this.#arrived.has(state.blob)) {
      // It came twice, for two parcels that share it.
      await rm(state.path, { force: true });
      this.#incomingBytes -= state.bytes;
    } else this.#arrived.set(state.blob, state);
  }

  /** How many bytes are here of a blob that is being put together or was left unfinished. */
  partialBytes(blob: string): number {
    return this.#partials.bytes(blob);
  }

  hasArrived({ blob, bytes }: BlobRef): boolean {
    return this.#arrived.get(blob)?.bytes === bytes;
  }

  /** Restarts the time for which these blobs are kept, as if they had come now. Never throws. */
  async renew(blobs: readonly string[]): Promise<void> {
    for (const blob of blobs) {
      const arrival = this.#arrived.get(blob);
      try {
        if (arrival?.placed === false) await beginAnew(arrival.path);
        await this.#partials.renew(blob);
      } catch {
        // A commit has moved the file; or it was swept by its old time, and has to come again.
      }
    }
  }

  /**
   * Looks at names only and moves nothing: it arrived, was left by an earlier run, is a stray, or lies in the trash.
   */
  async mayHave({ blob }: BlobRef): Promise<boolean> {
    if (this.#arrived.has(blob) || this.#leftovers.has(blob) || this.#trash.has(blob)) return true;
    return this.#straysPossible && (await sizeOf(this.#blobs.pathOf(blob))) > 0;
  }

  /** At most one at a time for a blob, and none for a blob that has arrived. */
  partial(ref: BlobRef): PartialBlob {
    const blob = parseBlobId(ref.blob);
    const arrival = this.#arrived.get(blob);
    if (arrival !== undefined)
      throw new ClusterError(
        'BLOB_MISMATCH',
        `blob ${blob} is here, with ${arrival.bytes} bytes and not ${ref.bytes}`,
        {
          blame: 'passing',
        },
      );
    return this.#partials.begin(blob, {
      wrote: this.#wrote,
      arrived: path => this.#arrive({ blob, bytes: ref.bytes, path, placed: false }),
    });
  }

  /** The blob with exactly this size, if it is here; hashes what this process has not hashed. @throws the signal's reason */
  async find(ref: BlobRef, finding: Finding): Promise<Arrival | undefined> {
    const { blob, bytes } = ref;
    const { fromTrash } = finding;
    const possible =
      !this.#arrived.has(blob) &&
      (this.#straysPossible || this.#leftovers.has(blob) || (fromTrash && this.#trash.has(blob)));
    // Also waits for a look that began before the blob arrived: that may find wrong bytes under the blob's name and
    // move them.
    if (possible || this.#adopting.busy(blob)) {
      await this.#adopting.take(blob, () => this.#adopt(parseBlobId(blob), finding));
    }
    const arrival = this.#arrived.get(blob);
    return arrival?.bytes === bytes ? arrival : undefined;
  }

  /** Looks for the blob wherever it may lie, until it is found. */
  async #adopt(blob: BlobId, { fromTrash, signal }: Finding): Promise<void> {
    if (this.#straysPossible && !this.#arrived.has(blob)) await this.#adoptStray(blob, signal);
    for (const path of this.#leftovers.get(blob) ?? []) {
      if (this.#arrived.has(blob)) return;
      await this.#adoptLeftover(blob, path, { whenWrong: () => this.#remove(path), signal });
    }
    if (!fromTrash || this.#arrived.has(blob)) return;
    const path = `${this.#newPath(blob)}${TRASH_MARK}`;
    const bytes = await this.#trash.takeBack(blob, path);
    if (bytes === undefined) return;
    this.#incomingBytes += bytes;
    this.#leftovers.set(blob, [...(this.#leftovers.get(blob) ?? []), path]);
    const whenWrong = async (): Promise<void> => {
      this.#incomingBytes -= bytes;
      this.#tellDamage(blob, await this.#trash.setAside(path, blob));
    };
    await this.#adoptLeftover(blob, path, { whenWrong, signal });
  }

  /** A stray that the disk cannot read stays where it is until the blob comes again and takes its place. */
  async #adoptStray(blob: BlobId, signal: AbortSignal | undefined): Promise<void> {
    const path = this.#blobs.pathOf(blob);
    const found = await this.#hash(blob, path, signal);
    if (found === undefined || found === 'unreadable') return;
    if (found.hash !== blob) return this.setAside(blob, found.bytes);
    // If the blob arrived another way meanwhile, that file will replace this one.
    if (this.#arrived.has(blob)) return;
    if (this.#flushFailed) await this.#writeAnew(blob, found.bytes, path);
    else this.#arrived.set(blob, { blob, bytes: found.bytes, path, placed: true });
  }

  /** `undefined` when there is no such file. An unreadable one is in nobody's way: its blob can come again. */
  async #hash(
    blob: BlobId,
    path: string,
    signal: AbortSignal | undefined,
  ): Promise<FileRead | 'unreadable' | undefined> {
    try {
      return await hashFile(path, { signal });
    } catch (error) {
      if (!isBadSector(error)) throw error;
      this.#log.warn(
        { code: 'BLOB_UNREADABLE', blob, err: error },
        'a stray or leftover file cannot be read; its blob has to be fetched again',
      );
      return 'unreadable';
    }
  }

  /** When the disk cannot read the file, or write it again, it stays a leftover. */
  async #adoptLeftover(
    blob: BlobId,
    path: string,
    { whenWrong, signal }: { readonly whenWrong: () => Promise<void>; readonly signal: AbortSignal | undefined },
  ): Promise<void> {
    const found = await this.#hash(blob, path, signal);
    if (found === 'unreadable') return;
    if (this.#flushFailed && found?.hash === blob && !this.#arrived.has(blob)) {
      await this.#writeAnew(blob, found.bytes, path);
    }
    const others = this.#leftovers.get(blob)?.filter(other => other !== path) ?? [];
    if (others.length > 0) this.#leftovers.set(blob, others);
    else this.#leftovers.delete(blob);
    if (found === undefined) return;
    if (found.hash !== blob) await whenWrong();
    // It arrived another way meanwhile, or was written again.
    else if (this.#arrived.has(blob)) await this.#remove(path);
    else this.#arrived.set(blob, { blob, bytes: found.bytes, path, placed: false });
  }

  /** The unhashed file under the blob's name in `.blobs`; `undefined` when there is none, or surely none. */
  async stray(blob: BlobId): Promise<{ readonly path: string; readonly bytes: number } | undefined> {
    if (!this.#straysPossible) return undefined;
    const path = this.#blobs.pathOf(blob);
    const bytes = await sizeOf(path);
    return bytes === 0 ? undefined : { path, bytes };
  }

  /** Writes the file again, as if it came from a peer. */
  async #writeAnew(blob: BlobId, bytes: number, path: string): Promise<void> {
    const incoming = this.receive({ blob, bytes });
    try {
      for await (const chunk of readBlob(path, blob, bytes).read()) await incoming.write(chunk);
      await incoming.finish();
    } catch (error) {
      await incoming.abort();
      throw error;
    }
  }

  /**
   * Moves away bytes that do not match their name under `.blobs`. They are not deleted: they may be all that is left of
   * a file.
   */
  async setAside(blob: BlobId, countedBytes: number): Promise<void> {
    const aside = await this.#trash.setAside(this.#blobs.pathOf(blob), blob);
    this.#blobBytes -= countedBytes;
    this.#tellDamage(blob, aside);
  }

  /** As `setAside`, after the log has recorded it. Never throws. */
  async setAsideHeld(blob: BlobId, countedBytes: number): Promise<void> {
    try {
      await this.setAside(blob, countedBytes);
    } catch (error) {
      // As a stray it does no harm: whoever wants the blob hashes it first.
      this.#log.warn(
        { code: 'BLOB_DAMAGED', blob, err: error },
        'a file does not hash to its name and cannot be moved',
      );
    }
  }

  #tellDamage(blob: BlobId, aside: string | undefined): void {
    this.#log.warn(
      { code: 'BLOB_DAMAGED', blob, aside },
      aside === undefined ? 'a blob has lost its file' : 'a file does not hash to its name and was set aside',
    );
  }

  /** Moves a blob that no PRESENT parcel lists and that nobody counts on to the trash. Whether it did; never throws. */
  async discard(blob: string, bytes: number): Promise<boolean> {
    if (this.#arrived.get(blob)?.placed) this.#arrived.delete(blob);
    try {
      await this.#trash.put(this.#blobs.pathOf(blob), blob);
      this.#blobBytes -= bytes;
      return true;
    } catch (error) {
      // The log no longer counts it. As a stray it is found by whoever wants it, and by the stray sweep.
      this.#straysPossible = true;
      this.#log.warn({ code: 'BLOB_NOT_TRASHED', blob, err: error }, 'a dropped blob could not be moved to the trash');
      return false;
    }
  }

  /**
   * As `discard`, for a blob that no PRESENT parcel listed before either. False when it is not there or cannot be
   * moved.
   */
  async discardStray(blob: BlobId): Promise<boolean> {
    const bytes = await sizeOf(this.#blobs.pathOf(blob));
    if (bytes === 0) return false;
    return this.discard(blob, bytes);
  }

  /** Some blobs under `.blobs` may have lost the last parcel that lists them. */
  expectStrays(): void {
    this.#straysPossible = true;
  }

  /** After a commit that counted on them. `held`: a PRESENT parcel lists them now, so they are no longer arrivals. */
  settle(arrivals: readonly Arrival[], { held }: { readonly held: boolean }): void {
    for (const arrival of arrivals) {
      const state = this.#state(arrival);
      // A failed commit may leave files under .blobs that the log does not cover.
      if (!held) this.#straysPossible ||= state.placed;
      else if (this.#arrived.get(state.blob) === state) this.#arrived.delete(state.blob);
    }
  }

  /** Moves verified, flushed bytes to their names under `.blobs`. Two commits may call it for the same blob. */
  async place(arrivals: readonly Arrival[]): Promise<void> {
    const states = [...new Set(arrivals.map(arrival => this.#state(arrival)))].filter(({ placed }) => !placed);
    const ours = states.filter(({ placing }) => placing === undefined);
    if (ours.length > 0) {
      const placing = this.#place(ours);
      for (const state of ours) state.placing = placing;
    }
    const all = states.map(({ placing }) => placing);
    try {
      await Promise.all(all);
    } finally {
      for (const state of ours) delete state.placing;
    }
  }

  async #place(states: readonly ArrivalState[]): Promise<void> {
    const moves = await Promise.all(
      states.map(async state => {
        const to = this.#blobs.pathOf(state.blob);
        return { path: state.path, to, replacedBytes: this.#straysPossible ? await this.#makeWay(state.blob) : 0 };
      }),
    );
    const failures = await renameFiles(moves);
    for (const [n, state] of states.entries()) {
      const move = moves[n];
      if (move === undefined || failures[n] !== undefined) continue;
      state.path = move.to;
      state.placed = true;
      this.#incomingBytes -= state.bytes;
      this.#blobBytes += state.bytes - move.replacedBytes;
    }
    const failure = failures.find(one => one !== undefined);
    if (failure !== undefined) throw failure;
  }

  /**
   * Clears the blob's name: an unhashed or unreadable file there is replaced, and must not count twice. Returns how
   * many bytes it has. If it also has a name in a tree, it goes to the trash instead: replacing it would leave that
   * name as its only one, and the file would be taken for a person's own; from the trash it leaves the trees.
   */
  async #makeWay(blob: BlobId): Promise<number> {
    const path = this.#blobs.pathOf(blob);
    const found = await fileAt(path);
    if (found === undefined || found.nlink === 1) return found?.size ?? 0;
    await this.#trash.setAside(path, blob);
    this.#blobBytes -= found.size;
    return 0;
  }

  /** Removes what has been under `.incoming` since before `beforeMs` and no fetch or commit counts on. */
  async sweep(beforeMs: number): Promise<void> {
    for (const [blob, state] of this.#arrived) {
      const stays = () => state.placed || this.#pins.has(blob) || this.#arrived.get(blob) !== state;
      if (stays() || (await modifiedMs(state.path)) >= beforeMs) continue;
      // Checked again: somebody may have taken it while its time was read.
      if (stays()) continue;
      this.#arrived.delete(blob);
      await this.#removeUnused(blob, state.path);
    }
    for (const [blob, paths] of this.#leftovers) {
      if (this.#adopting.busy(blob)) continue;
      const old: string[] = [];
      for (const path of paths) if ((await modifiedMs(path)) < beforeMs) old.push(path);
      if (this.#leftovers.get(blob) !== paths || this.#adopting.busy(blob)) continue;
      this.#leftovers.set(
        blob,
        paths.filter(path => !old.includes(path)),
      );
      if (old.length === paths.length) this.#leftovers.delete(blob);
      for (const path of old) await this.#removeUnused(blob, path);
    }
    await this.#partials.sweep(beforeMs, { isPinned: blob => this.#pins.has(blob), wrote: this.#wrote });
  }

  async #removeUnused(blob: string, path: string): Promise<void> {
    if (!path.endsWith(TRASH_MARK)) return this.#remove(path);
    const bytes = (await this.#trash.put(path, blob)) ?? 0;
    // Subtracted after the wait: others change the sum meanwhile.
    this.#incomingBytes -= bytes;
  }

  async #remove(path: string): Promise<void> {
    const bytes = await sizeOf(path);
    await rm(path, { force: true });
    this.#incomingBytes -= bytes;
  }

  #newPath(blob: BlobId): string {
    return `${this.#path}/${blob}.${newMark()}`;
  }

  #state(arrival: Arrival): ArrivalState {
    return arrival as ArrivalState; // the only maker of arrivals is this file
  }
}

/** Tells two files of one blob apart. */
const newMark = (): string => randomBytes(6).toString('hex');
