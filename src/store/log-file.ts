/**
 * Log file: a store's holdings log on disk, the commit record of what the store holds.
 *
 * Operations are appended in frames, one or more a write, each write flushed before the next begins. A frame carries the
 * chain's digest after its last operation and a check over itself, so a reader knows where it is whole.
 *
 *   frame = magic (4) ‖ payload bytes (u32) ‖ operations (u32) ‖ payload ‖ digest (32) ‖ check (8)
 *   payload = per operation: bytes (u16) ‖ encodeOp; of the first frame, with no operations: CBOR [store, counter, random]
 *             or, of a log that stands on a checkpoint, [store, counter, random, seq, digest, contents, late deletions]
 *   check = the first 8 bytes of BLAKE3 over all before it in the frame
 *
 * Nothing was promised for a frame whose flush did not return. So a bad end that no whole frame follows is a torn tail,
 * and is cut off; a bad frame with whole ones behind it is damage to what was promised: the log is in doubt.
 *
 * A log that stands on a checkpoint is a new file in the old one's place: behind the first frame the checkpoint's contents,
 * then a `del` for each late deletion, chained from where the contents' chain starts; then operations from number seq + 1
 * on, as in any log. It is written beside the old one, flushed and renamed, so a crash leaves one of the two, each whole up
 * to there; nothing in it up to seq can be torn.
 *
 * After a flush that failed the kernel may show a tail that the disk never got, and flush it with success, for it takes its
 * pages for written. So whoever opens a log writes its end once more before it believes it (see disk-sync.ts).
 *
 * A lost tail that was flushed leaves no trace here: the index and the peers remember a higher number (store-opening.ts).
 */
import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { decode, encode } from 'cborg';
import { ContentsChain, type LogBase } from '../core/checkpoint.js';
import { assert } from '../core/fault.js';
import { hash } from '../core/hash.js';
import {
  decodeOp,
  type Epoch,
  encodeOp,
  type LogOp,
  type LogPosition,
  logAfter,
  logStart,
} from '../core/holdings-log.js';
import { bytesOf, hexOf, type ParcelId, parseStoreId, type StoreId } from '../core/ids.js';
import { type OpenFile, open, rename, rm } from '../platform/disk-calls.js';
import { fsyncFolder } from '../platform/durable.js';
import { FILE_MODE, openOwnFile, storeFull } from './own-folder.js';

/** Arbitrary, and no run of bytes that CBOR or hex text would contain. */
const MAGIC = Buffer.from([0xf5, 0x4c, 0x4f, 0x47]);
const HEAD_BYTES = 12;
const DIGEST_BYTES = 32;
const CHECK_BYTES = 8;
const AROUND_BYTES = HEAD_BYTES + DIGEST_BYTES + CHECK_BYTES;
/** An encoded operation is at most about 110 bytes (`head`, longest source name), so a full frame has 230 KB. */
const FRAME_OPS_MAX = 2048;
const FRAME_BYTES_MAX = 256 * 1024;
/** Read at once. More than a frame, so that a frame is never wider than the window. */
const WINDOW_BYTES = 1024 * 1024;
/** One remembered place for so many operations: what a reader may have to skip, for some 200 bytes of memory. */
const PLACE_EVERY_OPS = 1024;

interface Frame {
  readonly offset: number;
  readonly end: number;
  readonly count: number;
  readonly payload: Buffer;
  readonly digest: string;
}

/** Where a frame begins, and the log's position before it. */
interface Place {
  readonly position: LogPosition;
  readonly offset: number;
}

/** Who reads a log that is opened: what it stands on, then where its operations begin, then these. */
export interface LogReader {
  /** An operation of a checkpoint's contents, or the `del` of a late deletion. */
  held(op: LogOp): void;
  /** The position before the first operation. */
  begin(position: LogPosition): void;
  op(op: LogOp, position: LogPosition): void;
}

export interface LogContents {
  readonly at: LogPosition;
  /** In canonical order, so many. */
  readonly contents: Iterable<LogOp>;
  readonly count: number;
  readonly lateDeletions: readonly ParcelId[];
}

export type OpenedLog =
  | { readonly kind: 'sound'; readonly log: LogFile; readonly cutBytes: number }
  | { readonly kind: 'damaged'; readonly because: string; readonly epoch?: Epoch };

/** A checkpoint that was written beside the log, and is not the log yet. */
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

