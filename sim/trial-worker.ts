/** Trial worker: tries out the seeds that it is sent, one after the other, in a thread of its own (trials.ts). */
import { parentPort } from 'node:worker_threads';
import { tryOut } from './trial.js';

parentPort?.on('message', (seed: number) => parentPort?.postMessage(tryOut(seed)));
