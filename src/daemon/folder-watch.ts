/**
 * Folder watch: reports at once that something changes in a source's folder. It only says when to look; finding out
 * what changed is left to the scan.
 *
 * The Linux kernel watches folders one by one. So each folder of the tree is watched by itself, except those that are
 * never scanned: excluded folders, stores and state folders, other file systems. (Node's own `recursive` watches each
 * file there, and the kernel's limit is soon reached.) `catchUp` looks for new folders before each scan: files that
 * enter a folder before it is watched are in that scan. macOS watches whole trees by itself.
 *
 * A folder that cannot be watched is passed over, like one that cannot be read. But if a limit is the reason, nothing
 * of the source is watched, because half a watch would be taken for a whole one. The kernel drops changes when too
 * many come at once, and Node does not report that, so nobody may rely on this watch alone. While a program writes
 * very fast, a folder is listened to only part of the time, because Node gives no other event its turn while more such
 * events wait.
 *
 * Driven by source-watch.ts, one call at a time.
 */
import { type BigIntStats, type Dirent, type FSWatcher, watch } from 'node:fs';
import { errorCode } from '../catalog/error-code.js';
import { Exclusion } from '../catalog/exclude.js';
import type { ForbiddenFolder } from '../catalog/forbidden-folder.js';
import { identityOf } from '../catalog/scan-places.js';
import { diskOf } from '../platform/disk.js';
import { lstat, readdir, realpath, stat } from '../platform/disk-calls.js';
import { SLASH } from '../platform/slash.js';

export interface FolderWatchOptions {
  /** A symlink to a folder is followed. */
  readonly path: string;
  /** Patterns as in .gitignore. */
  readonly exclude: readonly string[];
  readonly crossMounts: boolean;
  /** Stores and state folders: changes in them are made by this service. */
  readonly forbidden: readonly ForbiddenFolder[];
  /** Default: where the system watches whole trees by itself. */
  readonly recursive?: boolean;
  readonly onChange: () => void;
  readonly signal: AbortSignal;
}

interface Folder {
  /** Relative to the source's folder; empty for that folder itself. */
  readonly path: Buffer;
  readonly device: bigint;
  readonly identity: string;
  /** Undefined while the folder is not listened to. */
  watcher: FSWatcher | undefined;
  /** Events heard since listening last began. */
  events: number;
  /** By name, as Latin-1. */
  readonly children: Map<string, Folder>;
  /** The folder was moved or removed. Another one may have its inode by now. */
  gone: boolean;
  closed: boolean;
}

/** After this many events of one folder, which take some 10 ms, it is not listened to for a while. */
export const EVENTS_MAX = 1_000;
/** How long it is not listened to, in ms. Without this, two fast writers stopped all else for 2 s. */
const PAUSE_MS = 100;

/** Errors for a limit of the user or of the machine. */
const LIMITS = ['ENOSPC', 'EMFILE', 'ENFILE', 'ENOMEM'];

export class FolderWatch {
  readonly #options: FolderWatchOptions;
  readonly #root: Buffer;
  readonly #recursive: boolean;
  readonly #exclusion: Exclusion;
  /** Folders in which names came or went. */
  readonly #restless = new Set<Folder>();
  readonly #paused = new Set<Folder>();
  #pauseTimer: NodeJS.Timeout | undefined;
  #top: Folder | undefined;
  #broken = false;

  private constructor(options: FolderWatchOptions, root: Buffer) {
    this.#options = options;
    this.#root = root;
    this.#recursive = options.recursive ?? process.platform === 'darwin';
    this.#exclusion = new Exclusion(options.exclude);
  }

  /** Once it returns, every later change is reported. @throws a system error; the signal's reason */
  static async begin(options: FolderWatchOptions): Promise<FolderWatch> {
    const root = await realpath(Buffer.from(options.path), { encoding: 'buffer' });
    diskOf(options.path)?.alsoAt(root.toString());
    const folderWatch = new FolderWatch(options, root);
    try {
      await folderWatch.#begin();
      options.signal.throwIfAborted();
    } catch (error) {
      folderWatch.close();
      throw error;
    }
    return folderWatch;
  }

