/**
 * Log file: a store's holdings log on disk, the commit record of what the store holds.
 *
 * Operations are appended in frames, one or more a write, each write flushed before the next begins. A frame carries the
 * chain's digest after its last operation and a check over itself, so a reader knows where it is whole.
 *
 *   frame = magic (4) ‖ payload bytes (u32) ‖ operations (u32) ‖ payload ‖ digest (32) ‖ check (8)
 *   payload = per operation: bytes (u16) ‖ encodeOp; of the first frame, with no operations: CBOR [store, counter, random]
 *   check = the first 8 bytes of BLAKE3 over all before it in the frame
 *
 * Nothing was promised for a frame whose flush did not return. So a bad end that no whole frame follows is a torn tail,
 * and is cut off; a bad frame with whole ones behind it is damage to what was promised: the log is in doubt.
 * A lost tail that was flushed leaves no trace here: the index and the peers remember a higher number (store-opening.ts).
 */
import { constants } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { decode, encode } from 'cborg';
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
import { bytesOf, hexOf, parseStoreId, type StoreId } from '../core/ids.js';
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

export type OpenedLog =
  | { readonly kind: 'sound'; readonly log: LogFile; readonly cutBytes: number }
  | { readonly kind: 'damaged'; readonly because: string; readonly epoch?: Epoch };

export class LogFile {
  readonly #file: FileHandle;
  #end: number;
  #position: LogPosition;
  readonly #places: Place[];
  #failure: unknown;

  private constructor(file: FileHandle, end: number, position: LogPosition, places: Place[]) {
    this.#file = file;
    this.#end = end;
    this.#position = position;
    this.#places = places;
  }

  /** A new, empty log in the place of whatever was there; durable when this returns. */
  static async create(path: string, store: StoreId, epoch: Epoch): Promise<LogFile> {
    const position = logStart(store, epoch);
    const first = encodeFrame(encode([store, epoch.counter, epoch.random]), 0, position.digest);
    const beside = `${path}.new`;
    await rm(beside, { force: true });
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const file = await open(beside, flags, FILE_MODE);
    try {
      await writeAt(file, first, 0);
      await file.sync();
      await rename(beside, path);
      await fsyncFolder(dirname(path));
    } catch (error) {
      await file.close();
      throw error;
    }
    return new LogFile(file, first.length, position, [{ position, offset: first.length }]);
  }

