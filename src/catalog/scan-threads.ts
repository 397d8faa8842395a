/**
 * Scan threads: each scan has a thread to itself, and a later one takes it over.
 *
 * They are never ended, because a thread that has called koffi leaves 3 MB of addresses and 0.1 MB of memory behind,
 * which would add up with hourly scans. So there are as many threads as there have been scans at once; idle threads do
 * not keep the process alive.
 *
 * Driven by scan.ts; the thread's own half is scan-worker.ts.
 */
import { Worker } from 'node:worker_threads';
import type { ScanMessage, ScanOrder } from './scan-message.js';

/** A scan keeps next to nothing of what it allocates: V8's 48 MiB make it no faster, 6 make it a twentieth slower. */
const YOUNG_MB = 16;

const idle = new Set<Worker>();

/**
 * A thread that has started on the order. It is free again when it sends `ended`. @throws if the order cannot be cloned
 */
export function startScan(order: ScanOrder): Worker {
  const [waiting] = idle;
  const worker = waiting ?? begin();
  // Posted before the thread is taken, so that an order that cannot be sent leaves it free.
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
  // The error ends the thread. Its scan hears of it, too, unless that scan has left the thread behind.
  worker.on('error', () => idle.delete(worker));
  return worker;
}
