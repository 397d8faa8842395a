/**
 * Restore files: the regular files of one parcel, from their content to their places below the target.
 *
 * Bytes go to an unfinished file in the mark's folder and are hashed on the way; owner, attributes, mode and time are set
 * there; when the disk has all of it (restore-flush.ts) it is renamed into its place, and not before. So a name that is there
 * is whole and right, also after a power cut, and a restore that goes on can tell by size and time, or else by its bytes. A
 * blob that several files of the parcel need is fetched once.
 *
 * Calls are synchronous up to a megabyte at a time: a small file costs 60 µs so and 500 µs by the thread pool, and this
 * process has nothing else to do. Driven by restore-tree.ts, several parcels at once.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { ClusterError } from '../core/fault.js';
import { createHasher, EMPTY_BLOB, type Hasher } from '../core/hash.js';
import { type BlobId, hexOf, type ParcelId } from '../core/ids.js';
import { type Entry, MTIME_SAME_NS } from './entry.js';
import type { ContentFrame, ContentRequest } from './restore-content.js';
import type { RestoreFlush } from './restore-flush.js';
import { hasAttributesOf, isRoot, type NotSet, setAllButTime, setTime } from './restore-metadata.js';
import type { RestoreParts } from './restore-parts.js';
import { below, type ExistingFiles, linkAnchor } from './restore-target.js';
import { copySparse, SparseWriter } from './sparse-writer.js';

/** A regular file of the snapshot and its place, relative to the target. */
export interface WantedFile {
  readonly entry: Entry;
  readonly path: Buffer;
}

/** What became of one entry. `retry`: the same restore, run again, may get it. */
export type Outcome =
  | { readonly kind: 'restored'; readonly bytes: number }
  | { readonly kind: 'kept' }
  | { readonly kind: 'failed'; readonly because: string; readonly retry: boolean };

export interface FilesWork {
  readonly folder: Buffer;
  readonly existing: ExistingFiles;
  /** The target carried this restore's mark: what is there may be ours. */
  readonly isResume: boolean;
  readonly content: (request: ContentRequest, signal: AbortSignal) => AsyncIterable<ContentFrame>;
  readonly parts: RestoreParts;
  /** Says when a finished file may get its name; outcomes come then. */
  readonly flush: RestoreFlush;
  readonly signal: AbortSignal;
  readonly onOutcome: (file: WantedFile, outcome: Outcome) => void;
  readonly onNotSet: (file: WantedFile, fault: NotSet) => void;
  /** Bytes of content as they come in. */
  readonly onBytes: (bytes: number) => void;
  readonly onWaiting: (hosts: readonly string[]) => void;
}

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, COPYFILE_EXCL, COPYFILE_FICLONE } = constants;
/** A blob whose bytes were wrong is asked for once more: another holder may have it right. */
const ASKS_MAX = 2;
/** From this size on, what has come of a file outlasts the run: less comes again within a minute, over a line of 10 Mbit/s. */
export const BEGUN_BYTES_MIN = 64 * 1024 * 1024;

/** Failures of the target as a whole, not of one name: going on would fail again and again. */
const STOPPING: ReadonlySet<string> = new Set([
  'ENOSPC',
  'EDQUOT',
  'EROFS',
  'EIO',
  'EMFILE',
  'ENFILE',
  'ENODEV',
  'ESTALE',
]);

export class FileWriter {
  readonly #work: FilesWork;
  /** Of each hard-linked file whose first name waits for the disk, its anchor's path and its unfinished file. */
  readonly #unnamedLinks = new Map<string, Buffer>();
  /** Large blobs that are coming in: of two files with the same one, one may be begun where it outlasts the run. */
  readonly #begun = new Set<BlobId>();

  constructor(work: FilesWork) {
    this.#work = work;
  }

  /**
   * Ends when every file has had its outcome, or has only its name to wait for.
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
      this.#fail(sharers, 'its content did not come, or came with other bytes than its hash says', true);
  }

  /** Kept, refused, empty, or another name of a file that is there: nothing to fetch. */
  async #doneWithoutContent(file: WantedFile): Promise<boolean> {
    return this.#guarded([file], async () => {
      const verdict = await this.#existing(file);
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
            if (incoming !== undefined) this.#receive(incoming, frame.data, wanted);
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

  /** The one large file of a parcel, unless another with the same content is coming in. */
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

