/**
 * Worst loss: which hosts may not go at the same time? Of all sets of so many hosts, the one that takes most parcels' last
 * copies with it.
 *
 * Every set is counted while that is quick; above, one host after the other is added to the best set so far, and the
 * answer says that there may be a worse one.
 */
export interface HeldParcel {
  readonly bytes: number;
  /** The origin's number; its own files are one more place. Undefined: it is gone. */
  readonly origin: number | undefined;
  /** Numbers of the hosts that hold a copy; at least one. */
  readonly holders: readonly number[];
}

export interface WorstLoss {
  /** How many hosts go. */
  readonly lose: number;
  readonly hosts: readonly number[];
  /** Parcels all of whose copies lie on these hosts … */
  readonly parcels: number;
  readonly bytes: number;
  /** … and those among them whose origin is one of these hosts, too, or gone: nothing is left of them. */
  readonly lostParcels: number;
  readonly lostBytes: number;
  /** False: a worse set was not looked for everywhere. */
  readonly exact: boolean;
  /** Sets that would take some parcel's last copy, of all that were looked at. */
  readonly setsThatLose: number;
  readonly sets: number;
}

/** Look-ups of subsets that take about a second. */
const LOOKUPS_MAX = 4_000_000;

interface Tally {
  parcels: number;
  bytes: number;
}

export function worstLoss({
  hosts,
  lose,
  parcels,
}: {
  /** The numbers of all hosts that may go. */
  readonly hosts: readonly number[];
  readonly lose: number;
  readonly parcels: Iterable<HeldParcel>;
}): WorstLoss {
  const all: HeldParcel[] = [];
  const byHolders = new Map<string, Tally>();
  for (const parcel of parcels) {
    all.push(parcel);
    if (parcel.holders.length > lose) continue;
    const key = keyOf(parcel.holders);
    const tally = byHolders.get(key) ?? { parcels: 0, bytes: 0 };
    tally.parcels += 1;
    tally.bytes += parcel.bytes;
    byHolders.set(key, tally);
  }
  const inOrder = [...hosts].sort((a, b) => a - b);
  const size = Math.min(lose, inOrder.length);
  const exact = choose(inOrder.length, size) * 2 ** size <= LOOKUPS_MAX;
  const sets = exact ? combinations(inOrder, size) : [grown(inOrder, size, byHolders)];
  let worst: { readonly hosts: readonly number[]; readonly tally: Tally } | undefined;
  let setsThatLose = 0;
  let count = 0;
  for (const set of sets) {
    const tally = tallyOf(set, byHolders);
    count += 1;
    if (tally.parcels > 0) setsThatLose += 1;
    if (worst === undefined || isWorse(tally, worst.tally)) worst = { hosts: [...set], tally };
  }
  const { hosts: gone = [], tally = { parcels: 0, bytes: 0 } } = worst ?? {};
  const lost = { parcels: 0, bytes: 0 };
  for (const { bytes, origin, holders } of all) {
    if (!holders.every(host => gone.includes(host)) || (origin !== undefined && !gone.includes(origin))) continue;
    lost.parcels += 1;
    lost.bytes += bytes;
  }
  return {
    lose,
    hosts: gone,
    parcels: tally.parcels,
    bytes: tally.bytes,
    lostParcels: lost.parcels,
    lostBytes: lost.bytes,
    exact,
    setsThatLose,
    sets: count,
  };
}

const keyOf = (hosts: readonly number[]): string => [...hosts].sort((a, b) => a - b).join();

const isWorse = (a: Tally, b: Tally): boolean =>
  a.parcels > b.parcels || (a.parcels === b.parcels && a.bytes > b.bytes);

/** What lies within the set: the sum over all its subsets. */
function tallyOf(set: readonly number[], byHolders: ReadonlyMap<string, Tally>): Tally {
  const sum = { parcels: 0, bytes: 0 };
  for (let subset = 1; subset < 2 ** set.length; subset += 1) {
    const tally = byHolders.get(set.filter((_, i) => (subset >> i) & 1).join());
    if (tally === undefined) continue;
    sum.parcels += tally.parcels;
    sum.bytes += tally.bytes;
  }
  return sum;
}

function* combinations(from: readonly number[], size: number, start = 0): IterableIterator<readonly number[]> {
  if (size === 0) {
    yield [];
    return;
  }
  for (let at = start; at <= from.length - size; at += 1) {
    for (const rest of combinations(from, size - 1, at + 1)) yield [from[at] as number, ...rest];
  }
}

/** From the holders of most parcels on, always the host with which most more are lost. */
function grown(hosts: readonly number[], size: number, byHolders: ReadonlyMap<string, Tally>): readonly number[] {
  const groups = [...byHolders].map(([key, tally]) => ({ holders: key.split(',').map(Number), tally }));
  groups.sort((a, b) => b.tally.parcels - a.tally.parcels);
  const gone = new Set(groups[0]?.holders ?? []);
  while (gone.size < size) {
    const left = hosts.filter(host => !gone.has(host));
    const gains = left.map(host => {
      const within = groups.filter(({ holders }) => holders.every(each => each === host || gone.has(each)));
      return within.reduce((sum, { tally }) => sum + tally.parcels, 0);
    });
    gone.add(left[gains.indexOf(Math.max(...gains))] as number);
  }
  return [...gone].sort((a, b) => a - b);
}

function choose(of: number, size: number): number {
  let ways = 1;
  for (let i = 0; i < size; i += 1) ways = (ways * (of - i)) / (i + 1);
  return ways;
}
