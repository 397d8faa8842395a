import test from 'ava';
import { pino } from 'pino';
import type { ContentFrame } from '../../src/catalog/restore-content.js';
import type { ByteRange } from '../../src/core/byte-range.js';
import { hashHex } from '../../src/core/hash.js';
import { type BlobId, parseBlobId, parseParcelId } from '../../src/core/ids.js';
import { BlobSource } from '../../src/daemon/blob-source.js';

const right = Buffer.from('the bytes that the name says');
const blob = parseBlobId(hashHex(right));

type Read = (signal: AbortSignal, ranges: readonly ByteRange[]) => AsyncGenerator<Uint8Array>;

/** A store that gives these bytes under that name. */
const aStore = (read: Read, bytes = right.length) => ({
  id: 'a store',
  openBlob: async (id: BlobId) => (id === blob ? { bytes, read } : undefined),
  openStray: async (): Promise<unknown> => undefined,
});
const giving = (bytes: Uint8Array) =>
  aStore(async function* read(_, ranges) {
    for (const { offset, bytes: count } of ranges) yield bytes.subarray(offset, offset + count);
  }, bytes.length);

const parcel = parseParcelId('00'.repeat(32));

async function framesFrom(...stores: readonly unknown[]): Promise<ContentFrame[]> {
  return (await lookedUp(stores)).frames;
}

/** What came, and which copies were told to be looked at. */
async function lookedUp(stores: readonly unknown[], from?: number, hanging: readonly unknown[] = []) {
  const looks: unknown[] = [];
  const source = new BlobSource({
    net: { connected: () => [] },
    known: { holders: () => [], originOf: () => undefined },
    stores: { stores: () => [...hanging, ...stores], answering: () => stores },
    roster: {},
    doubted: { look: (copy: unknown) => void looks.push(copy) },
    clock: { nowMs: () => 0, wallMs: () => 0 },
    log: pino({ level: 'silent' }),
  } as unknown as ConstructorParameters<typeof BlobSource>[0]);
  const request = { parcel, blobs: [blob], ...(from !== undefined && { from }) };
  const frames: ContentFrame[] = [];
  for await (const frame of source.content(request, new AbortController().signal)) frames.push(frame);
  return { frames, looks };
}

const kinds = (frames: readonly ContentFrame[]): string => frames.map(({ kind }) => kind).join(' ');

test('bytes of ours that are not the blob’s are not passed off as it', async t => {
  t.is(kinds(await framesFrom(giving(right))), 'start data end');
  const wrong = Buffer.from(right).fill('x');
  t.is(kinds(await framesFrom(giving(wrong))), 'start data unavailable');
  t.is(kinds(await framesFrom(giving(wrong), giving(right))), 'start data start data end');
});

test('what others wait for at a disk of ours is not waited for', async t => {
  const asUrgent: unknown[] = [];
  const store = giving(right);
  const noting = {
    ...store,
    openBlob: async (id: BlobId) => {
      const opened = await store.openBlob(id);
      const read = (signal: AbortSignal, ranges: readonly ByteRange[], urgency: unknown) => {
        asUrgent.push(urgency);
        return opened?.read(signal, ranges);
      };
      return opened && { ...opened, read };
    },
  };
  t.is(kinds(await framesFrom(noting)), 'start data end');
  t.deepEqual(asUrgent, [{ isUrgent: true }]);
});

test('what nobody could have is not waited for', async t => {
  const startMs = performance.now();
  t.is(kinds(await framesFrom()), 'unavailable');
  t.true(performance.now() - startMs < 1_000);
});

test('a store that hangs is asked when nobody else gives it, and no other is asked twice', async t => {
  let asked = 0;
  const store = giving(right);
  const hanging = {
    ...store,
    openBlob: (id: never) => {
      asked += 1;
      return store.openBlob(id);
    },
  };
  t.is(kinds((await lookedUp([giving(right)], undefined, [hanging])).frames), 'start data end');
  t.is(asked, 0);
  const wrong = giving(Buffer.from(right).fill('x'));
  t.is(kinds((await lookedUp([wrong], undefined, [hanging])).frames), 'start data start data end');
});

test('what counts for nothing in a store of ours is given when none holds the blob rightly', async t => {
  const stray = { ...giving(right), openBlob: async () => undefined, openStray: giving(right).openBlob };
  t.is(kinds(await framesFrom(stray)), 'start data end');
  t.is(kinds(await framesFrom(stray, giving(right))), 'start data end');
  t.is(kinds(await framesFrom(stray, giving(Buffer.from(right).fill('x')))), 'start data start data end');
});

test('a disk of ours that fails is passed over', async t => {
  const failing = aStore(async function* read() {
    yield right.subarray(0, 3);
    throw Object.assign(new Error('input/output error'), { code: 'EIO' });
  });
  t.is(kinds(await framesFrom(failing, giving(right))), 'start data start data end');
  t.is(kinds(await framesFrom(failing)), 'start data unavailable');
});

test('a copy of ours that did not give a blob, or gave another one, is looked at', async t => {
  const failing = aStore(async function* read() {
    yield* [];
    throw new Error('EIO');
  });
  const copy = { parcel, store: 'a store' };
  t.deepEqual((await lookedUp([failing, giving(right)])).looks, [copy]);
  t.deepEqual((await lookedUp([giving(Buffer.from(right).fill('x')), giving(right)])).looks, [copy]);
  t.deepEqual((await lookedUp([giving(right)])).looks, []);
});

test('of a blob whose beginning is with the receiver a disk of ours gives the rest, and the next one what that did not', async t => {
  const failing = aStore(async function* read(_, [range]) {
    yield right.subarray(range?.offset ?? 0, 12);
    throw new Error('EIO');
  });
  const short = giving(right.subarray(0, 10));
  const { frames } = await lookedUp([short, failing, giving(right)], 10);
  const start = { kind: 'start', blob, bytes: right.length } as const;
  t.deepEqual(frames, [
    { ...start, from: 10 },
    { kind: 'data', data: right.subarray(10, 12) },
    { ...start, from: 12 },
    { kind: 'data', data: right.subarray(12) },
    { kind: 'end' },
  ]);
});

test('whether a rest is right is for the receiver to say, who has what came before it', async t => {
  const wrong = Buffer.from(right).fill('x', 10);
  const { frames, looks } = await lookedUp([giving(wrong), giving(right)], 10);
  t.is(kinds(frames), 'start data end');
  t.deepEqual(looks, []);
});
