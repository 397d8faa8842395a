/**
 * Scan part: what one scan thread sends about a source's folder, or about its part of it, in order.
 *
 * Driven by scan.ts, which reads the parts one after the other while their threads walk at the same time; a thread's
 * order says how far it may be ahead. While scan.ts waits for a thread, the thread sends a message four times a second.
 * A thread that sends nothing hangs with its disk (platform/disk.ts), and no other scan starts on that disk until it
 * has ended.
 */
import type { Worker } from 'node:worker_threads';
import { ClusterError, messageOf } from '../core/fault.js';
import { DiskHangs, diskOf, type Visit } from '../platform/disk.js';
import {
  ALL_WALKED,
  CANCELLED,
  CONTROL_WORDS,
  type GO_ON,
  type JOINED,
  type ScanMessage,
  type ScanOrder,
  SEAM,
  TAKEN,
} from './scan-message.js';
import { startScan } from './scan-threads.js';

/** How long a cancelled scan may take to end; a worker that hangs in a system call is left behind. */
const WORKER_END_MS = 2_000;

export interface ScanProgress {
  /** Files met so far and the sum of their sizes. */
  readonly files: number;
  readonly bytes: number;
  /** Of these bytes, how many had to be read. */
  readonly readBytes: number;
}

export type PartOrder = Omit<ScanOrder, 'control'>;

/** Messages that wait to be taken; the others are handled at once. */
type Waiting = Exclude<ScanMessage, { readonly kind: 'progress' | 'ended' }>;

export class ScanPart {
  readonly #path: string;
  readonly #worker: Worker;
  readonly #control: Int32Array;
  readonly #onProgress: () => void;
  readonly #waiting: Waiting[] = [];
  /** The visit to the order's disk, if that disk is one of those set apart. */
  readonly #visit: Visit | undefined;
  readonly #settled: Promise<void>;
  #settle = (): void => {};
  #wake = (): void => {};
  #failure: unknown;
  #isAwaited = false;
  #ended = false;
  #progress: ScanProgress = { files: 0, bytes: 0, readBytes: 0 };

  /** Starts its thread. @throws ClusterError SCAN_FAILED; DiskHangs */
  constructor(order: PartOrder, onProgress: () => void) {
    this.#path = order.path;
    this.#onProgress = onProgress;
    const control = new SharedArrayBuffer(CONTROL_WORDS * Int32Array.BYTES_PER_ELEMENT);
    this.#control = new Int32Array(control);
    this.#settled = new Promise(resolve => {
      this.#settle = resolve;
    });
    const disk = diskOf(order.path);
    if (disk?.isGivenUp) throw new DiskHangs(disk.folder);
    try {
      this.#worker = startScan({ ...order, control });
    } catch (error) {
      throw this.#failed(error);
    }
    this.#visit = disk?.visit(error => this.fail(error));
    for (const [event, listener] of Object.entries(this.#listeners)) this.#worker.on(event, listener);
  }

  get progress(): ScanProgress {
    return this.#progress;
  }

  /** The first message that was not taken yet. @throws ClusterError SCAN_FAILED; DiskHangs; what `fail` was given */
  async peek(): Promise<Waiting> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const [message] = this.#waiting;
      if (message !== undefined) return message;
      if (this.#ended) throw this.#failed(new Error('the scan worker ended before the scan did'));
      await this.#nextWord();
    }
  }

  async #nextWord(): Promise<void> {
    this.#isAwaited = true;
    this.#visit?.waits();
    await new Promise<void>(resolve => {
      this.#wake = resolve;
    });
    this.#isAwaited = false;
    this.#visit?.rests();
  }

  /** As `peek`, but takes the message. */
  async take(): Promise<Waiting> {
    const message = await this.peek();
    this.#waiting.shift();
    return message;
  }

  /** Lets the thread go on by this many items. */
  took(items: number): void {
    Atomics.add(this.#control, TAKEN, items);
    Atomics.notify(this.#control, TAKEN);
  }

  /** Answers a thread that waits at a seam. */
  answer(word: typeof JOINED | typeof GO_ON): void {
    Atomics.store(this.#control, SEAM, word);
    Atomics.notify(this.#control, SEAM);
  }

  allWalked(): void {
    Atomics.store(this.#control, ALL_WALKED, 1);
    Atomics.notify(this.#control, ALL_WALKED);
  }

  /** Ends the part: whoever waits for a message gets `reason` thrown. */
  fail(reason: unknown): void {
    this.#failure ??= reason;
    this.#wake();
  }

  /** Ends the thread's walk, if it has not ended yet. */
  async close(): Promise<void> {
    Atomics.store(this.#control, CANCELLED, 1);
    for (const word of [TAKEN, SEAM, ALL_WALKED]) Atomics.notify(this.#control, word);
    await endsWithin(this.#settled, WORKER_END_MS);
    // Still running: it hangs in a system call, on a dead disk for example, and must not keep the process alive.
    if (!this.#ended) this.#worker.unref();
  }

  readonly #take = (message: ScanMessage): void => {
    if (message.kind === 'ended') this.#end();
    else if (message.kind === 'progress') {
      this.#progress = message;
      this.#onProgress();
      if (this.#isAwaited) this.#visit?.waits();
    } else {
      this.#waiting.push(message);
      this.#wake();
    }
  };

  readonly #end = (): void => {
    // From here on the thread may belong to another scan.
    for (const [event, listener] of Object.entries(this.#listeners)) this.#worker.off(event, listener);
    this.#ended = true;
    this.#visit?.end();
    this.#wake();
    this.#settle();
  };

  readonly #fail = (error: unknown): void => this.fail(this.#failed(error));

  readonly #listeners = { exit: this.#end, message: this.#take, error: this.#fail, messageerror: this.#fail };

  #failed(cause: unknown): ClusterError {
    return new ClusterError(
      'SCAN_FAILED',
      `the scan of ${this.#path} failed: ${messageOf(cause)}; earlier snapshots are as they were`,
      { blame: 'passing', cause },
    );
  }
}

async function endsWithin(ending: Promise<void>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    ending,
    new Promise<void>(resolve => {
      timer = setTimeout(resolve, limitMs);
    }),
  ]);
  clearTimeout(timer);
}
