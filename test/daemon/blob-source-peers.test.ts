/** Blob source, when the blobs are at other hosts: real nets and streams, and holders that do what each test says. */
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import type { ContentFrame } from '../../src/catalog/restore-content.js';
import { hashHex } from '../../src/core/hash.js';
import { type BlobId, parseBlobId, parseParcelId } from '../../src/core/ids.js';
import { BlobSource } from '../../src/daemon/blob-source.js';
import { FETCH_PROTOCOL, type FetchedBlob, type FetchRequest, serveFetch } from '../../src/net/fetch-protocol.js';
import { seededBytes } from '../helpers/seeded-bytes.js';
import { type Host, House, settled, until } from '../net/fleet.js';

const MIB = 1024 * 1024;
const PARCEL = parseParcelId('55'.repeat(32));
const smallOf = (n: number): Buffer => Buffer.alloc(1_000 + n, n);
const blobOf = (content: Uint8Array): BlobId => parseBlobId(hashHex(content));

/** A gate that the holders wait at. */
class Gate {
  open = (): void => {};
  readonly opened = new Promise<void>(resolve => {
    this.open = resolve;
  });
}

interface Holder {
  readonly host: Host;
  /** Blobs of each fetch that it began to answer. */
  readonly asked: (readonly BlobId[])[];
  /** Where in its blob each fetch began that was for the rest of one. */
  readonly restsFrom: number[];
  /** It gives other bytes than its contents'. */
  isWrong: boolean;
  /** What it has not. */
  readonly gone: Set<BlobId>;
  /** So many asks it answers with busy, before it gives anything. */
  busyTimes: number;
  /** What it does before it gives a blob; default: nothing. */
  before: (blob: BlobId) => Promise<void>;
  /** Bytes of large contents that it has read to send. */
  readBytes: number;
}

/** Has a copy of everything, and is no member any more. */
const REVOKED = 'shut-out';

/** Our host, and so many others that have all of `contents`; all of them are holders, or the first, and the second is the origin. */
async function aHouse(
  t: ExecutionContext,
  holderCount: number,
  contents: readonly Buffer[],
  {
    areHolders = true,
    bytesOfParcel,
    awaySinceMs,
  }: { readonly areHolders?: boolean; readonly bytesOfParcel?: number; readonly awaySinceMs?: number } = {},
) {
  const [self, ...hosts] = (await new House(t).clique(1 + holderCount)) as [Host, ...Host[]];
  const byBlob = new Map(contents.map(content => [blobOf(content), content]));
  const holders: Holder[] = [];
  for (const host of hosts) {
    const holder: Holder = {
      host,
      asked: [],
      restsFrom: [],
      isWrong: false,
      gone: new Set(),
      busyTimes: 0,
      before: async () => {},
      readBytes: 0,
    };
    const parts = async function* ({ blobs, ranges }: FetchRequest): AsyncGenerator<FetchedBlob> {
      holder.asked.push(blobs);
      for (const { offset } of ranges ?? []) holder.restsFrom.push(offset);
      for (const blob of blobs) {
        await holder.before(blob);
        const whole = byBlob.get(blob) as Buffer;
        const right = whole.subarray(ranges?.[0]?.offset ?? 0);
        const content = holder.isWrong ? Buffer.alloc(right.length) : right;
        if (holder.gone.has(blob)) yield { blob, gone: true };
        else if (content.length <= 10_000) yield { pack: [{ blob, content }] };
        else yield { blob, bytes: content.length, content: pieces(content, { blob, holder }) };
      }
    };
    await serveFetch(
      host.net,
      async request => {
        if (holder.busyTimes === 0) return { kind: 'blobs', parts: parts(request) };
        holder.busyTimes -= 1;
        holder.asked.push([]);
        return { kind: 'busy', retryAfterMs: 1 };
      },
      () => false,
    );
    holders.push(holder);
  }
  const names = new Map(hosts.map(({ net }, n) => [net.peer as string, `holder-${n}`]));
  const logged: Record<string, unknown>[] = [];
  let streams = 0;
  const open = self.net.open.bind(self.net);
  self.net.open = (peer, protocol, options) => {
    if (protocol === FETCH_PROTOCOL) streams += 1;
    return open(peer, protocol, options);
  };
  const source = new BlobSource({
    net: self.net,
    known: {
      holders: () => [
        ...hosts.slice(0, areHolders ? hosts.length : 1).map(({ net }) => ({ host: net.peer })),
        { host: REVOKED },
      ],
      originOf: () => (areHolders ? undefined : hosts[1]?.net.peer),
      bytesOf: () => bytesOfParcel,
      host: () => awaySinceMs !== undefined && { connected: false, disconnectedAtMs: awaySinceMs },
    },
    stores: { stores: () => [], answering: () => [] },
    roster: {
      self: self.net.peer,
      peerOf: (host: unknown) => (host === REVOKED ? undefined : host),
      nameOf: (host: string) => (host === REVOKED ? host : (names.get(host) ?? 'ourselves')),
      isTrusted: () => true,
    },
    doubted: { look: () => undefined },
    clock: { nowMs: () => 0, wallMs: () => 0 },
    log: pino({ level: 'error' }, { write: (line: string) => void logged.push(JSON.parse(line)) }),
  } as unknown as ConstructorParameters<typeof BlobSource>[0]);
  const content = (
    asked: readonly Buffer[],
    { signal = new AbortController().signal, from }: { readonly signal?: AbortSignal; readonly from?: number } = {},
  ): AsyncGenerator<ContentFrame> =>
    source.content({ parcel: PARCEL, blobs: asked.map(blobOf), ...(from !== undefined && { from }) }, signal);
  const copies = (asked: readonly Buffer[]): AsyncGenerator<ContentFrame> =>
    source.copies(PARCEL, asked.map(blobOf), new AbortController().signal);
  return { self, holders, content, copies, logged, streams: () => streams };
}

