/**
 * Restart: what a host holds, it holds after a restart, without a byte over the network; also when its index is gone.
 */
import { existsSync, lstatSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { inventory } from '../helpers/blob-inventory.js';
import { compareTrees } from '../helpers/compare-trees.js';
import { contentsOf, countCopies, type StorePlace } from '../helpers/count-copies.js';
import { RealCluster } from '../helpers/real-cluster.js';
import { makePlainTree } from './plain-tree.js';

/** One for all: an origin and two holders. */
const cluster = new RealCluster({ teardown: end => test.after.always('the cluster ends', end) });
const source = cluster.makeFolder('src');
const stores: readonly StorePlace[] = ['b', 'c'].map(host => ({ host, path: cluster.makeFolder(`${host}.store`) }));

test.before('a cluster with everything protected', async () => {
  makePlainTree(source, { files: 500, name: 'files' });
  const [a] = await cluster.found(['a', 'b', 'c']);
  await cluster.apply({
    defaults: { copies: 2 },
    hosts: {
      a: { sources: { pics: { path: source } } },
      ...Object.fromEntries(stores.map(({ host, path }) => [host, { stores: [{ path, limit: '1 GB' }] }])),
    },
  });
  await a.ok('backup', 'pics', '--wait', '--timeout', '60s');
  await a.ok('status', '--wait', 'settled', '--timeout', '60s');
});

const settled = async (): Promise<void> => {
  for (const name of ['a', 'b', 'c']) {
    await cluster.host(name).sees('everything protected and settled, by three hosts', status => {
      return status.protected && status.settled && status.hosts.every(({ state }) => state === 'active');
    });
  }
};

/** As a test finds it, whatever the one before has left: all hosts run, and every content is in both stores. */
async function protectedCluster(t: ExecutionContext) {
  const hosts = [cluster.host('a'), cluster.host('b'), cluster.host('c')] as const;
  await Promise.all(hosts.filter(({ pid }) => pid === undefined).map(host => host.up()));
  await settled();
  const contents = await contentsOf(source);
  const everythingTwice = async (): Promise<void> => {
    const { copies, wrong } = await countCopies(stores);
    t.deepEqual(wrong, []);
    t.deepEqual(
      [...contents.keys()].filter(hash => copies.get(hash)?.hosts.length !== 2),
      [],
    );
  };
  await everythingTwice();
  return { hosts, everythingTwice };
}

test.serial('a host that is restarted keeps its copies and fetches nothing again', async t => {
  const { hosts, everythingTwice } = await protectedCluster(t);
  const [a, b, c] = hosts;
  const before = inventory(stores);
  // Cleanly, and as when the plug is pulled.
  await b.stop();
  await b.up();
  await c.kill();
  await c.up();
  await settled();
  t.deepEqual(inventory(stores), before);
  await everythingTwice();
  const again = (await a.records('backup', 'pics', '--wait', '--timeout', '30s')).at(-1);
  t.like(again, { message_type: 'snapshot', protected: true, unchanged: true, stale: 0, missed: 0 });
  t.deepEqual(inventory(stores), before);
});

test.serial('a whole cluster that is switched off and on settles again without moving a byte', async t => {
  const { hosts, everythingTwice } = await protectedCluster(t);
  const [a, b, c] = hosts;
  const before = inventory(stores);
  // Whatever was not written down is gone: all at once, no good-bye.
  await Promise.all(hosts.map(host => host.kill()));
  await Promise.all(hosts.map(host => host.up()));
  await settled();
  t.deepEqual(inventory(stores), before);

  await Promise.all(hosts.map(host => host.stop()));
  await Promise.all([b, c].map(host => host.up()));
  // The origin stays away: the others know of themselves what there is to restore.
  // A store comes a moment after its host, and what is in it cannot be given before.
  await c.sees('the stores of both', ({ hosts: all }) =>
    all.every(
      ({ name, state, stores: lent }) =>
        name === 'a' || (state === 'active' && lent.length === 1 && lent.every(({ mounted }) => mounted)),
    ),
  );
  await c.ok('restore', 'pics', '--target', cluster.path('without its origin'));
  t.deepEqual(compareTrees(source, cluster.path('without its origin')), []);
  await a.up();
  await a.ok('status', '--wait', 'settled', '--timeout', '60s');
  t.deepEqual(inventory(stores), before);
  await everythingTwice();
});

test.serial('an index that is removed is rebuilt from the data that it describes, and nothing is lost', async t => {
  const { hosts, everythingTwice } = await protectedCluster(t);
  const [a, b, c] = hosts;
  const before = inventory(stores);
  for (const host of hosts) {
    await host.stop();
    rmSync(join(host.state, 'index'), { recursive: true });
  }
  for (const host of hosts) await host.up();
  await settled();
  await everythingTwice();
  t.deepEqual(inventory(stores), before, 'no copy was fetched or written again');

  // Everything is hashed again, and found to be what it was.
  const [again] = await a.records('backup', 'pics');
  t.like(again, { unchanged: true, stale: 0, missed: 0 });
  await a.kill();
  await b.kill();
  await c.ok('restore', 'pics', '--target', cluster.path('of a new index'));
  t.deepEqual(compareTrees(source, cluster.path('of a new index')), []);
});

test.serial(
  'an index that crashes the process is set aside after a few starts, and rebuilt; a command does the same',
  async t => {
    const { hosts, everythingTwice } = await protectedCluster(t);
    const [, b] = hosts;
    const before = inventory(stores);
    const running = await b.run('rebuild-index');
    t.is(running.code, 1);
    t.regex(running.err, /held by the running process \d+: stop it.*nothing was changed/);

    await b.stop();
    const database = join(b.state, 'index', 'holdings', 'data.mdb');
    writeFileSync(database, Buffer.alloc(lstatSync(database).size, 0x5a));
    let failed = 0;
    const starts = async (): Promise<boolean> => {
      try {
        await b.up();
        return true;
      } catch {
        failed += 1;
        return false;
      }
    };
    await cluster.until('a start that lasts', starts);
    t.is(failed, 3);
    await b.sees('everything protected', status => status.protected);
    const alarms = async (): Promise<unknown[]> => (await b.status()).alarms.map(({ code }) => code);
    t.true((await alarms()).includes('INDEX_DAMAGED'));
    await everythingTwice();
    t.deepEqual(inventory(stores), before);

    await b.stop();
    t.regex(await b.ok('rebuild-index'), /no copy and no snapshot was in it/);
    t.false(existsSync(join(b.state, 'index')));
    await b.up();
    await b.sees('everything protected', status => status.protected);
    t.false((await alarms()).includes('INDEX_DAMAGED'));
    t.deepEqual(inventory(stores), before);
    await b.ok('restore', 'pics', '--target', cluster.path('of one made anew'));
    t.deepEqual(compareTrees(source, cluster.path('of one made anew')), []);
  },
);
