import test from 'ava';
import fc from 'fast-check';
import { pino } from 'pino';
import { encodeRecord, type ParcelRecord } from '../../src/catalog/record.js';
import { DropProof } from '../../src/core/drop-proof.js';
import { ExpiryWarrant } from '../../src/core/expiry.js';
import { hashHex } from '../../src/core/hash.js';
import { type LogSegment, logStart } from '../../src/core/holdings-log.js';
import {
  type HostId,
  type Nonce,
  type ParcelId,
  parseHostId,
  parseNonce,
  parseParcelId,
  parsePossession,
  parseStoreId,
  type StoreId,
  sourceIdOf,
} from '../../src/core/ids.js';
import type { Unstamped } from '../../src/daemon/driver.js';
import { Dropper, type DropperOptions, type RemovingStore } from '../../src/daemon/dropper.js';
import { arbitraryRecord } from '../catalog/arbitraries.js';

const [self, first, second, origin] = ['1', '2', '3', '4'].map(digit => parseHostId(digit.repeat(32))) as [
  HostId,
  HostId,
  HostId,
  HostId,
];
const [disk, other] = ['a', 'b'].map(digit => parseStoreId(digit.repeat(32))) as [StoreId, StoreId];
const source = sourceIdOf(origin, 'photos');
const parcelOf = (n: number): ParcelId => parseParcelId(hashHex(Buffer.from(`parcel ${n}`)));
const nonceOf = (n: number): Nonce => parseNonce(n.toString(16).padStart(32, '0'));
const parcel = parcelOf(0);
const possession = parsePossession('5a'.repeat(32));
const whole = { kind: 'whole', possessions: new Map([first, self].map(host => [host, possession])) } as const;
const position = logStart(disk, { counter: 1, random: '00'.repeat(8) });
const segment: LogSegment = { host: self, end: position, ops: [], signature: new Uint8Array(64) };

const proof = DropProof.from({
  parcel,
  store: disk,
  stays: undefined,
  self,
  origins: [origin],
  nonce: nonceOf(7),
  copiesWanted: 2,
  grantable: 2,
  configVersion: 1,
  memberOf: host => ({ host, domain: host, state: 'active', trust: 'trusted' }) as never,
  grants: [first, second].map(host => ({ host, nonce: nonceOf(7), possession, expected: possession })),
}) as DropProof;
const warrant = ExpiryWarrant.from(
  {
    source,
    wanted: false,
    headSeq: 3,
    heardSeq: 3,
    runMs: 10,
    unwantedSinceRunMs: 0,
    gcGraceMs: 10,
    busy: false,
  },
  { parcel, store: disk },
) as ExpiryWarrant;

/** A dropper over one store that does as it is told, and all that the machine and the log were told. */
function aDropper(store: Partial<RemovingStore> | undefined = {}, options: Partial<DropperOptions> = {}) {
  const told: Unstamped[] = [];
  const working = { isPresent: () => true, whyGone: async () => undefined, isBehind: false, ...store };
  const lines: Record<string, unknown>[] = [];
  const asker = new AbortController();
  const dropper = new Dropper({
    self,
    stores: {
      mounted: () => (store === undefined ? undefined : (working as RemovingStore)),
      usedBytes: async () => 42,
      tellOps: async (_id, completion) => void told.push(completion(segment)),
      reopen: async (id, gone) => void told.push(reopened(id, gone)),
    },
    findRecord: async () => undefined,
    signalOf: () => asker.signal,
    short: { recent: async () => ({ has: () => false, isComplete: true }) },
    notes: { change: async () => undefined },
    onCorrupt: () => {},
    nameOf: host => `host-${host[0]}`,
    tell: input => told.push(input),
    log: pino({}, { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) }),
    ...options,
  });
  /** Carries out one effect to its end. */
  const settled = async (...effects: Parameters<Dropper['carryOut']>[0][]): Promise<readonly Unstamped[]> => {
    const before = told.length;
    for (const effect of effects) dropper.carryOut(effect);
    while (told.length - before < effects.length) await new Promise(resolve => setImmediate(resolve));
    await new Promise(resolve => setImmediate(resolve));
    return told.slice(before);
  };
  return { dropper, told, lines, asker, settled };
}

/** What is told when the store is closed and opened again. */
function reopened(id: StoreId, gone: RemovingStore): Unstamped {
  if (gone === undefined) throw new Error('not a store that was mounted');
  return { is: 'store-gone', store: id };
}

const prove = { do: 'prove-own', attempt: nonceOf(1), parcel, store: disk, holders: [first] } as const;
const read = { do: 'read-possession', ask: 5, parcel, store: disk, nonce: nonceOf(2) } as const;
const unreadable = { is: 'own-not-proved', attempt: nonceOf(1), because: 'unreadable' } as const;

