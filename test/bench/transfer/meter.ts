/**
 * Meter: what one piece of work took, the same for every tool: wall time, bytes on the wire, CPU and memory.
 *
 * Dirty pages are written out before the clock starts, so that nobody pays for what came before him.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { forgetPeaks, peaks, usedCpuS } from './processes.js';

export interface Usage {
  readonly wallS: number;
  /** Sent by all hosts, headers and heartbeats included; each byte once. */
  readonly wireBytes: number;
  /** Of all the tool's processes, on all hosts. */
  readonly cpuS: number;
  /** The most that any single one of the processes had in RAM. */
  readonly peakBytes: number;
}

/** Short-lived processes are seen only if we look while they live. A look costs about a millisecond. */
const LOOK_EVERY_MS = 200;
const SYNC_MS_MAX = 300_000;

export async function measure(sentBytes: () => number, work: () => Promise<void>): Promise<Usage> {
  await promisify(execFile)('sync', { timeout: SYNC_MS_MAX });
  forgetPeaks();
  const sentBefore = sentBytes();
  const cpuBefore = usedCpuS();
  let peakBytes = 0;
  const look = (): void => {
    peakBytes = Math.max(peakBytes, ...peaks().values());
  };
  const timer = setInterval(look, LOOK_EVERY_MS);
  const startMs = performance.now();
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  const wallS = (performance.now() - startMs) / 1000;
  look();
  // Before the counters are asked for, which takes processes, too.
  const cpuS = usedCpuS() - cpuBefore;
  return { wallS, wireBytes: sentBytes() - sentBefore, cpuS, peakBytes };
}
