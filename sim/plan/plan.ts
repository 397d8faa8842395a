/**
 * Plan: what would this cluster do? A cluster, made up or shaped like a real one, runs the real host machine in virtual
 * time until nothing moves; then something is changed, and it runs again.
 *
 * The report says which host holds how much, what was moved and how long that took compared with what the links allow,
 * when parcels had fewest copies, and which hosts must not be lost together. The same input and seed give the same
 * answer.
 */
import { DEFAULT_TIMING, mayHoldCopies, type Timing } from '../../src/core/cluster-config.js';
import type { HostId, ParcelId, SourceId, StoreId } from '../../src/core/ids.js';
import { sourceIdOf } from '../../src/core/ids.js';
import type { ParcelRef } from '../../src/core/parcel.js';
import { type WorstLoss, worstLoss } from '../../src/core/worst-loss.js';
import type { ParcelModel } from '../catalog-model.js';
import { CopyWatch } from '../copy-watch.js';
import { sum } from '../lower-bound.js';
import type { SimHost } from '../sim-host.js';
import { HOUR_MS, type HostOptions, MINUTE_MS, SECOND_MS, World } from '../world.js';
import { Film, type Frame } from './film.js';
import { type Missing, missingOf } from './missing.js';

/** Before anything is asked of them, the hosts have at least this long to meet, in ms. */
const MEET_MS_LEAST = 2 * MINUTE_MS;
/**
 * If nothing was copied or dropped for this long, in ms, no byte was on its way and nothing was due, nothing more will
 * happen.
 */
const QUIET_MS = 2 * HOUR_MS;

/** Events between two progress reports: well under a second even when many hosts meet and each event is a large one. */
const PROGRESS_EVENTS = 200;

export interface PlanHost extends HostOptions {
  readonly name: string;
  readonly bytesPerS: number;
}

export interface PlanParcel {
  readonly ref: ParcelRef;
  readonly source: SourceId;
  /** The newest snapshot has it, and so has its origin. */
  readonly isNewest: boolean;
  readonly copiesWanted: number;
  readonly holders: readonly { readonly host: HostId; readonly store: StoreId }[];
}

export interface PlanChanges {
  /** What each new host lends. */
  readonly addHosts: readonly number[];
  /** Names of hosts that are switched off for good. */
  readonly remove: readonly string[];
  /** The new N of every source. */
  readonly copies: number | undefined;
}

export interface PlanInput {
  readonly seed: number;
  readonly hosts: readonly PlanHost[];
  /** For a made cluster: the sizes of the parcels that each host backs up first. */
  readonly fresh?: { readonly copies: number; readonly parcels: readonly (readonly number[])[] };
  /** For a real one: its parcels and their holders. */
  readonly present?: readonly PlanParcel[];
  /**
   * For a real one: the bytes its stores use, as their hosts report them. They are not the sum of these parcels: a
   * store also has the catalog and what nobody wants any longer, and what parcels have in common lies there once.
   */
  readonly usedBytes?: ReadonlyMap<StoreId, number>;
  /** The waiting times of its policy. Default: those that apply where the policy says nothing. */
  readonly timing?: Timing;
  readonly changes: PlanChanges;
  readonly lose: number;
  /** The link speed of added hosts, each way. */
  readonly bytesPerS: number;
  /** Called now and then with the progress, and awaited, so that the caller can yield, or throw to end the plan. */
  readonly progress?: (phase: string, done: number) => Promise<void>;
}

export interface HostLayout {
  readonly name: string;
  readonly lentBytes: number;
  readonly usedBytes: number;
  readonly copies: number;
  /** Switched off by the plan. */
  readonly gone: boolean;
}

export interface Phase {
  readonly what: string;
  readonly startMs: number;
  readonly endMs: number;
  /** Bytes received by all hosts. */
  readonly movedBytes: number;
  /** The least time that the links need for the missing copies. */
  readonly boundMs: number;
  /** The last moment at which most parcels had as few copies as any parcel ever had: how few, and how many parcels. */
  readonly worst: { readonly copies: number; readonly parcels: number; readonly atMs: number };
  /** What still lacks copies when nothing moves any longer; and how many parcels have too many. */
  readonly short: Omit<Missing, 'boundS'>;
  readonly overParcels: number;
}

