/**
 * Possession: the proof that a host has a parcel's bytes on its disk now, computed for one question and useless for any
 * other.
 *
 *   BLAKE3(nonce ‖ holder id ‖ bytes)     bytes: the non-empty blobs in record order, each preceded by its length as a
 *                                         64-bit big-endian number
 *
 * The nonce makes it fresh, the holder's id ties it to that holder. The asker has the same bytes and computes the
 * expected value. The proof does not show that the holder did not fetch the bytes from a third host just now.
 *
 * Fed by the readers of disks: the daemon's stores, the simulator's. See protocols/drop/drop.md.
 */
import { createHasher } from './hash.js';
import { bytesOf, type HostId, hexOf, type Nonce, type Possession } from './ids.js';

export interface PossessionHasher {
  /** To be called before each blob's bytes, with their number. */
  blob(sizeBytes: number): void;
  update(bytes: Uint8Array): void;
  /** To be called once, after the last blob. */
  digest(): Possession;
  /** Frees a hasher whose digest is not needed. */
  dispose(): void;
}

export function possessionHasher(nonce: Nonce, holder: HostId): PossessionHasher {
  const hasher = createHasher();
  hasher.update(bytesOf(nonce));
  hasher.update(bytesOf(holder));
  return {
    blob(sizeBytes) {
      const length = Buffer.alloc(8);
      length.writeBigUInt64BE(BigInt(sizeBytes));
      hasher.update(length);
    },
    update: bytes => hasher.update(bytes),
    digest: () => hexOf(hasher.digest()) as Possession,
    dispose: () => hasher.dispose(),
  };
}
