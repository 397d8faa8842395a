/**
 * Service: what a running host answers to the person (or script) in front of it.
 *
 * The daemon implements this interface, `control-server.ts` speaks it over the control socket, and `control-client.ts`
 * implements it again on the other side of that socket; so a command of the CLI is written as if the daemon were in its
 * own process.
 *
 * Rules for all methods: what could not be done is a `ClusterError`; every method stops its work when `signal` aborts and
 * then rejects (a stream: throws) with the signal's reason. What grows with the number of files is never an array: it is
 * an AsyncIterable, pulled at the caller's pace. Times are wall-clock ms since 1970 by the answering host's clock, sizes
 * are bytes, paths are raw bytes relative to their source's folder. Host names are those of the configuration.
 *
 * A source is named as people write it: `name` where that is unique, else `host/name` (`source` below). `sourceId`
 * never changes its meaning. The client sends times in a `spec` with `Z`; one without `Z` would be in the caller's
 * time zone.
 */

import type { LiveDifference } from '../catalog/live-diff.js';
import type { Missing } from '../catalog/merge-scan.js';
import type { ContentFrame, ContentRequest, LackingEntries, PlacedEntry } from '../catalog/restore-content.js';
import type { KeepCounts, KeepReason } from '../catalog/retention.js';
import type { Timing } from '../core/cluster-config.js';
import type { Because, Why } from '../core/explain.js';
import type { ClusterId, HostId, Key, ObjectId, ParcelId, SourceId, StoreId } from '../core/ids.js';
import type { ConfigStep } from '../membership/config-history.js';
import type { LoopDelayReport } from './loop-delay.js';

export interface Service {
  status(signal: AbortSignal): Promise<StatusReport>;
  /**
   * The status at once, then again whenever it has changed, at most 4 times a second; ends only when `signal` aborts.
   */
  statusChanges(signal: AbortSignal): AsyncIterable<StatusReport>;
  /** Every member of the configuration, including revoked ones, by name. */
  hosts(signal: AbortSignal): Promise<readonly HostReport[]>;

  /**
   * This host begins nothing big of its own accord for a while, which replaces any pause before. It survives a restart.
   * @throws ClusterError BAD_DURATION when that is too long
   */
  pause(request: PauseRequest, signal: AbortSignal): Promise<PauseReport>;
  resume(signal: AbortSignal): Promise<ResumeReport>;

  configShow(signal: AbortSignal): Promise<ConfigReport>;
  /** The policy in use, for somebody who wants to change it. @throws ClusterError NO_ADMIN_KEY */
  configDraft(signal: AbortSignal): Promise<ConfigReport>;
  /** The versions that this host has, the newest first. */
  configHistory(signal: AbortSignal): AsyncIterable<ConfigStepReport>;
  /** The policy of a version. @throws ClusterError NO_SUCH_VERSION, VERSION_INCOMPLETE */
  configAt(request: { readonly version: number }, signal: AbortSignal): Promise<ConfigReport>;
  /**
   * Puts the policy of a version in force again, as a new version. Members stay as they are.
   * @throws ClusterError as `configAt` and `configApply`
   */
  configRollback(request: ConfigRollback, signal: AbortSignal): Promise<ConfigReport>;
  /** The waiting times of this host: those of the policy, and the defaults for the others. */
  timing(signal: AbortSignal): Promise<Timing>;
  /**
   * Replaces the whole policy. Needs the admin key on this host.
   * @throws ClusterError NEEDS_YES saying what it takes away, unless `yes`; POLICY_CHANGED when it was made from another
   */
  configApply(request: ConfigApply, signal: AbortSignal): Promise<ConfigReport>;
  /**
   * What `configApply` would do. Changes nothing, and needs no key.
   * @throws ClusterError POLICY_INVALID, POLICY_LAYOUT as `configApply`; POLICY_WITHHELD on a host that is not trusted
   */
  configPlan(request: Pick<ConfigApply, 'fileName' | 'text'>, signal: AbortSignal): Promise<ConfigPlanReport>;
  configAddStore(request: AddStore, signal: AbortSignal): Promise<ConfigReport>;
  configAddSource(request: AddSource, signal: AbortSignal): Promise<ConfigReport>;
  invite(request: InviteRequest, signal: AbortSignal): Promise<Invited>;
  /** Copies of a draining host or store do not count; it serves them until they are elsewhere. Needs the admin key. */
  drain(request: DrainRequest, signal: AbortSignal): Promise<ConfigReport>;
  /** A line by which `adminAdd`, on a host that is an admin, makes this one an admin too. It holds no secret. */
  adminRequest(signal: AbortSignal): Promise<AdminRequested>;
  /** Needs the admin key. @throws ClusterError BAD_ADMIN_REQUEST, TOO_MANY_ADMINS */
  adminAdd(request: AdminAdd, signal: AbortSignal): Promise<AdminAdded>;
  /** Ends a membership. Needs the admin key. @throws ClusterError NEEDS_YES while copies on it are needed, unless `yes` */
  revoke(request: RevokeRequest, signal: AbortSignal): Promise<ConfigReport>;
  /**
   * Lets a machine that has joined go on in the place of a host's own. Needs the admin key.
   * @throws ClusterError NEEDS_YES while the host is heard, or what nobody has a copy of is only on its disks, unless
   * `yes`; REPLACE_REFUSED, LAST_ADMIN, REPLACED_FULL
   */
  replace(request: ReplaceRequest, signal: AbortSignal): Promise<ConfigReport>;

