/** Planned stores: what a host would lend by another policy, and what of that is only guessed. */
import test from 'ava';
import { type HostId, parseStoreId } from '../../src/core/ids.js';
import { lentAfter, plannedStores } from '../../src/daemon/planned-stores.js';
import type { Lending, StoreSetting } from '../../src/membership/policy.js';

const limit = (bytes: number): Lending => ({ kind: 'limit', bytes });
const reserve = (bytes: number): Lending => ({ kind: 'reserve', bytes });
const SHARE: Lending = { kind: 'reserve-share', percent: 10 };
const setting = (path: string, lends: Lending, draining = false): StoreSetting => ({
  path,
  name: undefined,
  lends,
  draining,
});
const storeAt = (path: string | undefined, digit: string, lentBytes = 100) => ({
  id: parseStoreId(digit.repeat(32)),
  ...(path === undefined ? {} : { path }),
  lentBytes,
  usedBytes: 10,
  mounted: true,
});
const hostWith = (...stores: ReturnType<typeof storeAt>[]) => ({ id: 'a'.repeat(32) as HostId, name: 'mini', stores });

test('what a store lends by another rule is reckoned where its disk does not matter, and else a guess that is told', t => {
  const cases: readonly [was: Lending, now: Lending, lent: number, then: number, isGuess: boolean][] = [
    [limit(100), limit(100), 100, 100, false],
    [limit(100), limit(60), 100, 60, false],
    [limit(100), limit(300), 100, 300, true],
    // It lends less than it may: that is all that its disk has.
    [limit(100), limit(300), 80, 80, false],
    [limit(100), reserve(30), 80, 50, false],
    [limit(100), reserve(30), 100, 100, true],
    [reserve(30), reserve(50), 80, 60, false],
    [reserve(30), reserve(10), 80, 100, false],
    [reserve(30), reserve(200), 80, 0, false],
    [reserve(30), limit(90), 80, 90, false],
    [reserve(30), limit(500), 80, 110, false],
    [SHARE, limit(50), 80, 50, false],
    [SHARE, limit(500), 80, 500, true],
    [reserve(30), SHARE, 80, 80, true],
  ];
  for (const [was, now, lent, then, isGuess] of cases) {
    const { lentBytes, guess } = lentAfter(was, now, lent);
    t.deepEqual([lentBytes, guess !== undefined], [then, isGuess], JSON.stringify({ was, now, lent }));
  }
});

test('stores stay, leave and come as the policy has them', t => {
  const before = [setting('/a', limit(100)), setting('/b', limit(100)), setting('/c', limit(100))];
  const after = [
    setting('/a', limit(60)),
    setting('/c', limit(100), true),
    setting('/d', limit(500)),
    setting('/e', SHARE),
  ];
  const host = hostWith(storeAt('/a', '1'), storeAt('/b', '2'), storeAt('/c', '3'));
  const { stores, guesses } = plannedStores(host, { before, after });
  t.deepEqual(
    stores.map(({ path, lentBytes, usedBytes, draining }) => [path, lentBytes, usedBytes, draining]),
    [
      ['/a', 60, 10, false],
      ['/c', 100, 10, true],
      ['/d', 500, 0, false],
      ['/e', 0, 0, false],
    ],
  );
  t.is(new Set(stores.map(({ id }) => id)).size, 4);
  t.is(guesses.length, 2);
  t.regex(guesses[0] ?? '', /^mini:\/d is new: .* its limit allows$/);
  t.regex(guesses[1] ?? '', /^mini:\/e is new, .*: none is counted$/);
});

test('where only the host itself knows which store is which, they are counted as they are', t => {
  const host = hostWith(storeAt(undefined, '1'), storeAt(undefined, '2'));
  const before = [setting('/a', limit(100)), setting('/b', limit(100))];
  const changed = plannedStores(host, { before, after: [setting('/a', limit(100))] });
  t.deepEqual(changed.stores, host.stores);
  t.regex(changed.guesses.join(), /known on mini alone.*plan it there/);
  t.deepEqual(plannedStores(host, { before, after: before }), { stores: host.stores, guesses: [] });
});

test('a store of the policy that is not there now does not come into being by a change of another one', t => {
  const before = [setting('/a', limit(100)), setting('/away', limit(100))];
  const { stores } = plannedStores(hostWith(storeAt('/a', '1')), {
    before,
    after: [setting('/a', limit(50)), setting('/away', limit(100))],
  });
  t.deepEqual(
    stores.map(({ path }) => path),
    ['/a'],
  );
});
