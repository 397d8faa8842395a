/**
 * Watch: what is written into a source that is watched is in a snapshot soon, unasked, and what its hooks write brings about no
 * further one; and where the kernel watches no more folders, there is an alarm and the schedule goes on.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { type JsonRecord, RealCluster } from '../helpers/real-cluster.js';

const BURST_FILES = 200;

test('what is written is in a snapshot without being asked for, all of a burst in one or two, and no hook is its own cause', async t => {
  const cluster = new RealCluster(t);
  const notes = cluster.makeFolder('notes');
  const app = cluster.makeFolder('app');
  const [a] = await cluster.found(['a', 'b']);
  const hook = join(a.state, 'hooks', 'note');
  writeFileSync(hook, '#!/bin/sh\nnow=$(date +%N)\necho "$now" > "$CLUSTER_PATH/$CLUSTER_HOOK.$now"\n');
  chmodSync(hook, 0o700);
  const plan = (watch: boolean) => ({
    defaults: { copies: 1 },
    hosts: {
      a: {
        sources: {
          notes: { path: notes, watch, every: '6h', exclude: ['*.tmp'] },
          app: { path: app, watch: true, before: 'note', after: 'note' },
        },
      },
      b: { stores: [{ path: cluster.makeFolder('b.store') }] },
    },
  });
  await cluster.apply(plan(true));
  const taken = (source: string): JsonRecord[] =>
    a.log().filter(({ code, source: of }) => code === 'SNAPSHOT_TAKEN' && String(of).endsWith(`/${source}`));
  const takes = (count: number): Promise<unknown> =>
    cluster.until(`${count} snapshots`, () => taken('notes').length >= count);

  await takes(1);
  writeFileSync(join(notes, 'first'), 'x');
  await takes(2);
  await a.sees('its copy', status => status.protected);
  const found = await a.records('ls', 'notes');
  t.true(
    found.some(({ path }) => path === 'first'),
    JSON.stringify(found),
  );

  const burst = join(notes, 'burst');
  mkdirSync(burst);
  for (let i = 0; i < BURST_FILES; i += 1) writeFileSync(join(burst, `${i}`), `${i}`);
  const isWhole = (): boolean => taken('notes').some(({ files }) => files === BURST_FILES + 1);
  await cluster.until('the burst is in a snapshot', isWhole);
  t.true(taken('notes').length <= 4, `${taken('notes').length} snapshots`);
  // Into a folder that was new just now; and time has gone by in which the hooks would have been their own cause.
  writeFileSync(join(burst, 'one more'), 'x');
  await cluster.until('what came into a new folder', () =>
    taken('notes').some(({ files }) => files === BURST_FILES + 2),
  );
  t.is(taken('app').length, 1);
  writeFileSync(join(app, 'by the application'), 'x');
  await cluster.until('the other source', () => taken('app').length === 2);
  t.deepEqual(
    (await a.status()).alarms.filter(({ code }) => code === 'NOT_WATCHED'),
    [],
  );

  // With the watching switched off only asking helps; it is over at once, not when the service stops.
  await cluster.apply(plan(false));
  const before = taken('notes').length;
  writeFileSync(join(notes, 'unnoticed'), 'x');
  writeFileSync(join(app, 'noticed'), 'x');
  await cluster.until('the other source again', () => taken('app').length === 3);
  t.is(taken('notes').length, before);
  await a.stop();
});

/** Starts a service for which the kernel watches no folder more than these, by a namespace of its own. */
const watchingAtMost = (folders: number): readonly string[] => [
  'unshare',
  '--user',
  '--map-root-user',
  'sh',
  '-c',
  `echo ${folders} > /proc/sys/user/max_inotify_watches && exec "$@"`,
  'sh',
];

test('where the kernel watches no more folders there is an alarm, and the schedule goes on', async t => {
  const [command = '', ...words] = watchingAtMost(2);
  if (spawnSync(command, [...words, 'true']).status !== 0) {
    t.log('skipped: no user namespaces can be made here');
    t.pass();
    return;
  }
  const cluster = new RealCluster(t);
  const notes = cluster.makeFolder('notes');
  for (const name of ['x', 'y', 'z']) mkdirSync(join(notes, name));
  const [a] = await cluster.found(['a'], { a: { by: watchingAtMost(2) } });
  const source = { path: notes, watch: true, every: '5s' };
  await cluster.apply({ defaults: { copies: 1 }, hosts: { a: { sources: { notes: source } } } });
  const { alarms } = await a.sees('the alarm', status => status.alarms.some(({ code }) => code === 'NOT_WATCHED'));
  t.regex(
    alarms.find(({ code }) => code === 'NOT_WATCHED')?.text ?? '',
    /source notes: .*\(ENOSPC\): raise fs\.inotify\.max_user_watches .* Snapshots are taken only every 5s/,
  );
  writeFileSync(join(notes, 'x', 'file'), 'x');
  await cluster.until('the schedule has it in a snapshot', () =>
    a.log().some(({ code, files }) => code === 'SNAPSHOT_TAKEN' && files === 1),
  );
  // Few enough: the next run watches.
  await cluster.apply({
    defaults: { copies: 1 },
    hosts: { a: { sources: { notes: { ...source, exclude: ['/y', '/z'] } } } },
  });
  await a.sees('no alarm', status => !status.alarms.some(({ code }) => code === 'NOT_WATCHED'));
  await a.stop();
});
