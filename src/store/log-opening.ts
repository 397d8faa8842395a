/**
 * Log opening: reads a log from its first frame to its last, and finds out whether the chain holds, where the log ends,
 * and what it stands on.
 *
 *   first frame = CBOR [store, counter, random], or of a log that stands on a checkpoint
 *                 [store, counter, random, seq, digest, contents, deletions]
 *
 * In a log that stands on a checkpoint, the checkpoint's contents come next, chained from the start of their own chain;
 * then the operations from number seq + 1 on, as in any log. Earlier builds put some of the last deletions behind the
 * contents, in the same chain; they are no longer needed.
 *
 * Where the frames come from does not matter here. Driven by log-file.ts.
 */
import { decode, encode } from 'cborg';
import { ContentsChain, type LogBase } from '../core/checkpoint.js';
import { type Epoch, type LogOp, type LogPosition, logAfter, logStart } from '../core/holdings-log.js';
import { parseStoreId, type StoreId } from '../core/ids.js';
import { type Frame, LogDamage, opsOf, orDamage } from './log-frames.js';
import { notePlace, type Place } from './log-places.js';

/**
 * Receives a log as it is opened: the contents that it stands on, then the position where its operations begin, then
 * these.
 */
export interface LogReader {
  /** An operation of a checkpoint's contents, or one of the deletions after them. */
  held(op: LogOp): void;
  /** The position before the first operation. */
  begin(position: LogPosition): void;
  op(op: LogOp, position: LogPosition): void;
}

/** What the first frame says. */
interface LogFirst {
  readonly start: LogPosition;
  /** For a log that stands on a checkpoint: how many operations stand for what came before. */
  readonly held: { readonly count: number; readonly deletions: number } | undefined;
}

/** What is known of a log that was read and is whole. */
export interface ReadLog {
  readonly position: LogPosition;
  readonly places: Place[];
  readonly base: LogBase | undefined;
}

/** A log that is being read from its first frame on. */
export class LogOpening {
  readonly #reader: LogReader;
  readonly #chain: ContentsChain | undefined;
  readonly #count: number;
  readonly #places: Place[] = [];
  #heldLeft: number;
  #position: LogPosition;
  #base: LogBase | undefined;

  /** @throws LogDamage, as `take` and `done` */
  constructor(frame: Frame, store: StoreId, reader: LogReader) {
    const { start, held } = firstFrom(frame, store);
    this.#reader = reader;
    this.#position = start;
    this.#count = held?.count ?? 0;
    this.#heldLeft = this.#count + (held?.deletions ?? 0);
    if (held !== undefined) this.#chain = new ContentsChain(start);
    this.#mustBe(frame, this.#chain?.base.digest ?? start.digest);
    this.#noteHeld();
  }

  get epoch(): Epoch {
    return this.#position.epoch;
  }

  take(frame: Frame): void {
    if (this.#heldLeft > 0) this.#takeHeld(frame);
    else this.#takeOps(frame);
  }

  #takeHeld(frame: Frame): void {
    if (frame.count > this.#heldLeft) throw new LogDamage(`too many operations at byte ${frame.offset}`);
    for (const op of opsOf(frame)) {
      this.#chain?.take([op]);
      this.#reader.held(op);
      this.#heldLeft -= 1;
      this.#noteHeld();
    }
    this.#mustBe(frame, this.#chain?.base.digest);
  }

  /** The contents end with operation number `count`; the log's own operations begin after the deletions. */
  #noteHeld(): void {
    if (this.#chain?.base.count === this.#count) this.#base = this.#chain.base;
    if (this.#heldLeft === 0) this.#reader.begin(this.#position);
  }

  #takeOps(frame: Frame): void {
    notePlace(this.#places, { position: this.#position, offset: frame.offset });
    for (const op of opsOf(frame)) {
      this.#position = logAfter(this.#position, op);
      this.#reader.op(op, this.#position);
    }
    this.#mustBe(frame, this.#position.digest);
  }

  #mustBe(frame: Frame, digest: string | undefined): void {
    if (frame.digest !== digest) throw new LogDamage(`the chain breaks at byte ${frame.offset}`);
  }

  done(end: number): ReadLog {
    if (this.#heldLeft > 0)
      throw new LogDamage(`the checkpoint ends at byte ${end}, ${this.#heldLeft} operations early`);
    if (this.#places.length === 0) this.#places.push({ position: this.#position, offset: end });
    return { position: this.#position, places: this.#places, base: this.#base };
  }
}

/** @param held for a log that stands on a checkpoint */
export function firstPayload({ store, epoch, seq, digest }: LogPosition, held?: LogFirst['held']): Uint8Array {
  const start = [store, epoch.counter, epoch.random];
  return encode(held === undefined ? start : [...start, seq, digest, held.count, held.deletions]);
}

function firstFrom(frame: Frame, store: StoreId): LogFirst {
  return orDamage(frame, () => {
    const fields = decode(frame.payload) as unknown[];
    const [named, counter, random, seq, digest, count, deletions] = fields;
    if (typeof named !== 'string' || !Number.isSafeInteger(counter) || typeof random !== 'string') {
      throw new LogDamage('the log does not begin as a log');
    }
    if (parseStoreId(named) !== store) throw new LogDamage(`the log belongs to the store ${named}`);
    const epoch = { counter: counter as number, random };
    if (fields.length === 3) return { start: logStart(store, epoch), held: undefined };
    if (![seq, count, deletions].every(Number.isSafeInteger) || typeof digest !== 'string') {
      throw new LogDamage('the log does not begin as one that stands on a checkpoint');
    }
    return {
      start: { store, epoch, seq: seq as number, digest },
      held: { count: count as number, deletions: deletions as number },
    };
  });
}
