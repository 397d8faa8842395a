/**
 * World: hosts that run the real machine in virtual time, on disks and networks that the simulator makes and can break.
 *
 * One queue of events, one seed split by name; the same seed and build give the same run. Checks that must always hold
 * run after every event; checks that must hold in the end are waited for.
 */
import { CHECKPOINT_EVERY_OPS } from '../src/core/checkpoint.js';
import { type ClusterConfig, DEFAULT_TIMING, type Member, type Timing } from '../src/core/cluster-config.js';
import { assert } from '../src/core/fault.js';
import { HOLDINGS_LIMITS, type HoldingsLimits } from '../src/core/holdings.js';
import {
  type HostId,
  type ParcelId,
  parseClusterId,
  parseHostId,
  parsePeerName,
  parseStoreId,
  type SourceId,
  type StoreId,
  sourceIdOf,
} from '../src/core/ids.js';
import { replacesHead } from '../src/core/own-heads.js';
import type { ParcelRef } from '../src/core/parcel.js';
import { CatalogModel, nameOf, type ParcelModel } from './catalog-model.js';
import { ChanceStreams } from './chance-streams.js';
import { adminsOf, areForked, goesBefore, isAdmin, revokedIn } from './config-chain.js';
import { countingDomains } from './counting-domains.js';
import { type Counts, noCounts } from './counts.js';
import { EventQueue } from './event-queue.js';
import { FinishedMoves } from './finished-moves.js';
import type { Happening, Witness } from './happening.js';
import { HostDisk, type SignedConfig } from './host-disk.js';
import { LogRegistry } from './log-registry.js';
import type { Mutant } from './mutants.js';
import { Network } from './network.js';
import { firstEpoch, settleUnderWay } from './own-stores.js';
import { Service } from './service.js';
import { SimHost, type SnapshotEdit } from './sim-host.js';
import { SteadyClock } from './steady-clock.js';
import { StoreDisk } from './store-disk.js';
import type { Surroundings } from './surroundings.js';
import { Transfers } from './transfers.js';

export const MIB = 1024 * 1024;
export const GIB = 1024 * MIB;
export const SECOND_MS = 1_000;
export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;

/** A statement about the world. @returns what is wrong; undefined when it holds. */
export type Check = (world: World) => string | undefined;

export interface StoreOptions {
  /** Default: made up. */
  readonly id?: StoreId;
  readonly lentBytes: number;
}

export interface HostOptions {
  /** Default: made up. */
  readonly id?: HostId;
  /** Default `h` and its number. */
  readonly name?: string;
  /** Default active. */
  readonly state?: Member['state'];
  /** Default trusted. */
  readonly trust?: Member['trust'];
  /** The bytes that each of its stores lends; 0: it has no store. Default 1 GiB. */
  readonly freeBytes?: number;
  /** Default 1. */
  readonly stores?: number;
  /** Its stores one by one, in place of `freeBytes` and `stores`. */
  readonly lends?: readonly StoreOptions[];
  /** Hosts of one domain count once. Default: each host has its own. */
  readonly domain?: string;
  /** Instead of `domain`: this many consecutive hosts make a domain. */
  readonly hostsPerDomain?: number;
  readonly roaming?: boolean;
  /** Each way. Default 100 MB/s. */
  readonly bytesPerS?: number;
}

export interface WorldOptions {
  readonly seed?: number;
  readonly timing?: Partial<Timing>;
  readonly mutant?: Mutant | undefined;
  /** See `Surroundings.greedy`. Default false. */
  readonly greedy?: boolean;
  /** Default: as in the daemon. */
  readonly checkpointEveryOps?: number;
  /** Default: as in the daemon. */
  readonly holdingsLimits?: HoldingsLimits;
}

export interface BackUpOptions {
  /** New parcels, each of `sizeBytes`. */
  readonly parcels: number;
  readonly sizeBytes: number;
  /** N; a source that is configured already keeps its own. Default 2. */
  readonly copiesWanted?: number;
  /** Default `files`. */
  readonly source?: string;
  readonly holdMs?: number;
}

