/**
 * Blob reader: gives out a stored blob's bytes. They are not hashed on the way out: who receives them does that.
 */
import { assert, ClusterError } from '../core/fault.js';
import type { BlobId } from '../core/ids.js';
import { openOwnFile, readOwnFile } from './own-folder.js';

/** At most so much at once: a quarter of a stream's window. */
const READ_CHUNK_BYTES = 256 * 1024;

export interface StoredBlob {
  readonly bytes: number;
  /** All of a blob of one chunk at the most. @throws ClusterError BLOB_UNREADABLE */
  whole(): Promise<Uint8Array>;
  /** From the beginning, each time. @throws ClusterError BLOB_UNREADABLE when the file is gone or has another size */
  read(signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined>;
}

export function readBlob(path: string, blob: BlobId, bytes: number): StoredBlob {
  const whole = async (): Promise<Uint8Array> => {
    assert(bytes <= READ_CHUNK_BYTES, `a blob of ${bytes} bytes is read at once`);
    const content = await readOwnFile(path, READ_CHUNK_BYTES);
    if (content === undefined) throw unreadable(blob, 'its file is gone');
    if (content.length !== bytes) throw unreadable(blob, `its file has ${content.length} bytes instead of ${bytes}`);
    return content;
  };
  return {
    bytes,
    whole,
    async *read(signal) {
      signal?.throwIfAborted();
      if (bytes <= READ_CHUNK_BYTES) yield await whole();
      else yield* readChunks(path, { blob, bytes }, signal);
    },
  };
}

async function* readChunks(
  path: string,
  { blob, bytes }: { readonly blob: BlobId; readonly bytes: number },
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const file = await openOwnFile(path);
  if (file === undefined) throw unreadable(blob, 'its file is gone');
  try {
    const { size } = await file.stat();
    if (size !== bytes) throw unreadable(blob, `its file has ${size} bytes instead of ${bytes}`);
    for (let at = 0; at < bytes; ) {
      signal?.throwIfAborted();
      const chunk = Buffer.allocUnsafe(Math.min(READ_CHUNK_BYTES, bytes - at));
      const { bytesRead } = await file.read(chunk, 0, chunk.length, at);
      if (bytesRead === 0) throw unreadable(blob, `its file ends after ${at} bytes`);
      at += bytesRead;
      yield chunk.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

function unreadable(blob: BlobId, what: string): ClusterError {
  return new ClusterError(
    'BLOB_UNREADABLE',
    `blob ${blob} cannot be read here: ${what}; other copies are not affected`,
    {
      blame: 'operator',
    },
  );
}
