/**
 * Framed stream: small protobuf messages over one libp2p stream, each bounded in size and in time. A peer's faults
 * become a ClusterError with a code, never a bare library error.
 */
import type { Stream } from '@libp2p/interface';
import { pbStream } from '@libp2p/utils';
import { ClusterError } from '../core/fault.js';
import { abortWith } from '../platform/abort-with.js';

/** A message as protons generates it. */
interface MessageType<T> {
  encode(message: Partial<T>): Uint8Array;
  decode(bytes: Uint8Array): T;
}

export interface FramedStream {
  /** @throws ClusterError STREAM_BROKEN (passing) */
  write<T>(type: MessageType<T>, message: T): Promise<void>;
  /** @throws ClusterError STREAM_BROKEN (passing), BAD_FRAME (peer) */
  read<T>(type: MessageType<T>, options?: { readonly withinMs?: number }): Promise<T>;
}

/** @param bytesMax the limit for one message from the peer. `signal` bounds the whole exchange. */
export function framed(
  stream: Stream,
  { bytesMax, signal }: { readonly bytesMax: number; readonly signal: AbortSignal },
): FramedStream {
  const pb = pbStream(stream, { maxDataLength: bytesMax, maxBufferSize: bytesMax + 1024 * 1024 });
  const broken = (cause: unknown) =>
    new ClusterError('STREAM_BROKEN', `the exchange with a peer broke off (${stream.protocol})`, {
      blame: 'passing',
      cause,
    });
  const raw = {
    encode: (bytes: Uint8Array) => bytes,
    decode: (bytes: { subarray(): Uint8Array } | Uint8Array) => bytes.subarray(),
  };
  return {
    async write(type, message) {
      try {
        await pb.write(type.encode(message), raw, { signal });
      } catch (cause) {
        throw broken(cause);
      }
    },
    async read(type, { withinMs } = {}) {
      let bytes: Uint8Array;
      using limit = withinMs === undefined ? undefined : within(withinMs, signal);
      try {
        bytes = await pb.read(raw, { signal: limit?.signal ?? signal });
      } catch (cause) {
        throw broken(cause);
      }
      try {
        return type.decode(bytes);
      } catch (cause) {
        throw badFrame(`a message of ${bytes.length} bytes that cannot be read (${stream.protocol})`, cause);
      }
    },
  };
}

export interface Within extends Disposable {
  /** Fires when the time is up, or when the other one does. */
  readonly signal: AbortSignal;
}

/** At most this long, or until `signal` fires; its listener is removed when the waiting scope ends. */
export function within(ms: number, signal?: AbortSignal): Within {
  // Not AbortSignal.any and AbortSignal.timeout: on Node 20.20 the two together are garbage-collected while somebody
  // still listens (tried), and then the timeout never fires.
  const controller = new AbortController();
  const undo = abortWith(controller, [signal]);
  const timer = setTimeout(() => controller.abort(new Error(`not done within ${ms / 1000} s`)), ms).unref();
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      undo();
      clearTimeout(timer);
    },
  };
}

export function badFrame(what: string, cause?: unknown): ClusterError {
  return new ClusterError('BAD_FRAME', `a peer sent ${what}`, { blame: 'peer', cause });
}
