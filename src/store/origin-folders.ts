/**
 * Origin folders: STORE/<origin>, in which the trees lie. Which are ours, among whatever else people have on the same disk?
 *
 * Those with the name of a host, that are folders of this user, on the store's own disk. What is somebody else's, or cannot be
 * read, is passed over: it must keep no tree from being found, nor the trash from being emptied.
 */
import { NAME_PATTERN } from '../core/ids.js';
import { lstat, readdir } from '../platform/disk-calls.js';
import { isFolderOfOurs, systemCode } from './own-folder.js';

export interface OriginFolder {
  readonly originName: string;
  readonly path: string;
  /** Of all that lies in it, in order. */
  readonly names: readonly string[];
}

/** By their names. */
export async function* originFolders(storePath: string): AsyncGenerator<OriginFolder> {
  const { dev } = await lstat(storePath);
  for (const originName of (await readdir(storePath)).sort()) {
    if (!NAME_PATTERN.test(originName)) continue;
    const path = `${storePath}/${originName}`;
    const names = await ifReadable(async () => (isFolderOfOurs(await lstat(path), dev) ? readdir(path) : undefined));
    if (names !== undefined) yield { originName, path, names: names.sort() };
  }
}

/** It has gone, is not for us, lies too deep, or its sector is bad. A disk that does not answer is none of these. */
const PASSED_OVER: ReadonlySet<string | undefined> = new Set([
  'ENOENT',
  'ENOTDIR',
  'EACCES',
  'EPERM',
  'ENAMETOOLONG',
  'EIO',
  'STORE_TAMPERED',
]);

/** `undefined` where one place of many cannot be read. */
export async function ifReadable<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (PASSED_OVER.has(systemCode(error))) return undefined;
    throw error;
  }
}
