/** Thread CPU: what a thread used, and not what it waited. */
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { threadCpuMs } from '../../src/platform/thread-cpu.js';
import { until } from '../helpers/until.js';

test('a thread that works has used more of a processor; one that waits has not, whatever another one does', async t => {
  const beginMs = threadCpuMs();
  if (beginMs === undefined) {
    t.false(process.platform === 'linux', 'Linux tells it');
    return;
  }
  await until('a tenth of a second of work', () => {
    for (const endMs = performance.now() + 5; performance.now() < endMs; );
    return Number(threadCpuMs()) - beginMs >= 100;
  });
  const other = new Worker('for (;;);', { eval: true });
  t.teardown(() => other.terminate());
  const restMs = Number(threadCpuMs());
  await delay(300);
  t.true(Number(threadCpuMs()) - restMs < 200);
});
