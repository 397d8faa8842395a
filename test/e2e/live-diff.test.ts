/** Live diff: a person asks on the source's own host what is another than in a snapshot. Nobody needs to have a copy of it. */
import { chmodSync, chownSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { serviceAt } from '../../src/daemon/control-client.js';
import type { LiveDiffReport } from '../../src/daemon/service.js';
import { type JsonRecord, RealCluster } from '../helpers/real-cluster.js';
import { unprivileged } from '../helpers/unprivileged.js';

test('the folder is compared with its newest snapshot or with a named one, and no snapshot is taken', async t => {
  const cluster = new RealCluster(t);
  const launch = unprivileged();
  const source = cluster.makeFolder('src');
  const write = (name: string, text: string): void => {
    writeFileSync(join(source, name), text);
    if (launch.owner !== undefined) chownSync(join(source, name), launch.owner, launch.owner);
  };
  const makeFolder = (name: string): void => {
    mkdirSync(join(source, name));
    if (launch.owner !== undefined) chownSync(join(source, name), launch.owner, launch.owner);
  };
  for (const name of ['a', 'b', 'c.tmp', 'locked']) write(name, name);
  const [a, b] = await cluster.found(['a', 'b'], { a: launch });
  await cluster.apply({ hosts: { a: { sources: { pics: { path: source, every: '365d', exclude: ['*.tmp'] } } } } });
  await a.ok('backup', 'pics');
  const [first, ...more] = await a.records('snapshots', 'pics');
  const id = String(first?.id).slice(0, 8);

  const nothing = await a.run('diff', 'pics');
  t.is(nothing.out, '');
  t.regex(nothing.err, /and the folder as it is now\n0 entries new, 0 gone, 0 changed/);
  t.is(nothing.code, 0);

  write('a', 'another');
  write('new', 'four');
  write('d.tmp', 'excluded');
  rmSync(join(source, 'b'));
  const { out, err, code } = await a.run('diff', 'pics');
  t.is(out, 'M    a\n-    b\n+    new\n');
  t.regex(err, /\n1 entry new, 1 gone, 1 changed; 11 B new, 2 B gone\n$/);
  t.is(code, 0);
  t.is((await a.run('diff', `pics@${id}:new`)).out, '+    new\n');
  const records = await a.records('diff', 'pics');
  t.deepEqual(records.slice(0, -1), [
    { message_type: 'change', path: 'a', modifier: 'M' },
    { message_type: 'change', path: 'b', modifier: '-' },
    { message_type: 'change', path: 'new', modifier: '+' },
  ]);
  t.like(records.at(-1), { message_type: 'statistics', added: 1, removed: 1, content: 1, unread: 0 });

  // As the next backup finds it; and that one is not taken by looking.
  t.is((await a.records('snapshots', 'pics')).length, 1 + more.length);
  await a.ok('backup', 'pics');
  t.is((await a.run('diff', 'pics')).out, '');
  t.is((await a.run('diff', `pics@${id}`)).out, out);

  // What cannot be read is neither gone nor the same.
  chmodSync(join(source, 'locked'), 0);
  const locked = await a.run('diff', 'pics');
  t.is(locked.out, '');
  t.regex(locked.err, /\nnot read, so not compared: locked: EACCES\n/);
  t.is(locked.code, 3);
  t.is((await a.run('diff', 'pics:new')).code, 0);
  chmodSync(join(source, 'locked'), 0o644);

  // Of many only the first are named, and each folder once, whatever it held.
  const many = Array.from({ length: 104 }, (_, n) => `m${String(n).padStart(3, '0')}`);
  makeFolder('folder');
  for (const name of ['folder/1', 'folder/2', 'folder/3', ...many]) write(name, name);
  await a.ok('backup', 'pics');
  for (const name of ['folder', ...many]) chmodSync(join(source, name), 0);
  const hidden = await a.run('diff', 'pics');
  t.is(hidden.out, '');
  t.is(hidden.err.match(/\nnot read, so not compared: (folder|m\d{3}): EACCES/g)?.length, 100);
  t.regex(hidden.err, /\n… and 5 more in this source not read\n/);
  t.is(hidden.code, 3);
  const within = await a.run('diff', 'pics:folder/2');
  t.regex(within.err, /not compared: folder: EACCES/, 'what is above hides it');
  t.is(within.code, 3);

  const unknown = await a.run('diff', 'pics:nowhere/at/all');
  t.is(unknown.code, 2);
  t.regex(unknown.err, /neither snapshot [0-9a-f]{8} nor the folder has such a path/);

  // Nobody is told that all was deleted when it is only not there.
  renameSync(source, `${source}.away`);
  const away = await a.run('diff', 'pics');
  t.is(away.code, 1);
  t.is(away.out, '');
  t.regex(away.err, /nothing of source pics was compared: .*src is missing/);
  renameSync(`${source}.away`, source);

  await cluster.until('b knows the source', async () => (await b.run('ls', `pics@${id}`)).code === 0);
  const elsewhere = await b.run('--json', 'diff', 'pics');
  t.is(elsewhere.code, 2);
  t.like(JSON.parse(elsewhere.err), { code: 'ORIGIN_ELSEWHERE' });
  t.regex(elsewhere.err, /the folder of pics is on a, its origin; run this there/);
});

test('diff waits for a running backup, and compares with its snapshot', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('src');
  writeFileSync(join(source, 'a'), 'a');
  const [a] = await cluster.found(['a']);
  const plan = (before: object) => ({
    hosts: { a: { sources: { pics: { path: source, every: '365d', ...before } } } },
  });
  await cluster.apply(plan({}));
  await a.ok('backup', 'pics');

  const [begun, go] = [cluster.path('begun'), cluster.path('go')];
  // For a minute at the most, if nobody is there any more to let it go on.
  const hook = `#!/bin/sh\n: > ${begun}\nfor _ in $(seq 1200); do [ -e ${go} ] && exit; sleep 0.05; done\nexit 1\n`;
  cluster.makeFolder('a.state/hooks', { mode: 0o700 });
  writeFileSync(join(a.state, 'hooks', 'slow'), hook, { mode: 0o700 });
  await cluster.apply(plan({ before: 'slow' }));
  const backup = a.run('--json', 'backup', 'pics');
  await cluster.until('the backup has begun', () => existsSync(begun));
  writeFileSync(join(source, 'b'), 'b');

  const calledOff = new AbortController();
  const idle = serviceAt(a.state).liveDiff({ spec: 'pics' }, calledOff.signal)[Symbol.asyncIterator]();
  t.deepEqual((await idle.next()).value, { kind: 'waits' });
  const reports: LiveDiffReport[] = [];
  for await (const report of serviceAt(a.state).liveDiff({ spec: 'pics' }, AbortSignal.timeout(60_000))) {
    reports.push(report);
    if (report.kind !== 'waits') continue;
    // One that nobody waits for any more stands before it, and goes.
    calledOff.abort(new Error('enough'));
    await t.throwsAsync(async () => idle.next(), { message: 'enough' });
    writeFileSync(go, '');
  }
  const taken = JSON.parse((await backup).out) as JsonRecord;
  t.is(reports.length, 2);
  t.like(reports[1], { kind: 'against', snapshot: { id: taken.id } });
});
