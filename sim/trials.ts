/**
 * Trials: tries out a range of seeds in several threads. A seed's run shares nothing with another's, so neither how many
 * threads there are nor in which order the runs end changes any of them.
 */
import { Worker } from 'node:worker_threads';
import type { SeedRange } from './run-arguments.js';
import type { Trial } from './trial.js';

/** Calls `tried` with each trial as it ends, in no order. @throws what a thread threw; the others end then. */
export async function tryOutAll(
  { from, to }: SeedRange,
  { threads, tried }: { readonly threads: number; readonly tried: (trial: Trial) => void },
): Promise<void> {
  let next = from;
  const workers: Worker[] = [];
  const workOff = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const worker = new Worker(new URL('./trial-worker.js', import.meta.url));
      workers.push(worker);
      const handOut = (): void => {
        if (next > to) resolve();
        else worker.postMessage(next);
        next += 1;
      };
      worker.on('message', (trial: Trial) => {
        tried(trial);
        handOut();
      });
      worker.on('error', reject);
      worker.on('exit', code => reject(new Error(`a thread of the simulator ended with ${code}`)));
      handOut();
    });
  try {
    await Promise.all(Array.from({ length: Math.min(threads, to - from + 1) }, workOff));
  } finally {
    await Promise.all(workers.map(worker => worker.terminate()));
  }
}
