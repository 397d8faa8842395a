/**
 * House: five machines on one switch, each with a real service, a store and a disk of its own; and their three sources.
 *
 * A machine outlives its hosts: after a reinstallation another host runs on it, under another name. `a` has the admin
 * key; `a`, `b` and `d` have a source each, and `live`, that of `d`, is watched and written all the time. `c` lends
 * little, and `e` lends a disk that is small, where a disk can be mounted.
 *
 * As root on Linux each machine is a network namespace. Elsewhere all share the loopback, and what needs cables or
 * mounts is left out.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import type { ChanceStreams } from '../../sim/chance-streams.js';
import type { Chance } from '../../src/core/chance.js';
import { Namespaces } from '../helpers/namespaces.js';
import { type JsonRecord, type Launch, type Plan, RealCluster, type RealHost } from '../helpers/real-cluster.js';
import { mountSmallDisk, whyNoSmallDisk } from '../helpers/small-disk.js';
import { changeTree } from './change-tree.js';
import type { Journal } from './journal.js';

export const MACHINES = ['a', 'b', 'c', 'd', 'e'] as const;
export type Machine = (typeof MACHINES)[number];
export const ADMIN: Machine = 'a';

/** Each source's machine. */
export const SOURCES = { pics: 'a', docs: 'b', live: 'd' } as const satisfies Record<string, Machine>;
export type Source = keyof typeof SOURCES;
/** Those that are still while they are backed up. */
export const QUIET_SOURCES: readonly Source[] = ['pics', 'docs'];

export const COPIES = 2;

/** Above what one command takes on two busy cores. In ms. */
const COMMAND_MS_MAX = 300_000;
const LIMITS: Readonly<Record<Machine, string>> = { a: '3 GB', b: '3 GB', c: '90 MB', d: '3 GB', e: '150 MB' };
export const SMALL_DISK_MACHINE: Machine = 'e';
/** Room for its store's limit, and for what lies beside the copies. */
const SMALL_DISK_BYTES = 220_000_000;
const CHANGES_AT_FIRST = 3;
/** `live` changes this often. */
const LIVE_EVERY_MS = 1_500;
/** As short as a house of busy machines bears: within a round copies are made again, are too many, and expire. */
const TIMING = { dead: '12s', return: '20s', surplus: '5s', gcGrace: '20s', trash: '30s', relocate: '5s' } as const;

export interface Surroundings {
  /** Why there are no cables to cut; undefined where there are. */
  readonly whyNoNetwork: string | undefined;
  readonly whyNoMounts: string | undefined;
}

interface Teardowns {
  teardown(end: () => void | Promise<void>): void;
}

export class House {
  readonly journal: Journal;
  readonly cluster: RealCluster;
  readonly net: Namespaces | undefined;
  readonly surroundings: Surroundings;
  /** The wanted copies of each source, by the policy that is applied next. */
  copies = COPIES;
  /** Machines that do not run because somebody wants it so. */
  readonly #down = new Set<Machine>();
  readonly #hosts = new Map<Machine, RealHost>();
  /** Revoked ones. */
  readonly #left: RealHost[] = [];
  readonly #liveChance: Chance;
  #live: NodeJS.Timeout | undefined;
  #unmount: (() => void) | undefined;

  private constructor(parts: Pick<House, 'journal' | 'cluster' | 'net' | 'surroundings'>, chance: ChanceStreams) {
    this.journal = parts.journal;
    this.cluster = parts.cluster;
    this.net = parts.net;
    this.surroundings = parts.surroundings;
    this.#liveChance = chance.of('live');
  }

  /** @param t removes in the reverse order what was made */
  static async build(
    t: Teardowns,
    {
      chance,
      openJournal,
    }: { readonly chance: ChanceStreams; readonly openJournal: (cluster: RealCluster) => Journal },
  ): Promise<House> {
    // Before the cluster, so that at the process's end its services go first.
    const made = Namespaces.make(t, MACHINES);
    const cluster = new RealCluster(t);
    const net = made.kind === 'made' ? made.net : undefined;
    const surroundings = {
      whyNoNetwork: made.kind === 'made' ? undefined : made.because,
      whyNoMounts: whyNoSmallDisk(),
    };
    for (const machine of MACHINES) cluster.makeFolder(`${machine}.disk`);
    const house = new House({ journal: openJournal(cluster), cluster, net, surroundings }, chance);
    if (surroundings.whyNoMounts === undefined)
      house.#unmount = mountSmallDisk(t, house.diskOf(SMALL_DISK_MACHINE), SMALL_DISK_BYTES);
    await house.#found(chance.of('first'));
    return house;
  }

