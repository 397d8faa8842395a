/** Checkers: each sees what it is there for, from happenings that are made up. */
import test from 'ava';
import { CountChecker } from '../../sim/checkers/counted.js';
import { FetcherChecker } from '../../sim/checkers/fetchers.js';
import { HeadChecker } from '../../sim/checkers/heads.js';
import { WordChecker } from '../../sim/checkers/words.js';
import type { Happening } from '../../sim/happening.js';
import type { Running } from '../../sim/sim-host.js';
import type { World } from '../../sim/world.js';
import { type HostId, parseHostId, parseParcelId, parseStoreId, sourceIdOf } from '../../src/core/ids.js';

const STORE = parseStoreId('1'.repeat(32));
const PARCEL = parseParcelId('2'.repeat(64));
const ORIGIN: HostId = parseHostId('3'.repeat(32));
const SOURCE = sourceIdOf(ORIGIN, 'files');

const checked = (checker: { see(happening: Happening): void }, happenings: readonly object[]): void => {
  for (const happening of happenings) checker.see(happening as Happening);
};

function promises({
  promised,
  lent,
  wasCut = false,
  hasEnded = false,
}: {
  readonly promised: readonly number[];
  readonly lent: number;
  readonly wasCut?: boolean;
  readonly hasEnded?: boolean;
}) {
  const checker = new WordChecker({ hosts: [] } as unknown as World);
  const store = { id: STORE };
  let reserved = 0;
  const host = { number: 1, stores: [store], running: undefined as object | undefined };
  const by = {
    host,
    machine: { known: { reservedBytes: () => reserved } },
    mountedStores: () => [store],
    promisedBytes: () => reserved,
  };
  if (!hasEnded) host.running = by;
  for (const lentBytes of wasCut ? [2 * lent, lent] : [lent])
    checked(checker, [{ is: 'told', by, input: { is: 'store', store: STORE, lentBytes } }]);
  for (const bytes of promised) {
    reserved = bytes;
    checked(checker, [{ is: 'stepped', by, input: { is: 'wake' } }]);
  }
}

test('a store that is promised beyond what it lends is seen (I6)', t => {
  t.notThrows(() => promises({ promised: [100], lent: 100 }));
  t.throws(() => promises({ promised: [101], lent: 100 }), { message: /^I6: h1 promises 101 bytes of 100/ });
});

test('a service that ended in the step is held to no promise (I6)', t => {
  t.notThrows(() => promises({ promised: [101], lent: 100, hasEnded: true }));
});

test('what was cut below what it had promised may keep that, and promises nothing more (I6)', t => {
  t.notThrows(() => promises({ promised: [100, 90], lent: 100, wasCut: true }));
  t.throws(() => promises({ promised: [90, 110], lent: 100, wasCut: true }), { message: /^I6/ });
});

test('room that is given back twice is seen (I6)', t => {
  t.throws(() => promises({ promised: [-1], lent: 100 }), { message: /^I6: h1 has given back more room than it kept/ });
});

function takeIn(hosts: number, { inOrder = true, ended = 0 } = {}): void {
  const world = {
    inOrder,
    catalog: { parcel: () => ({ source: SOURCE }) },
    config: { sources: [{ source: SOURCE, copies: 2 }] },
  } as unknown as World;
  const checker = new FetcherChecker(world);
  for (let number = 0; number < hosts; number += 1) {
    const by = { host: { number } } as unknown as Running;
    checked(checker, [{ is: 'taking-in', by, fetch: 1, parcel: PARCEL }]);
    if (number < ended) checked(checker, [{ is: 'told', by, input: { is: 'fetched', fetch: 1 } }]);
  }
}

test('one fetcher more than N + 1 is seen while all is in order (I11)', t => {
  t.notThrows(() => takeIn(3));
  t.throws(() => takeIn(4), { message: /^I11: 4 hosts take in 22222222, and 2 copies are wanted/ });
  t.notThrows(() => takeIn(4, { inOrder: false }));
  t.notThrows(() => takeIn(4, { ended: 1 }));
});

const PEER: HostId = parseHostId('4'.repeat(32));

