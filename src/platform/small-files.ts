/**
 * Small files: reads, writes and renames whole small files in worker threads; those that are asked for while a batch is
 * under way go together in the next ones, and what a person waits for goes first.
 *
 * A call of node:fs/promises costs the event loop 10 to 25 µs and a libuv thread as much again, and a small file takes
 * four or five of them. The same calls made synchronously, in a thread that gets many files in one message, cost a
 * fifth: measured on ext4 with files of 4 KiB, 14 µs instead of 68 to read one, 32 instead of 73 to write one.
 *
 * Nothing here is durable, and a write is all or nothing only while the service lives: its callers must see to the
 * rest. Each disk that was set apart (disk.ts) has threads of its own, since one that hangs must hold up no other. They
 * start with the first call, and do not keep an otherwise idle process alive.
 */
import { type Disk, diskOf, watchedBy } from './disk.js';
import { PerDisk } from './per-disk.js';
import {
  type FileFailure,
  type FileOrder,
  type FileOutcome,
  type OrderMessage,
  type OutcomeMessage,
  packOrders,
  type ReadFile,
  unpackOutcomes,
} from './small-files-message.js';
import { type Urgency, UrgentFirst } from './urgent-first.js';
import { type WorkerSession, WorkerThread } from './worker-thread.js';

export type { ReadFile } from './small-files-message.js';

/**
 * Orders in one message, so that what a person waits for does not wait for thousands of others: on a disk that seeks, a
 * file may take 10 ms. Fewer orders would cost more for each; 64 cost no more than 512 (10 to 12 µs of CPU for a file
 * of 4 KiB, measured).
 */
const ORDERS_PER_MESSAGE = 64;
/** Bytes of one message's writes: each is copied to be handed over. */
const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;

/** What one caller asked for. */
interface Asked {
  readonly outcomes: FileOutcome[];
  left: number;
  readonly resolve: (outcomes: readonly FileOutcome[]) => void;
  readonly reject: (error: unknown) => void;
  hasFailed: boolean;
}

interface Waiting {
  readonly order: FileOrder;
  /** Its place among the outcomes. */
  readonly n: number;
  readonly asked: Asked;
}

/** A system call failed in the thread; reported as node:fs would. */
class FileCallFailed extends Error {
  readonly code: string;
  readonly syscall: string | undefined;
  constructor({ code, message, syscall }: FileFailure) {
    super(message);
    this.code = code;
    this.syscall = syscall;
  }
}

/** One thread, and the callers that wait for it. */
class FileThread {
  readonly #waiting = new UrgentFirst<Waiting>();
  readonly #thread: WorkerThread<OrderMessage, OutcomeMessage>;
  readonly #disk: Disk | undefined;
  #isRunning = false;
  /**
   * Memory of the last message's orders, for the next one: memory left in a thread is freed only by that thread's rare
   * collections.
   */
  #spare: ArrayBuffer | undefined;

  constructor(name: string, disk: Disk | undefined) {
    this.#disk = disk;
    this.#thread = new WorkerThread(new URL('./small-files-worker.js', import.meta.url), name);
  }