  /** Whether this host may leave without a loss, and what would be lost. */
  leaving(signal: AbortSignal): Promise<LeaveReport>;

  /** Takes a snapshot now, on the source's origin, whichever host that is; returns when its head is durable there. */
  backup(request: BackupRequest, signal: AbortSignal): Promise<SnapshotTaken>;
  /**
   * How far the copies of a snapshot are made: at once, then on change, at most 4 times a second. It follows re-cuts
   * (`snapshot` is then another id) and ends after the first report that says `protected`.
   * @throws ClusterError when no head lists the snapshot, or a re-cut of it, any longer
   */
  protection(request: SnapshotName, signal: AbortSignal): AsyncIterable<ProtectionReport>;
  /**
   * Applies the rules to the snapshots of a source of this host, and unlists those that they do not keep, unless
   * `dryRun`. `now` also ends the hold of unlisted snapshots, which needs the admin key; for a source of another host,
   * or an archived one, it does only that.
   * @throws ClusterError ORIGIN_ELSEWHERE, SOURCE_ARCHIVED, NEEDS_YES, NO_ADMIN_KEY, RETENTION_STOPPED; then nothing was changed
   */
  forget(request: ForgetRequest, signal: AbortSignal): Promise<ForgetReport>;
  /**
   * Unlists snapshots that are in the future by this host's clock, unless `dryRun`, and takes a new one in their
   * place.
   * @throws ClusterError ORIGIN_ELSEWHERE, SOURCE_ARCHIVED, NEEDS_YES, RETENTION_STOPPED, SOURCE_MISSING; then nothing was changed
   */
  forgetFuture(request: ForgetFutureRequest, signal: AbortSignal): Promise<ForgetReport>;
  /**
   * Forgets an archived source, unless `dryRun`.
   * @throws ClusterError NOT_ARCHIVED, NEEDS_YES, NO_ADMIN_KEY; then nothing was changed
   */
  forgetArchived(request: ForgetArchivedRequest, signal: AbortSignal): Promise<ForgetReport>;
  /** Listed snapshots, oldest first, of one source or of all. Retention bounds their number. */
  snapshots(request: SnapshotsRequest, signal: AbortSignal): Promise<readonly SnapshotReport[]>;
  /** Which copies there are, one report a file. In its place in the order, also what no host that is up can name. */
  replicas(request: ReplicasRequest, signal: AbortSignal): AsyncIterable<ReplicaReport | LackingEntries>;
  /**
   * Why each member has a copy of the parcel, or has none, in the order in which they are to have them.
   * @throws ClusterError SNAPSHOT_GONE when no configured source wants it; HOST_UNTRUSTED, here
   */
  explain(request: { readonly parcel: ParcelId }, signal: AbortSignal): Promise<ExplainReport>;
  /**
   * Every wanted parcel and its holders: the layout without file names, as the simulator takes it.
   * @throws ClusterError HOST_UNTRUSTED: this host is not told who has copies
   */
  placements(signal: AbortSignal): AsyncIterable<PlacementReport>;

