/**
 * Hooks: a database that is being written to all the time comes back whole, from what its `before` hook has put beside it; and
 * where that hook fails there is no snapshot, and somebody is told.
 */
import { chmodSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import sqlite from 'node-sqlite3-wasm';
import { makeSqlite, scriptWith } from '../helpers/hook-page.js';
import { RealCluster } from '../helpers/real-cluster.js';

/** What all accounts have together, in whatever state the database is. */
const SUM = 10_000;
/** As an application with some hundred transactions a second. */
const WRITE_EVERY_MS = 3;

test('a database that is written to comes back whole, and a hook that fails is an alarm', async t => {
  const cluster = new RealCluster(t);
  const source = cluster.makeFolder('app');
  const [a, b] = await cluster.found(['a', 'b']);
  const install = (name: string, text: string): void => {
    mkdirSync(join(a.state, 'hooks'), { recursive: true });
    writeFileSync(join(a.state, 'hooks', name), text);
    chmodSync(join(a.state, 'hooks', name), 0o700);
  };
  const programs = cluster.makeFolder('programs');
  makeSqlite(programs);
  // The script of the page itself.
  install('dump', scriptWith('sqlite3 app.db').replace('\n', `\nPATH=${programs}:$PATH\n`));
  install('note', `#!/bin/sh\necho "$CLUSTER_HOOK $CLUSTER_OUTCOME $CLUSTER_ERROR" >> ${cluster.path('notes')}\n`);
  const notes = (): string[] => readFileSync(cluster.path('notes'), 'utf8').trim().split('\n');

  const db = new sqlite.Database(join(source, 'app.db'));
  db.exec('CREATE TABLE account (id INTEGER PRIMARY KEY, amount INTEGER); CREATE TABLE move (id INTEGER PRIMARY KEY)');
  for (let id = 0; id < 100; id += 1) db.run('INSERT INTO account VALUES (?, ?)', [id, SUM / 100]);
  let moves = 0;
  const move = (): void => {
    db.exec('BEGIN IMMEDIATE');
    db.run('UPDATE account SET amount = amount - 1 WHERE id = ?', [moves % 100]);
    db.run('UPDATE account SET amount = amount + 1 WHERE id = ?', [(moves * 7 + 1) % 100]);
    db.run('INSERT INTO move DEFAULT VALUES');
    db.exec('COMMIT');
    moves += 1;
  };
  let writing = true;
  t.teardown(async () => {
    writing = false;
    await writer.finally(() => db.close());
  });
  const writer = (async () => {
    while (writing) {
      try {
        move();
      } catch (error) {
        // The hook is reading: a real application would wait, too.
        if (!String(error).includes('locked')) throw error;
        if (db.inTransaction) db.exec('ROLLBACK');
      }
      await delay(WRITE_EVERY_MS);
    }
  })();

  await cluster.apply({
    defaults: { copies: 1 },
    hosts: {
      a: {
        sources: {
          app: {
            path: source,
            exclude: ['app.db*', 'dump.tmp'],
            before: 'dump',
            after: 'note',
            onFailure: 'note',
          },
        },
      },
      b: { stores: [{ path: cluster.makeFolder('b.store') }] },
    },
  });
  // The next run replaces the dump of this one: it must have its copy by then.
  await a.sees('a first snapshot, with its copy', status => status.protected);
  const movesBefore = moves;
  await a.ok('backup', 'app', '--wait', '--timeout', '60s');
  writing = false;
  await writer;
  t.true(notes().includes('after taken '), notes().join('\n'));

  renameSync(join(source, 'app.db'), cluster.path('away'));
  const failed = await a.run('backup', 'app');
  t.is(failed.code, 1);
  t.regex(failed.err, /source app: its before hook dump failed: it ended with 1; .*app\.db is gone, or empty/);
  t.regex(notes().at(-1) ?? '', /^onFailure .*its before hook dump failed/);
  await a.sees('the alarm', ({ alarms }) => alarms.some(({ code }) => code === 'HOOK_FAILED'));
  const count = (await a.records('snapshots', 'app')).length;
  renameSync(cluster.path('away'), join(source, 'app.db'));
  await a.ok('backup', 'app');
  t.is((await a.records('snapshots', 'app')).length, count + 1, 'none was taken when the hook failed');
  await a.sees('no alarm', ({ alarms }) => !alarms.some(({ code }) => code === 'HOOK_FAILED'));

  await a.kill();
  const [first] = await b.records('snapshots', 'app');
  await b.ok('restore', `app@${String(first?.id).slice(0, 8)}`, '--target', cluster.path('first'));
  await b.ok('restore', 'app', '--target', cluster.path('out'));
  for (const folder of ['first', 'out']) {
    t.deepEqual(readdirSync(cluster.path(folder)), ['dump.db'], folder);
    const restored = new sqlite.Database(cluster.path(folder, 'dump.db'));
    t.deepEqual(restored.all('PRAGMA integrity_check'), [{ integrity_check: 'ok' }]);
    t.deepEqual(restored.all('SELECT SUM(amount) AS sum FROM account'), [{ sum: SUM }]);
    const [row] = restored.all('SELECT COUNT(*) AS moves FROM move') as [{ moves: number }];
    if (folder === 'out') t.true(row.moves > movesBefore && row.moves <= moves, `${row.moves} of ${moves}`);
    restored.close();
  }
});
