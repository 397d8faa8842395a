/**
 * Plan: what would this cluster do? A cluster, made up or a real one's shape, runs the real host machine in virtual time
 * until nothing moves any more; then something is changed, and it runs again.
 *
 * Told in the end: who holds how much, what was moved and how long that took against what the links allow, the moment when
 * parcels had fewest copies, and which hosts may not go at once. The same input and seed give the same answer.
 */
import { mayHoldCopies } from '../../src/core/cluster-config.js';
import type { HostId, SourceId, StoreId } from '../../src/core/ids.js';
import { sourceIdOf } from '../../src/core/ids.js';
import type { ParcelRef } from '../../src/core/parcel.js';
import type { ParcelModel } from '../catalog-model.js';
import { CopyWatch } from '../copy-watch.js';
import { sum } from '../lower-bound.js';
import type { SimHost } from '../sim-host.js';
import { HOUR_MS, type HostOptions, MINUTE_MS, SECOND_MS, World } from '../world.js';
import { Film, type Frame } from './film.js';
import { type Missing, missingOf } from './missing.js';
import { type WorstLoss, worstLoss } from './worst-loss.js';

/** The hosts have met before anything is asked of them. */
const MEET_MS = 2 * MINUTE_MS;
/** Nothing was copied or dropped for so long: nothing more will be. */
const QUIET_MS = 2 * HOUR_MS;

/** Events between two words of progress: well under a second where many hosts meet and each event is a large one, too. */
const PROGRESS_EVENTS = 200;

export interface PlanHost extends HostOptions {
  readonly name: string;
  readonly bytesPerS: number;
}

export interface PlanParcel {
  readonly ref: ParcelRef;
  readonly source: SourceId;
  readonly copiesWanted: number;
  readonly holders: readonly { readonly host: HostId; readonly store: StoreId }[];
}

export interface PlanChanges {
  /** What each new host lends. */
  readonly addHosts: readonly number[];
  /** Names of hosts that are switched off for good. */
  readonly remove: readonly string[];
  /** N of every source from then on. */
  readonly copies: number | undefined;
}

export interface PlanInput {
  readonly seed: number;
  readonly hosts: readonly PlanHost[];
  /** Of a made cluster: bytes of the parcels that each host backs up for the first time. */
  readonly fresh?: { readonly copies: number; readonly parcels: readonly (readonly number[])[] };
  /** Of a real one: its parcels, and who holds them. */
  readonly present?: readonly PlanParcel[];
  readonly changes: PlanChanges;
  readonly lose: number;
  /** Each way, of hosts that are added. */
  readonly bytesPerS: number;
  /** Told now and then how far it is, and waited for: so that whoever drives it can breathe, or throw to end it. */
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
  /** Received by all hosts. */
  readonly movedBytes: number;
  /** The time that the links need at the least for the copies that were missing. */
  readonly boundMs: number;
  /** When most parcels had as few copies as any ever had, for the last time: how few, and how many parcels. */
  readonly worst: { readonly copies: number; readonly parcels: number; readonly atMs: number };
  /** What still lacks copies, or has too many, when nothing moves any more. */
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
  readonly #world: World;
  readonly #watch: CopyWatch;
  readonly #film: Film;
  readonly #phases: Phase[] = [];
  #lastMoveMs = 0;
  #worst = { copies: 0, parcels: 0, atMs: 0 };

