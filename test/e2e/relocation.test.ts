/**
 * Relocation: where each host still has room, but none the one that is missing, copies move so that everything fits.
 */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { compareTrees } from '../helpers/compare-trees.js';
import { contentsOf, countCopies, type StorePlace } from '../helpers/count-copies.js';
import { RealCluster } from '../helpers/real-cluster.js';

/** Each a parcel of its own. */
const FILE_BYTES = 8 * 1024 * 1024;
/** Seven files and what belongs to them; not eight. */
const LIMIT = '62 MB';
const TIMING = { relocate: '1s', dropBackOff: '200ms', attempt: '10s' };
/** Two moves of one file each, one after the other, and the copies that then fit; the rest is for a busy machine. */
const FITS_MS_MAX = 90_000;

test('a parcel that fits on no host that lacks it finds room when another host takes something over', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  const write = (from: number, to: number): void => {
    for (let i = from; i < to; i += 1) writeFileSync(join(source, `${i}.bin`), randomBytes(FILE_BYTES));
  };
  const stores: StorePlace[] = ['b', 'c', 'd'].map(host => ({ host, path: cluster.makeFolder(`${host}.store`) }));
  const [a] = await cluster.found(['a', 'b', 'c', 'd']);
  const lend = (hosts: readonly StorePlace[]): Promise<unknown> =>
    cluster.apply({
      defaults: { copies: 2 },
      hosts: {
        a: { sources: { pics: { path: source } } },
        ...Object.fromEntries(hosts.map(({ host, path }) => [host, { stores: [{ path, limit: LIMIT }] }])),
      },
      timing: TIMING,
    });

  // b and c hold the same six, and have room for one more each.
  write(0, 6);
  await lend(stores.slice(0, 2));
  await a.ok('backup', 'pics', '--wait', '--timeout', '60s');
  // Of four more d takes one copy each, and has room for three more; b and c take the other copy of one each.
  write(6, 10);
  await lend(stores);
  await a.ok('backup', 'pics', '--wait', '--timeout', `${FITS_MS_MAX / 1_000}s`);

  const contents = [...(await contentsOf(source)).keys()];
  const counts = await cluster.until(
    'exactly two copies of everything',
    async () => {
      const { copies, wrong } = await countCopies(stores);
      t.deepEqual(wrong, [], 'no wrong bytes at any time');
      const now = contents.map(hash => copies.get(hash)?.hosts.length ?? 0);
      return now.every(count => count === 2) && now;
    },
    { withinMs: FITS_MS_MAX },
  );
  t.is(counts.length, 10);
  const moved = ['b', 'c'].flatMap(host => cluster.host(host).log()).filter(({ code }) => code === 'PARCEL_DROPPED');
  t.true(moved.length >= 2, 'at least two copies had to leave');
  await a.kill();
  await cluster.host('b').ok('restore', 'pics', '--target', cluster.path('out'));
  t.deepEqual(compareTrees(source, cluster.path('out')), []);
});
