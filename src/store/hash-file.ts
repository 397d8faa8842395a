/**
 * Hash file: reads a file of the store from its beginning to its end, and says what it hashes to.
 */
import { createHasher } from '../core/hash.js';
import { hexOf } from '../core/ids.js';
import { openOwnFile } from './own-folder.js';

/** Read at once, and all of a file that is in memory, however large the file. */
const READ_BYTES = 256 * 1024;

export interface HashedFile {
  /** `undefined`: the file has another size than it must have, and was not read. */
  readonly hash: string | undefined;
  readonly bytes: number;
}

/**
 * `undefined` when there is no such file.
 *
 * @param options.bytes the size that it must have
 * @param options.onChunk gets all that is read, in order; a chunk is good only until it returns
 * @throws ClusterError STORE_TAMPERED, and whatever the disk says: then nothing is known of the bytes
 */
export async function hashFile(
  path: string,
  options: {
    readonly bytes?: number;
    readonly onChunk?: (chunk: Uint8Array) => void;
    readonly signal?: AbortSignal | undefined;
  } = {},
): Promise<HashedFile | undefined> {
  const file = await openOwnFile(path);
  if (file === undefined) return undefined;
  const hasher = createHasher();
  let asked = false;
  try {
    const { size } = await file.stat();
    if (options.bytes !== undefined && size !== options.bytes) return { hash: undefined, bytes: size };
    const chunk = Buffer.allocUnsafe(READ_BYTES);
    let bytes = 0;
    for (;;) {
      options.signal?.throwIfAborted();
      const { bytesRead } = await file.read(chunk, 0, chunk.length, null);
      if (bytesRead === 0) break;
      const part = chunk.subarray(0, bytesRead);
      hasher.update(part);
      options.onChunk?.(part);
      bytes += bytesRead;
    }
    asked = true;
    return { hash: hexOf(hasher.digest()), bytes };
  } finally {
    if (!asked) hasher.dispose();
    await file.close();
  }
}
