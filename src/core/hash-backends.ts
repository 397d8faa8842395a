/**
 * Hash back ends: BLAKE3 in WebAssembly, which runs everywhere, and native, which is 4 to 8 times as fast and has prebuilt
 * libraries for Linux, macOS and FreeBSD on 64 bits, arm too. They are tested against the same vectors.
 */
import { hexOf } from './ids.js';

export interface Hasher {
  update(bytes: Uint8Array): void;
  /** 32 bytes. A hasher that was asked once is spent; one that will never be asked must be `dispose`d of. */
  digest(): Uint8Array;
  /** Frees a hasher that will not be asked. */
  dispose(): void;
}

export interface HashBackend {
  readonly name: 'native' | 'wasm';
  createHasher(): Hasher;
  hash(bytes: Uint8Array): Uint8Array;
  /** The same as text, which for the native one is the shorter way. */
  hashHex(bytes: Uint8Array): string;
}

/** Above this much at once the WASM's own copy of the input falls out of the processor's cache. */
const WASM_FEED_BYTES = 64 * 1024;

/** blake3-wasm 2.1.5. Its one-shot keyed functions leak 1.9 kB a call: none of them is used. */
export async function wasmBackend(): Promise<HashBackend> {
  // Loaded only where it is needed: each thread would compile it once more.
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
    // In one call while it is small: a fifth of a hasher's cost.
    if (bytes.length <= WASM_FEED_BYTES) {
      const digest = blake3.hash(asBuffer(bytes));
      // A string only where an encoding was asked for, which its type does not say.
      return new Uint8Array(digest as Buffer);
    }
    const hasher = createHasher();
    hasher.update(bytes);
    return hasher.digest();
  };
  return { name: 'wasm', createHasher, hash, hashHex: bytes => hexOf(hash(bytes)) };
}

/** Hashers that are done, to be used again: making a native one costs as much as hashing 16 KiB. 2 kB each. */
const SPARE_HASHERS_MAX = 64;

/** Undefined where no library is installed for this system, or it cannot be loaded. */
export async function nativeBackend(): Promise<HashBackend | undefined> {
  let library: typeof import('@napi-rs/blake-hash');
  try {
    // Optional: without it the other back end does the same, slower.
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
          if (!isOpen) throw new Error('a hasher that was asked is fed');
          inner.update(asBuffer(bytes));
        },
        digest() {
          if (!isOpen) throw new Error('a hasher is asked twice');
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

/** Both libraries want one; the same memory. */
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);

const digestBytes = Buffer.alloc(32);

/**
 * Out of its text: each digest that the library gives as bytes is memory of its own, 330 bytes with all that hangs on it, which
 * is freed only when the loop of its thread turns. That of a scan does not before its end: it had 350 bytes more with each file.
 */
function digestOf(hasher: { digest(format: 'hex'): string }): Uint8Array {
  digestBytes.write(hasher.digest('hex'), 'hex');
  return new Uint8Array(digestBytes);
}
