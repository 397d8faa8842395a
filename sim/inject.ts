/**
 * Inject: lets a run's faults happen, each at its time and for its time. When the run is to be healed, those that still
 * last are ended and no more begin.
 */
import type { Member } from '../src/core/cluster-config.js';
import type { Effect } from '../src/core/effects.js';
import { unreachable } from '../src/core/fault.js';
import type { ParcelId, SourceId } from '../src/core/ids.js';
import { sourceIdOf } from '../src/core/ids.js';
import type { ParcelRef } from '../src/core/parcel.js';
import { between } from './draw.js';
import type { Fault, FaultKind } from './fault.js';
import type { RunOptions } from './run-options.js';
import type { Boundary, Running, SimHost } from './sim-host.js';
import type { StateDisk } from './state-disk.js';
import type { World } from './world.js';

/** So many hosts stay members and alive, whatever the schedule says. */
const HOSTS_LEFT = 3;
const BOUNDARIES: readonly Boundary[] = ['asked', 'begun', 'done'];
/** Changes of the configuration that come in the middle of an attempt to drop, every other time. */
const AMID_DROP: ReadonlySet<FaultKind> = new Set(['revoke', 'drain', 'copies']);
/** Effects at which a crash is worth a fault of its own; the rest is hit by crashes at any time. */
const CRASH_AT = [
  'drop',
  'drop',
  'prove-own',
  'ask-grants',
  'ask-grants',
  'read-possession',
  'answer-grant',
  'fetch',
  'keep-head',
  'expire',
  'note-unwanted',
  'offer-relocation',
  'answer-relocation',
  'ask-state',
  undefined,
] as const;
const SLOW_LINK = 50;
/** Wall clocks jump by up to ten years. */
const WALL_JUMP_DAYS = 3_650;
const DAY_MS = 24 * 3_600_000;
/** A snapshot's hold is no longer. */
export const HOLD_HEARTBEATS = 10;

export class Injector {
  readonly #world: World;
  readonly #options: RunOptions;
  /** How to end the faults that last. */
  readonly #lasting = new Map<Fault, () => void>();
  readonly #lags = new Map<Fault, number>();
  /** Changes that wait for an attempt to drop. */
  readonly #amidDrop: Fault[] = [];
  #over = false;

  constructor(world: World, options: RunOptions) {
    this.#world = world;
    this.#options = options;
  }

