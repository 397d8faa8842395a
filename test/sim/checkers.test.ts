/** Checkers: each sees what it is there for, from happenings that are made up. */
import test from 'ava';
import { FetcherChecker } from '../../sim/checkers/fetchers.js';
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

function promises({ promised, lent, wasCut = false }: { promised: readonly number[]; lent: number; wasCut?: boolean }) {
  const checker = new WordChecker({ hosts: [] } as unknown as World);
  const store = { id: STORE };
  let reserved = 0;
  const by = {
    host: { number: 1, stores: [store] },
    machine: { known: { reservedBytes: () => reserved } },
    mountedStores: () => [store],
    promisedBytes: () => reserved,
  };
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