test('our own copy is read for the attempt’s nonce and its holders, and theirs for the asker', async t => {
  const asked: unknown[] = [];
  const { settled } = aDropper({
    possess: async (id, { nonce, holders }) => {
      asked.push({ id, nonce, holders });
      return whole;
    },
  });
  t.deepEqual(await settled(prove), [{ is: 'own-proved', attempt: nonceOf(1), expected: whole.possessions }]);
  t.deepEqual(await settled(read), [{ is: 'possession-read', ask: 5, possession }]);
  t.deepEqual(asked, [
    { id: parcel, nonce: nonceOf(1), holders: [first] },
    { id: parcel, nonce: nonceOf(2), holders: [self] },
  ]);
});

test('that a copy is corrupt is told before how its read ended', async t => {
  const { told, lines, settled } = aDropper({ possess: async () => ({ kind: 'corrupt', position }) });
  await settled(prove);
  await settled(read);
  const corrupt = { is: 'own-ops', segment, usedBytes: 42 };
  t.deepEqual(told, [
    corrupt,
    { is: 'own-not-proved', attempt: nonceOf(1), because: 'corrupt' },
    corrupt,
    { is: 'possession-read', ask: 5, possession: undefined, because: 'corrupt' },
  ] as Unstamped[]);
  t.is(lines.filter(({ code }) => code === 'PARCEL_CORRUPT').length, 2);
});

test('a disk that fails, a copy that is not there and a store that is not mounted say nothing of the bytes', async t => {
  const failing = aDropper({
    possess: async () => {
      throw new Error('EIO');
    },
  });
  t.deepEqual(await failing.settled(prove), [unreadable]);
  t.true(failing.lines.some(({ code }) => code === 'PARCEL_NOT_READ'));
  t.deepEqual(await aDropper({ possess: async () => ({ kind: 'absent' }) }).settled(prove), [unreadable]);
  t.deepEqual(await aDropper(undefined).settled(prove), [unreadable]);
  // The asker has gone already: nothing is read for it.
  const gone = aDropper({}, { signalOf: () => undefined });
  t.deepEqual(await gone.settled(read), [
    { is: 'possession-read', ask: 5, possession: undefined, because: 'unreadable' },
  ]);
});

test('two parcels are read at once from a store, and another store does not wait', async t => {
  const running = { [disk]: 0, [other]: 0 };
  let most = 0;
  const ends: (() => void)[] = [];
  const storeOf = (id: StoreId): RemovingStore => ({
    ...({} as RemovingStore),
    possess: async () => {
      running[id] = (running[id] ?? 0) + 1;
      most = Math.max(most, running[id]);
      await new Promise<void>(resolve => ends.push(resolve));
      running[id] -= 1;
      return whole;
    },
  });
  const told: Unstamped[] = [];
  const { dropper } = aDropper(undefined, {
    stores: {
      mounted: storeOf,
      usedBytes: async () => 0,
      tellOps: async () => undefined,
      reopen: async () => undefined,
    },
    tell: input => told.push(input),
  });
  for (let ask = 0; ask < 5; ask += 1) dropper.carryOut({ ...read, ask });
  dropper.carryOut({ ...read, ask: 9, store: other });
  await new Promise(resolve => setImmediate(resolve));
  t.deepEqual(running, { [disk]: 2, [other]: 1 });
  while (told.length < 6) {
    ends.shift()?.();
    await new Promise(resolve => setImmediate(resolve));
  }
  t.is(most, 2);
  t.deepEqual(told.map(input => input.is === 'possession-read' && input.ask).sort(), [0, 1, 2, 3, 4, 9]);
});

test('who asked and has gone is not read for any longer', async t => {
  const { dropper, told, asker, lines } = aDropper({
    possess: (_parcel, { signal }) =>
      new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason), { once: true })),
  });
  for (let ask = 0; ask < 4; ask += 1) dropper.carryOut({ ...read, ask });
  await new Promise(resolve => setImmediate(resolve));
  asker.abort(new Error('left'));
  while (told.length < 4) await new Promise(resolve => setImmediate(resolve));
  t.deepEqual(new Set(told.map(({ is }) => is)), new Set(['possession-read']));
  t.deepEqual(lines, [], 'nothing failed');
});

