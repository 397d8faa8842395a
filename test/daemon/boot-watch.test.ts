import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import type { PeerName } from '../../src/core/ids.js';
import { BEHIND_MAX, OTHERS_MS as DECIDED_MS, RAISE_EVERY_MS } from '../../src/core/later-starts.js';
import { Alarms } from '../../src/daemon/alarms.js';
import { countBoot, formerBootMax } from '../../src/daemon/boot-counter.js';
import { BootWatch } from '../../src/daemon/boot-watch.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const PEER = 'a peer' as PeerName;
const OTHERS_MS = 50;

/** The watch of start 8 of a host, which has sent three frames. */
async function aWatch(
  t: ExecutionContext,
  { raisedMs, others = 1 }: { readonly raisedMs?: number; readonly others?: number } = {},
) {
  const stateDir = temporaryFolder(t);
  writeFileSync(join(stateDir, 'boot'), '7\n');
  if (raisedMs !== undefined) writeFileSync(join(stateDir, 'boot-raised'), `${raisedMs}\n`);
  const { boot } = await countBoot(stateDir);
  const log = pino({ level: 'silent' });
  const alarms = new Alarms({ log, wallMs: () => 0 });
  const watch = new BootWatch({
    stateDir,
    boot,
    framesSent: () => 3,
    nameOf: () => 'kitchen',
    others: () => others,
    wallMs: () => 10 * RAISE_EVERY_MS,
    alarms,
    log,
    // A hundred times as fast.
    waitMs: inMs => (inMs * OTHERS_MS) / DECIDED_MS,
  });
  t.teardown(() => watch.stop());
  const counter = (): string => readFileSync(join(stateDir, 'boot'), 'utf8').trim();
  const isRaised = (): boolean => existsSync(join(stateDir, 'boot-raised'));
  return { watch, counter, isRaised, alarms, stateDir };
}

const waited = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 4 * OTHERS_MS));

test('a host of which later starts were heard raises its counter above all of them, and is to be started again', async t => {
  const { watch, alarms, stateDir } = await aWatch(t);
  watch.hear({ boot: 12, frame: 1 }, PEER);
  watch.hear({ boot: 40, frame: 1 }, PEER);
  watch.hear({ boot: 9, frame: 1 }, PEER);
  await t.throwsAsync(watch.behind, { code: 'BOOT_BEHIND', message: /start 40 .* is start 8/ });
  t.deepEqual(await countBoot(stateDir), { boot: 41, previousBoot: 40 });
  t.deepEqual(alarms.list(), []);
});

test('a machine counts its starts from above all that one which was this host before it can have had', async t => {
  const stateDir = temporaryFolder(t);
  writeFileSync(join(stateDir, 'boot'), '3\n');
  t.is((await countBoot(stateDir, 1)).boot, formerBootMax(1) + 1);
  t.is((await countBoot(stateDir, 1)).boot, formerBootMax(1) + 2);
  t.is((await countBoot(stateDir, 2)).boot, formerBootMax(2) + 1);
  t.is((await countBoot(stateDir, 0)).boot, formerBootMax(2) + 2, 'it never goes back');
  t.true(formerBootMax(1) > BEHIND_MAX);
});

test('a frame under our own counter that we have not sent is a later start', async t => {
  const { watch, stateDir } = await aWatch(t);
  watch.hear({ boot: 8, frame: 4 }, PEER);
  await t.throwsAsync(watch.behind, { code: 'BOOT_BEHIND' });
  t.is((await countBoot(stateDir)).boot, 9);
});

test('what we said ourselves, an earlier start, and one that cannot be, change nothing', async t => {
  const { watch, counter, isRaised } = await aWatch(t);
  for (const [boot, frame] of [
    [8, 3],
    [7, 1_000],
    [8 + BEHIND_MAX + 1, 1],
  ] as const)
    watch.hear({ boot, frame }, PEER);
  await waited();
  t.is(counter(), '8');
  t.false(isRaised());
});

test('a second time within the hour is an alarm, and the counter waits', async t => {
  const { watch, counter, alarms } = await aWatch(t, { raisedMs: 9 * RAISE_EVERY_MS + 60_000 });
  watch.hear({ boot: 12, frame: 1 }, PEER);
  await waited();
  t.is(counter(), '8');
  t.deepEqual(
    alarms.list().map(({ code }) => code),
    ['BOOT_BEHIND'],
  );
});

for (const [when, raisedMs] of [
  ['an hour ago', 9 * RAISE_EVERY_MS],
  ['by a clock that was ahead', 11 * RAISE_EVERY_MS],
] as const)
  test(`a counter that was raised ${when} may be raised`, async t => {
    const { watch, alarms } = await aWatch(t, { raisedMs });
    watch.hear({ boot: 12, frame: 1 }, PEER);
    await t.throwsAsync(watch.behind, { code: 'BOOT_BEHIND' });
    t.deepEqual(alarms.list(), []);
  });

test('what one of several members says alone is an alarm, and ends nothing until another says so', async t => {
  const { watch, counter, alarms } = await aWatch(t, { others: 2 });
  for (let i = 0; i < 3; i++) watch.hear({ boot: 12, frame: 1 }, PEER);
  await waited();
  t.is(counter(), '8');
  const [alarm] = alarms.list();
  t.is(alarm?.code, 'BOOT_BEHIND');
  t.regex(alarm?.text ?? '', /kitchen says .* no other member says so/);
  watch.hear({ boot: 12, frame: 1 }, 'another peer' as PeerName);
  await t.throwsAsync(watch.behind, { code: 'BOOT_BEHIND' });
  t.deepEqual(alarms.list(), []);
});

test('nothing is raised once the service stops', async t => {
  const { watch, counter } = await aWatch(t);
  watch.hear({ boot: 12, frame: 1 }, PEER);
  watch.stop();
  watch.hear({ boot: 13, frame: 1 }, PEER);
  await waited();
  t.is(counter(), '8');
});
