/**
 * Control wire: how a `Service` call crosses the control socket.
 *
 * HTTP on STATE/control.sock. Every call is `POST /1/<method>` with one JSON value as its body. A plain answer is one JSON
 * value; a stream of records is NDJSON, one value a line; content is binary frames (below). An error is the record
 * `{ message_type: 'error', code, message, blame }`: the whole answer with a status ≥ 400, or the last line (last frame) of
 * a stream that had begun. A stream that breaks off without the end of its HTTP body was cut.
 *
 * JSON has no bytes and no bigints, so they stand as `{ "$bytes": base64 }` and `{ "$int": digits }`.
 *
 * Both ends are this program on one machine, so what the *server* says is trusted; what a *client* says is checked
 * (`control-server.ts`), for the socket is open to a whole group.
 */
import { CONTENT_DATA_BYTES_MAX, type ContentFrame } from '../catalog/restore-content.js';
import { type Blame, ClusterError } from '../core/fault.js';
import { bytesOf, hexOf, parseBlobId } from '../core/ids.js';
import type { Service } from './service.js';

/** Raised when the shapes change, so that a command of another release says so instead of misreading. */
const CONTROL_VERSION = 1;
export const CONTROL_SOCKET_NAME = 'control.sock';
/** sockaddr_un holds 104 bytes on macOS and 108 on Linux, and Node truncates in silence what is longer. */
export const CONTROL_PATH_BYTES_MAX = 100;
/** The largest request is a policy text. */
export const REQUEST_BYTES_MAX = 1024 * 1024;
/** One line of NDJSON: the largest record is a status of some hundred hosts. */
export const LINE_BYTES_MAX = 16 * 1024 * 1024;

type MethodsThat<Result> = {
  [Method in keyof Service]: ReturnType<Service[Method]> extends Result ? Method : never;
}[keyof Service];

/** Calls with one answer … */
export type PlainMethod = MethodsThat<Promise<unknown>>;
/** … and calls with a stream of records. `content` stands by itself. */
export type StreamMethod = Exclude<MethodsThat<AsyncIterable<unknown>>, 'content'>;

export const routeOf = (method: keyof Service): string => `/${CONTROL_VERSION}/${method}`;

/** @throws ClusterError CONTROL_PATH_TOO_LONG */
export function checkControlPath(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes > CONTROL_PATH_BYTES_MAX) {
    throw new ClusterError(
      'CONTROL_PATH_TOO_LONG',
      `the control socket's path has ${bytes} bytes, and sockets allow ${CONTROL_PATH_BYTES_MAX}: ${path}. ` +
        'Nothing was changed. Use a state folder with a shorter path (--state DIR or $CLUSTER_STATE).',
      { blame: 'operator' },
    );
  }
}

// ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────────────

export function toJson(value: unknown): string {
  return (
    JSON.stringify(value, function (this: Record<string, unknown>, key, shown: unknown) {
      // `shown` has been through toJSON already, and Buffer has one; so look at the value itself.
      const own = this[key];
      if (own instanceof Uint8Array) return { $bytes: Buffer.from(own).toString('base64') };
      if (typeof own === 'bigint') return { $int: own.toString() };
      if (own instanceof Map) return { $map: [...own] };
      return shown;
    }) ?? 'null'
  );
}

/** @throws SyntaxError on anything that is not JSON */
export function fromJson(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown) => {
    if (typeof value !== 'object' || value === null) return value;
    if ('$bytes' in value && typeof value.$bytes === 'string') return Buffer.from(value.$bytes, 'base64');
    if ('$int' in value && typeof value.$int === 'string') return BigInt(value.$int);
    if ('$map' in value && Array.isArray(value.$map)) return new Map(value.$map as [unknown, unknown][]);
    return value;
  });
}

// ── Errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface ErrorRecord {
  readonly message_type: 'error';
  readonly code: string;
  readonly message: string;
  readonly blame?: Blame;
}

/** Also for errors that carry a code without being a `ClusterError` (ENOSPC, MALFORMED_ID …). */
export function toErrorRecord(error: unknown): ErrorRecord {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'INTERNAL';
  const blame = error instanceof ClusterError ? error.blame : undefined;
  return { message_type: 'error', code, message, ...(blame && { blame }) };
}

export function isErrorRecord(value: unknown): value is ErrorRecord {
  return typeof value === 'object' && value !== null && 'message_type' in value && value.message_type === 'error';
}

