/**
 * Worst loss: which hosts must not be lost together? Of all sets of `lose` hosts, the one that takes the last copies of
 * most parcels; and the one that takes most parcels for good, copies and origin, which is often a different set.
 *
 * Every set is examined while that is quick. Beyond that, hosts are added one by one to the best set so far, and the
 * answer says that there may be a worse one.
 */
export interface HeldParcel {
  readonly bytes: number;
  /** The origin's number; its own files count as another place. Undefined: it is gone, or its files have changed since. */
  readonly origin: number | undefined;
  /** Numbers of the hosts that hold a copy. Without any, the parcel is lost with its origin. */
  readonly holders: readonly number[];
}

/** The parcels that are gone when these hosts are; no hosts where no parcel would be. */
export interface Loss {
  readonly hosts: readonly number[];
  readonly parcels: number;
  readonly bytes: number;
}

export interface WorstLoss {
  /** How many hosts are lost. */
  readonly lose: number;
  /** Parcels that have no copy before any host is lost, and still are at their origins. */
  readonly bare: number;
  /** Parcels that have copies, all of them on these hosts. */
  readonly uncopied: Loss;
  /** Parcels whose copies, if any, are all on these hosts, and whose origin is one of them or no longer has them. */
  readonly lost: Loss;
  /** False: not every set was examined. */
  readonly exact: boolean;
  /** The number of sets that were examined. */
  readonly sets: number;
  /** Of these, the sets that would take some parcel's last copy. */
  readonly setsThatUncopy: number;
  /** Of these, the sets that would take some parcel for good. */
  readonly setsThatLose: number;
}

/** Look-ups of groups that take about a second together. */
const LOOKUPS_MAX = 4_000_000;

interface Tally {
  parcels: number;
  bytes: number;
}

/** The parcels that are gone when all of these hosts are: their copies, or copies and origin. */
interface Group {
  readonly hosts: readonly number[];
  readonly uncopied: Tally;
  readonly lost: Tally;
}

type Groups = ReadonlyMap<string, Group>;

export function worstLoss({
  hosts,
  lose,
  parcels,
}: {
  /** The numbers of all hosts that may be lost. */
  readonly hosts: readonly number[];
  readonly lose: number;
  /** Parcels that are gone already do not count: no further loss can affect them. */
  readonly parcels: Iterable<HeldParcel>;
}): WorstLoss {
  const { groups, bare } = grouped(parcels, lose);
  const inOrder = [...hosts].sort((a, b) => a - b);
  const size = Math.min(lose, inOrder.length);
  const all = choose(inOrder.length, size);
  // If no set can take anything, one set says as much as all.
  const isSafe = groups.size === 0;
  const exact = isSafe || all * Math.min(2 ** size, groups.size) <= LOOKUPS_MAX;
  const sets =
    exact && !isSafe
      ? combinations(inOrder, size)
      : (['uncopied', 'lost'] as const).map(what => grown(inOrder, { size, groups, what }));
  let uncopied: Loss = { hosts: [], parcels: 0, bytes: 0 };
  let lost = uncopied;
  let setsThatUncopy = 0;
  let setsThatLose = 0;
  let seen = 0;
  for (const set of sets) {
    const taken = takenBy(set, groups);
    seen += 1;
    if (taken.uncopied.parcels > 0) setsThatUncopy += 1;
    if (taken.lost.parcels > 0) setsThatLose += 1;
    if (isWorse(taken.uncopied, uncopied)) uncopied = { hosts: set, ...taken.uncopied };
    if (isWorse(taken.lost, lost)) lost = { hosts: set, ...taken.lost };
  }
  return { lose, bare, uncopied, lost, exact, sets: exact ? all : seen, setsThatUncopy, setsThatLose };
}

/** What each of these sets of hosts would take, if all of it went at once. `hosts` in each `Loss` is the set. */
export function lossesOf(
  sets: readonly (readonly number[])[],
  parcels: Iterable<HeldParcel>,
): readonly { readonly uncopied: Loss; readonly lost: Loss }[] {
  const { groups } = grouped(parcels, Math.max(0, ...sets.map(set => set.length)));
  return sets.map(set => {
    const hosts = [...set].sort((a, b) => a - b);
    const { uncopied, lost } = takenBy(hosts, groups);
    return { uncopied: { hosts, ...uncopied }, lost: { hosts, ...lost } };
  });
}