  /** What the last run has left of it, hashed again up to its end. `undefined`: it begins at its first byte. */
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
      // What cannot be read any more is of no use.
      return undefined;
    }
  }

  #receive(incoming: Incoming, data: Uint8Array, wanted: Map<BlobId, WantedFile[]>): void {
    const [first] = incoming.sharers;
    if (first === undefined) return;
    try {
      incoming.part ??= this.#openPart(first, incoming.begunPath);
      incoming.write(data);
      this.#work.onBytes(data.length);
    } catch (error) {
      // The name's own trouble (too large for this file system, say): its other bytes are let go by.
      this.#failFor(incoming.sharers, error);
      wanted.delete(incoming.blob);
      incoming.discard();
    }
  }

  /** The verified content to all that share it. */
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

  /** Owner, attributes, mode, time; then it waits for its name. */
  #finish(part: Part, file: WantedFile): void {
    const { flush } = this.#work;
    const { entry } = file;
    let alone: number | undefined;
    try {
      // Opened while the mode lets us, for its time is set by its path and must be on disk too.
      if (!flush.reaches(fstatSync(part.fd).dev)) alone = openSync(part.path, O_RDONLY | O_NOFOLLOW);
      const faults = setAllButTime(part.fd, part.path, entry);
      closeSync(part.fd);
      part.isClosed = true;
      faults.push(...setTime(part.path, entry));
      // Between the first look and now another name of the same inode may have been finished.
      if (this.#linked(file)) return;
      if (alone !== undefined) fsyncSync(alone);
      part.isHandedOn = true;
      this.#nameOnDisk(part.path, file, { bytes: entry.size, faults });
    } finally {
      if (alone !== undefined) closeSync(alone);
      removePart(part);
    }
  }

  /** Gives an unfinished file of which all is done its name, when the disk has it. */
  #nameOnDisk(part: Buffer, file: WantedFile, finished: Finished): void {
    const { folder, flush } = this.#work;
    const { link, blob } = file.entry;
    const anchor = link === undefined || blob === undefined ? undefined : pathKey(linkAnchor(folder, link, blob));
    if (anchor !== undefined && !this.#unnamedLinks.has(anchor)) this.#unnamedLinks.set(anchor, part);
    const forget = (): void => {
      if (anchor !== undefined && this.#unnamedLinks.get(anchor) === part) this.#unnamedLinks.delete(anchor);
    };
    flush.nameOnDisk({
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
    const { folder, onOutcome, onNotSet, existing } = this.#work;
    const { entry, path } = file;
    const place = below(folder, path);
    let isLeft = true;
    try {
      checkParents(folder, path);
      const there = lstatSync(place, { throwIfNoEntry: false });
      if (there !== undefined && existing !== 'overwrite') {
        onOutcome(file, alreadyThere);
        return;
      }
      renameSync(part, place);
      // Renaming one name of an inode onto another does nothing, by POSIX, and leaves both.
      isLeft = entry.link !== undefined;
    } finally {
      if (isLeft) rmSync(part, { force: true });
    }
    const unlinked = this.#anchor(place, entry);
    for (const fault of unlinked === undefined ? faults : [...faults, unlinked]) onNotSet(file, fault);
    onOutcome(file, { kind: 'restored', bytes });
  }

  // ── Hard links ──

  /** Makes the file another name of one that is restored, or about to be. False: there is none, or no link can be made. */
  #linked(file: WantedFile): boolean {
    const { folder, parts } = this.#work;
    const { link, blob } = file.entry;
    if (link === undefined || blob === undefined) return false;
    const anchor = linkAnchor(folder, link, blob);
    const first = this.#unnamedLinks.get(pathKey(anchor)) ?? anchor;
    const found = lstatSync(first, { throwIfNoEntry: false, bigint: true });
    // A name restored by an earlier run may have been written to since; the anchor is the same inode.
    if (found === undefined || found.size !== BigInt(file.entry.size) || !sameTime(found.mtimeNs, file.entry.mtimeNs))
      return false;
    const part = parts.pathFor(file.path);
    try {
      linkSync(first, part);
    } catch {
      // No more links to it, say: it gets content of its own, and `#anchor` reports that where it matters.
      return false;
    }
    this.#nameOnDisk(part, file, { bytes: 0, faults: [] });
    return true;
  }

  /** Remembers, on disk, one name of this inode for the names that come later; of another inode, tells why it is that. */
  #anchor(place: Buffer, { link, blob }: Entry): NotSet | undefined {
    if (link === undefined || blob === undefined) return undefined;
    const anchor = linkAnchor(this.#work.folder, link, blob);
    try {
      linkSync(place, anchor);
      return undefined;
    } catch (error) {
      const [here, first] = [lstatSync(place), lstatSync(anchor, { throwIfNoEntry: false })];
      if (here.ino === first?.ino && here.dev === first.dev) return undefined;
      return { what: 'hard link', because: `a file of its own instead: ${messageOf(error)}` };
    }
  }

  // ── What is there already ──

  async #existing(file: WantedFile): Promise<'write' | Outcome> {
    const { folder, existing, isResume } = this.#work;
    const { entry, path } = file;
    checkParents(folder, path);
    const place = below(folder, path);
    const there = lstatSync(place, { throwIfNoEntry: false, bigint: true });
    if (there === undefined) return 'write';
    if (existing === 'keep') return { kind: 'kept' };
    if (there.isDirectory()) return { kind: 'failed', because: 'a folder is there in its place', retry: false };
    const hasSize = there.isFile() && there.size === BigInt(entry.size);
    const looksRight = hasSize && sameTime(there.mtimeNs, entry.mtimeNs);
    if (existing === 'refuse') return isResume && hasSize ? this.#fromLastRun(file, { looksRight }) : alreadyThere;
    const isRight =
      looksRight &&
      hasMetadataOf(there, entry) &&
      (entry.link === undefined || there.nlink > 1n) &&
      hasAttributesOf(place, entry) &&
      (await hashFile(place, this.#work.signal)) === entry.blob &&
      this.#anchor(place, entry) === undefined;
    return isRight ? { kind: 'kept' } : 'write';
  }

  /**
   * This restore's own last run gave it its name only when its bytes were right and on disk. Where times are coarser than the
   * snapshot's, or there are no hard links, nobody can tell by looking: then its bytes say it.
   */
  async #fromLastRun(file: WantedFile, { looksRight }: { readonly looksRight: boolean }): Promise<Outcome> {
    const { folder, signal, onNotSet } = this.#work;
    const { entry, path } = file;
    const place = below(folder, path);
    if (looksRight && this.#anchor(place, entry) === undefined) return { kind: 'kept' };
    if ((await hashFile(place, signal)) !== entry.blob) return alreadyThere;
    const unlinked = this.#anchor(place, entry);
    if (unlinked !== undefined) onNotSet(file, unlinked);
    return { kind: 'kept' };
  }

  // ── Unfinished files ──

  #openPart(file: WantedFile, begunPath?: Buffer): Part {
    const path = begunPath ?? this.#work.parts.pathFor(file.path);
    // What an earlier run left, and this one did not take up.
    if (begunPath !== undefined) rmSync(path, { force: true });
    return { path, fd: openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600) };
  }

  /** Whole, it waits for its name among the others, and its blob may come in again for another file. */
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
    this.#fail(files, messageOf(error), false);
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

const SLASH = 0x2f;

/** Bytes of a path as a key: names need not be UTF-8. */
export const pathKey = (path: Buffer): string => path.toString('latin1');

export const NAME_TAKEN =
  'something else has its name in the target already (this file system may take two names for one)';

const alreadyThere: Outcome = { kind: 'failed', because: NAME_TAKEN, retry: false };

/** A blob on its way into an unfinished file. */
class Incoming {
  readonly blob: BlobId;
  readonly sharers: readonly WantedFile[];
  /** Where its unfinished file lies if that is to outlast the run. */
  readonly begunPath: Buffer | undefined;
  part: Part | undefined;
  #content: SparseWriter | undefined;
  readonly #hasher: Hasher = createHasher();
  readonly #expectedBytes: number;
  #bytes = 0;
  #digest: string | undefined;
  #isDiscarded = false;

  constructor(blob: BlobId, sharers: readonly WantedFile[], begunPath?: Buffer) {
    this.blob = blob;
    this.sharers = sharers;
    this.begunPath = begunPath;
    this.#expectedBytes = sharers[0]?.entry.size ?? 0;
  }

  /** Bytes that are here. */
  get bytes(): number {
    return this.#bytes;
  }

  async takeUp(part: Part, signal: AbortSignal): Promise<void> {
    this.part = part;
    this.#bytes = await hashInto(this.#hasher, part.path, signal);
    this.#content = new SparseWriter(part.fd, this.#bytes);
  }

  write(data: Uint8Array): void {
    if (this.#isDiscarded || this.part === undefined) return;
    this.#bytes += data.length;
    // A giver that sends too much must not fill the disk; `isRight` will say no.
    if (this.#bytes > this.#expectedBytes) return;
    this.#hasher.update(data);
    this.#content ??= new SparseWriter(this.part.fd);
    this.#content.write(data);
    if (this.#bytes === this.#expectedBytes) this.#content.end();
  }

  get hasHoles(): boolean {
    return this.#content?.hasHoles === true;
  }

  /** All came, and it hashes to its name. */
  isRight(): boolean {
    if (this.#isDiscarded || this.#bytes !== this.#expectedBytes) return false;
    this.#digest ??= hexOf(this.#hasher.digest());
    return this.#digest === this.blob;
  }

  /** Hands the unfinished file on. */
  release(): Part | undefined {
    const part = this.part;
    this.part = undefined;
    return part;
  }

  /** It has come to no end: what outlasts the run stays where it is. */
  leave(): void {
    if (this.part !== undefined && this.begunPath !== undefined) this.part.isHandedOn = true;
    this.discard();
  }

  discard(): void {
    if (!this.#isDiscarded && this.#digest === undefined) this.#hasher.dispose();
    this.#isDiscarded = true;
    if (this.part !== undefined) removePart(this.part);
    this.part = undefined;
  }
}

/** What is told of a file when it has its name. */
interface Finished {
  readonly bytes: number;
  readonly faults: readonly NotSet[];
}

/** A large file whose unfinished one outlasts the run. */
interface Begun {
  readonly blob: BlobId;
  readonly file: WantedFile;
  readonly path: Buffer;
}

interface Part {
  path: Buffer;
  readonly fd: number;
  isClosed?: boolean;
  /** It waits for its name or for the next run, or was removed: nothing is left to remove. */
  isHandedOn?: boolean;
}

/** Closes and removes what is left of it; only closes what waits for its name. */
function removePart(part: Part): void {
  if (part.isClosed !== true) closeSync(part.fd);
  part.isClosed = true;
  if (part.isHandedOn !== true) rmSync(part.path, { force: true });
  part.isHandedOn = true;
}

export const NO_FOLDER_ABOVE = 'what should be a folder above it is something else';

/**
 * Every folder between the target and `path` is a folder, and no symlink. Looked at before each write: a race needs
 * somebody else who may write below the target, and until the end its folders are open to the caller alone.
 */
export function checkParents(folder: Buffer, path: Buffer): void {
  const fault = faultAbove(folder, path);
  if (fault !== undefined) throw new Error(fault);
}

/** What is wrong with a folder above `path`. */
export function faultAbove(folder: Buffer, path: Buffer): string | undefined {
  for (let slash = path.indexOf(SLASH); slash >= 0; slash = path.indexOf(SLASH, slash + 1)) {
    const there = lstatSync(below(folder, path.subarray(0, slash)), { throwIfNoEntry: false });
    if (there === undefined) return 'the folder it lies in could not be made';
    if (!there.isDirectory()) return NO_FOLDER_ABOVE;
  }
  return undefined;
}

export const sameTime = (a: bigint, b: bigint): boolean => a - b < MTIME_SAME_NS && b - a < MTIME_SAME_NS;

/** Mode, and owner where it could be set, as the snapshot says. */
export function hasMetadataOf(there: BigIntStats, entry: Entry): boolean {
  const isOwnerRight = !isRoot() || (there.uid === BigInt(entry.uid) && there.gid === BigInt(entry.gid));
  return Number(there.mode & 0o7777n) === entry.mode && isOwnerRight;
}

/** BLAKE3 of the regular file at `path`; a symlink is not followed. */
export async function hashFile(path: Buffer, signal: AbortSignal): Promise<string> {
  const hasher = createHasher();
  let isSpent = false;
  try {
    await hashInto(hasher, path, signal);
    isSpent = true;
    return hexOf(hasher.digest());
  } finally {
    if (!isSpent) hasher.dispose();
  }
}

/** @returns how many bytes */
async function hashInto(hasher: Hasher, path: Buffer, signal: AbortSignal): Promise<number> {
  const file = await open(path, constants.O_RDONLY | O_NOFOLLOW);
  let bytes = 0;
  try {
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, READ_BYTES);
      if (bytesRead === 0) return bytes;
      hasher.update(buffer.subarray(0, bytesRead));
      bytes += bytesRead;
    }
  } finally {
    await file.close();
  }
}

const READ_BYTES = 1024 * 1024;

/** @throws ClusterError RESTORE_STOPPED when the target as a whole cannot be written any more, or what an abort gave */
export function throwIfStopping(error: unknown): void {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (error instanceof ClusterError || (error instanceof Error && error.name === 'AbortError')) throw error;
  if (!STOPPING.has(code)) return;
  const why = code === 'ENOSPC' || code === 'EDQUOT' ? 'there is no room left on the target' : messageOf(error);
  throw new ClusterError(
    'RESTORE_STOPPED',
    `the restore stopped: ${why}. What is written is whole and stays: see to the target and run the same command again, and it goes on from there.`,
    { blame: 'operator', cause: error },
  );
}

/** For a promise's `catch`. @throws as `throwIfStopping`, else the error itself */
export function rethrow(error: unknown): never {
  throwIfStopping(error);
  throw error;
}

/** Without the path that Node puts behind a system call's error: it is told already, and escaped. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return /^[A-Z0-9]+: [^,'"]*(?=, \w+ ['"]| failed on )/.exec(message)?.[0] ?? message;
}
