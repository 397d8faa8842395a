/** Loop delay: a loop that is held up is told of, and one that is not is not late. */
import { createHistogram } from 'node:perf_hooks';
import test from 'ava';
import { LoopDelay, lateness, RESOLUTION_MS } from '../../src/daemon/loop-delay.js';
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

test('how late the loop was is weighed by time: one block of 5 s in a minute shows, and one of half a second does not', t => {
  const minuteWith = (blockMs: number) => {
    const looks = createHistogram();
    for (let leftMs = 60_000 - blockMs; leftMs > 0; leftMs -= 250) looks.record(250e6);
    looks.record(blockMs * 1e6);
    return lateness(looks, 250);
  };
  const isNear = (ms: number, wantedMs: number): boolean => Math.abs(ms - wantedMs) < 10;
  const { p99Ms, maxMs } = minuteWith(5_000);
  t.true(isNear(p99Ms, 4_750) && isNear(maxMs, 4_750), `${p99Ms}, ${maxMs}`);
  const short = minuteWith(500);
  t.true(isNear(short.p99Ms, 0) && isNear(short.maxMs, 250));
  t.deepEqual(lateness(createHistogram(), 250), { p99Ms: 0, maxMs: 0 });
});
