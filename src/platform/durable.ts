/**
 * Durable: after a power cut, a file written here has either its new content as a whole, or the old one.
 *
 * Write beside, fsync, rename, fsync the folder. Node has no call for it. A crash can leave a `.new-…` file behind,
 * never half of the real one. For small files (keys, markers, configuration): the whole content is in memory.
 */
import { randomBytes } from 'node:crypto';
import { constants, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { open, rename, rm } from './disk-calls.js';
import { namePath } from './name-path.js';

/** Goes between a file's name and six random bytes in hex, to name its next content while that is being written. */
export const NEW_MARK = '.new-';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = constants;

/**
 * Replaces `path` by `bytes`, durably and as a whole. `mode` (default 0600, less the umask) is the new file's, whatever
 * the old one had.
 */
export async function writeDurable(
  path: string,
  bytes: Uint8Array | string,
  { mode = 0o600 }: { readonly mode?: number } = {},
): Promise<void> {
  const beside = `${path}${NEW_MARK}${randomBytes(6).toString('hex')}`;
  try {
    const file = await open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
  } catch (error) {
    await rm(beside, { force: true });
    throw namePath(error, path);
  }
  await fsyncFolder(dirname(path));
}

/** Makes a file durable that is there already: an earlier `writeDurable` may have failed after its rename. */
export async function flushDurable(path: string): Promise<void> {
  const file = await open(path, O_RDONLY | O_NOFOLLOW);
  try {
    await file.sync();
  } finally {
    await file.close();
  }
  await fsyncFolder(dirname(path));
}

/** Makes the names in a folder durable: files made, renamed and removed in it before this call. */
export async function fsyncFolder(path: string | Buffer): Promise<void> {
  const folder = await open(path, O_RDONLY | O_DIRECTORY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * A small file's content; `undefined` when there is none. A file with a bad sector counts as damaged, like one with
 * wrong bytes: for it a text is returned that says so. None of this program's formats begins like that, and each reader
 * knows what damage means to it. Any other failure throws. Blocks: for use at start, not in a loop.
 */
export function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') return undefined;
    if (code === 'EIO') return Buffer.from('cannot be read: EIO');
    throw error;
  }
}
