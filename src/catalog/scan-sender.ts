/**
 * Scan sender: a scan thread's side of its exchange with the thread that started it (scan-message.ts).
 *
 * Items are sent in batches, and the walk waits while too many of them have not been taken. The walk never returns to
 * its event loop, so it has to call `lookUp` often: there it learns that it must end, and reports how far it has come.
 *
 * Driven by scan-worker.ts.
 */
import { BATCH_ITEMS, ItemBatch, type PlainFound } from './scan-items.js';
import { CANCELLED, type ItemMessage, type ScanMessage, type ScanOrder, TAKEN } from './scan-message.js';

/** A message at least this often, so that a slow disk shows progress. */
const BATCH_MS = 250;
/** How long a wait for the other thread lasts before the worker looks again. */
const WAIT_MS = 1000;

/** Thrown to end the walk: nobody wants the rest of the scan. */
export class Cancelled extends Error {}

/** Every call that waits or looks up may throw `Cancelled`; `send` does not. */
export class ScanSender {
  readonly send: (message: ScanMessage) => void;
  readonly #control: Int32Array;
  readonly #itemsAheadMax: number;
  readonly #items = new ItemBatch();
  #sent = 0;
  #sentMs = 0;
  #files = 0;
  #bytes = 0;
  #readBytes = 0;

  constructor(
    { control, itemsAheadMax }: Pick<ScanOrder, 'control' | 'itemsAheadMax'>,
    send: (message: ScanMessage) => void,
  ) {
    this.#control = new Int32Array(control);
    this.#itemsAheadMax = itemsAheadMax;
    this.send = send;
  }

  /** Counts what was met. */
  count({ files, bytes }: { readonly files: number; readonly bytes: number }): void {
    this.#files += files;
    this.#bytes += bytes;
  }

  /** Counts bytes read of a file, and looks up. */
  countRead(bytes: number): void {
    this.#readBytes += bytes;
    this.lookUp();
  }

  add(item: ItemMessage): void {
    this.#items.add(item);
    this.#added();
  }

  addPlain(found: PlainFound): void {
    this.#items.addPlain(found);
    this.#added();
  }

  /** To be called between two names or two reads: sends what is due, and ends the scan if it was cancelled. */
  lookUp(): void {
    if (Atomics.load(this.#control, CANCELLED) !== 0) throw new Cancelled();
    const nowMs = performance.now();
    if (nowMs - this.#sentMs < BATCH_MS) return;
    this.flush();
    this.progress();
    this.#sentMs = nowMs;
  }

  progress(): void {
    this.send({ kind: 'progress', files: this.#files, bytes: this.#bytes, readBytes: this.#readBytes });
  }

  flush(): void {
    const { items } = this.#items;
    if (items === 0) return;
    this.send(this.#items.take());
    this.#sent += items;
    for (;;) {
      if (Atomics.load(this.#control, CANCELLED) !== 0) throw new Cancelled();
      const taken = Atomics.load(this.#control, TAKEN);
      if (this.#sent - taken < this.#itemsAheadMax) return;
      Atomics.wait(this.#control, TAKEN, taken, WAIT_MS);
    }
  }

  /** Waits until the other side has set the word. */
  hear(word: number): number {
    for (;;) {
      if (Atomics.load(this.#control, CANCELLED) !== 0) throw new Cancelled();
      const heard = Atomics.load(this.#control, word);
      if (heard !== 0) return heard;
      Atomics.wait(this.#control, word, 0, WAIT_MS);
    }
  }

  #added(): void {
    if (this.#items.items >= BATCH_ITEMS) this.flush();
  }
}