export class World implements Surroundings {
  nowMs = 0;
  readonly seed: number;
  readonly chance: ChanceStreams;
  readonly catalog = new CatalogModel();
  readonly logs = new LogRegistry();
  readonly network: Network;
  readonly transfers: Transfers;
  readonly counts: Counts = noCounts();
  readonly mutant: Mutant | undefined;
  readonly greedy: boolean;
  readonly checkpointEveryOps: number;
  readonly holdingsLimits: HoldingsLimits;
  readonly hosts: SimHost[] = [];
  /** Set when faults have ended and all hosts have met since: from then on everything is the hosts' own doing. */
  inOrder = false;
  readonly witnesses: Witness[] = [];
  /** Events so far. */
  events = 0;
  readonly #queue = new EventQueue();
  readonly #always: Check[] = [];
  readonly #timing: Timing;
  #newest: SignedConfig | undefined;
  #configsSigned = 0;

  constructor({
    seed = 1,
    timing = {},
    mutant,
    greedy = false,
    checkpointEveryOps = CHECKPOINT_EVERY_OPS,
    holdingsLimits = HOLDINGS_LIMITS,
  }: WorldOptions = {}) {
    this.seed = seed;
    this.chance = new ChanceStreams(seed);
    this.mutant = mutant;
    this.greedy = greedy;
    this.checkpointEveryOps = checkpointEveryOps;
    this.holdingsLimits = holdingsLimits;
    this.#timing = { ...DEFAULT_TIMING, ...(greedy && NO_TURNS), ...timing };
    const moves = new FinishedMoves(this.counts);
    this.witnesses.push(happening => moves.see(happening));
    const after = (delayMs: number, run: () => void): void => this.after(delayMs, run);
    const nowMs = (): number => this.nowMs;
    this.network = new Network({
      chance: this.chance.of('net'),
      after,
      nowMs,
      hosts: this.hosts,
      carriesOtherwise: () => this.transfers.review(),
    });
    this.transfers = new Transfers({ after, nowMs, carries: (from, to) => this.network.carries(from, to) });
  }

  // ---------------------------------------------------------------------------------------------------------------- time

  after(delayMs: number, run: () => void): void {
    this.#queue.push(this.nowMs + delayMs, run);
  }

