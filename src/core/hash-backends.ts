/**
 * Hash back ends: BLAKE3 in WebAssembly, which runs everywhere, and native, which is 4 to 8 times as fast and has
 * prebuilt libraries for Linux, macOS and FreeBSD on 64 bits, arm too. They are tested against the same vectors.
 */
import { hexOf } from './ids.js';

export interface Hasher {
  update(bytes: Uint8Array): void;
  /** 32 bytes. A hasher is used up by this call; one that will never be asked for a digest must be `dispose`d of. */
  digest(): Uint8Array;
  /** Frees a hasher whose digest is not needed. */
  dispose(): void;
}

export interface HashBackend {
  readonly name: 'native' | 'wasm';
  createHasher(): Hasher;
  hash(bytes: Uint8Array): Uint8Array;
  /** The same as text, which the native back end makes more cheaply. */
  hashHex(bytes: Uint8Array): string;
}

/** For larger inputs at once, the WASM module's own copy no longer fits the processor's cache. */
const WASM_FEED_BYTES = 64 * 1024;

/** blake3-wasm 2.1.5. Its one-shot keyed functions leak 1.9 kB a call, so none of them is used. */
export async function wasmBackend(): Promise<HashBackend> {
  // Loaded only where it is needed, because each thread compiles it again.
  const { default: blake3 } = await import('blake3-wasm');
  const createHasher = (): Hasher => {
    const inner = blake3.createHash();
    return {
      update(bytes) {
        for (let at = 0; at < bytes.length; at += WASM_FEED_BYTES)
          inner.update(bytes.subarray(at, at + WASM_FEED_BYTES));
      },
      digest: () => new Uint8Array(inner.digest()),
      dispose: () => inner.dispose(),
    };
  };
  const hash = (bytes: Uint8Array): Uint8Array => {
    // Small inputs in one call, at a fifth of a hasher's cost.
    if (bytes.length <= WASM_FEED_BYTES) {
      const digest = blake3.hash(asBuffer(bytes));
      // It is a string only when an encoding was asked for, which the type does not say.
      return new Uint8Array(digest as Buffer);
    }
    const hasher = createHasher();
    hasher.update(bytes);
    return hasher.digest();
  };
  return { name: 'wasm', createHasher, hash, hashHex: bytes => hexOf(hash(bytes)) };
}

/** Finished hashers kept for reuse: making a native one costs as much as hashing 16 KiB. 2 kB each. */
const SPARE_HASHERS_MAX = 64;

/** Undefined when no library is installed for this system, or it cannot be loaded. */
export async function nativeBackend(): Promise<HashBackend | undefined> {
  let library: typeof import('@napi-rs/blake-hash');
  try {
    // Optional: without it the other back end gives the same results, only slower.
    library = await import('@napi-rs/blake-hash');
  } catch {
    return undefined;
  }
  const { Blake3Hasher } = library;
  const oneShot = new Blake3Hasher();
  const fed = (bytes: Uint8Array): typeof oneShot => {
    oneShot.reset();
    oneShot.update(asBuffer(bytes));
    return oneShot;
  };
  const spare: InstanceType<typeof Blake3Hasher>[] = [];
  return {
    name: 'native',
    createHasher() {
      const inner = spare.pop() ?? new Blake3Hasher();
      const giveBack = (): void => {
        inner.reset();
        if (spare.length < SPARE_HASHERS_MAX) spare.push(inner);
      };
      let isOpen = true;
      return {
        update(bytes) {
          if (!isOpen) throw new Error('a hasher is fed after its digest');
          inner.update(asBuffer(bytes));
        },
        digest() {
          if (!isOpen) throw new Error('a hasher is asked twice for its digest');
          isOpen = false;
          const digest = digestOf(inner);
          giveBack();
          return digest;
        },
        dispose() {
          if (isOpen) giveBack();
          isOpen = false;
        },
      };
    },
    hash: bytes => digestOf(fed(bytes)),
    hashHex: bytes => fed(bytes).digest('hex'),
  };
}

/** Both libraries demand a Buffer; this shares the memory. */
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

const digestBytes = Buffer.alloc(32);

/**
 * Via the digest's text, because each digest that the library returns as bytes is an allocation of its own, 330 bytes
 * in all, freed only when its thread's event loop turns. During a scan it does not turn: memory grew by 350 bytes with
 * each file.
 */
function digestOf(hasher: { digest(format: 'hex'): string }): Uint8Array {
  digestBytes.write(hasher.digest('hex'), 'hex');
  return new Uint8Array(digestBytes);
}
