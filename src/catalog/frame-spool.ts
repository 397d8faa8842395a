/**
 * Frame spool: a temporary file of byte strings, written once from the start and read as often as needed.
 *
 * For data that must wait for something known only later, and that may be larger than memory. It holds names of a
 * user's files, so the file is 0600, has no name once it is open, and is gone with the process.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { assert } from '../core/fault.js';
import { namePath } from '../platform/name-path.js';

const WRITE_BYTES = 1024 * 1024;
const HEAD_BYTES = 4;

export class FrameSpool {
  readonly #file: FileHandle;
  /** The name that the file had. */
  readonly #path: string;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #length = 0;

  private constructor(file: FileHandle, path: string) {
    this.#file = file;
    this.#path = path;
  }

  static async create(folder: string): Promise<FrameSpool> {
    const path = join(folder, `.spool-${randomBytes(6).toString('hex')}`);
    const file = await open(path, 'wx+', 0o600);
    await unlink(path);
    return new FrameSpool(file, path);
  }

  async add(frame: Uint8Array): Promise<void> {
    const head = Buffer.alloc(HEAD_BYTES);
    head.writeUInt32LE(frame.length);
    this.#waiting.push(head, frame);
    this.#waitingBytes += HEAD_BYTES + frame.length;
    if (this.#waitingBytes >= WRITE_BYTES) await this.#write();
  }

  /** All frames so far, in the order in which they were added. */
  async *frames(): AsyncGenerator<Buffer> {
    await this.#write();
    let held = Buffer.alloc(0);
    let read = 0;
    for (;;) {
      while (held.length >= HEAD_BYTES && held.length >= HEAD_BYTES + held.readUInt32LE(0)) {
        const end = HEAD_BYTES + held.readUInt32LE(0);
        yield held.subarray(HEAD_BYTES, end);
        held = held.subarray(end);
      }
      if (read >= this.#length) break;
      const next = Buffer.alloc(Math.min(WRITE_BYTES, this.#length - read));
      const { bytesRead } = await this.#file.read(next, 0, next.length, read);
      assert(bytesRead > 0, 'a spool file is shorter than what was written to it');
      read += bytesRead;
      held = Buffer.concat([held, next.subarray(0, bytesRead)]);
    }
    assert(held.length === 0, 'a spool file ends within a frame');
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #write(): Promise<void> {
    if (this.#waitingBytes === 0) return;
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    try {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await this.#file.write(bytes, at, bytes.length - at, this.#length);
        at += bytesWritten;
        this.#length += bytesWritten;
      }
    } catch (error) {
      throw namePath(error, this.#path);
    }
  }
}
