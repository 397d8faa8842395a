import test from 'ava';
import { drawRun } from '../../sim/run-options.js';
import { runSeed } from '../../sim/run-seed.js';

test('the same seed gives the same chain of state hashes', t => {
  const run = () => runSeed(drawRun(3), { hashes: true });
  const first = run();
  t.true(first.links.length > 1);
  t.deepEqual(run(), first);
});

test('a fault that is left out shifts no other', t => {
  const { faults } = drawRun(3);
  t.deepEqual(faults, drawRun(3).faults);
  t.is(new Set(faults.map(({ id }) => id)).size, faults.length);
});

test('a few seeds with all faults hold every invariant and come to rest', t => {
  for (const seed of [1, 2, 4, 5, 8]) t.is(runSeed(drawRun(seed)).failed, undefined, `seed ${seed}`);
});
