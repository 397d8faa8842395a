/** Settle figures: what a bulk start says of placement, and of the simulator that it ran in. */
import { atLeast, atMost, type Figure } from './figure.js';
import type { Settled } from './settle.js';

/** The bench's largest cluster, which is to settle within five minutes of a processor: longer, and nobody would run it. */
const LARGEST_HOSTS = 200;
const LARGEST_CPU_S = 5 * 60;

export function settleFigures(
  { seconds, boundS, wasted, events, short }: Settled,
  { hosts, parcels, cpuS }: { readonly hosts: number; readonly parcels: number; readonly cpuS: number },
): Figure[] {
  const size = `${hosts} hosts, ${parcels} parcels`;
  // What never settled took for ever.
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
