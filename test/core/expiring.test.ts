import test from 'ava';
import { decideExpiry, type ExpiryView, ExpiryWarrant } from '../../src/core/expiry.js';
import { parseHostId, parseParcelId, parseStoreId, sourceIdOf } from '../../src/core/ids.js';
import { MIB, type SmallHost, SmallWorld } from '../helpers/small-world.js';

const DAY_MS = 24 * 3_600_000;
const SOURCE = sourceIdOf(parseHostId('a'.repeat(32)), 'photos');
const COPY = { parcel: parseParcelId('b'.repeat(64)), store: parseStoreId('c'.repeat(32)) };

const view = (changes: Partial<ExpiryView> = {}): ExpiryView => ({
  source: SOURCE,
  wanted: false,
  headSeq: 5,
  heardSeq: 5,
  runMs: 10 * DAY_MS,
  unwantedSinceRunMs: 3 * DAY_MS,
  gcGraceMs: 7 * DAY_MS,
  busy: false,
  ...changes,
});

test('what nobody has wanted for the whole grace expires, and not a moment sooner', t => {
  t.deepEqual(decideExpiry(view()), { act: 'expire' });
  t.deepEqual(decideExpiry(view({ runMs: 10 * DAY_MS - 1 })), { act: 'wait', untilRunMs: 10 * DAY_MS });
});

test('nothing expires by a head that is not the newest heard of, by none, or while somebody reads it', t => {
  t.deepEqual(decideExpiry(view({ heardSeq: 6 })), { act: 'keep', because: 'head-behind' });
  t.deepEqual(decideExpiry(view({ headSeq: 0, heardSeq: 0 })), { act: 'keep', because: 'no-head' });
  t.deepEqual(decideExpiry(view({ busy: true })), { act: 'keep', because: 'busy' });
  t.deepEqual(decideExpiry(view({ wanted: true })), { act: 'keep', because: 'wanted' });
});

test('whose a parcel is that no page names is asked before it goes', t => {
  t.deepEqual(decideExpiry(view({ source: undefined })), { act: 'identify' });
});

test('there is no warrant but on the verdict to expire', t => {
  t.like(ExpiryWarrant.from(view(), COPY), { ...COPY, source: SOURCE, headSeq: 5 });
  for (const change of [{ wanted: true }, { busy: true }, { heardSeq: 6 }, { source: undefined }, { runMs: 0 }]) {
    t.is(ExpiryWarrant.from(view(change), COPY), undefined);
  }
});

const HOUR_MS = 3_600_000;
const GRACE = { timing: { gcGraceMs: 3 * HOUR_MS } };

test('parcels that no snapshot lists any more leave every holder after the grace, and the others stay', t => {
  const world = new SmallWorld([{}, {}, {}, {}], GRACE);
  const [origin] = world.hosts as [SmallHost];
  world.run(2_000);
  const parcels = world.backUp(
    origin,
    Array.from({ length: 10 }, () => ({ bytes: MIB })),
  );
  world.run(300_000);
  const [first, second, ...kept] = parcels as [(typeof parcels)[0], (typeof parcels)[0], ...typeof parcels];
  world.forget(origin, [first, second]);
  world.run(2.9 * HOUR_MS);
  t.is(world.trueHolders(first).length, 2);
  world.run(0.5 * HOUR_MS);
  t.deepEqual(
    [first, second].map(id => world.trueHolders(id).length),
    [0, 0],
  );
  t.true(kept.every(id => world.trueHolders(id).length === 2));
  t.true(world.hosts.flatMap(host => host.removed).every(({ because }) => because === 'expired'));
});

test('what is wanted again before its time is up stays', t => {
  const world = new SmallWorld([{}, {}, {}, {}], GRACE);
  const [origin] = world.hosts as [SmallHost];
  world.run(2_000);
  const [parcel] = world.backUp(origin, [{ bytes: MIB }]) as [ReturnType<SmallWorld['backUp']>[0]];
  world.run(300_000);
  const before = world.sources.get(sourceIdOf(origin.id, 'photos'))?.parcels ?? [];
  world.forget(origin, [parcel]);
  world.run(2.9 * HOUR_MS);
  world.list(origin, before);
  world.run(4 * HOUR_MS);
  t.is(world.trueHolders(parcel).length, 2);
});
