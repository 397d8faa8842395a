/**
 * Worst loss: which hosts may not go at the same time? Of all sets of so many hosts, the one that takes most parcels' last
 * copies with it; and the one that takes most parcels for good, copies and origin. That is often another one.
 *
 * Every set is counted while that is quick; above, one host after the other is added to the best set so far, and the
 * answer says that there may be a worse one.
 */
export interface HeldParcel {
  readonly bytes: number;
  /** The origin's number; its own files are one more place. Undefined: it is gone. */
  readonly origin: number | undefined;
  /** Numbers of the hosts that hold a copy. With none it is lost when its origin goes. */
  readonly holders: readonly number[];
}

/** What is gone when these hosts are. */
export interface Loss {
  readonly hosts: readonly number[];
  readonly parcels: number;
  readonly bytes: number;
}

export interface WorstLoss {
  /** How many hosts go. */
  readonly lose: number;
  /** Parcels that have no copy before anybody goes, and are at their origins still. */
  readonly bare: number;
  /** Parcels that have copies, all of them on these hosts. */
  readonly uncopied: Loss;
  /** Parcels all of whose copies, if there are any, lie on these hosts, and whose origin is one of them or gone. */
  readonly lost: Loss;
  /** False: a worse set was not looked for everywhere. */
  readonly exact: boolean;
  /** Sets that were looked at … */
  readonly sets: number;
  /** … those that would take some parcel's last copy, … */
  readonly setsThatUncopy: number;
  /** … and those that would take some parcel for good. */
  readonly setsThatLose: number;
}

/** Look-ups of groups that take about a second. */
const LOOKUPS_MAX = 4_000_000;

interface Tally {
  parcels: number;
  bytes: number;
}

/** Parcels that go when all of these hosts do: their copies, or copies and origin. */
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
  /** The numbers of all hosts that may go. */
  readonly hosts: readonly number[];
  readonly lose: number;
  /** Those of which nobody has anything any more do not count: no loss is to come for them. */
  readonly parcels: Iterable<HeldParcel>;
}): WorstLoss {
  const { groups, bare } = grouped(parcels, lose);
  const inOrder = [...hosts].sort((a, b) => a - b);
  const size = Math.min(lose, inOrder.length);
  const all = choose(inOrder.length, size);
  // Where no set can take anything, one tells as much as all.
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
    if (seen === 1 || isWorse(taken.uncopied, uncopied)) uncopied = { hosts: set, ...taken.uncopied };
    if (seen === 1 || isWorse(taken.lost, lost)) lost = { hosts: set, ...taken.lost };
  }
  return { lose, bare, uncopied, lost, exact, sets: exact ? all : seen, setsThatUncopy, setsThatLose };
}

function grouped(parcels: Iterable<HeldParcel>, lose: number): { readonly groups: Groups; readonly bare: number } {
  const groups = new Map<string, Group>();
  let bare = 0;
  const note = (what: 'uncopied' | 'lost', hosts: ReadonlySet<number>, bytes: number): void => {
    // What lies on more hosts than go is safe from them.
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

/** The groups whose hosts are all in the set, by the shorter way: its subsets, or the groups one by one. */
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
 * From the hosts of the largest group on, always the host that most parcels wait for, of those that wait for fewest hosts
 * more: mostly for this one alone.
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
