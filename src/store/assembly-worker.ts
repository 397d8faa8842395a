/**
 * Assembly worker: does the reading, hashing and writing for assembly.ts, in a thread of its own.
 *
 * It puts a file together from beginning to end, one chunk at a time. Each chunk is hashed before it counts, and the
 * whole file's hash is kept up to date. Requests are processed in order without waiting for earlier replies, so once
 * one has failed, nothing more is written behind it. Calls are synchronous; each store has one thread, so that a disk
 * that hangs holds up no other store.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { createHasher, hash } from '../core/hash.js';
import { CHUNK_BYTES_MAX } from '../core/recipe.js';
import { answerAsks } from '../platform/worker-thread.js';
import type { AssemblyAsk, AssemblyReply } from './assembly.js';
import { FILE_MODE } from './own-folder.js';

const { O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR } = constants;

class Making {
  readonly #file: number;
  readonly #whole = createHasher();
  #isHashed = false;
  readonly foundBytes: number;
  /** The bytes in place and hashed. The file may be longer while a leftover is still being checked. */
  #bytes = 0;
  #hasFailed = false;
  /** The file that the last chunk was copied from. It stays open for the next chunk. */
  #source: { readonly path: string; readonly file: number } | undefined;

  constructor(path: string) {
    this.#file = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, FILE_MODE);
    this.foundBytes = fstatSync(this.#file).size;
  }

  /** Keeps the next chunk of the leftover. If it is not this chunk, the rest of the leftover is cut off. */
  keep(chunk: Uint8Array, bytes: number): boolean {
    const content = readIfThere(this.#file, this.#bytes, bytes);
    if (content === undefined || !this.#isRight(content, chunk)) {
      ftruncateSync(this.#file, this.#bytes);
      return false;
    }
    this.#took(content);
    return true;
  }

  /** Appends a chunk. A wrong chunk with holes is no failure: the files that fill them may have changed. */
  append({ chunk, content, holes }: Extract<AssemblyAsk, { is: 'append' }>, giveSign: () => void): boolean {
    if (this.#hasFailed) throw new Error('nothing is written behind a failure');
    for (const { at, path, offset, bytes } of holes) {
      giveSign();
      const source = this.#open(path);
      const piece = source === undefined ? undefined : readIfThere(source, offset, bytes);
      if (piece === undefined) return false;
      content.set(piece, at);
    }
    if (!this.#isRight(content, chunk)) {
      this.#hasFailed = holes.length === 0;
      return false;
    }
    this.#write(content);
    return true;
  }

  /** Appends a chunk that another file should contain. */
  copy(chunk: Uint8Array, from: { readonly path: string; readonly offset: number; readonly bytes: number }): boolean {
    if (this.#hasFailed) throw new Error('nothing is written behind a failure');
    const source = this.#open(from.path);
    const content = source === undefined ? undefined : readIfThere(source, from.offset, from.bytes);
    if (content === undefined || !this.#isRight(content, chunk)) return false;
    this.#write(content);
    return true;
  }

  finish(): Uint8Array {
    if (this.#hasFailed) throw new Error('nothing is finished behind a failure');
    this.#isHashed = true;
    return this.#whole.digest();
  }

  close(): void {
    this.#closeSource();
    if (!this.#isHashed) this.#whole.dispose();
    closeSync(this.#file);
  }

  #isRight(content: Uint8Array, chunk: Uint8Array): boolean {
    return Buffer.compare(hash(content), chunk) === 0;
  }

  #write(content: Uint8Array): void {
    try {
      for (let at = 0; at < content.length; )
        at += writeSync(this.#file, content, at, content.length - at, this.#bytes + at);
    } catch (error) {
      this.#hasFailed = true;
      this.#cutOff();
      throw error;
    }
    this.#took(content);
  }

  #took(content: Uint8Array): void {
    this.#whole.update(content);
    this.#bytes += content.length;
  }

  /**
   * Cuts off a half-written chunk if the disk allows, so that the file is right to its end. The next try checks it
   * again anyway.
   */
  #cutOff(): void {
    try {
      ftruncateSync(this.#file, this.#bytes);
    } catch {
      // The caller is told of the earlier failure.
    }
  }

  /** `undefined` when the file is gone or cannot be opened. */
  #open(path: string): number | undefined {
    if (this.#source?.path === path) return this.#source.file;
    this.#closeSource();
    try {
      this.#source = { path, file: openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK) };
      return this.#source.file;
    } catch {
      // Whether the copy that this file belongs to still counts is found by the checks of that copy.
      return undefined;
    }
  }

  #closeSource(): void {
    if (this.#source !== undefined) closeSync(this.#source.file);
    this.#source = undefined;
  }
}

/**
 * Shared by all reads, since each is done with before the next begins. A new buffer each time costs as much as the
 * reading.
 */
const scratch = Buffer.allocUnsafe(CHUNK_BYTES_MAX);

/**
 * `undefined` when the file ends too early or its disk cannot read it: the piece can be fetched. Valid until the next
 * call.
 */
function readIfThere(file: number, offset: number, bytes: number): Uint8Array | undefined {
  const content = scratch.subarray(0, bytes);
  try {
    for (let at = 0; at < bytes; ) {
      const got = readSync(file, content, at, bytes - at, offset + at);
      if (got === 0) return undefined;
      at += got;
    }
    return content;
  } catch {
    return undefined;
  }
}

const open = new Map<number, Making>();

function answer(ask: AssemblyAsk, giveSign: () => void): AssemblyReply {
  if (ask.is === 'open') {
    const making = new Making(ask.path);
    open.set(ask.session, making);
    return making.foundBytes;
  }
  const making = open.get(ask.session);
  if (making === undefined) throw new Error('nothing is open here');
  switch (ask.is) {
    case 'keep':
      return making.keep(ask.chunk, ask.bytes);
    case 'append':
      return { isRight: making.append(ask, giveSign), buffer: ask.content.buffer as ArrayBuffer };
    case 'copy':
      return making.copy(ask.chunk, ask.from);
    case 'finish':
      return making.finish();
    case 'close':
      open.delete(ask.session);
      making.close();
      return true;
  }
}

answerAsks(answer, reply =>
  typeof reply === 'object' && 'buffer' in reply && 'isRight' in reply ? [reply.buffer] : [],
);