export function errorFrom({ code, message, blame }: ErrorRecord): ClusterError {
  return new ClusterError(code, message, { blame: blame ?? 'passing' });
}

// ── Content frames: one byte of kind, four of payload length (big-endian), the payload ──────────────────────────────

const KINDS = { start: 1, data: 2, end: 3, unavailable: 4, error: 5 } as const;
const HEADER_BYTES = 5;
const BLOB_BYTES = 32;
/** `data` is the largest payload; the others are an id and a size, or a sentence. */
const PAYLOAD_BYTES_MAX = CONTENT_DATA_BYTES_MAX;

function frameOf(kind: number, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  frame.writeUInt8(kind, 0);
  frame.writeUInt32BE(payload.length, 1);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

/** One or, for data above `CONTENT_DATA_BYTES_MAX`, several frames. */
export function* encodeContentFrame(frame: ContentFrame | ErrorRecord): Iterable<Buffer> {
  if ('message_type' in frame) {
    yield frameOf(KINDS.error, Buffer.from(toJson(frame)));
    return;
  }
  switch (frame.kind) {
    case 'start': {
      const payload = Buffer.alloc(BLOB_BYTES + 8);
      payload.set(bytesOf(frame.blob));
      payload.writeBigUInt64BE(BigInt(frame.bytes), BLOB_BYTES);
      yield frameOf(KINDS.start, payload);
      return;
    }
    case 'data':
      for (let at = 0; at < frame.data.length; at += CONTENT_DATA_BYTES_MAX) {
        yield frameOf(KINDS.data, frame.data.subarray(at, at + CONTENT_DATA_BYTES_MAX));
      }
      return;
    case 'end':
      yield frameOf(KINDS.end, Buffer.alloc(0));
      return;
    case 'unavailable':
      yield frameOf(KINDS.unavailable, Buffer.from(toJson(frame)));
      return;
  }
}

/** @throws ClusterError what an error frame says, or CONTROL_PROTOCOL when the bytes are no frames */
export async function* decodeContentFrames(chunks: AsyncIterable<Uint8Array>): AsyncIterable<ContentFrame> {
  // Joined only when a whole frame is there, so that each byte is copied once however the stream is cut.
  let pieces: Uint8Array[] = [];
  let bytes = 0;
  let wantedBytes = HEADER_BYTES;
  for await (const chunk of chunks) {
    pieces.push(chunk);
    bytes += chunk.length;
    if (bytes < wantedBytes) continue;
    let rest = joined(pieces);
    for (;;) {
      wantedBytes = HEADER_BYTES;
      if (rest.length < wantedBytes) break;
      const payloadBytes = rest.readUInt32BE(1);
      if (payloadBytes > PAYLOAD_BYTES_MAX) throw protocolError(`a frame of ${payloadBytes} bytes`);
      wantedBytes += payloadBytes;
      if (rest.length < wantedBytes) break;
      yield contentFrameFrom(rest.readUInt8(0), rest.subarray(HEADER_BYTES, wantedBytes));
      rest = rest.subarray(wantedBytes);
    }
    pieces = rest.length === 0 ? [] : [rest];
    bytes = rest.length;
  }
  if (bytes > 0) throw protocolError('a frame that breaks off');
}

function joined(pieces: readonly Uint8Array[]): Buffer {
  const [first] = pieces;
  if (pieces.length !== 1 || first === undefined) return Buffer.concat(pieces);
  return Buffer.from(first.buffer, first.byteOffset, first.byteLength);
}

function contentFrameFrom(kind: number, payload: Buffer): ContentFrame {
  switch (kind) {
    case KINDS.start:
      if (payload.length !== BLOB_BYTES + 8) break;
      return {
        kind: 'start',
        blob: parseBlobId(hexOf(payload.subarray(0, BLOB_BYTES))),
        bytes: Number(payload.readBigUInt64BE(BLOB_BYTES)),
      };
    case KINDS.data:
      return { kind: 'data', data: payload };
    case KINDS.end:
      return { kind: 'end' };
    case KINDS.unavailable:
      return fromJson(payload.toString()) as ContentFrame;
    case KINDS.error:
      throw errorFrom(fromJson(payload.toString()) as ErrorRecord);
  }
  throw protocolError(`a frame of kind ${kind}`);
}

export function protocolError(what: string): ClusterError {
  return new ClusterError(
    'CONTROL_PROTOCOL',
    `the service sent ${what}: it is probably of another version. Restart it ('cluster up') from the same installation.`,
    { blame: 'passing' },
  );
}
