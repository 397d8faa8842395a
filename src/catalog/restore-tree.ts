/**
 * Restore tree: a snapshot's entries, written below a folder, byte for byte, by the process of the one who asked.
 *
 * Two passes over the entries, so that memory holds the depth of the tree and a few parcels, never the snapshot:
 *
 *   1. Folders (open to the caller only), and regular files with their hard links, parcel by parcel, several at once.
 *   2. Symlinks, and behind each folder's last entry the folder's owner, attributes, mode and time: so deepest first, and
 *      only when nothing more is written into it.
 *
 * `verify` adds a third, which reads everything back. No symlink of ours exists while files are written, each parent is
 * looked at before each write, and every name is checked (restore-names.ts): nothing is ever written outside the target.
 *
 * What cannot be restored is told and does not stop the rest; a target that cannot be written any more does. Either way
 * the mark stays when running the same restore again would help.
 */
import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  openSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import type { ParcelId } from '../core/ids.js';
import { abortWith } from '../platform/abort-with.js';
import { PARCEL_FILE_BYTES } from './cut.js';
import type { Entry } from './entry.js';
import { errorCode } from './error-code.js';
import type { ContentFrame, ContentRequest, LackingEntries, PlacedEntry } from './restore-content.js';
import {
  checkParents,
  FileWriter,
  hashFile,
  hasMetadataOf,
  messageOf,
  type Outcome,
  pathKey,
  rethrow,
  sameTime,
  throwIfStopping,
  type WantedFile,
} from './restore-files.js';
import { RestoreFlush } from './restore-flush.js';
import { FoldedNames, foldsNames } from './restore-folding.js';
import { hasAttributesOf, type NotSet, setAllButTime, setAllButTimeOfSymlink, setTime } from './restore-metadata.js';
import { type OpenFolder, RestoreOrder } from './restore-names.js';
import { RestoreParts } from './restore-parts.js';
import {
  below,
  type ExistingFiles,
  lookAtTarget,
  prepareTarget,
  type RestoreMark,
  type RestoreTarget,
  removeMark,
} from './restore-target.js';

export interface RestoreRequest {
  /** Must give the same entries at each call, in path order. */
  readonly entries: (signal: AbortSignal) => AsyncIterable<PlacedEntry | LackingEntries>;
  readonly content: (request: ContentRequest, signal: AbortSignal) => AsyncIterable<ContentFrame>;
  readonly target: string;
  readonly mark: RestoreMark;
  readonly existing: ExistingFiles;
  /** Look and count, write nothing. */
  readonly dryRun: boolean;
  readonly verify: boolean;
  readonly signal: AbortSignal;
  readonly onProblem: (problem: RestoreProblem) => void;
  readonly onProgress: (progress: RestoreProgress) => void;
}

/** Told as it happens: there may be as many as entries. */
export type RestoreProblem =
  | { readonly kind: 'failed'; readonly path: Buffer; readonly because: string }
  /** Entries that come somewhere after `path`. */
  | { readonly kind: 'lacking'; readonly path: Buffer; readonly because: string }
  | { readonly kind: 'not-set'; readonly path: Buffer; readonly what: NotSet['what']; readonly because: string };

export interface RestoreProgress {
  readonly phase: 'write' | 'finish' | 'verify';
  /** Regular files with an outcome (in `verify`: read back), and bytes written (read back). */
  readonly files: number;
  readonly bytes: number;
}

export interface RestoreReport {
  readonly files: number;
  readonly bytes: number;
  readonly folders: number;
  readonly symlinks: number;
  /** Files and symlinks that were there and right, or were to be kept. */
  readonly kept: number;
  readonly failed: number;
  readonly notSet: number;
  /** Read back and right; 0 without `verify`. */
  readonly verified: number;
  /** The mark was left: the same command, run again, tries what failed once more. */
  readonly resumable: boolean;
}

interface PlacedBelow extends PlacedEntry {
  /** Relative to the target. */
  readonly path: Buffer;
}

/** Paths that failed, kept for the reading back, which else tells of each once more: some 10 MiB. */
export const FAILED_KEPT_MAX = 65_536;
/** Parcels in the making: enough to hide the latency of fetching, few enough to stay small in memory. */
const PARCELS_AT_ONCE = 4;

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;

