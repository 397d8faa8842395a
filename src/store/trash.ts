/**
 * Trash: bytes that left `.blobs`, kept for a while in case that was a mistake. They never count and never grant; they
 * are used room, and the first to go.
 *
 *   .trash/<blob>            dropped or expired. A later grab takes it back, and hashes it as all that comes back
 *   .trash/<blob>.<12 hex>   set aside: did not hash to its name. May be all that is left of a file, so a person finds
 *                            it here for as long, or as long as it is spared; never taken back. When room is needed it
 *                            goes last
 *
 * A file's mtime says when it came here, by the wall clock; its other times change whenever a link is made or removed.
 * At the opening, the file's age is taken from its mtime. From then on, as from its coming for a new file, it ages by
 * the steady clock: a machine that starts with a clock days off, until a time server sets it, must not empty the trash
 * because of that.
 *
 * A file here may also have names in the trees (tree-view.ts). Unlinking it would then free nothing, and would make a
 * tree's name the only one of its bytes; so those names are removed first.
 *
 * Driven by incoming.ts and store.ts. Nothing here is flushed: what a power cut brings back under `.blobs` is a stray,
 * and comes here again with the other strays (stray-sweep.ts).
 */
import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { lstat, lutimes, readdir, rename, unlink } from '../platform/disk-calls.js';
import { systemCode, tampered } from './own-folder.js';
import { Turns } from './turns.js';

/** What may go: files that have been here for at least that long, or the oldest until that many bytes are freed. */
export type TrashLimit = AgeLimit | { readonly freeBytes: number };

export interface AgeLimit {
  readonly olderThanMs: number;
  /**
   * Asked when something that was set aside has been here for that long: of which blobs it stays all the same. Default:
   * of none.
   */
  readonly sparing?: () => Promise<(blob: string) => boolean>;
}

export interface TrashClocks {
  /** Ms since 1970. */
  readonly wallMs: () => number;
  /** Ms since any moment; free of the wall clock's jumps. */
  readonly steadyMs: () => number;
}

interface Trashed {
  /**
   * When it came here, by the steady clock. For a file from before the opening: as long before the opening as the wall
   * clock says.
   */
  readonly sinceMs: number;
  readonly bytes: number;
}

/**
 * A file here costs some 200 bytes of memory: 100 MB at this many. Above it, `empty` removes the oldest whatever their
 * age.
 */
const TRASH_FILES_MAX = 500_000;
/** Hex digits of a blob's id. */
const BLOB_DIGITS = 64;
/** Files removed in one round: the trees are searched once for each round. */
const ROUND_FILES = 65_536;

export class Trash {
  readonly #path: string;
  readonly #clocks: TrashClocks;
  readonly #filesMax: number;
  /** By file name, in the order of arrival: the oldest first. */
  readonly #files = new Map<string, Trashed>();
  /** The same of what was set aside. */
  readonly #aside = new Map<string, Trashed>();
  /** By file name: one call at a time makes, takes or removes it. */
  readonly #turns = new Turns<string>();
  #bytes = 0;

  private constructor(path: string, clocks: TrashClocks, filesMax: number) {
    this.#path = path;
    this.#clocks = clocks;
    this.#filesMax = filesMax;
  }

  /** @param options.filesMax default 500,000 */
  static async open(
    path: string,
    clocks: TrashClocks,
    { filesMax = TRASH_FILES_MAX }: { readonly filesMax?: number } = {},
  ): Promise<Trash> {
    const trash = new Trash(path, clocks, filesMax);
    const found: { readonly name: string; readonly ageMs: number; readonly bytes: number }[] = [];
    const [wallMs, steadyMs] = [clocks.wallMs(), clocks.steadyMs()];
    for (const name of await readdir(path)) {
      const stats = await lstat(`${path}/${name}`);
      if (stats.isFile()) found.push({ name, ageMs: wallMs - stats.mtimeMs, bytes: stats.size });
    }
    found.sort((a, b) => b.ageMs - a.ageMs);
    for (const { name, ageMs, bytes } of found) trash.#note(name, { sinceMs: steadyMs - Math.max(0, ageMs), bytes });
    return trash;
  }

  get bytes(): number {
    return this.#bytes;
  }

  has(blob: string): boolean {
    return this.#files.has(blob);
  }

  /** Moves a file here that may be taken back. Returns how many bytes it has; `undefined` when there is none. */
  put(from: string, blob: string): Promise<number | undefined> {
    return this.#turns.take(blob, () => this.#move(from, blob));
  }