async function* pieces(
  content: Buffer,
  { blob, holder }: { readonly blob: BlobId; readonly holder: Holder },
): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += MIB / 4) {
    const piece = content.subarray(at, at + MIB / 4);
    holder.readBytes += piece.length;
    if (at === MIB) await holder.before(blob);
    yield piece;
  }
}

async function kindsOf(frames: AsyncIterable<ContentFrame>): Promise<string> {
  const kinds: string[] = [];
  for await (const { kind } of frames) if (kinds.at(-1) !== kind) kinds.push(kind);
  return kinds.join(' ');
}

test('what is asked for at once is of one holder up to four, then of the next, then shared', async t => {
  const contents = Array.from({ length: 10 }, (_, n) => smallOf(n));
  const { holders, content } = await aHouse(t, 2, contents);
  const gate = new Gate();
  for (const holder of holders) holder.before = () => gate.opened;
  const asked = (): number[] => holders.map(holder => holder.asked.length);
  const all: Promise<string>[] = [];
  for (const [count, each] of [
    [4, [0, 4]],
    [6, [2, 4]],
    [10, [5, 5]],
  ] as const) {
    for (const one of contents.slice(all.length, count)) all.push(kindsOf(content([one])));
    await until(() => asked().reduce((sum, n) => sum + n) === count, `${count} fetches`);
    t.deepEqual(
      asked().sort((a, b) => a - b),
      each,
    );
  }
  gate.open();
  t.deepEqual(new Set(await Promise.all(all)), new Set(['start data end']));
});

test('who is slow is given no more until it is done, and the other has it all', async t => {
  const contents = Array.from({ length: 9 }, (_, n) => smallOf(n));
  const { holders, content } = await aHouse(t, 2, contents);
  const [slow, fast] = holders as [Holder, Holder];
  const gate = new Gate();
  slow.before = () => gate.opened;
  const held = contents.slice(0, 4).map(one => kindsOf(content([one])));
  await until(() => slow.asked.length === 4, 'the first fetches');
  for (const one of contents.slice(4)) await kindsOf(content([one]));
  t.deepEqual([slow.asked.length, fast.asked.length], [4, 5]);
  gate.open();
  t.deepEqual(new Set(await Promise.all(held)), new Set(['start data end']));
});

test('a holder that dies in the middle is replaced by another, which gives what was not whole', async t => {
  const large = seededBytes(4 * MIB, 1);
  const asked = [smallOf(1), large, smallOf(2)];
  const { holders, content } = await aHouse(t, 2, asked);
  const [first, second] = holders as [Holder, Holder];
  const largeBlob = blobOf(large);
  first.before = async blob => {
    if (blob === largeBlob && first.readBytes > MIB) await first.host.net.stop();
  };
  const got = new Map<BlobId, Buffer>();
  let starts = 0;
  let current: { readonly blob: BlobId; readonly data: Buffer[] } | undefined;
  for await (const frame of content(asked)) {
    if (frame.kind === 'start') {
      starts += 1;
      current = { blob: frame.blob, data: [] };
    } else if (frame.kind === 'data') current?.data.push(Buffer.from(frame.data));
    else if (frame.kind === 'end' && current !== undefined) got.set(current.blob, Buffer.concat(current.data));
    else t.fail(frame.kind);
  }
  t.deepEqual([...got.keys()].sort(), asked.map(blobOf).sort());
  for (const one of asked) t.true(got.get(blobOf(one))?.equals(one));
  t.is(starts, 4);
  t.deepEqual(second.asked, [[largeBlob, blobOf(smallOf(2))]]);
});