test('our own copy is not read any longer for an attempt that is over, whether the read waits or runs', async t => {
  const read: string[] = [];
  const { dropper, told, lines } = aDropper({
    possess: (_parcel, { nonce, signal }) => {
      read.push(nonce);
      return new Promise((_resolve, reject) =>
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true }),
      );
    },
  });
  for (let attempt = 0; attempt < 4; attempt += 1) dropper.carryOut({ ...prove, attempt: nonceOf(attempt) });
  await new Promise(resolve => setImmediate(resolve));
  t.deepEqual(read, [nonceOf(0), nonceOf(1)]);
  dropper.cancel(nonceOf(3));
  dropper.cancel(nonceOf(0));
  dropper.cancel(nonceOf(9));
  while (told.length < 2 || read.length < 3) await new Promise(resolve => setImmediate(resolve));
  t.deepEqual(told.map(input => input.is === 'own-not-proved' && input.attempt).sort(), [0, 3].map(nonceOf));
  t.deepEqual(read.slice(2), [nonceOf(2)], 'its place is taken by who waited longest and is still needed');
  t.deepEqual(lines, [], 'nothing failed');
  await dropper.stop();
  t.is(told.length, 4);
});

test('a drop is told as what the log has now, and named with those who granted it', async t => {
  const shown: unknown[] = [];
  const { settled, lines } = aDropper({
    drop: async given => {
      shown.push(given);
      return position;
    },
  });
  t.deepEqual(await settled({ do: 'drop', proof }), [{ is: 'dropped', attempt: nonceOf(7), segment, usedBytes: 42 }]);
  t.deepEqual(shown, [proof]);
  t.like(
    lines.find(({ code }) => code === 'PARCEL_DROPPED'),
    { parcel, store: disk, granters: ['host-2', 'host-3'] },
  );
});

test('an expiry is told and named too, and leaves what a short parcel may need', async t => {
  const spared: boolean[] = [];
  const expire: RemovingStore['expire'] = async (_, isSpared) => {
    spared.push(isSpared('needed'), isSpared('other'));
    return position;
  };
  const short = { recent: async () => ({ has: (blob: string) => blob === 'needed', isComplete: true }) };
  const { settled, lines } = aDropper({ expire }, { short });
  t.deepEqual(await settled({ do: 'expire', warrant }), [{ is: 'expired', parcel, segment, usedBytes: 42 }]);
  t.like(
    lines.find(({ code }) => code === 'PARCEL_EXPIRED'),
    { parcel, store: disk, source, headSeq: 3 },
  );
  t.deepEqual(spared, [true, false]);
});

const fails = async (): Promise<never> => {
  throw new Error('EIO');
};
const notRemoved: readonly Unstamped[] = [
  { is: 'not-dropped', attempt: nonceOf(7) },
  { is: 'not-expired', parcel },
];
/** Both removals, one after the other, to their last input. */
const removals = async ({ dropper, told }: ReturnType<typeof aDropper>): Promise<readonly Unstamped[]> => {
  dropper.carryOut({ do: 'drop', proof });
  while (!told.some(({ is }) => is.endsWith('dropped'))) await new Promise(resolve => setImmediate(resolve));
  dropper.carryOut({ do: 'expire', warrant });
  while (!told.some(({ is }) => is.endsWith('expired'))) await new Promise(resolve => setImmediate(resolve));
  return told;
};

test('a copy that its store could not remove, and still has, is kept', async t => {
  for (const dropper of [aDropper({ drop: fails, expire: fails }), aDropper(undefined)]) {
    t.deepEqual(await removals(dropper), notRemoved);
    t.deepEqual(
      dropper.lines.map(({ code }) => code),
      ['DROP_FAILED', 'EXPIRY_FAILED'],
    );
  }
});

test('a store of which nobody knows what its log has is opened again before anything is said', async t => {
  const whyGone = async () => 'a flush failed';
  // What it takes for PRESENT is worth nothing then.
  for (const isPresent of [() => true, () => false]) {
    const [notDropped, notExpired] = notRemoved as [Unstamped, Unstamped];
    const gone: Unstamped = { is: 'store-gone', store: disk };
    t.deepEqual(await removals(aDropper({ drop: fails, expire: fails, isPresent, whyGone })), [
      gone,
      notDropped,
      gone,
      notExpired,
    ]);
  }
});

test('a removal that may be only in the log of a store that is behind is not told as done', async t => {
  const [notDropped, notExpired] = notRemoved as [Unstamped, Unstamped];
  const gone: Unstamped = { is: 'store-gone', store: disk };
  const ends = (isPresent: boolean) =>
    removals(aDropper({ drop: fails, expire: fails, isPresent: () => isPresent, isBehind: true }));
  t.deepEqual(await ends(false), [gone, notDropped, gone, notExpired]);
  // It was refused before it reached the log.
  t.deepEqual(await ends(true), [notDropped, notExpired]);
});

