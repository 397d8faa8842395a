/** Pausing: until when a host is paused, over restarts and whatever the wall clock does. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { PAUSE_MS_MAX, Pausing } from '../../src/daemon/pausing.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { until } from '../helpers/until.js';
import { SILENT } from '../store/real-store.js';

const HOUR_MS = 3_600_000;
const NOON_MS = Date.UTC(2026, 10, 30, 12);

function aHost(t: ExecutionContext) {
  const stateDir = temporaryFolder(t);
  const clock = { ms: NOON_MS };
  const start = (): Pausing => {
    const pausing = new Pausing({ stateDir, clock: { wallMs: () => clock.ms }, log: SILENT });
    t.teardown(() => pausing.stop());
    return pausing;
  };
  return { clock, start, file: join(stateDir, 'paused.json') };
}

test('a pause survives a restart, and is over at its time', async t => {
  const { clock, start } = aHost(t);
  const first = start();
  t.false(first.isPaused);
  t.is(await first.pause(2 * HOUR_MS), NOON_MS + 2 * HOUR_MS);
  await first.stop();
  clock.ms += 2 * HOUR_MS - 1;
  const second = start();
  t.is(second.untilMs, NOON_MS + 2 * HOUR_MS);
  clock.ms += 1;
  t.false(second.isPaused);
});

test('whoever waits for the end of a pause is told once, by its time or by a person', async t => {
  const { clock, start, file } = aHost(t);
  const pausing = start();
  const told: (boolean | string)[] = [];
  pausing.follow(paused => told.push(paused));
  await pausing.pause(HOUR_MS);
  pausing.whenOver(() => told.push('over'));
  t.true(await pausing.resume());
  t.deepEqual(told, [true, false, 'over']);
  t.false(existsSync(file));

  const untilMs = await pausing.pause(50);
  pausing.whenOver(() => told.push('over again'));
  clock.ms = untilMs;
  await until('the pause is over', () => told.includes('over again'));
  await until('its file is gone', () => !existsSync(file));
  t.deepEqual(told, [true, false, 'over', true, false, 'over again']);
  t.false(await pausing.resume());
});

test('whoever begins to listen while the host is paused is told so at once, and of the end', async t => {
  const { clock, start } = aHost(t);
  const untilMs = await start().pause(50);
  const told: boolean[] = [];
  start().follow(paused => told.push(paused));
  t.deepEqual(told, [true]);
  clock.ms = untilMs;
  await until('the pause is over', () => told.length > 1);
  t.deepEqual(told, [true, false]);
});

test('a second pause takes the place of the first, whichever is longer', async t => {
  const { start } = aHost(t);
  const pausing = start();
  await pausing.pause(2 * HOUR_MS);
  t.is(await pausing.pause(HOUR_MS), NOON_MS + HOUR_MS);
  t.is(pausing.untilMs, NOON_MS + HOUR_MS);
});

test('three days are the longest pause, and a longer one changes nothing', async t => {
  const { start } = aHost(t);
  const pausing = start();
  await t.throwsAsync(pausing.pause(PAUSE_MS_MAX + 1), { code: 'BAD_DURATION', message: /72h/ });
  t.false(pausing.isPaused);
  await pausing.pause(PAUSE_MS_MAX);
  t.true(pausing.isPaused);
});

test('a clock that is set back to before the pause ends it', async t => {
  const { clock, start } = aHost(t);
  await start().pause(HOUR_MS);
  clock.ms = NOON_MS - 1;
  t.false(start().isPaused);
});

test('a file that is damaged, or says more than a pause can be, pauses nothing', async t => {
  const { start, file } = aHost(t);
  for (const text of ['{"fromMs":', '{}', JSON.stringify({ fromMs: NOON_MS, untilMs: NOON_MS + PAUSE_MS_MAX + 1 })]) {
    writeFileSync(file, text);
    t.false(start().isPaused, text);
  }
  await start().pause(HOUR_MS);
  t.deepEqual(JSON.parse(readFileSync(file, 'utf8')), { fromMs: NOON_MS, untilMs: NOON_MS + HOUR_MS });
});
