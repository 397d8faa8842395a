/** Failure lines: whatever failed, and after how many others, it can be seen again. */
import test from 'ava';
import { type Failure, failureLines, failureOf } from '../../sim/failure-lines.js';
import { drawRun } from '../../sim/run-options.js';
import { runSeed } from '../../sim/run-seed.js';

const options = drawRun(3);
const OPTIONS = `  options: ${JSON.stringify(options)}`;

const failures: readonly Failure[] = [
  { options, by: 'I1', message: 'I1: two copies', at: { events: 17, atMs: 1_234 } },
  { options, by: 'crash', message: 'no such row', at: { events: 1, atMs: 0 }, stack: 'at row.ts' },
  { options, by: 'I9', message: 'the second run differs from link 2 on' },
];

for (const failure of failures) {
  for (const inFull of [true, false]) {
    test(`a failure by ${failure.by} is told with its options${inFull ? '' : ', also after many others'}`, t => {
      const lines = failureLines(failure, { build: 'abc', inFull });
      t.regex(lines[0] ?? '', new RegExp(`^seed 3 failed by ${failure.by}.* \\(build abc\\)$`));
      t.true(lines.includes(OPTIONS));
      t.is(lines.includes(`  ${failure.message}`), inFull);
      t.is(
        lines.some(line => line.includes('replay 3 --trace')),
        inFull,
      );
    });
  }
}

test('a run that fails is a failure, and one that passes is none', t => {
  const passed = runSeed(options, { untilEvent: 10 });
  t.is(failureOf(options, passed), undefined);
  const failed = { by: 'I6', message: 'I6: too much', stack: 'at store.ts' } as const;
  t.deepEqual(failureOf(options, { ...passed, failed }), {
    options,
    by: 'I6',
    message: 'I6: too much',
    at: { events: passed.events, atMs: passed.atMs },
  });
  t.is(failureOf(options, { ...passed, failed: { ...failed, by: 'crash' } })?.stack, 'at store.ts');
});
