/**
 * BLAKE3-256: the one hash of this program. A blob's hash is plain, so that `b3sum` verifies it.
 *
 * Two back ends make the same bytes (hash-backends.ts): a native one where its prebuilt library loads, WebAssembly
 * everywhere else. The choice is made once, at start. `CLUSTER_HASHER=wasm` in the environment avoids the native one:
 * that is the only way out if the library loads and then ends the process (on a processor that it was not built for).
 */
import { type HashBackend, type Hasher, nativeBackend, wasmBackend } from './hash-backends.js';

export type { Hasher } from './hash-backends.js';

const backend: HashBackend =
  (process.env.CLUSTER_HASHER === 'wasm' ? undefined : await nativeBackend()) ?? (await wasmBackend());

/** The back end in use, for people. */
export const hasherName = backend.name;

export const createHasher = (): Hasher => backend.createHasher();

/** BLAKE3-256 of bytes in memory: 32 bytes. */
export const hash = (bytes: Uint8Array): Uint8Array => backend.hash(bytes);

export const hashHex = (bytes: Uint8Array): string => backend.hashHex(bytes);

/** BLAKE3 of no bytes: the blob of every empty file. It is never stored, sent or counted, because everybody has it. */
export const EMPTY_BLOB = 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262';
