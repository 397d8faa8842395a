/**
 * Watch: what is written into a source that is watched is in a snapshot soon, unasked, and what its hooks write brings about no
 * further one; and where the kernel watches no more folders, there is an alarm and the schedule goes on.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type JsonRecord, type Plan, RealCluster, type SourcePlan } from '../helpers/real-cluster.js';
import { skip } from '../helpers/skip.js';
import { isWatchedByKernel } from '../helpers/watched-by-kernel.js';

const BURST_FILES = 200;

test('what is written gets into a snapshot unasked, a whole burst into one or two, and no hook triggers itself', async t => {
  const cluster = new RealCluster(t);
  const notes = cluster.makeFolder('notes');
  const app = cluster.makeFolder('app');
  const [a] = await cluster.found(['a', 'b']);
  const hook = join(a.state, 'hooks', 'note');
  writeFileSync(hook, '#!/bin/sh\nnow=$(date +%N)\necho "$now" > "$CLUSTER_PATH/$CLUSTER_HOOK.$now"\n');
  chmodSync(hook, 0o700);
  const watched = {
    notes: { path: notes, watch: true, every: '6h', exclude: ['*.tmp'] },
    app: { path: app, watch: true, before: 'note', after: 'note' },
  };
  const plan = (sources: Readonly<Record<string, SourcePlan>>): Plan => ({
    defaults: { copies: 1 },
    hosts: { a: { sources }, b: { stores: [{ path: cluster.makeFolder('b.store') }] } },
  });
  await cluster.apply(plan(watched));
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

  // What the policy wants watched no more is not, at once.
  const isWatched = (path: string): boolean => isWatchedByKernel(path, { pid: a.pid });
  const isTold = isWatched(notes);
  t.is(isWatched(app), isTold);
  await cluster.apply(plan({ notes: { ...watched.notes, watch: false }, app: watched.app }));
  await cluster.until('the first is watched no more', () => !isWatched(notes));
  t.is(isWatched(app), isTold);
  await cluster.apply(plan({ notes: watched.notes }), { yes: true });
  await cluster.until('the first is watched again', () => isWatched(notes) === isTold);
  t.false(isWatched(app));
  await a.stop();
});

/** Starts a service with a limit of its own, by a namespace of its own; undefined where none can be made. */
function limited(limit: string, most: number): readonly string[] | undefined {
  const by = [
    'unshare',
    '--user',
    '--map-root-user',
    'sh',
    '-c',
    `echo ${most} > /proc/sys/user/${limit} && exec "$@"`,
    'sh',
  ];
  const [command = '', ...words] = by;
  return spawnSync(command, [...words, 'true']).status === 0 ? by : undefined;
}

/** A host whose source `notes` has three folders and is watched, and what its alarm says; undefined where there can be none. */
async function aLimitedHost(t: ExecutionContext, limit: string, most: number) {
  const by = limited(limit, most);
  if (by === undefined) {
    skip(t, 'no user namespace can be made here');
    return undefined;
  }
  const cluster = new RealCluster(t);
  const path = cluster.makeFolder('notes');
  for (const name of ['x', 'y', 'z']) mkdirSync(join(path, name));
  const [a] = await cluster.found(['a'], { a: { by } });
  const apply = (exclude: readonly string[]): Promise<void> => {
    const notes = { path, watch: true, every: '5s', exclude };
    return cluster.apply({ defaults: { copies: 1 }, hosts: { a: { sources: { notes } } } });
  };
  await apply([]);
  const alarm = await cluster.until('an alarm', async () =>
    (await a.status()).alarms.find(({ code }) => code === 'NOT_WATCHED'),
  );
  return { cluster, a, path, apply, text: alarm.text };
}

test('where the kernel watches no more folders there is an alarm, and the schedule goes on', async t => {
  const host = await aLimitedHost(t, 'max_inotify_watches', 2);
  if (host === undefined) return;
  const { cluster, a, path, apply, text } = host;
  t.regex(
    text,
    /^source notes: .*\(ENOSPC\): raise fs\.inotify\.max_user_watches .* Snapshots are taken only every 5s/,
  );
  writeFileSync(join(path, 'x', 'file'), 'x');
  await cluster.until('the schedule has it in a snapshot', () =>
    a.log().some(({ code, files }) => code === 'SNAPSHOT_TAKEN' && files === 1),
  );
  // The two that are left are not too many.
  await apply(['/y', '/z']);
  await a.sees('no alarm', status => !status.alarms.some(({ code }) => code === 'NOT_WATCHED'));
  await a.stop();
});

test('where too many programs watch something there is an alarm, and the service goes on', async t => {
  const host = await aLimitedHost(t, 'max_inotify_instances', 0);
  if (host === undefined) return;
  const { a, text } = host;
  t.regex(text, /^source notes: .*\(EMFILE\): raise fs\.inotify\.max_user_instances/);
  await a.ok('backup', 'notes');
  await a.stop();
});
