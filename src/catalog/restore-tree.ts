/**
 * Restore tree: writes a snapshot's entries below a folder, byte for byte, in the process of the person who asked.
 *
 * Two passes over the entries, so that memory holds the depth of the tree and a few parcels, never the snapshot:
 *
 *   1. Folders (open to the caller only), and regular files with their hard links, parcel by parcel, several at once.
 *   2. Symlinks, and behind each folder's last entry the folder's owner, attributes, mode and time: so deepest first, and
 *      only when nothing more is written into it.
 *
 * `verify` adds a third pass, which reads everything back. While files are written no symlink of the restore exists
 * yet, no folder is reached through somebody else's symlink (restore-places.ts), and every name is checked
 * (restore-names.ts): nothing is ever written outside the target.
 *
 * What cannot be restored is reported and does not stop the rest; a target that can no longer be written does. Either
 * way the mark stays when running the same restore again would help.
 */
import type { ParcelId } from '../core/ids.js';
import { abortWith } from '../platform/abort-with.js';
import { hasDescriptorPaths } from '../platform/descriptor-path.js';
import { PARCEL_FILE_BYTES } from './cut.js';
import type { Entry } from './entry.js';
import { PlacedEntries } from './placed-entries.js';
import { readBack } from './read-back.js';
import { Rehearsal } from './rehearse.js';
import type { ContentFrame, ContentRequest, LackingEntries, PlacedEntry } from './restore-content.js';
import { pathlessMessageOf, rethrow } from './restore-failure.js';
import { FileWriter } from './restore-files.js';
import { RestoreFlush } from './restore-flush.js';
import { RestoreFolders, setsTarget } from './restore-folders.js';
import { lookAtFolding } from './restore-folding.js';
import { isRoot, unsettable } from './restore-metadata.js';
import type { OpenFolder } from './restore-names.js';
import type { WantedFile } from './restore-outcome.js';
import { RestoreParts } from './restore-parts.js';
import { holdFolder, namedFolder, RestorePlaces } from './restore-places.js';
import { restoreSymlink } from './restore-symlink.js';
import {
  type RestoreProblem,
  type RestoreProgress,
  type RestoreReport,
  RestoreTally,
  UNMAKEABLE,
} from './restore-tally.js';
import {
  type ExistingFiles,
  lookAtTarget,
  openTarget,
  type RestoreMark,
  type RestoreTarget,
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
  /** These hosts have the content and went away just now: the restore waits for them for a while. */
  readonly onWaiting: (hosts: readonly string[]) => void;
}

/** Parcels restored at once: enough to hide the latency of fetching, few enough to stay small in memory. */
const PARCELS_AT_ONCE = 4;

/** @throws ClusterError TARGET_…, RESTORE_STOPPED; what `entries` and `content` throw; the abort's reason */
export async function restoreTree(request: RestoreRequest): Promise<RestoreReport> {
  if (request.dryRun) return rehearse(request);
  const target = await openTarget(request);
  const places = new RestorePlaces(target.folder);
  let flush: RestoreFlush | undefined;
  let restore: Restore | undefined;
  try {
    flush = new RestoreFlush(target.folder.path);
    restore = new Restore(request, { target, places, flush });
    return await restore.run();
  } catch (error) {
    restore?.giveBack();
    target.giveBack();
    return rethrow(error);
  } finally {
    await flush?.close();
    places.release();
    target.release();
  }
}

