/**
 * Serve: should this host give a parcel to one more fetcher?
 *
 * Claims keep hosts from fetching the same parcel, but claims are gossip, and gossip can be late. The serving host sees
 * the fetchers themselves: when copies and fetchers reach N, one more would be waste, and is told to come back. So
 * waste stays bounded without any message, even while gossip is slow or down (I11).
 *
 * Pure. Driven by the daemon's fetch server.
 */
export interface ServeView {
  readonly purpose: 'grab' | 'repair' | 'restore';
  /** N; undefined for a parcel that no listed snapshot known to this host references. */
  readonly copiesWanted: number | undefined;
  /** Copies that count, as this host sees them. */
  readonly copies: number;
  /** Other hosts that are fetching it from here, or have just received all of it and are not known to hold it yet. */
  readonly othersFetching: number;
  /** Fetches that this host is serving, of all parcels. */
  readonly served: number;
  /** Those of them that serve the asker. */
  readonly servedToAsker: number;
}

/** The most fetches served at once, of all peers together: each reads a disk. */
export const SERVED_MAX = 16;
/**
 * The most per peer: as many as we run from one source (FETCHES_PER_SOURCE_MAX). Otherwise one peer could take all
 * places.
 */
export const SERVED_PER_PEER_MAX = 4;

export function decideServe(view: ServeView): 'serve' | 'busy' {
  const { purpose, copiesWanted, copies, othersFetching, served, servedToAsker } = view;
  // A person is waiting for it.
  if (purpose === 'restore') return 'serve';
  if (served >= SERVED_MAX || servedToAsker >= SERVED_PER_PEER_MAX) return 'busy';
  if (copiesWanted === undefined) return 'serve';
  // A repairing host may know of losses that we have not noticed, so copies do not count against it; other fetchers do.
  if (copies >= copiesWanted) return purpose === 'grab' || othersFetching >= copiesWanted ? 'busy' : 'serve';
  return copies + othersFetching >= copiesWanted ? 'busy' : 'serve';
}

/** A fetch below this share of the median rate loses its place to those that wait. */
const SLOW_SHARE = 0.25;

/** @param rates of all fetches being served, in any one unit */
export function isTooSlow(rate: number, rates: readonly number[]): boolean {
  const sorted = [...rates].sort((a, b) => a - b);
  const middle = sorted.slice((sorted.length - 1) >> 1, (sorted.length >> 1) + 1);
  return middle.length > 0 && rate < (SLOW_SHARE * middle.reduce((sum, each) => sum + each, 0)) / middle.length;
}
