/**
 * Hash file worker: reads and hashes files for hash-file.ts, with synchronous calls, in a thread of its own.
 *
 * A reading goes through its files in order, a step with each ask, so that other readings have their turns, and one that
 * nobody wants any longer ends soon. It ends at the first file that is not as it must be.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { createHasher, type Hasher } from '../core/hash.js';
import { hexOf, type Possession } from '../core/ids.js';
import { type PossessionHasher, possessionHasher } from '../core/possession.js';
import { posix } from '../platform/posix.js';
import { answerAsks } from '../platform/worker-thread.js';
import type { FileRead, FilesToRead, HashFileAsk, HashFileReply } from './hash-file.js';

/** Bytes and files of one step: what a disk that seeks for each file gives in half a second. */
const STEP_BYTES = 8 * 1024 * 1024;
const STEP_FILES = 64;
/** Read at once, and all of a file that is in memory, however large the file. */
const READ_BYTES = 256 * 1024;

// O_NONBLOCK: opening a fifo that somebody put there must not hang; it changes nothing for files.
const FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Shared by all reads, since each is done with before the next begins. */
const scratch = Buffer.allocUnsafeSlow(READ_BYTES);

/** A file that is not at its end yet. */
interface OpenFile {
  readonly file: number;
  readonly hasher: Hasher;
  bytes: number;
}

class Reading {
  readonly #files: FilesToRead;
  readonly #possessions: PossessionHasher[];
  #n = 0;
  #open: OpenFile | undefined;
  #last: FileRead | undefined;

  constructor(files: FilesToRead) {
    this.#files = files;
    const { nonce, holders } = files.possession;
    this.#possessions = holders.map(holder => possessionHasher(nonce, holder));
  }

  /** Once it has answered anything but `more`, it is over. */
  step(giveSign: () => void): HashFileReply {
    const { paths } = this.#files;
    let leftBytes = STEP_BYTES;
    for (const lastN = this.#n + STEP_FILES; this.#n < paths.length && this.#n < lastN && leftBytes > 0; ) {
      giveSign();
      try {
        const open = this.#open ?? this.#begin(this.#n);
        if (open === undefined) return { is: 'unlike', n: this.#n, found: this.#last };
        const bytesRead = readSync(open.file, scratch, 0, READ_BYTES, null);
        leftBytes -= bytesRead;
        if (bytesRead > 0) this.#take(open, scratch.subarray(0, bytesRead));
        else if (!this.#end(open)) return { is: 'unlike', n: this.#n, found: this.#last };
        else this.#n += 1;
      } catch (error) {
        const { code, message, syscall } = error as NodeJS.ErrnoException;
        return { is: 'failed', n: this.#n, code, message, syscall };
      }
    }
    if (this.#n < paths.length) return { is: 'more' };
    const possessions: Possession[] = this.#possessions.splice(0).map(hasher => hasher.digest());
    return { is: 'read', last: this.#last, possessions };
  }

  /** Undefined when the file has another size than it must have; `#last` says which. */
  #begin(n: number): OpenFile | undefined {
    const { paths, sizes } = this.#files;
    const file = openSync(paths[n] as string, FLAGS);
    let open: OpenFile | undefined;
    try {
      const found = fstatSync(file);
      if (!found.isFile()) throw Object.assign(new Error('it is not a plain file'), { code: 'NOT_A_FILE' });
      this.#last = { hash: undefined, bytes: found.size };
      const size = sizes[n];
      if (size !== undefined && size !== found.size) return undefined;
      if (this.#files.isFromDisk) posix()?.dropCached?.(file);
      open = { file, hasher: createHasher(), bytes: 0 };
      for (const hasher of this.#possessions) hasher.blob(found.size);
      this.#open = open;
      return open;
    } finally {
      if (open === undefined) closeSync(file);
    }
  }

  #take(open: OpenFile, part: Uint8Array): void {
    open.hasher.update(part);
    for (const hasher of this.#possessions) hasher.update(part);
    open.bytes += part.length;
  }

  /** Whether it is the file that it must be. */
  #end(open: OpenFile): boolean {
    const hash = hexOf(open.hasher.digest());
    this.#last = { hash, bytes: open.bytes };
    this.#open = undefined;
    closeSync(open.file);
    return (this.#files.hashes[this.#n] ?? hash) === hash;
  }

  close(): void {
    for (const hasher of this.#possessions) hasher.dispose();
    this.#open?.hasher.dispose();
    if (this.#open !== undefined) closeSync(this.#open.file);
  }
}

const readings = new Map<number, Reading>();

function answer(ask: HashFileAsk, giveSign: () => void): HashFileReply {
  const reading = ask.is === 'begin' ? new Reading(ask.files) : readings.get(ask.session);
  if (reading === undefined) throw new Error('nothing is read here');
  readings.set(ask.session, reading);
  const reply = ask.is === 'leave' ? ({ is: 'left' } as const) : reading.step(giveSign);
  if (reply.is === 'more') return reply;
  readings.delete(ask.session);
  reading.close();
  return reply;
}

answerAsks(answer);