  /** Reads every copy in this host's stores at once, whatever its own scrubs have read. Reports progress after each parcel; the last report is the verdict. */
  scrub(signal: AbortSignal): AsyncIterable<ScrubReport>;
  /**
   * Restores a few randomly picked files from the copies of the newest protected snapshot of one source, or of each
   * source, and throws the bytes away: one report a file. Where no snapshot is protected now, it takes the newest one.
   * A configured source without a snapshot, or without a readable one, gets one report that says so; an archived
   * source without a head that is known here gets none. No reports at all: there is no file with bytes.
   * @throws ClusterError NO_SNAPSHOT for a named source
   */
  drill(request: DrillRequest, signal: AbortSignal): AsyncIterable<DrillReport>;

  /** What `SOURCE[@SNAPSHOT][:PATH]` names, and whether all of it can be reached now. `ls` and `restore` begin here. */
  resolve(request: ResolveRequest, signal: AbortSignal): Promise<Resolved>;
  /**
   * The entries of a snapshot in path order (every folder before its content), each with the parcel that lists it.
   * With `under`: that entry and everything below it. Restore reads this several times and relies on getting the same
   * each time. A snapshot that `resolve` has returned stays readable until its objects go, even if nothing keeps it
   * any longer. When nobody can give a record or page, what is known of it takes its place, and folders that were in
   * it are made up.
   * @throws ClusterError OBJECT_MISSING when nobody can give the snapshot itself
   */
  entries(request: EntriesRequest, signal: AbortSignal): AsyncIterable<PlacedEntry | LackingEntries>;
  /**
   * How a source's folder differs now from the snapshot that `SOURCE[@SNAPSHOT][:PATH]` names; `latest` is the newest,
   * whoever has copies of it. Waits until a run of the source that is under way has ended. Everything is compared
   * before any of it is reported.
   * @throws ClusterError ORIGIN_ELSEWHERE, SOURCE_MISSING; PATH_UNKNOWN for a path that neither side has
   */
  liveDiff(request: LiveDiffRequest, signal: AbortSignal): AsyncIterable<LiveDiffReport>;
  /**
   * Makes a dated tree of the snapshot that `SOURCE[@SNAPSHOT]` names, out of hard links, in each named store of this
   * host that holds any part of it; with no store named, in each such store that can have hard links. A tree is kept
   * as it should be until it, or its snapshot, is removed.
   * @throws ClusterError NO_STORE, STORE_UNKNOWN, STORE_MISSING, NOTHING_HELD, NO_HARD_LINKS, TREE_TAKEN, TREES_TOO_MANY
   */
  makeTrees(request: TreesRequest, signal: AbortSignal): Promise<readonly DatedTreeReport[]>;
  /**
   * Removes dated trees: that of the snapshot, or without @SNAPSHOT all of the source.
   * @throws ClusterError TREE_UNKNOWN when there is none
   */
  removeTrees(request: TreesRequest, signal: AbortSignal): Promise<readonly RemovedTreeReport[]>;
  /** The bytes of some blobs of one parcel, from this host's stores or sources, or from any host that is up. */
  content(request: ContentRequest, signal: AbortSignal): AsyncIterable<ContentFrame>;
}

