/**
 * Inject: lets a run's faults happen, each at its time and for its duration. When the run is to be healed, lasting
 * faults are ended and no more begin.
 */
import { unreachable } from '../src/core/fault.js';
import type { ParcelId } from '../src/core/ids.js';
import { AmidDrop } from './amid-drop.js';
import { backUp, eraseHistory, sourcesOf } from './backing-up.js';
import { ClusterFaults } from './cluster-faults.js';
import { crashPoint } from './crash-points.js';
import { DiskFaults } from './disk-faults.js';
import type { Fault } from './fault.js';
import type { RunOptions } from './run-options.js';
import type { SimHost } from './sim-host.js';
import { StoreDisk } from './store-disk.js';
import type { World } from './world.js';

const SLOW_LINK = 50;
const JOINERS_MOST = 8;
/** Wall clocks jump by up to ten years. */
const WALL_JUMP_DAYS = 3_650;
const DAY_MS = 24 * 3_600_000;

export class Injector {
  readonly #world: World;
  readonly #options: RunOptions;
  /** How to end the faults that last. */
  readonly #lasting = new Map<Fault, () => void>();
  readonly #lags = new Map<Fault, number>();
  readonly #disks: DiskFaults;
  readonly #cluster: ClusterFaults;
  readonly #amidDrop: AmidDrop;
  #over = false;

  constructor(world: World, options: RunOptions) {
    this.#world = world;
    this.#options = options;
    this.#disks = new DiskFaults(world);
    this.#cluster = new ClusterFaults(world);
    this.#amidDrop = new AmidDrop({ world, cluster: this.#cluster, begun: (fault, end) => this.#last(fault, end) });
  }

