/**
 * Answers: what a running host tells the person in front of it; the `Service` behind the control socket.
 *
 * It only reads (the machine, the catalog, the configuration) and passes orders on; what it says is what the decisions
 * see, so `status` and the machine cannot disagree.
 */
import { gapText } from '../catalog/gap-text.js';
import type { ListedSnapshot } from '../catalog/head.js';
import { MalformedObject } from '../catalog/malformed-object.js';
import type { ContentFrame, ContentRequest, LackingEntries, PlacedEntry } from '../catalog/restore-content.js';
import { parseSourceSpec } from '../catalog/source-spec.js';
import { ObjectMissing, readSnapshot, walkEntries, walkReadable } from '../catalog/walk.js';
import { ClusterError } from '../core/fault.js';
import { hasherName } from '../core/hash.js';
import { type HostId, type ObjectId, type SourceId, sourceIdOf, splitSourceId } from '../core/ids.js';
import type { Machine } from '../core/machine.js';
import type { ObjectReader } from '../core/objects.js';
import type { Configuration } from '../membership/configuration.js';
import type { Membership, PolicyApplied } from '../membership/membership.js';
import { parseSize } from '../membership/policy-units.js';
import { freshUntil, lateness } from '../membership/schedule.js';
import type { KnownPeer } from '../net/net.js';
import type { Alarms } from './alarms.js';
import type { BlobSource } from './blob-source.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import type { Clock } from './clock.js';
import { DatedTrees } from './dated-trees.js';
import { Forgetting } from './forgetting.js';
import { LiveDiffs } from './live-diffs.js';
import type { LoopDelay } from './loop-delay.js';
import { NamedSnapshots } from './named-snapshots.js';
import { AskedTwice } from './object-finder.js';
import type { Orders } from './orders.js';
import type { Origin } from './origin.js';
import type { OwnStores } from './own-stores.js';
import { pause } from './pause.js';
import { isProtected, type Protections } from './protection.js';
import type { Roster } from './roster.js';
import type { SelfTestOptions } from './self-test.js';
import type {
  AddSource,
  AddStore,
  Alarm,
  BackupRequest,
  ConfigApply,
  ConfigReport,
  DatedTreeReport,
  DrainRequest,
  DrillReport,
  DrillRequest,
  EntriesRequest,
  ForgetArchivedRequest,
  ForgetFutureRequest,
  ForgetReport,
  ForgetRequest,
  HostReport,
  HostState,
  Invited,
  InviteRequest,
  LiveDiffReport,
  LiveDiffRequest,
  PlacementReport,
  ProtectionReport,
  RemovedTreeReport,
  ReplicaReport,
  ReplicasRequest,
  Resolved,
  RevokeRequest,
  ScrubReport,
  Service,
  SnapshotName,
  SnapshotReport,
  SnapshotsRequest,
  SnapshotTaken,
  SourceReport,
  StatusReport,
  TreesRequest,
} from './service.js';
import { nameIn, SourceNames } from './source-names.js';
import type { TreeKeeper } from './tree-keeper.js';

/** A stream of reports is looked at again at most this often, in ms. */
const REPORT_EVERY_MS = 250;
/** Looks at a source whose newest snapshot changes under the look. */
const LOOKS_MAX = 3;
/** An alarm that was not found for so long, in ms, and then again, is a new one. */
const STANDING_MS = 10 * 60_000;
/** Texts of alarms remembered. */
const STANDING_MAX = 500;
/** How often one snapshot can have been cut anew while somebody waits for it. */
const RECUTS_MAX = 64;
/** Snapshots that somebody may be reading though nothing keeps them any more: the last ones that were asked for by name. */
const RESOLVED_MAX = 1_000;
/** Paths that could not be read, of those told with a snapshot. */
const UNREAD_TOLD_MAX = 20;