/** A host whose configuration has its one peer in this state, if at all. */
function dealing(
  state: string | undefined,
  { trust = 'trusted', counts = true, isUp = false, wasLetIn = false }: Partial<Record<string, unknown>> = {},
) {
  const checker = new WordChecker({
    hosts: [{ number: 2, id: PEER, stores: [] }],
    network: { admitted: new Set(wasLetIn ? [PEER] : []), isUp: () => isUp },
    listed: () => [{ parcel: { ref: { id: PARCEL } } }],
  } as unknown as World);
  const members = state === undefined ? [] : [{ host: PEER, state, trust }];
  const by = {
    host: { number: 1, stores: [], disk: { config: { members } } },
    machine: { known: { holders: () => [{ host: PEER, counts }] } },
    mountedStores: () => [],
  };
  return {
    serves: (what: 'bytes' | 'state'): void => checked(checker, [{ is: 'serves', by, to: PEER, what }]),
    does: (effect: object): void => checked(checker, [{ is: 'effect', by, effect }]),
    configured: (): void => checked(checker, [{ is: 'stepped', by, input: { is: 'config' } }]),
  };
}

test('dealings with who is no member, or no longer, are seen (I8)', t => {
  const deals = [
    { do: 'fetch', from: PEER },
    { do: 'ask-grants', holders: [PEER] },
    { do: 'answer-grant', to: PEER, answer: { answer: 'grant' } },
    { do: 'ask-audit', holder: PEER },
    { do: 'offer-relocation', to: PEER },
    { do: 'answer-relocation', to: PEER, accepted: true },
    { do: 'drop', proof: { granters: [PEER] } },
  ];
  for (const effect of deals) {
    t.notThrows(() => dealing('active').does(effect));
    for (const state of [undefined, 'revoked']) t.throws(() => dealing(state).does(effect), { message: /^I8: h1/ });
  }
  t.throws(() => dealing('draining').does({ do: 'drop', proof: { granters: [PEER] } }), { message: /^I8/ });
  t.notThrows(() => dealing(undefined).does({ do: 'answer-grant', to: PEER, answer: { answer: 'deny' } }));
});

test('copies that count at others than active, trusted members are seen (I8)', t => {
  t.notThrows(() => dealing('active').configured());
  for (const state of ['draining', 'revoked', undefined])
    t.throws(() => dealing(state).configured(), { message: /^I8: h1 counts a copy at a stranger/ });
  t.throws(() => dealing('active', { trust: 'untrusted' }).configured(), { message: /^I8/ });
});

test('what is given to who is no member is seen, and a connection with it that stays (I8)', t => {
  for (const what of ['bytes', 'state'] as const) {
    for (const state of ['active', 'draining']) t.notThrows(() => dealing(state).serves(what));
    t.notThrows(() => dealing(undefined, { wasLetIn: true }).serves(what));
    for (const state of ['revoked', undefined])
      t.throws(() => dealing(state).serves(what), { message: `I8: h1 gives ${what} to a stranger` });
  }
  const connected = { counts: false, isUp: true };
  t.notThrows(() => dealing('active', connected).configured());
  t.notThrows(() => dealing('revoked', { ...connected, isUp: false }).configured());
  t.throws(() => dealing('revoked', connected).configured(), {
    message: /^I8: h1 is connected with a stranger, h2/,
  });
});

const EPOCH = { counter: 1, random: '0'.repeat(16) };
const positionAt = (seq: number) => ({ store: STORE, epoch: EPOCH, seq, digest: `after ${seq}` });

