/**
 * Healing: hosts come and go, and every parcel has its copies; no more and no others than it should.
 */
import test from 'ava';
import { compareTrees } from '../helpers/compare-trees.js';
import { type CopyCount, contentsOf, countCopies, type StorePlace } from '../helpers/count-copies.js';
import { type Plan, RealCluster } from '../helpers/real-cluster.js';
import { makePlainTree } from './plain-tree.js';

const COPIES = 2;
/** `dead` is 8 s; then claims, ranks and fetches; the rest is for a busy machine. */
const HEALED_MS_MAX = 30_000;

const planFor = (source: string, lending: readonly StorePlace[], timing: NonNullable<Plan['timing']> = {}): Plan => ({
  defaults: { copies: COPIES },
  timing,
  hosts: {
    a: { sources: { pics: { path: source } } },
    ...Object.fromEntries(lending.map(({ host, path }) => [host, { stores: [{ path, limit: '1 GB' }] }])),
  },
});

const hostsOf = ({ copies }: CopyCount, hash: string): readonly string[] => copies.get(hash)?.hosts ?? [];

/** Has not N copies, nor N + 1, as it may where two hosts could not hear each other's claims in time. */
const wronglyCopied = (count: CopyCount, contents: readonly string[]): readonly string[] =>
  contents
    .map(hash => `${hash} on ${hostsOf(count, hash).join()}`)
    .filter((_, index) => {
      const { length } = hostsOf(count, contents[index] ?? '');
      return length < COPIES || length > COPIES + 1;
    });

test.serial('a host that joins late takes its share of later copies, and earlier copies stay in place', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  makePlainTree(source, { files: 400, name: 'before' });
  const stores: StorePlace[] = ['b', 'c', 'd'].map(host => ({ host, path: cluster.makeFolder(`${host}.store`) }));
  const [a] = await cluster.found(['a', 'b', 'c']);
  // Where content is already is a question of rank, and only who is not served within a step is passed over: a busy machine
  // takes longer than the 600 ms of other tests.
  const timing = { step: '5s' };
  await cluster.apply(planFor(source, stores.slice(0, 2), timing));
  await a.ok('backup', 'pics', '--wait', '--timeout', '60s');
  const before = [...(await contentsOf(source)).keys()];

  const d = cluster.add('d');
  await d.join(await a.invite());
  await d.up();
  await cluster.apply(planFor(source, stores, timing));
  await a.sees('that d lends room', ({ hosts }) => hosts.some(({ name, lentBytes }) => name === 'd' && lentBytes > 0));
  makePlainTree(source, { files: 1500, name: 'after' });
  await a.ok('backup', 'pics', '--wait', '--timeout', '60s');

  const count = await countCopies(stores);
  const after = [...(await contentsOf(source)).keys()].filter(hash => !before.includes(hash));
  t.deepEqual(count.wrong, []);
  t.deepEqual(
    before.filter(hash => hostsOf(count, hash).join() !== 'b,c'),
    [],
    'nothing has moved',
  );
  t.deepEqual(wronglyCopied(count, after), [], 'two copies of everything new');
  // Two of three equal hosts, so two thirds on the average; some 23 parcels of very different sizes.
  const share = after.filter(hash => hostsOf(count, hash).includes('d')).length / after.length;
  t.true(share > 0.1, `d holds ${Math.round(share * 100)} % of what was added`);
});

test.serial('when a holder dies, all has its copies again within the configured time, byte for byte', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  makePlainTree(source, { files: 800, name: 'files' });
  const holders = ['b', 'c', 'd', 'e'];
  const stores: StorePlace[] = holders.map(host => ({ host, path: cluster.makeFolder(`${host}.store`) }));
  const [a] = await cluster.found(['a', 'b', 'c', 'd', 'e']);
  await cluster.apply(planFor(source, stores));
  await a.ok('backup', 'pics', '--wait', '--timeout', '60s');
  const contents = [...(await contentsOf(source)).keys()];
  const healthy = await countCopies(stores);
  t.deepEqual(wronglyCopied(healthy, contents), []);

  // Whoever holds most: the others may have had no turn yet when everything was there.
  const heldBy = (host: string): string[] => contents.filter(hash => hostsOf(healthy, hash).includes(host));
  const [lost = '', survivor = ''] = holders.sort((x, y) => heldBy(y).length - heldBy(x).length);
  const victim = cluster.host(lost);
  await victim.kill();
  const diedMs = Date.now();
  const living = stores.filter(({ host }) => host !== lost);
  const healed = await cluster.until(
    'two copies of everything on the hosts that are left',
    async () => {
      const count = await countCopies(living);
      t.deepEqual(count.wrong, [], 'no wrong bytes at any time');
      return contents.every(hash => hostsOf(count, hash).length >= COPIES) && count;
    },
    { withinMs: HEALED_MS_MAX },
  );
  t.log(`healed after ${Date.now() - diedMs} ms`);
  t.deepEqual(wronglyCopied(healed, contents), []);
  t.deepEqual(
    [...healed.copies.keys()].filter(hash => !contents.includes(hash)),
    [],
    'nothing else was fetched',
  );
  await a.ok('status', '--wait', 'protected', '--timeout', '30s');

  // The dead one comes back with its copies: one too many of what was repaired, and all that it held.
  await victim.up();
  const { sources } = await a.sees('the dead one again, and its copies', status => {
    return status.hosts.every(({ state }) => state === 'active') && (status.sources[0]?.parcels.over ?? 0) > 0;
  });
  t.is(sources[0]?.parcels.under, 0);
  const whole = await countCopies(stores);
  t.deepEqual(whole.wrong, []);
  t.deepEqual(
    heldBy(lost).filter(hash => !hostsOf(whole, hash).includes(lost)),
    [],
  );

  // Its own copies are not even needed.
  await a.kill();
  await victim.kill();
  await cluster.host(survivor).ok('restore', 'pics', '--target', cluster.path('out'));
  t.deepEqual(compareTrees(source, cluster.path('out')), []);
});
