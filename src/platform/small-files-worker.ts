/**
 * Small files worker: the thread in which `SmallFiles` reads, writes and renames, with synchronous calls.
 *
 * It answers every order with one outcome, in order, and never fails as a whole.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { foldersOnTheWay, hasDescriptorPaths, pathOfOpen } from './descriptor-path.js';
import {
  type FileFailure,
  type FileOutcome,
  type FileStat,
  type OrderMessage,
  type OutcomeMessage,
  packOutcomes,
  unpackOrders,
} from './small-files-message.js';
import { answerAsks } from './worker-thread.js';

// O_NONBLOCK: opening a fifo that somebody put there must not hang; it changes nothing for files.
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
/** Enough for most messages. */
const SCRATCH_BYTES = 1024 * 1024;
const WRITE_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** Memory for what is read for one message, before it is packed. It is reused as far as it suffices. */
class Scratch {
  readonly #all = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  #taken = 0;

  /** Called when no taken memory is in use any longer. */
  clear(): void {
    this.#taken = 0;
  }

  take(bytes: number): Uint8Array {
    if (this.#taken + bytes > SCRATCH_BYTES) return Buffer.allocUnsafeSlow(bytes);
    this.#taken += bytes;
    return this.#all.subarray(this.#taken - bytes, this.#taken);
  }
}

const scratch = new Scratch();

function readFile(path: Buffer, bytesMax: number, straightFrom: number): FileOutcome {
  const file = openSync(path, READ_FLAGS);
  try {
    if (straightFrom > 0 && !isStraight(file, path, straightFrom))
      return { failed: { code: 'NOT_STRAIGHT', message: 'it may have been reached by a symlink' } };
    const before = fstatSync(file, { bigint: true });
    if (!before.isFile()) return { failed: { code: 'NOT_A_FILE', message: 'it is not a plain file' } };
    const size = Number(before.size);
    if (size > bytesMax)
      return { failed: { code: 'TOO_LARGE', message: `it has ${size} bytes, at most ${bytesMax} were expected` } };
    const content = scratch.take(size);
    let filled = 0;
    while (filled < size) {
      const bytesRead = readSync(file, content, filled, size - filled, filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    const isSteady = filled === size && isSame(before, fstatSync(file, { bigint: true }));
    return { read: { content: content.subarray(0, filled), stat: before, isSteady } };
  } finally {
    closeSync(file);
  }
}

/**
 * Whether no symlink below the folder was followed; also false where that is not known. The folder itself may be
 * reached by symlinks.
 */
function isStraight(file: number, path: Buffer, straightFrom: number): boolean {
  const there = pathOfOpen(file);
  if (there?.equals(path)) return true;
  if (!hasDescriptorPaths()) return foldersOnTheWay(path, straightFrom).every(above => lstatSync(above).isDirectory());
  if (there === undefined) return false;
  const folder = realpathSync.native(path.subarray(0, straightFrom), { encoding: 'buffer' });
  return there.equals(Buffer.concat([folder, path.subarray(straightFrom)]));
}

function writeFile(path: Buffer, content: Buffer, mode: number): FileOutcome {
  const file = openSync(path, WRITE_FLAGS, mode);
  try {
    for (let at = 0; at < content.length; ) at += writeSync(file, content, at, content.length - at);
  } catch (error) {
    rmSync(path, { force: true });
    throw error;
  } finally {
    closeSync(file);
  }
  return { done: true };
}

function isSame(a: FileStat, b: FileStat): boolean {
  return a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs && a.ino === b.ino;
}

function* carryOut(orders: OrderMessage, giveSign: () => void): Generator<FileOutcome> {
  for (const { is, path, more, number, straightFrom } of unpackOrders(orders)) {
    giveSign();
    try {
      if (is === 'read') yield readFile(path, number, straightFrom);
      else if (is === 'write') yield writeFile(path, more, number);
      else {
        renameSync(path, more);
        yield { done: true };
      }
    } catch (error) {
      yield { failed: failureOf(error) };
    }
  }
}

function failureOf(error: unknown): FileFailure {
  const { code, message, syscall } = error as Partial<FileFailure> & { readonly message: string };
  return { code: code ?? 'UNKNOWN', message, ...(syscall === undefined ? {} : { syscall }) };
}

function answer(orders: OrderMessage, giveSign: () => void): OutcomeMessage {
  scratch.clear();
  return packOutcomes([...carryOut(orders, giveSign)], orders.bytes.buffer);
}

answerAsks(answer, ({ bytes, spare }) => [bytes.buffer, spare]);
