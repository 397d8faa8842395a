/** Hash: both back ends make the published vectors, in one piece and in any pieces, and end like each other. */
import test from 'ava';
import fc from 'fast-check';
import { EMPTY_BLOB, hash, hasherName } from '../../src/core/hash.js';
import { nativeBackend, wasmBackend } from '../../src/core/hash-backends.js';
import { hexOf } from '../../src/core/ids.js';

/** Digests in a row: at 330 bytes each, which is what they took, three times what is allowed to remain. */
const DIGESTS = 300_000;
const KEPT_BYTES_MAX = 32 * 1024 * 1024;

/** BLAKE3's own test vectors: bytes 0 to 250 again and again, of this length. */
const VECTORS: readonly (readonly [number, string])[] = [
  [0, EMPTY_BLOB],
  [1, '2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213'],
  [1023, '10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11'],
  [1024, '42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7'],
  [2048, 'e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a'],
  [102400, 'bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085'],
];
const pattern = (bytes: number): Uint8Array => Uint8Array.from({ length: bytes }, (_, i) => i % 251);

const [wasm, native] = [await wasmBackend(), await nativeBackend()];
const backends = native === undefined ? [wasm] : [wasm, native];

// First of all: memory that other tests have given back would hide what remains.
for (const { name, hash: oneShot } of backends) {
  test(`${name}: digests leave nothing behind while the thread's loop does not turn`, t => {
    const bytes = pattern(100);
    for (let n = 0; n < DIGESTS / 10; n += 1) oneShot(bytes);
    const beforeBytes = process.memoryUsage.rss();
    for (let n = 0; n < DIGESTS; n += 1) oneShot(bytes);
    t.true(process.memoryUsage.rss() - beforeBytes < KEPT_BYTES_MAX);
  });
}

test('what is used here is the native back end where it loads', t => {
  t.is(hasherName, native === undefined ? 'wasm' : 'native');
  t.is(hexOf(hash(new Uint8Array())), EMPTY_BLOB);
});

for (const { name, hash: oneShot, createHasher } of backends) {
  test(`${name}: BLAKE3's own vectors`, t => {
    for (const [bytes, digest] of VECTORS) {
      t.is(hexOf(oneShot(pattern(bytes))), digest);
      const hasher = createHasher();
      hasher.update(pattern(bytes));
      t.is(hexOf(hasher.digest()), digest);
    }
  });

  test(`${name}: bytes in pieces hash like bytes at once, also where a hasher was given up in the middle before`, t => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200_000, size: 'max' }), { maxLength: 6 }), pieces => {
        const abandoned = createHasher();
        abandoned.update(pattern(70_000));
        abandoned.dispose();
        abandoned.dispose();
        const hasher = createHasher();
        for (const piece of pieces) hasher.update(piece);
        t.is(hexOf(hasher.digest()), hexOf(oneShot(Buffer.concat(pieces))));
      }),
      { numRuns: 30 },
    );
  });

  test(`${name}: a hasher that was asked takes nothing more`, t => {
    const hasher = createHasher();
    hasher.update(pattern(10));
    hasher.digest();
    t.throws(() => hasher.digest());
    t.throws(() => hasher.update(pattern(1)));
  });
}
