import { cpSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { pino } from 'pino';
import type { ListedSnapshot } from '../../src/catalog/head.js';
import { readSnapshot } from '../../src/catalog/read-object.js';
import type { ObjectId } from '../../src/core/ids.js';
import { Alarms } from '../../src/daemon/alarms.js';
import { Brakes } from '../../src/daemon/brakes.js';
import { MassChanges } from '../../src/daemon/mass-changes.js';
import { aSource, ScratchSource } from '../catalog/scratch-source.js';
import { anOrigin } from './an-origin.js';

const HOUR_MS = 3_600_000;
const FILES = 300;
const name = (n: number): string => `folder${n % 7}/file${n}`;

/** A source of many files, with one snapshot; each run is an hour after the one before. */
async function aBrakedSource(t: ExecutionContext) {
  const source = new ScratchSource(t);
  const log = pino({ level: 'silent' });
  const alarms = new Alarms({ log, wallMs: () => 0 });
  const start = () => new Brakes({ stateDir: source.folder, nameOf: String, alarms, log });
  const brakes = start();
  for (let n = 0; n < FILES; n += 1) source.write({ [name(n)]: `file ${n}` });
  const unlisted = { count: 0 };
  const made = await anOrigin(t, source, {
    alarms,
    brakes,
    retainer: {
      // Of more than three the oldest is listed no more.
      judge: async () => {
        const listed = made.catalog.get(aSource)?.head.snapshots ?? [];
        unlisted.count += Math.max(0, listed.length - 3);
        const snapshots = listed.map((one, place) => ({
          listed: one,
          reasons: listed.length - place > 3 ? [] : (['last'] as const),
        }));
        return { stopped: brakes.on(aSource), snapshots };
      },
    } as never,
  });
  await source.take();
  await made.list();
  const schedule = { kind: 'every', everyMs: 365 * 24 * HOUR_MS };
  made.origin.configure([
    { name: 'photos', path: source.root, schedule, jitterMs: 0, hooks: {}, brakePercent: 50 } as never,
  ]);
  let runs = 0;
  /** Writes something new into so many files, from this one on. */
  const run = async (from: number, count: number, { acceptChanges = false, afterMs = HOUR_MS } = {}) => {
    runs += 1;
    for (let n = from; n < from + count; n += 1) source.write({ [name(n % FILES)]: `run ${runs} in ${n}` });
    made.now.ms += afterMs;
    return (await made.origin.backup(aSource, { acceptChanges })).braked;
  };
  return { ...made, source, brakes, start, alarms, run, unlisted };
}

test('who encrypts a tenth of the files in each run is noticed within the day, though no run shows it', async t => {
  const { run, brakes, alarms, unlisted } = await aBrakedSource(t);
  for (let tenth = 0; tenth < 5; tenth += 1) {
    t.false(await run(tenth * 30, 30));
    t.is(brakes.on(aSource), undefined, `${tenth}`);
  }
  t.true(unlisted.count > 0, 'what it is compared with is not listed any more');
  t.true(await run(150, 30));
  t.regex(
    brakes.on(aSource) ?? '',
    /^of 300 files 0 left and 180 changed since 2027-01-15T08:00Z, little by little, by snapshot/,
  );
  t.deepEqual(
    alarms.list().map(({ code }) => code),
    ['MASS_CHANGE'],
  );
  t.false(await run(0, 1), 'it is on already');
});

test('files that only got another name or place are not lost, nor are copies of what is still there', async t => {
  const { run, source, brakes, alarms } = await aBrakedSource(t);
  mkdirSync(source.path('moved'));
  for (let n = 0; n < 7; n += 1) renameSync(source.path(`folder${n}`), source.path('moved', `folder${n}`));
  t.false(await run(0, 1));
  t.is(brakes.on(aSource), undefined);
  cpSync(source.path('moved'), source.path('copies'), { recursive: true });
  t.false(await run(0, 1));
  rmSync(source.path('moved'), { recursive: true });
  t.false(await run(0, 1));
  t.deepEqual(alarms.list(), []);
  rmSync(source.path('copies'), { recursive: true });
  t.true(await run(0, 1));
  t.regex(brakes.on(aSource) ?? '', /^of 301 files 300 left and 1 changed at once/);
});

test('moved within a day, and then encrypted little by little', async t => {
  const { run, source, brakes } = await aBrakedSource(t);
  for (let n = 0; n < 7; n += 1) renameSync(source.path(`folder${n}`), source.path(`moved${n}`));
  t.false(await run(0, 1));
  for (let tenth = 1; tenth < 7; tenth += 1) {
    for (let n = tenth * 30; n < tenth * 30 + 30; n += 1)
      source.write({ [name(n).replace('folder', 'moved')]: `encrypted ${n}` });
    t.is(await run(0, 1), tenth === 6, `${tenth}`);
  }
  t.regex(brakes.on(aSource) ?? '', /little by little/);
});

test('after most got another name, a run that changes little reads little, and what is then lost is noticed', async t => {
  const { run, source, brakes, catalog } = await aBrakedSource(t);
  for (let n = 0; n < 7; n += 1) renameSync(source.path(`folder${n}`), source.path(`moved${n}`));
  await run(0, 1);
  const changes = new MassChanges({ brakes, objects: source.objects, log: pino({ level: 'silent' }) });
  const [first, second] = catalog.get(aSource)?.head.snapshots ?? [];
  const readsOf = async (filesChanged: number): Promise<number> => {
    const { reads } = source.objects;
    const at = { snapshot: second?.id as ObjectId, timeMs: second?.timeMs ?? 0, filesBefore: FILES, filesGone: 0 };
    const wanted = first === undefined ? [] : [first];
    const view = { ...at, filesChanged, brakePercent: 50, wanted };
    await changes.look(aSource, view, new AbortController().signal);
    return source.objects.reads - reads;
  };
  const compared = await readsOf(1);
  t.true(compared > 20);
  // 149 files that leave lose themselves and as many others at most.
  for (let files = 1; files <= 75; files += 15) t.is(await readsOf(15), 2, `${files}`);
  t.is(await readsOf(1), compared, 'so much changed that it may be too much');
  for (let n = 0; n < 7; n += 1) rmSync(source.path(`moved${n}`), { recursive: true });
  t.true(await run(0, 1));
  t.regex(brakes.on(aSource) ?? '', /^of 301 files 300 left/);
});

test('copies of one content may go one after the other, but not the last', async t => {
  const { run, source, brakes } = await aBrakedSource(t);
  source.write(Object.fromEntries(Array.from({ length: 400 }, (_, n) => [`same/${n}`, 'the same'])));
  t.false(await run(0, 1, { afterMs: 25 * HOUR_MS }));
  t.false(await run(0, 1, { afterMs: 25 * HOUR_MS }));
  for (let n = 0; n < 399; n += 1) rmSync(source.path(`same/${n}`));
  t.false(await run(0, 1));
  t.false(await run(0, 1));
  rmSync(source.path('same/399'));
  t.true(await run(0, 1));
  t.regex(brakes.on(aSource) ?? '', /^of 700 files 400 left and 1 changed since .*, little by little/);
});

test('files that came within the day and went in small steps are noticed once the day began with them', async t => {
  const { run, source, brakes } = await aBrakedSource(t);
  const many = (n: number): string => `many/${n}`;
  source.write(Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [many(n), `many ${n}`])));
  t.false(await run(0, 1));
  let gone = 0;
  for (const until of [400, 750, 900]) {
    for (; gone < until; gone += 1) rmSync(source.path(many(gone)));
    t.false(await run(0, 1), `${until}`);
  }
  t.true(await run(0, 1, { afterMs: 21 * HOUR_MS }));
  t.regex(brakes.on(aSource) ?? '', /^of 1300 files 900 left/);
});

