/**
 * Answers: what a running host tells the person at the command line; the `Service` behind the control socket.
 *
 * It only reads (the machine, the catalog, the configuration) and passes orders on. It reports what the decisions see,
 * so `status` and the machine cannot disagree. Most requests are passed to the part that answers them; those too small
 * for a part of their own are answered here.
 */
import { lackingIn } from '../catalog/gap-text.js';
import { MalformedObject } from '../catalog/malformed-object.js';
import { ObjectMissing, readSnapshot } from '../catalog/read-object.js';
import type { ContentFrame, ContentRequest, LackingEntries, PlacedEntry } from '../catalog/restore-content.js';
import { parseSourceSpec } from '../catalog/source-spec.js';
import { walkReadable } from '../catalog/walk-readable.js';
import type { Member, Timing } from '../core/cluster-config.js';
import { ClusterError } from '../core/fault.js';
import type { HostId, ObjectId, ParcelId, SourceId } from '../core/ids.js';
import type { Known } from '../core/known.js';
import type { ObjectReader } from '../core/objects.js';
import type { Membership } from '../membership/membership.js';
import type { KnownPeer } from '../net/net.js';
import type { Alarms } from './alarms.js';
import type { BlobSource } from './blob-source.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import type { Clock } from './clock.js';
import { configPlan } from './config-planning.js';
import { Configuring } from './configuring.js';
import { DatedTrees } from './dated-trees.js';
import { Forgetting } from './forgetting.js';
import { leaveReport } from './leaving.js';
import { LiveDiffs } from './live-diffs.js';
import type { LoopDelay } from './loop-delay.js';
import { NamedSnapshots } from './named-snapshots.js';
import { AskedTwice } from './object-finder.js';
import type { Orders } from './orders.js';
import type { Origin } from './origin.js';
import type { OwnScrubs } from './own-scrubs.js';
import type { OwnStores } from './own-stores.js';
import type { Pausing } from './pausing.js';
import { Protecting } from './protecting.js';
import type { Protections } from './protection.js';
import type { Roster } from './roster.js';
import type { SelfTestOptions } from './self-test.js';
import type {
  AddSource,
  AddStore,
  AdminAdd,
  AdminAdded,
  AdminRequested,
  BackupRequest,
  ConfigApply,
  ConfigPlanReport,
  ConfigReport,
  ConfigRollback,
  ConfigStepReport,
  DatedTreeReport,
  DrainRequest,
  DrillReport,
  DrillRequest,
  EntriesRequest,
  ExplainReport,
  ForgetArchivedRequest,
  ForgetFutureRequest,
  ForgetReport,
  ForgetRequest,
  HostReport,
  Invited,
  InviteRequest,
  LeaveReport,
  LiveDiffReport,
  LiveDiffRequest,
  PauseReport,
  PauseRequest,
  PlacementReport,
  ProtectionReport,
  RemovedTreeReport,
  ReplaceRequest,
  ReplicaReport,
  ReplicasRequest,
  Resolved,
  ResolveRequest,
  ResumeReport,
  RevokeRequest,
  ScrubReport,
  Service,
  SnapshotName,
  SnapshotReport,
  SnapshotsRequest,
  SnapshotTaken,
  StatusReport,
  TreesRequest,
} from './service.js';
import { nameIn, SourceNames } from './source-names.js';
import { StatusReports } from './status-reports.js';
import type { TreeKeeper } from './tree-keeper.js';
import { Whereabouts } from './whereabouts.js';

/** Snapshots that nothing keeps any longer but that somebody may be reading: the last ones asked for by name. */
const RESOLVED_MAX = 1_000;

export interface AnswersOptions {
  readonly membership: Membership;
  readonly known: Known;
  readonly catalog: CatalogKeeper;
  /** Also reads records: from this host or from any host that has them. */
  readonly objects: ObjectReader;
  /** Snapshots and pages: what is lost or damaged on this host is fetched from a host that has it, and kept again. */
  readonly mending: ObjectReader;
  readonly stores: OwnStores;
  readonly origin: Origin;
  readonly orders: Orders;
  readonly roster: Roster;
  readonly protections: Protections;
  readonly blobs: BlobSource;
  readonly scrubs: Pick<OwnScrubs, 'progress'>;
  readonly scrub: (signal: AbortSignal) => AsyncGenerator<ScrubReport>;
  readonly drill: SelfTestOptions['drill'];
  readonly pausing: Pausing;
  readonly alarms: Alarms;
  readonly clock: Clock;
  /** As ask-members.ts. */
  readonly askMembers: (without: HostId) => Promise<readonly Member[]>;
  readonly addresses: () => readonly string[];
  /** How many alarms another host last said that it has; undefined while it has not been heard since the start. */
  readonly alarmsOf: (host: HostId) => number | undefined;
  /** Where the other members can be reached, as far as this host knows. */
  readonly knownAddresses: () => Iterable<KnownPeer>;
  readonly isReachable: (host: HostId) => boolean;
  readonly loopDelay: LoopDelay;
  /** For temporary files; on the disk of the state folder. */
  readonly scratchFolder: string;
  readonly trees: TreeKeeper;
}