  /**
   * Reads the whole log, handing each operation with its position to `onOp`; cuts off a torn tail. What `onOp` was told
   * of a log that turns out to be damaged is worth nothing.
   */
  static async open(
    path: string,
    store: StoreId,
    onOp: (op: LogOp, position: LogPosition) => void,
  ): Promise<OpenedLog> {
    const reading = await openOwnFile(path);
    if (reading === undefined) return { kind: 'damaged', because: 'the log is missing' };
    await reading.close();
    const file = await open(path, constants.O_RDWR | constants.O_NOFOLLOW);
    let epoch: Epoch | undefined;
    try {
      const { size } = await file.stat();
      let position: LogPosition | undefined;
      let end = 0;
      const places: Place[] = [];
      for await (const frame of frames(file, 0, size)) {
        if (position === undefined) {
          epoch = epochFrom(frame, store);
          position = logStart(store, epoch);
        } else {
          notePlace(places, { position, offset: frame.offset });
          for (const op of opsOf(frame)) {
            position = logAfter(position, op);
            onOp(op, position);
          }
        }
        if (position.digest !== frame.digest) throw new Damage(`the chain breaks at byte ${frame.offset}`);
        end = frame.end;
      }
      if (position === undefined) throw new Damage('the log does not begin as a log');
      if (end < size) {
        if (await wholeFrameWithin(file, end + 1, size)) throw new Damage(`a broken frame at byte ${end}`);
        await file.truncate(end);
        await file.sync();
      }
      if (places.length === 0) places.push({ position, offset: end });
      const log = new LogFile(file, end, position, places);
      return { kind: 'sound', log, cutBytes: size - end };
    } catch (error) {
      await file.close();
      if (!(error instanceof Damage)) throw error;
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
    const positions: LogPosition[] = [];
    const parts: Buffer[] = [];
    const places: Place[] = [];
    let position = this.#position;
    let offset = this.#end;
    for (let at = 0; at < ops.length; at += FRAME_OPS_MAX) {
      const some = ops.slice(at, at + FRAME_OPS_MAX);
      const payload: Uint8Array[] = [];
      places.push({ position, offset });
      for (const op of some) {
        const encoded = encodeOp(op);
        const length = Buffer.alloc(2);
        length.writeUInt16BE(encoded.length);
        payload.push(length, encoded);
        position = logAfter(position, op);
        positions.push(position);
      }
      const frame = encodeFrame(Buffer.concat(payload), some.length, position.digest);
      parts.push(frame);
      offset += frame.length;
    }
    try {
      await writeAt(this.#file, Buffer.concat(parts), this.#end);
    } catch (error) {
      // Half a frame may be there. Once it is cut off, nothing has happened.
      await this.#orFail(this.#file.truncate(this.#end));
      throw storeFull(error, 'the log');
    }
    await this.#orFail(this.#file.datasync());
    for (const place of places) notePlace(this.#places, place);
    this.#end = offset;
    this.#position = position;
    return positions;
  }

  /** Operations `fromSeq + 1` onwards, at most `max`. */
  async ops(fromSeq: number, max: number): Promise<LogOp[]> {
    const ops: LogOp[] = [];
    if (fromSeq >= this.#position.seq || max <= 0) return ops;
    const place = this.#placeBefore(fromSeq);
    let { seq } = place.position;
    for await (const frame of frames(this.#file, place.offset, this.#end)) {
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

  /** The position after operation `seq`, which the log must have. */
  async positionAt(seq: number): Promise<LogPosition> {
    assert(seq >= 0 && seq <= this.#position.seq, `the log has ${this.#position.seq} operations, not ${seq}`);
    if (seq === this.#position.seq) return this.#position;
    const place = this.#placeBefore(seq);
    let { position } = place;
    for await (const frame of frames(this.#file, place.offset, this.#end)) {
      for (const op of opsOf(frame)) {
        if (position.seq === seq) return position;
        position = logAfter(position, op);
      }
    }
    assert(position.seq === seq, `operation ${seq} cannot be read from the log any more`);
    return position;
  }

  #placeBefore(seq: number): Place {
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
    await this.#file.close();
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
async function* frames(file: FileHandle, from: number, to: number): AsyncGenerator<Frame> {
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

async function wholeFrameWithin(file: FileHandle, from: number, to: number): Promise<boolean> {
  for (let offset = from; offset < to; offset += WINDOW_BYTES - FRAME_BYTES_MAX) {
    const bytes = await readWindow(file, offset, to);
    for (let at = bytes.indexOf(MAGIC); at >= 0; at = bytes.indexOf(MAGIC, at + 1)) {
      if (decodeFrame(bytes, at, offset + at) !== undefined) return true;
    }
  }
  return false;
}

async function readWindow(file: FileHandle, offset: number, to: number): Promise<Buffer> {
  const bytes = Buffer.alloc(Math.min(WINDOW_BYTES, to - offset));
  let filled = 0;
  while (filled < bytes.length) {
    const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, offset + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

async function writeAt(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
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

function epochFrom(frame: Frame, store: StoreId): Epoch {
  return orDamage(frame, () => {
    const [named, counter, random] = decode(frame.payload) as [unknown, unknown, unknown];
    if (typeof named !== 'string' || !Number.isSafeInteger(counter) || typeof random !== 'string') {
      throw new Damage('the log does not begin as a log');
    }
    if (parseStoreId(named) !== store) throw new Damage(`the log belongs to the store ${named}`);
    return { counter: counter as number, random };
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
