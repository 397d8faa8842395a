/**
 * Scan folder: one folder on the way of the scan: its names, where in them the walk is, and whether a name is gone.
 *
 * A name is gone only when this very folder, listed again, no longer has it.
 *
 * Driven by scan-worker.ts.
 */
import { type BigIntStats, lstatSync, readdirSync } from 'node:fs';
import type { FolderIdentity } from './scan-cache-format.js';

/** Times that one folder is listed again to see whether names are gone; then what is left of it is unstable. */
const RELISTINGS_MAX = 64;

const SLASH = 0x2f;

export class ScanFolder {
  /** Relative to the source's folder. */
  readonly path: Buffer;
  /** Its whole path. */
  readonly full: Buffer;
  readonly device: bigint;
  /** Its device and inode: another folder under its name proves nothing about this one's names. */
  readonly identity: string;
  /** It outlasts a rename. */
  readonly lastingIdentity: FolderIdentity;
  /** Where it was at an earlier scan, if elsewhere. */
  readonly formerPath: Buffer | undefined;
  /** As `listNames` gives them. */
  readonly names: readonly string[];
  /** What this thread has in it begins in its midst. */
  readonly isShared: boolean;
  next: number;
  #relistings = 0;
  /** The names of the last listing again. */
  #relisted: ReadonlySet<string> | undefined;

  /** `next`: where among the names the walk begins. */
  constructor(
    stat: BigIntStats,
    {
      path,
      full,
      lastingIdentity,
      formerPath,
      names,
      isShared,
      next,
    }: Pick<ScanFolder, 'path' | 'full' | 'lastingIdentity' | 'formerPath' | 'names' | 'isShared' | 'next'>,
  ) {
    this.path = path;
    this.device = stat.dev;
    this.identity = identityOf(stat);
    this.lastingIdentity = lastingIdentity;
    this.formerPath = formerPath;
    this.names = names;
    this.isShared = isShared;
    this.next = next;
    this.full = full;
  }

  /** True when the folder, listed again, no longer has the name. */
  isGone(name: string): boolean {
    if (this.#relisted !== undefined && !this.#relisted.has(name)) return true;
    if (this.#relistings >= RELISTINGS_MAX) return false;
    this.#relistings += 1;
    try {
      const names = listNames(this.full);
      if (identityOf(lstatSync(this.full, { bigint: true })) !== this.identity) return false;
      this.#relisted = new Set(names);
    } catch {
      // The folder cannot be listed any more: so nothing is known to be gone, and the caller reports the name as unread.
      return false;
    }
    return !this.#relisted.has(name);
  }
}

/** As Latin-1, in the order of their bytes: a Buffer for each took the collector of garbage as long as listing takes. */
export const listNames = (full: Buffer): string[] => readdirSync(full, { encoding: 'latin1' }).sort();

/** The path of a name of `listNames`. */
export function below(folder: Buffer, name: string): Buffer {
  if (folder.length === 0) return Buffer.from(name, 'latin1');
  const path = Buffer.allocUnsafe(folder.length + 1 + name.length);
  path.set(folder);
  path[folder.length] = SLASH;
  path.write(name, folder.length + 1, 'latin1');
  return path;
}

export const identityOf = (stat: BigIntStats): string => `${stat.dev}:${stat.ino}`;
