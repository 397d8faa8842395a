/**
 * Own heads: the file by which an origin numbers its heads is gone, or another one is damaged, and nobody is there to ask. No number
 * is given twice, and no snapshot leaves the list.
 */
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { decodeHead } from '../../src/catalog/head.js';
import { RealCluster } from '../helpers/real-cluster.js';

test.serial('an origin alone, without the file of its last head, continues above the head in its catalog', async t => {
  const cluster = new RealCluster(t);
  const path = cluster.makeFolder('src');
  const [a] = await cluster.found(['a']);
  const sources = { pics: { path } };
  await cluster.apply({ hosts: { a: { sources } } });
  const headIn = (folder: string): string => {
    const [name = ''] = readdirSync(join(a.state, 'catalog', folder)).filter(file => file.endsWith('.head'));
    return join(a.state, 'catalog', folder, name);
  };
  const seq = (): number => decodeHead(readFileSync(headIn('heads'))).seq;
  const listed = async (): Promise<unknown[]> => (await a.records('snapshots', 'pics')).map(({ id }) => id);
  const backUp = async (): Promise<unknown> => {
    writeFileSync(join(path, 'file'), `${Math.random()}`);
    return (await a.records('backup', 'pics')).at(-1)?.id;
  };
  await a.sees('the first snapshot', status => status.sources[0]?.lastSnapshot !== undefined);
  const first = [...(await listed()), await backUp()];
  t.is(first.length, 2);
  const before = seq();

  await a.stop();
  rmSync(headIn('own-heads'));
  await a.up();
  const second = [...first, await backUp()];
  t.deepEqual(await listed(), second);
  t.true(seq() > before);

  // The last byte is one of the signature: it can be read, and is nobody's word.
  await a.stop();
  const damaged = readFileSync(headIn('heads'));
  damaged[damaged.length - 1] = (damaged.at(-1) ?? 0) ^ 1;
  writeFileSync(headIn('heads'), damaged);
  await a.up();
  const third = [...second, await backUp()];
  t.deepEqual(await listed(), third);
  t.regex(JSON.stringify(a.log()), /HEAD_UNREADABLE/);

  // Of a forgotten source the catalog has a head that wants nothing: it counts all the same.
  await cluster.apply({ hosts: { a: { sources: {} } } }, { yes: true });
  await a.ok('forget', 'pics', '--archived', '--yes');
  const forgotten = seq();
  await a.stop();
  rmSync(headIn('own-heads'));
  await a.up();
  await cluster.apply({ hosts: { a: { sources } } });
  const anew = await cluster.until('it is backed up anew', async () => seq() > forgotten && (await listed()));
  t.is(anew.length, 1);
  t.false(third.includes(anew[0]));
});

test.serial('a damaged file of the last head stops only its own source, until the file is moved away', async t => {
  const cluster = new RealCluster(t);
  const [a] = await cluster.found(['a']);
  const [docs, pics] = [cluster.makeFolder('docs'), cluster.makeFolder('pics')];
  const stores = [{ path: cluster.makeFolder('store', { mode: 0o700 }), limit: '1 GB' }];
  await cluster.apply({ hosts: { a: { stores, sources: { docs: { path: docs }, pics: { path: pics } } } } });
  await a.sees('both', ({ sources }) => sources.every(({ lastSnapshot }) => lastSnapshot !== undefined));
  await a.stop();
  const file = join(a.state, 'catalog', 'own-heads', 'docs.head');
  const damaged = readFileSync(file);
  damaged[20] = (damaged[20] ?? 0) ^ 1;
  writeFileSync(file, damaged);

  await a.up();
  await a.ok('backup', 'pics');
  const refused = await a.run('backup', 'docs');
  t.not(refused.code, 0);
  t.regex(refused.err, /docs\.head is damaged.*all are kept.*move the file away/);
  const { alarms, hosts } = await a.status();
  t.deepEqual(
    alarms.map(({ code }) => code).filter(code => code !== 'TOO_FEW_HOSTS'),
    ['HEAD_DAMAGED'],
  );
  t.true(hosts[0]?.stores[0]?.mounted);
  t.is((await a.records('snapshots', 'docs')).length, 1);

  renameSync(file, join(cluster.makeFolder('away'), 'docs.head'));
  await a.ok('backup', 'docs');
  t.is((await a.records('snapshots', 'docs')).length, 2);
  t.is(decodeHead(readFileSync(file)).seq, 2);
});
