/**
 * Surplus: copies that are too many go, one read from disk for each that goes, and never one that is needed.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { compareTrees } from '../helpers/compare-trees.js';
import { contentsOf, countCopies, type StorePlace } from '../helpers/count-copies.js';
import { type Plan, RealCluster } from '../helpers/real-cluster.js';
import { makePlainTree } from './plain-tree.js';

const HOLDERS = ['b', 'c', 'd', 'e'];
const TIMING = { surplus: '1s', dropBackOff: '200ms', attempt: '10s' };
/** A second of surplus, then attempts that void each other; the rest is for a busy machine. */
const DROPPED_MS_MAX = 60_000;

/** Five hosts; `a` has a source, and the others hold it. */
class House {
  readonly cluster: RealCluster;
  readonly source: string;
  readonly stores: StorePlace[];

  constructor(t: { teardown(end: () => Promise<void>): void }) {
    this.cluster = new RealCluster(t);
    this.source = this.cluster.makeFolder('src');
    this.stores = HOLDERS.map(host => ({ host, path: this.cluster.makeFolder(`${host}.store`) }));
  }

  async found(): Promise<void> {
    makePlainTree(this.source, { files: 120, name: 'files' });
    await this.cluster.found(['a', 'b', 'c', 'd', 'e']);
  }

  planFor(wanted: number): Plan {
    return {
      defaults: { copies: wanted },
      hosts: {
        a: { sources: { pics: { path: this.source } } },
        ...Object.fromEntries(this.stores.map(({ host, path }) => [host, { stores: [{ path, limit: '1 GB' }] }])),
      },
      timing: TIMING,
    };
  }

  /** So many copies of everything, and nothing pending, whatever a test before has left. */
  async fill(t: ExecutionContext, copies: number) {
    const a = this.cluster.host('a');
    if (a.pid === undefined) await a.up();
    await this.cluster.apply(this.planFor(copies));
    await a.ok('backup', 'pics', '--wait', '--timeout', '60s');
    await a.ok('status', '--wait', 'settled', '--timeout', '60s');
    const contents = [...(await contentsOf(this.source)).keys()];
    const countEach = async (): Promise<readonly number[]> => {
      const { copies: found, wrong } = await countCopies(this.stores);
      t.deepEqual(wrong, [], 'no wrong bytes at any time');
      return contents.map(hash => found.get(hash)?.hosts.length ?? 0);
    };
    return { a, contents, countEach };
  }
}

/** For the two that lower N. */
const house = new House({ teardown: end => test.after.always('the house ends', end) });

test.before('five hosts', () => house.found());

test.serial('when N is lowered the surplus goes to the trash, and the remaining copies restore', async t => {
  const { cluster, source, stores } = house;
  const { a, countEach } = await house.fill(t, 4);
  await cluster.apply(house.planFor(2), { yes: true });
  const counts = await cluster.until(
    'exactly two copies of everything',
    async () => {
      const now = await countEach();
      t.true(Math.min(...now) >= 2, 'never fewer than are wanted');
      return now.every(count => count === 2) && now;
    },
    { withinMs: DROPPED_MS_MAX },
  );
  t.true(counts.length > 0);
  t.true(stores.some(({ path }) => readdirSync(join(path, '.trash')).length > 0));
  await a.ok('status', '--wait', 'settled', '--timeout', '30s');
  const dropped = HOLDERS.flatMap(host => cluster.host(host).log()).filter(({ code }) => code === 'PARCEL_DROPPED');
  t.true(dropped.length > 0);
  t.true(dropped.every(({ granters }) => Array.isArray(granters) && granters.length === 2));
  await a.kill();
  await cluster.host('b').ok('restore', 'pics', '--target', cluster.path('out'));
  t.deepEqual(compareTrees(source, cluster.path('out')), []);
});