/** The first pass as a dry run. */
async function rehearse(request: RestoreRequest): Promise<RestoreReport> {
  const { target, mark, entries, existing, signal } = request;
  const { exists, state, ownsFolder } = lookAtTarget(request);
  const tally = new RestoreTally(request);
  const folder = exists
    ? hasDescriptorPaths()
      ? holdFolder(target, { follow: true })
      : namedFolder(Buffer.from(target))
    : undefined;
  const places = folder && new RestorePlaces(folder);
  const rehearsal = new Rehearsal({ existing, state, ownsFolder, places });
  // A rehearsal writes nothing, so it cannot find out which names the target takes for one.
  const placed = new PlacedEntries({ entries, under: mark.under, folding: undefined, tally, signal });
  try {
    for await (const one of placed.each({ report: true })) {
      const { entry, path } = one;
      if (path.length === 0) {
        if (setsTarget({ isNew: !exists, ownsFolder }, one)) tally.faults(entry, unsettable(entry));
        continue;
      }
      const rehearsed = rehearsal.next(one);
      if (rehearsed.act === 'fail') {
        tally.fail(entry.path, rehearsed.because, { retry: false });
        continue;
      }
      tally.faults(entry, rehearsed.unset);
      if (rehearsed.act === 'keep') tally.count('kept');
      else if (rehearsed.act === 'write') {
        if (entry.kind === 'file') tally.countFile(rehearsed.bytes);
        else tally.count(entry.kind === 'directory' ? 'folders' : 'symlinks');
      }
    }
    return tally.report;
  } finally {
    places?.release();
    folder?.release();
  }
}

interface RestoreOpen {
  readonly target: RestoreTarget;
  readonly places: RestorePlaces;
  readonly flush: RestoreFlush;
}

class Restore {
  readonly #request: RestoreRequest;
  readonly #target: RestoreTarget;
  readonly #places: RestorePlaces;
  readonly #flush: RestoreFlush;
  readonly #parts: RestoreParts;
  readonly #tally: RestoreTally;
  readonly #folders: RestoreFolders;
  readonly #placed: PlacedEntries;

