/**
 * Log frames: how operations stand in a log file.
 *
 *   frame = magic (4) ‖ payload bytes (u32) ‖ operations (u32) ‖ payload ‖ digest (32) ‖ check (8)
 *   payload = per operation: bytes (u16) ‖ encodeOp; of the first frame, with no operations: CBOR (log-opening.ts)
 *   check = the first 8 bytes of BLAKE3 over all before it in the frame
 *
 * The digest is the chain's after the frame's last operation. By the check a reader sees whether a frame is whole;
 * log-opening.ts decides whether it continues the chain.
 *
 * Driven by log-file.ts.
 */

import { assert } from '../core/fault.js';
import { hash } from '../core/hash.js';
import { decodeOp, encodeOp, type LogOp } from '../core/holdings-log.js';
import { bytesOf, hexOf } from '../core/ids.js';
import type { OpenFile } from '../platform/disk-calls.js';

/** Arbitrary, and no sequence of bytes that CBOR or hex text would contain. */
const MAGIC = Buffer.from([0xf5, 0x4c, 0x4f, 0x47]);
const HEAD_BYTES = 12;
const DIGEST_BYTES = 32;
const CHECK_BYTES = 8;
const AROUND_BYTES = HEAD_BYTES + DIGEST_BYTES + CHECK_BYTES;
/** An encoded operation is at most about 110 bytes (`head`, longest source name), so a full frame has 230 KB. */
export const FRAME_OPS_MAX = 2048;
const FRAME_BYTES_MAX = 256 * 1024;
/** Read at once. More than a frame, so that a frame always fits into the window. */
const WINDOW_BYTES = 1024 * 1024;

export interface Frame {
  readonly offset: number;
  readonly end: number;
  readonly count: number;
  readonly payload: Buffer;
  readonly digest: string;
}

/** Something that was promised to be in the log is missing or is not understood. */
export class LogDamage extends Error {}

export function* runsOf(ops: Iterable<LogOp>): Generator<LogOp[]> {
  let run: LogOp[] = [];
  for (const op of ops) {
    run.push(op);
    if (run.length < FRAME_OPS_MAX) continue;
    yield run;
    run = [];
  }
  if (run.length > 0) yield run;
}

export function payloadOf(ops: readonly LogOp[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const op of ops) {
    const encoded = encodeOp(op);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(encoded.length);
    parts.push(length, encoded);
  }
  return Buffer.concat(parts);
}

export function* opsOf(frame: Frame): Generator<LogOp> {
  let at = 0;
  for (let n = 0; n < frame.count; n++) {
    if (at + 2 > frame.payload.length) throw new LogDamage(`too few operations at byte ${frame.offset}`);
    const length = frame.payload.readUInt16BE(at);
    yield orDamage(frame, () => decodeOp(frame.payload.subarray(at + 2, at + 2 + length)));
    at += 2 + length;
  }
}

/** A frame whose check is right but that cannot be understood comes from another program, and so is in doubt. */
export function orDamage<T>(frame: Frame, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof LogDamage) throw cause;
    throw new LogDamage(`the frame at byte ${frame.offset} is not understood`, { cause });
  }
}

export function encodeFrame(payload: Uint8Array, count: number, digest: string): Buffer {
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

/** The frame at `at` in `bytes`; `undefined` when no whole frame begins there. */
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
export async function* frames(file: OpenFile, from: number, to: number): AsyncGenerator<Frame> {
  for (let offset = from; offset < to; ) {
    const bytes = await readWindow(file, offset, to);
    const start = offset;
    for (;;) {
      const frame = decodeFrame(bytes, offset - start, offset);
      if (frame === undefined) break;
      yield frame;
      offset = frame.end;
    }
    // No whole frame in a window that is larger than any frame: what follows is broken.
    if (offset === start) return;
  }
}

export async function wholeFrameWithin(file: OpenFile, from: number, to: number): Promise<boolean> {
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

/**
 * Writes the end of the log again: more than the operations of one append, which may be several frames. The bytes stay
 * the same, so a crash in between changes nothing.
 */
export async function writeEndAnew(file: OpenFile, end: number): Promise<void> {
  const from = Math.max(0, end - WINDOW_BYTES);
  await writeAt(file, await readWindow(file, from, end), from);
  await file.sync();
}

export async function writeAt(file: OpenFile, bytes: Uint8Array, offset: number): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const { bytesWritten } = await file.write(bytes, written, bytes.length - written, offset + written);
    written += bytesWritten;
  }
}