  schedule(): void {
    for (const fault of this.#options.faults) {
      this.#world.after(fault.atMs, () => {
        if (!this.#over && !this.#amidDrop.waits(fault)) this.#last(fault, this.#inject(fault));
      });
    }
    this.#amidDrop.watch();
  }

  /** Ends lasting faults; from now on none begins. */
  heal(): void {
    this.#over = true;
    this.#amidDrop.end();
    for (const end of [...this.#lasting.values()]) end();
    this.#lasting.clear();
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

  /** @returns how to end the fault, if it lasts. */
  #inject(fault: Fault): (() => void) | undefined {
    const world = this.#world;
    const host = this.#hostOf(fault.host);
    const other = this.#hostOf(fault.other);
    switch (fault.kind) {
      case 'partition':
        return this.#cut(this.#split(fault.dice), false);
      case 'one-way':
        return this.#cut(this.#oneWay(fault, host, other), fault.dice % 4 === 0);
      case 'half-open':
        // With one of the others, or with all: as if a cable is plugged in behind a switch that has lost power.
        return this.#cut(
          (fault.dice % 2 === 0 ? [other] : world.hosts).flatMap((end): [SimHost, SimHost][] => [
            [host, end],
            [end, host],
          ]),
          true,
        );
      case 'mute-gossip':
        return this.#mute(fault, (way, on) => world.network.muteGossip(host, on, way));
      case 'mute-streams':
        return this.#mute(fault, (way, on) => world.network.muteStreams(host, on, way));
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
        this.#armCrash(fault);
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
        this.#disks.spoil(host, fault.dice);
        return undefined;
      case 'read-error':
        if (fault.dice % 2 === 0 && host.stores.length > 1) return this.#disks.pull(host, fault.dice);
        if (fault.dice % 6 === 1) {
          // Before it gave errors it has lost writes, so that all of it is being read again.
          this.#disks.loseWrites(host, fault.dice);
          world.start(host);
        }
        return this.#restartedWith(
          fault,
          this.#disks.setDisks(host, fault.dice, disk => {
            disk.failing = true;
            return () => {
              disk.failing = false;
            };
          }),
        );
      case 'no-room':
        if (fault.dice % 4 === 0) {
          this.#disks.setQuotas(host, fault.dice);
          return undefined;
        }
        return this.#restartedWith(
          fault,
          this.#disks.setDisks(host, fault.dice, disk => {
            disk.full = true;
            return () => {
              disk.full = false;
            };
          }),
        );
      case 'slow-disk':
        return this.#disks.setDisks(host, fault.dice, disk => {
          // From barely slower to so slow that attempts run out of time.
          disk.slowMs = 50 * 2 ** (fault.dice % 11);
          if (disk instanceof StoreDisk) disk.readsAtOnce = (fault.dice >>> 16) % 3 === 0;
          return () => {
            disk.slowMs = 0;
          };
        });
      case 'lost-write':
        this.#disks.loseWrites(host, fault.dice);
        return () => world.start(host);
      case 'torn-write':
        this.#disks.tearWrites(host);
        return () => world.start(host);
      case 'lost-index':
        this.#disks.loseIndex(host);
        return () => world.start(host);
      case 'astray-write':
        for (const store of host.stores) store.goesAstray = true;
        return undefined;
      case 'wipe':
        this.#disks.wipe(host, fault.dice);
        return undefined;
      case 'old-image':
        return this.#disks.oldImage(host);
      case 'join':
        world.addHosts(joiners(fault, world), {
          freeBytes: this.#options.lentBytes,
          stores: this.#options.storesPerHost,
        });
        return undefined;
      case 'late-join':
        if (!host.isResponsive || host.isClone) return undefined;
        world.admit(host, { freeBytes: this.#options.lentBytes, stores: this.#options.storesPerHost });
        return () => world.writeAdmitted();
      case 'drain':
        return (fault.dice >>> 28) % 2 === 0 ? this.#cluster.drain(host) : this.#cluster.drainStore(host, fault.dice);
      case 'leave':
        return this.#cluster.leave(host);
      case 'revoke':
        this.#cluster.revoke(host);
        return undefined;
      case 'lose':
        if (this.#cluster.mayGo(host)) world.lose(host);
        return undefined;
      case 'copies':
        return this.#cluster.changeCopies(fault.dice);
      case 'capacity':
        return this.#disks.cutCapacity(host, fault.dice);
      case 'fork':
        this.#cluster.fork(host, other, fault.dice);
        return undefined;
      case 'asked-pause':
        return this.#cluster.askToPause(host);
      case 'lie':
        return this.#lie(host, fault.dice);
      case 'back-up':
        for (const source of sourcesOf(this.#options, this.#world)) backUp(world, this.#options, source, fault);
        return undefined;
      case 'erase-history':
        for (const source of sourcesOf(this.#options, this.#world)) eraseHistory(world, source);
        return undefined;
      default:
        return unreachable(fault.kind);
    }
  }

  // ------------------------------------------------------------------------------------------------------------- network

  /** Every pair, in both directions, that a border between two halves separates. */
  #split(dice: number): [SimHost, SimHost][] {
    const { hosts } = this.#world;
    return hosts.flatMap(a =>
      hosts.filter(b => isLeft(a, dice) !== isLeft(b, dice)).map((b): [SimHost, SimHost] => [a, b]),
    );
  }

  /** One host does not hear another, or all of a half the other half; or a host hears nobody, or nobody hears it. */
  #oneWay({ dice }: Fault, host: SimHost, other: SimHost): [SimHost, SimHost][] {
    const { hosts } = this.#world;
    switch ((dice >>> 2) % 4) {
      case 0:
        return [[host, other]];
      case 1:
        return hosts.map(to => [host, to]);
      case 2:
        return hosts.map(from => [from, host]);
      default:
        return this.#split(dice).filter(([from]) => isLeft(from, dice));
    }
  }

  #cut(pairs: readonly (readonly [SimHost, SimHost])[], unnoticed: boolean): () => void {
    const { network } = this.#world;
    const different = pairs.filter(([from, to]) => from !== to);
    for (const [from, to] of different) network.cut(from, to, unnoticed);
    return () => {
      for (const [from, to] of different) network.mend(from, to, unnoticed);
    };
  }

  /** In both directions, or only in one: what it says, or what it would hear. */
  #mute({ dice }: Fault, set: (way: 'out' | 'in', on: boolean) => void): () => void {
    const which = dice % 3;
    const ways = (['out', 'in'] as const).filter((_, i) => which === 2 || which === i);
    for (const way of ways) set(way, true);
    return () => {
      for (const way of ways) set(way, false);
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

  /** The service starts, and mounts its stores, while the disks are as the fault has made them. */
  #restartedWith({ host, dice }: Fault, end: () => void): () => void {
    if ((dice >>> 18) % 3 === 0) this.#world.restart(this.#hostOf(host));
    return end;
  }

  /** The first host that comes to this point crashes there: most come to few of them. */
  #armCrash({ dice, forMs }: Fault): void {
    const world = this.#world;
    const armed = world.hosts.filter(({ isClone }) => !isClone);
    const point = crashPoint(dice);
    for (const host of armed) {
      const strike = (): void => {
        for (const other of armed) if (other.armed?.on === point.on) other.armed = undefined;
        world.crash(host);
        world.after(forMs, () => world.start(host));
      };
      host.armed = { ...point, strike };
    }
  }

  #clone(host: SimHost): (() => void) | undefined {
    if (this.#world.hosts.some(({ isClone, lost }) => isClone && !lost)) return undefined;
    this.#world.counts.clones += 1;
    const copy = this.#world.clone(host);
    return () => this.#world.lose(copy);
  }

  // -------------------------------------------------------------------------------------------------------------- malice

  #lie(host: SimHost, dice: number): (() => void) | undefined {
    if (!host.isResponsive) return undefined;
    this.#world.counts.lies += 1;
    const holdings = dice % 3 === 0;
    host.lies = { holdings, room: dice % 3 === 1, grants: dice % 3 === 2, audits: holdings };
    if (holdings) this.#claimToHold(host, dice);
    // Room that it promises by the lie may be used when it tells the truth again.
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
}

const isLeft = (host: SimHost, dice: number): boolean => ((dice >>> (host.number % 32)) & 1) === 1;

/** A few, or as many as there are already: a whole class joins. */
const joiners = ({ dice }: Fault, { hosts }: World): number =>
  (dice >>> 8) % 4 === 0 ? Math.min(hosts.length, JOINERS_MOST) : 1 + (dice % 3);
