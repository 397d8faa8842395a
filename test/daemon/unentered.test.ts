import { mkdirSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { pino } from 'pino';
import { lookAtForbidden } from '../../src/catalog/forbidden-folder.js';
import { Alarms } from '../../src/daemon/alarms.js';
import { tellUnentered, UNENTERED } from '../../src/daemon/unentered.js';
import { aSource, ScratchSource } from '../catalog/scratch-source.js';
import { skip } from '../helpers/skip.js';
import { mountSmallDisk, whyNoSmallDisk } from '../helpers/small-disk.js';
import { anOrigin } from './an-origin.js';

const DISK_BYTES = 64 * 1024;

test('what is not entered is an alarm that names some of it and says what to do, until nothing is', t => {
  const alarms = new Alarms({ log: pino({ level: 'silent' }), wallMs: () => 0 });
  const tell = (count: number): void => {
    const paths = Array.from({ length: count }, (_, n) => Buffer.from(`disk\n${n}`));
    tellUnentered(alarms, aSource, { name: 'photos', unentered: { count, paths } });
  };
  tell(3);
  t.regex(
    alarms.list()[0]?.text ?? '',
    /source photos: .*: disk\\x0a0, disk\\x0a1, disk\\x0a2\. .*crossMounts.*exclude/,
  );
  tell(5);
  t.regex(alarms.list()[0]?.text ?? '', /disk\\x0a2 and 2 more\./);
  t.is(alarms.list().length, 1);
  tell(0);
  t.deepEqual(alarms.list(), []);
});

test('a run that enters no mount point is complete and says so, but not of what is excluded, entered or a store', async t => {
  const because = whyNoSmallDisk();
  if (because !== undefined) return skip(t, because);
  const source = new ScratchSource(t);
  source.write({ 'file.txt': 'one' });
  for (const name of ['disk', 'hoard']) {
    mkdirSync(source.path(name));
    mountSmallDisk(t, source.path(name), DISK_BYTES);
    writeFileSync(source.path(name, 'only-copy'), 'precious');
  }
  const hoard = await lookAtForbidden(source.path('hoard'));
  const { origin, alarms } = await anOrigin(t, source, {
    forbidden: () => [hoard],
    retainer: { judge: async () => ({ stopped: undefined, snapshots: [] }) } as never,
  });
  const backUp = async (change: object) => {
    const setting = { name: 'photos', path: source.root, schedule: { kind: 'every', everyMs: 3_600_000 }, jitterMs: 0 };
    origin.configure([{ ...setting, hooks: {}, ...change } as never]);
    const { unentered, stale, missed } = await origin.backup(aSource, { acceptChanges: false });
    const told = alarms.list().filter(({ code }) => code === UNENTERED).length;
    return { paths: unentered.paths.map(String), told, partial: stale + missed > 0 };
  };
  t.deepEqual(await backUp({}), { paths: ['disk'], told: 1, partial: false });
  t.deepEqual(await backUp({ exclude: ['disk'] }), { paths: [], told: 0, partial: false });
  t.deepEqual(await backUp({}), { paths: ['disk'], told: 1, partial: false });
  t.deepEqual(await backUp({ crossMounts: true }), { paths: [], told: 0, partial: false });
  await backUp({ exclude: [] });
  origin.configure([]);
  t.deepEqual(alarms.list(), []);
});
