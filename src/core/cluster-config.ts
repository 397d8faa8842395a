/**
 * The part of the signed configuration that decisions depend on. `src/membership` checks the signatures and makes this;
 * the machine trusts it.
 */
import type { ClusterId, HostId, PeerName, SourceId } from './ids.js';

/**
 * `provisional`: admitted by a member, not yet written into the configuration by an admin host. It may send and read.
 */
export type MemberState = 'provisional' | 'active' | 'draining' | 'revoked';

export interface Member {
  readonly host: HostId;
  readonly name: string;
  readonly peer: PeerName;
  readonly state: MemberState;
  readonly trust: 'trusted' | 'untrusted';
  /** Hosts of one domain fail together and count once. Default: the host's own id. */
  readonly domain: string;
  readonly roaming: boolean;
}

/**
 * Whether copies may be placed with a member, now or once it no longer drains. Only the logs of such members are read:
 * no copy of an untrusted or a provisional member counts, whatever its log says.
 */
export const mayHoldCopies = (member: Member | undefined): boolean =>
  member?.trust === 'trusted' && (member.state === 'active' || member.state === 'draining');

/** Whether a copy counts with a member, and a new one may come to it: those of one that drains are to go. */
export const mayTakeCopies = (member: Member | undefined): member is Member =>
  member?.state === 'active' && member.trust === 'trusted';

/** The most members of a cluster, and so host sections of a policy. */
export const HOSTS_MAX = 1000;

export interface SourcePolicy {
  readonly source: SourceId;
  /** Wanted copies, N. 1 to 32. */
  readonly copies: number;
  /** Set when a machine that was its origin is shut out: what that signed stays valid up to this head; 0 for none. */
  readonly lastSeq?: number;
  /** Set beside `lastSeq` when another machine goes on as its origin: the lowest number of that one's heads. */
  readonly goesOnSeq?: number;
}

/** In ms. Floors: heartbeat 100, suspect 3 heartbeats, dead 2 × suspect, deadMax dead, claimWait 20, others 0. */
export interface Timing {
  /** Least interval between heartbeats; the one in force is max(heartbeat, hosts × heartbeatPerHost). Default 5 s. */
  readonly heartbeatMs: number;
  /** Added to the interval for each host, so that control traffic does not grow with the square. Default 1 s. */
  readonly heartbeatPerHostMs: number;
  /** Silence after which a host is suspect. Default 6 heartbeats. */
  readonly suspectMs: number;
  /** A broken connection that cannot be redialled for this long makes its host suspect. Default 30 s. */
  readonly redialMs: number;
  /** Absence after which a host's copies no longer count. Default 1 h. */
  readonly deadMs: number;
  /** `deadMs` of a host that is marked as roaming, at the least. Default 24 h. */
  readonly roamingDeadMs: number;
  /** The longest any host is waited for, however long its past absences were. Default 72 h. */
  readonly deadMaxMs: number;
  /**
   * With one live place left, repair starts this long after suspicion, unless the host is often away that long. Default
   * 1 min.
   */
  readonly lastPlaceMs: number;
  /** From a claim to the second look. Default 2 s. */
  readonly claimWaitMs: number;
  /** One rank's turn. Default 4 s. */
  readonly stepMs: number;
  /** One rank's turn for a parcel that had its copies before. Default 1 s. */
  readonly repairStepMs: number;
  /** Least life of a claim without progress. Default 60 s. */
  readonly claimMs: number;
  /** Surplus must have lasted this long before a drop. Default 30 s. */
  readonly surplusMs: number;
  /** Never re-grab within this time of a drop unless copies are short. Default 10 min. */
  readonly regrabMs: number;
  /** Surplus that comes from a host's return must have lasted this long, unless the room is needed. Default 24 h. */
  readonly returnMs: number;
  /**
   * An attempt to drop ends when our own read, or the holders' reads, took longer than this plus a second for each 20
   * MB of the parcel. Default 30 s.
   */
  readonly attemptMs: number;
  /** A parcel that fits nowhere must have been needed this long before anything is moved for it. Default 30 s. */
  readonly relocateMs: number;
  /** After a failed attempt a parcel rests this long, doubled each time, ± 50 %. Default 5 s. */
  readonly dropBackOffMs: number;
  /**
   * Parcels that no listed or held snapshot references are removed after this much of the holder's own running time.
   * Default 7 d.
   */
  readonly gcGraceMs: number;
  /**
   * Each host reads all that it holds, and walks through the copies of others that it audits, once in this time.
   * Default 30 d.
   */
  readonly scrubMs: number;
  /** Dropped and expired bytes lie in the store's trash for this long, or until the room is needed. Default 24 h. */
  readonly trashMs: number;
  /** How long an interrupted fetch's verified blobs are kept for the next try. Default 10 min. */
  readonly partialMs: number;
  /** A source tree and its `.b3` are rewritten after this much quiet. Default 60 s. */
  readonly treeQuietMs: number;
  /** Least time between two such rewrites. Default 10 min. */
  readonly treeEveryMs: number;
}

export const DEFAULT_TIMING: Timing = {
  heartbeatMs: 5_000,
  heartbeatPerHostMs: 1_000,
  suspectMs: 30_000,
  redialMs: 30_000,
  deadMs: 3_600_000,
  roamingDeadMs: 86_400_000,
  deadMaxMs: 259_200_000,
  lastPlaceMs: 60_000,
  claimWaitMs: 2_000,
  stepMs: 4_000,
  repairStepMs: 1_000,
  claimMs: 60_000,
  surplusMs: 30_000,
  regrabMs: 600_000,
  returnMs: 24 * 3_600_000,
  attemptMs: 30_000,
  dropBackOffMs: 5_000,
  relocateMs: 30_000,
  gcGraceMs: 7 * 24 * 3_600_000,
  scrubMs: 30 * 24 * 3_600_000,
  trashMs: 24 * 3_600_000,
  partialMs: 600_000,
  treeQuietMs: 60_000,
  treeEveryMs: 600_000,
};

export interface ClusterConfig {
  readonly cluster: ClusterId;
  /** Rises with each change; goes back on a host only when that host gives up the losing branch of a fork. */
  readonly version: number;
  /**
   * BLAKE3 of the signed version, which names the one before it: branches of a fork may share versions, but no hash. 64
   * hex digits.
   */
  readonly hash: string;
  readonly members: readonly Member[];
  readonly sources: readonly SourcePolicy[];
  readonly timing: Timing;
}

/** A version and its hash: how hosts tell each other which configuration they follow. */
export type ConfigMark = Pick<ClusterConfig, 'version' | 'hash'>;
