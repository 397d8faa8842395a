/**
 * Log file: a store's holdings log on disk, the commit record of what the store holds.
 *
 * Operations are appended in frames (log-frames.ts), one or more a write, each write flushed before the next begins.
 *
 * Nothing was promised for a frame whose flush did not return. So a broken end with no whole frame behind it is a torn
 * tail, and is cut off; a broken frame with whole ones behind it is damage to what was promised: the log is in doubt.
 *
 * A log that stands on a checkpoint is a new file in the place of the old one (log-opening.ts). It is written beside
 * the old one, flushed and renamed. So a crash leaves one of the two, whole up to that point, and nothing before that
 * point can be torn.
 *
 * After a failed flush the kernel may show a tail that the disk never got, and flush it again with success, since it
 * marks its pages as written. So the end of a log is written once more at its opening, before it is believed (see
 * disk-sync.ts).
 *
 * A flushed tail that is lost leaves no trace in the file: the index and the peers remember a higher number
 * (recovery.ts).
 */
import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { ContentsChain, type LogBase } from '../core/checkpoint.js';
import { assert } from '../core/fault.js';
import { type Epoch, type LogOp, type LogPosition, logAfter, logStart } from '../core/holdings-log.js';
import type { StoreId } from '../core/ids.js';
import { type OpenFile, open, rename, rm } from '../platform/disk-calls.js';
import { fsyncFolder } from '../platform/durable.js';
import {
  encodeFrame,
  FRAME_OPS_MAX,
  type Frame,
  frames,
  LogDamage,
  opsOf,
  payloadOf,
  runsOf,
  wholeFrameWithin,
  writeAt,
  writeEndAnew,
} from './log-frames.js';
import { firstPayload, LogOpening, type LogReader } from './log-opening.js';
import { framesOf, notePlace, type Place, placeBefore } from './log-places.js';
import { FILE_MODE, isBadSector, openOwnFile, storeFull } from './own-folder.js';

export interface LogContents {
  readonly at: LogPosition;
  /** In canonical order; exactly `count` operations. */
  readonly contents: Iterable<LogOp>;
  readonly count: number;
}

export type OpenedLog =
  | { readonly kind: 'sound'; readonly log: LogFile; readonly cutBytes: number }
  | { readonly kind: 'damaged'; readonly because: string; readonly epoch?: Epoch };

/** A checkpoint written beside the log, and not yet in its place. */
export class LogDraft {
  readonly base: LogBase;
  readonly file: OpenFile;
  readonly path: string;
  readonly end: number;

  constructor({ base, file, path, end }: Pick<LogDraft, 'base' | 'file' | 'path' | 'end'>) {
    this.base = base;
    this.file = file;
    this.path = path;
    this.end = end;
  }

  async discard(): Promise<void> {
    await this.file.close();
    await rm(this.path, { force: true });
  }
}

/** A file that is closed when its last user releases it: a log that was replaced may still be read. */
class SharedFile {
  readonly handle: OpenFile;
  #users = 1;

  constructor(handle: OpenFile) {
    this.handle = handle;
  }

  use(): OpenFile {
    this.#users += 1;
    return this.handle;
  }

  async release(): Promise<void> {
    this.#users -= 1;
    if (this.#users === 0) await this.handle.close();
  }
}

interface LogParts {
  readonly path: string;
  readonly file: OpenFile;
  readonly end: number;
  readonly position: LogPosition;
  readonly places: Place[];
  readonly base?: LogBase | undefined;
}

export class LogFile {
  readonly #path: string;
  #file: SharedFile;
  #end: number;
  #position: LogPosition;
  #places: Place[];
  #base: LogBase | undefined;
  #failure: unknown;

  private constructor({ path, file, end, position, places, base }: LogParts) {
    this.#path = path;
    this.#file = new SharedFile(file);
    this.#end = end;
    this.#position = position;
    this.#places = places;
    this.#base = base;
  }

  /** A new, empty log in place of any file that was there; durable when this returns. */
  static async create(path: string, store: StoreId, epoch: Epoch): Promise<LogFile> {
    const position = logStart(store, epoch);
    const first = encodeFrame(firstPayload(position), 0, position.digest);
    const file = await openBeside(path);
    try {
      await writeAt(file, first, 0);
      await file.sync();
      await rename(nameBeside(path), path);
      await fsyncFolder(dirname(path));
    } catch (error) {
      await file.close();
      throw error;
    }
    const end = first.length;
    return new LogFile({ path, file, end, position, places: [{ position, offset: end }] });
  }

