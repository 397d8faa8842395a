/**
 * Origin folders: STORE/<origin>, which hold the trees. People may keep other things on the same disk; which folders
 * are the store's?
 *
 * Those that have the name of a host, belong to this user, and lie on the store's own disk. Anything that is somebody
 * else's or cannot be read is passed over: it must not keep a tree from being found, nor the trash from being emptied.
 */
import { NAME_PATTERN } from '../core/ids.js';
import { lstat, readdir } from '../platform/disk-calls.js';
import { isFolderOfOurs, systemCode } from './own-folder.js';

export interface OriginFolder {
  readonly originName: string;
  readonly path: string;
  /** The names of everything in it, in order. */
  readonly names: readonly string[];
}

/** Sorted by name. */
export async function* originFolders(storePath: string): AsyncGenerator<OriginFolder> {
  const { dev } = await lstat(storePath);
  for (const originName of (await readdir(storePath)).sort()) {
    if (!NAME_PATTERN.test(originName)) continue;
    const path = `${storePath}/${originName}`;
    const names = await ifReadable(async () => (isFolderOfOurs(await lstat(path), dev) ? readdir(path) : undefined));
    if (names !== undefined) yield { originName, path, names: names.sort() };
  }
}

/**
 * The place is gone, may not be read, lies too deep, or has a bad sector. A disk that does not answer is none of these.
 */
const PASSED_OVER: ReadonlySet<string | undefined> = new Set([
  'ENOENT',
  'ENOTDIR',
  'EACCES',
  'EPERM',
  'ENAMETOOLONG',
  'EIO',
  'STORE_TAMPERED',
]);

/** Returns `undefined` when one of many places cannot be read. */
export async function ifReadable<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (PASSED_OVER.has(systemCode(error))) return undefined;
    throw error;
  }
}