/** @throws ClusterError TARGET_NOT_EMPTY, TARGET_NOT_FOLDER, RESTORE_STOPPED; what `entries` and `content` throw; the abort's reason */
export async function restoreTree(request: RestoreRequest): Promise<RestoreReport> {
  const look = lookAtTarget(request);
  if (request.dryRun) return new Restore(request, { ...look, isNew: !look.exists }).rehearse();
  return new Restore(request, await prepareTarget(request)).run();
}

class Restore {
  readonly #request: RestoreRequest;
  readonly #target: RestoreTarget;
  readonly #folder: Buffer;
  readonly #parts: RestoreParts;
  /** Two names of a folder may be one on the target. */
  #foldsNames = false;
  #phase: RestoreProgress['phase'] = 'write';
  #files = 0;
  #filesDone = 0;
  #bytes = 0;
  #bytesMoved = 0;
  #folders = 0;
  #symlinks = 0;
  #kept = 0;
  #failed = 0;
  #notSet = 0;
  #verified = 0;
  #retry = false;
  /** Paths that have been told as failed, as far as they are kept. */
  readonly #failedPaths = new Set<string>();
  /** After which paths entries are lacking. */
  readonly #lacking = new Set<string>();

  constructor(request: RestoreRequest, target: RestoreTarget) {
    this.#request = request;
    this.#target = target;
    this.#folder = target.folder;
    this.#parts = new RestoreParts(target.folder);
  }