test.serial('a copy that has rotted unnoticed is not relied on: it is found, and made again', async t => {
  const { cluster, stores } = house;
  const { a, contents } = await house.fill(t, 3);
  const { copies: before } = await countCopies(stores);
  // Of three copies of one content one rots: with N lowered to two, neither of the others may go for it.
  const [rotten = ''] = contents;
  const [victim = ''] = before.get(rotten)?.hosts ?? [];
  const path = stores.find(({ host }) => host === victim)?.path ?? '';
  writeFileSync(join(path, '.blobs', rotten.slice(0, 2), rotten), 'not what it was');
  await cluster.apply(house.planFor(2), { yes: true });
  await cluster.until(
    'two right copies of what rotted, and no wrong one',
    async () => {
      const { copies, wrong } = await countCopies(stores);
      const counts = contents.map(hash => (copies.get(hash)?.hosts ?? []).length);
      t.true(Math.min(...counts) >= 2, 'never fewer right copies than are wanted');
      return wrong.length === 0 && copies.get(rotten)?.hosts.length === 2;
    },
    { withinMs: DROPPED_MS_MAX },
  );
  await a.ok('status', '--wait', 'settled', '--timeout', '30s');
  await cluster.until('word of the rot in the log', () =>
    cluster
      .host(victim)
      .log()
      .some(({ code }) => code === 'PARCEL_CORRUPT'),
  );
});

/** Two copies of everything, and who holds most. Of its own: who has dropped a parcel does not take it back at once, and others would stand in for it. */
async function aFullHouse(t: ExecutionContext) {
  const house = new House(t);
  const { cluster, stores } = house;
  await house.found();
  const { a, contents, countEach } = await house.fill(t, 2);
  const { copies } = await countCopies(stores);
  const heldBy = (host: string) => contents.filter(hash => copies.get(hash)?.hosts.includes(host)).length;
  const [fullest = ''] = [...HOLDERS].sort((x, y) => heldBy(y) - heldBy(x));
  t.true(heldBy(fullest) > 0);
  return { cluster, stores, a, contents, countEach, fullest };
}

test.serial(
  'a drained store becomes empty, everything keeps its copies all the while, and the store can be used again',
  async t => {
    const { cluster, stores, a, countEach, fullest: owner } = await aFullHouse(t);
    const leaving = stores.find(({ host }) => host === owner)?.path ?? '';
    const second = cluster.makeFolder(`${owner}.second`);
    await a.ok('config', 'add-store', owner, second, '--limit', '1 GB');
    t.regex(
      (await a.run('drain', `${owner}:${second}x`)).err,
      new RegExp(`no store at ${second}x \\(it has: ${leaving}, ${second}\\)`),
    );
    stores.push({ host: owner, path: second });
    await a.ok('drain', `${owner}:${leaving}`);
    await cluster.until(
      'nothing left in the store that drains',
      async () => {
        t.true(Math.min(...(await countEach())) >= 2, 'never fewer than are wanted');
        return (await countCopies([{ host: owner, path: leaving }])).copies.size === 0;
      },
      { withinMs: DROPPED_MS_MAX },
    );
    await a.ok('status', '--wait', 'settled', '--timeout', '30s');
    t.true(Math.min(...(await countEach())) >= 2);
    const hosts = await cluster.host(owner).ok('hosts');
    t.regex(
      hosts,
      new RegExp(`${owner} \\(here\\)\tactive\t1 GB\t.*\t2; ${leaving} is draining: empty`),
      'its room is not lent',
    );
    await a.ok('drain', `${owner}:${leaving}`, '--undo');
    await cluster.until(
      'the store takes copies again',
      async () => !/draining/.test(await cluster.host(owner).ok('hosts')),
    );
  },
);

test.serial('a drained host becomes empty while everything keeps its copies', async t => {
  const { cluster, stores, a, contents, countEach, fullest: leaving } = await aFullHouse(t);
  const refused = await a.run('revoke', leaving);
  t.is(refused.code, 2, 'its copies are needed');
  await a.ok('drain', leaving);
  await cluster.until(
    'nothing left on the host that drains',
    async () => {
      t.true(Math.min(...(await countEach())) >= 2, 'never fewer than are wanted');
      const { copies: now } = await countCopies(stores.filter(({ host }) => host === leaving));
      return now.size === 0;
    },
    { withinMs: DROPPED_MS_MAX },
  );
  await a.ok('revoke', leaving);
  const left = await countCopies(stores.filter(({ host }) => host !== leaving));
  t.deepEqual(
    contents.filter(hash => left.copies.get(hash)?.hosts.length !== 2),
    [],
  );
});
