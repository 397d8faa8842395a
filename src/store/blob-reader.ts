/**
 * Blob reader: gives out a stored blob's bytes. They are not hashed on the way out: who receives them does that.
 */
import { ClusterError } from '../core/fault.js';
import type { BlobId } from '../core/ids.js';
import { openOwnFile } from './own-folder.js';

/** At most so much at once: a quarter of a stream's window. */
const READ_CHUNK_BYTES = 256 * 1024;

export interface StoredBlob {
  readonly bytes: number;
  /** From the beginning, each time. @throws ClusterError BLOB_UNREADABLE when the file is gone or has another size */
  read(signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined>;
}

export function readBlob(path: string, blob: BlobId, bytes: number): StoredBlob {
  return {
    bytes,
    async *read(signal) {
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
    },
  };
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