  schedule(): void {
    for (const fault of this.#options.faults) {
      this.#world.after(fault.atMs, () => {
        if (this.#over) return;
        if (AMID_DROP.has(fault.kind) && waitsForDrop(fault)) this.#amidDrop.push(fault);
        else this.#begin(fault);
      });
    }
    this.#world.witnesses.push(happening => {
      if (this.#amidDrop.length > 0 && happening.is === 'effect') this.#changeAmidDrop(happening);
    });
  }

  /** Ends what lasts; nothing begins any more. */
  heal(): void {
    this.#over = true;
    this.#amidDrop.length = 0;
    for (const end of [...this.#lasting.values()]) end();
    this.#lasting.clear();
  }

  #begin(fault: Fault): void {
    this.#last(fault, this.#inject(fault));
  }

  #last(fault: Fault, end: (() => void) | undefined): void {
    if (end === undefined) return;
    const once = (): void => {
      if (this.#lasting.delete(fault)) end();
    };
    this.#lasting.set(fault, once);
    this.#world.after(fault.forMs, once);
  }

  #hostOf(number: number): SimHost {
    const own = this.#world.hosts.filter(host => !host.isClone);
    return own[number % own.length] as SimHost;
  }

  /** @returns how to end it, for what lasts. */
  #inject(fault: Fault): (() => void) | undefined {
    const world = this.#world;
    const host = this.#hostOf(fault.host);
    const other = this.#hostOf(fault.other);
    switch (fault.kind) {
      case 'partition':
        return this.#cut(this.#split(fault.dice), false);
      case 'one-way':
        return this.#cut([[host, other]], fault.dice % 4 === 0);
      case 'half-open':
        // With one of the others, or with all: behind a switch that has lost its power a cable is plugged in.
        return this.#cut(
          (fault.dice % 2 === 0 ? [other] : world.hosts).flatMap((end): [SimHost, SimHost][] => [
            [host, end],
            [end, host],
          ]),
          true,
        );
      case 'mute-gossip':
        world.network.muteGossip(host, true);
        return () => world.network.muteGossip(host, false);
      case 'mute-streams':
        world.network.muteStreams(host, true);
        return () => world.network.muteStreams(host, false);
      case 'loss': {
        const percent = 5 + (fault.dice % 70);
        world.network.lossPercent += percent;
        return () => {
          world.network.lossPercent -= percent;
        };
      }
      case 'lag':
        return this.#lag(fault);
      case 'slow-link':
        host.uploadBytesPerS /= SLOW_LINK;
        host.downloadBytesPerS /= SLOW_LINK;
        world.transfers.review();
        return () => {
          host.uploadBytesPerS *= SLOW_LINK;
          host.downloadBytesPerS *= SLOW_LINK;
          world.transfers.review();
        };
      case 'crash':
        world.crash(host);
        return () => world.start(host);
      case 'boundary-crash':
        this.#armCrash(fault, host);
        return undefined;
      case 'pause':
        if (!host.isResponsive) return undefined;
        world.pause(host);
        return () => world.resume(host);
      case 'suspend':
        if (!host.isResponsive) return undefined;
        world.suspend(host);
        return () => world.resume(host);
      case 'drift': {
        const percent = ((fault.dice % 101) - 50) / 10;
        host.clock.drift(world.nowMs, percent);
        host.running?.clockChanged();
        return () => {
          host.clock.drift(world.nowMs, 0);
          host.running?.clockChanged();
        };
      }
      case 'wall-jump':
        host.wallOffsetMs += ((fault.dice % (2 * WALL_JUMP_DAYS)) - WALL_JUMP_DAYS) * DAY_MS;
        return undefined;
      case 'clone':
        return this.#clone(host);
      case 'bit-rot':
        this.#spoil(host, fault.dice);
        return undefined;
      case 'read-error':
        if (fault.dice % 2 === 0 && host.stores.length > 1) return this.#pull(host, fault.dice);
        return this.#setDisks(fault, disk => {
          disk.failing = true;
          return () => {
            disk.failing = false;
          };
        });
      case 'no-room':
        if (fault.dice % 4 === 0) {
          this.#setQuotas(host, fault.dice);
          return undefined;
        }
        return this.#setDisks(fault, disk => {
          disk.full = true;
          return () => {
            disk.full = false;
          };
        });
      case 'slow-disk':
        return this.#setDisks(fault, disk => {
          // From hardly to so slow that attempts run out of time.
          disk.slowMs = 50 * 2 ** (fault.dice % 11);
          return () => {
            disk.slowMs = 0;
          };
        });
      case 'lost-write':
        this.#loseWrites(host, fault.dice);
        return () => world.start(host);
      case 'torn-write':
        this.#tearWrites(host);
        return () => world.start(host);
      case 'lost-index':
        this.#loseIndex(host);
        return () => world.start(host);
      case 'astray-write':
        for (const store of host.stores) store.goesAstray = true;
        return undefined;
      case 'wipe':
        this.#wipe(host, fault.dice);
        return undefined;
      case 'old-image':
        return this.#oldImage(host);
      case 'join':
        world.addHosts(1 + (fault.dice % 3), {
          freeBytes: this.#options.lentBytes,
          stores: this.#options.storesPerHost,
        });
        return undefined;
      case 'late-join':
        if (!host.isResponsive || host.isClone) return undefined;
        world.admit(host, { freeBytes: this.#options.lentBytes, stores: this.#options.storesPerHost });
        return () => world.writeAdmitted();
      case 'drain':
        return (fault.dice >>> 28) % 2 === 0 ? this.#drain(host) : this.#drainStore(host, fault.dice);
      case 'revoke':
        this.#revoke(host);
        return undefined;
      case 'lose':
        if (this.#mayGo(host)) world.lose(host);
        return undefined;
      case 'copies':
        return this.#changeCopies(fault.dice);
      case 'capacity':
        return this.#cutCapacity(host, fault.dice);
      case 'fork':
        this.#fork(host, other, fault.dice);
        return undefined;
      case 'lie':
        return this.#lie(host, fault.dice);
      case 'back-up':
        for (const source of sourcesOf(this.#options, this.#world)) backUp(world, this.#options, source, fault);
        return undefined;
      case 'erase-history':
        for (const source of sourcesOf(this.#options, this.#world)) this.#eraseHistory(source);
        return undefined;
      default:
        return unreachable(fault.kind);
    }
  }

  // ------------------------------------------------------------------------------------------------------------- network

  /** Every pair that a border between two halves parts, each way. */
  #split(dice: number): [SimHost, SimHost][] {
    const isLeft = (host: SimHost): boolean => ((dice >>> (host.number % 32)) & 1) === 1;
    const { hosts } = this.#world;
    return hosts.flatMap(a => hosts.filter(b => isLeft(a) !== isLeft(b)).map((b): [SimHost, SimHost] => [a, b]));
  }

  #cut(pairs: readonly (readonly [SimHost, SimHost])[], unnoticed: boolean): () => void {
    const { network } = this.#world;
    const different = pairs.filter(([from, to]) => from !== to);
    for (const [from, to] of different) network.cut(from, to, unnoticed);
    return () => {
      for (const [from, to] of different) network.mend(from, to, unnoticed);
    };
  }

  #lag(fault: Fault): () => void {
    const { network } = this.#world;
    const restMs = this.#options.delayMsMost;
    const set = (): void => {
      network.delayMs = { least: 1, most: Math.max(restMs, ...this.#lags.values()) };
    };
    // Up to an hour: longer than any attempt.
    this.#lags.set(fault, 500 * 2 ** (fault.dice % 13));
    set();
    return () => {
      this.#lags.delete(fault);
      set();
    };
  }

  // ----------------------------------------------------------------------------------------------------------- processes

  #armCrash({ dice, forMs }: Fault, host: SimHost): void {
    const world = this.#world;
    host.armed = {
      on: CRASH_AT[dice % CRASH_AT.length],
      boundary: BOUNDARIES[(dice >>> 8) % BOUNDARIES.length] as Boundary,
      strike: () => {
        world.crash(host);
        world.after(forMs, () => world.start(host));
      },
    };
  }

  #clone(host: SimHost): (() => void) | undefined {
    if (this.#world.hosts.some(({ isClone, lost }) => isClone && !lost)) return undefined;
    this.#world.counts.clones += 1;
    const copy = this.#world.clone(host);
    return () => this.#world.lose(copy);
  }

  // --------------------------------------------------------------------------------------------------------------- disks

  #setStores(host: SimHost, set: (store: SimHost['stores'][number]) => () => void): () => void {
    const ends = host.stores.map(set);
    return () => {
      for (const end of ends) end();
    };
  }

  /** Those of the stores, that of the state folder, or, where one disk has it all, both. */
  #setDisks(
    { host: number, dice }: Fault,
    set: (disk: SimHost['stores'][number] | StateDisk) => () => void,
  ): () => void {
    const host = this.#hostOf(number);
    const which = (dice >>> 26) % 4;
    const ends = [...(which === 3 ? [] : host.stores), ...(which < 2 ? [] : [host.disk.state])].map(set);
    return () => {
      for (const end of ends) end();
    };
  }

  /** One of several disks is not there for a while: the host goes on with the others. */
  #pull(host: SimHost, dice: number): () => void {
    const store = host.stores[(dice >>> 8) % host.stores.length] as SimHost['stores'][number];
    const set = (pulled: boolean): void => {
      store.pulled = pulled;
      const { running } = host;
      running?.enter(() => running.lookAgain());
    };
    set(true);
    return () => set(false);
  }

  /** Nobody is told, and it stays so. */
  #setQuotas({ stores }: SimHost, dice: number): void {
    for (const store of stores)
      store.quotaBytes = store.usedBytes + Math.floor(((store.lentBytes - store.usedBytes) * ((dice >>> 8) % 32)) / 64);
  }

  #spoil(host: SimHost, dice: number): void {
    const store = host.stores[dice % Math.max(1, host.stores.length)];
    const present = [...(store?.present ?? [])];
    const parcel = present[(dice >>> 8) % Math.max(1, present.length)];
    if (store === undefined || parcel === undefined) return;
    if (store.keeps(parcel)) this.#world.happened({ is: 'injected-loss', host, parcel });
    store.spoil(parcel, 'rotten');
  }

  /** The power goes, and what the disk had promised to keep is not there. */
  #loseWrites(host: SimHost, dice: number): void {
    this.#world.crash(host);
    for (const store of host.stores) {
      const before = new Set(store.present);
      store.cutLog(Math.max(0, store.log.seq - 1 - (dice % 4)));
      for (const parcel of before)
        if (!store.present.has(parcel)) this.#world.happened({ is: 'injected-loss', host, parcel });
    }
    this.#world.happened({ is: 'disk-replaced', host });
  }

  /** The power goes, and of the file that was written last only a part is there, though its `add` is in the log. */
  #tearWrites(host: SimHost): void {
    this.#world.crash(host);
    for (const store of host.stores) {
      const parcel = [...store.files.keys()].at(-1);
      if (parcel === undefined) continue;
      if (store.keeps(parcel)) this.#world.happened({ is: 'injected-loss', host, parcel });
      store.spoil(parcel, 'half');
    }
  }

  /** Somebody deletes the index: what was read of others, and how far our own stores were followed. */
  #loseIndex(host: SimHost): void {
    this.#world.crash(host);
    const { archive, frames, index, indexBoot, unwanted, unanswered } = host.disk;
    for (const map of [archive, frames, index, indexBoot, unwanted, unanswered]) map.clear();
  }

  #wipe(host: SimHost, dice: number): void {
    const world = this.#world;
    world.loseCopies(host);
    world.crash(host);
    world.replaceStores(host);
    if (dice % 2 === 0) {
      const { heads, history, kept, unwanted, unanswered, archive } = host.disk;
      for (const map of [heads, history, kept, unwanted, unanswered, archive]) map.clear();
    }
    world.happened({ is: 'disk-replaced', host });
    world.start(host);
  }

  #oldImage(host: SimHost): () => void {
    const world = this.#world;
    const image = host.disk.image();
    return () => {
      if (host.lost) return;
      world.crash(host);
      for (const store of host.stores) {
        const old = image.stores.find(({ id }) => id === store.id);
        for (const parcel of store.held())
          if (old?.keeps(parcel) !== true) world.happened({ is: 'injected-loss', host, parcel });
      }
      host.disk = image;
      world.happened({ is: 'disk-replaced', host });
      world.start(host);
    };
  }

  #cutCapacity(host: SimHost, dice: number): () => void {
    return this.#setStores(host, store => {
      const { lentBytes } = store;
      store.wasCut = true;
      store.lentBytes = Math.floor((store.usedBytes * (dice % 100)) / 100);
      return () => {
        store.lentBytes = lentBytes;
      };
    });
  }

  // ------------------------------------------------------------------------------------------------------------- cluster

  #mayGo(host: SimHost): boolean {
    const { hosts, config } = this.#world;
    const left = hosts.filter(
      other =>
        other !== host &&
        !other.lost &&
        !other.isClone &&
        config.members.some(({ host: id, state }) => id === other.id && state === 'active'),
    );
    return !host.lost && left.length >= HOSTS_LEFT;
  }

  /** @param at who signs it */
  #setState(host: SimHost, state: Member['state'], at?: SimHost): boolean {
    const config = this.#world.configure(
      ({ members }) => ({
        members: members.map(member => (member.host === host.id ? { ...member, state } : member)),
      }),
      at === undefined ? {} : { at },
    );
    return config !== undefined;
  }

  #isIn(host: SimHost, state: Member['state']): boolean {
    return this.#world.config.members.some(member => member.host === host.id && member.state === state);
  }

  #drain(host: SimHost, at?: SimHost): (() => void) | undefined {
    if (!this.#mayGo(host) || !this.#isIn(host, 'active') || !this.#setState(host, 'draining', at)) return undefined;
    return () => {
      if (this.#isIn(host, 'draining')) this.#setState(host, 'active');
    };
  }

  #drainStore(host: SimHost, dice: number): (() => void) | undefined {
    const store = host.stores[(dice >>> 8) % Math.max(1, host.stores.length)];
    if (store === undefined) return undefined;
    this.#world.counts.drainedStores += 1;
    const set = (draining: boolean): void => {
      store.draining = draining;
      const { running } = host;
      running?.enter(() => running.lookAgain());
    };
    set(true);
    return () => set(false);
  }

  /** @returns whether it was. */
  #revoke(host: SimHost, at?: SimHost): boolean {
    return this.#mayGo(host) && this.#isIn(host, 'active') && this.#setState(host, 'revoked', at);
  }

  #changeCopies(dice: number, at?: SimHost): () => void {
    const set = (copies: number, by?: SimHost): void => {
      this.#world.configure(
        ({ sources }) => ({ sources: sources.map(policy => ({ ...policy, copies })) }),
        by === undefined ? {} : { at: by },
      );
    };
    set(1 + (dice % 3), at);
    return () => set(1 + ((dice >>> 8) % 3));
  }

  /**
   * Somebody begins to drop a copy, or to ask for grants, and just then one of those who are to grant it is taken out, or N is
   * changed. Who signs it is the dropper or another holder: whoever hears of it later is past it.
   */
  #changeAmidDrop({ by, effect }: { readonly by: Running; readonly effect: Effect }): void {
    if (effect.do !== 'prove-own' && effect.do !== 'ask-grants') return;
    const at = this.#amidDrop.findIndex(fault => (fault.dice >>> 17) % 2 === (effect.do === 'prove-own' ? 0 : 1));
    const fault = this.#amidDrop[at];
    if (fault === undefined || by.host.isClone) return;
    const { dice } = fault;
    const granters = this.#world.hosts.filter(({ id, isClone }) => !isClone && effect.holders.includes(id));
    const goes = granters[(dice >>> 18) % Math.max(1, granters.length)];
    if (goes === undefined) return;
    const others = [...granters.filter(host => host !== goes || fault.kind === 'copies'), by.host].filter(
      ({ disk, isResponsive, signed }) => isResponsive && (signed ?? disk.config) === this.#world.config,
    );
    const signer = others[(dice >>> 24) % Math.max(1, others.length)];
    if (signer === undefined) return;
    this.#amidDrop.splice(at, 1);
    const { counts } = this.#world;
    switch (fault.kind) {
      case 'revoke':
        if (this.#revoke(goes, signer)) counts.membersOutAmidDrop += 1;
        return;
      case 'drain': {
        const end = this.#drain(goes, signer);
        if (end !== undefined) counts.membersOutAmidDrop += 1;
        this.#last(fault, end);
        return;
      }
      default:
        counts.copiesAmidDrop += 1;
        this.#last(fault, this.#changeCopies(dice, signer));
    }
  }

  /** Two admins sign, each on what it has, and neither knows of the other. */
  #fork(host: SimHost, other: SimHost, dice: number): void {
    if (host === other || !host.isResponsive || !other.isResponsive) return;
    if (!this.#isIn(host, 'active') || !this.#isIn(other, 'active')) return;
    const first = this.#world.configure(
      ({ sources }) => ({ sources: sources.map(policy => ({ ...policy, copies: 1 + (dice % 3) })) }),
      { at: host },
    );
    if (first === undefined || other.disk.config !== first.parent) return;
    this.#world.configure(
      ({ sources }) => ({ sources: sources.map(policy => ({ ...policy, copies: 1 + ((dice >>> 8) % 3) })) }),
      { at: other },
    );
  }

  #lie(host: SimHost, dice: number): (() => void) | undefined {
    if (!host.isResponsive) return undefined;
    this.#world.counts.lies += 1;
    const holdings = dice % 3 === 0;
    host.lies = { holdings, room: dice % 3 === 1, grants: dice % 3 === 2, audits: holdings };
    if (holdings) this.#claimToHold(host, dice);
    // What it promises by the lie may come when it has told the truth again.
    if (host.lies.room) for (const store of host.stores) store.wasCut = true;
    return () => {
      host.lies = undefined;
    };
  }

  #claimToHold(host: SimHost, dice: number): void {
    const [store] = host.stores;
    const { running } = host;
    if (store === undefined || running === undefined) return;
    const others: ParcelId[] = [];
    for (const { parcel } of this.#world.listed())
      if (parcel.origin !== host.id && !store.present.has(parcel.ref.id)) others.push(parcel.ref.id);
    running.claimToHold(
      store.id,
      others.filter((_, i) => ((dice >>> (i % 20)) & 1) === 1),
    );
  }

  /** Whoever took the origin over lists nothing of what was. */
  #eraseHistory(source: SourceId): void {
    const origin = this.#world.hosts.find(({ id, isClone }) => !isClone && source.startsWith(id));
    if (origin === undefined) return;
    this.#world.snapshot(origin, source, () => [this.#world.catalog.snapshot(source, [], 0)]);
  }
}

