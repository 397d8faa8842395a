/**
 * Claim order: which of the parcels that this host may claim now does it claim first? A smaller importance comes sooner.
 *
 *   newest snapshots │ standing │ this host's rank │ larger
 *
 * The standing is 0 for a parcel that nobody has or is after; then the fewer copies and claims the sooner. A parcel that
 * others claim and that has no copy yet comes after all that have one: soon it can be had from two places, and its origin
 * sends it only once. Behind those is what this host leaves to faster ones.
 *
 * Among equals a host begins with those for which it ranks first: so that two who begin at once begin with different ones.
 *
 * Before all others comes what tries a disk that refused a write (ceilings.ts), the smaller the sooner: what it then refuses
 * keeps none waiting but larger ones.
 */
export interface ClaimOrderView {
  /** The newest snapshot of its source references it. */
  readonly newest: boolean;
  readonly copies: number;
  /** Live claims of others, one a domain. */
  readonly claims: number;
  /** This host's place among the candidates: 0 is first. */
  readonly rank: number;
  readonly bytes: number;
  /** Faster hosts keep its source busy. */
  readonly left: boolean;
  /** It would lie where a disk has refused a write. */
  readonly tries: boolean;
}

const RANKS = 16;
/** 1 TiB: larger ones are all as important. */
const SIZES = 2 ** 40;
/** Copies and claims of what has copies, up to here. */
const COUNTED_MAX = 61;
const CLAIMED = 62;
const LEFT = 63;
const STANDINGS = 64;

/** Exact: below 2^51; below 0 for what tries a disk. */
export function importanceOf({ newest, copies, claims, rank, bytes, left, tries }: ClaimOrderView): number {
  const isFirst = copies === 0;
  if (tries && !(isFirst && left)) return Math.min(bytes, SIZES - 1) - SIZES;
  const standing = isFirst && left ? LEFT : isFirst && claims > 0 ? CLAIMED : Math.min(copies + claims, COUNTED_MAX);
  const size = SIZES - 1 - Math.min(bytes, SIZES - 1);
  return (((newest ? 0 : 1) * STANDINGS + standing) * RANKS + Math.min(rank, RANKS - 1)) * SIZES + size;
}

/** Left to faster hosts. */
export const isLeft = (importance: number): boolean => Math.floor(importance / (SIZES * RANKS)) % STANDINGS === LEFT;
