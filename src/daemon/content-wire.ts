/**
 * Content wire: how the bytes of a restore cross the control socket.
 *
 * A frame is one byte of kind, four of payload length (big-endian), and the payload. The last frame is `over` or an
 * error: a stream that ends without one was cut. Both ends are this program on one machine, and every byte of a
 * restore passes here once. So the service sends data from where it lies, and the command reads it all into the same
 * few pages, which stay in the processor's cache. Joining and copying it, as HTTP's own streams do, would cost both
 * processes a third of their time.
 *
 * Driven by control-server.ts and content-client.ts.
 */
import type { ServerResponse } from 'node:http';
import { CONTENT_DATA_BYTES_MAX, type ContentFrame } from '../catalog/restore-content.js';
import { bytesOf, hexOf, parseBlobId } from '../core/ids.js';
import { type ErrorRecord, errorFrom, fromJson, protocolError, toErrorRecord, toJson } from './control-wire.js';

const KINDS = { start: 1, data: 2, end: 3, unavailable: 4, error: 5, over: 6, waiting: 7 } as const;
const HEADER_BYTES = 5;
const BLOB_BYTES = 32;
/** Payload of a `start`: the blob, its size, and where the data begins. */
const START_BYTES = BLOB_BYTES + 8 + 8;
/** `data` has the largest payload; those of the others are an id and two sizes, a sentence, or names. */
const PAYLOAD_BYTES_MAX = CONTENT_DATA_BYTES_MAX;

// ── The service's end ───────────────────────────────────────────────────────────────────────────────────────────────

/** Sends an answer that has begun to its end. An error of `frames` goes to the client, unless the client is gone. */
export async function sendContent(response: ServerResponse, frames: AsyncIterable<ContentFrame>): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/octet-stream' });
  const send = async (pieces: Iterable<Uint8Array>): Promise<void> => {
    let isFull = false;
    for (const piece of pieces) isFull = !response.write(piece);
    if (isFull) await takenBy(response);
  };
  try {
    for await (const frame of frames) {
      if (response.destroyed) return;
      await send(encodeContentFrame(frame));
    }
    await send([headerOf(KINDS.over, 0)]);
  } catch (error) {
    if (response.destroyed) return;
    await send(encodeContentFrame(toErrorRecord(error)));
  }
  response.end();
}

/** Resolves when the client has taken what it was sent, or is gone. */
function takenBy(response: ServerResponse): Promise<void> {
  if (response.closed) return Promise.resolve();
  return new Promise(resolve => {
    const settle = (): void => {
      response.off('drain', settle);
      response.off('close', settle);
      resolve();
    };
    response.on('drain', settle);
    response.on('close', settle);
  });
}

/** Yields pieces, so that data is not copied. Data above `CONTENT_DATA_BYTES_MAX` becomes several frames. */
export function* encodeContentFrame(frame: ContentFrame | ErrorRecord): Generator<Uint8Array> {
  if ('message_type' in frame) return yield* withHeader(KINDS.error, Buffer.from(toJson(frame)));
  switch (frame.kind) {
    case 'start': {
      const payload = Buffer.alloc(START_BYTES);
      payload.set(bytesOf(frame.blob));
      payload.writeBigUInt64BE(BigInt(frame.bytes), BLOB_BYTES);
      payload.writeBigUInt64BE(BigInt(frame.from ?? 0), BLOB_BYTES + 8);
      return yield* withHeader(KINDS.start, payload);
    }
    case 'data':
      for (let at = 0; at < frame.data.length; at += CONTENT_DATA_BYTES_MAX)
        yield* withHeader(KINDS.data, frame.data.subarray(at, at + CONTENT_DATA_BYTES_MAX));
      return;
    case 'end':
      return yield headerOf(KINDS.end, 0);
    case 'unavailable':
    case 'waiting':
      return yield* withHeader(KINDS[frame.kind], Buffer.from(toJson(frame)));
  }
}

function* withHeader(kind: number, payload: Uint8Array): Generator<Uint8Array> {
  yield headerOf(kind, payload.length);
  yield payload;
}

function headerOf(kind: number, payloadBytes: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  header.writeUInt8(kind, 0);
  header.writeUInt32BE(payloadBytes, 1);
  return header;
}

// ── The command's end ───────────────────────────────────────────────────────────────────────────────────────────────

/** Makes frames of a byte stream that comes in chunks, cut anywhere. */
export class ContentReader {
  /** The bytes so far of a header, or of a payload that is wanted whole. */
  #begun: Buffer = EMPTY;
  /** Still to come of the data whose header was read last. */
  #dataBytesLeft = 0;
  #isOver = false;

  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * The frames that are complete with this chunk. Data is yielded as far as it has come, without a copy: it is valid
   * until the reader asks for the next frame.
   * @throws ClusterError what an error frame says, or CONTROL_PROTOCOL when the bytes are no frames
   */
  *frames(chunk: Buffer): Generator<ContentFrame> {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#isOver) throw protocolError('more than its last frame');
      if (this.#dataBytesLeft > 0) {
        const data = rest.subarray(0, this.#dataBytesLeft);
        this.#dataBytesLeft -= data.length;
        rest = rest.subarray(data.length);
        yield { kind: 'data', data };
        continue;
      }
      const wantedBytes = frameBytes(this.#begun);
      const piece = rest.subarray(0, wantedBytes - this.#begun.length);
      rest = rest.subarray(piece.length);
      const frame = this.#begun.length === 0 ? piece : Buffer.concat([this.#begun, piece]);
      this.#begun = EMPTY;
      if (frame.length < Math.max(wantedBytes, frameBytes(frame))) {
        // The chunk's memory belongs to the caller.
        this.#begun = Buffer.from(frame);
        continue;
      }
      const kind = frame.readUInt8(0);
      if (kind === KINDS.data) this.#dataBytesLeft = frame.readUInt32BE(1);
      else if (kind === KINDS.over) this.#isOver = true;
      else yield contentFrameFrom(kind, frame.subarray(HEADER_BYTES));
    }
  }
}

const EMPTY = Buffer.alloc(0);

/** How many bytes must be here before they can be read: a header first, then header and payload, unless it is data. */
function frameBytes(begun: Buffer): number {
  if (begun.length < HEADER_BYTES) return HEADER_BYTES;
  const payloadBytes = begun.readUInt32BE(1);
  if (payloadBytes > PAYLOAD_BYTES_MAX) throw protocolError(`a frame of ${payloadBytes} bytes`);
  return begun.readUInt8(0) === KINDS.data ? HEADER_BYTES : HEADER_BYTES + payloadBytes;
}

function contentFrameFrom(kind: number, payload: Buffer): ContentFrame {
  switch (kind) {
    case KINDS.start: {
      if (payload.length !== START_BYTES) break;
      const from = Number(payload.readBigUInt64BE(BLOB_BYTES + 8));
      return {
        kind: 'start',
        blob: parseBlobId(hexOf(payload.subarray(0, BLOB_BYTES))),
        bytes: Number(payload.readBigUInt64BE(BLOB_BYTES)),
        ...(from > 0 && { from }),
      };
    }
    case KINDS.end:
      return { kind: 'end' };
    case KINDS.unavailable:
    case KINDS.waiting:
      return fromJson(payload.toString()) as ContentFrame;
    case KINDS.error:
      throw errorFrom(fromJson(payload.toString()) as ErrorRecord);
  }
  throw protocolError(`a frame of kind ${kind}`);
}
