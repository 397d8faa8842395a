/**
 * Service: what a running host answers to the person (or script) in front of it.
 *
 * The daemon implements this interface, `control-server.ts` speaks it over the control socket, and `control-client.ts`
 * implements it again on the other side of that socket; so a command of the CLI is written as if the daemon were in its
 * own process.
 *
 * Rules for all methods: what could not be done is a `ClusterError`; every method stops its work when `signal` aborts and
 * then rejects (a stream: throws) with the signal's reason. Nothing that grows with the number of files is an array: it is
 * an AsyncIterable, pulled at the caller's pace. Times are wall-clock ms since 1970 by the answering host's clock, sizes
 * are bytes, paths are raw bytes relative to their source's folder. Host names are those of the configuration.
 *
 * A source is named as people write it: `name` where that is unique, else `host/name` (`source` below); `sourceId` is the
 * one that never changes its meaning. A time in a `spec` without `Z` is of the caller's time zone: the client sends none.
 */

import type { LiveDifference } from '../catalog/live-diff.js';
import type { ContentFrame, ContentRequest, LackingEntries, PlacedEntry } from '../catalog/restore-content.js';
import type { KeepCounts, KeepReason } from '../catalog/retention.js';
import type { ClusterId, HostId, Key, ObjectId, ParcelId, SourceId, StoreId } from '../core/ids.js';
import type { LoopDelayReport } from './loop-delay.js';

export interface Service {
  status(signal: AbortSignal): Promise<StatusReport>;
  /** The status at once, then again whenever it has changed, at most 4 times a second; ends only by `signal`. */
  statusChanges(signal: AbortSignal): AsyncIterable<StatusReport>;
  /** Every member of the configuration, revoked ones too, by name. */
  hosts(signal: AbortSignal): Promise<readonly HostReport[]>;

  configShow(signal: AbortSignal): Promise<ConfigReport>;
  /** The whole policy, replaced. Needs the admin key of this host. @throws ClusterError NEEDS_YES with what it takes away, unless `yes` */
  configApply(request: ConfigApply, signal: AbortSignal): Promise<ConfigReport>;
  configAddStore(request: AddStore, signal: AbortSignal): Promise<ConfigReport>;
  configAddSource(request: AddSource, signal: AbortSignal): Promise<ConfigReport>;
  invite(request: InviteRequest, signal: AbortSignal): Promise<Invited>;
  /** The copies of a draining host, or store, count for nobody and are made elsewhere; it serves them until then. Needs the admin key. */
  drain(request: DrainRequest, signal: AbortSignal): Promise<ConfigReport>;
  /** Ends a membership. Needs the admin key. @throws ClusterError NEEDS_YES while copies on it are needed, unless `yes` */
  revoke(request: RevokeRequest, signal: AbortSignal): Promise<ConfigReport>;

  /** Takes a snapshot now, on the source's origin wherever that is; returns when its head is durable there. */
  backup(request: BackupRequest, signal: AbortSignal): Promise<SnapshotTaken>;
  /**
   * How far a snapshot is on its way to its copies: at once, then on change, at most 4 times a second. It follows re-cuts
   * (`snapshot` is then another id) and ends after the first report that says `protected`.
   * @throws ClusterError when no head lists the snapshot, nor a re-cut of it, any more
   */
  protection(request: SnapshotName, signal: AbortSignal): AsyncIterable<ProtectionReport>;
  /**
   * What the rules make of the snapshots of a source of this host; unless `dryRun`, what they do not keep is unlisted. `now`:
   * and what is unlisted is held no longer, which needs the admin key, and of a source of another host is all that is done.
   * @throws ClusterError ORIGIN_ELSEWHERE, NEEDS_YES, NO_ADMIN_KEY, RETENTION_STOPPED; then nothing was changed
   */
  forget(request: ForgetRequest, signal: AbortSignal): Promise<ForgetReport>;
  /**
   * Unlists snapshots that are from the future by this host's clock, unless `dryRun`, and takes one in their place.
   * @throws ClusterError ORIGIN_ELSEWHERE, NEEDS_YES, RETENTION_STOPPED, SOURCE_MISSING; then nothing was changed
   */
  forgetFuture(request: ForgetFutureRequest, signal: AbortSignal): Promise<ForgetReport>;
  /** Ends what keeps an archived source, unless `dryRun`. @throws ClusterError NOT_ARCHIVED, NEEDS_YES, NO_ADMIN_KEY; then nothing was changed */
  forgetArchived(request: ForgetArchivedRequest, signal: AbortSignal): Promise<ForgetReport>;
  /** Listed snapshots, oldest first; of one source, or of all. Retention bounds their number. */
  snapshots(request: SnapshotsRequest, signal: AbortSignal): Promise<readonly SnapshotReport[]>;
  /** Which copies there are, one report a file; and, where it stands, what nobody who is up can name. */
  replicas(request: ReplicasRequest, signal: AbortSignal): AsyncIterable<ReplicaReport | LackingEntries>;
  /** Every wanted parcel and who holds it: the layout without files' names, as the simulator takes it. */
  placements(signal: AbortSignal): AsyncIterable<PlacementReport>;

