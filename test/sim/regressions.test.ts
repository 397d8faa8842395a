/** Regressions: each kept run passes with the whole build, and shows what it was kept for where a rule is taken out. */
import test from 'ava';
import { MUTANTS, mutantOf } from '../../sim/mutants.js';
import { readRegressions } from '../../sim/regressions.js';
import { runSeed } from '../../sim/run-seed.js';

for (const { file, title, mutant: name, by, options } of readRegressions()) {
  test(`${file}: ${title}`, t => {
    t.is(runSeed(options).failed, undefined);
    if (name === undefined) return;
    const mutant = mutantOf(name);
    t.not(mutant, undefined);
    t.is(runSeed(options, { mutant }).failed?.by, by as never);
  });
}

test('every mutant has a run that kills it', t => {
  const killed = new Set(readRegressions().map(({ mutant }) => mutant));
  t.deepEqual(
    MUTANTS.filter(({ name }) => !killed.has(name)).map(({ name }) => name),
    [],
  );
});
