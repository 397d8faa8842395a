/**
 * Audit: a copy that rots where nobody looks is found because another host asks for it, and made again.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { contentsOf, countCopies, type StorePlace } from '../helpers/count-copies.js';
import { RealCluster } from '../helpers/real-cluster.js';
import { makePlainTree } from './plain-tree.js';

/** Every copy is asked for once in so long; one audit a second at the most. */
const SCRUB = '10s';
/** A walk, and making the copy again; the rest is for a busy machine. */
const FOUND_MS_MAX = 120_000;

test.serial('rot that nothing else would find is found by an audit', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  makePlainTree(source, { files: 8, name: 'files' });
  const stores: StorePlace[] = ['b', 'c', 'd'].map(host => ({ host, path: cluster.makeFolder(`${host}.store`) }));
  const [a] = await cluster.found(['a', 'b', 'c', 'd']);
  await cluster.apply({
    defaults: { copies: 2 },
    hosts: {
      a: { sources: { pics: { path: source } } },
      ...Object.fromEntries(stores.map(({ host, path }) => [host, { stores: [{ path, limit: '1 GB' }] }])),
    },
    timing: { scrub: SCRUB },
  });
  await a.ok('backup', 'pics', '--wait', '--timeout', '60s');
  const [rotten = ''] = [...(await contentsOf(source)).keys()];
  const [victim = ''] = (await countCopies(stores)).copies.get(rotten)?.hosts ?? [];
  const path = stores.find(({ host }) => host === victim)?.path ?? '';
  writeFileSync(join(path, '.blobs', rotten.slice(0, 2), rotten), 'not what it was');
  await cluster.until(
    'the rot to be found, and two right copies',
    async () => {
      const { copies, wrong } = await countCopies(stores);
      return wrong.length === 0 && copies.get(rotten)?.hosts.length === 2;
    },
    { withinMs: FOUND_MS_MAX },
  );
  await cluster.until('word of the rot in the log', () =>
    cluster
      .host(victim)
      .log()
      .some(({ code }) => code === 'PARCEL_CORRUPT'),
  );
  await a.ok('status', '--wait', 'settled', '--timeout', '30s');
  t.deepEqual((await countCopies(stores)).wrong, []);
});
