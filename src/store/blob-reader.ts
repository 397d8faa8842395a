/**
 * Blob reader: gives out a stored blob's bytes. They are not hashed on the way out: the receiver does that.
 */
import { type ByteRange, inPieces } from '../core/byte-range.js';
import { ClusterError } from '../core/fault.js';
import type { BlobId } from '../core/ids.js';
import type { Urgency } from '../platform/urgent-first.js';
import { openOwnFile, readOwnFile } from './own-folder.js';

/** The most that is read at once: a quarter of a stream's window. */
const READ_CHUNK_BYTES = 256 * 1024;

export interface StoredBlob {
  readonly bytes: number;
  readonly path: string;
  /**
   * Each call reads from the beginning.
   *
   * @param ranges default: all of it
   * @throws ClusterError BLOB_UNREADABLE when the file is gone or has another size
   */
  read(
    signal?: AbortSignal,
    ranges?: readonly ByteRange[],
    urgency?: Urgency,
  ): AsyncGenerator<Uint8Array, void, undefined>;
}

export function readBlob(path: string, blob: BlobId, bytes: number): StoredBlob {
  return {
    bytes,
    path,
    async *read(signal, ranges = [{ offset: 0, bytes }], urgency = {}) {
      signal?.throwIfAborted();
      if (bytes <= READ_CHUNK_BYTES) {
        const content = await readOwnFile(path, READ_CHUNK_BYTES, urgency);
        if (content === undefined) throw unreadable(blob, 'its file is gone');
        if (content.length !== bytes)
          throw unreadable(blob, `its file has ${content.length} bytes instead of ${bytes}`);
        for (const range of ranges) yield content.subarray(range.offset, range.offset + range.bytes);
      } else yield* readChunks(path, { blob, bytes, ranges, urgency }, signal);
    },
  };
}

async function* readChunks(
  path: string,
  {
    blob,
    bytes,
    ranges,
    urgency,
  }: {
    readonly blob: BlobId;
    readonly bytes: number;
    readonly ranges: readonly ByteRange[];
    readonly urgency: Urgency;
  },
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  const file = await openOwnFile(path, urgency);
  if (file === undefined) throw unreadable(blob, 'its file is gone');
  try {
    const { size } = await file.stat();
    if (size !== bytes) throw unreadable(blob, `its file has ${size} bytes instead of ${bytes}`);
    for (const piece of inPieces(ranges, READ_CHUNK_BYTES)) {
      for (let at = 0; at < piece.bytes; ) {
        signal?.throwIfAborted();
        const chunk = Buffer.allocUnsafe(piece.bytes - at);
        const { bytesRead } = await file.read(chunk, 0, chunk.length, piece.offset + at);
        if (bytesRead === 0) throw unreadable(blob, `its file ends after ${piece.offset + at} bytes`);
        at += bytesRead;
        yield chunk.subarray(0, bytesRead);
      }
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
