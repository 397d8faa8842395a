import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { pino } from 'pino';
import { type HostId, parseObjectId, type SourceId, sourceIdOf, splitSourceId } from '../../src/core/ids.js';
import { Alarms } from '../../src/daemon/alarms.js';
import { Brakes, type MassChange } from '../../src/daemon/brakes.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { until } from '../helpers/until.js';

const HOST = 'a'.repeat(32) as HostId;
const PHOTOS = sourceIdOf(HOST, 'photos');
const MAIL = sourceIdOf(HOST, 'mail');
const CHANGE: MassChange = {
  snapshot: parseObjectId('b'.repeat(64)),
  timeMs: Date.UTC(2026, 10, 28, 12),
  filesBefore: 2_000,
  filesGone: 1_500,
  filesChanged: 3,
};

const nameOf = (source: SourceId): string => `imac/${splitSourceId(source).source}`;

function aStart(stateDir: string) {
  const log = pino({ level: 'silent' });
  const alarms = new Alarms({ log, wallMs: () => 0 });
  const brakes = new Brakes({ stateDir, nameOf, alarms, log });
  brakes.configure(new Set([PHOTOS, MAIL]), { isForgotten: () => false });
  return { alarms, brakes };
}

test('a brake holds over restarts, with its alarm, until a person has looked', async t => {
  const folder = temporaryFolder(t);
  const first = aStart(folder);
  t.is(first.brakes.on(PHOTOS), undefined);
  await first.brakes.pull(PHOTOS, CHANGE);

  const second = aStart(folder);
  t.is(
    second.brakes.on(PHOTOS),
    'of 2000 files 1500 left and 3 changed at once in snapshot bbbbbbbb of 2026-11-28T12:00Z',
  );
  t.is(second.brakes.on(MAIL), undefined);
  t.deepEqual(
    second.alarms.list().map(({ code }) => code),
    ['MASS_CHANGE'],
  );
  t.regex(
    second.alarms.list()[0]?.text ?? '',
    /^source imac\/photos: .*'cluster backup imac\/photos --accept-changes'/,
  );
  await second.brakes.release(PHOTOS, CHANGE.timeMs);
  t.is(second.brakes.on(PHOTOS), undefined);
  t.deepEqual(second.alarms.list(), []);
  t.is(aStart(folder).brakes.on(PHOTOS), undefined);
});

test('a brake knows since when nothing was accepted, however much changes after it, and over restarts', async t => {
  const folder = temporaryFolder(t);
  const { brakes } = aStart(folder);
  t.is(brakes.sinceMs(PHOTOS), undefined);
  await brakes.pull(PHOTOS, CHANGE);
  await brakes.pull(PHOTOS, { ...CHANGE, timeMs: CHANGE.timeMs + 60_000 });
  const again = aStart(folder).brakes;
  t.is(again.sinceMs(PHOTOS), CHANGE.timeMs);
  t.regex(again.on(PHOTOS) ?? '', /of 2026-11-28T12:01Z/);
  await again.release(PHOTOS, CHANGE.timeMs);
  t.is(again.sinceMs(PHOTOS), undefined);
});

test('where the file is damaged every source is braked until a person has looked at it, and the file is left alone', async t => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'brakes.json');
  writeFileSync(file, '{"sources":');
  const { brakes, alarms } = aStart(folder);
  t.regex(brakes.on(PHOTOS) ?? '', /damaged/);
  t.deepEqual(
    alarms.list().map(({ code }) => code),
    ['BRAKES_DAMAGED'],
  );
  await brakes.release(PHOTOS, CHANGE.timeMs);
  t.is(brakes.on(PHOTOS), undefined);
  t.regex(brakes.on(MAIL) ?? '', /damaged/);
  // It must not take the place of what the file may have said of others.
  await brakes.pull(MAIL, CHANGE);
  t.is(readFileSync(file, 'utf8'), '{"sources":');
});

test('once a person has removed the damaged file, brakes are written again, with those that were pulled meanwhile', async t => {
  const folder = temporaryFolder(t);
  const file = join(folder, 'brakes.json');
  writeFileSync(file, '{"sources":');
  const { brakes, alarms } = aStart(folder);
  await brakes.pull(MAIL, CHANGE);
  rmSync(file);
  await brakes.release(PHOTOS, CHANGE.timeMs);
  t.is(brakes.on(PHOTOS), undefined);
  t.deepEqual(
    alarms.list().map(({ code }) => code),
    ['MASS_CHANGE'],
  );
  await brakes.pull(PHOTOS, CHANGE);
  const again = aStart(folder).brakes;
  t.regex(again.on(MAIL) ?? '', /1500 left/);
  t.regex(again.on(PHOTOS) ?? '', /1500 left/);
});

test('a source that leaves the policy takes its alarm along, and has it again with its brake when it comes back', async t => {
  const folder = temporaryFolder(t);
  const { brakes, alarms } = aStart(folder);
  await brakes.pull(PHOTOS, CHANGE);
  const isForgotten = () => false;
  brakes.configure(new Set([MAIL]), { isForgotten });
  t.deepEqual(alarms.list(), []);
  t.regex(brakes.on(PHOTOS) ?? '', /1500 left/);
  brakes.configure(new Set([MAIL, PHOTOS]), { isForgotten });
  t.is(alarms.list().length, 1);
});

test('the brake of a source that was forgotten is dropped, on the disk too', async t => {
  const folder = temporaryFolder(t);
  const { brakes, alarms } = aStart(folder);
  await brakes.pull(PHOTOS, CHANGE);
  await brakes.pull(MAIL, CHANGE);
  brakes.configure(new Set([MAIL]), { isForgotten: source => source === PHOTOS });
  brakes.configure(new Set([MAIL, PHOTOS]), { isForgotten: () => false });
  t.is(brakes.on(PHOTOS), undefined);
  t.is(alarms.list().length, 1);
  await until('the file', () => !readFileSync(join(folder, 'brakes.json'), 'utf8').includes(PHOTOS));
  t.regex(aStart(folder).brakes.on(MAIL) ?? '', /1500 left/);
});

test('what a person has accepted is known over restarts, as is since when a slow change goes on', async t => {
  const folder = temporaryFolder(t);
  const { brakes } = aStart(folder);
  t.is(brakes.acceptedMs(PHOTOS), undefined);
  await brakes.release(PHOTOS, 5);
  await brakes.pull(MAIL, { ...CHANGE, sinceSnapshotMs: Date.UTC(2026, 10, 27, 11) });
  const again = aStart(folder).brakes;
  t.is(again.acceptedMs(PHOTOS), 5);
  t.is(again.acceptedMs(MAIL), undefined);
  t.is(
    again.on(MAIL),
    'of 2000 files 1500 left and 3 changed since 2026-11-27T11:00Z, little by little, by snapshot bbbbbbbb of 2026-11-28T12:00Z',
  );
});