export interface AnswersOptions {
  readonly membership: Membership;
  readonly machine: Machine;
  readonly catalog: CatalogKeeper;
  /** Records too: from here or from whoever has them. */
  readonly objects: ObjectReader;
  /** Snapshots and pages: what is lost or damaged here comes from whoever has it, and is kept again. */
  readonly mending: ObjectReader;
  readonly stores: OwnStores;
  readonly origin: Origin;
  readonly orders: Orders;
  readonly roster: Roster;
  readonly protections: Protections;
  readonly blobs: BlobSource;
  readonly scrub: (signal: AbortSignal) => AsyncGenerator<ScrubReport>;
  readonly drill: SelfTestOptions['drill'];
  readonly alarms: Alarms;
  readonly clock: Clock;
  readonly addresses: () => readonly string[];
  /** Where the other members can be reached, as far as we know. */
  readonly knownAddresses: () => Iterable<KnownPeer>;
  readonly isReachable: (host: HostId) => boolean;
  readonly loopDelay: LoopDelay;
  /** For temporary files, on the state's disk. */
  readonly scratchFolder: string;
  readonly trees: TreeKeeper;
}

export class Answers implements Service {
  readonly #o: AnswersOptions;
  readonly #names: SourceNames;
  readonly #snapshots: NamedSnapshots;
  readonly #forgetting: Forgetting;
  readonly #liveDiffs: LiveDiffs;
  readonly #datedTrees: DatedTrees;
  /** The last asked for stands last. */
  readonly #resolved = new Map<ObjectId, SourceId>();
  readonly #seen = new Map<string, { readonly sinceMs: number; readonly lastMs: number }>();

  constructor(options: AnswersOptions) {
    this.#o = options;
    this.#names = new SourceNames(options);
    this.#snapshots = new NamedSnapshots({ ...options, names: this.#names });
    this.#forgetting = new Forgetting({ ...options, names: this.#names, snapshots: this.#snapshots });
    this.#liveDiffs = new LiveDiffs({ ...options, names: this.#names, snapshots: this.#snapshots });
    this.#datedTrees = new DatedTrees({ ...options, names: this.#names, snapshots: this.#snapshots });
  }

  // ------------------------------------------------------------------------------------------------------------- status

