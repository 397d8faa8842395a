/**
 * Hanging disk: a host lends two stores, or has two sources, and the server of one does not answer any more. The host starts, takes
 * copies, backs up, answers and ends all the same.
 */
import test from 'ava';
import { FolderAway, whyNoFolderAway } from '../helpers/hanging-disk.js';
import { RealCluster } from '../helpers/real-cluster.js';
import { skip } from '../helpers/skip.js';
import { makePlainTree } from './plain-tree.js';

/** How long a host waits for a disk when it ends is a part of this. */
const TEST_MS_MAX = 240_000;

test.serial(
  'a host with a hanging disk starts, takes copies into its other store, answers, and ends by itself',
  async t => {
    const why = whyNoFolderAway();
    if (why !== undefined) return skip(t, why);
    t.timeout(TEST_MS_MAX);
    const cluster = new RealCluster(t);
    const source = cluster.makeFolder('src');
    makePlainTree(source, { files: 50, name: 'first' });
    const [away, here] = [cluster.makeFolder('away'), cluster.makeFolder('here')];
    const [a, b] = await cluster.found(['a', 'b']);
    await cluster.apply({
      hosts: {
        a: { sources: { pics: { path: source, copies: 1 } } },
        // The roomier one is chosen first.
        b: {
          stores: [
            { path: away, limit: '2 GB' },
            { path: here, limit: '1 GB' },
          ],
        },
      },
    });
    await a.ok('backup', 'pics', '--wait', '--timeout', '60s');
    await b.sees('both stores', ({ alarms }) => alarms.length === 0);
    const server = new FolderAway(t, away);

    server.goAway();
    makePlainTree(source, { files: 50, name: 'second' });
    // What is on its way into the store that hangs is waited for, but not until that one is missing.
    await a.ok('backup', 'pics', '--wait', '--timeout', '90s');
    t.true(b.log().some(({ path, code }) => path === away && code === 'STORE_HANGS'));
    t.false(b.log().some(({ path, because }) => path === away && /does not answer/.test(String(because))));
    // Something waits for it when the service is to end.
    void b.run('scrub');
    t.is((await b.status()).hosts.length, 2);
    await b.stop();
    t.true(b.log().some(({ path, because }) => path === away && /does not answer/.test(String(because))));

    await b.up();
    makePlainTree(source, { files: 50, name: 'third' });
    await a.ok('backup', 'pics', '--wait', '--timeout', '60s');
    t.is((await b.status()).hosts.length, 2);
    await b.kill();
  },
);

test.serial('a host with a hanging source starts, backs up its other sources, answers, and ends by itself', async t => {
  const why = whyNoFolderAway();
  if (why !== undefined) return skip(t, why);
  t.timeout(TEST_MS_MAX);
  const cluster = new RealCluster(t);
  const [nas, here, lent] = [cluster.makeFolder('nas'), cluster.makeFolder('here'), cluster.makeFolder('lent')];
  for (const folder of [nas, here]) makePlainTree(folder, { files: 50, name: 'first' });
  const [a] = await cluster.found(['a', 'b']);
  await cluster.apply({
    hosts: {
      a: { sources: { nas: { path: nas, copies: 1 }, here: { path: here, copies: 1 } } },
      b: { stores: [{ path: lent, limit: '1 GB' }] },
    },
  });
  await a.ok('backup', 'nas', '--wait', '--timeout', '60s');
  await a.stop();
  const server = new FolderAway(t, nas);
  server.goAway();
  await a.up();
  void a.run('backup', 'nas');
  makePlainTree(here, { files: 50, name: 'second' });
  await a.ok('backup', 'here', '--wait', '--timeout', '60s');
  t.is((await a.status()).hosts.length, 2);
  await a.stop();
  server.comeBack();
  await a.up();
  makePlainTree(nas, { files: 50, name: 'second' });
  await a.ok('backup', 'nas', '--wait', '--timeout', '60s');
});