  /** Reads every copy in this host's stores: how far it is after each parcel; the last report is the verdict. */
  scrub(signal: AbortSignal): AsyncIterable<ScrubReport>;
  /**
   * Restores a few files picked by chance from the copies of a source's newest protected snapshot, or of each source's, and throws
   * the bytes away: one report a file. Where none is protected now, of the newest; of a configured source without any, or without one
   * that can be read, one that says so; of an archived one of which no head is known here, none. No reports at all: there is no file with bytes. @throws ClusterError NO_SNAPSHOT of a named source
   */
  drill(request: DrillRequest, signal: AbortSignal): AsyncIterable<DrillReport>;

  /** What `SOURCE[@SNAPSHOT][:PATH]` names, and whether all of it can be reached now. `ls` and `restore` begin here. */
  resolve(request: { readonly spec: string }, signal: AbortSignal): Promise<Resolved>;
  /**
   * The entries of a snapshot in path order (every folder before its content), each with the parcel that lists it. With
   * `under`: that entry and everything below it. Restore reads it several times and relies on getting the same each time.
   * One that `resolve` has given can be read until its objects go, though nothing keeps it any more.
   * For what is in a record or a page that can be had from nobody stands what is known of it, and folders that were in it are made up.
   * @throws ClusterError OBJECT_MISSING when the snapshot itself can be had from nobody
   */
  entries(request: EntriesRequest, signal: AbortSignal): AsyncIterable<PlacedEntry | LackingEntries>;
  /**
   * How a source's folder, as it is now, differs from the snapshot that `SOURCE[@SNAPSHOT][:PATH]` names; `latest` is the newest,
   * whoever has copies of it, when any run of the source that is under way has ended. All is compared before any of it is told.
   * @throws ClusterError ORIGIN_ELSEWHERE, SOURCE_MISSING, PATH_UNKNOWN of a path that neither has
   */
  liveDiff(request: LiveDiffRequest, signal: AbortSignal): AsyncIterable<LiveDiffReport>;
  /**
   * Makes a dated tree of the snapshot that `SOURCE[@SNAPSHOT]` names in each store of this host that holds something of it
   * and, unless it is named, can have hard links, of which the tree is made. They are kept as they should be until they are
   * removed, or their snapshot is.
   * @throws ClusterError NO_STORE, STORE_UNKNOWN, STORE_MISSING, NOTHING_HELD, NO_HARD_LINKS, TREE_TAKEN, TREES_TOO_MANY
   */
  makeTrees(request: TreesRequest, signal: AbortSignal): Promise<readonly DatedTreeReport[]>;
  /** Removes such trees: that of the snapshot, or without @SNAPSHOT all of the source. @throws ClusterError TREE_UNKNOWN when there is none */
  removeTrees(request: TreesRequest, signal: AbortSignal): Promise<readonly RemovedTreeReport[]>;
  /** The bytes of some blobs of one parcel, from this host's stores or sources or from whoever is up. */
  content(request: ContentRequest, signal: AbortSignal): AsyncIterable<ContentFrame>;
}

// ── Status ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface StatusReport {
  readonly cluster: string;
  readonly clusterId: ClusterId;
  /** The answering host. */
  readonly host: string;
  readonly hostId: HostId;
  /** Of the configuration in use. */
  readonly configVersion: number;
  /** Multiaddresses that this host listens on. */
  readonly addresses: readonly string[];
  readonly sources: readonly SourceReport[];
  readonly hosts: readonly HostReport[];
  readonly alarms: readonly Alarm[];
  readonly pending: {
    /** Live claims, of this host and of others. */
    readonly claims: number;
    /** Fetches of this host that run now. */
    readonly fetches: number;
    /** Copies that this host is about to drop. */
    readonly drops: number;
    /** Families that this host hands to others to make room. */
    readonly relocations: number;
  };
  /** Of the answering host's process. */
  readonly process: {
    /** What computes BLAKE3 there. */
    readonly hasher: 'native' | 'wasm';
    /** How late its event loop was in the last one to two minutes. */
    readonly loopDelay: LoopDelayReport;
  };
  /** The newest snapshot of every source is protected, and there is one, but of archived sources of which no head is known. */
  readonly protected: boolean;
  /** Nothing is pending and nothing is over. */
  readonly settled: boolean;
}