  /**
   * Reads the whole log, handing all that is in it to `reader`, and cuts off a torn tail. What `reader` got from a log
   * that turns out to be damaged is worth nothing.
   */
  static async open(path: string, store: StoreId, reader: LogReader): Promise<OpenedLog> {
    const reading = await openOwnFile(path);
    if (reading === undefined) return { kind: 'damaged', because: 'the log is missing' };
    await reading.close();
    const file = await open(path, constants.O_RDWR | constants.O_NOFOLLOW);
    let opening: LogOpening | undefined;
    try {
      // Left from a checkpoint that was never finished.
      await rm(nameBeside(path), { force: true });
      const { size } = await file.stat();
      let end = 0;
      for await (const frame of frames(file, 0, size)) {
        if (opening === undefined) opening = new LogOpening(frame, store, reader);
        else opening.take(frame);
        end = frame.end;
      }
      if (opening === undefined) throw new LogDamage('the log does not begin as a log');
      const { position, places, base } = opening.done(end);
      if (end < size) {
        if (await wholeFrameWithin(file, end + 1, size)) throw new LogDamage(`a broken frame at byte ${end}`);
        await file.truncate(end);
      }
      await writeEndAnew(file, end);
      const log = new LogFile({ path, file, end, position, places, base });
      return { kind: 'sound', log, cutBytes: size - end };
    } catch (error) {
      await file.close();
      // A disk that was pulled gives EIO too. It does not take a new log either, and that error is then reported.
      if (!(error instanceof LogDamage || isBadSector(error))) throw error;
      const epoch = opening?.epoch;
      return { kind: 'damaged', because: error.message, ...(epoch === undefined ? {} : { epoch }) };
    }
  }

  /** The position after the last durable operation. */
  get position(): LogPosition {
    return this.#position;
  }