  async run(): Promise<RestoreReport> {
    const { verify } = this.#request;
    this.#foldsNames = foldsNames(this.#folder);
    const root = await this.#writeDurably();
    if (verify) await this.#verifyAll();
    // Its removal changes the target's time, so the target itself comes last.
    if (!this.#retry) removeMark(this.#target);
    this.#closeTarget(root);
    return this.#report();
  }

  /** The first pass with its hands tied. */
  async rehearse(): Promise<RestoreReport> {
    const { existing } = this.#request;
    for await (const { entry, path } of this.#placed({ report: true })) {
      if (path.length === 0) continue;
      const there = this.#target.isNew ? undefined : found(below(this.#folder, path));
      if (entry.kind === 'directory') {
        if (there?.isDirectory() !== true) this.#folders += 1;
        continue;
      }
      const looksRight = there?.size === BigInt(entry.size) && sameTime(there.mtimeNs, entry.mtimeNs);
      if (there !== undefined && (existing === 'keep' || looksRight)) this.#kept += 1;
      else if (entry.kind === 'symlink') this.#symlinks += 1;
      else if (entry.kind === 'file') {
        this.#files += 1;
        this.#bytes += entry.size;
      } else this.#fail(entry.path, UNMAKEABLE, { retry: false });
    }
    return this.#report();
  }

  /** All of it, on disk before the mark goes. Gives the entry of the target itself, which is closed last. */
  async #writeDurably(): Promise<PlacedEntry | undefined> {
    const flush = new RestoreFlush(this.#folder);
    try {
      await this.#writeFoldersAndFiles(flush);
      this.#phase = 'finish';
      const root = await this.#writeSymlinksAndCloseFolders();
      await flush.all().catch(rethrow);
      return root;
    } finally {
      await flush.close();
    }
  }

  // ── Pass 1 ──

  async #writeFoldersAndFiles(flush: RestoreFlush): Promise<void> {
    // One parcel's fatal trouble ends the others too.
    const stop = new AbortController();
    const { signal } = stop;
    const undo = abortWith(stop, [this.#request.signal]);
    const writer = new FileWriter({
      folder: this.#folder,
      existing: this.#request.existing,
      isResume: this.#target.state === 'resume',
      content: this.#request.content,
      parts: this.#parts,
      flush,
      signal,
      onOutcome: (file, outcome) => this.#settled(file, outcome),
      onNotSet: ({ entry }, fault) => this.#faults(entry, [fault]),
      onBytes: bytes => {
        flush.wrote(bytes);
        this.#bytesMoved += bytes;
        this.#tell();
      },
    });
    const running = new Set<Promise<void>>();
    const start = async (parcel: ParcelId, files: readonly WantedFile[]): Promise<void> => {
      const job = writer.restore(parcel, files).finally(() => running.delete(job));
      // The failure is thrown by whoever waits for the job; this only keeps Node from ending the process first.
      job.catch(error => stop.abort(error));
      running.add(job);
      if (running.size >= PARCELS_AT_ONCE) await Promise.race(running);
    };
    let run: { readonly parcel: ParcelId; readonly files: WantedFile[] } | undefined;
    try {
      for await (const placed of this.#placed({ report: true, signal })) {
        const { entry, parcel, path } = placed;
        if (entry.kind === 'directory') this.#makeFolder(placed);
        if (entry.kind !== 'file') continue;
        // Alone in its parcel, maybe between two entries of a run: not collected but begun at once.
        if (entry.size >= PARCEL_FILE_BYTES) await start(parcel, [{ entry, path }]);
        else if (run?.parcel === parcel) run.files.push({ entry, path });
        else {
          if (run !== undefined) await start(run.parcel, run.files);
          run = { parcel, files: [{ entry, path }] };
        }
      }
      if (run !== undefined) await start(run.parcel, run.files);
      await Promise.all(running);
      // A folder's time is set in pass 2, and a name that comes into it changes that.
      await flush.all().catch(rethrow);
    } catch (error) {
      stop.abort(error);
      await Promise.allSettled(running);
      // What is finished gets its name all the same. That it does not is the lesser news: the next run writes it again.
      await flush.all().catch(() => {});
      throw signal.reason;
    } finally {
      undo();
    }
  }

  #makeFolder({ entry, path, isStandIn }: PlacedBelow): void {
    const place = below(this.#folder, path);
    this.#guarded(entry, () => {
      checkParents(this.#folder, path);
      const there = lstatSync(place, { throwIfNoEntry: false });
      if (there?.isDirectory()) {
        // An earlier run, or the owner, may have closed it; pass 2 sets the mode that it is to have.
        if ((there.mode & 0o700) !== 0o700) chmodSync(place, (there.mode & 0o7777) | 0o700);
        return;
      }
      if (there === undefined) mkdirSync(place, { mode: 0o700 });
      else if (this.#request.existing === 'overwrite') this.#replaceByFolder(path);
      else throw new Error('something that is no folder is there in its place');
      if (isStandIn) this.#setFolder(place, entry);
      this.#folders += 1;
    });
  }

  /** What is there goes when the folder is there, and not before. */
  #replaceByFolder(path: Buffer): void {
    const place = below(this.#folder, path);
    const aside = this.#parts.pathFor(path);
    renameSync(place, aside);
    try {
      mkdirSync(place, { mode: 0o700 });
    } catch (error) {
      renameSync(aside, place);
      throw error;
    }
    rmSync(aside);
  }

  #settled({ entry }: WantedFile, outcome: Outcome): void {
    this.#filesDone += 1;
    switch (outcome.kind) {
      case 'restored':
        this.#files += 1;
        this.#bytes += outcome.bytes;
        break;
      case 'kept':
        this.#kept += 1;
        break;
      case 'failed':
        this.#fail(entry.path, outcome.because, outcome);
        break;
    }
    this.#tell();
  }

  // ── Pass 2 ──

  /** Gives the entry of the target itself. */
  async #writeSymlinksAndCloseFolders(): Promise<PlacedEntry | undefined> {
    let root: PlacedEntry | undefined;
    const order = { report: false, onClosed: (folder: OpenFolder) => this.#closeFolder(folder) };
    for await (const placed of this.#placed(order)) {
      const { entry, path } = placed;
      if (path.length === 0) root = placed;
      else if (entry.kind === 'symlink') this.#makeSymlink(entry, path);
      else if (entry.kind !== 'file' && entry.kind !== 'directory')
        this.#fail(entry.path, UNMAKEABLE, { retry: false });
    }
    return root;
  }

  #makeSymlink(entry: Entry, path: Buffer): void {
    const place = below(this.#folder, path);
    this.#guarded(entry, () => {
      const { target } = entry;
      if (target === undefined) throw new Error('the snapshot has no target for this symlink');
      checkParents(this.#folder, path);
      const { existing } = this.#request;
      const there = lstatSync(place, { throwIfNoEntry: false, bigint: true });
      if (there !== undefined) {
        const isRight = there.isSymbolicLink() && readlinkSync(place, 'buffer').equals(target);
        if (existing === 'keep' || (isRight && this.#target.state !== 'fresh')) {
          this.#kept += 1;
          // An earlier run may have ended between making it and setting its time.
          if (existing !== 'keep' && !sameTime(there.mtimeNs, entry.mtimeNs))
            this.#faults(entry, setTime(place, entry));
          return;
        }
        if (there.isDirectory()) throw new Error('a folder is there in its place');
        if (existing !== 'overwrite') throw new Error('something else has its name in the target already');
      }
      const part = this.#parts.pathFor(path);
      try {
        symlinkSync(target, part);
        const faults = [...setAllButTimeOfSymlink(part, entry), ...setTime(part, entry)];
        renameSync(part, place);
        this.#symlinks += 1;
        this.#faults(entry, faults);
      } finally {
        rmSync(part, { force: true });
      }
    });
  }

  #closeFolder({ entry, path }: OpenFolder): void {
    if (path.length === 0) return;
    this.#guarded(entry, () => {
      checkParents(this.#folder, path);
      const place = below(this.#folder, path);
      // Told in pass 1.
      if (lstatSync(place, { throwIfNoEntry: false })?.isDirectory() !== true) return;
      this.#setFolder(place, entry);
    });
  }