// ── Status ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface StatusReport {
  readonly cluster: string;
  readonly clusterId: ClusterId;
  /** The answering host. */
  readonly host: string;
  readonly hostId: HostId;
  /** Until when the answering host is paused; absent while it is not. */
  readonly pausedUntilMs?: number;
  /** Version of the configuration in use. */
  readonly configVersion: number;
  /** Multiaddresses that this host listens on. */
  readonly addresses: readonly string[];
  readonly sources: readonly SourceReport[];
  readonly hosts: readonly HostReport[];
  readonly alarms: readonly Alarm[];
  readonly pending: {
    /** Live claims, of this host and of others. */
    readonly claims: number;
    /** Fetches of this host that are running now. */
    readonly fetches: number;
    /** Copies that this host is about to drop. */
    readonly drops: number;
    /** Families that this host is handing to others to make room. */
    readonly relocations: number;
  };
  /** About the answering host's process. */
  readonly process: {
    /** The implementation that computes BLAKE3 there. */
    readonly hasher: 'native' | 'wasm';
    /** How late its event loop was in the last one to two minutes. */
    readonly loopDelay: LoopDelayReport;
  };
  /** Every source has a newest snapshot and it is protected; archived sources without a known head are left out. */
  readonly protected: boolean;
  /** Nothing is pending and no parcel has too many copies. */
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
    /** Parcels that a snapshot wants, listed or in its hold. */
    readonly wanted: number;
    /** The smallest number of counting copies that any parcel of a listed snapshot has; N when nothing is wanted. */
    readonly haveMin: number;
    /** Parcels of listed snapshots with fewer copies than N … */
    readonly under: number;
    /** … and wanted ones with more. */
    readonly over: number;
  };
  readonly lastSnapshot?: SnapshotReport;
  /**
   * Not two of the source's times for a snapshot have passed since the last one. A source that is archived, or whose
   * origin was revoked, is not late.
   */
  readonly fresh: boolean;
  /** The policy no longer has the source. */
  readonly archived?: true;
  /** Nothing more comes of it, though it may be in the policy. */
  readonly originRevoked?: true;
  /** Why the source cannot be scanned (its folder is gone, on another disk, suddenly empty …): a sentence. */
  readonly missing?: string;
}

export interface Alarm {
  /** UPPER_SNAKE, stable: those of alarm-codes.ts, in the version that answers. */
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
  /** It is often off, by the policy. */
  readonly roaming: boolean;
  /** Sums over the host's mounted stores, as it last reported them, without those that are draining. */
  readonly lentBytes: number;
  readonly usedBytes: number;
  /** Lent and not used; never below 0. */
  readonly freeBytes: number;
  /** When the answering host last heard of it, directly or by gossip; absent for never. For itself: now. */
  readonly seenMs?: number;
  /**
   * Also lists stores that the policy has but the host does not report: as far as can be seen, these are not mounted.
   */
  readonly stores: readonly HostStore[];
  /** How many alarms it has, by its last heartbeat; absent while none was heard since the start. */
  readonly alarms?: number;
  /**
   * How many wanted parcels a draining host still has; 0 when it can leave. Absent while that is not known: its logs
   * have not been read to the end, or a store of it is being read again.
   */
  readonly parcelsLeft?: number;
}

export interface HostStore {
  /** Absent while the store has not been seen mounted. */
  readonly id?: StoreId;
  /** Known for the answering host's stores; for another host's where its policy has one store, or none is seen. */
  readonly path?: string;
  /** Of another host's store that is not seen mounted where `path` is not known: its path is one of these. */
  readonly pathOneOf?: readonly string[];
  readonly lentBytes: number;
  readonly usedBytes: number;
  readonly mounted: boolean;
  /** Parcels in the store. Known for the answering host's own stores. */
  readonly parcels?: number;
  /** The copies in it are to go, and it takes no more. Known for the answering host's own stores. */
  readonly draining?: boolean;
  /** After doubt its copies are being read again, and count only then: more may be in it than is told here. */
  readonly unread?: true;
  /** How far this host's own scrub of it is. Known for the answering host's own stores while they are mounted. */
  readonly scrub?: {
    readonly beganMs: number;
    /** From 0 to 1. */
    readonly done: number;
    /** Parcels that the disk did not give in the present cycle; the log says why. */
    readonly unread: number;
    /** When a cycle in which every parcel was read came to its end; absent for never. */
    readonly endedMs?: number;
  };
  /** Why the store is not mounted: a sentence. */
  readonly because?: string;
}

