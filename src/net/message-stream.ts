/**
 * Message stream: length-prefixed messages of one kind over a stream, with the pace of bulk-stream.ts and a limit on each.
 */
import type { Stream } from '@libp2p/interface';
import { decode, encode } from 'it-length-prefixed';
import { pipe } from 'it-pipe';
import { Uint8ArrayList } from 'uint8arraylist';
import { ClusterError } from '../core/fault.js';
import { type BulkOptions, pausingSource, send } from './bulk-stream.js';
import { malformed, reading } from './malformed.js';
import type { WireCodec } from './wire-codec.js';

/** A request is one message that comes at once: nothing of it for so long, in ms, is a peer that has hung up. */
export const REQUEST_STALL_MS = 10_000;

export interface MessageOptions extends BulkOptions {
  /** For errors: which message of which protocol. */
  readonly what: string;
  /** Bytes of one message when encoded. More is malformed. */
  readonly bytesMax: number;
}

/** @throws as `send` of bulk-stream.ts */
export async function writeMessage<T>(
  stream: Stream,
  codec: WireCodec<T>,
  message: T,
  options: BulkOptions,
): Promise<void> {
  await send(stream, encode.single(codec.encode(message)), options);
}

/** Each small message would cost a frame of yamux and one of noise: they are sent together from this size on. */
const BATCH_BYTES = 64 * 1024;

/** Sends messages when there are enough of them, or at `flush`. */
export class MessageBatch<T> {
  readonly #stream: Stream;
  readonly #codec: WireCodec<T>;
  readonly #options: BulkOptions;
  #waiting = new Uint8ArrayList();

  constructor(stream: Stream, codec: WireCodec<T>, options: BulkOptions) {
    this.#stream = stream;
    this.#codec = codec;
    this.#options = options;
  }

  /** @throws as `send` of bulk-stream.ts */
  async write(message: T): Promise<void> {
    this.#waiting.append(encode.single(this.#codec.encode(message)));
    if (this.#waiting.byteLength >= BATCH_BYTES) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#waiting.byteLength === 0) return;
    const batch = this.#waiting;
    this.#waiting = new Uint8ArrayList();
    await send(this.#stream, batch, this.#options);
  }
}

/**
 * Yields the other side's messages until it closes its end.
 * @throws ClusterError MALFORMED_MESSAGE (peer), STREAM_BROKEN, STREAM_STALLED (passing)
 */
export async function* readMessages<T>(
  stream: Stream,
  codec: WireCodec<T>,
  { what, bytesMax, ...bulk }: MessageOptions,
): AsyncGenerator<T, void, undefined> {
  try {
    const messages = pipe(pausingSource(stream, bulk), source => decode(source, { maxDataLength: bytesMax }));
    for await (const bytes of messages) {
      yield reading(what, () => codec.decode(bytes));
    }
  } catch (error) {
    if (error instanceof Error && LENGTH_ERRORS.has(error.name)) throw malformed(what, error);
    // It ended in the middle of a message: a peer that stops its service does that too, so nobody is to blame.
    if (error instanceof Error && error.name === 'UnexpectedEOFError') throw cutShort(what, error);
    throw error;
  }
}

/** What it-length-prefixed throws when a length is above the limit or missing. */
const LENGTH_ERRORS: ReadonlySet<string> = new Set([
  'InvalidMessageLengthError',
  'InvalidDataLengthError',
  'InvalidDataLengthLengthError',
]);

/** The other side closed its end too early. */
export function cutShort(what: string, cause?: unknown): ClusterError {
  return new ClusterError('STREAM_BROKEN', `a peer closed the stream before its ${what} was complete`, {
    blame: 'passing',
    ...(cause === undefined ? {} : { cause }),
  });
}

/**
 * Reads one message, where the protocol has exactly one: the request.
 * @throws ClusterError MALFORMED_MESSAGE (peer), STREAM_BROKEN, STREAM_STALLED (passing)
 */
export async function readMessage<T>(stream: Stream, codec: WireCodec<T>, options: MessageOptions): Promise<T> {
  for await (const message of readMessages(stream, codec, options)) return message;
  throw cutShort(options.what);
}
