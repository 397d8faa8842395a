/**
 * Shapes: made-up clusters: disks of unequal size, links of unequal speed, and files with log-normal sizes, like those
 * of people.
 */
import type { Chance } from '../src/core/chance.js';

export const MB = 1_000_000;
export const GB = 1_000 * MB;

/** 100 Mbit/s, 1 Gbit/s, 2.5 Gbit/s, as the throughput of files. */
export const LINKS_BYTES_PER_S: readonly number[] = [11 * MB, 110 * MB, 280 * MB];

const uniform = (chance: Chance): number => (chance.uint32() + 0.5) / 0x1_0000_0000;

/** Normally distributed, mean 0, deviation 1 (Box and Muller 1958). */
function normal(chance: Chance): number {
  const radius = Math.sqrt(-2 * Math.log(uniform(chance)));
  return radius * Math.cos(2 * Math.PI * uniform(chance));
}

/** Sizes whose logarithm is normal, from `leastBytes` to `mostBytes`. `deviation` of the natural logarithm. */
export function drawSizes(
  chance: Chance,
  count: number,
  {
    medianBytes,
    deviation,
    leastBytes,
    mostBytes,
  }: {
    readonly medianBytes: number;
    readonly deviation: number;
    readonly leastBytes: number;
    readonly mostBytes: number;
  },
): number[] {
  return Array.from({ length: count }, () => {
    const bytes = Math.round(medianBytes * Math.exp(deviation * normal(chance)));
    return Math.min(mostBytes, Math.max(leastBytes, bytes));
  });
}

/** Disks between one size and `ratio` times that, small ones as often as large ones; both ends occur. */
export function drawDisks(
  chance: Chance,
  count: number,
  { smallestBytes, ratio }: { readonly smallestBytes: number; readonly ratio: number },
): number[] {
  return Array.from({ length: count }, (_, i) => {
    const share = i === 0 ? 0 : i === 1 ? 1 : uniform(chance);
    return Math.round(smallestBytes * ratio ** share);
  });
}
