/**
 * Lower bound: in how much time could copies be made at the soonest, if every link were busy all the time and nobody ever
 * had to ask? What a settled cluster's time is held against.
 *
 * The greatest of: each origin sends every byte of its own once; all hosts together send as much as is received; and all
 * receive what is wanted, each no more than its link brings, its room takes and others have to give.
 */
export interface BoundHost {
  readonly uploadBytesPerS: number;
  readonly downloadBytesPerS: number;
  /** What its stores can still take. */
  readonly roomBytes: number;
  /** Bytes, one copy, of its own that must leave it at least once. */
  readonly ownBytes: number;
  /** All copies that it may take at the most: one of each parcel that is missing some, and none of its own. */
  readonly takesBytes: number;
}

/** @param missingBytes all copies that are to be made. @returns seconds; Infinity when the room does not suffice. */
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
  // Between two hosts' being full the rate is constant: go from one such time to the next.
  limited.sort((a, b) => a.bytes / a.bytesPerS - b.bytes / b.bytesPerS);
  let rate = sum(limited.map(({ bytesPerS }) => bytesPerS));
  let atS = 0;
  let gotBytes = 0;
  for (const [i, { bytes, bytesPerS }] of limited.entries()) {
    const fullS = bytes / bytesPerS;
    // The last one takes the rest: by what was rounded before, it may seem to be full a little too early.
    if (i === limited.length - 1 || gotBytes + rate * (fullS - atS) >= missingBytes) break;
    gotBytes += rate * (fullS - atS);
    atS = fullS;
    rate -= bytesPerS;
  }
  return atS + (missingBytes - gotBytes) / rate;
}

/** A parcel of which one more copy is to be made, and the links of those who have it. */
export interface BoundParcel {
  readonly bytes: number;
  readonly sources: readonly Pick<BoundHost, 'uploadBytesPerS'>[];
}

/**
 * The least time in which those who have the parcels could send them: the greatest of each parcel over all its sources' links
 * together, and of all that a host alone has over its link.
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
