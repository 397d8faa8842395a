/** The simulator's own command, run as it is: what it cannot do ends it with 2, and it never passes without having tested anything. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import test from 'ava';

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
  [['hashes', '--from', 'x'], /--from x: a whole number/],
  [['hashes', '3'], /unexpected: 3/],
  [['mutants', '--only', 'nosuch'], /no mutant is called nosuch; there are: grant-from-index, /],
  [['mutants', '--seeds', ''], /--seeds : a whole number/],
  [['replay'], /replay: give one seed/],
  [['replay', 'abc'], /seed abc: a whole number/],
  [['replay', '3', '--until', 'x'], /--until x: a whole number/],
  [['shrink', '3.5'], /seed 3\.5: a whole number/],
  [['shrink', '3', '4'], /shrink: give one seed/],
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

test('some seeds are run', async t => {
  const { code, out } = await sim('--from', '4', '--to', '5');
  t.is(code, 0);
  t.regex(out, /\n2 passed, 0 failed\n$/);
});
