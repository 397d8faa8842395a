/**
 * Loop gauge: how late a service's event loop is, measured inside of it by Node's own histogram. The service is started with
 * `--import` of this file and knows nothing of it. At SIGUSR2 it writes what it saw since the last one into
 * `$LOOP_GAUGE/PID`, and begins anew.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';
import { lateness } from '../../../src/daemon/loop-delay.js';

const RESOLUTION_MS = 10;

const folder = process.env.LOOP_GAUGE;
// Worker threads are started with the same options, and they may be as late as they like.
if (folder !== undefined && isMainThread) {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  process.on('SIGUSR2', () => {
    const seen = lateness(histogram, RESOLUTION_MS);
    histogram.reset();
    const file = join(folder, String(process.pid));
    writeFileSync(`${file}.making`, JSON.stringify(seen));
    renameSync(`${file}.making`, file);
  });
}
