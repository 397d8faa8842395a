/**
 * Restore as a user without root, by the real command: whose the files were cannot be given back, which is said once and
 * changes the exit code; what was the user's own comes back whole.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, statSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { compareTrees } from '../helpers/compare-trees.js';
import { skip } from '../helpers/skip.js';
import { unprivileged } from '../helpers/unprivileged.js';
import { BareHouse } from './bare-house.js';
import { cluster, type Ended, recordsOf } from './cli-fixture.js';

const FILES = 40;
const { by = [], owner: other } = unprivileged();

interface Case {
  /** The folder that the snapshot was taken of. */
  readonly root: string;
  readonly target: string;
  /** The restore by a user without root, from a disk that this user may read. */
  restore(...more: readonly string[]): Promise<Ended>;
  restoreAsRoot(...more: readonly string[]): Promise<Ended>;
}

/** @param owner of all that is in the snapshot */
async function snapshotOf(t: ExecutionContext, { owner }: { readonly owner: number }): Promise<Case> {
  const house = new BareHouse(t);
  const source = house.source();
  source.write(Object.fromEntries(Array.from({ length: FILES }, (_, n) => [`a/${n}`, `file ${n}`])));
  own(source.root, owner);
  await source.take();
  const disk = await house.disk({ name: 'disk' });
  own(disk, other);
  chmodSync(house.folder, 0o755);
  mkdirSync(house.path('mine'));
  own(house.path('mine'), other);
  const target = house.path('mine', 'out');
  const words = ['restore', '--from-store', disk, '--target', target];
  return {
    root: source.root,
    target,
    restore: (...more) => cluster([...words, ...more], { by }),
    restoreAsRoot: (...more) => cluster([...words, ...more]),
  };
}

const own = (folder: string, owner: number | undefined): void => {
  spawnSync('chown', ['-R', `${owner}:${owner}`, folder]);
};

const linesAbout = (word: string, { err }: Ended): string[] => err.split('\n').filter(line => line.includes(word));

test('a restore without root warns once about all files of other users, and exits with 3', async t => {
  if (other === undefined) return skip(t, 'only root can run it as somebody else');
  const { root, target, restore, restoreAsRoot } = await snapshotOf(t, { owner: 0 });
  const dry = await restore('--dry-run');
  t.is(dry.code, 3, dry.err);
  t.false(existsSync(target));

  const first = await restore('--verify');
  t.is(first.code, 3, first.err);
  for (const one of [dry, first])
    t.regex(
      linesAbout('owner not set', one).join('\n'),
      /^owner not set: [^:\n]*\ba\/1?0\b[^:\n]* and \d\d more: it was not yours, and only root can give it back .*$/,
    );
  t.regex(first.err, /^42 things could not be set as they were; the content is complete$/m);
  t.regex(first.err, /root does it \(sudo\): into another folder, or here with --overwrite/);
  t.regex(first.out, /40 files .*read back 41/);
  const differences = compareTrees(root, target);
  const others = differences.filter(one => !one.includes(': belongs to '));
  t.deepEqual([differences.length, others], [FILES + 2, []], 'all but the owner is as it was');

  const again = await restore('--overwrite');
  t.is(again.code, 3, 'also of what is there already, as people believe the last of several runs');
  t.regex(again.out, /kept 40 files/);
  const scripted = await restore('--overwrite', '--json');
  const problems = recordsOf(scripted.out).filter(({ message_type }) => message_type === 'problem');
  t.is(problems.length, FILES + 1, 'each is a record for scripts');
  for (const { path, because, ...others } of problems) {
    t.deepEqual(others, { message_type: 'problem', kind: 'not-set', what: 'owner' });
    t.regex(String(path), /^(a(\/\d+)?)?$/);
    t.regex(String(because), /^it was not yours, and only root can give it back/);
  }
  t.like(recordsOf(scripted.out).at(-1), { failed: 0, not_set: FILES + 1 });

  const whole = await restoreAsRoot('--overwrite', '--verify');
  // A machine that is busy with other tests may take long enough to look that this is told.
  const told = whole.err.replace('looking for sources on these disks …\n', '');
  t.deepEqual([whole.code, told], [0, ''], 'as the hint says');
  const below = compareTrees(root, target).filter(one => !one.startsWith('"": '));
  t.deepEqual(below, [], 'all but the folder that was there');
});

test('a restore without root of what is the own user warns about nothing', async t => {
  if (other === undefined) return skip(t, 'only root can run it as somebody else');
  const { root, target, restore } = await snapshotOf(t, { owner: other });
  const isQuiet = async (option: string): Promise<void> => {
    const { code, err } = await restore(option);
    t.deepEqual([code, err], [0, ''], option);
  };
  await isQuiet('--dry-run');
  await isQuiet('--verify');
  t.is(statSync(target).uid, other);
  t.deepEqual(compareTrees(root, target), []);
  await isQuiet('--overwrite');
});