  constructor(input: PlanInput) {
    this.#input = input;
    this.#world = new World({ seed: input.seed });
    this.#watch = new CopyWatch(this.#world);
    this.#film = new Film(this.#world, this.#watch, { copiesMax: this.#copiesMax() });
    this.#watch.changed = () => {
      this.#lastMoveMs = this.#world.nowMs;
      this.#noteWorst();
    };
  }

  async run(): Promise<PlanReport> {
    const { changes } = this.#input;
    if (this.#input.present === undefined) await this.#startFresh();
    else await this.#startPresent(this.#input.present);
    if (changes.addHosts.length > 0 || changes.remove.length > 0 || changes.copies !== undefined) await this.#change();
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

  // --------------------------------------------------------------------------------------------------------------- phases

  async #startFresh(): Promise<void> {
    const { hosts: wanted, fresh } = this.#input;
    const world = this.#world;
    const hosts = world.addEach(wanted);
    const copies = fresh?.copies ?? 1;
    world.configure(() => ({ sources: hosts.map(({ id }) => ({ source: sourceIdOf(id, 'files'), copies })) }));
    const what = 'first backup';
    while (world.step(MEET_MS)) if (world.events % PROGRESS_EVENTS === 0) await this.#input.progress?.(what, 0);
    world.nowMs = MEET_MS;
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
    const bySource = new Map<SourceId, { copies: number; readonly refs: ParcelRef[] }>();
    for (const { ref, source, copiesWanted } of present) {
      this.#watch.want(world.catalog.adopt(source, ref), copiesWanted);
      const known = bySource.get(source) ?? { copies: copiesWanted, refs: [] };
      known.refs.push(ref);
      bySource.set(source, known);
    }
    const sources = [...bySource].map(([source, { copies }]) => ({ source, copies }));
    const heads = [...bySource].map(([source, { refs }]) =>
      world.catalog.head(source, 1, [world.catalog.snapshot(source, refs, 0)]),
    );
    const begin = (): void => {
      world.addEach(this.#input.hosts, {
        beforeStart: made => {
          for (const { disk } of made) for (const head of heads) disk.heads.set(head.source, head);
          for (const parcel of present) this.#put(made, parcel);
        },
      });
      // What is known of a head is not configured by it.
      world.configure(() => ({ sources }));
    };
    await this.#phase('as it is', begin, { leastMs: MEET_MS });
  }

  #put(hosts: readonly SimHost[], { ref, holders }: PlanParcel): void {
    for (const { host: id, store: storeId } of holders) {
      const host = hosts.find(each => each.id === id);
      const store = host?.stores.find(each => each.id === storeId);
      if (host === undefined || store === undefined) continue;
      // Not made with the cluster: it was mounted at the start before.
      store.boot = host.disk.boot;
      store.put(ref.id, { content: ref.id, bytes: ref.bytes, shared: undefined });
      store.commit({ op: 'add', parcel: ref.id });
      this.#world.logs.note(store.log);
      this.#world.happened({ is: 'durable', host, store, op: { op: 'add', parcel: ref.id } });
    }
  }

  async #change(): Promise<void> {
    const { addHosts, remove, copies } = this.#input.changes;
    const world = this.#world;
    const words = [
      ...addHosts.map((_, i) => `+ new-${i + 1}`),
      ...remove.map(name => `− ${name}`),
      ...(copies === undefined ? [] : [copies === 1 ? '1 copy' : `${copies} copies`]),
    ];
    await this.#phase(words.join(', '), () => {
      world.addEach(
        addHosts.map((lentBytes, i) => ({
          name: `new-${i + 1}`,
          bytesPerS: this.#input.bytesPerS,
          freeBytes: lentBytes,
        })),
      );
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

  /** @param begin brings about what the phase starts from. It takes no time. */
  async #phase(what: string, begin: () => void, { leastMs = 0 }: { readonly leastMs?: number } = {}): Promise<void> {
    const world = this.#world;
    const startMs = world.nowMs;
    const before = world.counts.receivedBytes;
    begin();
    this.#lastMoveMs = startMs;
    // Copies that are put in their places one by one were there all the time.
    this.#worst = { copies: Number.POSITIVE_INFINITY, parcels: 0, atMs: startMs };
    this.#noteWorst();
    this.#film.take();
    const { boundS } = missingOf(world, this.#watch);
    const missing = this.#watch.short;
    while (this.#goesOn(startMs + leastMs) && world.step(Number.POSITIVE_INFINITY)) {
      this.#film.look();
      if (world.events % PROGRESS_EVENTS === 0)
        await this.#input.progress?.(what, missing === 0 ? 1 : Math.max(0, 1 - this.#watch.short / missing));
    }
    this.#film.take();
    const { boundS: _, ...short } = missingOf(world, this.#watch);
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
    return nowMs < untilMs || (this.#isBusy() && nowMs - this.#lastMoveMs < QUIET_MS);
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

  // ------------------------------------------------------------------------------------------------------------- reckoning

  #named(name: string): SimHost {
    const member = this.#world.config.members.find(each => each.name === name);
    const host = this.#world.hosts.find(({ id }) => id === member?.host);
    if (host === undefined) throw new Error(`no host ${name}`);
    return host;
  }

  #copiesMax(): number {
    const { fresh, present = [], changes } = this.#input;
    return Math.max(fresh?.copies ?? 0, changes.copies ?? 0, ...present.map(({ copiesWanted }) => copiesWanted));
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
    // A host that is draining has its copies still, though they count no more; what others have is no copy to anybody.
    const keepers = new Set(this.#world.config.members.flatMap(member => (mayHoldCopies(member) ? [member.host] : [])));
    return worstLoss({
      hosts: [...numbers.values()],
      lose: this.#input.lose,
      parcels: [...this.#watch.watched()].map(({ parcel, holders }) => ({
        bytes: parcel.ref.bytes,
        origin: numbers.get(parcel.origin),
        holders: [...holders].flatMap(({ id, number }) => (keepers.has(id) ? [number] : [])),
      })),
    });
  }
}