export interface SourceReport {
  readonly source: string;
  readonly sourceId: SourceId;
  /** The origin's host name. */
  readonly origin: string;
  /** N: the wanted copies of each parcel. */
  readonly copies: number;
  readonly parcels: {
    /** Parcels that some snapshot wants. */
    readonly wanted: number;
    /** The least number of counting copies that any wanted parcel has; N when nothing is wanted. */
    readonly haveMin: number;
    /** Parcels with fewer copies than N … */
    readonly under: number;
    /** … and with more. */
    readonly over: number;
  };
  readonly lastSnapshot?: SnapshotReport;
  /** The last snapshot is no older than twice the source's interval. An archived source is not late. */
  readonly fresh: boolean;
  /** The policy has it no more. */
  readonly archived?: true;
  /** Why the source cannot be scanned (its folder is gone, on another disk, suddenly empty …): a sentence. */
  readonly missing?: string;
}

export interface Alarm {
  /** UPPER_SNAKE, stable. */
  readonly code: string;
  readonly text: string;
  readonly sinceMs: number;
}

// ── Hosts ───────────────────────────────────────────────────────────────────────────────────────────────────────────

export type HostState = 'active' | 'provisional' | 'suspect' | 'dead' | 'draining' | 'revoked';

export interface HostReport {
  readonly name: string;
  readonly id: HostId;
  readonly state: HostState;
  /** The answering host itself. */
  readonly self: boolean;
  readonly trust: 'trusted' | 'untrusted';
  readonly domain: string;
  /** Sums over its mounted stores, as it last reported them; without those that are draining. */
  readonly lentBytes: number;
  readonly usedBytes: number;
  /** Lent and not used; never below 0. */
  readonly freeBytes: number;
  /** Last heard of, directly or by gossip; absent when never in the answering host's memory. For itself: now. */
  readonly seenMs?: number;
  /** With those that the policy has and the host does not report: they are not mounted, as far as can be seen. */
  readonly stores: readonly HostStore[];
  /** Of a draining host: how many parcels that somebody wants it still has; 0 when it can leave. Absent while that is not known. */
  readonly parcelsLeft?: number;
}

export interface HostStore {
  /** Absent while the store has not been seen mounted. */
  readonly id?: StoreId;
  /** Known of the answering host's own stores; of another host's where the policy has one alone, or none of them is seen. */
  readonly path?: string;
  readonly lentBytes: number;
  readonly usedBytes: number;
  readonly mounted: boolean;
  /** That are there. Known of the answering host's own stores. */
  readonly parcels?: number;
  /** Its copies are to go, and it takes no more. Known of the answering host's own stores. */
  readonly draining?: boolean;
  /** Why it is not mounted: a sentence. */
  readonly because?: string;
}

export interface DrainRequest {
  readonly host: string;
  /** Of one of its stores; absent: the whole host. */
  readonly path?: string;
  /** Let it hold copies again. */
  readonly undo: boolean;
}

export interface RevokeRequest {
  readonly host: string;
  readonly yes: boolean;
}

// ── Configuration ───────────────────────────────────────────────────────────────────────────────────────────────────

export interface ConfigReport {
  /** The policy as YAML, comments kept. */
  readonly text: string;
  readonly version: number;
  /** BLAKE3 of the signed version, 64 hex digits. */
  readonly hash: string;
  /** What a person should look at though it was accepted: sentences. Empty for `configShow` and `revoke`. */
  readonly warnings?: readonly string[];
}

export interface ConfigApply {
  readonly text: string;
  /** For error messages only (`file:line:column: …`). */
  readonly fileName: string;
  /** The person has agreed to what it takes away. */
  readonly yes: boolean;
}

/** `limit` and `reserve` are sizes as people write them ("300 GB"); at most one of them. */
export interface AddStore {
  readonly host: string;
  readonly path: string;
  readonly limit?: string;
  readonly reserve?: string;
}

