import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { hashHex } from '../../src/core/hash.js';
import {
  type Epoch,
  type LogOp,
  type LogPosition,
  type LogSegment,
  logAfter,
  logStart,
} from '../../src/core/holdings-log.js';
import { type ParcelId, parseHostId, parseParcelId, parsePeerName, parseStoreId } from '../../src/core/ids.js';
import { FrameOrder } from '../../src/net/frame-order.js';
import { type IndexDatabase, openIndexDatabase } from '../../src/store/index-database.js';
import { SIGNED_EVERY_OPS } from '../../src/store/log-archive.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { blobOf } from '../helpers/test-parcels.js';

const HOST = parseHostId('a1'.repeat(16));
const STORE = parseStoreId('51'.repeat(16));
const OTHER = parseStoreId('52'.repeat(16));
const EPOCH: Epoch = { counter: 5, random: '0123456789abcdef' };

const newPath = (t: ExecutionContext): string => join(temporaryFolder(t), 'index');

function open(t: ExecutionContext, path = newPath(t)): IndexDatabase {
  const index = openIndexDatabase(path);
  t.teardown(() => index.close());
  return index;
}

const opOf = (n: number): LogOp => ({
  op: n % 3 === 2 ? 'del' : 'add',
  parcel: parseParcelId(hashHex(Buffer.from(`parcel ${n}`))),
});

/** A writer's log, in segments of any cut, with a signature that names its position. */
class Writer {
  readonly ops: LogOp[] = [];
  readonly positions: LogPosition[];

  constructor(count: number, { store = STORE, epoch = EPOCH, from = 0 } = {}) {
    this.positions = [logStart(store, epoch)];
    for (let n = 0; n < count; n++) {
      const op = opOf(from + n);
      const last = this.positions.at(-1) ?? logStart(store, epoch);
      this.ops.push(op);
      this.positions.push(logAfter(last, op));
    }
  }

  segment(from: number, to: number): LogSegment {
    const end = this.positions[to];
    if (end === undefined) throw new RangeError(`no position ${to}`);
    return { host: HOST, end, ops: this.ops.slice(from, to), signature: signatureOf(to) };
  }
}

const signatureOf = (seq: number): Uint8Array => Buffer.alloc(64, `signature at ${seq} `);

test('a log is kept segment by segment and given out again, over a restart', async t => {
  const path = newPath(t);
  const index = open(t, path);
  const writer = new Writer(9);
  for (const [from, to] of [
    [0, 4],
    [4, 5],
    [5, 9],
  ] as const)
    t.is(await index.logs.append(writer.segment(from, to)), 'appended');
  t.is(await index.logs.append(new Writer(2, { store: OTHER }).segment(0, 2)), 'appended');
  await index.close();
  const { logs } = open(t, path);
  t.deepEqual(logs.position(HOST, STORE), writer.positions[9]);
  t.deepEqual(logs.ops(HOST, STORE, 0, 100), writer.ops);
  t.deepEqual(logs.ops(HOST, STORE, 3, 4), writer.ops.slice(3, 7));
  t.deepEqual(logs.ops(HOST, STORE, 9, 4), []);
  t.is(logs.ops(HOST, OTHER, 0, 100).length, 2);
  t.deepEqual(
    [...logs.stores()].map(({ host, position }) => [host, position.store, position.seq]),
    [
      [HOST, STORE, 9],
      [HOST, OTHER, 2],
    ],
  );
});

test('what is known is known, what leaves a gap is not kept, what overlaps is kept from where it is new', async t => {
  const { logs } = open(t);
  const writer = new Writer(10);
  t.is(await logs.append(writer.segment(3, 5)), 'gap');
  t.is(logs.position(HOST, STORE), undefined);
  t.is(await logs.append(writer.segment(0, 5)), 'appended');
  t.is(await logs.append(writer.segment(0, 5)), 'known');
  t.is(await logs.append(writer.segment(1, 3)), 'known');
  t.is(await logs.append(writer.segment(6, 8)), 'gap');
  t.is(await logs.append(writer.segment(2, 8)), 'appended');
  t.deepEqual(logs.ops(HOST, STORE, 0, 100), writer.ops.slice(0, 8));
});

test('a log that does not continue ours is a fork, and ours stays', async t => {
  const { logs } = open(t);
  const writer = new Writer(6);
  const clone = new Writer(6, { from: 100 });
  await logs.append(writer.segment(0, 4));
  t.is(await logs.append(clone.segment(0, 4)), 'fork');
  t.is(await logs.append(clone.segment(4, 6)), 'fork');
  t.is(await logs.append({ ...writer.segment(4, 6), ops: clone.ops.slice(4, 6) }), 'fork');
  t.is(await logs.append({ ...writer.segment(4, 6), ops: [...writer.ops, ...writer.ops] }), 'fork');
  t.deepEqual(logs.position(HOST, STORE), writer.positions[4]);
});

