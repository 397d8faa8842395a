import test, { type ExecutionContext } from 'ava';
import { encode } from 'cborg';
import fc from 'fast-check';
import {
  type Entry,
  encodeEntry,
  entryBytesBound,
  entryFields,
  entryFrom,
  sameEntry,
} from '../../src/catalog/entry.js';
import { decodeHead, encodeHead, headHash, verifyHead } from '../../src/catalog/head.js';
import { MalformedObject } from '../../src/catalog/malformed-object.js';
import { decodePage, encodePage, PAGE_BYTES_MAX, PAGE_REFS_MAX } from '../../src/catalog/page.js';
import { comparePaths, isAtOrUnder, isEntryPath } from '../../src/catalog/path-order.js';
import {
  decodeRecord,
  encodeRecord,
  parcelRefOf,
  RECORD_BYTES_MAX,
  RECORD_ENTRIES_MAX,
  RECORD_HEAD_BYTES_MAX,
  recordBlobs,
} from '../../src/catalog/record.js';
import { BadSignature } from '../../src/catalog/sealed-object.js';
import {
  decodeSnapshot,
  encodeSnapshot,
  SNAPSHOT_PAGES_MAX,
  type Snapshot,
  type SnapshotId,
  verifySnapshot,
} from '../../src/catalog/snapshot.js';
import { TIME_MS_MAX } from '../../src/core/day.js';
import { EMPTY_BLOB } from '../../src/core/hash.js';
import type { BlobId, ObjectId } from '../../src/core/ids.js';
import { generateKeyPair, signerFromSeed } from '../../src/platform/ed25519.js';
import { OBJECT_BYTES_MAX } from '../../src/store/object-folder.js';
import {
  arbitraryEntry,
  arbitraryHead,
  arbitraryPage,
  arbitraryPath,
  arbitraryRecord,
  arbitrarySnapshot,
} from './arbitraries.js';
import { BARE_SNAPSHOT } from './bare-snapshot.js';

const { publicKey, seed } = generateKeyPair();
const signer = signerFromSeed(seed);

const aFile: Entry = {
  path: Buffer.from('a'),
  kind: 'file',
  mode: 0o644,
  uid: 1000,
  gid: 1000,
  user: 'ann',
  group: 'ann',
  mtimeNs: 1_700_000_000_123_456_789n,
  size: 5,
  blob: '11'.repeat(32) as BlobId,
  target: undefined,
  link: undefined,
  device: 0n,
  xattrs: [],
  stale: false,
  mount: false,
};
const source = `${'ab'.repeat(16)}/photos` as Parameters<typeof encodeRecord>[0]['source'];
const key = '00'.repeat(16) as Parameters<typeof encodeRecord>[0]['key'];
const aPage = 'ab'.repeat(32) as ObjectId;
const numbered = (index: number): Entry => ({ ...aFile, path: Buffer.from(String(index).padStart(5, '0')) });

function isUnreadable(t: ExecutionContext, make: () => unknown, what: RegExp): void {
  const error = t.throws(make, { message: what });
  t.regex(error?.message ?? '', /^bug: nobody could read the .*; nothing was stored$/);
  t.true(error?.cause instanceof MalformedObject);
}

test('records, pages, snapshots and heads come back from their bytes', t => {
  fc.assert(fc.property(arbitraryRecord, record => void t.deepEqual(decodeRecord(encodeRecord(record)), record)));
  fc.assert(fc.property(arbitraryPage, page => void t.deepEqual(decodePage(encodePage(page)), page)));
  fc.assert(
    fc.property(
      arbitrarySnapshot,
      snapshot => void t.deepEqual(verifySnapshot(encodeSnapshot(snapshot, signer), publicKey), snapshot),
    ),
  );
  fc.assert(
    fc.property(arbitraryHead, head => void t.deepEqual(verifyHead(encodeHead(head, signer), publicKey), head)),
  );
});