export interface DrainRequest {
  readonly host: string;
  /** Path of one of the host's stores; absent: the whole host. */
  readonly path?: string;
  /** True to let it hold copies again. */
  readonly undo: boolean;
}

export interface RevokeRequest {
  readonly host: string;
  readonly yes: boolean;
}

export interface ReplaceRequest {
  /** The name of the host that goes on. */
  readonly host: string;
  /** The name under which the machine has joined that takes its place. */
  readonly by: string;
  readonly yes: boolean;
}

export interface AdminRequested {
  readonly host: string;
  readonly line: string;
  /** This host is an admin already. */
  readonly isAdmin: boolean;
}

export interface AdminAdd {
  readonly host: string;
  readonly line: string;
}

export interface AdminAdded extends ConfigReport {
  /** False when it was an admin already, by this key. */
  readonly changed: boolean;
  /** It was one by another key, which counts no more. */
  readonly replaced: boolean;
}

export interface LeaveReport {
  /** This host. */
  readonly host: string;
  readonly state: HostState;
  readonly trust: 'trusted' | 'untrusted';
  /** Wanted parcels in its stores. */
  readonly parcelsLeft: number;
  /** Its own sources of which not every listed snapshot has its copies. */
  readonly uncopied: readonly string[];
  /** It takes no copies: it is draining, or lends nothing. */
  readonly isDrained: boolean;
  /** Nothing that is backed up would be lost with it. */
  readonly isReady: boolean;
  /** Of its own sources in the policy, the newest snapshot: what has changed since is in none. */
  readonly asOf: readonly { readonly source: string; readonly timeMs: number; readonly partial: boolean }[];
  /** No other member is heard of, as after a revocation too: of that the host hears nothing. */
  readonly isAlone: boolean;
  /** What would be lost, or cannot be seen: sentences. */
  readonly atStake: readonly string[];
  readonly adminHosts: readonly string[];
  readonly isAdmin: boolean;
  /** While it is paused it drops nothing. */
  readonly pausedUntilMs?: number;
}

export interface PauseRequest {
  readonly forMs: number;
}

export interface PauseReport {
  readonly untilMs: number;
}

export interface ResumeReport {
  readonly wasPaused: boolean;
}

// ── Configuration ───────────────────────────────────────────────────────────────────────────────────────────────────

export interface ConfigReport {
  /** The policy as YAML, comments kept. */
  readonly text: string;
  readonly version: number;
  /** BLAKE3 of the signed version, 64 hex digits. */
  readonly hash: string;
  /** What a person should look at although it was accepted: sentences. Empty for `configShow` and `revoke`. */
  readonly warnings?: readonly string[];
}

export type ConfigStepReport = ConfigStep;

export interface ConfigRollback {
  readonly version: number;
  /** The person has agreed to everything that it takes away. */
  readonly yes: boolean;
}

export interface ConfigApply {
  readonly text: string;
  /** The policy that it was made from; absent: any. Refused while another one is in force. */
  readonly madeFrom?: string;
  /** For error messages only (`file:line:column: …`). */
  readonly fileName: string;
  /** The person has agreed to everything that it takes away. */
  readonly yes: boolean;
}

export interface ConfigPlanReport {
  /** False when the text is in use already. */
  readonly changed: boolean;
  /** Phrases, as in the history. */
  readonly changes: readonly string[];
  /** What it would take away, for which `configApply` wants a yes: sentences. */
  readonly losses: readonly string[];
  readonly warnings: readonly string[];
  /** Absent when nothing changes that the places of copies depend on. */
  readonly moves?: {
    /** As they would be: with the domains and stores of the new policy, and what these use now. */
    readonly hosts: readonly HostReport[];
    /** N of every source, archived ones too. */
    readonly copies: readonly { readonly source: SourceId; readonly copies: number }[];
    readonly timing: Timing;
    /** What cannot be known before: sentences. */
    readonly guesses: readonly string[];
  };
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
  /** Counted from now. */
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
  /** Accept what the brakes held back: the source was meant to shrink that much. Refused while something is missing. */
  readonly acceptChanges: boolean;
  /** With `acceptChanges`: let go of what is missing, too. Default: false. */
  readonly acceptMissing?: boolean;
}