  /** Moves a file here that is not what its name says. Returns its new path; `undefined` when there is none. */
  async setAside(from: string, blob: string): Promise<string | undefined> {
    const name = `${blob}.${randomBytes(6).toString('hex')}`;
    return (await this.#move(from, name)) === undefined ? undefined : `${this.#path}/${name}`;
  }

  async #move(from: string, name: string): Promise<number | undefined> {
    const found = await statIfThere(from);
    if (found === undefined) return undefined;
    if (!found.isFile()) throw tampered(from, 'is not a plain file');
    // Before the move: a crash between the two must not make it look as if it had been here for long.
    await setModified(from, this.#clocks.wallMs());
    await rename(from, `${this.#path}/${name}`);
    this.#forget(name); // an older one of that name, which has been replaced
    this.#note(name, { sinceMs: this.#clocks.steadyMs(), bytes: found.size });
    return found.size;
  }

  /** Moves the blob away from here, unhashed. Returns how many bytes it has; `undefined` when it is not here. */
  takeBack(blob: string, to: string): Promise<number | undefined> {
    return this.#turns.take(blob, async () => {
      if (!this.#files.has(blob)) return undefined;
      const path = `${this.#path}/${blob}`;
      const found = await statIfThere(path);
      if (found !== undefined) {
        // It counts as newly arrived: by its old time it would be swept away as a leftover.
        await setModified(path, this.#clocks.wallMs());
        await rename(path, to);
      }
      this.#forget(blob);
      return found?.size;
    });
  }

  /**
   * Removes what may go, oldest first, and what was set aside after all else. Returns how many bytes that freed: none
   * for a file that a person has linked elsewhere; that link is theirs from now on.
   *
   * @param removeFromTrees is given the inodes that have other names
   */
  async empty(
    limit: TrashLimit,
    removeFromTrees: (inodes: ReadonlySet<number>) => Promise<void>,
    signal?: AbortSignal,
  ): Promise<number> {
    let freedBytes = 0;
    const asideDue = 'freeBytes' in limit ? this.#aside : await this.#asideDue(limit);
    for (;;) {
      const due = this.#due(limit, { freedBytes, asideDue });
      if (due.length === 0) return freedBytes;
      const linked = new Set<number>();
      for (const name of due) {
        signal?.throwIfAborted();
        const found = await statIfThere(`${this.#path}/${name}`);
        if (found !== undefined && found.nlink > 1) linked.add(found.ino);
      }
      if (linked.size > 0) await removeFromTrees(linked);
      for (const name of due) {
        signal?.throwIfAborted();
        freedBytes += await this.#turns.take(name, () => this.#remove(name));
      }
    }
  }

  /** What was set aside long enough ago, and is not spared. */
  async #asideDue({ olderThanMs, sparing }: AgeLimit): Promise<ReadonlyMap<string, Trashed>> {
    const untilMs = this.#clocks.steadyMs() - olderThanMs;
    const due = [...this.#aside].filter(([, { sinceMs }]) => sinceMs <= untilMs);
    if (sparing === undefined || due.length === 0) return new Map(due);
    const isSpared = await sparing();
    return new Map(due.filter(([name]) => !isSpared(blobOf(name))));
  }

  #due(
    limit: TrashLimit,
    { freedBytes, asideDue }: { readonly freedBytes: number; readonly asideDue: ReadonlyMap<string, Trashed> },
  ): string[] {
    const due: string[] = [];
    const nowMs = this.#clocks.steadyMs();
    let excess = this.#files.size + this.#aside.size - this.#filesMax;
    let bytes = freedBytes;
    const isDue = (name: string, { sinceMs }: Trashed): boolean => {
      if ('freeBytes' in limit) return bytes < limit.freeBytes;
      return this.#aside.has(name) ? asideDue.has(name) : nowMs - sinceMs >= limit.olderThanMs;
    };
    for (const files of [this.#files, this.#aside])
      for (const [name, file] of files) {
        if (due.length === ROUND_FILES) return due;
        if (excess <= 0 && !isDue(name, file)) {
          // All later ones are younger. Of what was set aside, only this one may be spared.
          if (files === this.#files) break;
          continue;
        }
        due.push(name);
        excess -= 1;
        bytes += file.bytes;
      }
    return due;
  }

  async #remove(name: string): Promise<number> {
    // It was taken back meanwhile.
    if (!this.#filesLike(name).has(name)) return 0;
    const path = `${this.#path}/${name}`;
    const found = await statIfThere(path);
    if (found !== undefined) await unlink(path);
    this.#forget(name);
    return found?.nlink === 1 ? found.size : 0;
  }

  #note(name: string, file: Trashed): void {
    this.#filesLike(name).set(name, file);
    this.#bytes += file.bytes;
  }

  #forget(name: string): void {
    const files = this.#filesLike(name);
    this.#bytes -= files.get(name)?.bytes ?? 0;
    files.delete(name);
  }

  #filesLike(name: string): Map<string, Trashed> {
    return blobOf(name) === name ? this.#files : this.#aside;
  }
}

/** Of a file of either kind. */
const blobOf = (name: string): string => name.slice(0, BLOB_DIGITS);

/** Does not follow a symlink, whatever may have taken the file's place. */
async function setModified(path: string, ms: number): Promise<void> {
  await lutimes(path, ms / 1000, ms / 1000);
}

async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