  /**
   * Watches the new folders, and listens to all.
   * @returns false when it must begin again: another folder stands under the source's name, or the watching broke
   * @throws a system error: a limit was reached
   */
  async catchUp(): Promise<boolean> {
    this.#listenAgain();
    const found = await stat(this.#options.path, { bigint: true }).catch(() => undefined);
    if (this.#broken || found === undefined || !isStill(this.#top, found)) return false;
    const restless = [...this.#restless];
    this.#restless.clear();
    for (const folder of restless) if (!folder.closed) await this.#enter(folder);
    return true;
  }

  close(): void {
    clearTimeout(this.#pauseTimer);
    if (this.#top !== undefined) this.#close(this.#top);
  }

  async #begin(): Promise<void> {
    const found = await stat(this.#root, { bigint: true });
    this.#top = this.#watch(Buffer.alloc(0), found);
    if (!this.#recursive) await this.#enter(this.#top);
  }

  /** Watches new folders below a watched one. */
  async #enter(folder: Folder): Promise<void> {
    const todo = [folder];
    for (let next = todo.pop(); next !== undefined; next = todo.pop())
      for (const child of await this.#lookInto(next)) todo.push(child);
  }

  /** Returns the folders in it that are watched from now on. */
  async #lookInto(folder: Folder): Promise<Folder[]> {
    const found = new Map<string, BigIntStats>();
    for (const { name } of await this.#foldersIn(folder)) {
      const path = below(folder.path, name);
      if (this.#isForbidden(path)) continue;
      const stats = await lstat(this.#full(path), { bigint: true }).catch(() => undefined);
      if (stats?.isDirectory() && !this.#isLeftOut(folder, path, stats)) found.set(name.toString('latin1'), stats);
    }
    for (const [name, child] of folder.children) {
      const stats = found.get(name);
      if (stats !== undefined && isStill(child, stats)) continue;
      this.#close(child);
      folder.children.delete(name);
    }
    const fresh: Folder[] = [];
    for (const [name, stats] of found) {
      if (folder.children.has(name)) continue;
      const child = this.#watchBelow(below(folder.path, Buffer.from(name, 'latin1')), stats);
      if (child === undefined) continue;
      folder.children.set(name, child);
      fresh.push(child);
    }
    return fresh;
  }

  async #foldersIn(folder: Folder): Promise<Dirent<Buffer>[]> {
    try {
      const entries = await readdir(this.#full(folder.path), { encoding: 'buffer', withFileTypes: true });
      return entries.filter(entry => entry.isDirectory());
    } catch (error) {
      if (folder === this.#top) throw error;
      return []; // gone, or not readable: the scan says which
    }
  }

  #isLeftOut(parent: Folder, path: Buffer, stats: BigIntStats): boolean {
    return (
      (stats.dev !== parent.device && !this.#options.crossMounts) ||
      this.#options.forbidden.some(({ identity }) => identity === identityOf(stats)) ||
      this.#exclusion.excludes(path, { isDirectory: true })
    );
  }

  /** Undefined when it cannot be watched for a reason of its own, which is no limit. */
  #watchBelow(path: Buffer, stats: BigIntStats): Folder | undefined {
    try {
      return this.#watch(path, stats);
    } catch (error) {
      if (this.#options.signal.aborted || LIMITS.includes(errorCode(error))) throw error;
      return undefined;
    }
  }

  #watch(path: Buffer, stats: BigIntStats): Folder {
    this.#options.signal.throwIfAborted();
    const folder: Folder = {
      path,
      device: stats.dev,
      identity: identityOf(stats),
      watcher: undefined,
      events: 0,
      children: new Map(),
      gone: false,
      closed: false,
    };
    this.#listen(folder);
    return folder;
  }

  #listen(folder: Folder): void {
    const full = this.#full(folder.path);
    const watcher = this.#recursive
      ? watch(full.toString(), { encoding: 'buffer', persistent: false, recursive: true })
      : watch(full, { encoding: 'buffer', persistent: false });
    watcher.on('change', (kind: string, name: Buffer | string | null) =>
      this.#notice(folder, kind, name === null ? undefined : Buffer.from(name)),
    );
    watcher.on('error', () => this.#break());
    folder.watcher = watcher;
    folder.events = 0;
  }

  #break(): void {
    this.#broken = true;
    this.#options.onChange();
  }

  #pause(folder: Folder): void {
    folder.watcher?.close();
    folder.watcher = undefined;
    this.#paused.add(folder);
    this.#pauseTimer ??= setTimeout(() => this.#listenAgain(), PAUSE_MS);
  }

  #listenAgain(): void {
    clearTimeout(this.#pauseTimer);
    this.#pauseTimer = undefined;
    for (const folder of this.#paused) {
      this.#paused.delete(folder);
      if (!this.#recursive) this.#restless.add(folder);
      try {
        this.#listen(folder);
      } catch (error) {
        if (LIMITS.includes(errorCode(error))) this.#break();
        folder.gone = true;
      }
    }
  }

  #notice(folder: Folder, kind: string, name: Buffer | undefined): void {
    folder.events += 1;
    if (folder.events === EVENTS_MAX) this.#pause(folder);
    const path = name === undefined ? folder.path : below(folder.path, name);
    // A folder hears of itself under its own name, like something in it.
    if (kind === 'rename' && name?.equals(nameOf(this.#full(folder.path)))) folder.gone = true;
    if (path.length > 0 && this.#isLeftOutName(folder, { kind, path, name })) return;
    if (this.#recursive && this.#isForbidden(path)) return;
    if (kind === 'rename' && !this.#recursive) this.#restless.add(folder);
    this.#options.onChange();
  }

  /**
   * It is not known whether a name that came or went is a folder's: for an excluded one a scan is made in vain. What
   * changes in its place is a folder if it is watched, and a file if not: new folders come first.
   */
  #isLeftOutName(
    folder: Folder,
    { kind, path, name }: { readonly kind: string; readonly path: Buffer; readonly name: Buffer | undefined },
  ): boolean {
    if (kind === 'rename' || this.#recursive) return this.#exclusion.excludesUnknown(path);
    const isDirectory = name === undefined || folder.children.has(name.toString('latin1'));
    return this.#exclusion.excludes(path, { isDirectory });
  }

  /** Judged by the path alone, not even with a stat: its disk may hang. */
  #isForbidden(path: Buffer): boolean {
    const full = `${this.#full(path).toString('latin1')}/`;
    return this.#options.forbidden.some(forbidden => full.startsWith(`${forbidden.path}/`));
  }

  #close(folder: Folder): void {
    const todo = [folder];
    for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
      next.closed = true;
      next.watcher?.close();
      this.#restless.delete(next);
      this.#paused.delete(next);
      for (const child of next.children.values()) todo.push(child);
    }
  }

  #full(path: Buffer): Buffer {
    return path.length === 0 ? this.#root : Buffer.concat([this.#root, Buffer.of(SLASH), path]);
  }
}

const below = (folder: Buffer, name: Buffer): Buffer =>
  folder.length === 0 ? name : Buffer.concat([folder, Buffer.of(SLASH), name]);

const nameOf = (full: Buffer): Buffer => full.subarray(full.lastIndexOf(SLASH) + 1);

const isStill = (folder: Folder | undefined, stats: BigIntStats): boolean =>
  folder !== undefined && !folder.gone && folder.identity === identityOf(stats);
