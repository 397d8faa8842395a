/**
 * BLAKE3-256: the one hash of this program. A blob's hash is plain, so that `b3sum` verifies it.
 *
 * blake3-wasm 2.1.5 is slower when it is fed more than 64 KiB at once, and its one-shot keyed functions leak; so everything
 * goes through `hash` for what is in memory and `createHasher` for streams.
 */
import blake3 from 'blake3-wasm';
import { hexOf } from './ids.js';

/** Above this much at once the WASM's own copy of the input falls out of the processor's cache. */
const HASH_FEED_BYTES = 64 * 1024;

export interface Hasher {
  update(bytes: Uint8Array): void;
  /** 32 bytes. A hasher that was asked once is spent; one that will never be asked must be `dispose`d of. */
  digest(): Uint8Array;
  /** Frees the WASM memory of a hasher that will not be asked. */
  dispose(): void;
}

export function createHasher(): Hasher {
  const inner = blake3.createHash();
  return {
    update(bytes) {
      for (let at = 0; at < bytes.length; at += HASH_FEED_BYTES) inner.update(bytes.subarray(at, at + HASH_FEED_BYTES));
    },
    digest: () => new Uint8Array(inner.digest()),
    dispose: () => inner.dispose(),
  };
}

/** BLAKE3-256 of bytes that are in memory: 32 bytes. */
export function hash(bytes: Uint8Array): Uint8Array {
  // In one call while it is small: a fifth of a hasher's cost, and without the leak of its keyed sisters.
  if (bytes.length <= HASH_FEED_BYTES) {
    const digest = blake3.hash(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    // A string only where an encoding was asked for, which its type does not say.
    return new Uint8Array(digest as Buffer);
  }
  const hasher = createHasher();
  hasher.update(bytes);
  return hasher.digest();
}

export const hashHex = (bytes: Uint8Array): string => hexOf(hash(bytes));

/** BLAKE3 of no bytes: the blob of every empty file. It is never stored, sent or counted: everybody has it. */
export const EMPTY_BLOB = 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262';
