/** Regressions: each kept run passes with the whole build, and shows what it was kept for where a rule is taken out. */
import test from 'ava';
import { MUTANTS } from '../../sim/mutants.js';
import { readRegressions } from '../../sim/regressions.js';
import { replayRegression } from '../../sim/replay-regression.js';

for (const regression of readRegressions()) {
  test(`${regression.file}: ${regression.title}`, t => t.is(replayRegression(regression), undefined));
}

test('every mutant has a run that kills it', t => {
  const killed = new Set(readRegressions().map(({ mutant }) => mutant));
  t.deepEqual(
    MUTANTS.filter(({ name }) => !killed.has(name)).map(({ name }) => name),
    [],
  );
});