test('a record is the canonical encoding of one plain array', t => {
  fc.assert(
    fc.property(arbitraryRecord, record => {
      const [origin, name] = record.source.split('/');
      const plain = [
        'scatterhoard/record/1',
        Buffer.from(origin ?? '', 'hex'),
        name,
        Buffer.from(record.key, 'hex'),
        record.entries.map(entryFields),
      ];
      t.deepEqual(Buffer.from(encodeRecord(record)), Buffer.from(encode(plain)));
    }),
  );
});

test('whatever was done to the bytes, decoding throws the named error or nothing, and soon', t => {
  const decoders = [decodeRecord, decodePage, decodeSnapshot, decodeHead];
  const samples = fc.oneof(
    arbitraryRecord.map(encodeRecord),
    arbitraryPage.map(encodePage),
    arbitrarySnapshot.map(snapshot => encodeSnapshot(snapshot, signer)),
    arbitraryHead.map(head => encodeHead(head, signer)),
    fc.uint8Array({ maxLength: 200 }),
  );
  const edits = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 8 });
  const startMs = performance.now();
  fc.assert(
    fc.property(samples, edits, fc.nat(), (bytes, changes, cut) => {
      const mutated = Buffer.from(bytes);
      for (const [at, value] of changes) if (mutated.length > 0) mutated[at % mutated.length] = value;
      const torn = cut % 4 === 0 ? mutated.subarray(0, cut % (mutated.length + 1)) : mutated;
      for (const decoder of decoders) {
        try {
          decoder(torn);
        } catch (error) {
          if (!(error instanceof MalformedObject)) throw error;
        }
      }
    }),
    { numRuns: 2000 },
  );
  t.true(performance.now() - startMs < 20_000);
});

test('nested arrays without end, huge declared lengths and oversized input are malformed, not a crash', t => {
  const nested = Buffer.alloc(RECORD_BYTES_MAX, 0x81);
  const declared = Buffer.from('9bffffffffffffffff', 'hex');
  const bytes = Buffer.from('5bffffffffffffffff00', 'hex');
  for (const input of [nested, declared, bytes, Buffer.alloc(0), Buffer.alloc(2 * 1024 * 1024)]) {
    for (const decoder of [decodeRecord, decodePage, decodeSnapshot, decodeHead]) {
      t.throws(() => decoder(input), { instanceOf: MalformedObject });
    }
  }
});

test('a record has at most 512 entries', t => {
  const entries = Array.from({ length: RECORD_ENTRIES_MAX + 1 }, (_, index) => numbered(index));
  t.is(decodeRecord(encodeRecord({ source, key, entries: entries.slice(1) })).entries.length, RECORD_ENTRIES_MAX);
  t.throws(() => decodeRecord(encodeRecord({ source, key, entries })), {
    instanceOf: MalformedObject,
    message: /513 items/,
  });
  t.throws(() => decodeRecord(encodeRecord({ source, key, entries: [] })), { instanceOf: MalformedObject });
});

test('a page has at most 128 references and always fits its limit of bytes', t => {
  const refs = Array.from({ length: PAGE_REFS_MAX + 1 }, (_, index) => ({
    id: Buffer.alloc(32, index).toString('hex') as never,
    key,
    bytes: Number.MAX_SAFE_INTEGER,
  }));
  const full = encodePage(refs.slice(1));
  t.true(full.length <= PAGE_BYTES_MAX);
  t.is(decodePage(full).length, PAGE_REFS_MAX);
  isUnreadable(t, () => encodePage(refs), /the page from parcel 0000/);
});

test('a snapshot has at most 16384 pages, and with as many it fits into an object', t => {
  const pages = Array.from({ length: SNAPSHOT_PAGES_MAX + 1 }, (_, n) => n.toString(16).padStart(64, '0') as ObjectId);
  const sealed = (some: readonly ObjectId[]) => encodeSnapshot({ ...BARE_SNAPSHOT, source, pages: some }, signer);
  const full = sealed(pages.slice(1));
  t.true(full.length <= OBJECT_BYTES_MAX);
  t.is(verifySnapshot(full, publicKey).pages.length, SNAPSHOT_PAGES_MAX);
  isUnreadable(t, () => sealed(pages), /the snapshot of abab/);
});

