/**
 * Possession: the proof that a host has a parcel's bytes on its disk now, made for one question and of no use for another.
 *
 *   BLAKE3(nonce ‖ holder id ‖ bytes)     bytes: the non-empty blobs in record order, each preceded by its length as a
 *                                         64-bit big-endian number
 *
 * The nonce makes it fresh, the holder's id makes it that holder's own. Whoever asks has the same bytes and computes what
 * must come. It does not show that the holder did not fetch the bytes from a third host just now.
 *
 * Fed by whoever reads the disk: the daemon's stores, the simulator's. See protocols/drop/drop.md.
 */
import { createHasher } from './hash.js';
import { bytesOf, type HostId, hexOf, type Nonce, type Possession } from './ids.js';

export interface PossessionHasher {
  /** Before each blob's bytes: how many there are. */
  blob(sizeBytes: number): void;
  update(bytes: Uint8Array): void;
  /** Once, after the last blob. */
  digest(): Possession;
  /** Frees a hasher that will not be asked. */
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
