/**
 * Serve: should this host give a parcel to one more fetcher?
 *
 * Claims keep hosts from fetching the same thing, but claims are gossip, and gossip can be late. Whoever serves sees the
 * fetchers themselves: with copies and fetchers enough for N, one more would be waste, and is told to come back. So waste
 * stays bounded while gossip is slow or down, without a message (I11).
 *
 * Pure. Driven by the daemon's fetch server.
 */
export interface ServeView {
  readonly purpose: 'grab' | 'repair' | 'restore';
  /** N; undefined for a parcel that no listed snapshot wants as far as this host knows. */
  readonly copiesWanted: number | undefined;
  /** Copies that count, as this host sees them. */
  readonly copies: number;
  /** Other hosts that fetch it from here now, or have just had all of it and are not known to hold it yet. */
  readonly othersFetching: number;
  /** Fetches served here now, of all parcels. */
  readonly served: number;
  /** Of these, the asker's. */
  readonly servedToAsker: number;
}

/** Fetches served at once, all peers together: each reads a disk. */
export const SERVED_MAX = 16;
/** … and of one peer: as many as ours have under way from one source (FETCHES_PER_SOURCE_MAX). Else one peer could have all. */
export const SERVED_PER_PEER_MAX = 4;

export function decideServe(view: ServeView): 'serve' | 'busy' {
  const { purpose, copiesWanted, copies, othersFetching, served, servedToAsker } = view;
  // A person waits for it.
  if (purpose === 'restore') return 'serve';
  if (served >= SERVED_MAX || servedToAsker >= SERVED_PER_PEER_MAX) return 'busy';
  if (copiesWanted === undefined) return 'serve';
  // Who repairs may know of losses that we have not noticed: then copies are not counted against it, and other fetchers are.
  if (copies >= copiesWanted) return purpose === 'grab' || othersFetching >= copiesWanted ? 'busy' : 'serve';
  return copies + othersFetching >= copiesWanted ? 'busy' : 'serve';
}

/** Below this part of the median rate a fetch loses its place to those who wait. */
const SLOW_SHARE = 0.25;

/** @param rates of all fetches that are served, in whichever unit */
export function isTooSlow(rate: number, rates: readonly number[]): boolean {
  const sorted = [...rates].sort((a, b) => a - b);
  const middle = sorted.slice((sorted.length - 1) >> 1, (sorted.length >> 1) + 1);
  return middle.length > 0 && rate < (SLOW_SHARE * middle.reduce((sum, each) => sum + each, 0)) / middle.length;
}
