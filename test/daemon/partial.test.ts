import { unlinkSync } from 'node:fs';
import test from 'ava';
import { pino } from 'pino';
import { readSnapshot } from '../../src/catalog/read-object.js';
import { encodeSnapshot } from '../../src/catalog/snapshot.js';
import type { ObjectId } from '../../src/core/ids.js';
import type { ObjectWriter } from '../../src/core/objects.js';
import { Alarms } from '../../src/daemon/alarms.js';
import { PARTIAL, tellPartial } from '../../src/daemon/partial.js';
import { aSource, ScratchSource } from '../catalog/scratch-source.js';
import { runWithoutOverride } from '../helpers/without-override.js';
import { anOrigin } from './an-origin.js';

test('what the newest snapshot lacks is an alarm with counts and some of the paths, until it lacks nothing', t => {
  const alarms = new Alarms({ log: pino({ level: 'silent' }), wallMs: () => 0 });
  const tell = (newest: { stale: number; missed: number }, carried: readonly number[]): string | undefined => {
    const unread = carried.map((count, n) => ({ path: Buffer.from(`a\n${n}`), because: 'EACCES', carried: count }));
    tellPartial(alarms, aSource, { name: 'photos', newest, unread });
    t.true(alarms.list().length <= 1);
    return alarms.list()[0]?.text;
  };
  t.regex(
    tell({ stale: 0, missed: 4 }, [0, 0, 0, 0]) ?? '',
    /source photos: .*: 4 not in it \(missed\): a\\x0a0 \(EACCES\), a\\x0a1 \(EACCES\), a\\x0a2 \(EACCES\) and 1 more\. .*exclude/,
  );
  t.regex(
    tell({ stale: 7, missed: 1 }, [7, 0]) ?? '',
    /1 not in it \(missed\), 7 in it as before \(stale\): a\\x0a0 \(EACCES\), a\\x0a1 \(EACCES\)\. /,
    'a folder counts with all that is carried over below it',
  );
  t.regex(
    tell({ stale: 2, missed: 3 }, [0, 0, 0]) ?? '',
    /3 not in it \(missed\), 2 in it as before \(stale\): .*a\\x0a2 \(EACCES\) and 2 more\. /,
    'what is stale and has no name counts, too',
  );
  t.regex(
    tell({ stale: 1, missed: 0 }, []) ?? '',
    /: 1 in it as before \(stale\)\. /,
    'after a restart there are no paths',
  );
  t.is(tell({ stale: 0, missed: 0 }, []), undefined);
});

interface Step {
  readonly alarms: readonly (readonly [code: string, text: string])[];
  readonly stale: number;
  readonly missed: number;
}

test('the alarm stands from a run that could not read something, over a restart, to one that read everything', t => {
  const steps = runWithoutOverride<Step>(new URL('./partial-run.js', import.meta.url));
  const [whole, missing, again, restarted, readable, gone] = steps;
  t.is(steps.length, 6);
  t.like(whole, { alarms: [], stale: 0, missed: 0 });
  t.like(missing, { stale: 1, missed: 1 });
  t.deepEqual(
    missing?.alarms.map(([code]) => code),
    [PARTIAL],
  );
  t.regex(
    missing?.alarms[0]?.[1] ?? '',
    /^source imac\/photos: .*1 not in it \(missed\), 1 in it as before \(stale\): known \(EACCES\), new \(EACCES\)\..*cluster diff imac\/photos'/,
  );
  t.deepEqual(again?.alarms, missing?.alarms, 'nothing new is told of the same');
  t.regex(restarted?.alarms[0]?.[1] ?? '', /1 not in it \(missed\), 1 in it as before \(stale\)\. /);
  t.like(readable, { alarms: [], stale: 0, missed: 0 });
  t.deepEqual(gone?.alarms, [], 'a source that leaves the policy has no alarm');
});

const retainer = { judge: async () => ({ stopped: undefined, snapshots: [] }) } as never;

const partialIn = (alarms: Alarms): readonly string[] =>
  alarms
    .list()
    .filter(({ code }) => code === PARTIAL)
    .map(({ text }) => text);

test('a file that was deleted before anybody had a copy is no alarm, nor is it after a restart', async t => {
  const source = new ScratchSource(t);
  source.write({ 'gone.txt': 'gone', 'other.txt': 'other' });
  const { catalog, list, tear, alarms } = await anOrigin(t, source, { retainer });
  await source.take();
  await list();
  unlinkSync(source.path('gone.txt'));
  await tear('gone.txt');
  t.false(catalog.get(aSource)?.head.snapshots.at(-1)?.complete);
  t.deepEqual(partialIn(alarms), []);

  const restarted = await anOrigin(t, source, { retainer, catalog });
  restarted.configure();
  // The telling has its turn before this.
  await restarted.noteCopied();
  t.deepEqual(partialIn(restarted.alarms), []);
});

test('after a restart, of what a snapshot lacks only that is told which could not be read', async t => {
  const source = new ScratchSource(t);
  source.write({ 'gone.txt': 'gone', 'other.txt': 'other' });
  const { catalog, list, tear } = await anOrigin(t, source, { retainer });
  const { snapshot } = await source.take();
  const taken = await readSnapshot(source.objects, snapshot);
  const whole = await source.objects.put(encodeSnapshot({ ...taken, missed: 2 }, source.signer));
  source.last = whole;
  await list();
  unlinkSync(source.path('gone.txt'));
  await tear('gone.txt');
  const newest = catalog.get(aSource)?.head.snapshots.at(-1)?.id as ObjectId;
  t.is((await readSnapshot(source.objects, newest)).missed, 3);

  const told = async (lost: readonly ObjectId[]): Promise<readonly string[]> => {
    const objects: ObjectWriter = Object.assign(Object.create(source.objects), {
      get: async (one: ObjectId) => (lost.includes(one) ? undefined : source.objects.get(one)),
    });
    const restarted = await anOrigin(t, source, { retainer, catalog, objects });
    restarted.configure();
    await restarted.noteCopied();
    return partialIn(restarted.alarms);
  };
  t.regex((await told([])).join(), /: 2 not in it \(missed\)\. /);
  t.regex((await told([whole])).join(), /: 3 not in it \(missed\)\. /, 'where that is lost, rather too much');
  t.deepEqual(await told([newest]), [], 'the next run says it');
});