  /** Only a folder that is the restore's own gets the metadata of the source's folder; a shared one belongs to somebody. */
  #closeTarget(root: PlacedEntry | undefined): void {
    const { isNew, ownsFolder } = this.#target;
    // What stands in says nothing about a folder that an earlier run may have known better.
    const isSet = root?.isStandIn ? isNew : ownsFolder;
    if (root !== undefined && isSet) this.#guarded(root.entry, () => this.#setFolder(this.#folder, root.entry));
    // A single file came into a folder that was made for it, as mkdir would make it.
    else if (root === undefined && isNew) chmodSync(this.#folder, 0o777 & ~process.umask());
  }

  #setFolder(place: Buffer, entry: Entry): void {
    const fd = openSync(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    let faults: NotSet[];
    try {
      faults = setAllButTime(fd, place, entry);
    } finally {
      closeSync(fd);
    }
    this.#faults(entry, [...faults, ...setTime(place, entry)]);
  }

  // ── Pass 3 ──

  async #verifyAll(): Promise<void> {
    this.#phase = 'verify';
    this.#filesDone = 0;
    this.#bytesMoved = 0;
    for await (const { entry, path, isStandIn } of this.#placed({ report: false })) {
      if (path.length === 0 || isStandIn || this.#failedPaths.has(pathKey(entry.path))) continue;
      const fault = await this.#differs(entry, below(this.#folder, path)).catch(error => {
        throwIfStopping(error);
        return messageOf(error);
      });
      if (fault === undefined) this.#verified += 1;
      else this.#fail(entry.path, `read back: ${fault}`, { retry: false });
      if (entry.kind === 'file') this.#filesDone += 1;
      this.#tell();
    }
  }

  async #differs(entry: Entry, place: Buffer): Promise<string | undefined> {
    const there = lstatSync(place, { throwIfNoEntry: false, bigint: true });
    if (there === undefined) return 'it is not there';
    switch (entry.kind) {
      case 'directory':
        if (!there.isDirectory()) return 'it is no folder';
        break;
      case 'symlink':
        if (!there.isSymbolicLink()) return 'it is no symlink';
        return entry.target?.equals(readlinkSync(place, 'buffer')) === true ? undefined : 'it points elsewhere';
      case 'file':
        if (!there.isFile()) return 'it is no file';
        if (there.size !== BigInt(entry.size)) return `it has ${there.size} bytes instead of ${entry.size}`;
        if ((await hashFile(place, this.#request.signal)) !== entry.blob) return 'its bytes differ';
        this.#bytesMoved += entry.size;
        break;
      default:
        return UNMAKEABLE;
    }
    if (!sameTime(there.mtimeNs, entry.mtimeNs)) return 'its time differs';
    if (!hasAttributesOf(place, entry)) return 'its attributes differ';
    // Bits that were left out on purpose have been told already.
    return hasMetadataOf({ ...there, mode: there.mode | BigInt(entry.mode & 0o6000) } as typeof there, entry)
      ? undefined
      : 'its mode or owner differs';
  }

  // ── All passes ──

  /** The entries that may be written, each with its path below the target. Refused ones are told once, in the pass that reports. */
  async *#placed({
    report,
    signal = this.#request.signal,
    onClosed = () => {},
  }: {
    readonly report: boolean;
    readonly signal?: AbortSignal;
    readonly onClosed?: (folder: OpenFolder) => void;
  }): AsyncIterable<PlacedBelow> {
    const order = new RestoreOrder(this.#request.mark.under);
    const names = this.#foldsNames ? new FoldedNames(this.#folder) : undefined;
    /** The open ones of which nothing is known that could be set when they are closed, or that have no place. */
    const leftAlone = new Set<Entry>();
    const close = (folder: OpenFolder): void => {
      if (!leftAlone.delete(folder.entry)) onClosed(folder);
    };
    for await (const item of this.#request.entries(signal)) {
      signal.throwIfAborted();
      if ('lacking' in item) {
        this.#lack(item);
        continue;
      }
      const { entry, isStandIn } = item;
      if (isStandIn) leftAlone.add(entry);
      if (isStandIn && report) this.#faults(entry, [STANDS_IN]);
      const verdict = order.next(entry);
      for (const folder of verdict.closed) close(folder);
      if (verdict.act === 'refuse') {
        if (report) this.#fail(entry.path, verdict.because, { retry: false });
        continue;
      }
      const taken = names?.next(verdict.path);
      if (taken === undefined) yield { ...item, path: verdict.path };
      else {
        if (entry.kind === 'directory') leftAlone.add(entry);
        if (report) this.#fail(entry.path, taken, { retry: false });
      }
    }
    for (const folder of order.end()) close(folder);
  }

  #guarded(entry: Entry, work: () => void): void {
    try {
      work();
    } catch (error) {
      throwIfStopping(error);
      this.#fail(entry.path, messageOf(error), { retry: false });
    }
  }

  #fail(path: Buffer, because: string, { retry }: { readonly retry: boolean }): void {
    this.#failed += 1;
    this.#retry ||= retry;
    if (this.#request.verify && this.#failedPaths.size < FAILED_KEPT_MAX) this.#failedPaths.add(pathKey(path));
    this.#request.onProblem({ kind: 'failed', path, because });
  }

  /** Each place once. What came in the first pass may be lacking in a later one, so what it left undone has to be told then. */
  #lack({ after, lacking }: LackingEntries): void {
    const place = after.toString('latin1');
    if (this.#lacking.has(place)) return;
    this.#lacking.add(place);
    this.#failed += 1;
    this.#retry = true;
    this.#request.onProblem({ kind: 'lacking', path: after, because: lacking });
  }

  #faults(entry: Entry, faults: readonly NotSet[]): void {
    this.#notSet += faults.length;
    for (const { what, because } of faults)
      this.#request.onProblem({ kind: 'not-set', path: entry.path, what, because });
  }

  #tell(): void {
    this.#request.onProgress({ phase: this.#phase, files: this.#filesDone, bytes: this.#bytesMoved });
  }

  #report(): RestoreReport {
    return {
      files: this.#files,
      bytes: this.#bytes,
      folders: this.#folders,
      symlinks: this.#symlinks,
      kept: this.#kept,
      failed: this.#failed,
      notSet: this.#notSet,
      verified: this.#verified,
      resumable: this.#retry,
    };
  }
}

/** Below what is no folder yet, nothing is. */
function found(place: Buffer): BigIntStats | undefined {
  try {
    return lstatSync(place, { throwIfNoEntry: false, bigint: true });
  } catch (error) {
    if (errorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

const STANDS_IN: NotSet = {
  what: 'mode and time',
  because: 'the entry of this folder cannot be read; if it is new, it is open to the owner of its content alone',
};

const UNMAKEABLE = 'pipes, sockets and devices cannot be made by this version';