export interface SnapshotName {
  readonly sourceId: SourceId;
  readonly snapshot: ObjectId;
}

export interface SnapshotsRequest {
  readonly source?: string;
  /** Also those that are no longer listed but in their hold here. */
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
  /** How many entries are stale, and how many are missed; 0 where it cannot be read. */
  readonly stale: number;
  readonly missed: number;
  readonly protected: boolean;
  /** Why neither this host nor any host that is up can read it: a sentence. `files` and `bytes` are 0 then. */
  readonly unreadable?: string;
  /** Its origin no longer lists it; it is kept until its hold ends. */
  readonly held?: true;
}

export interface SnapshotTaken extends SnapshotReport {
  /** Nothing differs from the snapshot before. */
  readonly unchanged: boolean;
  /** Some of what is stale or missed, with the reason; at most 20. */
  readonly unread: readonly { readonly path: Buffer; readonly because: string }[];
  /** Mount points that were not entered: how many, and at most 20 of them. */
  readonly unentered: { readonly count: number; readonly paths: readonly Buffer[] };
  /**
   * So much was lost or changed that the brake is on from this snapshot on: nothing of the source is unlisted until a
   * person has looked.
   */
  readonly braked: boolean;
  /** What was missing and was let go of: how much, and at most 20 of it. */
  readonly letGo: Missing;
}

export interface ForgetRequest {
  readonly source: string;
  /** Rules that replace the policy's: to unlist by them needs `yes`. */
  readonly keep?: KeepCounts;
  /** Unlisted snapshots are not held either. Needs `yes`. */
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
  /** Listed snapshots, oldest first; none where they are not judged. */
  readonly snapshots: readonly JudgedSnapshot[];
  /** How many are listed and stay so, because no rules were applied: the source is another host's, or archived. */
  readonly unjudged?: number;
  /** Snapshots that were unlisted before and whose hold is ended now; oldest first. */
  readonly released: readonly SnapshotReport[];
  /** How many more were to be released; another call is needed for them. Absent: none. */
  readonly heldStill?: number;
  /** For how much of their running time holders keep what nobody wants any longer. */
  readonly graceMs: number;
  /** Why nothing may be unlisted now: a sentence. Only in a dry run. */
  readonly stopped?: string;
}

export interface JudgedSnapshot {
  readonly snapshot: SnapshotReport;
  /** Why it stays; empty when it does not. */
  readonly reasons: readonly KeepReason[];
}

export interface ProtectionReport {
  /** The snapshot asked for, or its latest re-cut. */
  readonly snapshot: SnapshotReport;
  readonly copies: number;
  /** `toCopy`: those of `under` that lack copies, not those whose holders have yet to hear of the snapshot. */
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
  /** How many parcels were looked at so far, and how many there are. */
  readonly parcels: number;
  readonly bytes: number;
  readonly ofParcels: number;
  readonly ofBytes: number;
  /** Parcels with wrong or missing bytes: they no longer count, and are fetched again. */
  readonly corrupt: number;
  /** Parcels that could not be read: nothing is known about them. */
  readonly unread: number;
  /**
   * Heads, snapshots and pages that were damaged or gone; this host has written them there again as far as it has them.
   */
  readonly catalog: number;
  /** Stores whose heads could not all be read: nothing is known about those. */
  readonly unreadCatalogs: number;
  /** Stores that are configured but were not mounted when the scrub began: nothing of them was read. */
  readonly absentStores: readonly AbsentStore[];
}

export interface AbsentStore {
  readonly path: string;
  readonly because: string;
}

export interface DrillRequest {
  readonly source?: string;
  /** For each source. */
  readonly files: number;
}