test('only a greater epoch replaces a log, whole and from its beginning', async t => {
  const { logs } = open(t);
  const writer = new Writer(6);
  const later = new Writer(3, { epoch: { counter: 6, random: '0000000000000000' }, from: 50 });
  await logs.append(writer.segment(0, 6));
  t.is(await logs.append(later.segment(1, 3)), 'gap');
  t.is(
    await logs.append(new Writer(9, { epoch: { counter: 4, random: 'ffffffffffffffff' } }).segment(0, 9)),
    'old-epoch',
  );
  t.is(await logs.append(later.segment(0, 3)), 'appended');
  t.deepEqual(logs.ops(HOST, STORE, 0, 100), later.ops);
  t.is(await logs.append(writer.segment(0, 6)), 'old-epoch');
  const empty = new Writer(0, { epoch: { counter: 7, random: '0000000000000000' } });
  t.is(await logs.append(empty.segment(0, 0)), 'appended');
  t.deepEqual(logs.ops(HOST, STORE, 0, 100), []);
  t.is(logs.segment(HOST, STORE, 0, 10), undefined);
});

test('a log that is dropped is gone, and others stay', async t => {
  const { logs } = open(t);
  await logs.append(new Writer(6).segment(0, 6));
  await logs.append(new Writer(2, { store: OTHER }).segment(0, 2));
  await logs.drop(HOST, STORE);
  t.is(logs.position(HOST, STORE), undefined);
  t.deepEqual(logs.ops(HOST, STORE, 0, 100), []);
  t.is(logs.ops(HOST, OTHER, 0, 100).length, 2);
  t.is(await logs.append(new Writer(1).segment(0, 1)), 'appended');
});

test('whatever segments came, what is given out ends at a signature and leads to the end in bounded steps', async t => {
  const writer = new Writer(3_000);
  const cuts = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 40 });
  const law = fc.asyncProperty(cuts, fc.integer({ min: 1, max: 900 }), async (counts, opsMax) => {
    const { logs } = open(t);
    let seq = 0;
    for (const count of counts) {
      const to = Math.min(seq + count, 3_000);
      await logs.append(writer.segment(seq, to));
      seq = to;
    }
    const widest = Math.max(...counts) + SIGNED_EVERY_OPS;
    for (let at = 0; at < seq; ) {
      const segment = logs.segment(HOST, STORE, at, opsMax);
      if (segment === undefined) return false;
      const { end, ops, signature } = segment;
      const right =
        end.seq === at + ops.length &&
        ops.length > 0 &&
        ops.length <= Math.max(opsMax, widest) &&
        end.digest === writer.positions[end.seq]?.digest &&
        signatureOf(end.seq).every((byte, n) => signature[n] === byte);
      if (!right) return false;
      at = end.seq;
    }
    return logs.segment(HOST, STORE, seq, opsMax) === undefined;
  });
  await t.notThrowsAsync(fc.assert(law, { numRuns: 12 }));
});

test('blobs are counted up and down, each store by itself', async t => {
  const index = open(t);
  const [blobs, others] = [index.blobsOf(STORE), index.blobsOf(OTHER)];
  const [a, b] = [blobOf('a'), blobOf('bb')];
  await blobs.apply(
    [
      { blob: a, by: 1 },
      { blob: b, by: 1 },
      { blob: a, by: 1 },
    ],
    undefined,
  );
  t.deepEqual(blobs.lookup(a.blob), { refs: 2, bytes: 1 });
  t.is(others.lookup(a.blob), undefined);
  await blobs.apply(
    [
      { blob: a, by: -1 },
      { blob: b, by: -1 },
    ],
    undefined,
  );
  t.deepEqual(blobs.lookup(a.blob), { refs: 1, bytes: 1 });
  t.is(blobs.lookup(b.blob), undefined);
  await t.throwsAsync(
    blobs.apply(
      [
        { blob: a, by: -1 },
        { blob: b, by: -1 },
      ],
      undefined,
    ),
    { message: /bug/ },
  );
  t.deepEqual(blobs.lookup(a.blob), { refs: 1, bytes: 1 }, 'a change that cannot be is not half made');
});

