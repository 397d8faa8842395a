/**
 * Restore files: the regular files of one parcel, from their content to their places below the target.
 *
 * Bytes go to an unfinished file in the mark's folder and are hashed on the way; owner, attributes, mode and time are
 * set there. Only when the disk has all of it (restore-flush.ts) is it renamed into its place. So a name that exists is
 * whole and right, also after a power cut, and a resumed restore can tell that by size and time, or else by its bytes.
 * A blob that several files of the parcel need is fetched once.
 *
 * Calls are synchronous, for up to a megabyte at a time: a small file costs 60 µs this way and 500 µs by the thread
 * pool, and this process has nothing else to do. Driven by restore-tree.ts, for several parcels at once.
 */
import {
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { EMPTY_BLOB } from '../core/hash.js';
import type { BlobId, ParcelId } from '../core/ids.js';
import type { ContentFrame, ContentRequest } from './restore-content.js';
import { alreadyThere, type ExistingContext, ExistingLook } from './restore-existing.js';
import { pathlessMessageOf, rethrow, throwIfStopping } from './restore-failure.js';
import type { RestoreFlush } from './restore-flush.js';
import { type Begun, Incoming, type Part, removePart } from './restore-incoming.js';
import { HardLinks } from './restore-links.js';
import { type NotSet, setAllButTime, setTime } from './restore-metadata.js';
import type { Outcome, WantedFile } from './restore-outcome.js';
import type { RestoreParts } from './restore-parts.js';
import { copySparse } from './sparse-writer.js';

export interface FilesWork extends ExistingContext {
  readonly markFolder: Buffer;
  readonly content: (request: ContentRequest, signal: AbortSignal) => AsyncIterable<ContentFrame>;
  readonly parts: RestoreParts;
  /** Decides when a finished file may get its name; its outcome is reported then. */
  readonly flush: RestoreFlush;
  readonly onOutcome: (file: WantedFile, outcome: Outcome) => void;
  /** Called with the number of content bytes as they come in. */
  readonly onBytes: (bytes: number) => void;
  readonly onWaiting: (hosts: readonly string[]) => void;
}

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, COPYFILE_EXCL, COPYFILE_FICLONE } = constants;
/** A blob with wrong bytes is asked for once more: another holder may have the right ones. */
const ASKS_MAX = 2;
/**
 * From this size on, a file's unfinished bytes outlast the run: less can be fetched again within a minute over a line
 * of 10 Mbit/s.
 */
export const BEGUN_BYTES_MIN = 64 * 1024 * 1024;

export class FileWriter {
  readonly #work: FilesWork;
  readonly #links: HardLinks;
  readonly #existing: ExistingLook;
  /**
   * Large blobs that are coming in. Of two files with the same blob, only one may use the path that outlasts the run.
   */
  readonly #begun = new Set<BlobId>();

  constructor(work: FilesWork) {
    this.#work = work;
    this.#links = new HardLinks(work.markFolder, work.parts);
    this.#existing = new ExistingLook(work, this.#links);
  }