test('what no host could read is a bug of whoever made it, which names it', t => {
  const full = { ...BARE_SNAPSHOT, source, files: 1, bytes: Number.MAX_SAFE_INTEGER, pages: [aPage] };
  t.is(decodeSnapshot(encodeSnapshot(full, signer)).bytes, Number.MAX_SAFE_INTEGER);
  isUnreadable(t, () => encodeSnapshot({ ...full, bytes: 2 ** 53 }, signer), /the snapshot of abab.*\/photos/);
  const listed = { id: aPage, timeMs: 1, complete: true, firstSeq: 1 };
  const head = { source, seq: 7, previous: undefined, snapshots: [listed, listed] };
  isUnreadable(t, () => encodeHead(head, signer), /the head 7 of abab.*\/photos/);
  isUnreadable(t, () => encodePage([]), /the page/);
});

test('no entry is longer than its bound, and no head than its own', t => {
  fc.assert(
    fc.property(arbitraryEntry, entry => {
      t.true(encodeEntry(entry).length <= entryBytesBound(entry));
      const alone = encodeRecord({
        source: `${'ab'.repeat(16)}/${'x'.repeat(63)}` as typeof source,
        key,
        entries: [entry],
      });
      t.true(alone.length <= RECORD_HEAD_BYTES_MAX + entryBytesBound(entry));
    }),
  );
});

test('entries out of path order, or one path twice, are malformed', t => {
  const [a, b] = [numbered(1), numbered(2)];
  for (const entries of [
    [b, a],
    [a, a],
  ]) {
    t.throws(() => decodeRecord(encodeRecord({ source, key, entries })), {
      instanceOf: MalformedObject,
      message: /path order/,
    });
  }
});

test('a path that could lead out of a restore’s target is malformed', t => {
  for (const path of ['/etc/passwd', '..', '../x', 'a/../b', 'a//b', 'a/', './a', 'a/.', 'a\0b']) {
    t.false(isEntryPath(Buffer.from(path)), path);
    t.throws(() => entryFrom(entryFields({ ...aFile, path: Buffer.from(path) })), { instanceOf: MalformedObject });
  }
  for (const path of ['', '...', '..a', 'a/.b', 'a/..b', ' ', '\n']) t.true(isEntryPath(Buffer.from(path)), path);
});

test('fields that do not fit the kind are malformed', t => {
  const wrong: Partial<Entry>[] = [
    { kind: 'directory' },
    { blob: undefined },
    { size: 0 },
    { blob: EMPTY_BLOB as BlobId },
    { target: Buffer.from('x') },
    { kind: 'symlink', blob: undefined, size: 0 },
    { device: 1n },
    { mode: 0o10000 },
    { uid: -1 },
    { size: 1.5 },
    { mtimeNs: 2n ** 63n },
    { mount: true },
    { path: Buffer.alloc(0) },
  ];
  for (const change of wrong) {
    t.throws(
      () => entryFrom(entryFields({ ...aFile, ...change })),
      { instanceOf: MalformedObject },
      JSON.stringify(Object.keys(change)),
    );
    t.throws(() => encodeEntry({ ...aFile, ...change }), { message: /^bug: nobody could read the entry/ });
  }
});

test('the blobs of a record are its non-empty ones, each once, in the order of its entries', t => {
  const [one, two] = ['22'.repeat(32) as BlobId, '11'.repeat(32) as BlobId];
  const entries: Entry[] = [
    { ...numbered(1), blob: one, size: 7 },
    { ...numbered(2), blob: EMPTY_BLOB as BlobId, size: 0 },
    { ...numbered(3), blob: two, size: 4 },
    { ...numbered(4), blob: one, size: 7 },
  ];
  const record = encodeRecord({ source, key, entries });
  t.deepEqual(recordBlobs(record), [
    { blob: one, bytes: 7 },
    { blob: two, bytes: 4 },
  ]);
  t.is(parcelRefOf(record).bytes, 11);
  const [first, , third] = entries;
  const lying = encodeRecord({ source, key, entries: [first ?? aFile, { ...(third ?? aFile), blob: one, size: 8 }] });
  t.throws(() => recordBlobs(lying), { instanceOf: MalformedObject, message: /two sizes/ });
});