  /**
   * Appends operations; they are durable when it returns. Returns the position after each. Its one caller waits for it
   * before calling again.
   */
  async append(ops: readonly LogOp[]): Promise<readonly LogPosition[]> {
    if (this.#failure !== undefined) throw this.#failure;
    if (ops.length === 0) return [];
    const framed = framesOf(ops, { position: this.#position, offset: this.#end });
    const { handle } = this.#file;
    try {
      await writeAt(handle, framed.bytes, this.#end);
    } catch (error) {
      // Half a frame may have been written. Once that is cut off, nothing has changed.
      await this.#orFail(handle.truncate(this.#end));
      throw storeFull(error, this.#path);
    }
    await this.#orFail(handle.datasync());
    for (const place of framed.places) notePlace(this.#places, place);
    this.#end += framed.bytes.length;
    this.#position = framed.positions.at(-1) ?? this.#position;
    return framed.positions;
  }

  /** The checkpoint that the log stands on; `undefined` while it has all operations. */
  get base(): LogBase | undefined {
    return this.#base;
  }

  /** The position before the first operation that it has. */
  get first(): LogPosition {
    return this.#places[0]?.position ?? this.#position;
  }

  /**
   * Writes a checkpoint beside the log. That changes nothing yet, and appends may run meanwhile.
   *
   * @throws whatever the disk says, and the signal's reason: then nothing of it is left
   */
  async draft({ at, contents, count }: LogContents, signal: AbortSignal): Promise<LogDraft> {
    const path = nameBeside(this.#path);
    const file = await openBeside(this.#path);
    try {
      const chain = new ContentsChain(at);
      let end = 0;
      const write = async (payload: Uint8Array, ops: number): Promise<void> => {
        signal.throwIfAborted();
        const frame = encodeFrame(payload, ops, chain.base.digest);
        await writeAt(file, frame, end);
        end += frame.length;
      };
      await write(firstPayload(at, { count, deletions: 0 }), 0);
      for (const some of runsOf(contents)) {
        chain.take(some);
        await write(payloadOf(some), some.length);
      }
      const { base } = chain;
      assert(base.count === count, `a checkpoint of ${count} operations has ${base.count}`);
      await file.sync();
      return new LogDraft({ base, file, path, end });
    } catch (error) {
      await file.close();
      await rm(path, { force: true });
      throw error;
    }
  }

  /**
   * Makes the log stand on the draft and the operations that came after it. The caller waits for this before it
   * appends, and discards the draft when this throws with `failure` undefined: then nothing has changed.
   */
  async standOn({ base, file, path, end }: LogDraft): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const places: Place[] = [{ position: base.at, offset: end }];
    let offset = end;
    for (let position = base.at; position.seq < this.#position.seq; ) {
      const framed = framesOf(await this.ops(position.seq, FRAME_OPS_MAX), { position, offset });
      assert(framed.positions.length > 0, 'a log has the operations that it counts');
      await writeAt(file, framed.bytes, offset);
      for (const place of framed.places) notePlace(places, place);
      offset += framed.bytes.length;
      position = framed.positions.at(-1) ?? position;
    }
    await file.sync();
    await rename(path, this.#path);
    const old = this.#file;
    this.#file = new SharedFile(file);
    this.#end = offset;
    this.#places = places;
    this.#base = base;
    await old.release();
    // Until the name is durable a crash may bring the old file back, without the operations appended from now on.
    await this.#orFail(fsyncFolder(dirname(this.#path)));
  }

  /** The contents of the checkpoint that the log stands on, a frame at a time. */
  async *contents(): AsyncGenerator<LogOp[]> {
    const base = this.#base;
    const [place] = this.#places;
    if (base === undefined || place === undefined) return;
    const file = this.#file;
    const handle = file.use();
    try {
      let left = base.count;
      for await (const frame of frames(handle, 0, place.offset)) {
        if (left === 0) return;
        if (frame.count === 0) continue;
        const ops = [...opsOf(frame)];
        left -= ops.length;
        yield ops;
      }
    } finally {
      await file.release();
    }
  }

  /** Operations `fromSeq + 1` onwards, at most `max`. The log must not stand on a checkpoint after `fromSeq`. */
  async ops(fromSeq: number, max: number): Promise<LogOp[]> {
    const ops: LogOp[] = [];
    if (fromSeq >= this.#position.seq || max <= 0) return ops;
    const place = this.#placeBefore(fromSeq);
    let { seq } = place.position;
    for await (const frame of this.#framesFrom(place)) {
      if (seq + frame.count <= fromSeq) {
        seq += frame.count;
        continue;
      }
      for (const op of opsOf(frame)) {
        if (++seq > fromSeq) ops.push(op);
        if (ops.length === max) return ops;
      }
    }
    return ops;
  }

  async *#framesFrom({ offset }: Place): AsyncGenerator<Frame> {
    const [file, end] = [this.#file, this.#end];
    const handle = file.use();
    try {
      yield* frames(handle, offset, end);
    } finally {
      await file.release();
    }
  }

  /** The position after operation `seq`, which must be in the log or the end of the checkpoint that it stands on. */
  async positionAt(seq: number): Promise<LogPosition> {
    assert(seq <= this.#position.seq, `the log has ${this.#position.seq} operations, not ${seq}`);
    if (seq === this.#position.seq) return this.#position;
    const place = this.#placeBefore(seq);
    let { position } = place;
    for await (const frame of this.#framesFrom(place)) {
      for (const op of opsOf(frame)) {
        if (position.seq === seq) return position;
        position = logAfter(position, op);
      }
    }
    assert(position.seq === seq, `operation ${seq} cannot be read from the log any more`);
    return position;
  }

  #placeBefore(seq: number): Place {
    assert(seq >= this.first.seq, `the log stands on operation ${this.first.seq}, and ${seq} is before it`);
    return placeBefore(this.#places, seq);
  }

  async close(): Promise<void> {
    await this.#file.release();
  }

  /** Why the log takes no more appends; `undefined` while it does. */
  get failure(): unknown {
    return this.#failure;
  }

  /** After a failed flush or cut nobody knows what the disk has of the file: no more appends. */
  async #orFail(call: Promise<void>): Promise<void> {
    try {
      await call;
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }
}

const nameBeside = (path: string): string => `${path}.new`;

async function openBeside(path: string): Promise<OpenFile> {
  const beside = nameBeside(path);
  await rm(beside, { force: true });
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  return open(beside, flags, FILE_MODE);
}
