import test, { type ExecutionContext } from 'ava';
import { readSnapshot } from '../../src/catalog/read-object.js';
import { Forgetting } from '../../src/daemon/forgetting.js';
import { anyTimeMs, aSource, ScratchSource } from '../catalog/scratch-source.js';
import { until } from '../helpers/until.js';
import { anOrigin } from './an-origin.js';

const MINUTE_MS = 60_000;
const YEAR_MS = 365 * 24 * 60 * MINUTE_MS;
/** In the same hour as `anyTimeMs`, which begins one: nothing is due. */
const NOW_MS = anyTimeMs + MINUTE_MS;

/** Of a minute ago, of a year ahead, and one since the clock is right. */
async function aClockThatWasAhead(t: ExecutionContext) {
  const source = new ScratchSource(t);
  const clock = { off: undefined as string | undefined };
  const brake = { on: undefined as string | undefined, pulledByRun: undefined as string | undefined };
  const runs = { count: 0 };
  const made = await anOrigin(t, source, {
    retainer: {
      judge: async () => ({ stopped: undefined, snapshots: [] }),
      clockOff: () => clock.off,
    } as never,
    brakes: {
      configure: () => undefined,
      acceptedMs: () => undefined,
      on: () => brake.on,
      sinceMs: () => undefined,
    } as never,
    forbidden: () => {
      runs.count += 1;
      brake.on ??= brake.pulledByRun;
      return [];
    },
  });
  source.write({ 'file.txt': 'one' });
  await source.take();
  made.now.ms = NOW_MS;
  await made.list();
  const backUp = async (text: string) => {
    source.write({ 'file.txt': text });
    return made.origin.backup(aSource, { acceptChanges: false });
  };
  made.now.ms = NOW_MS + YEAR_MS;
  await backUp('two');
  made.now.ms = NOW_MS;
  await backUp('three');
  const listed = () => made.catalog.get(aSource)?.head.snapshots ?? [];
  const times = () => listed().map(({ timeMs }) => timeMs - NOW_MS);
  const isTold = () => made.alarms.list().some(({ code }) => code === 'SNAPSHOT_FROM_FUTURE');
  return { ...made, source, clock, brake, runs, backUp, listed, times, isTold };
}

test('a snapshot from the future is an alarm, and those after it are held by the day on which they are taken', async t => {
  const { alarms, listed, times, isTold, source, now, backUp } = await aClockThatWasAhead(t);
  t.deepEqual(times(), [-MINUTE_MS, YEAR_MS, YEAR_MS + 1]);
  await until('the alarm', isTold);
  t.regex(
    alarms.list()[0]?.text ?? '',
    /^source imac\/photos: its newest snapshot is dated 2028-.*'cluster forget imac\/photos --future'/,
  );
  now.ms = NOW_MS + 24 * 60 * MINUTE_MS;
  await backUp('four');
  const holds: number[] = [];
  for (const { id } of listed()) holds.push((await readSnapshot(source.objects, id)).holdDays);
  t.deepEqual(holds, [2, 30, 2, 30], 'a first of its day: that of the future, and the last');
});

test('that a snapshot is from the future is told at the start too, not only behind the next one', async t => {
  const source = new ScratchSource(t);
  source.write({ 'file.txt': 'one' });
  await source.take();
  const { now, list, alarms } = await anOrigin(t, source, {
    retainer: { judge: async () => ({ stopped: undefined, snapshots: [] }) } as never,
  });
  now.ms = NOW_MS - YEAR_MS;
  await list();
  t.deepEqual(
    alarms.list().map(({ code }) => code),
    ['SNAPSHOT_FROM_FUTURE'],
  );
});

test('a snapshot takes the place of those from the future, with the date of the clock; who saw them holds them', async t => {
  const { origin, catalog, listed, times, isTold, source } = await aClockThatWasAhead(t);
  await until('the alarm', isTold);
  const before = listed().map(({ id }) => id);
  source.write({ 'late.txt': 'since then' });
  await origin.forgetFuture(aSource);
  t.deepEqual(times(), [-MINUTE_MS, 0]);
  t.deepEqual(await source.paths(listed().at(-1)?.id), ['file.txt', 'late.txt']);
  t.deepEqual(
    catalog.heldSnapshots(aSource).map(({ id }) => id),
    before.slice(1),
  );
  await until('the alarm to be over', () => !isTold());
});

test('while this clock is off the others nothing is taken for the future', async t => {
  const { origin, clock, times } = await aClockThatWasAhead(t);
  clock.off = "this host's clock is 9000 h behind the others'";
  await t.throwsAsync(origin.forgetFuture(aSource), {
    code: 'RETENTION_STOPPED',
    message: /no snapshot of photos was unlisted: this host's clock is 9000 h behind/,
  });
  t.deepEqual(times(), [-MINUTE_MS, YEAR_MS, YEAR_MS + 1]);
});

test('a mass change keeps those from the future listed, whether it is known or the run itself shows it', async t => {
  const { origin, brake, runs, times } = await aClockThatWasAhead(t);
  const stopped = { code: 'RETENTION_STOPPED', message: /unlisted: of 2000 files 1500 left/ };
  brake.pulledByRun = 'of 2000 files 1500 left';
  await t.throwsAsync(origin.forgetFuture(aSource), stopped);
  const { count } = runs;
  await t.throwsAsync(origin.forgetFuture(aSource), stopped);
  t.is(runs.count, count, 'what is known needs no run');
  t.deepEqual(times(), [-MINUTE_MS, YEAR_MS, YEAR_MS + 1]);
  brake.on = undefined;
  brake.pulledByRun = undefined;
  await origin.forgetFuture(aSource);
  t.deepEqual(times(), [-MINUTE_MS, 0]);
});

test("forgetting the future shows what goes, wants a yes, and is the origin's to do", async t => {
  const { origin, listed, times } = await aClockThatWasAhead(t);
  const forgetting = (isOurs: boolean) =>
    new Forgetting({
      membership: { clusterConfig: { timing: { gcGraceMs: 1000 } } },
      origin: {
        ownSource: () => (isOurs ? {} : undefined),
        fromFuture: () => origin.fromFuture(aSource),
        forgetFuture: () => origin.forgetFuture(aSource),
      },
      roster: { nameOf: () => 'imac' },
      names: { named: () => aSource, nameOf: () => 'photos', isArchived: () => false },
      snapshots: { listed, report: async (_: unknown, { id }: { id: string }) => ({ id }) },
    } as unknown as ConstructorParameters<typeof Forgetting>[0]);
  const ask = (options: { dryRun: boolean; yes: boolean }, isOurs = true) =>
    forgetting(isOurs).future({ source: 'photos', ...options }, new AbortController().signal);
  const before = times();
  await t.throwsAsync(ask({ dryRun: false, yes: true }, false), { code: 'ORIGIN_ELSEWHERE' });
  await t.throwsAsync(ask({ dryRun: false, yes: false }), {
    code: 'NEEDS_YES',
    message: /^2 of 3 snapshots of photos/,
  });
  const planned = await ask({ dryRun: true, yes: false });
  t.deepEqual(
    planned.snapshots.map(({ reasons }) => reasons),
    [['not from the future'], [], []],
  );
  t.deepEqual(times(), before);
  await ask({ dryRun: false, yes: true });
  t.deepEqual(times(), [-MINUTE_MS, 0]);
  // With nothing to do nothing is asked, and nothing taken.
  await ask({ dryRun: false, yes: false });
  t.deepEqual(times(), [-MINUTE_MS, 0]);
});
