import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import { unseen } from '../../src/catalog/forbidden-folder.js';
import { type HostId, sourceIdOf } from '../../src/core/ids.js';
import type { AlarmCode } from '../../src/daemon/alarm-codes.js';
import { Alarms } from '../../src/daemon/alarms.js';
import { REST_MS_MIN } from '../../src/daemon/change-batch.js';
import { steadyClock } from '../../src/daemon/clock.js';
import { ANEW_AFTER_MS, LISTED_MAX, ROOM_MIN, SourceWatch } from '../../src/daemon/source-watch.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { until } from '../helpers/until.js';
import { isWatchedByKernel } from '../helpers/watched-by-kernel.js';

const SOURCE = sourceIdOf('a'.repeat(32) as HostId, 'notes');

/** Counts how often watching has begun: each time the alarm that it has not is over. */
class CountingAlarms extends Alarms {
  begins = 0;

  override clear(code: AlarmCode, subject: string): void {
    if (code === 'NOT_WATCHED') this.begins += 1;
    super.clear(code, subject);
  }
}

/** Watches of one folder, `src`, by a clock that can be set on. */
function aSource(t: ExecutionContext) {
  const folder = temporaryFolder(t);
  const path = join(folder, 'src');
  mkdirSync(path);
  const alarms = new CountingAlarms({ log: pino({ level: 'silent' }), wallMs: () => 0 });
  const clock = steadyClock();
  let aheadMs = 0;
  let forbidden = [unseen(join(folder, 'store'))];
  const watch = ({
    listed = () => 0,
    room = () => ROOM_MIN,
  }: {
    readonly listed?: () => number;
    readonly room?: () => number;
  } = {}) => {
    let due = 0;
    const sourceWatch = new SourceWatch({
      source: SOURCE,
      setting: {
        name: 'notes',
        path,
        exclude: [],
        crossMounts: false,
        schedule: { kind: 'every', everyMs: 3_600_000 },
        holdDays: 90,
      },
      forbidden: () => forbidden,
      clock: { nowMs: () => clock.nowMs() + aheadMs, wallMs: clock.wallMs },
      alarms,
      listed,
      room,
      onDue: () => {
        due += 1;
      },
    });
    t.teardown(() => sourceWatch.close());
    return {
      sourceWatch,
      due: () => due,
      /** A run in which `during` happens while it scans. */
      run: async (during: () => void = () => undefined) => {
        sourceWatch.runComes();
        await sourceWatch.run(async () => {
          await sourceWatch.scanBegins();
          during();
        });
      },
    };
  };
  return {
    path,
    watch,
    begins: () => alarms.begins,
    forbid: (name: string) => {
      forbidden = [unseen(join(path, name))];
    },
    codes: () => alarms.list().map(({ code }) => code),
    text: () => alarms.list()[0]?.text ?? '',
    passes: (ms: number) => {
      aheadMs += ms;
    },
  };
}

test('a run is due when watching has begun, and after what changes from then on', async t => {
  const { path, watch, codes, passes } = aSource(t);
  const { run, due, sourceWatch } = watch();
  await until('a first run is due', () => due() === 1);
  const isTold = isWatchedByKernel(path);
  await run(() => writeFileSync(join(path, 'while it scans'), 'x'));
  passes(REST_MS_MIN);
  await until('what came meanwhile is due', () => due() === 2);
  mkdirSync(join(path, 'new'));
  await run();
  passes(REST_MS_MIN);
  writeFileSync(join(path, 'new', 'file'), 'x');
  await until('what came into a new folder is due', () => due() === 3);
  t.deepEqual(codes(), []);
  t.is(isWatchedByKernel(path), isTold);
  sourceWatch.close();
  t.false(isWatchedByKernel(path));
});

test('a run that is asked for while watching begins waits for it', async t => {
  const { watch, begins } = aSource(t);
  await watch().run();
  t.is(begins(), 1);
});

test('watching begins anew after an hour, and when other stores are to be left out', async t => {
  const { watch, begins, forbid, passes } = aSource(t);
  const { run } = watch();
  await run();
  t.is(begins(), 1);
  passes(ANEW_AFTER_MS - 60_000);
  await run();
  t.is(begins(), 1);
  passes(60_000);
  await run();
  t.is(begins(), 2);
  forbid('store');
  await run();
  t.is(begins(), 3);
  await run();
  t.is(begins(), 3);
});

test('what the hooks of the source do is not heard', async t => {
  const { path, watch, passes } = aSource(t);
  const { run, sourceWatch, due } = watch();
  const other = watch();
  await run();
  await other.run();
  passes(REST_MS_MIN);
  await sourceWatch.deafDuring(async () => writeFileSync(join(path, 'dump'), 'x'));
  await until('whoever has no hook is due', () => other.due() === 1);
  t.is(due(), 0);
  writeFileSync(join(path, 'file'), 'x');
  await until('what others do is due', () => due() === 1);
});

test('a folder that is not there is an alarm until a run finds it', async t => {
  const { path, watch, codes, text, passes } = aSource(t);
  rmSync(path, { recursive: true });
  const { run, due } = watch();
  await until('a first run is due', () => due() === 1);
  t.deepEqual(codes(), ['NOT_WATCHED']);
  t.regex(text(), /^source notes: changes in \/.*\/src are not noticed, because it does not exist \(ENOENT\)/);
  t.regex(text(), /Snapshots are taken only every 1h, and each run tries again to watch the folder$/);
  await run();
  t.deepEqual(codes(), ['NOT_WATCHED']);
  mkdirSync(path);
  await run();
  t.deepEqual(codes(), []);
  passes(REST_MS_MIN);
  writeFileSync(join(path, 'file'), 'x');
  await until('a change is due', () => due() === 2);
});

test('with too many snapshots listed there are no more, until some have left', async t => {
  const { watch, codes, text } = aSource(t);
  let listed = LISTED_MAX;
  const { due } = watch({ listed: () => listed });
  await until('an alarm', () => codes().length > 0);
  t.deepEqual(codes(), ['SNAPSHOTS_MANY']);
  t.regex(text(), /source notes: 1000 or more snapshots are listed, .* only every 1h\. .*'cluster forget'/);
  t.is(due(), 0);
  listed -= 1;
  const later = watch({ listed: () => listed });
  await until('a run is due', () => later.due() === 1);
  t.deepEqual(codes(), []);
});

test('when so many are in their hold that the schedule needs the rest of the room, there are no more', async t => {
  const { watch, codes, text } = aSource(t);
  let room = ROOM_MIN - 1;
  const { due } = watch({ room: () => room });
  await until('an alarm', () => codes().length > 0);
  t.deepEqual(codes(), ['SNAPSHOTS_MANY']);
  t.regex(
    text(),
    /source notes: nearly 16384 snapshots are listed or in their hold, .* only every 1h\. .* held for 90d: /,
  );
  t.is(due(), 0);
  room += 1;
  const later = watch({ room: () => room });
  await until('a run is due', () => later.due() === 1);
  t.deepEqual(codes(), []);
});

test('once it is closed nothing is due, and its alarms are over', async t => {
  const { path, watch, codes } = aSource(t);
  rmSync(path, { recursive: true });
  const { sourceWatch, run, due } = watch();
  await until('an alarm', () => codes().length > 0);
  sourceWatch.close();
  t.deepEqual(codes(), []);
  mkdirSync(path);
  await run();
  t.deepEqual(codes(), []);
  const other = watch();
  await until('another is due', () => other.due() === 1);
  t.is(due(), 0);
});
