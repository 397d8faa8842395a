/**
 * Scan threads: each scan has a thread to itself, and a later one takes it over.
 *
 * They are never ended, for a thread that has called koffi leaves 3 MB of addresses and 0.1 MB of memory behind, which hourly
 * scans would add up. So there are as many as there have been scans at once; those that wait keep no process alive.
 *
 * Driven by scan.ts; the thread's own half is scan-worker.ts.
 */
import { Worker } from 'node:worker_threads';
import type { ScanMessage, ScanOrder } from './scan-message.js';

/** A scan keeps next to nothing of what it makes: with V8's 48 MiB it is not faster, with 6 it takes a twentieth longer. */
const YOUNG_MB = 16;

const idle = new Set<Worker>();

/** A thread that has begun with the order. It is free for another when it says `ended`. @throws what cannot be sent to a thread */
export function startScan(order: ScanOrder): Worker {
  const [waiting] = idle;
  const worker = waiting ?? begin();
  // Before it is taken: an order that cannot be sent leaves it free.
  worker.postMessage(order);
  idle.delete(worker);
  worker.ref();
  return worker;
}

function begin(): Worker {
  const worker = new Worker(new URL('./scan-worker.js', import.meta.url), {
    name: 'scan',
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
  });
  const rest = (): void => {
    worker.unref();
    idle.add(worker);
  };
  rest();
  worker.on('message', ({ kind }: ScanMessage) => {
    if (kind === 'ended') rest();
  });
  // It ends by that. Its scan hears it, too; one that was left behind has nobody to tell.
  worker.on('error', () => idle.delete(worker));
  return worker;
}