for (const part of ['itself', 'pages'] as const)
  test(`where the last snapshot cannot be read (${part}), what left by its path counts as lost`, async t => {
    const { source, brakes, catalog } = await aBrakedSource(t);
    const log = pino({ level: 'silent' });
    const changes = new MassChanges({ brakes, objects: source.objects, log });
    const [first] = catalog.get(aSource)?.head.snapshots ?? [];
    renameSync(source.path('folder0'), source.path('moved'));
    const { snapshot } = await source.take();
    const { pages } = await readSnapshot(source.objects, first?.id as ObjectId);
    for (const id of part === 'itself' ? [first?.id as ObjectId] : pages) source.objects.lose(id);
    const run = { snapshot, timeMs: Date.now(), filesBefore: FILES, filesGone: 200, filesChanged: 0 };
    const wanted = first === undefined ? [] : [first];
    t.true(await changes.look(aSource, { ...run, brakePercent: 50, wanted }, new AbortController().signal));
    t.regex(brakes.on(aSource) ?? '', /^of 300 files 200 left/);
  });

test('the same few files over and over are ordinary work, and so is as much in several days', async t => {
  const { run, brakes, alarms } = await aBrakedSource(t);
  for (let runs = 0; runs < 12; runs += 1) await run(0, 60);
  for (let day = 0; day < 6; day += 1) await run(60 + day * 40, 40, { afterMs: 25 * HOUR_MS });
  t.is(brakes.on(aSource), undefined);
  t.deepEqual(alarms.list(), []);
});