test('mtimes less than a microsecond apart are the same, a microsecond is a change', t => {
  t.true(sameEntry(aFile, { ...aFile, mtimeNs: aFile.mtimeNs + 999n }));
  t.true(sameEntry(aFile, { ...aFile, mtimeNs: aFile.mtimeNs - 999n }));
  t.false(sameEntry(aFile, { ...aFile, mtimeNs: aFile.mtimeNs + 1000n }));
  t.false(sameEntry(aFile, { ...aFile, mode: 0o600 }));
  t.false(sameEntry(aFile, { ...aFile, stale: true }));
});

test('paths order by bytes with the slash lowest: a folder, its content, then its neighbours', t => {
  const names = ['', 'a', 'a/b', 'a/b/c', 'a/\xff', 'a\x01', 'a ', 'a-', 'a.b', 'a0', 'b'];
  const shuffled = [...names].reverse().map(name => Buffer.from(name, 'latin1'));
  t.deepEqual(
    shuffled.sort(comparePaths).map(path => path.toString('latin1')),
    names,
  );
  fc.assert(
    fc.property(arbitraryPath, arbitraryPath, arbitraryPath, (a, b, c) => {
      t.is(Math.sign(comparePaths(a, b)), -Math.sign(comparePaths(b, a)) + 0);
      // What lies under a folder is one unbroken stretch of the order.
      const child = Buffer.concat([a, Buffer.from('/'), b]);
      t.true(isAtOrUnder(child, a));
      if (comparePaths(a, c) < 0 && comparePaths(c, child) < 0) t.true(isAtOrUnder(c, a));
    }),
  );
});

test('a snapshot or head changed in one bit, or signed by another, is refused', t => {
  const stranger = signerFromSeed(generateKeyPair().seed);
  fc.assert(
    fc.property(arbitraryHead, arbitrarySnapshot, fc.nat(), (head, snapshot, at) => {
      for (const [sealed, open] of [
        [encodeHead(head, signer), verifyHead],
        [encodeSnapshot(snapshot, signer), verifySnapshot],
      ] as const) {
        const changed = Buffer.from(sealed);
        changed[at % changed.length] = (changed[at % changed.length] ?? 0) ^ 1;
        const error = t.throws(() => open(changed, publicKey));
        t.true(error instanceof BadSignature || error instanceof MalformedObject);
      }
      t.throws(() => verifyHead(encodeHead(head, stranger), publicKey), { instanceOf: BadSignature });
      t.throws(() => verifySnapshot(encodeSnapshot(snapshot, stranger), publicKey), { instanceOf: BadSignature });
    }),
    { numRuns: 40 },
  );
});

test('a head commits to its bytes: another list has another hash', t => {
  fc.assert(
    fc.property(arbitraryHead, head => {
      const sealed = encodeHead(head, signer);
      t.is(headHash(sealed), headHash(Buffer.from(sealed)));
      t.not(
        headHash(sealed),
        headHash(encodeHead({ ...head, unacceptedSinceMs: (head.unacceptedSinceMs ?? 0) + 1 }, signer)),
      );
    }),
    { numRuns: 20 },
  );
});

test('a time that no calendar has is malformed, wherever it stands', t => {
  const [snapshot] = fc.sample(arbitrarySnapshot, 1) as [Snapshot];
  t.notThrows(() => decodeSnapshot(encodeSnapshot({ ...snapshot, timeMs: TIME_MS_MAX }, signer)));
  const listed = { id: 'ab'.repeat(32) as SnapshotId, timeMs: 1, complete: true, firstSeq: 1 };
  const head = { source: snapshot.source, seq: 1, previous: undefined, snapshots: [listed] };
  t.notThrows(() => decodeHead(encodeHead(head, signer)));
  const later = TIME_MS_MAX + 1;
  for (const encoding of [
    () => encodeSnapshot({ ...snapshot, timeMs: later }, signer),
    () => encodeHead({ ...head, snapshots: [{ ...listed, timeMs: later }] }, signer),
    () => encodeHead({ ...head, unacceptedSinceMs: later }, signer),
  ])
    isUnreadable(t, encoding, /the (snapshot|head 1) of /);
});
