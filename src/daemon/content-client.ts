/**
 * Content client: the command's end of a `content` call, the only call with a large answer.
 *
 * HTTP/1.0 is written to the socket by hand, because Node's client reads into fresh memory each time, 64 KiB at a
 * time, and reports all of it to the garbage collector. Here every read fills the same buffer, and the next read is
 * made only when the caller has finished with the last one. So a slow command holds up the service, with only the
 * kernel's own buffers in between. For who answers, and what else a call may throw, see control-client.ts.
 */
import { connect, type Socket } from 'node:net';
import type { ContentFrame, ContentRequest } from '../catalog/restore-content.js';
import { ContentReader } from './content-wire.js';
import {
  connectionError,
  errorFrom,
  fromJson,
  isErrorRecord,
  protocolError,
  routeOf,
  serviceGone,
  toJson,
} from './control-wire.js';

/** The most that the kernel buffers of a local socket; with what is made of it, it stays in the second-level cache. */
const READ_BYTES = 192 * 1024;
/** Status line and headers of an answer; Node's own limit for a request. */
const HEAD_BYTES_MAX = 16 * 1024;
const HEAD_END = '\r\n\r\n';

/** As `Service.content`. The data of a frame is valid until the next frame is asked for. */
export async function* contentAt(
  path: string,
  request: ContentRequest,
  signal: AbortSignal,
): AsyncGenerator<ContentFrame, void, undefined> {
  signal.throwIfAborted();
  const socket = new ChunkSocket(path);
  const abort = (): void => socket.destroy();
  signal.addEventListener('abort', abort, { once: true });
  try {
    socket.write(requestText(toJson(request)));
    const { status, rest } = await headOf(socket);
    if (status !== 200) throw await refusal(status, rest, socket);
    const reader = new ContentReader();
    for (let chunk: Buffer | undefined = rest; chunk !== undefined; chunk = await socket.next())
      yield* reader.frames(chunk);
    if (!reader.isOver) throw serviceGone(new Error('the answer breaks off'));
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', abort);
    socket.destroy();
  }
}

function requestText(body: string): string {
  const lines = [
    `POST ${routeOf('content')} HTTP/1.0`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  return lines.join('\r\n') + HEAD_END + body;
}

/** The status, and what has already come of the body. */
async function headOf(socket: ChunkSocket): Promise<{ readonly status: number; readonly rest: Buffer }> {
  let head = Buffer.alloc(0);
  for (;;) {
    const chunk = await socket.next();
    if (chunk === undefined) throw serviceGone(new Error('the answer breaks off in its head'));
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf(HEAD_END);
    if (end < 0 && head.length <= HEAD_BYTES_MAX) continue;
    const status = /^HTTP\/1\.[01] (\d{3}) /.exec(head.toString('latin1', 0, HEAD_BYTES_MAX))?.[1];
    if (end < 0 || status === undefined) throw protocolError('an answer that is not HTTP');
    return { status: Number(status), rest: head.subarray(end + HEAD_END.length) };
  }
}

async function refusal(status: number, begun: Buffer, socket: ChunkSocket): Promise<Error> {
  const body = [begun];
  for (let chunk = await socket.next(); chunk !== undefined; chunk = await socket.next()) body.push(Buffer.from(chunk));
  try {
    const answer = fromJson(Buffer.concat(body).toString());
    if (isErrorRecord(answer)) return errorFrom(answer);
  } catch {
    // Not JSON: not sent by this program, or cut off.
  }
  return protocolError(`status ${status}`);
}

/** A local socket that reads one chunk for each request. */
class ChunkSocket {
  readonly #socket: Socket;
  #chunk: Buffer | undefined;
  #isConnected = false;
  #isAtEnd = false;
  #failure: Error | undefined;
  #wake = (): void => {};

  constructor(path: string) {
    const onread = {
      buffer: Buffer.allocUnsafeSlow(READ_BYTES),
      // False: no more until `next` is called, because the next bytes would overwrite these.
      callback: (bytes: number, buffer: Uint8Array): boolean => {
        this.#chunk = Buffer.from(buffer.buffer, buffer.byteOffset, bytes);
        this.#wake();
        return false;
      },
    };
    this.#socket = connect({ path, onread });
    this.#socket.once('connect', () => {
      this.#isConnected = true;
    });
    this.#socket.once('end', () => {
      this.#isAtEnd = true;
      this.#wake();
    });
    this.#socket.once('error', error => {
      this.#failure = this.#isConnected ? serviceGone(error) : connectionError(error, path);
    });
    this.#socket.once('close', () => {
      this.#failure ??= serviceGone(new Error('the socket was closed'));
      this.#wake();
    });
  }

  write(text: string): void {
    this.#socket.write(text);
  }

  /** The next chunk; undefined at the end. The chunk after it overwrites it. */
  async next(): Promise<Buffer | undefined> {
    for (;;) {
      const chunk = this.#chunk;
      this.#chunk = undefined;
      if (chunk !== undefined) return chunk;
      if (this.#isAtEnd) return undefined;
      if (this.#failure !== undefined) throw this.#failure;
      const woken = new Promise<void>(resolve => {
        this.#wake = resolve;
      });
      this.#socket.resume();
      await woken;
    }
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