test('the blobs of a shard come in order, however many they are', async t => {
  const blobs = open(t).blobsOf(STORE);
  const ids = Array.from({ length: 9_000 }, (_, n) => `ab${n.toString(16).padStart(62, '0')}`);
  await blobs.apply(
    ids.map(blob => ({ blob: { blob, bytes: 1 }, by: 1 as const })),
    undefined,
  );
  await blobs.apply(
    [
      { blob: { blob: 'ac'.repeat(32), bytes: 1 }, by: 1 },
      { blob: { blob: 'aa'.repeat(32), bytes: 1 }, by: 1 },
    ],
    undefined,
  );
  t.deepEqual(
    [...blobs.shard('ab')].map(({ blob }) => String(blob)),
    ids,
  );
  t.deepEqual([...blobs.shard('ff')], []);
  await blobs.clear();
  t.deepEqual([...blobs.shard('ab')], []);
});

test('boots and position are noted independently of each other', async t => {
  const blobs = open(t).blobsOf(STORE);
  t.deepEqual(blobs.note(), { boots: [] });
  await blobs.noteBoots([3, 4]);
  const { epoch, seq, digest, ...rest } = new Writer(2).positions[2] ?? logStart(STORE, EPOCH);
  await blobs.apply([], { epoch, seq, digest, ...rest });
  t.deepEqual(blobs.note(), { boots: [3, 4], position: { epoch, seq, digest } });
  await blobs.clear();
  t.deepEqual(blobs.note(), { boots: [3, 4] });
});

test('since when nobody wants a parcel is known after a restart, until it is forgotten', async t => {
  const path = newPath(t);
  const index = open(t, path);
  const [first, second] = [opOf(0), opOf(1)].map(op => ('parcel' in op ? op.parcel : undefined)) as [
    ParcelId,
    ParcelId,
  ];
  await index.unwanted.change([
    { parcel: first, sinceRunMs: 1_500.25 },
    { parcel: second, sinceRunMs: 10 * 365 * 86_400_000 },
  ]);
  await index.unwanted.change([{ parcel: first, sinceRunMs: 2_500.25 }]);
  await index.close();
  const { unwanted } = open(t, path);
  const bySince = (ranMs = Number.POSITIVE_INFINITY) => unwanted.all(ranMs).sort((a, b) => a.sinceRunMs - b.sinceRunMs);
  t.deepEqual(bySince(), [
    { parcel: first, sinceRunMs: 2_501 },
    { parcel: second, sinceRunMs: 10 * 365 * 86_400_000 },
  ]);
  t.deepEqual(bySince(9_000).at(-1), { parcel: second, sinceRunMs: 9_000 });
  for (const _ of [1, 2]) await unwanted.change([{ parcel: second, sinceRunMs: undefined }]);
  t.deepEqual(bySince(), [{ parcel: first, sinceRunMs: 2_501 }]);
});

test('which copies did not answer audits is known after a restart, until they do', async t => {
  const path = newPath(t);
  const index = open(t, path);
  const parcel = parseParcelId('77'.repeat(32));
  const [here, there] = [STORE, OTHER].map(store => ({ host: HOST, store, parcel })) as [
    { host: typeof HOST; store: typeof STORE; parcel: ParcelId },
    { host: typeof HOST; store: typeof STORE; parcel: ParcelId },
  ];
  await index.unanswered.note({ copy: here, unanswered: { questions: 1, sinceRunMs: 1_500.25 } });
  await index.unanswered.note({ copy: there, unanswered: { questions: 300, sinceRunMs: 4_000 } });
  await index.unanswered.note({ copy: here, unanswered: { questions: 2, sinceRunMs: 1_500.25 } });
  await index.close();
  const { unanswered } = open(t, path);
  t.deepEqual(unanswered.all(Number.POSITIVE_INFINITY), [
    { copy: here, unanswered: { questions: 2, sinceRunMs: 1_501 } },
    { copy: there, unanswered: { questions: 300, sinceRunMs: 4_000 } },
  ]);
  await unanswered.forget(there);
  t.deepEqual(unanswered.all(1_000), [{ copy: here, unanswered: { questions: 2, sinceRunMs: 1_000 } }]);
});

test('the last frame of each member is there after a restart, and keeps what came before it out', async t => {
  const path = newPath(t);
  const ann = parsePeerName(`12D3Koo${'A'.repeat(45)}`);
  const ben = parsePeerName(`12D3Koo${'B'.repeat(45)}`);
  const first = open(t, path);
  const heard = new FrameOrder(first.frames);
  heard.admit(ann, { boot: 3, frame: 7 });
  heard.admit(ann, { boot: 3, frame: 8 });
  heard.admit(ben, { boot: 2 ** 40, frame: 1 });
  await first.close();
  const again = new FrameOrder(open(t, path).frames);
  t.is(again.admit(ann, { boot: 3, frame: 8 }), 'not-newer');
  t.is(again.admit(ben, { boot: 2 ** 40 - 1, frame: 9 }), 'older-boot');
  t.is(again.admit(ann, { boot: 3, frame: 9 }), 'newer');
});