/** Two hosts; the store of the first has two operations in its log. */
function told({ byItself = 2, byOther = 2, content = PARCEL as string, spoiled = false } = {}): WordChecker {
  const log = { epoch: EPOCH, seq: 2, digestAt: (seq: number) => `after ${seq}` };
  const files = new Map([[PARCEL, { content, bytes: 0 }]]);
  const store = { id: STORE, log, files, pinned: [], usedBytes: 0, hasSpoiled: new Set(spoiled ? [PARCEL] : []) };
  const known = (seq: number) => ({ positions: () => [{ host: ORIGIN, position: positionAt(seq) }] });
  const machine = (seq: number, stores: readonly object[]) => ({ known: known(seq), heartbeat: () => ({ stores }) });
  const disk = { config: { members: [] } };
  const own = { number: 1, id: ORIGIN, disk, stores: [store] };
  const other = { number: 2, id: PEER, disk, stores: [] };
  const runs = [
    { host: own, machine: machine(2, [{ position: positionAt(byItself) }]) },
    { host: other, machine: machine(byOther, []) },
  ];
  return new WordChecker({
    hosts: runs.map(running => ({ ...running.host, running })),
    listed: () => [],
    network: { admitted: new Set([ORIGIN, PEER]) },
    logs: { placeOf: (digest: string) => [1, 2].map(seq => ({ seq })).find(({ seq }) => `after ${seq}` === digest) },
  } as unknown as World);
}

test('in full is seen what is told or believed of a log that has it not, and what lies under another name (I5)', t => {
  t.notThrows(() => told().full());
  t.notThrows(() => told({ byItself: 1, byOther: 1 }).full());
  t.notThrows(() => told({ content: 'rotten', spoiled: true }).full());
  t.throws(() => told({ byItself: 3 }).full(), { message: /^I5: h1 says operation 3 of its log, and 2 are durable/ });
  t.throws(() => told({ byOther: 3 }).full(), { message: /^I5: h2 has read operation 3 of a log, which never was/ });
  t.throws(() => told({ content: 'half' }).full(), { message: /^I5: h1 has other bytes under 22222222/ });
});

/** A host that has acted on head 2 and configuration 2; what its disk says since. */
function actedOn({ headSeq = 2, version = 2, unwanted = false, notNoted = false } = {}): HeadChecker {
  const first = { version: 1, parent: undefined, hash: '1', signer: 'h1', admins: [], members: [] };
  const second = { ...first, version: 2, parent: first };
  const snapshots = [{ refs: new Map([[PARCEL, {}]]) }];
  const disk = {
    config: second,
    heads: new Map([[SOURCE, { seq: 2, snapshots }]]),
    unwanted: new Map(),
    notNoted: new Set(),
  };
  const host = { number: 1, lost: false, disk, stores: [], running: undefined };
  const checker = new HeadChecker({ hosts: [host], catalog: { heads: () => [] } } as unknown as World);
  const head = { source: SOURCE, seq: 2, hash: 'x' };
  checked(checker, [
    { is: 'told', by: { host, runMs: 0 }, input: { is: 'config' } },
    { is: 'told', by: { host, runMs: 0 }, input: { is: 'wanted', source: SOURCE, head, add: [], remove: [] } },
  ]);
  disk.heads.set(SOURCE, { seq: headSeq, snapshots });
  if (version === 1) disk.config = first as never;
  if (unwanted) disk.unwanted.set(PARCEL, 0);
  if (notNoted) disk.notNoted.add(PARCEL);
  return checker;
}

test('in full is seen what has gone back on a disk, and what is on its way out though the newest head lists it (I7)', t => {
  t.notThrows(() => actedOn().full());
  t.notThrows(() => actedOn({ headSeq: 3 }).full());
  t.throws(() => actedOn({ headSeq: 1 }).full(), { message: /^I7: h1 has gone back to head 1 / });
  t.throws(() => actedOn({ version: 1 }).full(), { message: /^I7: h1 has gone back to configuration 1/ });
  t.throws(() => actedOn({ unwanted: true }).full(), { message: /^I7: h1 takes 22222222 for unwanted, which head 2/ });
  t.notThrows(() => actedOn({ unwanted: true, notNoted: true }).full(), 'the disk would not take the note back');
});

const HEAD = { op: 'head', source: SOURCE, seq: 2 } as const;
const ADD = { op: 'add', parcel: PARCEL } as const;
const DEL = { op: 'del', parcel: PARCEL } as const;