test('what went wrong after the copy had left the log does not bring it back', async t => {
  const failing = aDropper({ drop: fails, expire: fails, isPresent: () => false });
  t.deepEqual(await removals(failing), [
    { is: 'dropped', attempt: nonceOf(7), segment, usedBytes: 42 },
    { is: 'expired', parcel, segment, usedBytes: 42 },
  ]);
  t.deepEqual(
    failing.lines.map(({ code }) => code),
    ['DROP_FAILED', 'PARCEL_DROPPED', 'EXPIRY_FAILED', 'PARCEL_EXPIRED'],
  );
});

test('a removal that could not be told has its store opened again, which tells it', async t => {
  const [notDropped, notExpired] = notRemoved as [Unstamped, Unstamped];
  for (const failing of [{ usedBytes: fails }, { tellOps: fails }]) {
    const told: Unstamped[] = [];
    const dropped = {
      isPresent: () => false,
      drop: async () => position,
      expire: async () => position,
    } as unknown as RemovingStore;
    const dropper = aDropper(undefined, {
      tell: input => told.push(input),
      stores: {
        mounted: () => dropped,
        usedBytes: async () => 42,
        tellOps: async () => undefined,
        reopen: async (id, gone) => {
          t.is(gone, dropped);
          told.push({ is: 'store-gone', store: id }, { is: 'log', segment });
        },
        ...failing,
      },
    });
    const again: readonly Unstamped[] = [
      { is: 'store-gone', store: disk },
      { is: 'log', segment },
    ];
    t.deepEqual(await removals({ ...dropper, told }), [...again, notDropped, ...again, notExpired]);
    t.deepEqual(
      dropper.lines.map(({ code }) => code),
      ['REMOVAL_NOT_TOLD', 'REMOVAL_NOT_TOLD'],
    );
  }
});

test('whose a parcel is stands in its record, wherever that is; without one nobody knows', async t => {
  const [sample] = fc.sample(arbitraryRecord, { numRuns: 1, seed: 1 }) as [ParcelRecord];
  const record = encodeRecord({ ...sample, source });
  const known = aDropper({}, { findRecord: async () => record });
  t.deepEqual(await known.settled({ do: 'identify', parcel }), [{ is: 'identified', parcel, source }]);
  t.deepEqual(await aDropper().settled({ do: 'identify', parcel }), [{ is: 'identified', parcel, source: undefined }]);
  const malformed = aDropper({}, { findRecord: async () => Buffer.from('no record') });
  t.deepEqual(await malformed.settled({ do: 'identify', parcel }), [{ is: 'identified', parcel, source: undefined }]);
  t.like(malformed.lines[0], { code: 'NOT_IDENTIFIED' });
});

test('when the service stops every effect still has its one input, and nothing more is removed', async t => {
  let removed = 0;
  let endDrop: () => void = () => undefined;
  const { dropper, told } = aDropper({
    possess: (_parcel, { signal }) =>
      new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason), { once: true })),
    drop: async () => {
      removed += 1;
      await new Promise<void>(resolve => {
        endDrop = resolve;
      });
      return position;
    },
  });
  // Two run and two wait.
  for (let ask = 0; ask < 4; ask += 1) dropper.carryOut({ ...read, ask });
  dropper.carryOut({ do: 'drop', proof });
  await new Promise(resolve => setImmediate(resolve));
  let stopped = false;
  const stopping = dropper.stop().then(() => {
    stopped = true;
  });
  while (told.length < 4) await new Promise(resolve => setImmediate(resolve));
  t.false(stopped, 'a drop that has begun is waited for');
  endDrop();
  await stopping;
  t.deepEqual(told.at(-1), { is: 'dropped', attempt: nonceOf(7), segment, usedBytes: 42 });

  for (const effect of [
    prove,
    read,
    { do: 'drop', proof },
    { do: 'expire', warrant },
    { do: 'identify', parcel },
  ] as const)
    dropper.carryOut(effect);
  await dropper.stop();
  t.deepEqual(
    told
      .slice(5)
      .map(({ is }) => is)
      .sort(),
    ['identified', 'not-dropped', 'not-expired', 'own-not-proved', 'possession-read'],
  );
  t.is(removed, 1);
});

test('since when nobody wants a parcel is noted before the service stops', async t => {
  const noted: unknown[] = [];
  const { dropper } = aDropper({}, { notes: { change: async changes => void noted.push(...changes) } });
  dropper.carryOut({ do: 'note-unwanted', parcel, sinceRunMs: 5 });
  await dropper.stop();
  t.deepEqual(noted, [{ parcel, sinceRunMs: 5 }]);
});
