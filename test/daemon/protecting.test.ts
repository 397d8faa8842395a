import test from 'ava';
import { restMs } from '../../src/daemon/protecting.js';

test('whoever waits for a small snapshot is told at once when it is protected; a look at a large one is rarer', t => {
  t.deepEqual([0, 2, 10, 24, 25, 1_000].map(restMs), [25, 25, 100, 240, 250, 250]);
});