const waitsForDrop = ({ dice }: Fault): boolean => (dice >>> 16) % 2 === 0;

/** The run's sources: each of another host, as far as they go. */
export function sourcesOf({ sources }: RunOptions, world: World): SourceId[] {
  return world.hosts.slice(0, sources).map(({ id }) => sourceIdOf(id, 'files'));
}

/** The next snapshot of a source: some parcels have changed, some are gone, some are new; old snapshots leave the list. */
export function backUp(world: World, options: RunOptions, source: SourceId, { dice }: Pick<Fault, 'dice'>): void {
  const origin = world.hosts.find(({ id, isClone }) => !isClone && source.startsWith(id));
  if (origin === undefined) return;
  world.configureSource(source, options.copies);
  const chance = world.chance.of(`catalog/${source}/${dice}`);
  const size = (): number => between(chance, 1, options.parcelBytesMax);
  const holdMs = options.paceMs * between(chance, 0, HOLD_HEARTBEATS);
  const keptSnapshots = between(chance, 0, 2);
  world.snapshot(origin, source, listed => {
    const before = [...(listed.at(-1)?.refs.values() ?? [])];
    const wanted = Math.max(1, Math.floor(options.parcels / options.sources));
    const now: ParcelRef[] = [];
    for (const ref of before) {
      const fate = chance.below(10);
      if (fate === 0) continue;
      now.push(fate < 3 ? world.catalog.cut(source, size(), ref) : ref);
    }
    while (now.length < wanted) now.push(world.catalog.cut(source, size()));
    return [...listed.slice(Math.max(0, listed.length - keptSnapshots)), world.catalog.snapshot(source, now, holdMs)];
  });
}