export interface AddSource {
  readonly host: string;
  readonly name: string;
  readonly path: string;
  readonly copies?: number;
  /** A duration as people write it ("1h"). */
  readonly every?: string;
  readonly watch?: boolean;
}

export interface InviteRequest {
  readonly uses: number;
  /** From now. */
  readonly expiresMs: number;
  readonly trust: 'trusted' | 'untrusted';
}

export interface Invited {
  /** One line of text. */
  readonly token: string;
  readonly untilMs: number;
}

// ── Snapshots ───────────────────────────────────────────────────────────────────────────────────────────────────────

export interface BackupRequest {
  readonly source: string;
  /** Take what the brakes held back as meant: the source did shrink that much. */
  readonly acceptChanges: boolean;
}

export interface SnapshotName {
  readonly sourceId: SourceId;
  readonly snapshot: ObjectId;
}

export interface SnapshotsRequest {
  readonly source?: string;
  /** Also those that are listed no more and in their hold here. */
  readonly held?: boolean;
}

export interface SnapshotReport {
  readonly id: ObjectId;
  readonly source: string;
  readonly sourceId: SourceId;
  readonly origin: string;
  readonly timeMs: number;
  readonly files: number;
  readonly bytes: number;
  /** Something in it is stale (carried over unread) or missed (left out). */
  readonly partial: boolean;
  readonly protected: boolean;
  /** Why it cannot be read, neither here nor from anybody who is up: a sentence. `files` and `bytes` are 0 then. */
  readonly unreadable?: string;
  /** Its origin lists it no more; it is kept until its hold runs out. */
  readonly held?: true;
}

export interface SnapshotTaken extends SnapshotReport {
  /** Nothing differs from the snapshot before. */
  readonly unchanged: boolean;
  /** Entries carried over from the last snapshot because they could not be read, and entries left out. */
  readonly stale: number;
  readonly missed: number;
  /** Some of them, with the reason; at most 20. */
  readonly unread: readonly { readonly path: Buffer; readonly because: string }[];
  /** Mount points that were not entered: how many, and at most 20 of them. */
  readonly unentered: { readonly count: number; readonly paths: readonly Buffer[] };
  /** So much left or changed that its brake is on from this one on: nothing of the source is unlisted until a person has looked. */
  readonly braked: boolean;
}

export interface ForgetRequest {
  readonly source: string;
  /** Rules in place of the policy's: what they unlist needs `yes`. */
  readonly keep?: KeepCounts;
  /** What is unlisted is not held either. Needs `yes`. */
  readonly now: boolean;
  readonly dryRun: boolean;
  readonly yes: boolean;
}

export interface ForgetArchivedRequest {
  readonly source: string;
  readonly dryRun: boolean;
  readonly yes: boolean;
}

export type ForgetFutureRequest = ForgetArchivedRequest;

export interface ForgetReport {
  readonly source: string;
  /** Listed ones, oldest first. */
  readonly snapshots: readonly JudgedSnapshot[];
  /** Unlisted before, and not held any longer now; oldest first. */
  readonly released: readonly SnapshotReport[];
  /** What nobody wants any more stays with its holders for this much of their running time. */
  readonly graceMs: number;
  /** Why nothing may be unlisted now: a sentence. Only of a dry run. */
  readonly stopped?: string;
}

export interface JudgedSnapshot {
  readonly snapshot: SnapshotReport;
  /** Why it stays; none: it does not. */
  readonly reasons: readonly KeepReason[];
}

export interface ProtectionReport {
  /** The one asked for, or its latest re-cut. */
  readonly snapshot: SnapshotReport;
  readonly copies: number;
  /** `toCopy`: of those under, not those whose copies are there, and whose holders have yet to hear of the snapshot. */
  readonly parcels: {
    readonly wanted: number;
    readonly haveMin: number;
    readonly under: number;
    readonly toCopy: number;
  };
  /** Bytes that the missing copies will take, summed over copies. */
  readonly missingBytes: number;
}

// ── Scrub and drill ─────────────────────────────────────────────────────────────────────────────────────────────────

export interface ScrubReport {
  readonly stores: number;
  /** Looked at so far, and in all. */
  readonly parcels: number;
  readonly bytes: number;
  readonly ofParcels: number;
  readonly ofBytes: number;
  /** Had wrong or missing bytes: they count no more, and are fetched again. */
  readonly corrupt: number;
  /** Could not be read: nothing is known of them. */
  readonly unread: number;
  /** Heads, snapshots and pages that were damaged or gone, and that this host has put there again as far as it has them. */
  readonly catalog: number;
  /** Stores whose heads could not be read, or not all: nothing is known of these. */
  readonly unreadCatalogs: number;
  /** Configured, and not mounted when the scrub began: nothing of them was read. */
  readonly absentStores: readonly AbsentStore[];
}