/** A host counts one copy for head 2, of a peer whose stores have these logs; of each it has read so many operations. */
function counting({
  logs,
  read = logs.map(ops => ops.length),
  trust = 'trusted',
  origin = ORIGIN,
}: {
  logs: readonly (readonly object[])[];
  read?: readonly number[];
  trust?: string;
  origin?: HostId;
}) {
  const places = new Map(logs.map((ops, store) => [`digest of ${store}`, { log: { ops }, seq: read[store] }]));
  const positions = [...places].map(([digest, { seq }]) => ({
    host: PEER,
    position: { store: STORE, epoch: EPOCH, seq, digest },
  }));
  const known = { head: () => ({ seq: 2 }), copies: () => 1, positions: () => positions };
  const disk = {
    config: { members: [{ host: PEER, state: 'active', trust, domain: PEER }] },
    heads: new Map([[SOURCE, { seq: 2, snapshots: [{ refs: new Map([[PARCEL, {}]]) }] }]]),
  };
  const host = { number: 1, lost: false, disk, stores: [{ heads: new Map([[SOURCE, 2]]) }] };
  const by = { host, machine: { known } };
  const checker = new CountChecker({
    hosts: [{ ...host, running: by }],
    catalog: { parcel: () => ({ source: SOURCE, origin }) },
    listed: () => [{ parcel: { ref: { id: PARCEL } } }],
    logs: { placeOf: (digest: string) => places.get(digest) },
  } as unknown as World);
  return {
    disk,
    full: (): void => checker.full(),
    says: (seq: number): void => checked(checker, [{ is: 'durable', host, op: { ...HEAD, seq } }]),
    hears: (op: object): void => {
      const segment = { host: PEER, end: { store: STORE }, ops: [op] };
      checked(checker, [{ is: 'stepped', by, input: { is: 'log', segment } }]);
    },
    follows: (): void => checked(checker, [{ is: 'stepped', by, input: { is: 'wanted', source: SOURCE } }]),
  };
}

const UNFOUNDED = { message: 'I13: h1 counts 1 copies of 22222222 for head 2, and 0 holders have said so' };

test('a copy that counts is one of which its own store says both: that it is there, and the head (I13)', t => {
  t.notThrows(() => counting({ logs: [[HEAD, ADD]] }).full());
  t.throws(() => counting({ logs: [[HEAD], [ADD]] }).full(), UNFOUNDED);
  t.throws(() => counting({ logs: [[{ ...HEAD, seq: 1 }, ADD]] }).full(), UNFOUNDED);
  t.throws(() => counting({ logs: [[HEAD, ADD]], trust: 'untrusted' }).full(), UNFOUNDED);
  t.throws(() => counting({ logs: [[HEAD, ADD]], origin: PEER }).full(), UNFOUNDED);
});

test('… as far as its log has been read (I13)', t => {
  const logs = [[HEAD, ADD, DEL, ADD]];
  for (const read of [2, 4]) t.notThrows(() => counting({ logs, read: [read] }).full());
  for (const read of [1, 3]) t.throws(() => counting({ logs, read: [read] }).full(), UNFOUNDED);
});

test('… and that is looked for with what comes of a log, and with each new head (I13)', t => {
  const [right, wrong] = [counting({ logs: [[HEAD, ADD]] }), counting({ logs: [[HEAD], [ADD]] })];
  for (const op of [HEAD, ADD]) {
    t.notThrows(() => right.hears(op));
    t.throws(() => wrong.hears(op), UNFOUNDED);
  }
  t.notThrows(() => right.follows());
  t.throws(() => wrong.follows(), UNFOUNDED);
  // By an older head than is in force here nothing more counts.
  t.notThrows(() => wrong.hears({ ...HEAD, seq: 1 }));
});

test('a store that says it has a head, and whose host has it not, is seen as soon as it says so, and in full (I13)', t => {
  const { says, full, disk } = counting({ logs: [[HEAD, ADD]] });
  const because = (seq: number) => ({ message: `I13: h1 says that it holds head ${seq} of ${SOURCE}, and does not` });
  t.notThrows(() => says(2));
  t.throws(() => says(3), because(3));
  t.notThrows(() => full());
  disk.heads.clear();
  t.throws(() => full(), because(2));
});
