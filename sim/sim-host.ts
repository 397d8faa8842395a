/**
 * Simulated host: one machine with its disk and its clock, and, while its service runs, that run as its parts, the network
 * and the checkers see it.
 *
 * Two of them may have one host id: an identity that was copied with its disk.
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

/** Where, on the way of an effect, a crash is set to happen. */
export type Boundary =
  /** The machine has asked for it, and nothing was done. */
  | 'asked'
  /** It was begun: written and not flushed, sent and not answered. */
  | 'begun'
  /** It is done, and the machine has not been told. */
  | 'done';

export interface ArmedCrash {
  readonly boundary: Boundary;
  /** The effect; undefined for whichever comes next. */
  readonly on: string | undefined;
  readonly strike: () => void;
}

/** How a host lies. Its disk and its machine are in order; what leaves it is not. */
export interface Lies {
  /** Says that it holds what it does not. */
  readonly holdings: boolean;
  /** Says that it lends far more than it does. */
  readonly room: boolean;
  /** Grants, and then throws the bytes away. */
  readonly grants: boolean;
  /** Shows whatever lies there, and does not look whether it is right. */
  readonly audits: boolean;
}

export class SimHost {
  readonly number: number;
  readonly id: HostId;
  readonly clock: SteadyClock;
  disk: HostDisk;
  running: Running | undefined;
  /** It is never coming back. */
  lost = false;
  /** A second machine with another's identity. */
  readonly isClone: boolean;
  /** Stopped by a signal: its clock goes on, and what comes for it waits. */
  paused = false;
  suspended = false;
  /** What came while it was paused, in order. */
  readonly waiting: (() => void)[] = [];
  armed: ArmedCrash | undefined;
  lies: Lies | undefined;
  /** Its wall clock, against the world's. */
  wallOffsetMs = 0;
  /** Grants that came to it, in whatever life, for a network that repeats them. */
  readonly grantsCarried: CarriedGrant[] = [];
  /** What was signed here last, and may not be durable yet. */
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

  /** It answers: its service runs and is not held up. */
  get isResponsive(): boolean {
    return this.running !== undefined && !this.paused && !this.suspended;
  }
}

/** An input before it is stamped. */
export type Unstamped = Input extends infer I ? (I extends Input ? Omit<I, 'nowMs'> : never) : never;

export interface Running {
  readonly host: SimHost;
  readonly machine: Machine;
  readonly boot: number;
  /** Of the start before, as the state folder had it. */
  readonly previousBoot: number;
  readonly bootId: string;
  readonly alive: boolean;
  /** Where its own clock stands. */
  readonly nowMs: number;
  /** The service's running time of all its starts. */
  readonly runMs: number;
  tell(input: Unstamped): void;
  /** Runs something in the service: later while it is paused, never once it has ended. */
  enter(run: () => void): void;
  /** True when a crash was set for just here, and has happened. */
  dies(effect: Effect['do'], boundary: Boundary): boolean;
  /** Ends the run. */
  end(): void;
  /** Its clock stood still, or runs at another rate now. */
  clockChanged(): void;
  mounted(store: StoreId): StoreDisk | undefined;
  /** Stores that the machine knows of. */
  mountedStores(): IterableIterator<StoreDisk>;
  /** What lies in a store and what the machine keeps free beside it: with what it cannot know yet counted once. */
  promisedBytes(store: StoreDisk): number;

  // What others bring.
  hear(writer: HostId, frame: GossipFrame, message: GossipMessage, config: SignedConfig): void;
  answerState(question: StateQuestion): StateAnswer;
  answerFetch(parcel: ParcelId, purpose: 'grab' | 'repair', asker: HostId): FetchAnswer;
  answerGrant(question: GrantQuestion, reply: (answer: GrantAnswer) => void): void;
  answerAudit(question: AuditQuestion, reply: (answer: AuditAnswer) => void): void;
  answerRelocation(offer: RelocationOffer, reply: (accepted: boolean) => void): void;
  grantAnswered(attempt: Nonce, from: HostId, answer: GrantAnswer | undefined): void;

  // What people do.
  offerConfig(config: SignedConfig): void;
  backUp(source: SourceId, edit: SnapshotEdit): void;
  /** Pulls a disk, or puts it back. */
  lookAgain(): void;
  /** Looks at all that lies in its stores, and measures them. */
  scrub(): void;
  /** Says in the store's log that it holds these, and holds nothing. */
  claimToHold(store: StoreId, parcels: readonly ParcelId[]): void;
}

/** Makes the next head's list from what it is to be based on. */
export type SnapshotEdit = (listed: HeadModel['snapshots']) => HeadModel['snapshots'];
