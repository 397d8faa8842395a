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
    machine: { reservedBytes: () => reserved },
    mountedStores: () => [store],
    promisedBytes: () => reserved,
  };
  for (const lentBytes of wasCut ? [2 * lent, lent] : [lent])
    checked(checker, [{ is: 'told', by, input: { is: 'store', store: STORE, lentBytes } }]);
  for (const bytes of promised) {
    reserved = bytes;
    checked(checker, [{ is: 'stepped', by }]);
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
