/** Little room: what has no place on any host is an alarm, until a store lends more. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { RealCluster } from '../helpers/real-cluster.js';

test('a file that is larger than a store raises an alarm on every host, which ends when the store lends more', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  writeFileSync(join(source, 'film.bin'), randomBytes(30_000_000));
  const [a, b, c] = await cluster.found(['a', 'b', 'c']);
  const stores = { b: cluster.makeFolder('b.store'), c: cluster.makeFolder('c.store') };
  const lend = (limit: string): Promise<void> =>
    cluster.apply({
      defaults: { copies: 2 },
      hosts: {
        a: { sources: { films: { path: source } } },
        b: { stores: [{ path: stores.b, limit: '1 GB' }] },
        c: { stores: [{ path: stores.c, limit }] },
      },
      timing: { relocate: '1s' },
    });
  await lend('5 MB');
  await a.ok('backup', 'films');
  for (const host of [a, b, c])
    await host.sees('the alarm', ({ alarms }) => alarms.some(({ code }) => code === 'TOO_LITTLE_ROOM'));
  const { code, out } = await a.run('status');
  t.is(code, 20);
  t.regex(out, /TOO_LITTLE_ROOM.*source films: 1 parcel .* it needs 30 MB in one store.* free in one is [45]\S* MB/);

  await lend('1 GB');
  await a.ok('status', '--wait', 'protected', '--timeout', '60s');
  for (const host of [a, b, c]) await host.sees('that it is over', ({ alarms }) => alarms.length === 0);
  t.is((await a.run('status', '--check')).code, 0);
});