  /** Runs the next event if it is due by `untilMs`. @returns whether there was one. */
  step(untilMs: number): boolean {
    if (this.#queue.nextMs > untilMs) return false;
    this.nowMs = Math.max(this.nowMs, this.#queue.nextMs);
    this.#queue.pop()?.();
    this.events += 1;
    for (const check of this.#always) {
      const wrong = check(this);
      assert(wrong === undefined, `at ${this.nowMs} ms, event ${this.events}: ${wrong}`);
    }
    return true;
  }

  run(forMs: number): void {
    const untilMs = this.nowMs + forMs;
    while (this.step(untilMs));
    this.nowMs = untilMs;
  }

  /** Checked after every event from now on. @throws when it does not hold. */
  always(check: Check): void {
    this.#always.push(check);
  }

  /** Runs until the check holds. @throws when it does not hold in time. @returns how long it took, in ms. */
  eventually(check: Check, { withinMs }: { readonly withinMs: number }): number {
    const startMs = this.nowMs;
    const lookMs = Math.max(100, withinMs / 2_000);
    let wrong = check(this);
    while (wrong !== undefined && this.nowMs - startMs < withinMs) {
      this.run(lookMs);
      wrong = check(this);
    }
    assert(wrong === undefined, `not within ${withinMs / SECOND_MS} s (now ${this.nowMs / SECOND_MS} s): ${wrong}`);
    return this.nowMs - startMs;
  }

  happened(happening: Happening): void {
    for (const witness of this.witnesses) witness(happening);
  }

  // --------------------------------------------------------------------------------------------------------------- hosts

  /** The configuration that all hosts will have if nothing changes any more. */
  get config(): SignedConfig {
    assert(this.#newest !== undefined, 'a world without hosts has no configuration');
    return this.#newest;
  }

  /** Adds members, all at once, and starts their services. */
  addHosts(count: number, options: HostOptions = {}): SimHost[] {
    return this.addEach(Array.from({ length: count }, () => options));
  }

  /** Adds members, each by its options. `beforeStart` puts onto their disks what is to be there already. */
  addEach(
    each: readonly HostOptions[],
    { beforeStart }: { readonly beforeStart?: (hosts: readonly SimHost[]) => void } = {},
  ): SimHost[] {
    const ids = each.map(
      ({ id }, i) => id ?? parseHostId(nameOf(`host ${this.hosts.length + i} of ${this.seed}`).slice(0, 32)),
    );
    const members = ids.map((host, i): Member => {
      const { name = `h${this.hosts.length + i}`, hostsPerDomain = 1, ...options } = each[i] ?? {};
      return memberOf(host, { name, ...options, domain: options.domain ?? ids[i - (i % hostsPerDomain)] ?? host });
    });
    const config = this.#newest === undefined ? this.#firstConfig(members) : this.#changed(members);
    if (config === undefined) return [];
    const hosts = ids.map((id, i) => this.#makeHost(id, new HostDisk(config), each[i] ?? {}));
    beforeStart?.(hosts);
    for (const host of hosts) this.start(host);
    return hosts;
  }

  /**
   * Adds a host that a member has admitted while no admin was there: it is connected, but does not count until an admin
   * writes it down.
   */
  admit(by: SimHost, options: HostOptions = {}): void {
    const id = parseHostId(nameOf(`host ${this.hosts.length} of ${this.seed}`).slice(0, 32));
    this.network.admitted.add(id);
    this.start(this.#makeHost(id, new HostDisk(by.disk.config), options));
  }

  /** An admin is back, and writes down the hosts that were admitted. */
  writeAdmitted(): void {
    const written = new Set(this.config.members.map(({ host }) => host));
    const left = this.hosts.filter(({ id, lost }) => !lost && this.network.admitted.has(id) && !written.has(id));
    if (left.length === 0) return;
    const members = left.map(({ id, number }) => memberOf(id, { name: `h${number}` }));
    this.configure(({ members: before }) => ({ members: [...before, ...members] }));
  }

  #firstConfig(members: readonly Member[]): SignedConfig {
    const [first] = members;
    assert(first !== undefined, 'a cluster begins with a member');
    this.#newest = {
      cluster: parseClusterId('c'.repeat(32)),
      version: 1,
      members,
      sources: [],
      timing: this.#timing,
      parent: undefined,
      hash: nameOf('configuration 1'),
      signer: first.host,
      admins: adminsOf({ members }),
      revoked: revokedIn({ members }),
    };
    return this.#newest;
  }

  /** Undefined when nobody can admit them: then they do not exist. */
  #changed(members: readonly Member[]): SignedConfig | undefined {
    return this.configure(({ members: before }) => ({ members: [...before, ...members] }));
  }

  #makeHost(id: HostId, disk: HostDisk, options: HostOptions): SimHost {
    const number = this.hosts.length;
    const clock = new SteadyClock({ hostMs: 1_000_000 * (number + 1), worldMs: this.nowMs });
    const host = new SimHost({ number, id, clock, disk, bytesPerS: options.bytesPerS ?? 100_000_000 });
    const { freeBytes = GIB, stores = 1 } = options;
    const {
      lends = Array.from({ length: freeBytes > 0 ? stores : 0 }, (): StoreOptions => ({ lentBytes: freeBytes })),
    } = options;
    for (const lent of lends) disk.stores.push(this.#makeStore(host, lent));
    this.hosts.push(host);
    return host;
  }

  /** The store counts as made at the next start of its host's service. */
  #makeStore({ id, number, stores, disk }: SimHost, { id: known, lentBytes }: StoreOptions): StoreDisk {
    const store = new StoreDisk({
      id: known ?? parseStoreId(nameOf(`store ${stores.length} of ${id} at ${this.nowMs}`).slice(0, 32)),
      host: id,
      lentBytes,
      boot: disk.boot + 1,
      epoch: firstEpoch(this.chance.of(`disk/${number}`), this.nowMs),
    });
    this.logs.note(store.log);
    return store;
  }

  /** New, empty stores in place of a host's own. Its service must not be running. */
  replaceStores(host: SimHost): void {
    const lent = host.stores.map(({ lentBytes }) => lentBytes);
    host.disk.stores = [];
    for (const lentBytes of lent) host.disk.stores.push(this.#makeStore(host, { lentBytes }));
  }

  /** A second machine with the host's identity and a copy of its disk, which runs too. */
  clone(host: SimHost): SimHost {
    const clock = new SteadyClock({ hostMs: host.clock.nowMs(this.nowMs), worldMs: this.nowMs });
    const copy = new SimHost({
      number: this.hosts.length,
      id: host.id,
      clock,
      disk: host.disk.image(),
      bytesPerS: host.uploadBytesPerS,
      isClone: true,
    });
    this.hosts.push(copy);
    this.happened({ is: 'disk-replaced', host: copy });
    this.start(copy);
    return copy;
  }

  start(host: SimHost): void {
    if (host.lost || host.running !== undefined) return;
    if (host.disk.state.refuses) {
      // Before all else a start is counted in the state folder: without that the service ends, and is started again.
      this.counts.startsRefused += 1;
      this.after(START_AGAIN_MS, () => this.start(host));
      return;
    }
    const service = new Service(host, this);
    host.running = service;
    this.happened({ is: 'started', by: service });
    service.open();
    this.network.restarted(host);
  }

  /** Power off: what was not durable is lost, and what was being written may or may not be there. */
  crash(host: SimHost): void {
    const { running } = host;
    if (running === undefined) return;
    this.counts.crashes += 1;
    running.end();
    host.running = undefined;
    host.signed = undefined;
    host.armed = undefined;
    this.resume(host);
    host.waiting.length = 0;
    for (const store of host.stores) settleUnderWay(this, host, store, this.chance.of(`disk/${host.number}`));
    this.happened({ is: 'stopped', by: running });
    this.network.review(host);
  }

  pause(host: SimHost): void {
    host.paused = true;
    this.network.review(host);
  }

  suspend(host: SimHost): void {
    host.suspended = true;
    host.clock.stop(this.nowMs);
    this.network.review(host);
  }

  /** Ends a pause or a suspension: events that came meanwhile are handled at once, in order. */
  resume(host: SimHost): void {
    if (!host.paused && !host.suspended) return;
    const sleptMs = host.suspended ? host.clock.resume(this.nowMs) : 0;
    host.paused = false;
    host.suspended = false;
    host.running?.clockChanged();
    if (sleptMs > 0) host.running?.tell({ is: 'was-off', forMs: sleptMs });
    for (const run of host.waiting.splice(0)) run();
    this.network.review(host);
  }

  /** The service ends and restarts by itself. */
  restart(host: SimHost): void {
    this.crash(host);
    this.start(host);
  }

  /** Loses the host for good, with everything it held. */
  lose(host: SimHost): void {
    this.loseCopies(host);
    this.crash(host);
    host.lost = true;
  }

  /** Announces that a fault is about to take all copies of a host. */
  loseCopies(host: SimHost): void {
    for (const store of host.stores)
      for (const parcel of store.held()) this.happened({ is: 'injected-loss', host, parcel });
  }

  // ------------------------------------------------------------------------------------------------------------- cluster

  /**
   * A new version of the configuration, signed at `at` (default: a running admin's host), based on the version in use
   * there.
   * @returns undefined when nobody could sign it.
   */
  configure(
    change: (before: SignedConfig) => Partial<ClusterConfig>,
    { at }: { readonly at?: SimHost } = {},
  ): SignedConfig | undefined {
    const admin = at ?? this.#admin();
    if (admin?.running === undefined) return undefined;
    const parent = signsOn(admin);
    if (!isAdmin(parent, admin.id)) return undefined;
    this.#configsSigned += 1;
    const content = { ...parent, ...change(parent) };
    const config: SignedConfig = {
      ...content,
      version: parent.version + 1,
      parent,
      // Each hash is used once.
      hash: nameOf(`configuration ${this.#configsSigned + 1}`),
      signer: admin.id,
      admins: adminsOf(content),
      revoked: revokedIn(content),
    };
    admin.signed = config;
    if (areForked(config, this.config)) this.counts.configForks += 1;
    if (goesBefore(config, this.config)) this.#newest = config;
    const { running } = admin;
    running.enter(() => running.offerConfig(config));
    return config;
  }

  /** A running admin, if possible one that has the newest configuration. */
  #admin(): SimHost | undefined {
    const newest = this.config;
    const isActive = ({ id }: SimHost): boolean =>
      newest.members.some(({ host, state }) => host === id && state === 'active');
    const up = this.hosts.filter(
      host => host.isResponsive && !host.isClone && isActive(host) && isAdmin(signsOn(host), host.id),
    );
    return up.find(host => signsOn(host) === newest || host.disk.config === newest) ?? up[0];
  }

  /** A version whose signer has lost it is gone with it: the newest is one that some host still has. */
  settleConfig(): void {
    this.#newest = undefined;
    for (const { id, lost, disk, signed } of this.hosts) {
      if (lost) continue;
      for (const config of [disk.config, signed]) {
        if (config?.members.some(({ host, state }) => host === id && state !== 'revoked') !== true) continue;
        if (this.#newest === undefined || goesBefore(config, this.#newest)) this.#newest = config;
      }
    }
  }

  /** A new snapshot of a source, with new parcels besides those it had. @returns the new ones. */
  backUp(
    origin: SimHost,
    { parcels, sizeBytes, copiesWanted = 2, source = 'files', holdMs = 0 }: BackUpOptions,
  ): ParcelId[] {
    const id = sourceIdOf(origin.id, source);
    this.configureSource(id, copiesWanted);
    const refs = Array.from({ length: parcels }, () => this.catalog.cut(id, sizeBytes));
    this.snapshot(origin, id, listed => {
      const before = listed.at(-1)?.refs.values() ?? [];
      return [...listed.slice(-1), this.catalog.snapshot(id, [...before, ...refs], holdMs)];
    });
    return refs.map(({ id: parcel }) => parcel);
  }

  snapshot(origin: SimHost, source: SourceId, edit: SnapshotEdit): void {
    const { running } = origin;
    if (running === undefined) return;
    running.snapshotsDue += 1;
    running.enter(() =>
      running.backUp(source, listed => {
        running.snapshotsDue -= 1;
        return edit(listed);
      }),
    );
  }

  /** Ensures that the source is in the configuration. */
  configureSource(source: SourceId, copies: number): void {
    if (this.config.sources.some(policy => policy.source === source)) return;
    // The signer may know of it already.
    this.configure(({ sources }) => ({
      sources: [...sources.filter(policy => policy.source !== source), { source, copies }],
    }));
  }

  // ------------------------------------------------------------------------------------------------------------ the truth

  /** Hosts that really have the parcel, up or not. */
  holders(parcel: ParcelId): SimHost[] {
    return this.hosts.filter(host => !host.lost && host.stores.some(store => store.hasCopy(parcel)));
  }

  /**
   * The copies that a configuration counts: once per domain, of active, trusted members, none at the origin; copies
   * that are being read again count too.
   */
  copies(parcel: ParcelId, config: ClusterConfig = this.config, except?: StoreDisk): number {
    const origin = this.catalog.parcel(parcel)?.origin;
    const domainOf = countingDomains(config);
    const domains = new Set<string>();
    for (const { id, lost, stores } of this.hosts) {
      const domain = lost || id === origin ? undefined : domainOf.get(id);
      if (domain !== undefined && stores.some(store => store !== except && store.keeps(parcel))) domains.add(domain);
    }
    return domains.size;
  }

  /** The parcels that the newest head of each source lists, as its origin signed it. */
  *listed(): IterableIterator<{ readonly parcel: ParcelModel; readonly copiesWanted: number }> {
    for (const { source, copies: copiesWanted } of this.config.sources) {
      const refs = new Map<ParcelId, ParcelRef>();
      for (const snapshot of this.newestHead(source)?.snapshots ?? [])
        for (const [id, ref] of snapshot.refs) refs.set(id, ref);
      for (const id of refs.keys()) {
        const parcel = this.catalog.parcel(id);
        if (parcel !== undefined) yield { parcel, copiesWanted };
      }
    }
  }

  /** The newest head that any member durably has: a head that only a revoked host has does not count. */
  newestHead(source: SourceId): ReturnType<CatalogModel['heads']>[number] | undefined {
    let newest: ReturnType<CatalogModel['heads']>[number] | undefined;
    const revoked = new Set(this.config.members.flatMap(({ host, state }) => (state === 'revoked' ? [host] : [])));
    for (const { id, lost, disk } of this.hosts) {
      const head = lost || revoked.has(id) ? undefined : disk.heads.get(source);
      if (head === undefined) continue;
      if (newest === undefined || replacesHead(head, newest)) newest = head;
    }
    return newest;
  }
}

/** A service that ended is started again after this: after 5 s on a real system, and here more rarely, to save events. */
const START_AGAIN_MS = MINUTE_MS;

/** Hosts grab at once. */
const NO_TURNS: Partial<Timing> = { stepMs: 0, repairStepMs: 0, claimWaitMs: 0 };

/** An admin continues from what it signed a moment ago, if that wins over what is durable there. */
const signsOn = ({ signed, disk }: SimHost): SignedConfig =>
  signed !== undefined && goesBefore(signed, disk.config) ? signed : disk.config;

const PEER = parsePeerName(`12D3Koo${'A'.repeat(45)}`);

const memberOf = (
  host: HostId,
  { name, state = 'active', trust = 'trusted', domain = host, roaming = false }: Partial<Member> & Pick<Member, 'name'>,
): Member => ({ host, name, peer: PEER, state, trust, domain, roaming });
