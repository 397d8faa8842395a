/**
 * Simulated host: one machine with its disk and its clock, and, while its service runs, that run as the network, the
 * checkers and its own parts see it.
 *
 * Two of them may have the same host id: an identity that was copied with its disk.
 */
import type { AuditAnswer } from '../src/core/audit.js';
import type { Effect, Input } from '../src/core/effects.js';
import type { GrantAnswer } from '../src/core/grant.js';
import type { HostId, Nonce, ParcelId, SourceId, StoreId } from '../src/core/ids.js';
import type { Machine } from '../src/core/machine.js';
import type { GossipMessage } from '../src/core/messages.js';
import type { HeadModel } from './catalog-model.js';
import type { GossipFrame, HostDisk, SignedConfig } from './host-disk.js';
import type {
  AuditQuestion,
  CarriedGrant,
  FetchAnswer,
  GrantQuestion,
  RelocationOffer,
  StateAnswer,
  StateQuestion,
} from './questions.js';
import type { SteadyClock } from './steady-clock.js';
import type { StoreDisk } from './store-disk.js';

/** The point in an effect's course at which a crash is set to happen. */
export type Boundary =
  /** The machine has asked for it, and nothing was done yet. */
  | 'asked'
  /** It was begun: written but not flushed, or sent but not answered. */
  | 'begun'
  /** It is done, and the machine has not been told yet. */
  | 'done';

export interface ArmedCrash {
  readonly boundary: Boundary;
  /** The effect; undefined for whichever comes next. */
  readonly on: string | undefined;
  readonly strike: () => void;
}

/** How a host lies. Its disk and its machine are in order; what it tells others is not. */
export interface Lies {
  /** It claims to hold copies that it does not have. */
  readonly holdings: boolean;
  /** It claims to lend far more than it does. */
  readonly room: boolean;
  /** It grants, and then throws the bytes away. */
  readonly grants: boolean;
  /** It shows the bytes on its disk without checking whether they are right. */
  readonly audits: boolean;
}

export class SimHost {
  readonly number: number;
  readonly id: HostId;
  readonly clock: SteadyClock;
  disk: HostDisk;
  running: Running | undefined;
  /** It never comes back. */
  lost = false;
  /** A second machine with another's identity. */
  readonly isClone: boolean;
  /** Stopped by a signal: its clock goes on, and events for it wait. */
  paused = false;
  suspended = false;
  /** Events that came while it was paused or suspended, in order. */
  readonly waiting: (() => void)[] = [];
  /** A person wants it to begin nothing of its own accord, also after a restart. */
  askedToPause = false;
  armed: ArmedCrash | undefined;
  lies: Lies | undefined;
  /** The offset of its wall clock from the world's. */
  wallOffsetMs = 0;
  /** Grants that came to it in any of its runs, for a network that repeats them. */
  readonly grantsCarried: CarriedGrant[] = [];
  /** The configuration that was last signed here, and may not be durable yet. */
  signed: SignedConfig | undefined;
  uploadBytesPerS: number;
  downloadBytesPerS: number;

  constructor({
    number,
    id,
    clock,
    disk,
    bytesPerS,
    isClone = false,
  }: {
    readonly number: number;
    readonly id: HostId;
    readonly clock: SteadyClock;
    readonly disk: HostDisk;
    readonly bytesPerS: number;
    readonly isClone?: boolean;
  }) {
    this.number = number;
    this.id = id;
    this.clock = clock;
    this.disk = disk;
    this.uploadBytesPerS = bytesPerS;
    this.downloadBytesPerS = bytesPerS;
    this.isClone = isClone;
  }

  get stores(): readonly StoreDisk[] {
    return this.disk.stores;
  }

  get isUp(): boolean {
    return this.running !== undefined;
  }

  /** Its service runs and is neither paused nor suspended. */
  get isResponsive(): boolean {
    return this.running !== undefined && !this.paused && !this.suspended;
  }
}

/** An input without its time. */
export type Unstamped = Input extends infer I ? (I extends Input ? Omit<I, 'nowMs'> : never) : never;

export interface Running {
  readonly host: SimHost;
  readonly machine: Machine;
  readonly boot: number;
  /** The boot of the start before, from the state folder. */
  readonly previousBoot: number;
  readonly bootId: string;
  readonly alive: boolean;
  /** The time on the host's own clock. */
  readonly nowMs: number;
  /** The service's running time over all its starts. */
  readonly runMs: number;
  /** Snapshots that it was asked for and has not signed yet. When it ends, they are never taken. */
  snapshotsDue: number;
  tell(input: Unstamped): void;
  /** Runs something in the service: later while it is paused, never once it has ended. */
  enter(run: () => void): void;
  /** True when a crash was set for exactly this point, and has happened. */
  dies(effect: Effect['do'], boundary: Boundary): boolean;
  /** Ends the run. */
  end(): void;
  /** Its clock has stood still, or now runs at another rate. */
  clockChanged(): void;
  mounted(store: StoreId): StoreDisk | undefined;
  /** Stores that the machine knows of. */
  mountedStores(): IterableIterator<StoreDisk>;
  /**
   * Bytes used in a store plus bytes that the machine reserves in it; copies that the machine cannot know of yet count
   * once.
   */
  promisedBytes(store: StoreDisk): number;

  // Called by other hosts.
  hear(writer: HostId, frame: GossipFrame, message: GossipMessage, config: SignedConfig): void;
  answerState(question: StateQuestion): StateAnswer;
  answerFetch(parcel: ParcelId, purpose: 'grab' | 'repair', asker: HostId): FetchAnswer;
  answerGrant(question: GrantQuestion, reply: (answer: GrantAnswer) => void): void;
  answerAudit(question: AuditQuestion, reply: (answer: AuditAnswer) => void): void;
  answerRelocation(offer: RelocationOffer, reply: (accepted: boolean) => void): void;
  grantAnswered(attempt: Nonce, from: HostId, answer: GrantAnswer | undefined): void;

  // Called for people.
  offerConfig(config: SignedConfig): void;
  backUp(source: SourceId, edit: SnapshotEdit): void;
  /** A disk was pulled, or put back. */
  lookAgain(): void;
  /** Reads everything in its stores again, and measures them. */
  scrub(): void;
  /** Claims in the store's log to hold these parcels, without having them. */
  claimToHold(store: StoreId, parcels: readonly ParcelId[]): void;
}

/** Makes the next head's list from the list it is based on. */
export type SnapshotEdit = (listed: HeadModel['snapshots']) => HeadModel['snapshots'];
