/**
 * Claim order: which of the parcels that this host may claim now does it claim first? Lower importance values come
 * first.
 *
 *   all of it here │ newest snapshots │ standing │ this host's rank │ larger
 *
 * The standing is 0 for a parcel that nobody has or has claimed; otherwise, the fewer copies and claims, the sooner. A
 * parcel that others have claimed and that has no copy yet comes after all that have a copy: soon it can be had from
 * two places, and its origin sends it only once. Last come the parcels that this host leaves to faster ones.
 *
 * Among equals a host begins with those for which it ranks first, so that two hosts that begin at the same time choose
 * differently.
 *
 * Before all others come the parcels that test a disk which refused a write (ceilings.ts), the smallest first: if the
 * disk refuses one, only larger ones have to wait.
 */
export interface ClaimOrderView {
  /** This host's stores have all of it: it costs no link anything, and next to no time. */
  readonly isHere: boolean;
  /** The newest snapshot of its source references it. */
  readonly newest: boolean;
  readonly copies: number;
  /** Live claims of other hosts, at most one per domain. */
  readonly claims: number;
  /** This host's place among the candidates: 0 is first. */
  readonly rank: number;
  readonly bytes: number;
  /** Faster hosts keep its source busy. */
  readonly left: boolean;
  /** It would be stored on a disk that has refused a write. */
  readonly tries: boolean;
}

const RANKS = 16;
/** 1 TiB: all larger ones are equally important. */
const SIZES = 2 ** 40;
/** Copies and claims of a parcel that has copies are counted up to here. */
const COUNTED_MAX = 61;
const CLAIMED = 62;
const LEFT = 63;
const STANDINGS = 64;

/** Exact: below 2^52; negative for parcels that test a disk. */
export function importanceOf({ isHere, newest, copies, claims, rank, bytes, left, tries }: ClaimOrderView): number {
  const isFirst = copies === 0;
  if (tries && !(isFirst && left)) return Math.min(bytes, SIZES - 1) - SIZES;
  const standing = isFirst && left ? LEFT : isFirst && claims > 0 ? CLAIMED : Math.min(copies + claims, COUNTED_MAX);
  const size = SIZES - 1 - Math.min(bytes, SIZES - 1);
  const age = isHere ? 0 : newest ? 1 : 2;
  return ((age * STANDINGS + standing) * RANKS + Math.min(rank, RANKS - 1)) * SIZES + size;
}

/** Left to faster hosts. */
export const isLeft = (importance: number): boolean => Math.floor(importance / (SIZES * RANKS)) % STANDINGS === LEFT;