  /**
   * Ends when every file has its outcome, or only waits for its name.
   * @throws ClusterError RESTORE_STOPPED, what the content's giver throws, or what `flush` does
   */
  async restore(parcel: ParcelId, files: readonly WantedFile[]): Promise<void> {
    await this.#work.flush.room().catch(rethrow);
    const wanted = new Map<BlobId, WantedFile[]>();
    for (const file of files) {
      this.#work.signal.throwIfAborted();
      if (await this.#doneWithoutContent(file)) continue;
      const blob = file.entry.blob as BlobId; // a regular file has one
      const sharers = wanted.get(blob);
      if (sharers === undefined) wanted.set(blob, [file]);
      else sharers.push(file);
    }
    for (let asks = 0; asks < ASKS_MAX && wanted.size > 0; asks += 1) await this.#fetch(parcel, wanted);
    for (const sharers of wanted.values())
      this.#fail(sharers, 'its content did not arrive, or did not match its hash', true);
  }

  /** True when there is nothing to fetch: the file is kept, refused, empty, or another name of a file that is there. */
  async #doneWithoutContent(file: WantedFile): Promise<boolean> {
    return this.#guarded([file], async () => {
      const verdict = await this.#existing.next(file);
      if (verdict !== 'write') {
        this.#work.onOutcome(file, verdict);
        return true;
      }
      if (this.#linked(file)) return true;
      if (file.entry.blob !== EMPTY_BLOB) return false;
      const part = this.#openPart(file);
      this.#finish(part, file);
      return true;
    });
  }

  async #fetch(parcel: ParcelId, wanted: Map<BlobId, WantedFile[]>): Promise<void> {
    const { content, signal } = this.#work;
    const begun = this.#begin(wanted);
    let incoming: Incoming | undefined;
    try {
      incoming = begun && (await this.#takeUp(begun));
      const request = { parcel, blobs: [...wanted.keys()], ...(incoming && { from: incoming.bytes }) };
      for await (const frame of content(request, signal)) {
        signal.throwIfAborted();
        switch (frame.kind) {
          case 'start': {
            if (incoming?.blob === frame.blob && incoming.bytes === frame.from) break;
            incoming?.discard();
            const sharers = wanted.get(frame.blob);
            const isUsable = sharers !== undefined && (frame.from ?? 0) === 0;
            incoming = isUsable ? new Incoming(frame.blob, sharers, begun?.path) : undefined;
            break;
          }
          case 'data':
            if (incoming !== undefined) incoming = this.#receive(incoming, frame.data, wanted);
            break;
          case 'end':
            if (incoming?.isRight()) {
              const { blob, sharers } = incoming;
              this.#place(incoming, sharers);
              wanted.delete(blob);
            }
            incoming?.discard();
            incoming = undefined;
            break;
          case 'waiting':
            this.#work.onWaiting(frame.hosts);
            break;
          case 'unavailable': {
            const hosts = frame.hosts.length === 0 ? '' : ` (switch on ${frame.hosts.join(' or ')})`;
            this.#fail(wanted.get(frame.blob) ?? [], `${frame.because}${hosts}`, true);
            wanted.delete(frame.blob);
            break;
          }
        }
      }
    } finally {
      incoming?.leave();
      if (begun !== undefined) this.#begun.delete(begun.blob);
    }
  }

  /** The only file of a parcel, if it is large, unless another file with the same content is coming in. */
  #begin(wanted: ReadonlyMap<BlobId, readonly WantedFile[]>): Begun | undefined {
    const [[blob, sharers] = [], ...others] = wanted;
    const [file, ...sharing] = sharers ?? [];
    if (blob === undefined || file === undefined || others.length > 0 || sharing.length > 0) return undefined;
    if (file.entry.size < BEGUN_BYTES_MIN || this.#begun.has(blob)) return undefined;
    const path = this.#work.parts.begunPathFor(file.path, blob);
    if (path === undefined) return undefined;
    this.#begun.add(blob);
    return { blob, file, path };
  }

  /**
   * What an earlier run has left of it, hashed again up to its end. `undefined`: the blob must be fetched from its
   * first byte.
   */
  async #takeUp({ blob, file, path }: Begun): Promise<Incoming | undefined> {
    const { signal } = this.#work;
    const there = lstatSync(path, { throwIfNoEntry: false });
    if (!there?.isFile() || there.size === 0 || there.size >= file.entry.size) return undefined;
    const incoming = new Incoming(blob, [file], path);
    try {
      await incoming.takeUp({ path, fd: openSync(path, O_WRONLY | O_NOFOLLOW) }, signal);
      return incoming;
    } catch (error) {
      incoming.leave();
      signal.throwIfAborted();
      throwIfStopping(error);
      // A leftover that can no longer be read is useless.
      return undefined;
    }
  }

  /** @returns where the next bytes belong; `undefined` when the files that need them have failed */
  #receive(incoming: Incoming, data: Uint8Array, wanted: Map<BlobId, WantedFile[]>): Incoming | undefined {
    const [first] = incoming.sharers;
    if (first === undefined) return undefined;
    try {
      incoming.part ??= this.#openPart(first, incoming.begunPath);
      incoming.write(data);
      this.#work.onBytes(data.length);
      return incoming;
    } catch (error) {
      // This concerns only these files (too large for this file system, say): the rest of the blob is skipped.
      this.#failFor(incoming.sharers, error);
      wanted.delete(incoming.blob);
      incoming.discard();
      return undefined;
    }
  }

  /** Gives the verified content to all files that share it. */
  #place(incoming: Incoming, sharers: readonly WantedFile[]): void {
    const [first, ...others] = sharers;
    const part = incoming.release();
    if (first === undefined || part === undefined) return;
    try {
      for (const other of others) {
        this.#guardedSync([other], () => {
          if (this.#linked(other)) return;
          const copy = this.#work.parts.pathFor(other.path);
          if (incoming.hasHoles) copySparse(part.path, copy);
          else copyFileSync(part.path, copy, COPYFILE_EXCL | COPYFILE_FICLONE);
          this.#finish({ path: copy, fd: openSync(copy, O_WRONLY | O_NOFOLLOW) }, other);
        });
      }
      this.#guardedSync([first], () => {
        if (incoming.begunPath !== undefined) this.#renamePart(part, first);
        this.#finish(part, first);
      });
    } finally {
      removePart(part);
    }
  }

  /** Sets owner, attributes, mode and time; then the file waits for its name. */
  #finish(part: Part, file: WantedFile): void {
    const { flush } = this.#work;
    const { entry } = file;
    let alone: number | undefined;
    try {
      // Opened before the mode may forbid it: the time is set by the path and must be on disk too.
      if (!flush.reaches(fstatSync(part.fd).dev)) alone = openSync(part.path, O_RDONLY | O_NOFOLLOW);
      const faults = setAllButTime(part.fd, part.path, entry);
      closeSync(part.fd);
      part.isClosed = true;
      faults.push(...setTime(part.path, entry));
      // Another name of the same inode may have been finished since the first look.
      if (this.#linked(file)) return;
      if (alone !== undefined) fsyncSync(alone);
      part.isHandedOn = true;
      this.#nameOnDisk(part.path, file, { bytes: entry.size, faults });
    } finally {
      if (alone !== undefined) closeSync(alone);
      removePart(part);
    }
  }

  /** Gives a finished file its name, when the disk has it. */
  #nameOnDisk(part: Buffer, file: WantedFile, finished: Finished): void {
    const forget = this.#links.waits(part, file.entry);
    this.#work.flush.nameOnDisk({
      name: () => {
        forget();
        this.#guardedSync([file], () => this.#name(part, file, finished));
      },
      discard: () => {
        forget();
        rmSync(part, { force: true });
      },
    });
  }

  #name(part: Buffer, file: WantedFile, { bytes, faults }: Finished): void {
    const { places, onOutcome, onNotSet, existing } = this.#work;
    const { entry, path } = file;
    let isLeft = true;
    let unlinked: NotSet | undefined;
    try {
      const place = places.of(path);
      const there = lstatSync(place, { throwIfNoEntry: false });
      if (there !== undefined && existing !== 'overwrite') {
        onOutcome(file, alreadyThere);
        return;
      }
      // Made from the unfinished file, which is whole and the restore's own: at the final place, somebody could replace
      // it at once.
      unlinked = this.#links.anchor(part, entry);
      renameSync(part, place);
      // Renaming one name of an inode onto another does nothing, by POSIX, and leaves both.
      isLeft = entry.link !== undefined;
    } finally {
      if (isLeft) rmSync(part, { force: true });
    }
    for (const fault of unlinked === undefined ? faults : [...faults, unlinked]) onNotSet(file, fault);
    onOutcome(file, { kind: 'restored', bytes });
  }

  /** Makes the file another name of one that is restored or about to be. */
  #linked(file: WantedFile): boolean {
    const part = this.#links.linkTo(file);
    if (part === undefined) return false;
    this.#nameOnDisk(part, file, { bytes: 0, faults: [] });
    return true;
  }

  // ── Unfinished files ──

  #openPart(file: WantedFile, begunPath?: Buffer): Part {
    const path = begunPath ?? this.#work.parts.pathFor(file.path);
    // Left by an earlier run, and not taken up by this one.
    if (begunPath !== undefined) rmSync(path, { force: true });
    return { path, fd: openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600) };
  }

  /** Once whole, it waits for its name like the others, and its blob may come in again for another file. */
  #renamePart(part: Part, { path }: WantedFile): void {
    const own = this.#work.parts.pathFor(path);
    renameSync(part.path, own);
    part.path = own;
  }

  // ── Failures ──

  #fail(files: readonly WantedFile[], because: string, retry: boolean): void {
    for (const file of files) this.#work.onOutcome(file, { kind: 'failed', because, retry });
  }

  #failFor(files: readonly WantedFile[], error: unknown): void {
    throwIfStopping(error);
    this.#fail(files, pathlessMessageOf(error), false);
  }

  async #guarded(files: readonly WantedFile[], work: () => Promise<boolean>): Promise<boolean> {
    try {
      return await work();
    } catch (error) {
      this.#failFor(files, error);
      return true;
    }
  }

  #guardedSync(files: readonly WantedFile[], work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#failFor(files, error);
    }
  }
}

/** What is reported of a file when it gets its name. */
interface Finished {
  readonly bytes: number;
  readonly faults: readonly NotSet[];
}
