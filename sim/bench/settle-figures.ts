/** Settle figures: what a bulk start shows about placement, and about the speed of the simulator. */
import { atLeast, atMost, type Figure } from './figure.js';
import type { Settled } from './settle.js';

/** The bench's largest cluster must settle within five minutes of CPU time: if it took longer, nobody would run it. */
const LARGEST_HOSTS = 200;
const LARGEST_CPU_S = 5 * 60;

export function settleFigures(
  { seconds, boundS, wasted, events, short }: Settled,
  { hosts, parcels, cpuS }: { readonly hosts: number; readonly parcels: number; readonly cpuS: number },
): Figure[] {
  const size = `${hosts} hosts, ${parcels} parcels`;
  // A run that never settled counts as taking for ever.
  const ratio = short > 0 ? Number.POSITIVE_INFINITY : seconds / boundS;
  const figures = [
    atMost(1.15, { figure: `time to settle / bandwidth bound, ${size}`, value: ratio, unit: 'ratio' }),
    atMost(0.5, { figure: `wasted bytes, bulk start, ${size}`, value: 100 * wasted, unit: '%' }),
    atLeast(100_000, { figure: `speed of the simulator, ${size}`, value: events / cpuS, unit: 'events/s' }),
  ];
  if (hosts === LARGEST_HOSTS)
    figures.push(atMost(LARGEST_CPU_S, { figure: `CPU time of the simulator, ${size}`, value: cpuS, unit: 's' }));
  return figures;
}
