/** Arbitrary catalog objects for fast-check: everything that the formats admit, awkward names first. */
import fc from 'fast-check';
import type { Entry } from '../../src/catalog/entry.js';
import type { Head, ListedSnapshot } from '../../src/catalog/head.js';
import { compareListed } from '../../src/catalog/head.js';
import { comparePaths } from '../../src/catalog/path-order.js';
import type { ParcelRecord } from '../../src/catalog/record.js';
import type { Snapshot } from '../../src/catalog/snapshot.js';
import { TIME_MS_MAX } from '../../src/core/day.js';
import { EMPTY_BLOB } from '../../src/core/hash.js';
import {
  type BlobId,
  type HostId,
  hexOf,
  type Key,
  type ObjectId,
  type ParcelId,
  sourceIdOf,
} from '../../src/core/ids.js';
import type { ParcelRef } from '../../src/core/parcel.js';

const hex = (bytes: number): fc.Arbitrary<string> => fc.uint8Array({ minLength: bytes, maxLength: bytes }).map(hexOf);

export const arbitraryBytes = (maxLength: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength }).map(bytes => Buffer.from(bytes));

/** One name: any bytes but NUL and slash, and neither `.` nor `..`. */
export const arbitraryName: fc.Arbitrary<Buffer> = fc
  .oneof(
    fc.uint8Array({ minLength: 1, maxLength: 12 }).map(bytes => Buffer.from(bytes)),
    fc.constantFrom('-rf', 'a\nb', 'ü', '漢字', '\\x41', '...', 'x'.repeat(255), ' ').map(text => Buffer.from(text)),
    fc.constant(Buffer.from([0xff, 0xfe, 0x80])),
  )
  .map(name => Buffer.from(name.map(byte => (byte === 0 || byte === 0x2f ? 0x61 : byte))))
  .filter(name => name.toString('latin1') !== '.' && name.toString('latin1') !== '..');

export const arbitraryPath: fc.Arbitrary<Buffer> = fc
  .array(arbitraryName, { minLength: 1, maxLength: 5 })
  .map(names => Buffer.from(names.map(name => name.toString('latin1')).join('/'), 'latin1'));

const common = fc.record({
  path: arbitraryPath,
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  gid: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  user: fc.constantFrom('', 'ann', 'jürgen'),
  group: fc.constantFrom('', 'users'),
  mtimeNs: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  link: fc.option(hex(8), { nil: undefined }),
  xattrs: fc
    .uniqueArray(fc.tuple(arbitraryName, arbitraryBytes(20)), {
      maxLength: 3,
      selector: ([name]) => name.toString('hex'),
    })
    .map(pairs => pairs.map(([name, value]) => ({ name, value })).sort((a, b) => Buffer.compare(a.name, b.name))),
  stale: fc.boolean(),
});

const nothing = { size: 0, blob: undefined, target: undefined, device: 0n, mount: false } as const;

export const arbitraryEntry: fc.Arbitrary<Entry> = fc.oneof(
  fc.tuple(common, fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), hex(32)).map(([entry, size, blob]): Entry => {
    // One size for one blob, as in life: it is taken from the blob.
    const bytes = 1 + (Number.parseInt(blob.slice(0, 8), 16) % size);
    return { ...entry, ...nothing, kind: 'file', size: bytes, blob: blob as BlobId };
  }),
  common.map((entry): Entry => ({ ...entry, ...nothing, kind: 'file', blob: EMPTY_BLOB as BlobId })),
  fc.tuple(common, fc.boolean()).map(([entry, mount]): Entry => ({ ...entry, ...nothing, kind: 'directory', mount })),
  fc.tuple(common, fc.uint8Array({ minLength: 1, maxLength: 30 })).map(
    ([entry, target]): Entry => ({
      ...entry,
      ...nothing,
      kind: 'symlink',
      target: Buffer.from(target.map(byte => byte || 1)),
    }),
  ),
  fc
    .tuple(common, fc.constantFrom('block-device', 'char-device'), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }))
    .map(([entry, kind, device]): Entry => ({ ...entry, ...nothing, kind: kind as Entry['kind'], device })),
  common.map((entry): Entry => ({ ...entry, ...nothing, kind: 'fifo' })),
);

export const arbitrarySource = fc
  .tuple(hex(16), fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,62}$/))
  .map(([origin, name]) => sourceIdOf(origin as HostId, name));

export const arbitraryRecord: fc.Arbitrary<ParcelRecord> = fc.record({
  source: arbitrarySource,
  key: hex(16).map(key => key as Key),
  entries: fc
    .uniqueArray(arbitraryEntry, { minLength: 1, maxLength: 30, selector: entry => entry.path.toString('hex') })
    .map(entries => entries.sort((a, b) => comparePaths(a.path, b.path))),
});

export const arbitraryPage: fc.Arbitrary<readonly ParcelRef[]> = fc.uniqueArray(
  fc.record({
    id: hex(32).map(id => id as ParcelId),
    key: hex(16).map(key => key as Key),
    bytes: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
  }),
  { minLength: 1, maxLength: 128, selector: ref => ref.id },
);

const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const objectId = hex(32).map(id => id as ObjectId);

export const arbitrarySnapshot: fc.Arbitrary<Snapshot> = fc.record({
  source: arbitrarySource,
  timeMs: fc.nat({ max: TIME_MS_MAX }),
  holdDays: fc.nat({ max: 3660 }),
  stale: count,
  missed: count,
  files: count,
  bytes: count,
  device: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  recutOf: fc.option(objectId, { nil: undefined }),
  pages: fc.array(objectId, { minLength: 1, maxLength: 20 }),
});

const listed = (seq: number): fc.Arbitrary<ListedSnapshot> =>
  fc.record({ id: objectId, timeMs: fc.nat(), complete: fc.boolean(), firstSeq: fc.integer({ min: 1, max: seq }) });

export const arbitraryHead: fc.Arbitrary<Head> = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }).chain(seq =>
  fc.record(
    {
      source: arbitrarySource,
      seq: fc.constant(seq),
      previous: fc.option(hex(32), { nil: undefined }),
      snapshots: fc
        .uniqueArray(listed(seq), { maxLength: 10, selector: one => one.id })
        .map(list => list.sort(compareListed)),
      unacceptedSinceMs: fc.nat(),
    },
    { requiredKeys: ['source', 'seq', 'previous', 'snapshots'] },
  ),
);