test('what a person has accepted is not counted again, not after a restart either', async t => {
  const { run, brakes, start } = await aBrakedSource(t);
  await run(0, 80);
  await run(80, 80);
  t.regex(brakes.on(aSource) ?? '', /160 changed/);
  await run(160, 10, { acceptChanges: true });
  t.is(brakes.on(aSource), undefined);
  await run(170, 100);
  t.is(brakes.on(aSource), undefined);
  t.is(start().acceptedMs(aSource), brakes.acceptedMs(aSource));
  await run(0, 60);
  t.regex(brakes.on(aSource) ?? '', /160 changed/);
});

test('runs are compared with the day before only when their sum is too much', async t => {
  const { run, source, brakes, catalog } = await aBrakedSource(t);
  await run(0, 10);
  const log = pino({ level: 'silent' });
  const changes = new MassChanges({ brakes, objects: source.objects, log });
  const listed = catalog.get(aSource)?.head.snapshots ?? [];
  const [first, second] = listed;
  const look = async (filesChanged: number): Promise<number> => {
    const { reads } = source.objects;
    const run = { snapshot: second?.id as ObjectId, timeMs: second?.timeMs ?? 0, filesBefore: FILES, filesGone: 0 };
    const view = { ...run, filesChanged, brakePercent: 50, wanted: first === undefined ? [] : [first] };
    await changes.look(aSource, view, new AbortController().signal);
    return source.objects.reads - reads;
  };
  t.true((await look(10)) > 2, 'nothing is known at the start');
  t.is(await look(0), 1, 'the last snapshot says whether it was cut again');
  for (let runs = 0; runs < 14; runs += 1) t.is(await look(10), 2, `${runs}`);
  t.true((await look(10)) > 2);
  t.is(await look(10), 2);
});

test('where the older snapshot cannot be read nothing is pulled, and the next run looks again', async t => {
  const { run, source, brakes, catalog } = await aBrakedSource(t);
  await run(0, 100);
  await run(100, 40);
  const log = pino({ level: 'silent' });
  const changes = new MassChanges({ brakes, objects: source.objects, log });
  const [first, , third] = catalog.get(aSource)?.head.snapshots ?? [];
  const bytes = (await source.objects.get(first?.id as ObjectId)) as Uint8Array;
  source.objects.lose(first?.id as ObjectId);
  const at = { snapshot: third?.id as ObjectId, timeMs: third?.timeMs ?? 0, filesBefore: FILES, filesGone: 0 };
  const view = { ...at, filesChanged: 1, brakePercent: 40, wanted: first === undefined ? [] : [first] };
  await changes.look(aSource, view, new AbortController().signal);
  t.is(brakes.on(aSource), undefined);
  await source.objects.put(bytes);
  await changes.look(aSource, view, new AbortController().signal);
  t.regex(brakes.on(aSource) ?? '', /140 changed/);
});

test('where what was a day ago before cannot be read any more, the next day is compared anew', async t => {
  const { run, source, brakes, catalog } = await aBrakedSource(t);
  await run(0, 1);
  await run(0, 140);
  const changes = new MassChanges({ brakes, objects: source.objects, log: pino({ level: 'silent' }) });
  const listed = catalog.get(aSource)?.head.snapshots ?? [];
  const look = (at: number) => {
    const { id: snapshot, timeMs } = listed[at] as ListedSnapshot;
    const view = { filesBefore: FILES, filesGone: 0, filesChanged: 1, brakePercent: 40 };
    const wanted = listed.slice(at - 1, at);
    return changes.look(aSource, { snapshot, timeMs, ...view, wanted }, new AbortController().signal);
  };
  t.false(await look(1));
  source.objects.lose(listed[0]?.id as ObjectId);
  t.true(await look(2));
  t.regex(brakes.on(aSource) ?? '', /140 changed/);
});