  async #found(chance: Chance): Promise<void> {
    const launches = Object.fromEntries(MACHINES.map(machine => [machine, this.#launchOn(machine)]));
    const hosts = await this.cluster.found(MACHINES, launches);
    for (const [n, machine] of MACHINES.entries()) {
      this.#hosts.set(machine, hosts[n] as RealHost);
      this.#makeStore(machine);
    }
    for (const source of Object.keys(SOURCES) as Source[]) {
      const root = this.cluster.makeFolder(source);
      for (let n = 0; n < CHANGES_AT_FIRST; n += 1) changeTree(root, chance);
    }
    await this.applyPolicy();
    const { configVersion } = await this.hostOn(ADMIN).status();
    for (const host of hosts) await host.sees('the policy', status => status.configVersion === configVersion);
  }

  #launchOn(machine: Machine): Launch {
    const launch = { commandMsMax: COMMAND_MS_MAX };
    if (this.net === undefined) return launch;
    return { ...launch, by: this.net.on(machine), up: ['--listen', '/ip4/0.0.0.0/tcp/4747'] };
  }

  // ------------------------------------------------------------------------------------------------------------ who runs

  hostOn(machine: Machine): RealHost {
    const host = this.#hosts.get(machine);
    if (host === undefined) throw new Error(`there is no host on ${machine}`);
    return host;
  }

  get running(): Machine[] {
    return MACHINES.filter(machine => !this.#down.has(machine));
  }

  /** The sources whose origins run. */
  get askable(): Source[] {
    return (Object.keys(SOURCES) as Source[]).filter(source => this.running.includes(SOURCES[source]));
  }

  async kill(machine: Machine): Promise<void> {
    this.tellEnded();
    this.#down.add(machine);
    await this.hostOn(machine).kill();
  }

  async stop(machine: Machine): Promise<void> {
    this.#down.add(machine);
    await this.hostOn(machine)
      .stop()
      .catch((error: Error) => this.journal.fail(`stop ${machine}: ${error.message}`));
  }

  async bringUp(machine: Machine): Promise<void> {
    if (!this.#down.has(machine)) return;
    const host = this.hostOn(machine);
    // One that could not be stopped runs still.
    await host.kill();
    await host.up();
    this.#down.delete(machine);
  }

  /** A service that ended by itself has failed. */
  tellEnded(): void {
    for (const machine of this.running)
      if (this.hostOn(machine).pid === undefined) this.journal.fail(`the service on ${machine} ended by itself`);
  }

  /** All that was logged, by hosts that have left, too. */
  logs(): JsonRecord[] {
    return [...this.#left, ...this.#hosts.values()].flatMap(host => host.log());
  }

  // ----------------------------------------------------------------------------------------------- members and their disks

  storeOn(machine: Machine): string {
    return this.cluster.path(`${machine}.disk`, `${this.hostOn(machine).name}.store`);
  }

  diskOf(machine: Machine): string {
    return this.cluster.path(`${machine}.disk`);
  }

  #makeStore(machine: Machine): void {
    mkdirSync(this.storeOn(machine), { mode: 0o700 });
  }

  /** A stolen machine: its host is shut out while it runs, and one that joins anew takes its place, with an empty store. */
  async reinstall(machine: Machine): Promise<void> {
    const admin = this.hostOn(ADMIN);
    const old = this.hostOn(machine);
    const oldStore = this.storeOn(machine);
    await admin.ok('revoke', old.name, '--yes');
    await old.kill();
    rmSync(oldStore, { recursive: true, force: true });
    this.#left.push(old);
    const host = this.cluster.add(`${machine}-${this.#left.length}`, this.#launchOn(machine));
    await host.join(await admin.invite());
    this.#hosts.set(machine, host);
    this.#makeStore(machine);
    await host.up();
    await this.applyPolicy();
  }

  /** The policy as it is wanted now. */
  applyPolicy(): Promise<void> {
    return this.cluster.apply(this.#policy(), { by: this.hostOn(ADMIN), yes: true });
  }

  #policy(): Plan {
    const hosts = MACHINES.map(machine => {
      const sources = (Object.keys(SOURCES) as Source[]).filter(source => SOURCES[source] === machine);
      const plans = sources.map(source => [
        source,
        // What changes within a day is most of it: at less than 100 % the brake would keep all snapshots listed.
        { path: this.folderOf(source), every: '24h', watch: source === 'live', keep: { last: 3 }, brake: '100%' },
      ]);
      const stores = [{ path: this.storeOn(machine), limit: LIMITS[machine] }];
      return [this.hostOn(machine).name, { stores, sources: Object.fromEntries(plans) }];
    });
    return { defaults: { copies: this.copies }, hosts: Object.fromEntries(hosts), timing: TIMING };
  }

  // --------------------------------------------------------------------------------------------------------------- sources

  folderOf(source: Source): string {
    return this.cluster.path(source);
  }

  /** Begins to write in `live`, or ends it. */
  set isLive(isLive: boolean) {
    clearInterval(this.#live);
    if (isLive) this.#live = setInterval(() => changeTree(this.folderOf('live'), this.#liveChance), LIVE_EVERY_MS);
  }

  /** Ends all services and takes the folder away from who would remove it; synchronous, as a signal may have come. */
  keepAs(path: string): void {
    this.isLive = false;
    for (const host of this.#hosts.values()) host.killNow();
    if (this.#unmount !== undefined) {
      // What is mounted goes with its mount.
      const disk = this.diskOf(SMALL_DISK_MACHINE);
      execFileSync('cp', ['-a', disk, `${disk}.kept`]);
      this.#unmount();
      rmdirSync(disk);
      renameSync(`${disk}.kept`, disk);
    }
    renameSync(this.cluster.folder, path);
  }
}