function grouped(parcels: Iterable<HeldParcel>, lose: number): { readonly groups: Groups; readonly bare: number } {
  const groups = new Map<string, Group>();
  let bare = 0;
  const note = (what: 'uncopied' | 'lost', hosts: ReadonlySet<number>, bytes: number): void => {
    // A parcel on more hosts than are lost is safe from the loss.
    if (hosts.size === 0 || hosts.size > lose) return;
    const inOrder = [...hosts].sort((a, b) => a - b);
    const key = inOrder.join();
    const group = groups.get(key) ?? { hosts: inOrder, uncopied: nothing(), lost: nothing() };
    groups.set(key, group);
    add(group[what], { parcels: 1, bytes });
  };
  for (const { bytes, origin, holders } of parcels) {
    if (holders.length === 0 && origin !== undefined) bare += 1;
    note('uncopied', new Set(holders), bytes);
    note('lost', new Set(origin === undefined ? holders : [...holders, origin]), bytes);
  }
  return { groups, bare };
}

const nothing = (): Tally => ({ parcels: 0, bytes: 0 });

function add(to: Tally, { parcels, bytes }: Tally): void {
  to.parcels += parcels;
  to.bytes += bytes;
}

const isWorse = (a: Tally, b: Tally): boolean =>
  a.parcels > b.parcels || (a.parcels === b.parcels && a.bytes > b.bytes);

function takenBy(set: readonly number[], groups: Groups): { readonly uncopied: Tally; readonly lost: Tally } {
  const taken = { uncopied: nothing(), lost: nothing() };
  for (const { uncopied, lost } of within(set, groups)) {
    add(taken.uncopied, uncopied);
    add(taken.lost, lost);
  }
  return taken;
}

/** The groups whose hosts are all in the set, found by the shorter way: over its subsets, or over all groups. */
function* within(set: readonly number[], groups: Groups): IterableIterator<Group> {
  if (2 ** set.length > groups.size) {
    const gone = new Set(set);
    for (const group of groups.values()) if (group.hosts.every(host => gone.has(host))) yield group;
    return;
  }
  for (let subset = 1; subset < 2 ** set.length; subset += 1) {
    const group = groups.get(set.filter((_, i) => (subset >> i) & 1).join());
    if (group !== undefined) yield group;
  }
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

/**
 * Starts from the hosts of the largest group, then always adds the host that completes most parcels, considering only
 * the groups that lack fewest further hosts: mostly just this one.
 */
function grown(
  hosts: readonly number[],
  { size, groups, what }: { readonly size: number; readonly groups: Groups; readonly what: 'uncopied' | 'lost' },
): readonly number[] {
  let open = [...groups.values()].filter(group => group[what].parcels > 0 && group.hosts.length <= size);
  const first = open.reduce<Group | undefined>(
    (largest, group) => (largest === undefined || isWorse(group[what], largest[what]) ? group : largest),
    undefined,
  );
  const gone = new Set(first?.hosts);
  while (gone.size < size) {
    open = open.filter(group => group.hosts.some(host => !gone.has(host)));
    let fewest = size - gone.size;
    let gains = new Map<number, number>();
    for (const group of open) {
      const left = group.hosts.filter(host => !gone.has(host));
      if (left.length > fewest) continue;
      if (left.length < fewest) gains = new Map();
      fewest = left.length;
      for (const host of left) gains.set(host, (gains.get(host) ?? 0) + group[what].parcels);
    }
    const [best] = [...gains].reduce((a, b) => (b[1] > a[1] ? b : a), [undefined, 0] as [number | undefined, number]);
    gone.add(best ?? (hosts.find(host => !gone.has(host)) as number));
  }
  return [...gone].sort((a, b) => a - b);
}

function choose(of: number, size: number): number {
  let ways = 1;
  for (let i = 0; i < size; i += 1) ways = (ways * (of - i)) / (i + 1);
  return ways;
}
