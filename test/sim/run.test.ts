/** The simulator's own command, run as it is: what it cannot do ends it with 2, and it never passes without having tested anything. */
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const RUN = fileURLToPath(new URL('../../sim/run.js', import.meta.url));

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

const sim = (...args: readonly string[]): Promise<Ended> =>
  new Promise(resolve => {
    const child = execFile(process.execPath, [RUN, ...args], (_, out, err) =>
      resolve({ code: child.exitCode ?? Number.NaN, out, err }),
    );
  });

for (const [args, says] of [
  [['--from', '10', '--to', '5'], /there are no seeds from 10 to 5/],
  [['--seeds', '0'], /there are no seeds from 1 to 0/],
  [['--seeds', '3', '--to', '5'], /only one of them/],
  [['--seeds', '1e3'], /--seeds 1e3: a whole number/],
  [['--from', '-1'], /--from/],
  [['--threads', '0'], /--threads 0: 1 to 64 are expected/],
  [['--threads', '65'], /--threads 65: 1 to 64/],
  [['--threads', 'two'], /--threads two: a whole number/],
  [['hashes', '--from', 'x'], /--from x: a whole number/],
  [['hashes', '3'], /unexpected: 3/],
  [['mutants', '--only', 'nosuch'], /no mutant is called nosuch; there are: grant-from-index, /],
  [['mutants', '--seeds', ''], /--seeds : a whole number/],
  [['replay'], /replay: give one seed or file/],
  [['replay', 'abc'], /abc: neither a seed, a whole number, nor a file with a run/],
  [['replay', '3', '--until', 'x'], /--until x: a whole number/],
  [['replay', '12345678901'], /seed 12345678901: a whole number/],
  [['replay', 'package.json'], /package\.json: neither a seed/],
  [['shrink', '3.5'], /3\.5: neither a seed/],
  [['shrink', '3', '4'], /shrink: give one seed or file/],
  [['nosuch'], /no such command: nosuch/],
  [['--nosuch'], /--nosuch/],
] as const) {
  test(`npm run sim -- ${args.join(' ')} exits 2`, async t => {
    const { code, out, err } = await sim(...args);
    t.is(code, 2, out);
    t.regex(err, says);
    t.is(out, '');
  });
}

test('a seed is replayed up to an event', async t => {
  const { code, out } = await sim('replay', '4', '--until', '50');
  t.is(code, 0);
  t.regex(out, /^50 events, /m);
  t.regex(out, /\n1 passed, 0 failed\n$/);
});

test('a kept run is replayed by its name, its mutant with it, and says how to see it again', async t => {
  const name = 'mutant-nonce-repeats';
  const { code, out } = await sim('replay', name, '--trace');
  t.is(code, 1);
  t.regex(out, /\nwithout this: /);
  t.regex(out, /\nseed \d+ failed by I\d+ at event \d+/);
  t.regex(out, new RegExp(`again: npm run sim -- replay ${name} --trace; smaller: npm run sim -- shrink ${name}\n`));
  t.true(out.split('\n').length > 100);
});

test('a run is replayed by its options, as they were printed', async t => {
  const { out } = await sim('replay', '4', '--until', '50');
  const file = join(temporaryFolder(t), 'run.json');
  writeFileSync(file, out.slice(out.indexOf('{'), out.lastIndexOf('}') + 1));
  const again = await sim('replay', file, '--until', '50');
  t.is(again.code, 0);
  t.is(again.out, out);
});

test('some seeds are run', async t => {
  const { code, out } = await sim('--from', '4', '--to', '5');
  t.is(code, 0);
  t.regex(out, /\n2 passed, 0 failed\n$/);
});

test('the same is seen whatever the number of threads, and each seed is run once', async t => {
  const seen = async (threads: number): Promise<string> => {
    const { code, out } = await sim('--from', '21', '--to', '26', '--threads', String(threads));
    t.is(code, 0);
    t.regex(out, /\n6 passed, 0 failed\n$/);
    return out.replace(/^.* events in .*\n/m, '').replace(/^. of 6 seeds\n/gm, '');
  };
  t.is(await seen(3), await seen(1));
});