const bytesIn = (pieces: readonly Buffer[]): number => pieces.reduce((sum, { length }) => sum + length, 0);

/** What comes of one blob, as a restore takes it; behind `from`, if it begins there. */
async function taken(frames: AsyncIterable<ContentFrame>) {
  const seen = { starts: 0, isWhole: false, from: undefined as number | undefined, data: [] as Buffer[] };
  for await (const frame of frames) {
    if (frame.kind === 'start') {
      seen.starts += 1;
      if (frame.from === undefined || seen.from === undefined) {
        seen.from = frame.from;
        seen.data = [];
      } else if (frame.from !== seen.from + bytesIn(seen.data)) throw new Error(`goes on at ${frame.from}`);
    } else if (frame.kind === 'data') seen.data.push(Buffer.from(frame.data));
    else seen.isWhole = frame.kind === 'end';
  }
  return { ...seen, data: Buffer.concat(seen.data) };
}

test('of a large file whose holder dies in the middle another one gives the rest', async t => {
  const large = seededBytes(9 * MIB, 4);
  const { holders, content } = await aHouse(t, 2, [large], { bytesOfParcel: large.length });
  const [first, second] = holders as [Holder, Holder];
  first.before = async () => {
    if (first.readBytes > MIB) await first.host.net.stop();
  };
  const { starts, isWhole, data } = await taken(content([large]));
  t.deepEqual([starts, isWhole, data.equals(large)], [1, true, true]);
  const [from = 0] = second.restsFrom;
  t.true(from >= MIB / 2 && from < large.length, `the rest from ${from} on`);
  t.is(second.readBytes, large.length - from);
});

test('a rest that does not go with what came before it is given anew with all of it', async t => {
  const large = seededBytes(9 * MIB, 5);
  const { self, holders, content } = await aHouse(t, 2, [large], { bytesOfParcel: large.length });
  const [first, second] = holders as [Holder, Holder];
  let rounds = 0;
  const connected = self.net.connected.bind(self.net);
  self.net.connected = () => {
    rounds += 1;
    return connected();
  };
  first.isWrong = true;
  first.before = async () => {
    if (first.readBytes > MIB) await first.host.net.stop();
  };
  const { starts, isWhole, data } = await taken(content([large]));
  t.deepEqual([starts, isWhole, data.equals(large)], [2, true, true]);
  t.deepEqual([second.restsFrom.length, second.asked.length, rounds], [1, 2, 1]);
});

test('of a large file whose beginning is with the receiver only the rest comes, also when its holder dies in the middle', async t => {
  const large = seededBytes(9 * MIB, 7);
  const before = 3 * MIB;
  const { holders, content } = await aHouse(t, 2, [large], { bytesOfParcel: large.length });
  const [first, second] = holders as [Holder, Holder];
  first.before = async () => {
    if (first.readBytes > MIB) await first.host.net.stop();
  };
  const { from, isWhole, data } = await taken(content([large], { from: before }));
  t.deepEqual([from, isWhole, data.equals(large.subarray(before))], [before, true, true]);
  t.deepEqual(first.restsFrom, [before]);
  t.true((second.restsFrom[0] ?? 0) > before);
  t.is(second.readBytes, large.length - (second.restsFrom[0] ?? 0));
});

test('a rest that is wrong ends, for the receiver to find out; asked for all of it, the next holder gives it right', async t => {
  const large = seededBytes(9 * MIB, 8);
  const { holders, content, logged } = await aHouse(t, 2, [large], { bytesOfParcel: large.length });
  const [first, second] = holders as [Holder, Holder];
  first.isWrong = true;
  const rest = await taken(content([large], { from: MIB }));
  t.deepEqual([rest.from, rest.isWhole, rest.data.equals(large.subarray(MIB))], [MIB, true, false]);
  t.deepEqual(logged, []);
  // It is its turn now.
  first.isWrong = false;
  second.isWrong = true;
  const whole = await taken(content([large]));
  t.deepEqual([whole.starts, whole.isWhole, whole.data.equals(large)], [2, true, true]);
  t.like(logged, [{ code: 'BLOB_CHANGED', blob: blobOf(large), peer: second.host.net.peer }]);
});

