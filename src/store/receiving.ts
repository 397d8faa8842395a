/**
 * Receiving: one blob on its way in, piece by piece, into a file of its own under `.incoming`. It is hashed on the way,
 * and nothing is kept of a blob that does not hash to its name.
 *
 * In memory: at most one piece of 1 MiB; a smaller blob is hashed before its file is made.
 *
 * Hashed by the event loop, on purpose: 256 KiB take 0.05 ms there (0.44 in WebAssembly), of the 1.5 ms that they cost it
 * in all, and no later turn of it waits for more than one such part. A thread would save that 3 %, and need a message for
 * each part. Large blobs go through a thread anyway (assembly.ts), as does what is read back (hash-file.ts).
 *
 * Driven by incoming.ts.
 */
import { constants } from 'node:fs';
import { assert, ClusterError } from '../core/fault.js';
import { createHasher } from '../core/hash.js';
import { type BlobId, hexOf } from '../core/ids.js';
import { type OpenFile, open, rm } from '../platform/disk-calls.js';
import { writeSmallFile } from '../platform/small-files.js';
import { FILE_MODE, storeFull } from './own-folder.js';

/** Written at once. Blobs under this are held in memory and hashed before their file is made. */
const WRITE_BYTES = 1024 * 1024;

/** A blob that is being received. One caller, one call at a time. */
export interface IncomingBlob {
  /** Takes the bytes over: the caller does not change the chunk afterwards. @throws ClusterError BLOB_MISMATCH, STORE_FULL */
  write(chunk: Uint8Array): Promise<void>;
  /**
   * Ends the blob: verified and on its way to disk, durable only by `commit`. @throws ClusterError BLOB_MISMATCH,
   * STORE_FULL
   */
  finish(): Promise<void>;
  /** Not to be called after `finish`. Harmless after a failure, which has already removed what was written. */
  abort(): Promise<void>;
}

/** Told how much of a blob is on disk. */
export interface ReceivingTells {
  /** More bytes of it, or fewer, are on disk. */
  readonly wrote: (bytes: number) => void;
  /** It is whole and hashes to its name. */
  readonly arrived: (path: string) => Promise<void>;
}

export class Receiving implements IncomingBlob {
  readonly #path: string;
  readonly #ref: { readonly blob: BlobId; readonly bytes: number };
  readonly #tell: ReceivingTells;
  readonly #hasher = createHasher();
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #takenBytes = 0;
  #writtenBytes = 0;
  #file: OpenFile | undefined;
  #over = false;

  constructor(path: string, ref: { readonly blob: BlobId; readonly bytes: number }, tell: ReceivingTells) {
    this.#path = path;
    this.#ref = ref;
    this.#tell = tell;
  }

  async write(chunk: Uint8Array): Promise<void> {
    assert(!this.#over, 'a blob is written to after its end');
    this.#takenBytes += chunk.length;
    if (this.#takenBytes > this.#ref.bytes) {
      await this.abort();
      throw this.#mismatch(`more than ${this.#ref.bytes} bytes came`);
    }
    this.#hasher.update(chunk);
    this.#waiting.push(chunk);
    this.#waitingBytes += chunk.length;
    if (this.#waitingBytes >= WRITE_BYTES) await this.#orAbort(() => this.#writeOut());
  }

  async finish(): Promise<void> {
    assert(!this.#over, 'a blob is finished twice');
    const found = this.#takenBytes === this.#ref.bytes ? hexOf(this.#hasher.digest()) : undefined;
    if (found !== this.#ref.blob) {
      await this.abort();
      throw this.#mismatch(
        found === undefined
          ? `${this.#takenBytes} of ${this.#ref.bytes} bytes came`
          : `the bytes that came hash to ${found}`,
      );
    }
    await this.#orAbort(async () => {
      if (this.#file === undefined) await this.#writeWhole();
      else await this.#writeOut();
      await this.#close();
    });
    this.#over = true;
    await this.#tell.arrived(this.#path);
  }

  async abort(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#waiting = [];
    this.#hasher.dispose();
    await this.#close();
    await rm(this.#path, { force: true });
    this.#tell.wrote(-this.#writtenBytes);
  }

  /** Writes a blob all of which is still in memory. */
  async #writeWhole(): Promise<void> {
    const bytes = this.#taken();
    await writeSmallFile(this.#path, bytes, FILE_MODE);
    this.#writtenBytes += bytes.length;
    this.#tell.wrote(bytes.length);
  }

  #taken(): Uint8Array {
    const [first, ...more] = this.#waiting;
    const bytes = first !== undefined && more.length === 0 ? first : Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    return bytes;
  }

  async #writeOut(): Promise<void> {
    this.#file ??= await open(this.#path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, FILE_MODE);
    const bytes = this.#taken();
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, at, bytes.length - at);
      at += bytesWritten;
      this.#writtenBytes += bytesWritten;
      this.#tell.wrote(bytesWritten);
    }
  }

  async #close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  async #orAbort(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      await this.abort();
      throw storeFull(error, this.#path);
    }
  }

  #mismatch(what: string): ClusterError {
    return new ClusterError('BLOB_MISMATCH', `blob ${this.#ref.blob}: ${what}; nothing of it was kept`, {
      blame: 'peer',
    });
  }
}
