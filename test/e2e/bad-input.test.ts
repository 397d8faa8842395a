/**
 * Bad input: sources that no file system should have, and a machine that has no room left. What is wrong is said, with its exit
 * code, and nothing of the snapshots before is lost.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { atProcessEnd } from '../helpers/at-process-end.js';
import { compareTrees } from '../helpers/compare-trees.js';
import { RealCluster } from '../helpers/real-cluster.js';
import { skip } from '../helpers/skip.js';
import { fillDisk } from '../helpers/small-disk.js';
import { makePlainTree } from './plain-tree.js';

/** Two hosts for all that need no more: each test has a source of its own there. */
const shared = new RealCluster({ teardown: end => test.after.always('the cluster ends', end) });

test.before('two hosts', async () => {
  await shared.found(['a', 'b']);
});

async function backedUp(name: string, { prepare }: { readonly prepare?: (source: string) => void } = {}) {
  const source = shared.makeFolder(name);
  makePlainTree(source, { files: 40, name: 'files' });
  prepare?.(source);
  await protect(shared, source, name);
  return { cluster: shared, source, a: shared.host('a'), b: shared.host('b') };
}

async function protect(cluster: RealCluster, path: string, name: string): Promise<void> {
  const hosts = {
    a: { sources: { [name]: { path, every: '7d' } } },
    b: { stores: [{ path: cluster.makeFolder('b.store'), limit: '1 GB' }] },
  };
  // The source of the test before goes.
  await cluster.apply({ defaults: { copies: 1 }, hosts }, { yes: true });
  await cluster.host('a').ok('status', '--wait', 'protected', '--timeout', '60s');
}

/** A folder below `top` whose path, from there, has so many bytes. Made step by step: no call takes a name that long. */
function makeDeep(top: string, bytes: number): string {
  const names: string[] = [];
  for (let left = bytes; left > 0; left -= 201) names.push('d'.repeat(Math.min(200, left)));
  execFileSync(
    'sh',
    ['-c', 'for name; do mkdir -p "$name" && cd -P "$name" || exit; done; echo deep > file', 'sh', ...names],
    {
      cwd: top,
    },
  );
  return names.join('/');
}

test.serial('a path of 4,000 bytes comes back; a file too deep for any path is missed, and named', async t => {
  const { cluster, source, a, b } = await backedUp('deep', {
    prepare: top => void makeDeep(join(top, 'files'), 3_980),
  });
  await b.ok('restore', 'deep', '--target', cluster.path('out of deep'));
  t.deepEqual(compareTrees(source, cluster.path('out of deep')), []);
  const asked = await b.run('ls', `deep:${'n'.repeat(4_000)}`);
  t.is(asked.code, 2);
  t.regex(asked.err, /has no such path/);

  makeDeep(source, 4_600);
  const taken = await a.run('backup', 'deep');
  t.is(taken.code, 3, taken.err);
  t.regex(taken.err, /not read: d{200}.*TOO_LONG/);
  t.regex(taken.out, /41 files.*partial/);
  // As rm does it, for the test's own clearing cannot.
  execFileSync('rm', ['-rf', join(source, 'd'.repeat(200))]);
  t.is((await a.run('backup', 'deep')).code, 0);
});

test.serial('a source that disappears while it is read does not count as empty: what it had stays listed', async t => {
  const { cluster, source, a, b } = await backedUp('goes');
  for (let n = 0; n < 60; n += 1) {
    mkdirSync(join(source, `more ${n}`));
    for (let m = 0; m < 10; m += 1) writeFileSync(join(source, `more ${n}`, `${m}`), `${n} ${m}`);
  }
  await a.ok('backup', 'goes', '--wait', '--timeout', '60s');
  const away = cluster.path('away');
  for (let n = 0; n < 60; n += 1) appendFileSync(join(source, `more ${n}`, '0'), 'changed');
  const running = a.run('backup', 'goes');
  // Anywhere between its beginning and its end.
  await cluster.until('the scan is at it', async () => (await a.run('snapshots', 'goes')).code === 0);
  renameSync(source, away);
  const ended = await running;
  t.true([0, 1, 3].includes(ended.code ?? -1), ended.err);
  const after = await a.run('backup', 'goes');
  t.is(after.code, 1);
  t.regex(after.err, /goes was not backed up: .*its earlier snapshots are kept/);
  t.true((await a.status()).alarms.some(({ code }) => code === 'SOURCE_MISSING'));
  // A run that was done before that has listed what nobody can be given while the source is away.
  if (ended.code === 1) await a.ok('status', '--wait', 'protected', '--timeout', '60s');
  const [newest] = (await a.records('snapshots', 'goes')).slice(-1);
  t.is(newest?.files, 640);
  await b.ok('restore', 'goes', '--target', cluster.path('out of goes'));

  renameSync(away, source);
  await a.ok('backup', 'goes', '--wait', '--timeout', '60s');
  t.false((await a.status()).alarms.some(({ code }) => code === 'SOURCE_MISSING'));
  await b.ok('restore', 'goes', '--target', cluster.path('again'));
  t.deepEqual(compareTrees(source, cluster.path('again')), []);
});

