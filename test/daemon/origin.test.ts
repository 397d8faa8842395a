import { EventEmitter, once } from 'node:events';
import { readFileSync, renameSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import { HEAD_SNAPSHOTS_MAX } from '../../src/catalog/head.js';
import { readSnapshot } from '../../src/catalog/read-object.js';
import { encodeSnapshot } from '../../src/catalog/snapshot.js';
import { SourceHistory } from '../../src/catalog/source-history.js';
import type { ObjectId } from '../../src/core/ids.js';
import { Alarms } from '../../src/daemon/alarms.js';
import { Brakes } from '../../src/daemon/brakes.js';
import { Forgotten } from '../../src/daemon/forgotten.js';
import { OwnHeads } from '../../src/daemon/own-heads.js';
import { setApart } from '../../src/platform/disk.js';
import { anyTimeMs, aSource, ScratchSource } from '../catalog/scratch-source.js';
import { until } from '../helpers/until.js';
import { anOrigin } from './an-origin.js';

/** A source without a snapshot, and an origin that is held up at the beginning of its first run. */
async function aFirstRun(t: ExecutionContext) {
  const source = new ScratchSource(t);
  source.write({ 'file.txt': 'one' });
  const held = new EventEmitter();
  const heldUp = once(held, 'go on');
  let hasBegun = false;
  const { origin, catalog, configure, alarms } = await anOrigin(t, source, {
    askEverybody: async () => {
      hasBegun = true;
      await heldUp;
    },
    retainer: { judge: async () => ({ stopped: undefined, snapshots: [] }) } as never,
  });
  configure();
  await until('the run that is due', () => hasBegun);
  const listed = () => catalog.get(aSource)?.head.snapshots.length ?? 0;
  return {
    source,
    origin,
    configure,
    alarms,
    listed,
    goOn: () => held.emit('go on'),
    fail: () => held.emit('error', new Error('it broke')),
  };
}

/** Timers of no delay fire in the order in which they are set. */
const dueTimers = (): Promise<void> => new Promise(resolve => setTimeout(resolve, 0));

test('a configuration that changes while a first snapshot is taken has no other one taken behind it', async t => {
  const { origin, configure, listed, goOn } = await aFirstRun(t);
  for (let changes = 0; changes < 3; changes += 1) {
    configure();
    await dueTimers();
  }
  goOn();
  await until('all runs', () => !origin.isBusy);
  t.is(listed(), 1);
});

test('what is due while the host is paused is taken once, when that is over; what a person asks for is taken at once', async t => {
  const source = new ScratchSource(t);
  source.write({ 'file.txt': 'one' });
  const over: (() => void)[] = [];
  const pausing = { isPaused: true, whenOver: (call: () => void) => void over.push(call) };
  const { origin, configure, newest, catalog } = await anOrigin(t, source, { pausing });
  for (let times = 0; times < 3; times += 1) {
    configure();
    await dueTimers();
  }
  t.false(origin.isBusy);
  t.is(over.length, 1);
  await origin.backup(aSource, { acceptChanges: false });
  t.not(newest(), undefined);
  pausing.isPaused = false;
  for (const call of over) call();
  await until('the run that was due', () => catalog.get(aSource)?.head.snapshots.length === 2);
});

test('a source that is missing is told to have no snapshot where it has none, and else that its snapshots are kept', async t => {
  const source = new ScratchSource(t);
  source.write({ 'file.txt': 'one' });
  const { origin, list, configure, alarms } = await anOrigin(t, source);
  renameSync(source.root, `${source.root}.away`);
  configure();
  const isTold = async (message: RegExp): Promise<void> => {
    await t.throwsAsync(origin.backup(aSource, { acceptChanges: false }), { code: 'SOURCE_MISSING', message });
    t.regex(alarms.list().find(({ code }) => code === 'SOURCE_MISSING')?.text ?? '', message);
  };
  await isTold(/ is missing .*; it has no snapshot yet$/);
  renameSync(`${source.root}.away`, source.root);
  await source.take();
  await list();
  renameSync(source.root, `${source.root}.away`);
  await isTold(/ is missing .*; its earlier snapshots are kept$/);
});

test('an origin that is stopped waits for the run of a source that the policy has no more', async t => {
  const { origin, listed, goOn } = await aFirstRun(t);
  origin.configure([]);
  const stopped = origin.stop().then(listed);
  await dueTimers();
  goOn();
  t.is(await stopped, 1);
});

test('a source that leaves the policy while a run of it fails has no alarm afterwards', async t => {
  for (const alarm of ['SOURCE_MISSING', 'BACKUP_FAILED']) {
    for (const leaves of [false, true]) {
      const { source, origin, alarms, goOn, fail } = await aFirstRun(t);
      if (leaves) origin.configure([]);
      if (alarm === 'BACKUP_FAILED') fail();
      else {
        renameSync(source.root, `${source.root}.away`);
        goOn();
      }
      await until('the run has ended', () => !origin.isBusy);
      await dueTimers();
      t.deepEqual(
        alarms.list().map(({ code }) => code),
        leaves ? [] : [alarm],
      );
    }
  }
});

test('of runs that are asked for at once one is under way, and each makes its snapshot', async t => {
  const source = new ScratchSource(t);
  source.write({ 'file.txt': 'one' });
  const told: string[] = [];
  const { origin, list, catalog } = await anOrigin(t, source, {
    beginScan: () => {
      told.push('begins');
      return () => told.push('ended');
    },
    retainer: { judge: async () => ({ stopped: undefined, snapshots: [] }) } as never,
  });
  await source.take();
  await list();
  await Promise.all([1, 2, 3].map(() => origin.backup(aSource, { acceptChanges: false })));
  t.deepEqual(told, ['begins', 'ended', 'begins', 'ended', 'begins', 'ended']);
  const times = catalog.get(aSource)?.head.snapshots.map(({ timeMs }) => timeMs) ?? [];
  t.is(new Set(times).size, 4, 'each has a time of its own');
  t.deepEqual(
    times,
    [...times].sort((a, b) => a - b),
  );
});

test('a scan of a source is told before it begins, and when it has ended, well or not', async t => {
  const source = new ScratchSource(t);
  source.write({ 'file.txt': 'one' });
  const told: string[] = [];
  const { origin, list } = await anOrigin(t, source, {
    beginScan: of => {
      told.push(`${of} begins`);
      return () => told.push(`${of} ended`);
    },
    retainer: { judge: async () => ({ stopped: undefined, snapshots: [] }) } as never,
  });
  await source.take();
  await list();
  const scans = {
    taken: () => origin.backup(aSource, { acceptChanges: false }),
    compared: () =>
      origin.compare(
        aSource,
        { choose: async () => source.last as never, under: Buffer.alloc(0), signal: new AbortController().signal },
        async () => undefined,
      ),
  };
  for (const [what, scan] of Object.entries(scans)) {
    await scan();
    t.deepEqual(told.splice(0), [`${aSource} begins`, `${aSource} ended`], what);
  }
  renameSync(source.root, `${source.root}.away`);
  for (const [what, scan] of Object.entries(scans)) {
    await t.throwsAsync(scan, { code: 'SOURCE_MISSING' }, what);
    t.deepEqual(told.splice(0), [`${aSource} begins`, `${aSource} ended`], what);
  }
});

test('of a source whose disk is given up no snapshot is taken, and it is said why; it is when the disk answers', async t => {
  const source = new ScratchSource(t);
  source.write({ 'file.txt': 'one' });
  const disk = setApart(source.root);
  const retainer = { judge: async () => ({ stopped: undefined, snapshots: [] }) } as never;
  const { origin, catalog, configure } = await anOrigin(t, source, {
    retainer,
    hanging: () => (disk.isGivenUp ? 'its disk does not answer' : undefined),
  });
  disk.giveUp();
  configure();
  await t.throwsAsync(origin.backup(aSource, { acceptChanges: false }), {
    code: 'SOURCE_MISSING',
    message: /does not answer.*snapshots that it has are kept, and more are taken when it answers/,
  });
  t.is(origin.missing(aSource), 'its disk does not answer');
  disk.takeUp();
  await origin.backup(aSource, { acceptChanges: false });
  t.is(origin.missing(aSource), undefined);
  t.is(catalog.get(aSource)?.head.snapshots.length, 1);
});

test('a schedule that never comes due is an alarm, and a configuration that has another one ends it', async t => {
  const source = new ScratchSource(t);
  source.write({ 'file.txt': 'one' });
  await source.take();
  const { origin, list, configure, alarms } = await anOrigin(t, source, {});
  await list();
  const times = [{ pattern: '5 10 * * Fri-Mon', zone: undefined }];
  origin.configure([
    { name: 'photos', path: source.root, schedule: { kind: 'at', times }, jitterMs: 0, hooks: {} } as never,
  ]);
  t.regex(alarms.list()[0]?.text ?? '', /^source photos: none of its times in the policy \(`at`\) ever comes/);
  configure();
  t.deepEqual(alarms.list(), []);
});

test('with a source go the alarms of its brake and of its self-test, and the brake where it was forgotten', async t => {
  const source = new ScratchSource(t);
  const log = pino({ level: 'silent' });
  const alarms = new Alarms({ log, wallMs: () => 0 });
  const brakes = new Brakes({ stateDir: source.folder, nameOf: String, alarms, log });
  source.write({ 'file.txt': 'one' });
  await source.take();
  const forgotten = new Forgotten({ forgotten: [], released: [] }, () => false);
  const { origin, list, configure } = await anOrigin(t, source, { alarms, brakes, forgotten });
  await list();
  const snapshot = source.last as ObjectId;
  await brakes.pull(aSource, { snapshot, timeMs: 0, filesBefore: 200, filesGone: 200, filesChanged: 0 });
  alarms.raise('SELF_TEST_FAILED', aSource, 'files did not come');
  t.is(alarms.list().length, 2);
  origin.configure([]);
  t.deepEqual(alarms.list(), []);
  t.not(brakes.on(aSource), undefined);
  await t.throwsAsync(origin.backup(aSource, { acceptChanges: false }), {
    message: 'photos is no source of this host any more',
  });
  forgotten.update({ forgotten: [{ source: aSource, seq: 1 }], released: [] } as never);
  origin.configure([]);
  configure();
  t.is(brakes.on(aSource), undefined);
  t.deepEqual(alarms.list(), []);
  await until('it is written', () => !readFileSync(join(source.folder, 'brakes.json'), 'utf8').includes(aSource));
});

test('with as many snapshots in their hold as there can be none is taken or signed, however often it is tried', async t => {
  const source = new ScratchSource(t);
  source.write({ 'file.txt': 'one' });
  await source.take({ nowMs: anyTimeMs - 1 });
  const { origin, history, catalog, list, alarms } = await anOrigin(t, source, {
    retainer: { judge: async () => ({ stopped: undefined, snapshots: [] }) } as never,
  });
  await list();
  const schedule = { kind: 'every', everyMs: 300_000 };
  origin.configure([{ name: 'photos', path: source.root, schedule, jitterMs: 0, hooks: {}, holdDays: 90 } as never]);
  let room = 0;
  catalog.roomBeside = () => room;
  const last = history.head(aSource)?.hash;
  source.objects.forgetFresh();
  source.write({ 'file.txt': 'two' });
  for (let tries = 0; tries < 3; tries += 1)
    await t.throwsAsync(origin.backup(aSource, { acceptChanges: false }), { code: 'HOLDS_FULL' });
  t.is(history.head(aSource)?.hash, last);
  t.deepEqual(source.objects.fresh, []);
  t.deepEqual(
    alarms.list().map(({ code }) => code),
    ['HOLDS_FULL'],
  );
  t.regex(
    alarms.list()[0]?.text ?? '',
    /^source imac\/photos was not backed up: 16384 snapshots .* taken every 5m, and each is held for 90d: .*forget imac\/photos --now --yes/,
  );
  room = 1;
  await origin.backup(aSource, { acceptChanges: false });
  t.deepEqual(alarms.list(), []);
});

test('that a head of ours is kept does not end the alarm of a run that had no room', async t => {
  const source = new ScratchSource(t);
  source.write({ 'file.txt': 'one' });
  await source.take();
  const { origin, catalog, list, alarms } = await anOrigin(t, source, {});
  await list();
  catalog.roomBeside = () => 0;
  await t.throwsAsync(origin.backup(aSource, { acceptChanges: false }), { code: 'HOLDS_FULL' });
  await source.take({ nowMs: anyTimeMs - 1 });
  await list();
  t.deepEqual(
    alarms.list().map(({ code, text }) => [code, /^source imac\/photos was not backed up/.test(text)]),
    [['HOLDS_FULL', true]],
  );
});

test('a head that would list more than can be in its hold is not signed; one that lists less is', async t => {
  const source = new ScratchSource(t);
  source.write({ 'file.txt': 'one' });
  await source.take();
  const { history, catalog, list, alarms } = await anOrigin(t, source, {});
  await list();
  catalog.roomBeside = () => -1;
  const log = pino({ level: 'silent' });
  const brakes = { on: () => undefined, sinceMs: () => undefined } as never;
  const forgotten = { seqOf: () => 0 };
  const { objects } = source;
  const askEverybody = async () => undefined;
  const clock = { nowMs: () => 0 };
  const heads = new OwnHeads({ clock, history, catalog, forgotten, brakes, alarms, objects, log, askEverybody });
  const one = { id: 'ab'.repeat(32) as ObjectId, timeMs: anyTimeMs, complete: true };
  await t.throwsAsync(
    heads.publish(aSource, listed => [...listed, one]),
    { code: 'HOLDS_FULL' },
  );
  t.is(history.head(aSource)?.head.seq, 1);
  await heads.publish(aSource, () => []);
  t.is(history.head(aSource)?.head.seq, 2);
});

test('that two heads had one number is told for a day behind the last of them, and no longer', async t => {
  const source = new ScratchSource(t);
  source.write({ 'file.txt': 'one' });
  await source.take();
  const { origin, history, list, alarms, now } = await anOrigin(t, source, {
    retainer: { judge: async () => ({ stopped: undefined, snapshots: [] }) } as never,
  });
  const other = await SourceHistory.open({ folder: join(source.folder, 'other'), signer: source.signer });
  await list();
  const [one] = history.head(aSource)?.head.snapshots ?? [];
  const { sealed } = await other.relist(aSource, () => ({
    snapshots: one === undefined ? [] : [{ ...one, complete: false }],
    unacceptedSinceMs: undefined,
  }));
  await origin.heardOwnHead(aSource, sealed, source.objects);
  const isTold = () => alarms.list().some(({ code }) => code === 'HEAD_FORKED');
  t.true(isTold());
  t.regex(alarms.list()[0]?.text ?? '', /^source photos had two heads/);
  now.ms += 23 * 3_600_000;
  await origin.backup(aSource, { acceptChanges: false });
  t.true(isTold());
  now.ms += 3_600_000;
  await origin.backup(aSource, { acceptChanges: false });
  t.false(isTold());
});

/** A source of which as many snapshots are listed as can be; `keep` are those that the rules keep. */
async function aFullList(t: ExecutionContext, { keep }: { readonly keep: 'all' | 'last 3' }) {
  const source = new ScratchSource(t);
  const log = pino({ level: 'silent' });
  const alarms = new Alarms({ log, wallMs: () => 0 });
  const brakes = new Brakes({ stateDir: source.folder, nameOf: String, alarms, log });
  source.write({ 'file.txt': 'one' });
  const hooksRun: string[] = [];
  const made = await anOrigin(t, source, {
    alarms,
    brakes,
    hooks: { run: async ({ moment }: { moment: string }) => void hooksRun.push(moment) } as never,
    retainer: {
      judge: async () => {
        const listed = made.catalog.get(aSource)?.head.snapshots ?? [];
        const reasons = (place: number) => (keep === 'all' || listed.length - place <= 3 ? ['last'] : []);
        return {
          stopped: brakes.on(aSource),
          snapshots: listed.map((one, at) => ({ listed: one, reasons: reasons(at) })),
        };
      },
    } as never,
  });
  const first = await source.take();
  const snapshot = await readSnapshot(source.objects, first.snapshot);
  const list = [{ id: first.snapshot as ObjectId, timeMs: snapshot.timeMs, complete: true }];
  for (let n = 1; n < HEAD_SNAPSHOTS_MAX; n += 1) {
    const timeMs = snapshot.timeMs + n * 1_000;
    const id = await source.objects.put(encodeSnapshot({ ...snapshot, timeMs }, source.signer));
    list.push({ id, timeMs, complete: true });
  }
  const { sealed } = await made.history.relist(aSource, () => ({ snapshots: list, unacceptedSinceMs: undefined }));
  await made.catalog.offer(sealed, undefined);
  made.now.ms = snapshot.timeMs + HEAD_SNAPSHOTS_MAX * 1_000;
  const schedule = { kind: 'every', everyMs: 365 * 86_400_000 };
  const hooks = { before: 'stop', timeoutMs: 1_000 };
  made.origin.configure([
    { name: 'photos', path: source.root, schedule, jitterMs: 0, exclude: [], hooks, brakePercent: 50 } as never,
  ]);
  const pull = (place: number): Promise<void> => {
    const { id, timeMs } = list[place] ?? { id: first.snapshot, timeMs: 0 };
    return brakes.pull(aSource, { snapshot: id, timeMs, filesBefore: 200, filesGone: 200, filesChanged: 0 });
  };
  const backup = ({ acceptChanges = false } = {}) => made.origin.backup(aSource, { acceptChanges });
  const listed = () => made.catalog.get(aSource)?.head.snapshots.map(({ id }) => id) ?? [];
  const codes = () => alarms.list().map(({ code }) => code);
  return { ...made, source, brakes, alarms, hooksRun, list: list.map(({ id }) => id), pull, backup, listed, codes };
}

test('changes are accepted only with all that is missing, by name, or while nothing is', async t => {
  const source = new ScratchSource(t);
  source.write({ 'file.txt': 'one' });
  const accepted: number[] = [];
  const brakes = {
    configure: () => undefined,
    on: () => undefined,
    sinceMs: () => undefined,
    release: async (_: unknown, timeMs: number) => void accepted.push(timeMs),
  };
  const { origin, list, configure, alarms, newest } = await anOrigin(t, source, { brakes } as never);
  await source.take();
  await list();
  configure();
  unlinkSync(source.path('file.txt'));
  const message =
    /imac\/photos was not backed up and nothing was accepted.* the source's folder \(it is empty, and was not\).*'cluster backup imac\/photos --accept-changes --yes' lets go of it/;
  await t.throwsAsync(origin.backup(aSource, { acceptChanges: true }), { code: 'NEEDS_YES', message });
  t.deepEqual([newest(), accepted], [source.last, []]);
  t.deepEqual(alarms.list(), []);
  const { letGo, files } = await origin.backup(aSource, { acceptChanges: true, acceptMissing: true });
  t.deepEqual([letGo.count, files, accepted.length], [1, 0, 1]);
});

test('where the list is full the rules make room before the run, and under the brake only of what was taken since', async t => {
  const { backup, listed, list, pull, codes } = await aFullList(t, { keep: 'last 3' });
  await pull(100);
  const { snapshot } = await backup();
  t.deepEqual(listed(), [...list.slice(0, 101), ...list.slice(-3), snapshot]);
  t.deepEqual(codes(), ['MASS_CHANGE']);
  await backup({ acceptChanges: true });
  await until('the rules are asked again', () => listed().length === 3);
  t.deepEqual(codes(), []);
});

test('where all that is listed is from before the brake none is taken until a person accepts', async t => {
  const { backup, listed, pull, brakes, codes, hooksRun, alarms } = await aFullList(t, { keep: 'last 3' });
  await pull(HEAD_SNAPSHOTS_MAX - 1);
  await t.throwsAsync(backup(), { code: 'HEAD_FULL' });
  t.is(listed().length, HEAD_SNAPSHOTS_MAX);
  t.deepEqual(hooksRun, []);
  t.regex(
    alarms.list().find(({ code }) => code === 'HEAD_FULL')?.text ?? '',
    /for of 200 files 200 left .*--accept-changes/,
  );
  await backup({ acceptChanges: true });
  t.is(brakes.on(aSource), undefined);
  await until('the rules are asked again', () => listed().length === 3);
  t.deepEqual(codes(), []);
});

test('where the rules keep all that can be listed nothing is run or read, and it is said what to do', async t => {
  const { backup, source, history, listed, codes, hooksRun, alarms } = await aFullList(t, { keep: 'all' });
  const last = history.head(aSource)?.hash;
  source.objects.forgetFresh();
  source.write({ 'file.txt': 'two' });
  for (let tries = 0; tries < 2; tries += 1) await t.throwsAsync(backup(), { code: 'HEAD_FULL' });
  t.is(listed().length, HEAD_SNAPSHOTS_MAX);
  t.is(history.head(aSource)?.hash, last);
  t.deepEqual(source.objects.fresh, []);
  t.deepEqual(hooksRun, []);
  t.deepEqual(codes(), ['HEAD_FULL']);
  t.regex(
    alarms.list()[0]?.text ?? '',
    /^source imac\/photos was not backed up: 4096 snapshots .*cluster forget imac\/photos --keep-last N/,
  );
});