  async status(signal: AbortSignal): Promise<StatusReport> {
    const { membership, machine, roster, alarms, addresses } = this.#o;
    const { configuration } = membership;
    const sources = await Promise.all(this.#names.all().map(source => this.#sourceReport(source, signal)));
    const { pursuits, fetches, othersClaims, attempts, relocations } = machine.pending();
    return {
      cluster: configuration.clusterName,
      clusterId: configuration.cluster,
      host: roster.nameOf(roster.self),
      hostId: roster.self,
      configVersion: configuration.version,
      addresses: addresses(),
      sources,
      hosts: await this.hosts(),
      alarms: [
        ...alarms.list(),
        ...membership.alarms().map(text => this.#standing({ code: 'MEMBERSHIP', text })),
        ...this.#shortAlarms(sources),
      ],
      pending: { claims: pursuits + othersClaims, fetches, drops: attempts, relocations },
      process: { hasher: hasherName, loopDelay: this.#o.loopDelay.report() },
      protected: sources.every(({ lastSnapshot }) => lastSnapshot?.protected === true),
      settled:
        pursuits + othersClaims + attempts + relocations === 0 && sources.every(({ parcels }) => parcels.over === 0),
    };
  }

  async *statusChanges(signal: AbortSignal): AsyncGenerator<StatusReport> {
    let told = '';
    for (;;) {
      const report = await this.status(signal);
      const hosts = report.hosts.map(host => ({ ...host, seenMs: 0 }));
      const text = JSON.stringify({ ...report, process: undefined, hosts });
      if (text !== told) yield report;
      told = text;
      await pause(REPORT_EVERY_MS, signal);
    }
  }

  async hosts(): Promise<readonly HostReport[]> {
    const reports = [...this.#o.roster.members()].map(({ host }) => this.#hostReport(host));
    return reports.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #hostReport(host: HostId): HostReport {
    const { roster, machine, stores, clock, membership } = this.#o;
    const member = roster.member(host);
    const self = host === roster.self;
    const view = machine.host(host);
    const name = roster.nameOf(host);
    const paths = membership.configuration.policy.hosts.get(name)?.stores ?? [];
    const hostStores = self
      ? stores.reports().map(({ path, id, mounted, lentBytes, usedBytes, because }) => ({
          path,
          lentBytes,
          usedBytes,
          mounted,
          ...(id === undefined ? {} : { id }),
          ...(because === undefined ? {} : { because }),
        }))
      : [...(view?.reports.values() ?? [])].map(({ position, lentBytes, usedBytes }) => ({
          id: position.store,
          lentBytes,
          usedBytes,
          mounted: true,
          ...(paths.length === 1 && paths[0] !== undefined ? { path: paths[0].path } : {}),
        }));
    const lentBytes = hostStores.reduce((sum, store) => sum + store.lentBytes, 0);
    const usedBytes = hostStores.reduce((sum, store) => sum + store.usedBytes, 0);
    const seenMs = self ? clock.wallMs() : view?.lastHeardMs;
    return {
      name,
      id: host,
      state: this.#stateOf(host),
      self,
      trust: member?.trust ?? 'trusted',
      domain: member?.domain ?? host,
      lentBytes,
      usedBytes,
      freeBytes: Math.max(0, lentBytes - usedBytes),
      stores: hostStores,
      ...(seenMs === undefined ? {} : { seenMs: Math.round(seenMs) }),
    };
  }

  #stateOf(host: HostId): HostState {
    const { roster, machine } = this.#o;
    const state = roster.member(host)?.state ?? 'revoked';
    if (state !== 'active' || host === roster.self) return state;
    const liveness = machine.host(host)?.liveness ?? 'suspect';
    return liveness === 'live' ? 'active' : liveness;
  }

  async #sourceReport(source: SourceId, signal: AbortSignal): Promise<SourceReport> {
    const { machine, catalog, roster, origin, clock } = this.#o;
    const owner = splitSourceId(source).origin;
    const newest = (): ListedSnapshot | undefined => catalog.get(source)?.head.snapshots.at(-1);
    let listed = newest();
    let lastSnapshot = listed === undefined ? undefined : await this.#snapshots.report(source, listed, signal);
    // One report tells of one moment: a snapshot that came meanwhile is looked at instead, and the parcels are counted
    // last, so that nothing is called protected and short at once because copies came in between.
    for (let looks = 0; looks < LOOKS_MAX && newest()?.id !== listed?.id; looks += 1) {
      listed = newest();
      lastSnapshot = listed === undefined ? undefined : await this.#snapshots.report(source, listed, signal);
    }
    const summary = machine.summary(source);
    const missing = origin.missing(source);
    return {
      source: this.#names.nameOf(source),
      sourceId: source,
      origin: roster.nameOf(owner),
      copies: machine.copiesWanted(source) ?? 0,
      parcels: { wanted: summary.parcels, haveMin: summary.haveMin, under: summary.under, over: summary.over },
      fresh: listed !== undefined && clock.wallMs() <= this.#freshUntil(source, listed),
      ...(lastSnapshot === undefined ? {} : { lastSnapshot }),
      ...(missing === undefined ? {} : { missing }),
    };
  }

  /** A source that is not configured any more is not late. */
  #freshUntil(source: SourceId, { timeMs }: ListedSnapshot): number {
    const setting = this.#settingOf(source);
    if (setting === undefined) return Number.POSITIVE_INFINITY;
    return freshUntil(setting.schedule, timeMs, lateness(source, setting.jitterMs));
  }

  /** Since when an alarm that is found anew at each look has stood. */
  #standing({ code, text }: { readonly code: string; readonly text: string }): Alarm {
    const nowMs = this.#o.clock.wallMs();
    const seen = this.#seen.get(text);
    const sinceMs = seen === undefined || nowMs - seen.lastMs > STANDING_MS ? nowMs : seen.sinceMs;
    if (seen === undefined && this.#seen.size >= STANDING_MAX) this.#seen.clear();
    this.#seen.set(text, { sinceMs, lastMs: nowMs });
    return { code, text, sinceMs };
  }

  /** Where copies cannot be made at all, a person must add a host or room; waiting would not help. */
  #shortAlarms(sources: readonly SourceReport[]): StatusReport['alarms'] {
    const { roster, machine } = this.#o;
    const alarms: StatusReport['alarms'][number][] = [];
    for (const { source, sourceId, copies, parcels } of sources) {
      if (parcels.under === 0) continue;
      const domains = new Set<string>();
      for (const { host, domain, state, trust } of roster.members()) {
        if (state !== 'active' || trust !== 'trusted' || host === splitSourceId(sourceId).origin) continue;
        const lends =
          host === roster.self ? this.#hostReport(host).lentBytes > 0 : (machine.host(host)?.weightMiB ?? 0) > 0;
        if (lends) domains.add(domain);
      }
      if (domains.size >= copies) continue;
      const text = `source ${source} wants ${copies} copies, but only ${domains.size} other host(s) lend room: add a store on another host`;
      alarms.push(this.#standing({ code: 'TOO_FEW_HOSTS', text }));
    }
    return alarms;
  }

  // ------------------------------------------------------------------------------------------------------ configuration

  async configShow(): Promise<ConfigReport> {
    return configReport(this.#o.membership.configuration);
  }

  async configApply({ text, fileName, yes }: ConfigApply): Promise<ConfigReport> {
    return appliedReport(await this.#o.membership.applyPolicy({ text, file: fileName, yes }));
  }

  async configAddStore({ host, path, limit, reserve }: AddStore): Promise<ConfigReport> {
    this.#needHost(host);
    if (limit !== undefined) parseSize(limit);
    if (reserve !== undefined) parseSize(reserve);
    const applied = await this.#o.membership.addStore({
      host,
      path,
      ...(limit === undefined ? {} : { limit }),
      ...(reserve === undefined ? {} : { reserve }),
    });
    return appliedReport(applied);
  }

  async configAddSource(addition: AddSource): Promise<ConfigReport> {
    this.#needHost(addition.host);
    return appliedReport(await this.#o.membership.addSource(addition));
  }

  async invite({ uses, expiresMs, trust }: InviteRequest): Promise<Invited> {
    const { membership, addresses, knownAddresses } = this.#o;
    const untilMs = membership.nowMs() + expiresMs;
    const token = await membership.createInvite({
      uses,
      lifeMs: expiresMs,
      trust,
      addresses: addresses(),
      // Where they really answer, so that the token is good while this host is away.
      others: [...knownAddresses()],
    });
    return { token, untilMs };
  }

  async drain({ host, undo }: DrainRequest): Promise<ConfigReport> {
    await this.#o.membership.drain(host, undo);
    return this.configShow();
  }

  async revoke({ host: name, yes }: RevokeRequest): Promise<ConfigReport> {
    const { membership, roster, machine, catalog } = this.#o;
    const host = roster.named(name)?.host;
    if (host !== undefined && !yes) this.#demandYesToLose(name, machine.without(host));
    const heads = [...catalog.heads()]
      .filter(({ head }) => splitSourceId(head.source).origin === host)
      .map(({ head, hash }) => ({ source: head.source, seq: head.seq, hash }));
    await membership.revoke(name, heads);
    return this.configShow();
  }

  #demandYesToLose(name: string, { under, lost }: { readonly under: number; readonly lost: number }): void {
    if (under === 0) return;
    const gone = lost === 0 ? '' : `, ${lost} of them with no copy elsewhere`;
    throw new ClusterError(
      'NEEDS_YES',
      `without ${name}, ${under} parcels have fewer copies than wanted${gone}; nothing was changed. ` +
        `'cluster drain ${name}' moves them first; --yes revokes it as it is`,
      { blame: 'operator' },
    );
  }

  #needHost(name: string): void {
    if (this.#o.roster.named(name) !== undefined) return;
    const names = [...this.#o.roster.members()].map(member => member.name).sort();
    throw new ClusterError(
      'HOST_UNKNOWN',
      `no host ${JSON.stringify(name)} in this cluster; there are: ${names.join(', ')}. Nothing was changed`,
      { blame: 'operator' },
    );
  }

  // ---------------------------------------------------------------------------------------------------------- snapshots

  async backup({ source, acceptChanges }: BackupRequest, signal: AbortSignal): Promise<SnapshotTaken> {
    const id = this.#names.named(source);
    const taken = await this.#o.orders.backup(id, { acceptChanges }, signal);
    const listed = {
      id: taken.snapshot,
      timeMs: taken.timeMs,
      complete: taken.stale + taken.missed === 0,
      firstSeq: Number.MAX_SAFE_INTEGER,
    };
    return {
      id: taken.snapshot,
      source: this.#names.nameOf(id),
      sourceId: id,
      origin: this.#o.roster.nameOf(splitSourceId(id).origin),
      timeMs: taken.timeMs,
      files: taken.files,
      bytes: taken.bytes,
      partial: !listed.complete,
      protected: false,
      unchanged: taken.unchanged,
      stale: taken.stale,
      missed: taken.missed,
      unread: taken.unread.slice(0, UNREAD_TOLD_MAX),
    };
  }

  async *protection({ sourceId, snapshot }: SnapshotName, signal: AbortSignal): AsyncGenerator<ProtectionReport> {
    let told = '';
    let wanted = snapshot;
    let wasListed = false;
    for (;;) {
      const listed = await this.#listedOrRecut(sourceId, wanted);
      if (listed === undefined && wasListed) {
        const text = `snapshot ${wanted.slice(0, 8)} of ${this.#names.nameOf(sourceId)} is not listed any more; see: snapshots ${this.#names.nameOf(sourceId)}`;
        throw new ClusterError('SNAPSHOT_UNKNOWN', text, { blame: 'passing' });
      }
      if (listed !== undefined) {
        wasListed = true;
        wanted = listed.id;
        const protection = await this.#o.protections.of(sourceId, listed, signal);
        const report: ProtectionReport = {
          snapshot: await this.#snapshots.report(sourceId, listed, signal),
          copies: protection.copiesWanted,
          parcels: { wanted: protection.parcels, haveMin: protection.haveMin, under: protection.under },
          missingBytes: protection.missingBytes,
        };
        const text = JSON.stringify(report);
        if (text !== told) yield report;
        told = text;
        if (isProtected(protection)) return;
      }
      await pause(REPORT_EVERY_MS, signal);
    }
  }

  /** The listed snapshot of this id, or the one that replaced it; undefined while its head is still on its way here. */
  async #listedOrRecut(source: SourceId, snapshot: ObjectId): Promise<ListedSnapshot | undefined> {
    const { catalog } = this.#o;
    const snapshots = catalog.get(source)?.head.snapshots ?? [];
    const listed = snapshots.find(({ id }) => id === snapshot);
    if (listed !== undefined) return listed;
    for (const candidate of snapshots) if (await this.#replaces(candidate.id, snapshot)) return candidate;
    return undefined;
  }

  /** A re-cut may have been cut anew itself before anybody looked. */
  async #replaces(id: ObjectId, replaced: ObjectId): Promise<boolean> {
    const { objects } = this.#o.catalog;
    let current: ObjectId | undefined = id;
    for (let hops = 0; hops < RECUTS_MAX && current !== undefined && (await objects.has(current)); hops += 1) {
      current = (await readSnapshot(objects, current)).recutOf;
      if (current === replaced) return true;
    }
    return false;
  }

  forget(request: ForgetRequest, signal: AbortSignal): Promise<ForgetReport> {
    return this.#forgetting.unlist(request, signal);
  }

  forgetFuture(request: ForgetFutureRequest, signal: AbortSignal): Promise<ForgetReport> {
    return this.#forgetting.future(request, signal);
  }

  forgetArchived(request: ForgetArchivedRequest, signal: AbortSignal): Promise<ForgetReport> {
    return this.#forgetting.archived(request, signal);
  }

  async snapshots({ source, held }: SnapshotsRequest, signal: AbortSignal): Promise<readonly SnapshotReport[]> {
    const sources = source === undefined ? this.#names.all() : [this.#names.named(source)];
    const reports: SnapshotReport[] = [];
    for (const id of sources) {
      for (const listed of this.#snapshots.listed(id)) reports.push(await this.#snapshots.report(id, listed, signal));
      if (!held) continue;
      for (const one of this.#snapshots.held(id))
        reports.push({ ...(await this.#snapshots.report(id, one, signal)), held: true });
    }
    return reports.sort((a, b) => a.timeMs - b.timeMs);
  }

  async *replicas({ spec, only, host }: ReplicasRequest, signal: AbortSignal): AsyncGenerator<ReplicaReport> {
    const { machine, roster, objects } = this.#o;
    if (host !== undefined) this.#needHost(host);
    const places =
      spec === undefined
        ? this.#names.all().flatMap(source => {
            const newest = this.#o.catalog.get(source)?.head.snapshots.at(-1);
            return newest === undefined ? [] : [{ source, snapshot: newest.id, under: Buffer.alloc(0) }];
          })
        : [await this.#newestOf(spec, signal)];
    for (const { source, snapshot, under } of places) {
      const want = machine.copiesWanted(source) ?? 0;
      for await (const { entry, parcel } of walkEntries(objects, snapshot, { under, signal })) {
        if (entry.kind !== 'file') continue;
        const have = machine.copies(parcel);
        const asked =
          only.length === 0 ||
          (only.includes('under') && have < want) ||
          (only.includes('over') && have > want) ||
          (only.includes('missing') && have === 0);
        if (!asked) continue;
        const holders = machine
          .holders(parcel)
          .map(holder => ({ host: roster.nameOf(holder.host), counts: holder.counts }));
        if (host !== undefined && !holders.some(holder => holder.host === host)) continue;
        yield {
          source: this.#names.nameOf(source),
          path: entry.path,
          sizeBytes: entry.size,
          want,
          have,
          holders: holders.sort((a, b) => (a.host < b.host ? -1 : 1)),
        };
      }
    }
  }

  async *placements(): AsyncGenerator<PlacementReport> {
    const { machine } = this.#o;
    for (const sourceId of this.#names.all()) {
      const want = machine.copiesWanted(sourceId) ?? 0;
      for (const { id, key, bytes } of machine.wanted(sourceId)) {
        const counting = machine.holders(id).filter(({ counts }) => counts);
        const holders = counting.map(({ host, store }) => ({ host, store }));
        yield { parcel: id, key, bytes, sourceId, want, holders };
      }
    }
  }

  // ---------------------------------------------------------------------------------------------------- scrub and drill

  scrub(signal: AbortSignal): AsyncGenerator<ScrubReport> {
    return this.#o.scrub(signal);
  }

  async *drill({ source, files }: DrillRequest, signal: AbortSignal): AsyncGenerator<DrillReport> {
    if (source !== undefined) return yield* this.#drillSource(this.#names.named(source), files, signal);
    const configured = new Set(this.#o.membership.clusterConfig.sources.map(one => one.source));
    for (const id of this.#names.all()) {
      if (this.#snapshots.listed(id).length > 0) yield* this.#drillSource(id, files, signal);
      else if (configured.has(id)) yield this.#notTried(id, { because: 'no snapshot of it is known here' });
    }
  }

  async *#drillSource(id: SourceId, files: number, signal: AbortSignal): AsyncGenerator<DrillReport> {
    const source = this.#names.nameOf(id);
    // With holders away none may be protected now, and what a restore would find is the question then.
    const listed = this.#snapshots.listed(id);
    const snapshot = (await this.#o.protections.newestProtected(id, listed, signal)) ?? this.#snapshots.newest(id).id;
    try {
      let isTried = false;
      for await (const { path, bytes, failure } of this.#o.drill(snapshot, { files, bytes: Infinity }, signal)) {
        isTried = true;
        yield { source, snapshot, ...(path && { path }), bytes, ...(failure && { failure }) };
      }
      const { bytes } = await readSnapshot(this.#o.objects, snapshot);
      if (!isTried && bytes > 0)
        yield this.#notTried(id, { snapshot, bytes, because: 'no file was found to be tried' });
    } catch (error) {
      if (!(error instanceof ObjectMissing || error instanceof MalformedObject)) throw error;
      yield this.#notTried(id, { snapshot, because: error.message });
    }
  }

  #notTried(
    id: SourceId,
    {
      because,
      bytes = 0,
      snapshot,
    }: { readonly because: string; readonly bytes?: number; readonly snapshot?: ObjectId },
  ): DrillReport {
    const source = this.#names.nameOf(id);
    return { source, ...(snapshot && { snapshot }), bytes, failure: { because, hosts: [] } };
  }

  // ----------------------------------------------------------------------------------------------------- reading it back

  async resolve({ spec }: { readonly spec: string }, signal: AbortSignal): Promise<Resolved> {
    const parsed = parseSourceSpec(spec);
    const source = this.#names.named(nameIn(parsed));
    const { listed, newer, unreachable } = await this.#snapshots.choose(source, parsed.snapshot, signal);
    await this.#snapshots.needPath(source, listed.id, parsed);
    this.#rememberResolved(source, listed.id);
    return {
      source: this.#names.nameOf(source),
      sourceId: source,
      snapshot: await this.#snapshots.report(source, listed, signal),
      under: parsed.path,
      ...(newer === undefined ? {} : { newer }),
      ...(unreachable === undefined ? {} : { unreachable }),
    };
  }

  #rememberResolved(source: SourceId, snapshot: ObjectId): void {
    this.#resolved.delete(snapshot);
    this.#resolved.set(snapshot, source);
    const [oldest] = this.#resolved.keys();
    if (this.#resolved.size > RESOLVED_MAX && oldest !== undefined) this.#resolved.delete(oldest);
  }

  async *entries(
    { sourceId, snapshot, under }: EntriesRequest,
    signal: AbortSignal,
  ): AsyncGenerator<PlacedEntry | LackingEntries> {
    // A restore reads them several times, hours apart: its snapshot may have left its hold, and its objects stay for a while.
    const isKnown =
      this.#resolved.get(snapshot) === sourceId || this.#o.catalog.wantedSnapshots(sourceId).includes(snapshot);
    if (!isKnown) {
      throw new ClusterError('SNAPSHOT_UNKNOWN', `no snapshot ${snapshot} of ${this.#names.nameOf(sourceId)} is kept`, {
        blame: 'operator',
      });
    }
    const objects = new AskedTwice(this.#o.objects, signal);
    for await (const item of walkReadable(objects, snapshot, { under, signal })) {
      if (item.is === 'entry') yield { entry: item.entry, parcel: item.parcel };
      else if (item.is === 'stand-in') yield { entry: item.entry, parcel: item.parcel, isStandIn: true };
      else yield { after: item.gap.after ?? Buffer.alloc(0), lacking: gapText(item.gap, 'the hosts that are up have') };
    }
  }

  liveDiff(request: LiveDiffRequest, signal: AbortSignal): AsyncGenerator<LiveDiffReport> {
    return this.#liveDiffs.of(request, signal);
  }

  makeTrees(request: TreesRequest, signal: AbortSignal): Promise<readonly DatedTreeReport[]> {
    return this.#datedTrees.make(request, signal);
  }

  removeTrees(request: TreesRequest): Promise<readonly RemovedTreeReport[]> {
    return this.#datedTrees.remove(request);
  }

  content({ parcel, blobs }: ContentRequest, signal: AbortSignal): AsyncIterable<ContentFrame> {
    return this.#o.blobs.content(parcel, blobs, signal);
  }

  async #newestOf(spec: string, signal: AbortSignal): Promise<{ source: SourceId; snapshot: ObjectId; under: Buffer }> {
    const parsed = parseSourceSpec(spec);
    const source = this.#names.named(nameIn(parsed));
    const listed =
      parsed.snapshot.kind === 'latest'
        ? this.#snapshots.newest(source)
        : (await this.#snapshots.choose(source, parsed.snapshot, signal)).listed;
    await this.#snapshots.needPath(source, listed.id, parsed);
    return { source, snapshot: listed.id, under: parsed.path };
  }

  #settingOf(source: SourceId) {
    const { origin, source: name } = splitSourceId(source);
    const host = this.#o.membership.configuration.policy.hosts.get(this.#o.roster.nameOf(origin));
    return host?.sources.find(setting => sourceIdOf(origin, setting.name) === source && setting.name === name);
  }
}

const configReport = ({ policyText, version, hash }: Configuration): ConfigReport => ({
  text: policyText,
  version,
  hash,
});

const appliedReport = ({ configuration, warnings }: PolicyApplied): ConfigReport => ({
  ...configReport(configuration),
  warnings,
});
