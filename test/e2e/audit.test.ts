/**
 * Audit, scrub and drill: a copy that rots where nobody looks is found because its own host reads it, another host asks
 * for it, or a person does, and made again.
 */
import { readFileSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { hashHex } from '../../src/core/hash.js';
import { compareTrees } from '../helpers/compare-trees.js';
import { contentsOf, countCopies, type StorePlace } from '../helpers/count-copies.js';
import { RealCluster } from '../helpers/real-cluster.js';
import { makePlainTree } from './plain-tree.js';

/** Every copy is read by its host, and asked for, once in so long; one audit a second at the most. */
const SCRUB = '10s';
/** A walk, and making the copy again; the rest is for a busy machine. */
const FOUND_MS_MAX = 120_000;

/** Of the same size and time as before: nothing but reading it tells. */
function overwrite(blob: string): void {
  const { atime, mtime, size } = statSync(blob);
  writeFileSync(blob, Buffer.alloc(size, 0x5a));
  utimesSync(blob, atime, mtime);
}

test.serial('rot that nothing else would find is found, and right copies are made again', async t => {
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
  const alarms = (await cluster.host(victim).status()).alarms;
  t.true(alarms.some(({ code, text }) => code === 'COPIES_DAMAGED' && text.includes(path)));
  await a.ok('status', '--wait', 'settled', '--timeout', '30s');
  t.deepEqual((await countCopies(stores)).wrong, []);
});

test.serial(
  'rot in the only copy is found by its own host, though its origin is gone, and the last copy is read on',
  async t => {
    const cluster = new RealCluster(t);
    const source = cluster.makeFolder('src');
    makePlainTree(source, { files: 60, name: 'files' });
    const store = cluster.makeFolder('b.store');
    const [a, b] = await cluster.found(['a', 'b']);
    await cluster.apply({
      defaults: { copies: 1 },
      hosts: { a: { sources: { pics: { path: source } } }, b: { stores: [{ path: store, limit: '1 GB' }] } },
      timing: { scrub: SCRUB },
    });
    await a.ok('backup', 'pics', '--wait', '--timeout', '60s');
    await a.kill();
    const scrubOf = async () => (await b.status()).hosts.find(({ self }) => self)?.stores[0]?.scrub;
    await cluster.until('the first cycle to end', async () => (await scrubOf())?.endedMs !== undefined, {
      withinMs: FOUND_MS_MAX,
    });
    const blob = hashHex(readFileSync(join(source, 'files/folder 0/file 7')));
    const path = join(store, '.blobs', blob.slice(0, 2), blob);
    const { atime, mtime, size } = statSync(path);
    writeFileSync(path, Buffer.alloc(size, 0x5a));
    utimesSync(path, atime, mtime);
    await cluster.until(
      'the rot to be found',
      async () => (await b.status()).alarms.some(({ code, text }) => code === 'COPIES_DAMAGED' && text.includes(store)),
      { withinMs: FOUND_MS_MAX },
    );
    t.true(b.log().some(({ code }) => code === 'PARCEL_CORRUPT'));
  },
);

/** Everything of `a` is on both. */
async function protectedOnBAndC(t: ExecutionContext) {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  makePlainTree(source, { files: 60, name: 'files' });
  const stores: StorePlace[] = ['b', 'c'].map(host => ({ host, path: cluster.makeFolder(`${host}.store`) }));
  const [a, b, c] = await cluster.found(['a', 'b', 'c']);
  t.is((await a.run('drill', '--files', '3')).code, 22, 'there is nothing to try yet');
  await cluster.apply({
    defaults: { copies: 2 },
    hosts: {
      a: { sources: { pics: { path: source } } },
      ...Object.fromEntries(stores.map(({ host, path }) => [host, { stores: [{ path, limit: '1 GB' }] }])),
    },
  });
  await a.ok('backup', 'pics', '--wait', '--timeout', '60s');
  const contents = [...(await contentsOf(source)).keys()];
  return { a, b, c, stores, contents };
}

test.serial('a scrub finds rot now', async t => {
  const { a, b, c, stores, contents } = await protectedOnBAndC(t);
  t.regex(await b.ok('scrub'), /in 1 store: all as they should be/);
  t.regex(await a.ok('scrub'), /0 parcels, 0 B, in 0 stores/);
  const [, { path }] = stores as [StorePlace, StorePlace];
  const scrubAfterRot = () => {
    for (const content of contents.slice(0, 2)) overwrite(join(path, '.blobs', content.slice(0, 2), content));
    return c.run('scrub');
  };
  let found = await scrubAfterRot();
  // A minute after its start the service scrubs by itself, once for as long as this test takes. Then it was before us,
  // and had a second to make the copy again.
  if (found.code === 0 && c.log().some(({ code }) => code === 'PARCEL_CORRUPT')) found = await scrubAfterRot();
  t.is(found.code, 1, found.out);
  t.regex(found.err, /[12] parcels? had wrong or missing bytes: they no longer count, and are fetched again/);
  t.true((await c.status()).alarms.some(({ code }) => code === 'COPIES_DAMAGED'));
  await c.ok('status', '--wait', 'protected', '--timeout', '60s');
  t.regex(await c.ok('scrub'), /all as they should be/);
  await b.sees('that the other host has an alarm', ({ hosts }) => hosts.find(({ name }) => name === 'c')?.alarms === 1);
  t.regex(await b.ok('status'), /^1 alarm on c: 'cluster status' there says more$/m);
  t.deepEqual((await countCopies(stores)).wrong, []);
});

test.serial('a drill says what a restore would find', async t => {
  const { a, b, c, contents } = await protectedOnBAndC(t);
  const tried = await a.records('drill', 'pics', '--files', '7');
  const { bytes, ...summary } = tried.pop() ?? {};
  t.deepEqual(summary, { message_type: 'drill_summary', tried: 7, failed: 0 });
  t.is(
    bytes,
    tried.reduce((sum, one) => sum + Number(one.bytes), 0),
  );
  t.is(tried.length, 7);
  t.true(tried.every(({ restored, bytes }) => restored === true && Number(bytes) > 0));
  t.is(new Set(tried.map(({ path }) => path)).size, 7);
  t.true((await c.records('drill', '--files', '500')).length <= contents.length + 1);
  t.is((await a.run('drill', 'pics', '--files', '0')).code, 2);
  t.is((await a.run('drill', 'nothing')).code, 2);

  // With nobody there who has it, a restore would fail, though the origin has every file and its name: so does the drill.
  await b.stop();
  await c.stop();
  // Also when they have been away for so long that nothing counts as protected any more.
  await a.sees(
    'both away',
    ({ hosts, protected: all }) => !all && hosts.filter(({ state }) => state === 'active').length === 1,
  );
  const failed = await a.run('drill', 'pics', '--files', '2');
  t.is(failed.code, 22, failed.out);
  t.regex(failed.err, /pics, .*: no host gives the record that names the files in it; held by b, c/);
});

test.serial('when one file of the last copy is wrong, all others are restored, and that one is named', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  makePlainTree(source, { files: 60, name: 'files' });
  const store = cluster.makeFolder('b.store');
  const [a, b, c] = await cluster.found(['a', 'b', 'c']);
  await cluster.apply({
    defaults: { copies: 1 },
    hosts: { a: { sources: { pics: { path: source } } }, b: { stores: [{ path: store, limit: '1 GB' }] } },
  });
  await a.ok('backup', 'pics', '--wait', '--timeout', '60s');
  const [snapshot] = await c.records('snapshots', 'pics');
  await a.kill();
  const wrong = 'files/folder 0/file 7';
  const blob = hashHex(readFileSync(join(source, wrong)));
  writeFileSync(join(store, '.blobs', blob.slice(0, 2), blob), 'not what it was');
  t.is((await b.run('scrub')).code, 1);
  await c.sees('that there is no copy any more', ({ sources }) => sources.some(({ parcels }) => parcels.haveMin === 0));
  for (const host of [b, c]) {
    const target = cluster.path(`out of ${host.name}`);
    const restored = await host.run('restore', `pics@${snapshot?.id}`, '--target', target);
    t.is(restored.code, 3, restored.err);
    t.regex(restored.err, /files\/folder 0\/file 7: no host that is up can give it/);
    t.is(restored.err.match(/no host that is up can give it/g)?.length, 1);
    t.deepEqual(compareTrees(source, target, { except: [wrong, '.scatterhoard-restore'] }), []);
  }
});