export interface DrillReport {
  readonly source: string;
  /** Undefined when no snapshot is known here. */
  readonly snapshot?: ObjectId;
  /** Undefined when nothing could be tried, not even the name of a file. */
  readonly path?: Buffer;
  /** Size of the file, or of what could not be tried; 0 where nobody knows. */
  readonly bytes: number;
  /** Undefined when the file came and is right. `hosts` say that they hold it. */
  readonly failure?: { readonly because: string; readonly hosts: readonly string[] };
}

// ── Copies ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export interface ReplicasRequest {
  /** `SOURCE[@SNAPSHOT][:PATH]`; without it: the newest snapshot of every source. */
  readonly spec?: string;
  /** Files in any of the named states; empty means every file. `missing`: no counting copy at all. */
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
  /** Every holder, including those that do not count at present; by name. The origin is not a copy. */
  readonly holders: readonly Holder[];
}

export interface PlacementReport {
  readonly parcel: ParcelId;
  readonly key: Key;
  readonly bytes: number;
  readonly source: string;
  readonly sourceId: SourceId;
  /** The newest head lists it; false: its hold alone keeps it. */
  readonly listed: boolean;
  /**
   * As far as this host can see its origin has it, too: the newest snapshot lists it, and the source is neither archived
   * nor missing.
   */
  readonly atOrigin: boolean;
  /** N. */
  readonly want: number;
  /** The stores with a copy that counts, or would count if its host were not draining, and their hosts. */
  readonly holders: readonly { readonly host: HostId; readonly store: StoreId }[];
}

export interface ExplainReport {
  /** Of the parcel: of all files in it together. */
  readonly bytes: number;
  /** N, and how many copies count now. */
  readonly want: number;
  readonly have: number;
  readonly hosts: readonly {
    readonly host: string;
    readonly why: Why['has'];
    readonly because?: Because;
    /** The host that `because` speaks of. */
    readonly with?: string;
  }[];
}

export interface Holder {
  readonly host: string;
  /** False when the host is dead or draining, or its copy is in doubt; of several copies, when none counts. */
  readonly counts: boolean;
}

// ── Reading a snapshot back ─────────────────────────────────────────────────────────────────────────────────────────

export interface ResolveRequest {
  readonly spec: string;
  /** Without a SNAPSHOT, or with `latest`, the newest one is meant, though not all of it can be reached. */
  readonly thoughAway?: true;
}

export interface Resolved {
  readonly source: string;
  readonly sourceId: SourceId;
  readonly snapshot: SnapshotReport;
  /** The PATH of the spec; empty for the whole source. Known to exist in the snapshot. */
  readonly under: Buffer;
  /** Set when `latest` was asked for: this newer snapshot has parcels that no reachable host holds. */
  readonly newer?: { readonly snapshot: SnapshotReport; readonly unreachable: Unreachable };
  /** What is unreachable of the resolved snapshot, at and below `under`; only an explicit SNAPSHOT can have any. */
  readonly unreachable?: Unreachable;
}

export interface Unreachable {
  readonly parcels: number;
  readonly bytes: number;
  /** Hosts to switch on: they hold what is missing. Empty when no known host holds it. */
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
  /** Comes at once, while a run of the source is under way. */
  | { readonly kind: 'waits' }
  /** Comes before all differences. */
  | { readonly kind: 'against'; readonly snapshot: SnapshotReport }
  | LiveDifference;

// ── Dated trees ─────────────────────────────────────────────────────────────────────────────────────────────────────

export interface TreesRequest {
  /** Without a path: a tree always has the whole snapshot. */
  readonly spec: string;
  /** Paths as in the policy; empty means all stores of this host. */
  readonly stores: readonly string[];
}

export interface RemovedTreeReport {
  /** Where the tree was. */
  readonly path: string;
  readonly source: string;
  readonly snapshot: ObjectId;
  readonly timeMs: number;
  /** Things in it that this program did not make; they were left where they are. */
  readonly left: number;
}

export interface DatedTreeReport extends RemovedTreeReport {
  /** Files of the snapshot. */
  readonly files: number;
  /**
   * `placed`: those that are in the tree. `unplaced`: those that this store holds but whose names have no place in it,
   * listed in PATH.unplaced.
   */
  readonly placed: number;
  readonly unplaced: number;
}
