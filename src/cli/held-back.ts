/**
 * Held back: keeps the bytes of one blob until all have come and hash to its name. Only then may they be printed,
 * because whoever reads them from a pipe cannot give wrong ones back.
 *
 * A small blob is kept in memory, a large one in a file without a name, which goes with this process however it ends.
 *
 * Driven by dump.ts.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClusterError, messageOf } from '../core/fault.js';
import { createHasher, type Hasher } from '../core/hash.js';
import { type BlobId, hexOf } from '../core/ids.js';

/** A blob of at least this size is kept in a file; smaller ones, which are nearly all, in memory. */
export const FILE_BYTES_MIN = 8 * 1024 * 1024;
const READ_BYTES = 1024 * 1024;
const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;

export class HeldBack {
  readonly #blob: BlobId;
  readonly #expectedBytes: number;
  #hasher: Hasher | undefined;
  #bytes = 0;
  readonly #pieces: Buffer[] = [];
  #file: FileHandle | undefined;

  constructor(blob: BlobId, expectedBytes: number) {
    this.#blob = blob;
    this.#expectedBytes = expectedBytes;
  }

  /** Discards what has come: the bytes are sent again from the beginning. */
  begin(): void {
    this.#hasher?.dispose();
    this.#hasher = createHasher();
    this.#bytes = 0;
    this.#pieces.length = 0;
  }

  /** @throws ClusterError NO_ROOM_TO_VERIFY */
  async add(data: Uint8Array): Promise<void> {
    const at = this.#bytes;
    this.#bytes += data.length;
    // A giver that sends too much must not fill the disk; `end` will say no.
    if (this.#hasher === undefined || this.#bytes > this.#expectedBytes) return;
    this.#hasher.update(data);
    if (this.#expectedBytes < FILE_BYTES_MIN) this.#pieces.push(Buffer.from(data));
    else await this.#write(data, at);
  }

  /** True when all bytes have come and they hash to the blob's name. */
  end(): boolean {
    const hasher = this.#hasher;
    this.#hasher = undefined;
    if (hasher !== undefined && this.#bytes === this.#expectedBytes) return hexOf(hasher.digest()) === this.#blob;
    hasher?.dispose();
    return false;
  }

  /** To be called only after `end` has returned true. */
  async *bytes(): AsyncGenerator<Uint8Array> {
    yield* this.#pieces;
    if (this.#file === undefined) return;
    for (let at = 0; at < this.#bytes; ) {
      const { bytesRead, buffer } = await this.#file.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES, at);
      if (bytesRead === 0) throw new Error('the temporary file is shorter than what was written to it');
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  async close(): Promise<void> {
    this.#hasher?.dispose();
    this.#hasher = undefined;
    await this.#file?.close();
  }

  async #write(data: Uint8Array, at: number): Promise<void> {
    try {
      this.#file ??= await namelessFile();
      for (let done = 0; done < data.length; )
        done += (await this.#file.write(data, done, data.length - done, at + done)).bytesWritten;
    } catch (error) {
      throw new ClusterError(
        'NO_ROOM_TO_VERIFY',
        `the bytes are kept in ${tmpdir()} until all of them are verified, and could not be written there: ` +
          `${messageOf(error)}. Nothing was printed: set TMPDIR to a folder with ` +
          `${this.#expectedBytes} bytes of room.`,
        { blame: 'operator', cause: error },
      );
    }
  }
}

async function namelessFile(): Promise<FileHandle> {
  const path = join(tmpdir(), `scatterhoard-dump-${randomBytes(6).toString('hex')}`);
  const file = await open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  await rm(path);
  return file;
}