export interface PlanReport {
  readonly seed: number;
  readonly parcels: number;
  readonly bytes: number;
  readonly copies: number;
  readonly hosts: readonly HostLayout[];
  readonly phases: readonly Phase[];
  readonly loss: WorstLoss;
  readonly frames: readonly Frame[];
}

export function runPlan(input: PlanInput): Promise<PlanReport> {
  return new Plan(input).run();
}

class Plan {
  readonly #input: PlanInput;
  readonly #timing: Timing;
  readonly #world: World;
  readonly #watch: CopyWatch;
  readonly #film: Film;
  readonly #phases: Phase[] = [];
  /** Parcels that no newest snapshot has. */
  readonly #older: ReadonlySet<ParcelId>;
  /** When copies last changed … */
  #lastMoveMs = 0;
  /**
   * … and when something was last under way that may change them: while a large file crosses a slow link, nothing else
   * is seen for days.
   */
  #lastStirMs = 0;
  #worst = { copies: 0, parcels: 0, atMs: 0 };

  constructor(input: PlanInput) {
    this.#input = input;
    this.#timing = input.timing ?? DEFAULT_TIMING;
    this.#older = new Set((input.present ?? []).flatMap(({ ref, isNewest }) => (isNewest ? [] : [ref.id])));
    this.#world = new World({ seed: input.seed, timing: this.#timing });
    this.#watch = new CopyWatch(this.#world);
    this.#film = new Film(this.#world, this.#watch, { copiesMax: this.#copiesMax() });
    this.#watch.changed = () => {
      this.#lastMoveMs = this.#world.nowMs;
      this.#lastStirMs = this.#world.nowMs;
      this.#noteWorst();
    };
  }

  async run(): Promise<PlanReport> {
    const { changes } = this.#input;
    if (this.#input.present === undefined) await this.#startFresh();
    else await this.#startPresent(this.#input.present);
    // Added hosts are there and known before anything is asked of them: if they came in the same instant as the loss
    // they are to make up for, hosts that have not met them would pass them over.
    if (changes.addHosts.length > 0) await this.#add(changes.addHosts);
    if (changes.remove.length > 0 || changes.copies !== undefined) await this.#change();
    const { bytes, parcels } = this.#totals();
    return {
      seed: this.#input.seed,
      parcels,
      bytes,
      copies: Math.max(0, ...this.#world.config.sources.map(({ copies }) => copies)),
      hosts: this.#layout(),
      phases: this.#phases,
      loss: this.#loss(),
      frames: this.#film.frames,
    };
  }

  // ------------------------------------------------------------------------------------------------------------ phases

  async #startFresh(): Promise<void> {
    const { hosts: wanted, fresh } = this.#input;
    const world = this.#world;
    const hosts = world.addEach(wanted);
    const copies = fresh?.copies ?? 1;
    world.configure(() => ({ sources: hosts.map(({ id }) => ({ source: sourceIdOf(id, 'files'), copies })) }));
    const what = 'first backup';
    const metMs = meetMs(this.#timing);
    while (world.step(metMs)) if (world.events % PROGRESS_EVENTS === 0) await this.#input.progress?.(what, 0);
    world.nowMs = metMs;
    await this.#phase(what, () => {
      for (const [i, host] of hosts.entries()) {
        const source = sourceIdOf(host.id, 'files');
        const refs = (fresh?.parcels[i] ?? []).map(bytes => world.catalog.cut(source, bytes));
        if (refs.length === 0) continue;
        for (const { id } of refs) this.#watch.want(world.catalog.parcel(id) as ParcelModel, copies);
        world.snapshot(host, source, () => [world.catalog.snapshot(source, refs, 0)]);
      }
    });
  }

  async #startPresent(present: readonly PlanParcel[]): Promise<void> {
    const world = this.#world;
    const bySource = new Map<SourceId, { copies: number; readonly older: ParcelRef[]; readonly newest: ParcelRef[] }>();
    for (const { ref, source, isNewest, copiesWanted } of present) {
      this.#watch.want(world.catalog.adopt(source, ref), copiesWanted);
      const known = bySource.get(source) ?? { copies: copiesWanted, older: [], newest: [] };
      (isNewest ? known.newest : known.older).push(ref);
      bySource.set(source, known);
    }
    const sources = [...bySource].map(([source, { copies }]) => ({ source, copies }));
    // A source has a newest snapshot even if it has no parcels: the source is empty by now.
    const heads = [...bySource].map(([source, { older, newest }]) => {
      const history = older.length === 0 ? [] : [world.catalog.snapshot(source, older, 0)];
      return world.catalog.head(source, 1, [...history, world.catalog.snapshot(source, newest, 0)]);
    });
    const begin = (): void => {
      world.addEach(this.#input.hosts, {
        beforeStart: made => {
          for (const { disk } of made) for (const head of heads) disk.heads.set(head.source, head);
          for (const parcel of present) this.#put(made, parcel);
          for (const store of made.flatMap(({ stores }) => stores))
            store.usedBytes = this.#input.usedBytes?.get(store.id) ?? store.usedBytes;
        },
      });
      // Knowing a head of a source does not configure the source.
      world.configure(() => ({ sources }));
    };
    await this.#phase('as it is', begin, { leastMs: meetMs(this.#timing) });
  }

  #put(hosts: readonly SimHost[], { ref, holders }: PlanParcel): void {
    for (const { host: id, store: storeId } of holders) {
      const host = hosts.find(each => each.id === id);
      const store = host?.stores.find(each => each.id === storeId);
      if (host === undefined || store === undefined) continue;
      // The store was not made with the cluster: it counts as mounted at the start before.
      store.boot = host.disk.boot;
      store.put(ref.id, { content: ref.id, bytes: ref.bytes, shared: undefined });
      store.commit({ op: 'add', parcel: ref.id });
      this.#world.logs.note(store.log);
      this.#world.happened({ is: 'durable', host, store, op: { op: 'add', parcel: ref.id } });
    }
  }

  async #add(lentBytes: readonly number[]): Promise<void> {
    const { bytesPerS } = this.#input;
    const added = lentBytes.map((freeBytes, i) => ({ name: `new-${i + 1}`, bytesPerS, freeBytes }));
    const what = added.map(({ name }) => `+ ${name}`).join(', ');
    await this.#phase(what, () => this.#world.addEach(added), { leastMs: meetMs(this.#timing) });
  }

  async #change(): Promise<void> {
    const { remove, copies } = this.#input.changes;
    const world = this.#world;
    const words = [
      ...remove.map(name => `− ${name}`),
      ...(copies === undefined ? [] : [copies === 1 ? '1 copy' : `${copies} copies`]),
    ];
    await this.#phase(words.join(', '), () => {
      const gone = new Set(remove.map(name => this.#named(name)));
      for (const host of gone) world.lose(host);
      world.configure(({ members, sources }) => ({
        members: members.map(member =>
          [...gone].some(({ id }) => id === member.host) ? { ...member, state: 'revoked' } : member,
        ),
        sources: copies === undefined ? sources : sources.map(({ source }) => ({ source, copies })),
      }));
      if (copies !== undefined) for (const { parcel } of [...this.#watch.watched()]) this.#watch.want(parcel, copies);
    });
  }

  /** @param begin sets up the start of the phase; it takes no time */
  async #phase(what: string, begin: () => void, { leastMs = 0 }: { readonly leastMs?: number } = {}): Promise<void> {
    const world = this.#world;
    const startMs = world.nowMs;
    const before = world.counts.receivedBytes;
    begin();
    this.#lastMoveMs = startMs;
    this.#lastStirMs = startMs;
    // Copies that are put in place one by one count as if they had been there all the time.
    this.#worst = { copies: Number.POSITIVE_INFINITY, parcels: 0, atMs: startMs };
    this.#noteWorst();
    this.#film.take();
    const { boundS } = this.#missing();
    const missing = this.#watch.short;
    while (this.#goesOn(startMs + leastMs) && world.step(Number.POSITIVE_INFINITY)) {
      if (world.transfers.isMoving) this.#lastStirMs = world.nowMs;
      this.#film.look();
      if (world.events % PROGRESS_EVENTS === 0)
        await this.#input.progress?.(what, missing === 0 ? 1 : Math.max(0, 1 - this.#watch.short / missing));
    }
    this.#film.take();
    const { boundS: _, ...short } = this.#missing();
    this.#phases.push({
      what,
      startMs,
      endMs: this.#lastMoveMs,
      movedBytes: world.counts.receivedBytes - before,
      boundMs: boundS * SECOND_MS,
      worst: this.#worst,
      short,
      overParcels: this.#watch.over,
    });
  }

  #goesOn(untilMs: number): boolean {
    const { nowMs, hosts } = this.#world;
    if (hosts.length === 0) return false;
    return (
      nowMs < untilMs ||
      (this.#isBusy() && nowMs - this.#lastStirMs < QUIET_MS + longestWaitMs(this.#timing, hosts.length))
    );
  }

  #isBusy(): boolean {
    if (this.#watch.short > 0 || this.#watch.over > 0) return true;
    return this.#world.hosts.some(({ running }) => (running?.machine.known.pending().fetches ?? 0) > 0);
  }

  #noteWorst(): void {
    const copies = this.#watch.least;
    if (copies > this.#worst.copies) return;
    const parcels = this.#watch.withCopies(copies);
    if (copies < this.#worst.copies || parcels >= this.#worst.parcels)
      this.#worst = { copies, parcels, atMs: this.#world.nowMs };
  }

  // --------------------------------------------------------------------------------------------------------- reckoning

  #named(name: string): SimHost {
    const member = this.#world.config.members.find(each => each.name === name);
    const host = this.#world.hosts.find(({ id }) => id === member?.host);
    if (host === undefined) throw new Error(`no host ${name}`);
    return host;
  }

  #missing(): Missing {
    return missingOf(this.#world, this.#watch, parcel => this.#isAtOrigin(parcel));
  }

  /**
   * A source's files are its newest snapshot. What only older snapshots have was changed or deleted since: its copies
   * are all there is.
   */
  #isAtOrigin({ ref, origin }: ParcelModel): boolean {
    return !this.#older.has(ref.id) && this.#world.hosts.some(({ id, lost }) => id === origin && !lost);
  }

  #copiesMax(): number {
    const { fresh, present = [], changes } = this.#input;
    const asked = Math.max(fresh?.copies ?? 0, changes.copies ?? 0);
    return present.reduce((most, { copiesWanted }) => Math.max(most, copiesWanted), asked);
  }

  #totals(): { readonly parcels: number; readonly bytes: number } {
    let bytes = 0;
    for (const { parcel } of this.#watch.watched()) bytes += parcel.ref.bytes;
    return { parcels: this.#watch.size, bytes };
  }

  #layout(): HostLayout[] {
    return this.#world.hosts.map(({ id, stores, lost }) => ({
      name: this.#world.config.members.find(({ host }) => host === id)?.name ?? id,
      lentBytes: sum(stores.map(({ lentBytes }) => lentBytes)),
      usedBytes: lost ? 0 : sum(stores.map(({ usedBytes }) => usedBytes)),
      copies: lost ? 0 : sum(stores.map(({ present }) => present.size)),
      gone: lost,
    }));
  }

  #loss(): WorstLoss {
    const alive = this.#world.hosts.filter(({ lost }) => !lost);
    const numbers = new Map(alive.map(({ id, number }) => [id, number]));
    // A draining host still has its copies, though they do not count. Copies on an untrusted or provisional member are
    // ignored.
    const keepers = new Set(this.#world.config.members.flatMap(member => (mayHoldCopies(member) ? [member.host] : [])));
    return worstLoss({
      hosts: [...numbers.values()],
      lose: this.#input.lose,
      parcels: [...this.#watch.watched()].map(({ parcel, holders }) => ({
        bytes: parcel.ref.bytes,
        origin: this.#isAtOrigin(parcel) ? numbers.get(parcel.origin) : undefined,
        holders: [...holders].flatMap(({ id, number }) => (keepers.has(id) ? [number] : [])),
      })),
    });
  }
}

/** The longest time in which nothing moves only because what is to be done is not due yet. */
const longestWaitMs = ({ surplusMs, regrabMs, relocateMs, stepMs, repairStepMs }: Timing, hosts: number): number =>
  Math.max(surplusMs, regrabMs, relocateMs, hosts * stepMs, hosts * repairStepMs);

/** After this time hosts have heard of each other several times. */
const meetMs = ({ heartbeatMs }: Timing): number => Math.max(MEET_MS_LEAST, 3 * heartbeatMs);