test.serial('a file that keeps growing is never torn: it comes back as it was at one moment', async t => {
  const { cluster, source, a, b } = await backedUp('grows');
  const log = join(source, 'log');
  const line = `${'l'.repeat(99)}\n`;
  writeFileSync(log, line.repeat(50_000));
  const writer = setInterval(() => appendFileSync(log, line), 1);
  t.teardown(() => clearInterval(writer));
  const taken = await a.run('backup', 'grows');
  t.true([0, 3].includes(taken.code ?? -1), taken.err);
  if (taken.code === 3) t.regex(taken.err, /not read: log: /);
  clearInterval(writer);
  const last = await a.run('backup', 'grows', '--wait', '--timeout', '60s');
  t.is(last.code, 0, last.err);
  await b.ok('restore', 'grows', '--target', cluster.path('out of grows'));
  t.deepEqual(compareTrees(source, cluster.path('out of grows')), []);
});

test.serial('an origin whose disk is full says so, keeps what it had, and goes on when there is room', async t => {
  const cluster = new RealCluster(t);
  const a = cluster.add('a');
  const b = cluster.add('b');
  mkdirSync(a.state, { mode: 0o700 });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m,mode=700', 'tmpfs', a.state], { stdio: 'pipe' });
  } catch (error) {
    return skip(t, `no small file system can be made here (${error instanceof Error ? error.message : error})`);
  }
  const unmount = (): void => void execFileSync('umount', ['--lazy', a.state]);
  const forget = atProcessEnd(unmount);
  t.teardown(() => {
    unmount();
    forget();
  });
  await a.init();
  await a.up();
  await b.join(await a.invite());
  await b.up();
  const source = cluster.makeFolder('src');
  makePlainTree(source, { files: 40, name: 'files' });
  await protect(cluster, source, 'pics');
  const before = await a.records('snapshots', 'pics');

  const { bavail, bsize } = statfsSync(a.state);
  writeFileSync(join(a.state, 'filler'), Buffer.alloc(bavail * bsize - 16_384));
  for (let n = 0; n < 100; n += 1) {
    mkdirSync(join(source, `more ${n}`));
    for (let m = 0; m < 30; m += 1) writeFileSync(join(source, `more ${n}`, `${m}`), `${n} ${m}`);
  }
  const full = await a.run('backup', 'pics');
  t.is(full.code, 1, full.out);
  t.regex(full.err, /no room left|\d+ bytes left/);
  t.regex(full.err, /(earlier snapshots are as they were|What was stored before is as it was)/);
  t.deepEqual(await a.records('snapshots', 'pics'), before);
  t.true((await a.status()).alarms.some(({ code, text }) => code === 'BACKUP_FAILED' && text.includes('pics')));

  fillDisk(join(a.state, 'rest'));
  for (const args of [['invite'], ['config', 'add-source', 'a', 'more', source], ['backup', 'pics']]) {
    const { code, err } = await a.run(...args);
    t.is(code, 1, args.join(' '));
    t.true(err.includes(`no room left on the disk of ${a.state}`), err);
    t.regex(err, /What was stored before is as it was. Make room on it, then try again/);
  }
  const { alarms } = await a.status();
  t.true(alarms.some(({ code, text }) => code === 'BACKUP_FAILED' && text.includes(`disk of ${a.state}`)));

  rmSync(join(a.state, 'rest'));
  rmSync(join(a.state, 'filler'));
  await a.ok('backup', 'pics', '--wait', '--timeout', '60s');
  t.false((await a.status()).alarms.some(({ code }) => code === 'BACKUP_FAILED'));
  await b.ok('restore', 'pics', '--target', cluster.path('out'));
  t.deepEqual(compareTrees(source, cluster.path('out')), []);
});