export class Answers implements Service {
  readonly #options: AnswersOptions;
  readonly #names: SourceNames;
  readonly #snapshots: NamedSnapshots;
  readonly #forgetting: Forgetting;
  readonly #liveDiffs: LiveDiffs;
  readonly #datedTrees: DatedTrees;
  readonly #status: StatusReports;
  readonly #configuring: Configuring;
  readonly #protecting: Protecting;
  readonly #whereabouts: Whereabouts;
  /** In order of use: the snapshot asked for last comes last. */
  readonly #resolved = new Map<ObjectId, SourceId>();

  constructor(options: AnswersOptions) {
    this.#options = options;
    this.#names = new SourceNames(options);
    this.#snapshots = new NamedSnapshots({ ...options, names: this.#names });
    const named = { ...options, names: this.#names, snapshots: this.#snapshots };
    this.#status = new StatusReports(named);
    this.#configuring = new Configuring(named);
    this.#protecting = new Protecting(named);
    this.#whereabouts = new Whereabouts(named);
    this.#forgetting = new Forgetting(named);
    this.#liveDiffs = new LiveDiffs(named);
    this.#datedTrees = new DatedTrees(named);
  }

  // ------------------------------------------------------------------------------------------------------------- status

  status(signal: AbortSignal): Promise<StatusReport> {
    return this.#status.now(signal);
  }

  statusChanges(signal: AbortSignal): AsyncGenerator<StatusReport> {
    return this.#status.changes(signal);
  }

  async hosts(): Promise<readonly HostReport[]> {
    return this.#status.hosts();
  }

  async pause({ forMs }: PauseRequest): Promise<PauseReport> {
    return { untilMs: await this.#options.pausing.pause(forMs) };
  }

  async resume(): Promise<ResumeReport> {
    return { wasPaused: await this.#options.pausing.resume() };
  }

  // ------------------------------------------------------------------------------------------------------ configuration

  async configShow(): Promise<ConfigReport> {
    return this.#configuring.show();
  }

  async configDraft(): Promise<ConfigReport> {
    return this.#configuring.draft();
  }

  configHistory(): AsyncGenerator<ConfigStepReport> {
    return this.#options.membership.history();
  }

  configAt({ version }: { readonly version: number }): Promise<ConfigReport> {
    return this.#configuring.at(version);
  }

  configRollback(request: ConfigRollback): Promise<ConfigReport> {
    return this.#configuring.rollback(request);
  }

  async timing(): Promise<Timing> {
    return this.#options.membership.clusterConfig.timing;
  }

  configApply(request: ConfigApply): Promise<ConfigReport> {
    return this.#configuring.apply(request);
  }

  async configPlan({ text, fileName }: Pick<ConfigApply, 'fileName' | 'text'>): Promise<ConfigPlanReport> {
    const { membership, known } = this.#options;
    const planned = membership.admin.planPolicy({ text, file: fileName });
    return configPlan({ planned, hosts: this.#status.hosts(), copiesNow: source => known.copiesWanted(source) });
  }

  configAddStore(addition: AddStore): Promise<ConfigReport> {
    return this.#configuring.addStore(addition);
  }

  configAddSource(addition: AddSource): Promise<ConfigReport> {
    return this.#configuring.addSource(addition);
  }

  invite(request: InviteRequest): Promise<Invited> {
    return this.#configuring.invite(request);
  }

  drain(request: DrainRequest): Promise<ConfigReport> {
    return this.#configuring.drain(request);
  }

  revoke(request: RevokeRequest): Promise<ConfigReport> {
    return this.#configuring.revoke(request);
  }

  replace(request: ReplaceRequest): Promise<ConfigReport> {
    return this.#configuring.replace(request);
  }

  adminRequest(): Promise<AdminRequested> {
    return this.#configuring.adminRequest();
  }

  adminAdd(request: AdminAdd): Promise<AdminAdded> {
    return this.#configuring.adminAdd(request);
  }

  async leaving(signal: AbortSignal): Promise<LeaveReport> {
    const { membership, known, roster } = this.#options;
    const status = await this.#status.now(signal);
    return leaveReport({ status, configuring: this.#configuring, membership, left: known.left(roster.self) ?? 0 });
  }

  // ---------------------------------------------------------------------------------------------------------- snapshots

  backup(request: BackupRequest, signal: AbortSignal): Promise<SnapshotTaken> {
    return this.#protecting.backup(request, signal);
  }

  protection(name: SnapshotName, signal: AbortSignal): AsyncGenerator<ProtectionReport> {
    return this.#protecting.reports(name, signal);
  }

  replicas(request: ReplicasRequest, signal: AbortSignal): AsyncGenerator<ReplicaReport | LackingEntries> {
    return this.#whereabouts.replicas(request, signal);
  }

  async explain({ parcel }: { readonly parcel: ParcelId }): Promise<ExplainReport> {
    return this.#whereabouts.explain(parcel);
  }

  placements(): AsyncGenerator<PlacementReport> {
    return this.#whereabouts.placements();
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

  // ---------------------------------------------------------------------------------------------------- scrub and drill

  scrub(signal: AbortSignal): AsyncGenerator<ScrubReport> {
    return this.#options.scrub(signal);
  }

  async *drill({ source, files }: DrillRequest, signal: AbortSignal): AsyncGenerator<DrillReport> {
    if (source !== undefined) return yield* this.#drillSource(this.#names.named(source), files, signal);
    const configured = new Set(this.#options.membership.clusterConfig.sources.map(one => one.source));
    for (const id of this.#names.all()) {
      const isWanted = configured.has(id) && !this.#names.isVoid(id);
      if (isWanted || this.#snapshots.listed(id).length > 0) yield* this.#drillSource(id, files, signal);
    }
  }

  async *#drillSource(id: SourceId, files: number, signal: AbortSignal): AsyncGenerator<DrillReport> {
    const source = this.#names.nameOf(id);
    const listed = this.#snapshots.listed(id);
    const newest = listed.at(-1);
    if (newest === undefined) return yield this.#notTried(id, { because: 'no snapshot of it is known here' });
    // With holders away no snapshot may be protected now, yet the question is what a restore would find now.
    const snapshot = (await this.#options.protections.newestProtected(id, listed, signal)) ?? newest.id;
    try {
      let isTried = false;
      for await (const { path, bytes, failure } of this.#options.drill(snapshot, { files, bytes: Infinity }, signal)) {
        isTried = true;
        yield { source, snapshot, ...(path && { path }), bytes, ...(failure && { failure }) };
      }
      const { bytes } = await readSnapshot(this.#options.objects, snapshot);
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

  async resolve({ spec, thoughAway }: ResolveRequest, signal: AbortSignal): Promise<Resolved> {
    const parsed = parseSourceSpec(spec);
    const source = this.#names.named(nameIn(parsed));
    const { snapshot, path } = parsed;
    const { listed, newer, unreachable } = thoughAway
      ? await this.#snapshots.chooseThoughAway(source, snapshot, signal, path)
      : await this.#snapshots.choose(source, snapshot, signal, path);
    await this.#snapshots.needPath(source, listed.id, parsed);
    this.#rememberResolved(source, listed.id);
    return {
      source: this.#names.nameOf(source),
      sourceId: source,
      snapshot: await this.#snapshots.report(source, listed, signal),
      under: path,
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
    // A restore reads entries several times, hours apart: the hold of its snapshot may have ended, but its objects stay
    // a while.
    const isKnown =
      this.#resolved.get(snapshot) === sourceId || this.#options.catalog.wantedSnapshots(sourceId).includes(snapshot);
    if (!isKnown) {
      throw new ClusterError('SNAPSHOT_GONE', `no snapshot ${snapshot} of ${this.#names.nameOf(sourceId)} is kept`, {
        blame: 'operator',
      });
    }
    const objects = new AskedTwice(this.#options.objects, signal);
    for await (const item of walkReadable(objects, snapshot, { under, signal })) {
      if (item.is === 'entry') yield { entry: item.entry, parcel: item.parcel };
      else if (item.is === 'stand-in') yield { entry: item.entry, parcel: item.parcel, isStandIn: true };
      else yield lackingIn(item.gap, 'the hosts that are up have');
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

  content(request: ContentRequest, signal: AbortSignal): AsyncIterable<ContentFrame> {
    return this.#options.blobs.content(request, signal);
  }
}
