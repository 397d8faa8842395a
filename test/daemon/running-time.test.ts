import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { pino } from 'pino';
import { RunningTime } from '../../src/daemon/running-time.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const log = pino({ level: 'silent' });

/** A start of the service at some steady time. */
function aStart(stateDir: string, atMs: number, wallMs = 0) {
  const clock = { at: atMs, nowMs: () => clock.at, wallMs: () => wallMs };
  return { clock, running: new RunningTime({ stateDir, clock, log }) };
}

test('the time of all starts adds up, and what lies between them does not count', async t => {
  const stateDir = temporaryFolder(t);
  const first = aStart(stateDir, 1_000_000);
  t.is(first.running.beforeMs, 0);
  first.clock.at += 5_000.75;
  t.is(first.running.nowMs(), 5_000.75);
  await first.running.stop();

  const second = aStart(stateDir, 9_000_000_000);
  t.is(second.running.beforeMs, 5_000);
  second.clock.at += 1_000;
  t.is(second.running.nowMs(), 6_000);
  await second.running.stop();
  t.is(aStart(stateDir, 0).running.beforeMs, 6_000);
  t.deepEqual(JSON.parse(readFileSync(join(stateDir, 'running.json'), 'utf8')), { ranMs: 6_000, wallMs: 0 });
});

test('a start knows how long the host was off, by the wall clock, where the start before it wrote that down', async t => {
  const stateDir = temporaryFolder(t);
  const first = aStart(stateDir, 0, 1_000_000.5);
  t.is(first.running.offForMs, 0);
  await first.running.stop();
  t.is(aStart(stateDir, 0, 1_500_000).running.offForMs, 500_000);
  t.is(aStart(stateDir, 0, 900_000).running.offForMs, 0, 'the clock has gone back');
  writeFileSync(join(stateDir, 'running.json'), '{"ranMs":6000}\n');
  const ofOlderBuild = aStart(stateDir, 0, 1_500_000).running;
  t.is(ofOlderBuild.offForMs, 0);
  t.is(ofOlderBuild.beforeMs, 6_000);
});

test('a file that says nothing sensible is shown to a person, and left as it is', t => {
  for (const text of ['', 'null', '{}', '{"ranMs":-1}', '{"ranMs":1.5}', '{"ranMs":"1"}', '{"ranMs":']) {
    const stateDir = temporaryFolder(t);
    writeFileSync(join(stateDir, 'running.json'), text);
    t.throws(() => aStart(stateDir, 0), { code: 'STATE_DAMAGED' }, text);
    t.is(readFileSync(join(stateDir, 'running.json'), 'utf8'), text);
  }
});
