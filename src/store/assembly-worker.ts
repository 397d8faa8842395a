/**
 * Assembly worker: the hand that writes, in a thread of its own (assembly.ts is the head).
 *
 * A file is put together from its beginning to its end, a chunk at a time, each hashed before it counts, and the whole file's hash
 * goes along. Asks come one after the other without waiting for each other's replies: so once one has failed, nothing more is
 * written behind it. Synchronous calls; one thread a store, so that a disk that hangs holds up no other.
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
  /** What is in place and hashed. The file may be longer while a leftover is looked through. */
  #bytes = 0;
  #hasFailed = false;
  /** The blob that the last chunk was copied from stays open for the next one. */
  #source: { readonly path: string; readonly file: number } | undefined;

  constructor(path: string) {
    this.#file = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, FILE_MODE);
    this.foundBytes = fstatSync(this.#file).size;
  }

  /** The next chunk of what lay there already. When it is not this one, all that is left is cut off. */
  keep(chunk: Uint8Array, bytes: number): boolean {
    const content = readIfThere(this.#file, this.#bytes, bytes);
    if (content === undefined || !this.#isRight(content, chunk)) {
      ftruncateSync(this.#file, this.#bytes);
      return false;
    }
    this.#took(content);
    return true;
  }

  /** A chunk with holes that is not right is no failure: what was to fill them may have changed. */
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

  /** A chunk that another file should have. */
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

  /** So that what is there is good to its end, if the disk allows. Whoever goes on with it looks at it again. */
  #cutOff(): void {
    try {
      ftruncateSync(this.#file, this.#bytes);
    } catch {
      // The failure before it is the one to tell of.
    }
  }

  /** `undefined` when it is gone, or is no file that can be opened. */
  #open(path: string): number | undefined {
    if (this.#source?.path === path) return this.#source.file;
    this.#closeSource();
    try {
      this.#source = { path, file: openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK) };
      return this.#source.file;
    } catch {
      // Whether the copy that it belongs to still counts is for the checks of that copy to find.
      return undefined;
    }
  }

  #closeSource(): void {
    if (this.#source !== undefined) closeSync(this.#source.file);
    this.#source = undefined;
  }
}

/** One for all: what is read is done with before anything else is. A new one each time costs as much as the reading. */
const scratch = Buffer.allocUnsafe(CHUNK_BYTES_MAX);

/** `undefined` when the file ends before, and when its disk does not give it: it can be fetched. Good until the next call. */
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