  /** Returns one outcome for each order. */
  ask(orders: readonly FileOrder[], urgency: Urgency): Promise<readonly FileOutcome[]> {
    return new Promise((resolve, reject) => {
      const asked: Asked = { outcomes: [], left: orders.length, resolve, reject, hasFailed: false };
      for (const [n, order] of orders.entries()) this.#waiting.push({ order, n, asked }, urgency);
      if (this.#isRunning) return;
      this.#isRunning = true;
      // One turn of the event loop later, so that all callers of this turn share a message.
      setImmediate(() => void this.#run());
    });
  }

  async #run(): Promise<void> {
    for (let row = this.#waiting.next(); row !== undefined; row = this.#waiting.next())
      await this.#carryOut(portionOf(row));
    this.#isRunning = false;
  }

  /** Never throws: an error goes to the callers. */
  async #carryOut(some: readonly Waiting[]): Promise<void> {
    if (some.length === 0) return;
    let session: WorkerSession<OrderMessage, OutcomeMessage> | undefined;
    try {
      session = this.#thread.open();
      const orders = some.map(({ order }) => order);
      const message = packOrders(orders, this.#spare);
      this.#spare = undefined;
      const reply = await watchedBy(this.#disk, session, message, [message.bytes.buffer]);
      this.#spare = reply.spare;
      const outcomes = unpackOutcomes(orders, reply);
      for (const [i, { n, asked }] of some.entries()) {
        asked.outcomes[n] = outcomes[i] as FileOutcome;
        asked.left -= 1;
        if (asked.left === 0) asked.resolve(asked.outcomes);
      }
    } catch (error) {
      for (const { asked } of some) {
        asked.hasFailed = true;
        asked.reject(error);
      }
    } finally {
      session?.close();
    }
  }
}

/** Takes out of the row what goes into one message. What belongs to a failed ask is nobody's any longer. */
function portionOf(row: Waiting[]): readonly Waiting[] {
  let bytes = 0;
  let end = 0;
  for (const { order } of row) {
    const more = order.is === 'write' ? order.content.length : 0;
    if (end === ORDERS_PER_MESSAGE || (end > 0 && bytes + more > MESSAGE_BYTES_MAX)) break;
    bytes += more;
    end += 1;
  }
  return row.splice(0, end).filter(({ asked }) => !asked.hasFailed);
}

/** Separate threads: reads need not wait behind writes, which a full disk queue may hold back. */
class FileThreads {
  readonly reader: FileThread;
  readonly writer: FileThread;

  constructor(disk: Disk | undefined) {
    this.reader = new FileThread('small files reading', disk);
    this.writer = new FileThread('small files writing', disk);
  }
}

const threads = new PerDisk(disk => new FileThreads(disk));

/**
 * Reads whole files of one disk. Returns each with whether it was steady during the read, or why it could not be read:
 * an error as of node:fs, or with the code NOT_A_FILE, TOO_LARGE or NOT_STRAIGHT. A symlink at the end of a path is not
 * followed; with `straightFrom`, the length of a folder's path, none after that is followed. Whether one was followed
 * is not always known, so NOT_STRAIGHT says nothing about the file.
 *
 * @throws DiskHangs
 */
export async function readSmallFiles(
  files: readonly { readonly path: string | Uint8Array; readonly bytesMax: number; readonly straightFrom?: number }[],
  urgency: Urgency = {},
): Promise<readonly (ReadFile | FileCallFailed)[]> {
  const outcomes = await ask(
    'reader',
    files.map(({ path, bytesMax, straightFrom = 0 }) => ({ is: 'read', path, bytesMax, straightFrom })),
    urgency,
  );
  return outcomes.map(outcome => {
    if ('failed' in outcome) return new FileCallFailed(outcome.failed);
    if ('read' in outcome) return outcome.read;
    throw new Error('a read was answered otherwise');
  });
}

/** As `readSmallFiles`, for one file. @throws why it could not be read */
export async function readSmallFile(
  path: string | Uint8Array,
  bytesMax: number,
  { straightFrom = 0, ...urgency }: { readonly straightFrom?: number } & Urgency = {},
): Promise<ReadFile> {
  const [read] = await readSmallFiles([{ path, bytesMax, straightFrom }], urgency);
  if (read === undefined || read instanceof Error) throw read;
  return read;
}

/**
 * Writes new files of one disk; nothing is left of one that cannot be written whole. @returns the error of each that
 * failed, EEXIST too
 */
export async function writeSmallFiles(
  files: readonly { readonly path: string; readonly content: Uint8Array; readonly mode: number }[],
): Promise<readonly (FileCallFailed | undefined)[]> {
  return failuresOf(
    await ask(
      'writer',
      files.map(file => ({ is: 'write', ...file })),
    ),
  );
}

/** As `writeSmallFiles`, for one file. @throws why it could not be written */
export async function writeSmallFile(path: string, content: Uint8Array, mode: number): Promise<void> {
  const [failure] = await writeSmallFiles([{ path, content, mode }]);
  if (failure !== undefined) throw failure;
}

/** Renames files of one disk. @returns the error of each that failed */
export async function renameFiles(
  files: readonly { readonly path: string; readonly to: string }[],
): Promise<readonly (FileCallFailed | undefined)[]> {
  return failuresOf(
    await ask(
      'writer',
      files.map(file => ({ is: 'rename', ...file })),
    ),
  );
}

async function ask(
  which: 'reader' | 'writer',
  orders: readonly FileOrder[],
  urgency: Urgency = {},
): Promise<readonly FileOutcome[]> {
  const [first] = orders;
  return first === undefined ? [] : threads.of(diskOf(first.path))[which].ask(orders, urgency);
}

function failuresOf(outcomes: readonly FileOutcome[]): readonly (FileCallFailed | undefined)[] {
  return outcomes.map(outcome => ('failed' in outcome ? new FileCallFailed(outcome.failed) : undefined));
}