export interface AbsentStore {
  readonly path: string;
  readonly because: string;
}

export interface DrillRequest {
  readonly source?: string;
  /** Of each source. */
  readonly files: number;
}

export interface DrillReport {
  readonly source: string;
  /** Undefined: none is known here. */
  readonly snapshot?: ObjectId;
  /** Undefined: nothing could be tried, not even by its name. */
  readonly path?: Buffer;
  /** Of the file, or of what could not be tried; 0 where nobody knows. */
  readonly bytes: number;
  /** Undefined: it came, and is right. `hosts` hold it, by what they say. */
  readonly failure?: { readonly because: string; readonly hosts: readonly string[] };
}

// ── Copies ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface ReplicasRequest {
  /** `SOURCE[@SNAPSHOT][:PATH]`; without it: the newest snapshot of every source. */
  readonly spec?: string;
  /** Any of the asked for; none asked for means every file. `missing`: no counting copy at all. */
  readonly only: readonly ('under' | 'over' | 'missing')[];
  /** Only files that this host has a copy of. */
  readonly host?: string;
}

export interface ReplicaReport {
  readonly source: string;
  readonly path: Buffer;
  readonly sizeBytes: number;
  /** N, and how many copies count now (two in one domain count once). */
  readonly want: number;
  readonly have: number;
  /** Every holder, also those that do not count at present. The origin is not a copy. By name. */
  readonly holders: readonly Holder[];
}

export interface PlacementReport {
  readonly parcel: ParcelId;
  readonly key: Key;
  readonly bytes: number;
  readonly sourceId: SourceId;
  /** N. */
  readonly want: number;
  /** The stores with a copy that counts, and their hosts. */
  readonly holders: readonly { readonly host: HostId; readonly store: StoreId }[];
}

export interface Holder {
  readonly host: string;
  /** False when the host is dead, draining or has its copy in doubt. Of several copies of one host: false when none counts. */
  readonly counts: boolean;
}

// ── Reading a snapshot back ─────────────────────────────────────────────────────────────────────────────────────────

export interface Resolved {
  readonly source: string;
  readonly sourceId: SourceId;
  readonly snapshot: SnapshotReport;
  /** The PATH of the spec; empty for the whole source. Known to exist in the snapshot. */
  readonly under: Buffer;
  /** `latest` was asked for, and this newer one has parcels that nobody reachable holds. */
  readonly newer?: { readonly snapshot: SnapshotReport; readonly unreachable: Unreachable };
  /** Of the resolved snapshot, at and below `under`; only an explicit SNAPSHOT can have any. */
  readonly unreachable?: Unreachable;
}

export interface Unreachable {
  readonly parcels: number;
  readonly bytes: number;
  /** Switch any of these on: they hold what is missing. Empty when no known host does. */
  readonly hosts: readonly string[];
}

export interface EntriesRequest {
  readonly sourceId: SourceId;
  readonly snapshot: ObjectId;
  readonly under: Buffer;
}

export interface LiveDiffRequest {
  readonly spec: string;
}

export type LiveDiffReport =
  /** At once, while a run of the source is under way. */
  | { readonly kind: 'waits' }
  /** Before all differences. */
  | { readonly kind: 'against'; readonly snapshot: SnapshotReport }
  | LiveDifference;

// ── Dated trees ─────────────────────────────────────────────────────────────────────────────────────────────────────

export interface TreesRequest {
  /** Without a path: a tree is of all of it. */
  readonly spec: string;
  /** Paths as the policy has them; none: all stores of this host. */
  readonly stores: readonly string[];
}

export interface RemovedTreeReport {
  /** Where it was. */
  readonly path: string;
  readonly source: string;
  readonly snapshot: ObjectId;
  readonly timeMs: number;
  /** Things in it that are not ours, and were left where they are. */
  readonly left: number;
}

export interface DatedTreeReport extends RemovedTreeReport {
  /** Files of the snapshot. */
  readonly files: number;
  /** … that stand in the tree; that are held in this store and have no place in it, for their names: listed in PATH.unplaced. */
  readonly placed: number;
  readonly unplaced: number;
}