/** A file that is closed when its last user lets go of it: a log that was replaced may still be read. */
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

  /** A new, empty log in the place of whatever was there; durable when this returns. */
  static async create(path: string, store: StoreId, epoch: Epoch): Promise<LogFile> {
    const position = logStart(store, epoch);
    const first = encodeFrame(encode([store, epoch.counter, epoch.random]), 0, position.digest);
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
   * Reads the whole log, handing all that is in it to `reader`; cuts off a torn tail. What it was told of a log that turns
   * out to be damaged is worth nothing.
   */
  static async open(path: string, store: StoreId, reader: LogReader): Promise<OpenedLog> {
    const reading = await openOwnFile(path);
    if (reading === undefined) return { kind: 'damaged', because: 'the log is missing' };
    await reading.close();
    const file = await open(path, constants.O_RDWR | constants.O_NOFOLLOW);
    let opening: Opening | undefined;
    try {
      // A checkpoint that was never finished.
      await rm(nameBeside(path), { force: true });
      const { size } = await file.stat();
      let end = 0;
      for await (const frame of frames(file, 0, size)) {
        if (opening === undefined) opening = new Opening(firstFrom(frame, store), reader, frame);
        else opening.take(frame);
        end = frame.end;
      }
      if (opening === undefined) throw new Damage('the log does not begin as a log');
      const { position, places, base } = opening.done(end);
      if (end < size) {
        if (await wholeFrameWithin(file, end + 1, size)) throw new Damage(`a broken frame at byte ${end}`);
        await file.truncate(end);
      }
      await writeEndAnew(file, end);
      const log = new LogFile({ path, file, end, position, places, base });
      return { kind: 'sound', log, cutBytes: size - end };
    } catch (error) {
      await file.close();
      if (!(error instanceof Damage)) throw error;
      const epoch = opening?.epoch;
      return { kind: 'damaged', because: error.message, ...(epoch === undefined ? {} : { epoch }) };
    }
  }

  /** After the last durable operation. */
  get position(): LogPosition {
    return this.#position;
  }

  /**
   * Appends operations; when it returns they are durable. The positions after each. Its one caller waits for it before
   * calling again.
   */
  async append(ops: readonly LogOp[]): Promise<readonly LogPosition[]> {
    if (this.#failure !== undefined) throw this.#failure;
    if (ops.length === 0) return [];
    const framed = framesOf(ops, { position: this.#position, offset: this.#end });
    const { handle } = this.#file;
    try {
      await writeAt(handle, framed.bytes, this.#end);
    } catch (error) {
      // Half a frame may be there. Once it is cut off, nothing has happened.
      await this.#orFail(handle.truncate(this.#end));
      throw storeFull(error, 'the log');
    }
    await this.#orFail(handle.datasync());
    for (const place of framed.places) notePlace(this.#places, place);
    this.#end += framed.bytes.length;
    this.#position = framed.positions.at(-1) ?? this.#position;
    return framed.positions;
  }

  /** What it stands on; `undefined` while it has all operations. */
  get base(): LogBase | undefined {
    return this.#base;
  }

  /** The position before the first operation that it has. */
  get first(): LogPosition {
    return this.#places[0]?.position ?? this.#position;
  }

  /**
   * Writes a checkpoint beside the log, which changes nothing yet and may go on beside appends.
   *
   * @throws whatever the disk says, and the signal's reason: then nothing of it is left
   */
  async draft({ at, contents, count, lateDeletions }: LogContents, signal: AbortSignal): Promise<LogDraft> {
    const path = nameBeside(this.#path);
    const file = await openBeside(this.#path);
    try {
      const { store, epoch, seq, digest } = at;
      const chain = new ContentsChain(at);
      let end = 0;
      const write = async (payload: Uint8Array, ops: number): Promise<void> => {
        signal.throwIfAborted();
        const frame = encodeFrame(payload, ops, chain.base.digest);
        await writeAt(file, frame, end);
        end += frame.length;
      };
      const writeAll = async (ops: Iterable<LogOp>): Promise<void> => {
        for (const some of runsOf(ops)) {
          chain.take(some);
          await write(payloadOf(some), some.length);
        }
      };
      await write(encode([store, epoch.counter, epoch.random, seq, digest, count, lateDeletions.length]), 0);
      await writeAll(contents);
      const { base } = chain;
      assert(base.count === count, `a checkpoint of ${count} operations has ${base.count}`);
      await writeAll(lateDeletions.map(parcel => ({ op: 'del', parcel })));
      await file.sync();
      return new LogDraft({ base, file, path, end });
    } catch (error) {
      await file.close();
      await rm(path, { force: true });
      throw error;
    }
  }

  /**
   * From now on the log stands on the draft, with the operations that came after it. Its caller waits for it before it
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
    // Until the name is durable a crash may bring the old file back, without what is appended from now on.
    await this.#orFail(fsyncFolder(dirname(this.#path)));
  }

  /** The contents of what it stands on, a frame at a time. */
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

  /** Operations `fromSeq + 1` onwards, at most `max`. It must not stand on a checkpoint after `fromSeq`. */
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

  /** The position after operation `seq`, which the log must have, or stand on. */
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
    let low = 0;
    for (let high = this.#places.length; high - low > 1; ) {
      const middle = (low + high) >> 1;
      if ((this.#places[middle]?.position.seq ?? 0) <= seq) low = middle;
      else high = middle;
    }
    const place = this.#places[low];
    assert(place !== undefined, 'a log has a place to start from');
    return place;
  }

  async close(): Promise<void> {
    await this.#file.release();
  }

  /** Why it takes no more appends; `undefined` while it does. */
  get failure(): unknown {
    return this.#failure;
  }

  /** A flush or a cut that fails leaves a file of which nobody knows what the disk has: no more appends. */
  async #orFail(call: Promise<void>): Promise<void> {
    try {
      await call;
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }
}

class Damage extends Error {}

/** What the first frame says. */
interface LogFirst {
  readonly start: LogPosition;
  /** Of a log that stands on a checkpoint: how many operations stand for what came before. */
  readonly held: { readonly count: number; readonly lateDeletions: number } | undefined;
}

/** A log that is being read from its beginning. */
class Opening {
  readonly #reader: LogReader;
  readonly #chain: ContentsChain | undefined;
  readonly #count: number;
  readonly #places: Place[] = [];
  #heldLeft: number;
  #position: LogPosition;
  #base: LogBase | undefined;

  constructor({ start, held }: LogFirst, reader: LogReader, frame: Frame) {
    this.#reader = reader;
    this.#position = start;
    this.#count = held?.count ?? 0;
    this.#heldLeft = this.#count + (held?.lateDeletions ?? 0);
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
    if (frame.count > this.#heldLeft) throw new Damage(`too many operations at byte ${frame.offset}`);
    for (const op of opsOf(frame)) {
      this.#chain?.take([op]);
      this.#reader.held(op);
      this.#heldLeft -= 1;
      this.#noteHeld();
    }
    this.#mustBe(frame, this.#chain?.base.digest);
  }

  /** The contents are whole with the last of `count` operations; the log begins behind the late deletions. */
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
    if (frame.digest !== digest) throw new Damage(`the chain breaks at byte ${frame.offset}`);
  }

  done(end: number): Pick<LogParts, 'position' | 'places' | 'base'> {
    if (this.#heldLeft > 0) throw new Damage(`the checkpoint ends at byte ${end}, ${this.#heldLeft} operations early`);
    if (this.#places.length === 0) this.#places.push({ position: this.#position, offset: end });
    return { position: this.#position, places: this.#places, base: this.#base };
  }
}

const nameBeside = (path: string): string => `${path}.new`;

async function openBeside(path: string): Promise<OpenFile> {
  const beside = nameBeside(path);
  await rm(beside, { force: true });
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  return open(beside, flags, FILE_MODE);
}

/** Operations in frames, as they are written behind this place. */
function framesOf(
  ops: readonly LogOp[],
  { position: before, offset: from }: Place,
): { readonly bytes: Buffer; readonly positions: readonly LogPosition[]; readonly places: readonly Place[] } {
  const positions: LogPosition[] = [];
  const parts: Buffer[] = [];
  const places: Place[] = [];
  let position = before;
  let offset = from;
  for (const some of runsOf(ops)) {
    places.push({ position, offset });
    for (const op of some) {
      position = logAfter(position, op);
      positions.push(position);
    }
    const frame = encodeFrame(payloadOf(some), some.length, position.digest);
    parts.push(frame);
    offset += frame.length;
  }
  return { bytes: Buffer.concat(parts), positions, places };
}

function* runsOf(ops: Iterable<LogOp>): Generator<LogOp[]> {
  let run: LogOp[] = [];
  for (const op of ops) {
    run.push(op);
    if (run.length < FRAME_OPS_MAX) continue;
    yield run;
    run = [];
  }
  if (run.length > 0) yield run;
}

function payloadOf(ops: readonly LogOp[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const op of ops) {
    const encoded = encodeOp(op);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(encoded.length);
    parts.push(length, encoded);
  }
  return Buffer.concat(parts);
}

function notePlace(places: Place[], place: Place): void {
  const last = places.at(-1);
  if (last === undefined || place.position.seq - last.position.seq >= PLACE_EVERY_OPS) places.push(place);
}

function encodeFrame(payload: Uint8Array, count: number, digest: string): Buffer {
  const frame = Buffer.alloc(AROUND_BYTES + payload.length);
  assert(frame.length <= FRAME_BYTES_MAX, 'a frame of the log stays under its limit');
  MAGIC.copy(frame);
  frame.writeUInt32BE(payload.length, 4);
  frame.writeUInt32BE(count, 8);
  frame.set(payload, HEAD_BYTES);
  frame.set(bytesOf(digest), HEAD_BYTES + payload.length);
  const checked = frame.subarray(0, frame.length - CHECK_BYTES);
  frame.set(hash(checked).subarray(0, CHECK_BYTES), checked.length);
  return frame;
}

/** The frame at `at` of `bytes`; `undefined` when there is no whole one. */
function decodeFrame(bytes: Buffer, at: number, offset: number): Frame | undefined {
  if (at + HEAD_BYTES > bytes.length || bytes.compare(MAGIC, 0, MAGIC.length, at, at + MAGIC.length) !== 0)
    return undefined;
  const length = AROUND_BYTES + bytes.readUInt32BE(at + 4);
  if (length > FRAME_BYTES_MAX || at + length > bytes.length) return undefined;
  const checked = bytes.subarray(at, at + length - CHECK_BYTES);
  const check = bytes.subarray(at + length - CHECK_BYTES, at + length);
  if (check.compare(hash(checked), 0, CHECK_BYTES) !== 0) return undefined;
  return {
    offset,
    end: offset + length,
    count: bytes.readUInt32BE(at + 8),
    payload: bytes.subarray(at + HEAD_BYTES, at + length - CHECK_BYTES - DIGEST_BYTES),
    digest: hexOf(bytes.subarray(at + length - CHECK_BYTES - DIGEST_BYTES, at + length - CHECK_BYTES)),
  };
}

/** Whole frames, one behind the other, until one is not whole. */
async function* frames(file: OpenFile, from: number, to: number): AsyncGenerator<Frame> {
  for (let offset = from; offset < to; ) {
    const bytes = await readWindow(file, offset, to);
    const start = offset;
    for (;;) {
      const frame = decodeFrame(bytes, offset - start, offset);
      if (frame === undefined) break;
      yield frame;
      offset = frame.end;
    }
    // Not one whole frame in a window that is wider than any frame: what follows is broken.
    if (offset === start) return;
  }
}

async function wholeFrameWithin(file: OpenFile, from: number, to: number): Promise<boolean> {
  for (let offset = from; offset < to; offset += WINDOW_BYTES - FRAME_BYTES_MAX) {
    const bytes = await readWindow(file, offset, to);
    for (let at = bytes.indexOf(MAGIC); at >= 0; at = bytes.indexOf(MAGIC, at + 1)) {
      if (decodeFrame(bytes, at, offset + at) !== undefined) return true;
    }
  }
  return false;
}

async function readWindow(file: OpenFile, offset: number, to: number): Promise<Buffer> {
  const bytes = Buffer.alloc(Math.min(WINDOW_BYTES, to - offset));
  let filled = 0;
  while (filled < bytes.length) {
    const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

/** More than the operations of one append, which may be several frames. The same bytes: a crash in between changes nothing. */
async function writeEndAnew(file: OpenFile, end: number): Promise<void> {
  const from = Math.max(0, end - WINDOW_BYTES);
  await writeAt(file, await readWindow(file, from, end), from);
  await file.sync();
}

async function writeAt(file: OpenFile, bytes: Uint8Array, offset: number): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, offset + written);
    written += bytesWritten;
  }
}

function* opsOf(frame: Frame): Generator<LogOp> {
  let at = 0;
  for (let n = 0; n < frame.count; n++) {
    if (at + 2 > frame.payload.length) throw new Damage(`too few operations at byte ${frame.offset}`);
    const length = frame.payload.readUInt16BE(at);
    yield orDamage(frame, () => decodeOp(frame.payload.subarray(at + 2, at + 2 + length)));
    at += 2 + length;
  }
}

function firstFrom(frame: Frame, store: StoreId): LogFirst {
  return orDamage(frame, () => {
    const fields = decode(frame.payload) as unknown[];
    const [named, counter, random, seq, digest, count, lateDeletions] = fields;
    if (typeof named !== 'string' || !Number.isSafeInteger(counter) || typeof random !== 'string') {
      throw new Damage('the log does not begin as a log');
    }
    if (parseStoreId(named) !== store) throw new Damage(`the log belongs to the store ${named}`);
    const epoch = { counter: counter as number, random };
    if (fields.length === 3) return { start: logStart(store, epoch), held: undefined };
    if (![seq, count, lateDeletions].every(Number.isSafeInteger) || typeof digest !== 'string') {
      throw new Damage('the log does not begin as one that stands on a checkpoint');
    }
    return {
      start: { store, epoch, seq: seq as number, digest },
      held: { count: count as number, lateDeletions: lateDeletions as number },
    };
  });
}

/** Its check is right and yet it cannot be read: written by another program, and so in doubt. */
function orDamage<T>(frame: Frame, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof Damage) throw cause;
    throw new Damage(`the frame at byte ${frame.offset} is not understood`, { cause });
  }
}