  constructor(request: RestoreRequest, { target, places, flush }: RestoreOpen) {
    const { entries, mark, existing, signal } = request;
    this.#request = request;
    this.#target = target;
    this.#places = places;
    this.#flush = flush;
    this.#parts = new RestoreParts({ target, places, flush });
    this.#tally = new RestoreTally(request);
    this.#folders = new RestoreFolders({ target, places, existing, parts: this.#parts, flush, tally: this.#tally });
    this.#placed = new PlacedEntries({
      entries,
      under: mark.under,
      folding: lookAtFolding(target, this.#parts),
      tally: this.#tally,
      signal,
    });
  }

  giveBack(): void {
    this.#folders.giveAllBack();
  }

  async run(): Promise<RestoreReport> {
    const { verify } = this.#request;
    const root = await this.#writeDurably();
    if (verify) await this.#verifyAll();
    // By names alone, root must not remove anything in a folder that its owner can lead elsewhere.
    const isMarkFirst = isRoot() && !hasDescriptorPaths();
    if (isMarkFirst) this.#removeMark();
    // Otherwise the mark waits: once it is gone, the same command cannot give the target what is the target's.
    this.#folders.closeTarget(root);
    if (!isMarkFirst) this.#removeMark();
    this.#folders.leaveTarget(root);
    return this.#tally.report;
  }

  #removeMark(): void {
    if (!this.#tally.isResumable) this.#target.removeMark();
  }

  /**
   * Puts everything on disk before the mark is removed. Returns the entry of the target itself, which is closed last.
   */
  async #writeDurably(): Promise<PlacedEntry | undefined> {
    await this.#writeFoldersAndFiles();
    this.#tally.begin('finish');
    const root = await this.#writeSymlinksAndCloseFolders();
    await this.#flush.all().catch(rethrow);
    return root;
  }

  // ── Pass 1 ──

  async #writeFoldersAndFiles(): Promise<void> {
    const flush = this.#flush;
    // A fatal error in one parcel ends the others too.
    const stop = new AbortController();
    const { signal } = stop;
    const undo = abortWith(stop, [this.#request.signal]);
    const writer = new FileWriter({
      places: this.#places,
      markFolder: this.#target.markFolder,
      existing: this.#request.existing,
      isResume: this.#target.state === 'resume',
      ownsFolder: this.#target.ownsFolder,
      content: this.#request.content,
      parts: this.#parts,
      flush,
      signal,
      onOutcome: ({ entry }, outcome) => this.#tally.settled(entry, outcome),
      onNotSet: ({ entry }, fault) => this.#tally.faults(entry, [fault]),
      onBytes: bytes => {
        flush.wrote(bytes);
        this.#tally.moved(bytes);
        this.#tally.tell();
      },
      onWaiting: this.#request.onWaiting,
    });
    const running = new Set<Promise<void>>();
    const start = async (parcel: ParcelId, files: readonly WantedFile[]): Promise<void> => {
      const job = writer.restore(parcel, files).finally(() => running.delete(job));
      // The failure is thrown to whoever awaits the job; this only keeps Node from ending the process first.
      job.catch(error => stop.abort(error));
      running.add(job);
      if (running.size >= PARCELS_AT_ONCE) await Promise.race(running);
    };
    let run: { readonly parcel: ParcelId; readonly files: WantedFile[] } | undefined;
    try {
      for await (const placed of this.#placed.each({ report: true, signal })) {
        const { entry, parcel, path } = placed;
        if (entry.kind === 'directory') this.#folders.make(placed);
        if (entry.kind !== 'file') continue;
        // Alone in its parcel, maybe between two entries of a run: it is not collected but begun at once.
        if (entry.size >= PARCEL_FILE_BYTES) await start(parcel, [{ entry, path }]);
        else if (run?.parcel === parcel) run.files.push({ entry, path });
        else {
          if (run !== undefined) await start(run.parcel, run.files);
          run = { parcel, files: [{ entry, path }] };
        }
      }
      if (run !== undefined) await start(run.parcel, run.files);
      await Promise.all(running);
      // Pass 2 sets a folder's time, and a name that comes into the folder would change that.
      await flush.all().catch(rethrow);
    } catch (error) {
      stop.abort(error);
      await Promise.allSettled(running);
      // Finished files still get their names. A failure of that is the lesser error: the next run writes them again.
      await flush.all().catch(() => {});
      throw signal.reason;
    } finally {
      undo();
    }
  }

  // ── Pass 2 ──

  /** Returns the entry of the target itself. */
  async #writeSymlinksAndCloseFolders(): Promise<PlacedEntry | undefined> {
    let root: PlacedEntry | undefined;
    const order = { report: false, onClosed: (folder: OpenFolder) => this.#folders.close(folder) };
    for await (const placed of this.#placed.each(order)) {
      const { entry, path } = placed;
      if (path.length === 0) root = placed;
      else if (entry.kind === 'symlink') this.#makeSymlink(entry, path);
      else if (entry.kind !== 'file' && entry.kind !== 'directory')
        this.#tally.fail(entry.path, UNMAKEABLE, { retry: false });
    }
    return root;
  }

  #makeSymlink(entry: Entry, path: Buffer): void {
    this.#tally.guarded(entry, () => {
      const { existing } = this.#request;
      const [places, parts, { state }] = [this.#places, this.#parts, this.#target];
      const { kind, faults } = restoreSymlink(entry, { path, places, state, existing, parts });
      this.#tally.count(kind === 'made' ? 'symlinks' : 'kept');
      this.#tally.faults(entry, faults);
    });
  }

  // ── Pass 3 ──

  async #verifyAll(): Promise<void> {
    this.#tally.begin('verify');
    const { signal } = this.#request;
    for await (const { entry, path, isStandIn } of this.#placed.each({ report: false })) {
      if (path.length === 0 || isStandIn || this.#tally.hasFailed(entry.path)) continue;
      if (entry.kind === 'directory' && !this.#folders.sets(path)) continue;
      const onRead = (bytes: number) => this.#tally.moved(bytes);
      const fault = await readBack(entry, { path, places: this.#places, signal, onRead }).catch(error => {
        signal.throwIfAborted();
        // Nothing is written in this pass: an unreadable file fails alone.
        return pathlessMessageOf(error);
      });
      if (fault === undefined) this.#tally.count('verified');
      else this.#tally.fail(entry.path, `read back: ${fault}`, { retry: false });
      if (entry.kind === 'file') this.#tally.wasRead();
      this.#tally.tell();
    }
  }
}