test('where the receiver has more than there is, or nobody knows how much that is, it begins anew', async t => {
  const large = seededBytes(9 * MIB, 9);
  for (const bytesOfParcel of [large.length, undefined]) {
    const { holders, content } = await aHouse(t, 1, [large], bytesOfParcel === undefined ? {} : { bytesOfParcel });
    const { from, isWhole, data } = await taken(content([large], { from: large.length }));
    t.deepEqual([from, isWhole, data.equals(large), holders[0]?.restsFrom], [undefined, true, true, []]);
  }
});

test('a size that is not the parcel’s is not gone on with: its holder may have made it up', async t => {
  const large = seededBytes(9 * MIB, 6);
  const { holders, content } = await aHouse(t, 2, [large], { bytesOfParcel: large.length - 1 });
  const [first, second] = holders as [Holder, Holder];
  first.before = async () => {
    if (first.readBytes > MIB) await first.host.net.stop();
  };
  const { starts, isWhole } = await taken(content([large]));
  t.deepEqual([starts, isWhole, second.restsFrom], [2, true, []]);
});

test('who failed is asked after the others, also after those who count for no holder', async t => {
  const [one, two] = [smallOf(1), smallOf(2)];
  const { holders, content } = await aHouse(t, 2, [one, two], { areHolders: false });
  const [holder, origin] = holders as [Holder, Holder];
  holder.before = async () => {
    throw new Error('a disk');
  };
  t.is(await kindsOf(content([one])), 'start data end');
  t.is(await kindsOf(content([two])), 'start data end');
  t.deepEqual([holder.asked.length, origin.asked.length], [1, 2]);
});

test('who gave wrong bytes is asked after the others for what comes next, too', async t => {
  const [one, two] = [smallOf(1), smallOf(2)];
  const { holders, content } = await aHouse(t, 2, [one, two]);
  const [first, second] = holders as [Holder, Holder];
  first.isWrong = true;
  t.is(await kindsOf(content([one])), 'start data start data end');
  t.is(await kindsOf(content([two])), 'start data end');
  t.deepEqual([first.asked.length, second.asked.length], [1, 2]);
});

test('a holder whose connection broke just now is waited for; one that is away for long is not', async t => {
  const one = smallOf(1);
  const [recently, longAgo] = await Promise.all(
    [-1_000, -3 * 60_000].map(async awaySinceMs => {
      const { self, content } = await aHouse(t, 1, [one], { awaySinceMs });
      const { connected } = self.net;
      let looks = 0;
      self.net.connected = () => {
        looks += 1;
        return looks > 2 ? connected.call(self.net) : [];
      };
      return kindsOf(content([one]));
    }),
  );
  t.deepEqual([recently, longAgo], ['waiting start data end', 'unavailable']);
});

test('who is up and counts for no holder is asked for what neither the holders nor the origin give', async t => {
  const [one, two, three] = [smallOf(1), smallOf(2), smallOf(3)];
  const { holders, content, copies } = await aHouse(t, 3, [one, two, three], { areHolders: false });
  const [holder, origin, other] = holders as [Holder, Holder, Holder];
  for (const missing of [two, three]) holder.gone.add(blobOf(missing));
  origin.gone.add(blobOf(three));
  t.is(await kindsOf(content([one, two, three])), 'start data end start data end start data end');
  t.deepEqual([origin.asked, other.asked], [[[two, three].map(blobOf)], [[blobOf(three)]]]);
  other.gone.add(blobOf(three));
  t.is(await kindsOf(copies([two, three])), 'start data end unavailable');
  t.is(origin.asked.length, 1, 'its live files are no copies');
});

test('who is busy is asked again when all others have been asked', async t => {
  const [one, two] = [smallOf(1), smallOf(2)];
  const { holders, content } = await aHouse(t, 3, [one, two]);
  const [first, second, third] = holders as [Holder, Holder, Holder];
  first.busyTimes = 1;
  second.busyTimes = 9;
  t.is(await kindsOf(content([one])), 'start data end');
  t.deepEqual(
    [first, second, third].map(({ asked }) => asked.length),
    [1, 1, 1],
  );
  third.gone.add(blobOf(two));
  first.busyTimes = 3;
  second.busyTimes = 9;
  t.is(await kindsOf(content([two])), 'start data end');
  t.is(third.asked.length, 2);
  t.deepEqual(first.asked.slice(1), [[], [], [], [blobOf(two)]]);
});

