/** Loop delay: a loop that is held up is told of, and one that is not is not late. */
import test from 'ava';
import { LoopDelay, RESOLUTION_MS } from '../../src/daemon/loop-delay.js';
import { until } from '../net/fleet.js';

test('a loop that is held up is told of', async t => {
  const delay = new LoopDelay();
  t.teardown(() => delay.stop());
  t.deepEqual(delay.report(), { p99Ms: 0, maxMs: 0 });
  const heldMs = 500;
  // The histogram looks at the loop by a timer of its own: held up before its first look, nothing would be late.
  await until(() => {
    const endMs = performance.now() + heldMs;
    while (performance.now() < endMs);
    return delay.report().maxMs >= heldMs - RESOLUTION_MS - 20;
  }, 'the loop to be seen late');
  t.true(delay.report().maxMs < 60_000);
});
