/**
 * Lower bound: the least time in which copies could be made, if every link were busy all the time and nobody ever had
 * to ask. The time of a settled cluster is measured against it.
 *
 * The greatest of three times: each origin sends every byte of its own once; all hosts together send as much as is
 * received; and all receive what is wanted, each limited by its link, its room and what others have to give.
 */
export interface BoundHost {
  readonly uploadBytesPerS: number;
  readonly downloadBytesPerS: number;
  /** The bytes that its stores can still take. */
  readonly roomBytes: number;
  /** Bytes of its own, one copy, that must leave it at least once. */
  readonly ownBytes: number;
  /** All copies that it may take at most: one of each parcel that lacks some, and none of its own. */
  readonly takesBytes: number;
}

/** @param missingBytes of all copies to be made. @returns seconds; Infinity when there is too little room. */
export function lowerBoundS(hosts: readonly BoundHost[], missingBytes: number): number {
  if (missingBytes === 0) return 0;
  let seconds = missingBytes / sum(hosts.map(({ uploadBytesPerS }) => uploadBytesPerS));
  for (const { ownBytes, uploadBytesPerS } of hosts) seconds = Math.max(seconds, ownBytes / uploadBytesPerS);
  return Math.max(seconds, ingressS(hosts, missingBytes));
}

/** The least time after which sum(min(room, link × time, takes)) reaches the bytes. */
function ingressS(hosts: readonly BoundHost[], missingBytes: number): number {
  const limited = hosts.map(({ downloadBytesPerS, roomBytes, takesBytes }) => ({
    bytesPerS: downloadBytesPerS,
    bytes: Math.min(roomBytes, takesBytes),
  }));
  if (sum(limited.map(({ bytes }) => bytes)) < missingBytes) return Number.POSITIVE_INFINITY;
  // The rate is constant until the next host is full: go from one such time to the next.
  limited.sort((a, b) => a.bytes / a.bytesPerS - b.bytes / b.bytesPerS);
  let rate = sum(limited.map(({ bytesPerS }) => bytesPerS));
  let atS = 0;
  let gotBytes = 0;
  for (const [i, { bytes, bytesPerS }] of limited.entries()) {
    const fullS = bytes / bytesPerS;
    // The last one takes the rest: because of rounding it may seem to be full a little too early.
    if (i === limited.length - 1 || gotBytes + rate * (fullS - atS) >= missingBytes) break;
    gotBytes += rate * (fullS - atS);
    atS = fullS;
    rate -= bytesPerS;
  }
  return atS + (missingBytes - gotBytes) / rate;
}

/** A parcel of which one more copy is to be made, and the links of the hosts that have it. */
export interface BoundParcel {
  readonly bytes: number;
  readonly sources: readonly Pick<BoundHost, 'uploadBytesPerS'>[];
}

/**
 * The least time in which the hosts that have the parcels could send them: the greatest of, for each parcel, its size
 * over all its sources' links together, and, for each host, all that it alone has over its link.
 */
export function sendingBoundS(parcels: readonly BoundParcel[]): number {
  let seconds = 0;
  const alone = new Map<Pick<BoundHost, 'uploadBytesPerS'>, number>();
  for (const { bytes, sources } of parcels) {
    seconds = Math.max(seconds, bytes / sum(sources.map(({ uploadBytesPerS }) => uploadBytesPerS)));
    const [only, ...others] = sources;
    if (only !== undefined && others.length === 0) alone.set(only, (alone.get(only) ?? 0) + bytes);
  }
  for (const [{ uploadBytesPerS }, bytes] of alone) seconds = Math.max(seconds, bytes / uploadBytesPerS);
  return seconds;
}

export const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