test('what nobody gives is told with the holders to switch on, without one that was revoked, and those that are up and could not', async t => {
  const one = smallOf(1);
  const { self, holders, content } = await aHouse(t, 3, [one]);
  const [away, first] = holders as [Holder, Holder];
  for (const holder of holders) holder.gone.add(blobOf(one));
  const connected = self.net.connected.bind(self.net);
  self.net.connected = () => connected().filter(peer => peer !== away.host.net.peer);
  const frames: ContentFrame[] = [];
  for await (const frame of content([one])) frames.push(frame);
  t.deepEqual(frames, [
    {
      kind: 'unavailable',
      blob: blobOf(one),
      because: 'no host that is up can give it, not even holder-1 or holder-2, where it should be',
      hosts: ['holder-0'],
    },
  ]);
  t.is(first.asked.length, 1, 'it answered that it has not got it');
});

test('whose disk had an error is asked once more, when all others have answered that they have it not', async t => {
  const one = smallOf(1);
  const { holders, content } = await aHouse(t, 2, [one]);
  const [failing, without] = holders as [Holder, Holder];
  without.gone.add(blobOf(one));
  failing.before = async () => {
    failing.before = async () => {};
    throw new Error('a disk');
  };
  t.is(await kindsOf(content([one])), 'start data end');
  t.deepEqual([failing.asked.length, without.asked.length <= 2], [2, true]);
});

test('parcels of many blobs share streams, one call after the other', async t => {
  const contents = Array.from({ length: 20 }, (_, n) => smallOf(n));
  const { content, streams } = await aHouse(t, 1, contents);
  for (let n = 0; n < 20; n += 2)
    t.is(await kindsOf(content(contents.slice(n, n + 2))), 'start data end start data end');
  t.is(streams(), 1);
});

test('a reader that stops or leaves in the middle keeps nobody else waiting', async t => {
  const contents = Array.from({ length: 6 }, (_, n) => smallOf(n));
  // More than is sent at once, so that its beginning is here while the holder waits.
  const begun = seededBytes(100_000, 3);
  const { holders, content, streams } = await aHouse(t, 1, [begun, ...contents]);
  const [holder] = holders as [Holder];
  const heldBlob = blobOf(smallOf(0));
  holder.before = blob => (blob === heldBlob ? new Promise(() => {}) : Promise.resolve());
  const stopped = content([begun, smallOf(0)]);
  t.is((await stopped.next()).value?.kind, 'start');
  t.is(await kindsOf(content(contents.slice(1, 3))), 'start data end start data end');
  t.is(streams(), 2);
  await stopped.return(undefined);
  // Two at once: neither on the stream that was left, for the rest of its answer is still to come.
  const both = await Promise.all([contents.slice(1, 3), contents.slice(3, 5)].map(some => kindsOf(content(some))));
  t.deepEqual(both, ['start data end start data end', 'start data end start data end']);
  t.is(streams(), 3);
});

test('a reader that is slow holds up the holder', async t => {
  const large = seededBytes(32 * MIB, 2);
  const { holders, content } = await aHouse(t, 1, [large]);
  const [holder] = holders as [Holder];
  let got = 0;
  let aheadMax = 0;
  for await (const frame of content([large])) {
    if (frame.kind !== 'data') continue;
    if (got === 0) await settled(() => holder.readBytes);
    got += frame.data.length;
    aheadMax = Math.max(aheadMax, holder.readBytes - got);
  }
  t.is(got, large.length);
  // A stream's windows, what is read ahead of it, and the buffers of the connection.
  t.true(aheadMax < 8 * MIB, `${aheadMax} bytes ahead`);
});

test('a call that is aborted ends with the reason', async t => {
  const { holders, content } = await aHouse(t, 1, [smallOf(1), smallOf(2)]);
  const [holder] = holders as [Holder];
  holder.before = () => new Promise(() => {});
  const abort = new AbortController();
  const reason = new Error('enough');
  const frames = kindsOf(content([smallOf(1), smallOf(2)], { signal: abort.signal }));
  await until(() => holder.asked.length === 1, 'the fetch');
  abort.abort(reason);
  await t.throwsAsync(frames, { is: reason });
});
