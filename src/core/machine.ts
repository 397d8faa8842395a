/**
 * The host machine: all that one host decides, as one synchronous function of what it is told.
 *
 * `step(input)` returns effects; the daemon carries them out on real disks and networks, the simulator in virtual time.
 * The machine has no clock (each input says when it happened), no dice (a seeded generator is handed in) and does no I/O.
 *
 * It keeps: who is there (hosts), what is wanted (the parcel table, by the newest heads), what every store holds
 * (holdings), who is about to fetch what (claims), and what this host is after itself (pursuits). From these it grabs what
 * has too few copies, lets go what has too many (dropping), and what nobody wants any more (expiring). Whatever may have changed a decision about a parcel marks its row; marked rows are looked at before
 * the step ends, so that a step costs what changed and not the whole.
 */
import { Auditing } from './auditing.js';
import type { Chance } from './chance.js';
import { chooseSource, type SourceChoice } from './choose-source.js';
import { ClaimBudget } from './claim-budget.js';
import { importanceOf, isLeft } from './claim-order.js';
import { CLAIM_MS_MAX, Claims } from './claims.js';
import type { ClusterConfig, Member } from './cluster-config.js';
import { Dropping } from './dropping.js';
import type { Effect, FetchFailure, Input, PastAbsence } from './effects.js';
import { Expiring } from './expiring.js';
import { assert, unreachable } from './fault.js';
import { decideGrab, type GrabVerdict, type GrabView, rankMaxOf } from './grab.js';
import { Holdings } from './holdings.js';
import type { LogPosition, LogSegment } from './holdings-log.js';
import { Hosts, type HostView } from './hosts.js';
import type { HostId, Nonce, ParcelId, SourceId, StoreId } from './ids.js';
import type { Liveness } from './liveness.js';
import {
  CLAIMS_PER_MESSAGE_MAX,
  FAILED_AUDITS_PER_MESSAGE_MAX,
  type GossipMessage,
  type HeadHint,
  type Heartbeat,
  type StoreReport,
} from './messages.js';
import { MinQueue } from './min-queue.js';
import { OtherHolders } from './other-holders.js';
import { Paces } from './paces.js';
import type { ParcelRef } from './parcel.js';
import { FLAG, ParcelTable, type Row } from './parcel-table.js';
import { type CopyCount, NO_STANDING, Placement } from './placement.js';
import {
  BACK_OFF_MS,
  BACK_OFF_MS_MAX,
  FETCHES_MAX,
  FETCHES_OF_SLOW_MAX,
  FETCHES_PER_SOURCE_MAX,
  NO_ROOM_BACK_OFF_MS,
  PURSUITS_MAX,
  type Pursuit,
  SOURCE_TRIES_MAX,
} from './pursuit.js';
import { Ready, type ReadyRow } from './ready.js';
import { Relocating } from './relocating.js';
import { Room } from './room.js';
import { RowSet } from './row-set.js';
import { RULES, type Rules } from './rules.js';
import { Voice } from './voice.js';
import { Wanted } from './wanted.js';

/** Heartbeats are spread by this much either way, so that hosts do not fall into step. */
const HEARTBEAT_JITTER_PERCENT = 20;
const BOOT_ID_DIGITS = 16;
/** A pace that has grown by this much is told at once: whom others fetch from, and what they leave to us, depends on it. */
const PACE_NEWS = 2;

/** What people are told of one source's parcels. */
export interface SourceSummary {
  readonly parcels: number;
  readonly bytes: number;
  /** Parcels with N copies or more. */
  readonly full: number;
  readonly under: number;
  readonly over: number;
  /** Of the parcels that are short, how many have no copy at all. */
  readonly without: number;
  /** The least number of copies of any parcel; N when there is none. */
  readonly haveMin: number;
}

export interface CopyReport {
  readonly host: HostId;
  readonly store: StoreId;
  readonly counts: boolean;
  readonly liveness: Liveness;
}

export class Machine {
  readonly #self: HostId;
  readonly #chance: Chance;
  readonly #boot: number;
  readonly #bootId: string;
  readonly #table = new ParcelTable();
  readonly #holdings: Holdings;
  readonly #claims = new Claims();
  readonly #hosts: Hosts;
  readonly #placement: Placement;
  readonly #room = new Room();
  readonly #voice = new Voice();
  readonly #wanted = new Wanted(this.#table);
  readonly #dropping: Dropping;
  readonly #expiring: Expiring;
  readonly #relocating: Relocating;
  readonly #auditing: Auditing;
  readonly #ranBeforeMs: number;
  readonly #startedMs: number;
  readonly #pursuits = new Map<Row, Pursuit>();
  #pursuedBytes = 0;
  readonly #fetches = new Map<number, Pursuit>();
  /** Given up, and not known to have ended: until then their bytes may still come to lie in the store. */
  readonly #ending = new Map<number, Pick<Pursuit, 'store' | 'reservedBytes'>>();
  /** Of each source, how many of them; made anew before fetches start. */
  readonly #load = new Map<HostId, number>();
  readonly #failures = new Map<Row, { tries: number; untilMs: number }>();
  /** Missing bytes of parcels whose family is here, where the full size would not fit. */
  readonly #measured = new Map<
    Row,
    { readonly store: StoreId; readonly missingBytes: number; readonly untilMs: number }
  >();
  readonly #measuring = new Set<Row>();
  /** Short, and too large for the room that is left. */
  readonly #noRoom = new Set<Row>();
  /** Head operations on their way into our stores' logs. */
  readonly #keepingHead = new Set<string>();
  readonly #marked = new RowSet();
  readonly #due = new MinQueue();
  readonly #ready = new Ready();
  #config: ClusterConfig | undefined;
  #member: Member | undefined;
  #nowMs: number;
  #effects: Effect[] = [];
  #nextFetch = 1;
  #heartbeatDueMs: number;
  #renewDueMs = Number.POSITIVE_INFINITY;
  #wakeMs = Number.POSITIVE_INFINITY;
  readonly #paces: Paces;
  /** As last told. */
  #toldPace = 0;

  constructor({
    self,
    boot,
    chance,
    nonces,
    config,
    nowMs,
    ranBeforeMs,
    rules = RULES,
    absences = [],
  }: {
    readonly self: HostId;
    /** This start's number: rises with each start of the service. */
    readonly boot: number;
    readonly chance: Chance;
    /** Names each attempt to drop by 128 random bits that were never used: not from `chance`, whose seed is small. */
    readonly nonces: () => Nonce;
    readonly config: ClusterConfig;
    readonly nowMs: number;
    /** How long this host ran in its earlier starts, in ms: expiry is counted in it. */
    readonly ranBeforeMs: number;
    /** Others than `RULES` only to show what they are for. */
    readonly rules?: Rules;
    /** What `note-absence` told of in the last 14 days, in earlier lives. */
    readonly absences?: readonly PastAbsence[];
  }) {
    this.#self = self;
    this.#boot = boot;
    this.#bootId = nonces().slice(0, BOOT_ID_DIGITS);
    this.#chance = chance;
    this.#nowMs = nowMs;
    this.#startedMs = nowMs;
    this.#ranBeforeMs = ranBeforeMs;
    this.#heartbeatDueMs = nowMs;
    this.#holdings = new Holdings(this.#table, rules);
    this.#hosts = new Hosts(self, config.timing, {
      logsOf: host => this.#holdings.slotsOf(host).map(slot => this.#holdings.position(slot)),
      absences: absences.map(({ agoMs, ...absence }) => ({ ...absence, endedAtMs: nowMs - agoMs })),
    });
    this.#paces = new Paces({
      saidOf: host => this.#hosts.paceBytesPerS(host),
      fastest: () => this.#hosts.fastestBytesPerS,
    });
    const machine = this;
    const ownView = {
      host: self,
      member: () => machine.#member,
      mounted: (store: StoreId) => machine.#room.takesParcels(store),
      get weightMiB() {
        return machine.#room.weightMiB;
      },
      get version() {
        return machine.#room.version;
      },
    };
    const seen = { table: this.#table, holdings: this.#holdings, hosts: this.#hosts, self: ownView };
    this.#placement = new Placement({ ...seen, rules });
    const shared = {
      table: this.#table,
      others: new OtherHolders({ ...seen, placement: this.#placement }),
      wanted: this.#wanted,
      nowMs: () => this.#nowMs,
      heldIn: (row: Row) => this.#heldIn(row),
      memberOf: (host: HostId) => (host === self ? this.#member : this.#hosts.believed(host)),
      emit: (effect: Effect) => void this.#effects.push(effect),
      lookAgain: (row: Row, atMs?: number) => this.#lookAgain(row, atMs),
      lookLater: (row: Row, atMs: number) => this.#lookLater(row, atMs),
    };
    this.#dropping = new Dropping({
      ...shared,
      self,
      placement: this.#placement,
      chance,
      nonces,
      rules,
      config: () => this.#configured(),
      returnedAtMs: host => this.#hosts.get(host)?.returnedAtMs,
      isDraining: store => !this.#room.takesParcels(store),
      isExpiring: row => this.#expiring.isExpiring(row),
      isRelocated: row => this.#relocating.isLeaving(row),
      keepUntilMs: row => this.#relocating.keepUntilMs(row),
      isPressed: store => this.#noRoom.size > 0 || this.#room.isOver(store),
    });
    this.#relocating = new Relocating({
      ...shared,
      self,
      config: () => this.#configured(),
      roomiest: () => this.#room.roomiest(),
      heldIn: store => this.#rowsIn(store),
      isHeldHere: row => this.#isHeldHere(row),
      holds: (host, row) =>
        this.#holdings.slotsOf(host).some(slot => this.#table.isHeldBy(row, slot) && this.#placement.storeCounts(slot)),
      sayClaim: (row, store) => this.#voice.claim(store, this.#table.id(row), this.#configured().timing.claimMs),
      withdrawClaim: (row, store) => {
        if (!this.#pursuits.has(row)) this.#voice.withdraw(store, this.#table.id(row));
      },
      reserve: (store, bytes) => this.#room.reserveIfFree(store, bytes),
      release: (store, bytes) => this.#room.release(store, bytes),
      take: row => this.#takeOver(row),
      isTaking: row => this.#pursuits.has(row),
    });
    this.#expiring = new Expiring({
      ...shared,
      runMs: () => this.#ranBeforeMs + this.#nowMs - this.#startedMs,
      gcGraceMs: () => this.#configured().timing.gcGraceMs,
      isOurs: row => this.#holdings.slotsOf(self).some(slot => this.#table.isHeldBy(row, slot)),
      heardSeq: source => Math.max(this.#wanted.heardSeq(source), this.#holdings.highestHead(source)),
      isBusy: row => this.#dropping.isBusy(row),
    });
    this.#auditing = new Auditing({
      ...shared,
      self,
      holdings: this.#holdings,
      chance,
      nonces,
      scrubMs: () => this.#configured().timing.scrubMs,
      isWanted: row => this.#table.has(row, FLAG.wanted),
      askState: host => {
        const view = this.#hosts.get(host);
        if (view !== undefined) this.#askState(view);
      },
      canBeAsked: slot => {
        const host = this.#hosts.get(this.#holdings.hostOf(slot));
        return host?.liveness === 'live' && host.connected && this.#placement.storeCounts(slot);
      },
    });
    this.#configure(config);
  }

  /** The one way in. Inputs must not go back in time. */
  step(input: Input): Effect[] {
    this.#nowMs = Math.max(this.#nowMs, input.nowMs);
    this.#effects = [];
    this.#take(input);
    this.#judgeHosts();
    for (const row of this.#claims.expire(this.#nowMs)) this.#marked.add(row);
    for (let row = this.#due.take(this.#nowMs); row !== undefined; row = this.#due.take(this.#nowMs))
      this.#marked.add(row);
    this.#considerMarked();
    this.#claimReady();
    this.#startFetches();
    this.#renewClaims();
    this.#auditing.tick();
    // What counts no more, or again, was looked at by nobody yet.
    this.#considerMarked();
    this.#speak();
    this.#scheduleWake();
    return this.#effects;
  }

  // ------------------------------------------------------------------------------------------------------------ inputs

  #take(input: Input): void {
    switch (input.is) {
      case 'wake':
        // Timers may fire a little early: whatever was asked for is asked for again.
        this.#wakeMs = Number.POSITIVE_INFINITY;
        return;
      case 'config':
        this.#configure(input.config);
        return;
      case 'connected':
        this.#connected(input.host);
        return;
      case 'disconnected': {
        const host = this.#hosts.get(input.host);
        if (host === undefined) return;
        this.#hosts.disconnected(host, this.#nowMs);
        // What only that host could give is given up, so that it keeps nothing else waiting.
        for (const row of this.#pursuits.keys()) this.#marked.add(row);
        return;
      }
      case 'heard':
        this.#hear(input.from, input.message);
        return;
      case 'log':
        this.#applyLog(input.segment, input.relayed === true);
        return;
      case 'state-answered': {
        const host = this.#hosts.get(input.host);
        if (host === undefined) return;
        // What waited for a whole view may go on now.
        if (this.#hosts.answered(host, input.ok, this.#nowMs)) this.#markShort();
        return;
      }
      case 'store':
        this.#storeMeasured(input);
        return;
      case 'store-gone':
        this.#storeGone(input.store);
        return;
      case 'wanted':
        this.#headInForce(input);
        return;
      case 'fetch-progress': {
        const pursuit = this.#fetches.get(input.fetch);
        if (pursuit === undefined) return;
        this.#came(pursuit, input.doneBytes);
        return;
      }
      case 'fetched':
        this.#fetched(input);
        return;
      case 'fetch-failed':
        this.#fetchFailed(input.fetch, input.because, input.retryAfterMs);
        return;
      case 'measured': {
        const row = this.#table.find(input.parcel);
        if (row === undefined) return;
        this.#measuring.delete(row);
        // What could not be told (nobody had the record) is taken for nothing saved, and asked again later.
        const untilMs = input.missingBytes === undefined ? this.#nowMs + NO_ROOM_BACK_OFF_MS : Number.POSITIVE_INFINITY;
        const missingBytes = input.missingBytes ?? this.#table.bytes(row);
        this.#measured.set(row, { store: input.store, missingBytes, untilMs });
        if (untilMs !== Number.POSITIVE_INFINITY) this.#due.push(row, untilMs);
        this.#marked.add(row);
        return;
      }
      case 'head-kept':
        this.#keepingHead.delete(`${input.store} ${input.source}`);
        this.#ownOps(input.segment);
        this.#keepHeads();
        return;
      case 'head-not-kept':
        this.#keepingHead.delete(`${input.store} ${input.source}`);
        return;
      case 'own-ops':
        this.#room.used(input.segment.end.store, input.usedBytes);
        this.#ownOps(input.segment);
        return;
      case 'audited':
        this.#auditing.audited(input);
        return;
      case 'own-proved':
        this.#dropping.ownProved(input);
        return;
      case 'own-not-proved':
        this.#dropping.ownNotProved(input);
        return;
      case 'grant-answered':
        this.#dropping.grantAnswered(input);
        return;
      case 'dropped':
        this.#dropping.dropped(input);
        this.#removed(input.segment, input.usedBytes);
        return;
      case 'not-dropped':
        this.#dropping.notDropped(input);
        return;
      case 'grant-asked':
        this.#dropping.grantAsked(input, this.#table.find(input.parcel));
        return;
      case 'possession-read':
        this.#dropping.possessionRead(input);
        return;
      case 'relocation-offered':
        this.#relocating.offered(input);
        return;
      case 'relocation-answered':
        this.#relocating.answered(input);
        return;
      case 'expired':
      case 'not-expired': {
        const row = this.#table.find(input.parcel);
        if (row !== undefined) this.#expiring.ended(row, input.is === 'expired');
        if (input.is === 'expired') this.#removed(input.segment, input.usedBytes);
        return;
      }
      case 'identified': {
        const row = this.#table.find(input.parcel);
        if (row !== undefined) this.#expiring.identified(row, input.source);
        return;
      }
      case 'unwanted-before':
        this.#expiring.recall(input);
        return;
      default:
        unreachable(input);
    }
  }

  #configure(config: ClusterConfig): void {
    const isOther = config.version !== this.#config?.version;
    this.#config = config;
    this.#member = config.members.find(member => member.host === this.#self);
    this.#hosts.configure(config, this.#nowMs);
    this.#wanted.configure(config);
    if (isOther) this.#dropping.configChanged();
    this.#auditing.configured();
    this.#heartbeatDueMs = Math.min(this.#heartbeatDueMs, this.#nowMs + this.#hosts.heartbeatIntervalMs);
    this.#markWanted();
  }

  #connected(id: HostId): void {
    const host = this.#hosts.get(id);
    if (host === undefined) return;
    this.#hosts.connected(host, this.#nowMs);
    this.#askState(host);
    // What nobody could give may be had from this one.
    this.#markShort();
    // Say what we have to somebody who may have missed it: the next heartbeat is due at once.
    this.#heartbeatDueMs = this.#nowMs;
  }

  #hear(from: HostId, message: GossipMessage): void {
    const host = this.#hosts.get(from);
    if (host === undefined) return;
    switch (message.kind) {
      case 'heartbeat':
        this.#hearHeartbeat(host, message);
        return;
      case 'log':
        if (message.segment.host === from) this.#applyLog(message.segment);
        return;
      case 'heads':
        for (const hint of message.heads) this.#wanted.hear(hint);
        if (message.heads.some(hint => this.#wanted.isNews(hint))) this.#askState(host);
        return;
      case 'claims': {
        if (host.member.state !== 'active' || host.member.trust !== 'trusted') return;
        for (const { parcel, ttlMs } of message.claims.slice(0, CLAIMS_PER_MESSAGE_MAX)) {
          const known = this.#table.find(parcel);
          // A flood of claims must not make rows, which stay for ever.
          if (known === undefined && !this.#claims.mayClaim(from)) break;
          const row = known ?? this.#table.rowOf(parcel);
          // It keeps this host from what it was not after yet: that is seen when its turn comes.
          if (!this.#claims.hear(row, from, this.#nowMs + Math.min(ttlMs, CLAIM_MS_MAX))) break;
        }
        for (const parcel of message.withdrawn.slice(0, CLAIMS_PER_MESSAGE_MAX)) {
          const row = this.#table.find(parcel);
          if (row === undefined) continue;
          this.#claims.withdraw(row, from);
          this.#marked.add(row);
        }
        return;
      }
      case 'failed-audits':
        if (host.member.state === 'active' && host.member.trust === 'trusted' && !host.isSetAside)
          this.#auditing.heard(message.failed.slice(0, FAILED_AUDITS_PER_MESSAGE_MAX));
        return;
      case 'config':
        // Configurations are compared and fetched by membership, which alone can judge them.
        return;
      default:
        unreachable(message);
    }
  }

  #hearHeartbeat(host: HostView, heartbeat: Heartbeat): void {
    const boot = this.#hosts.heardBoot(host, heartbeat, this.#nowMs);
    if (boot === 'older') return;
    if (boot === 'duplicate') {
      this.#setAside(host);
      return;
    }
    if (host.isSetAside && this.#nowMs >= host.setAsideUntilMs) this.#takeBack(host);
    const roomBefore = host.freeBytes;
    // Before its first heartbeat a host's stores are taken as its logs have them.
    const storesBefore = host.heartbeat === undefined ? undefined : host.reports;
    const changed = this.#hosts.heartbeat(host, heartbeat, this.#nowMs);
    if (heartbeat.configVersion > this.#configured().version) this.#effects.push({ do: 'ask-config', host: host.id });
    const behind = this.#isBehind(host);
    if (!host.caughtUp && behind) this.#askState(host);
    else if (!host.caughtUp) this.#caughtUp(host);
    else if (behind) this.#hosts.expectNews(host, this.#nowMs);
    // Another machine with its identity wrote a later log and is off now: by our question it learns of that.
    else if (heartbeat.stores.some(({ position }) => this.#holdings.isPastEpoch(host.id, position)))
      this.#askState(host);
    if (!changed) return;
    // A store that came or went counts or not from now on; more room elsewhere only changes who is asked first.
    if (storesBefore === undefined || !haveSameKeys(storesBefore, host.reports)) {
      this.#markHeldBy(host.id);
      for (const slot of this.#holdings.slotsOf(host.id)) {
        if (!this.#placement.storeCounts(slot)) continue;
        for (const row of this.#table.heldBy(slot)) this.#claims.withdraw(row, host.id);
      }
    }
    if (host.freeBytes > roomBefore && roomBefore === 0) this.#markShort();
  }

  #setAside(host: HostView): void {
    if (host.isSetAside) return;
    this.#hosts.setAside(host, true);
    this.#effects.push({ do: 'note-duplicate', host: host.id, duplicate: true });
    this.#markHeldBy(host.id);
  }

  /** The alternation has ended: one of the two is off. */
  #takeBack(host: HostView): void {
    this.#hosts.setAside(host, false);
    this.#effects.push({ do: 'note-duplicate', host: host.id, duplicate: false });
    this.#markHeldBy(host.id);
  }

  /** It has said more than has reached us. */
  #isBehind({ id, heartbeat }: HostView): boolean {
    if (heartbeat === undefined) return false;
    if (heartbeat.headsDigest !== this.#wanted.digest()) return true;
    return heartbeat.stores.some(({ position }) => !this.#holdings.hasReached(id, position));
  }

  #caughtUp(host: HostView): void {
    host.caughtUp = true;
    this.#markShort();
  }

  #applyLog(segment: LogSegment, relayed = false): void {
    const applied = this.#holdings.apply(segment);
    switch (applied.outcome) {
      case 'known':
      case 'stale':
        return;
      case 'ask': {
        const writer = this.#hosts.get(segment.host);
        if (applied.because === 'mismatch' && !relayed) {
          for (const row of this.#holdings.restart(segment.host, segment.end.store)) this.#marked.add(row);
          const restarted = this.#holdings.slotOf(segment.host, segment.end.store);
          if (restarted !== undefined) this.#auditing.restarted(restarted);
          // What it held looks lost until it is read again.
          if (writer !== undefined) this.#hosts.awaitLogs(writer, this.#nowMs);
        }
        if (writer !== undefined) this.#askState(writer);
        return;
      }
      case 'extended': {
        // A copy in a store that no heartbeat has named yet does not count: until one does, or its time is up, the claim
        // stands for it.
        const slot = this.#holdings.slotOf(segment.host, segment.end.store);
        const counts = slot !== undefined && this.#placement.storeCounts(slot);
        if (slot !== undefined) this.#auditing.told(slot, applied.rows);
        if (segment.host === this.#self) this.#relocating.holdingsChanged();
        for (const row of applied.rows) {
          if (counts) {
            this.#claims.withdraw(row, segment.host);
            this.#noteTaken(segment.host, row);
          }
          if (segment.host === this.#self) this.#dropping.entered(row);
          this.#marked.add(row);
        }
        return;
      }
      default:
        unreachable(applied);
    }
  }

  /**
   * Operations that one of our own stores has just made durable: they count from now on, and others must hear of them.
   * Commits that share a segment bring it twice; each operation is taken once.
   */
  #ownOps(segment: LogSegment): void {
    const { store, seq } = segment.end;
    const slot = this.#holdings.slotOf(this.#self, store);
    const knownSeq = slot === undefined ? 0 : this.#holdings.position(slot).seq;
    this.#applyLog(segment);
    if (seq <= knownSeq) return;
    const ops = segment.ops.slice(Math.max(0, knownSeq - (seq - segment.ops.length)));
    for (const op of ops) if (op.op === 'del' || op.op === 'corrupt') this.#expiring.left(this.#table.rowOf(op.parcel));
    this.#voice.tell(segment, ops, { nowMs: this.#nowMs, heartbeatMs: this.#configured().timing.heartbeatMs });
  }

  /** A copy of ours is gone by our own doing: its room is free, and others must hear of it. */
  #removed(segment: LogSegment, usedBytes: number): void {
    this.#room.used(segment.end.store, usedBytes);
    this.#ownOps(segment);
    this.#markNoRoom();
  }

  #storeMeasured(measured: Extract<Input, { is: 'store' }>): void {
    const { isNew, grew } = this.#room.measured(measured);
    if (isNew) {
      this.#markHeldBy(this.#self);
      this.#heartbeatDueMs = this.#nowMs;
    }
    this.#keepHeads();
    if (grew) this.#markShort();
  }

  #storeGone(store: StoreId): void {
    if (!this.#room.remove(store)) return;
    for (const pursuit of [...this.#pursuits.values()]) if (pursuit.store === store) this.#abandon(pursuit);
    for (const [fetch, ending] of this.#ending) if (ending.store === store) this.#ending.delete(fetch);
    this.#dropping.storeGone(store);
    this.#relocating.storeGone(store);
    this.#markHeldBy(this.#self);
    this.#heartbeatDueMs = this.#nowMs;
  }

  #headInForce({ source, head, add, remove, notNewest, newestAgain }: Extract<Input, { is: 'wanted' }>): void {
    for (const ref of add) {
      const row = this.#wanted.list(source, ref);
      this.#table.set(row, FLAG.newest, true);
      this.#marked.add(row);
    }
    for (const parcel of remove) {
      const row = this.#table.find(parcel);
      if (row === undefined) continue;
      this.#wanted.unlist(source, row);
      this.#marked.add(row);
    }
    for (const [parcels, flag, on] of [
      [notNewest, FLAG.newest, false],
      [newestAgain, FLAG.newest, true],
    ] as const) {
      for (const parcel of parcels) {
        const row = this.#table.find(parcel);
        if (row === undefined) continue;
        this.#table.set(row, flag, on);
        this.#marked.add(row);
      }
    }
    if (!this.#wanted.takeHead(head)) return;
    this.#effects.push({ do: 'gossip', message: { kind: 'heads', heads: [head] } });
    this.#keepHeads();
  }

  #fetched({ fetch, receivedBytes, segment, usedBytes }: Extract<Input, { is: 'fetched' }>): void {
    const pursuit = this.#fetches.get(fetch);
    this.#room.used(segment.end.store, usedBytes);
    if (pursuit === undefined) this.#endedAfterAll(fetch);
    else {
      this.#came(pursuit, Math.max(pursuit.doneBytes, receivedBytes));
      this.#release(pursuit);
      this.#failures.delete(pursuit.row);
    }
    // The copy is there even when the pursuit was given up meanwhile: the log says so.
    this.#ownOps(segment);
  }

  #fetchFailed(fetch: number, because: FetchFailure, retryAfterMs: number): void {
    const pursuit = this.#fetches.get(fetch);
    if (pursuit === undefined) {
      this.#endedAfterAll(fetch);
      return;
    }
    const { from } = pursuit;
    this.#endFetch(pursuit);
    pursuit.stage = 'cleared';
    this.#countFailure(pursuit.row);
    pursuit.tries += 1;
    const { tries } = pursuit;
    if (from !== undefined) {
      // What it has not, or has wrong, it will not have right in a moment.
      const restMs = because === 'gone' || because === 'bad-bytes' ? BACK_OFF_MS_MAX : backOffMs(tries);
      pursuit.avoidUntilMs.set(from, this.#nowMs + Math.max(retryAfterMs, because === 'busy' ? 0 : restMs));
      // Keep the claim and ask another source, or this one later.
      if (tries < SOURCE_TRIES_MAX && this.#mayAskOn(pursuit, because)) return;
    }
    this.#failed(pursuit, because === 'no-room' || because === 'disk' ? NO_ROOM_BACK_OFF_MS : retryAfterMs);
  }

  /** Whether it lay with the source, so that asking on makes sense. */
  #mayAskOn({ row, avoidUntilMs }: Pursuit, because: FetchFailure): boolean {
    switch (because) {
      case 'busy':
      case 'unreachable':
        return true;
      case 'gone':
      case 'bad-bytes':
        return this.#sourcesOf(row).some(
          source =>
            this.#hosts.get(source)?.connected === true &&
            (avoidUntilMs.get(source) ?? Number.NEGATIVE_INFINITY) <= this.#nowMs,
        );
      case 'no-room':
      case 'disk':
      case 'cancelled':
        return false;
      default:
        return unreachable(because);
    }
  }

  // ------------------------------------------------------------------------------------------------------ what changed

  #judgeHosts(): void {
    this.#judgeDue();
    // What is held by hosts that are waited for longer now, or no longer, counts until another time.
    for (const host of this.#hosts.judgeOutage(this.#nowMs)) this.#markHeldBy(host.id);
    // Who has just been missed, or is not in an outage any more, may be due once more.
    if (this.#hosts.settle(this.#nowMs) <= this.#nowMs) this.#judgeDue();
    const outage = this.#hosts.outageNews();
    if (outage !== undefined) this.#effects.push({ do: 'note-outage', hosts: outage });
  }

  #judgeDue(): void {
    for (const host of this.#hosts.due(this.#nowMs)) {
      if (this.#nowMs >= host.newsDueMs) {
        host.newsDueMs = Number.POSITIVE_INFINITY;
        if (this.#isBehind(host)) this.#askState(host);
      }
      if (this.#hosts.isToBeAsked(host) && this.#nowMs >= host.askNotBeforeMs) this.#askState(host);
      const absence = this.#hosts.learnAbsence(host, this.#nowMs);
      if (absence !== undefined) this.#effects.push({ do: 'note-absence', absence });
      if (this.#nowMs < host.livenessNextMs && host.liveness === 'live') continue;
      if (!this.#hosts.judge(host, this.#nowMs)) continue;
      this.#effects.push({ do: 'note-liveness', host: host.id, state: host.liveness });
      if (host.liveness === 'live') this.#askState(host);
      if (host.liveness === 'dead') for (const row of this.#claims.forgetHost(host.id)) this.#marked.add(row);
      this.#markHeldBy(host.id);
      // Its absence can leave a parcel with one place, which then is short though it was not.
      this.#markFrom(host.id);
      this.#markShort();
    }
  }

  #askState(writer: HostView): void {
    // Only the writer's own word settles what it holds; while it is out of reach, anybody who has read it may tell.
    const asked = writer.connected ? writer : this.#hosts.someConnected();
    if (asked !== undefined && this.#hosts.mayAsk(asked, this.#nowMs)) {
      this.#effects.push({ do: 'ask-state', host: asked.id });
    }
  }

  #markHeldBy(host: HostId): void {
    for (const slot of this.#holdings.slotsOf(host)) for (const row of this.#table.heldBy(slot)) this.#marked.add(row);
  }

  #markShort(): void {
    const { short } = this.#table;
    for (let place = 0; place < short.size; place += 1) this.#marked.add(short.at(place));
  }

  #markNoRoom(): void {
    for (const row of this.#noRoom) if (this.#storeFor(row) !== undefined) this.#marked.add(row);
  }

  /** The wanted rows of a host's own sources: its live files are places too. */
  #markFrom(origin: HostId): void {
    for (let row = 0; row < this.#table.size; row += 1) {
      if (this.#table.has(row, FLAG.wanted) && this.#wanted.originOf(row) === origin) this.#marked.add(row);
    }
  }

  #markWanted(): void {
    for (let row = 0; row < this.#table.size; row += 1) if (this.#table.has(row, FLAG.wanted)) this.#marked.add(row);
  }

  #keepHeads(): void {
    for (const { store } of this.#room.stores()) {
      const slot = this.#holdings.slotOf(this.#self, store);
      for (const { source, seq } of this.#wanted.heads()) {
        const id = `${store} ${source}`;
        if (slot !== undefined && this.#holdings.headSeq(slot, source) >= seq) continue;
        if (this.#keepingHead.has(id)) continue;
        this.#keepingHead.add(id);
        this.#effects.push({ do: 'keep-head', store, source, seq });
      }
    }
  }

  // ---------------------------------------------------------------------------------------------------------- decisions

  #considerMarked(): void {
    // Taken out first: a look at a row may mark it once more.
    for (let row = this.#marked.take(); row !== undefined; row = this.#marked.take()) this.#consider(row);
  }

  #consider(row: Row): void {
    this.#noRoom.delete(row);
    this.#expiring.consider(row);
    const copiesWanted = this.#wanted.copiesWanted(row);
    const pursuit = this.#pursuits.get(row);
    if (copiesWanted === undefined) {
      this.#table.setShortSince(row, Number.NaN);
      this.#ready.remove(row);
      this.#failures.delete(row);
      this.#measured.delete(row);
      if (pursuit !== undefined) this.#abandon(pursuit);
      this.#dropping.consider(row);
      this.#relocating.consider(row, false);
      return;
    }
    const count = this.#count(row);
    this.#relocating.consider(row, count.copies < copiesWanted);
    if (count.copies >= copiesWanted) {
      this.#table.setShortSince(row, Number.NaN);
      this.#table.set(row, FLAG.hadCopies, true);
      this.#failures.delete(row);
    } else if (Number.isNaN(this.#table.shortSinceMs(row))) this.#table.setShortSince(row, this.#nowMs);
    if (count.nextMs !== Number.POSITIVE_INFINITY) this.#lookLater(row, count.nextMs);

    const view = this.#grabView(row, count, copiesWanted);
    const verdict = decideGrab(view);
    if (pursuit !== undefined) this.#reconsider(pursuit, verdict, { count, view });
    else this.#act(row, verdict, { count, view });
    this.#dropping.consider(row);
  }

  #lookAgain(row: Row, atMs?: number): void {
    if (atMs === undefined) this.#marked.add(row);
    else this.#due.push(row, atMs);
  }

  /**
   * … for who asks so at every look: once, however many looks there are until then. Else each look would leave another one
   * behind, and that one another.
   */
  #lookLater(row: Row, atMs: number): void {
    const dueMs = this.#table.lookAtMs(row);
    if (dueMs > this.#nowMs && dueMs <= atMs) return;
    this.#table.setLookAt(row, atMs);
    this.#due.push(row, atMs);
  }

  #reconsider(pursuit: Pursuit, verdict: GrabVerdict, { count, view }: Considered): void {
    if (verdict.act === 'decline') {
      this.#abandon(pursuit);
      return;
    }
    if (pursuit.stage !== 'claimed' || this.#nowMs < pursuit.lookAgainMs) return;
    const isSentTwice = !pursuit.relocated && this.#isSentTwice(pursuit.source, count, view.betterClaims);
    if (verdict.act === 'grab' && !isSentTwice) pursuit.stage = 'cleared';
    else this.#abandon(pursuit);
  }

  /** What comes over a slow link comes once: who claims it has it soon, and then it can be had from there. */
  #isSentTwice(source: HostId, { copies }: CopyCount, claims: number): boolean {
    return copies === 0 && claims > 0 && this.#paces.isSlow(source);
  }

  #act(row: Row, verdict: GrabVerdict, { count, view }: Considered): void {
    switch (verdict.act) {
      case 'grab': {
        const source = this.#giverOf(row);
        if (source === undefined || this.#isSentTwice(source, count, view.claims)) this.#ready.remove(row);
        else this.#ready.push(row, this.#importance(row, source, { count, view }), source);
        return;
      }
      case 'wait': {
        this.#ready.remove(row);
        // Where others are at it, the end of a claim brings the row up again.
        if (verdict.untilMs !== Number.POSITIVE_INFINITY) this.#lookLater(row, verdict.untilMs);
        return;
      }
      case 'decline':
        this.#ready.remove(row);
        if (verdict.because !== 'no-room') return;
        this.#noRoom.add(row);
        this.#measureIfFamilyIsHere(row);
        this.#relocating.considerStuck(row, { copies: count.copies, claims: view.claims });
        return;
      default:
        unreachable(verdict);
    }
  }

  #importance(row: Row, source: HostId, { count, view }: Considered): number {
    return importanceOf({
      newest: this.#table.has(row, FLAG.newest),
      copies: count.copies,
      claims: view.claims,
      rank: view.rank,
      bytes: this.#table.bytes(row),
      left: this.#paces.isLeftToFaster(source, this.#nowMs),
    });
  }

  #grabView(row: Row, count: CopyCount, copiesWanted: number): GrabView {
    const origin = this.#wanted.knownOriginOf(row);
    const claimants = this.#claims.on(row);
    const { timing } = this.#configured();
    const pursuit = this.#pursuits.get(row);
    const held = this.#isHeldHere(row);
    // Ranking asks every host; where the cheaper answers already say no, it is left out.
    const mayHold = this.#member?.state === 'active' && this.#member.trust === 'trusted' && this.#room.size > 0;
    const needed = pursuit?.relocated === true || (count.copies < copiesWanted && !count.domainTaken);
    const undecided = mayHold && !held && origin !== this.#self && needed;
    const repair = this.#table.has(row, FLAG.hadCopies);
    const stepMs = repair ? timing.repairStepMs : timing.stepMs;
    const lastPlace = repair && count.liveCopies <= 1;
    const shortSinceMs = this.#table.shortSinceMs(row);
    const rankMax =
      pursuit !== undefined || lastPlace
        ? 0
        : rankMaxOf({ copiesWanted, stepMs, shortForMs: this.#nowMs - shortSinceMs });
    const standing = undecided
      ? this.#placement.standing(row, origin, copiesWanted, { claimants, rankMax })
      : NO_STANDING;
    return {
      nowMs: this.#nowMs,
      wanted: true,
      isOrigin: origin === this.#self,
      held,
      copiesWanted,
      copies: count.copies,
      relocated: pursuit?.relocated === true,
      domainTaken: count.domainTaken,
      mayHold,
      hasRoom: undecided && this.#storeFor(row) !== undefined,
      hasSource: undecided && this.#sourcesOf(row).some(source => this.#hosts.get(source)?.connected === true),
      rank: standing.rank,
      claims: standing.claims,
      betterClaims: standing.betterClaims,
      ownDomainClaimed: standing.ownDomainClaimed,
      ownDomainBetterClaimed: standing.ownDomainBetterClaimed,
      shortSinceMs,
      stepMs,
      lastPlace,
      claimed: pursuit !== undefined,
      notBeforeMs: this.#failures.get(row)?.untilMs ?? Number.NEGATIVE_INFINITY,
    };
  }

  #claimReady(): void {
    if (this.#ready.size === 0) return;
    const completeAtMs = this.#hosts.viewCompleteAtMs(this.#nowMs);
    if (completeAtMs > this.#nowMs) return;
    const budget = new ClaimBudget({
      pursuits: this.#pursuits.values(),
      paces: this.#paces,
      claimWaitMs: this.#configured().timing.claimWaitMs,
    });
    const mayTake = (source: HostId, importance: number): boolean =>
      budget.allows(source) && !(isLeft(importance) && this.#paces.isLeftToFaster(source, this.#nowMs));
    while (this.#pursuits.size < PURSUITS_MAX) {
      const ready = this.#ready.take(mayTake);
      if (ready === undefined) return;
      budget.spend(ready.source, this.#claimIfStillDue(ready));
    }
  }

  /** @returns the bytes reserved; 0 when something else has become of it since it was ready. */
  #claimIfStillDue({ row, importance }: ReadyRow): number {
    const copiesWanted = this.#wanted.copiesWanted(row);
    if (copiesWanted === undefined || this.#pursuits.has(row)) return 0;
    const count = this.#count(row);
    const view = this.#grabView(row, count, copiesWanted);
    const verdict = decideGrab(view);
    const source = this.#giverOf(row);
    if (verdict.act !== 'grab' || source === undefined || this.#isSentTwice(source, count, view.claims)) {
      this.#act(row, verdict, { count, view });
      return 0;
    }
    const importanceNow = this.#importance(row, source, { count, view });
    if (importanceNow > importance) {
      this.#ready.push(row, importanceNow, source);
      return 0;
    }
    this.#relocating.giveRoomBack(row);
    return this.#claim(row, source, false);
  }

  /** @returns the bytes reserved. */
  #claim(row: Row, source: HostId, relocated: boolean): number {
    const place = this.#storeFor(row);
    assert(place !== undefined, 'a grab without room');
    const { timing } = this.#configured();
    const pursuit: Pursuit = {
      row,
      store: place.store,
      source,
      reservedBytes: place.needBytes,
      purpose: this.#table.has(row, FLAG.hadCopies) ? 'repair' : 'grab',
      relocated,
      stage: relocated ? 'cleared' : 'claimed',
      lookAgainMs: this.#nowMs + timing.claimWaitMs,
      fetch: undefined,
      from: undefined,
      doneBytes: 0,
      renewedBytes: 0,
      tries: 0,
      avoidUntilMs: new Map(),
    };
    this.#room.reserve(place.store, place.needBytes);
    this.#pursuits.set(row, pursuit);
    this.#pursuedBytes += pursuit.reservedBytes;
    this.#sayClaim(pursuit);
    this.#due.push(row, pursuit.lookAgainMs);
    this.#renewDueMs = Math.min(this.#renewDueMs, this.#nowMs + timing.claimMs / 3);
    return place.needBytes;
  }

  /** Takes a parcel over from a host that is too full. @returns false when it cannot. */
  #takeOver(row: Row): boolean {
    if (this.#pursuits.has(row) || this.#pursuits.size >= PURSUITS_MAX || this.#isHeldHere(row)) return false;
    if (this.#member?.state !== 'active' || this.#member.trust !== 'trusted') return false;
    if (this.#wanted.knownOriginOf(row) === this.#self || this.#storeFor(row) === undefined) return false;
    this.#relocating.giveRoomBack(row);
    this.#claim(row, this.#giverOf(row) ?? this.#wanted.knownOriginOf(row), true);
    return true;
  }

  #startFetches(): void {
    if (this.#pursuits.size === this.#fetches.size) return;
    this.#load.clear();
    let slow = 0;
    for (const { from } of this.#fetches.values()) {
      if (from === undefined) continue;
      this.#load.set(from, (this.#load.get(from) ?? 0) + 1);
      if (this.#paces.isSlow(from)) slow += 1;
    }
    let others = this.#fetches.size - slow;
    for (const pursuit of this.#pursuits.values()) {
      if (others >= FETCHES_MAX && slow >= FETCHES_OF_SLOW_MAX) return;
      if (pursuit.stage !== 'cleared') continue;
      const source = this.#chooseSource(pursuit.row, pursuit.avoidUntilMs, this.#load);
      if (source.from === undefined) {
        // Nobody to ask now: every source has its time not to be asked before.
        if (source.nextMs !== Number.POSITIVE_INFINITY) this.#lookLater(pursuit.row, source.nextMs);
        continue;
      }
      const isSlow = this.#paces.isSlow(source.from);
      const load = this.#load.get(source.from) ?? 0;
      if (isSlow ? slow >= FETCHES_OF_SLOW_MAX || load > 0 : others >= FETCHES_MAX || load >= FETCHES_PER_SOURCE_MAX)
        continue;
      this.#load.set(source.from, load + 1);
      if (isSlow) slow += 1;
      else others += 1;
      this.#startFetch(pursuit, source.from);
    }
  }

  #startFetch(pursuit: Pursuit, from: HostId): void {
    pursuit.stage = 'fetching';
    pursuit.fetch = this.#nextFetch;
    pursuit.from = from;
    pursuit.doneBytes = 0;
    pursuit.renewedBytes = 0;
    this.#nextFetch += 1;
    this.#fetches.set(pursuit.fetch, pursuit);
    this.#paces.began(from, this.#nowMs);
    this.#effects.push({
      do: 'fetch',
      fetch: pursuit.fetch,
      parcel: this.#table.id(pursuit.row),
      store: pursuit.store,
      from,
      purpose: pursuit.purpose,
    });
  }

  /** So much of a fetch is here now. */
  #came(pursuit: Pursuit, doneBytes: number): void {
    if (pursuit.from !== undefined)
      this.#paces.came(pursuit.from, Math.max(0, doneBytes - pursuit.doneBytes), this.#nowMs);
    pursuit.doneBytes = doneBytes;
    if (this.#paces.own >= PACE_NEWS * this.#toldPace && this.#paces.own > 0) this.#heartbeatDueMs = this.#nowMs;
  }

  #endFetch(pursuit: Pursuit): void {
    if (pursuit.fetch === undefined) return;
    this.#fetches.delete(pursuit.fetch);
    pursuit.fetch = undefined;
    if (pursuit.from !== undefined) this.#paces.ended(pursuit.from, this.#nowMs);
  }

  /** Somebody has a copy: its first one may well have come from the origin. */
  #noteTaken(host: HostId, row: Row): void {
    const source = this.#wanted.originOf(row);
    if (host === this.#self || source === undefined) return;
    this.#paces.took(host, { source, bytes: this.#table.bytes(row), nowMs: this.#nowMs });
  }

  /** Who would give a row now; undefined when nobody is connected who could. */
  #giverOf(row: Row): HostId | undefined {
    return this.#chooseSource(row, NOTHING_AVOIDED, NO_LOAD).from;
  }

  #chooseSource(
    row: Row,
    avoidUntilMs: ReadonlyMap<HostId, number>,
    load: ReadonlyMap<HostId, number>,
  ): SourceChoice<HostId> {
    return chooseSource({
      origin: this.#wanted.knownOriginOf(row),
      holders: this.#holdersOf(row),
      isConnected: host => this.#hosts.get(host)?.connected === true,
      hopedOf: host => this.#paces.hopedOf(host),
      load,
      avoidUntilMs,
      turn: row,
      nowMs: this.#nowMs,
    });
  }

  #holdersOf(row: Row): readonly HostId[] {
    return this.#table.holders(row, []).map(slot => this.#holdings.hostOf(slot));
  }

  /** The origin, and every host that says it holds the row. */
  #sourcesOf(row: Row): readonly HostId[] {
    return [this.#wanted.knownOriginOf(row), ...this.#holdersOf(row)];
  }

  #failed(pursuit: Pursuit, leastMs: number): void {
    const tries = this.#failures.get(pursuit.row)?.tries ?? 1;
    const untilMs = this.#nowMs + Math.max(leastMs, this.#chance.jitter(backOffMs(tries), 50));
    this.#failures.set(pursuit.row, { tries, untilMs });
    this.#abandon(pursuit);
    this.#due.push(pursuit.row, untilMs);
  }

  #countFailure(row: Row): void {
    const tries = (this.#failures.get(row)?.tries ?? 0) + 1;
    this.#failures.set(row, { tries, untilMs: this.#failures.get(row)?.untilMs ?? Number.NEGATIVE_INFINITY });
  }

  /** Gives a pursuit up: its fetch ends, its claim is withdrawn, then its room is free. What was verified stays for another try. */
  #abandon(pursuit: Pursuit): void {
    const { fetch } = pursuit;
    if (fetch === undefined) this.#release(pursuit);
    else {
      this.#effects.push({ do: 'cancel-fetch', fetch });
      this.#ending.set(fetch, pursuit);
      this.#forget(pursuit);
    }
    this.#voice.withdraw(pursuit.store, this.#table.id(pursuit.row));
    this.#marked.add(pursuit.row);
  }

  #release(pursuit: Pursuit): void {
    this.#forget(pursuit);
    this.#giveRoomBack(pursuit);
  }

  #giveRoomBack({ store, reservedBytes }: Pick<Pursuit, 'store' | 'reservedBytes'>): void {
    this.#room.release(store, reservedBytes);
    this.#markNoRoom();
  }

  /** A fetch that was given up has ended, with a copy or without. */
  #endedAfterAll(fetch: number): void {
    const ending = this.#ending.get(fetch);
    if (ending === undefined) return;
    this.#ending.delete(fetch);
    this.#giveRoomBack(ending);
  }

  #forget(pursuit: Pursuit): void {
    if (this.#pursuits.delete(pursuit.row)) this.#pursuedBytes -= pursuit.reservedBytes;
    this.#measured.delete(pursuit.row);
    this.#endFetch(pursuit);
  }

  /** The store that takes a row: the one that holds its family, else the roomiest that has room. */
  #storeFor(row: Row): { readonly store: StoreId; readonly needBytes: number } | undefined {
    const kept = this.#relocating.roomFor(row);
    // Unless the store lends less since: what was reserved is not there then.
    if (kept !== undefined && this.#room.takesParcels(kept.store) && !this.#room.isOver(kept.store)) return kept;
    const measured = this.#measured.get(row);
    return this.#room.placeFor(
      store => (measured?.store === store ? measured.missingBytes : this.#table.bytes(row)),
      store => this.#holdsFamily(row, store),
    );
  }

  /** Where the whole does not fit, what is missing of it may: the family's blobs are here. */
  #measureIfFamilyIsHere(row: Row): void {
    if (this.#measuring.has(row) || this.#nowMs < (this.#measured.get(row)?.untilMs ?? Number.NEGATIVE_INFINITY))
      return;
    for (const { store, draining } of this.#room.stores()) {
      if (draining || !this.#holdsFamily(row, store)) continue;
      this.#measuring.add(row);
      this.#effects.push({ do: 'measure', parcel: this.#table.id(row), store });
      return;
    }
  }

  /** Every row in a store of ours. */
  *#rowsIn(store: StoreId): IterableIterator<Row> {
    const slot = this.#holdings.slotOf(this.#self, store);
    if (slot !== undefined) yield* this.#table.heldBy(slot);
  }

  #holdsFamily(row: Row, store: StoreId): boolean {
    const slot = this.#holdings.slotOf(this.#self, store);
    if (slot === undefined) return false;
    for (const other of this.#table.familyOf(row)) if (this.#table.isHeldBy(other, slot)) return true;
    return false;
  }

  // ------------------------------------------------------------------------------------------------------------- speech

  #sayClaim({ row, store }: Pursuit): void {
    const { claimMs } = this.#configured().timing;
    const pace = this.#paces.own / Math.max(1, this.#fetches.size);
    const transferMs = pace > 0 ? (3 * this.#table.bytes(row) * 1000) / pace : 0;
    this.#voice.claim(store, this.#table.id(row), Math.ceil(Math.max(claimMs, transferMs)));
  }

  /** A claim lives by progress: a fetch that moves renews its own and those that queue behind it. */
  #renewClaims(): void {
    if (this.#nowMs < this.#renewDueMs) return;
    this.#renewDueMs = Number.POSITIVE_INFINITY;
    if (this.#pursuits.size === 0) return;
    const moving = [...this.#fetches.values()].filter(({ doneBytes, renewedBytes }) => doneBytes > renewedBytes);
    for (const pursuit of this.#pursuits.values()) {
      const moves = pursuit.stage === 'fetching' ? moving.includes(pursuit) : moving.length > 0;
      if (moves) this.#sayClaim(pursuit);
    }
    for (const pursuit of moving) pursuit.renewedBytes = pursuit.doneBytes;
    this.#renewDueMs = this.#nowMs + this.#configured().timing.claimMs / 3;
  }

  #speak(): void {
    const isDue = this.#nowMs >= this.#heartbeatDueMs;
    for (const message of this.#voice.speak({ nowMs: this.#nowMs, all: isDue }))
      this.#effects.push({ do: 'gossip', message });
    if (!isDue) return;
    this.#effects.push({ do: 'gossip', message: this.heartbeat() });
    this.#toldPace = this.#paces.own;
    this.#heartbeatDueMs = this.#nowMs + this.#chance.jitter(this.#hosts.heartbeatIntervalMs, HEARTBEAT_JITTER_PERCENT);
  }

  /** What this host says of itself: gossiped, and told first to whoever asks over a stream. */
  heartbeat(): Heartbeat {
    const stores: StoreReport[] = [];
    for (const { store, lentBytes, usedBytes, reservedBytes, weightMiB, draining } of this.#room.stores()) {
      const slot = this.#holdings.slotOf(this.#self, store);
      if (slot === undefined || draining) continue;
      stores.push({
        position: this.#holdings.position(slot),
        lentBytes,
        usedBytes: usedBytes + reservedBytes,
        weightMiB,
      });
    }
    return {
      kind: 'heartbeat',
      boot: this.#boot,
      bootId: this.#bootId,
      stores,
      configVersion: this.#configured().version,
      headsDigest: this.#wanted.digest(),
      paceBytesPerS: Math.round(this.#paces.own),
    };
  }

  #scheduleWake(): void {
    let atMs = Math.min(
      this.#heartbeatDueMs,
      this.#voice.dueMs,
      this.#renewDueMs,
      this.#due.first,
      this.#claims.firstEndMs,
      this.#auditing.dueMs,
      this.#hosts.settle(this.#nowMs),
    );
    if (this.#ready.size > 0) {
      const completeAtMs = this.#hosts.viewCompleteAtMs(this.#nowMs);
      if (completeAtMs > this.#nowMs) atMs = Math.min(atMs, completeAtMs);
    }
    if (atMs === this.#wakeMs && atMs > this.#nowMs) return;
    this.#wakeMs = atMs;
    this.#effects.push({ do: 'wake', atMs });
  }

  // ---------------------------------------------------------------------------------------------------------- questions

  #configured(): ClusterConfig {
    assert(this.#config !== undefined, 'no configuration');
    return this.#config;
  }

  #isHeldHere(row: Row): boolean {
    return this.#heldIn(row) !== undefined;
  }

  /** The store of ours that holds the row. */
  #heldIn(row: Row): StoreId | undefined {
    for (const { store } of this.#room.stores()) {
      const slot = this.#holdings.slotOf(this.#self, store);
      if (slot !== undefined && this.#table.isHeldBy(row, slot)) return store;
    }
    return undefined;
  }

  #count(row: Row, withHead?: { readonly source: SourceId; readonly seq: number }): CopyCount {
    return this.#placement.count(row, this.#wanted.knownOriginOf(row), this.#nowMs, withHead);
  }

  /** Copies of a wanted parcel that count; with `headSeq` only those whose stores durably hold that head or a later one. */
  copies(parcel: ParcelId, headSeq?: number): number {
    const row = this.#table.find(parcel);
    const source = row === undefined ? undefined : this.#wanted.sourceOf(row);
    if (row === undefined || source === undefined) return 0;
    return this.#count(row, headSeq === undefined ? undefined : { source, seq: headSeq }).copies;
  }

  /** N of a parcel that a listed snapshot wants; undefined for any other. */
  wantedCopies(parcel: ParcelId): number | undefined {
    const row = this.#table.find(parcel);
    return row === undefined ? undefined : this.#wanted.copiesWanted(row);
  }

  /** False when a page gives the parcel another key or size than this: its page and its record contradict each other. */
  fits({ id, key, bytes }: ParcelRef): boolean {
    const row = this.#table.find(id);
    if (row === undefined || this.#table.source(row) < 0) return true;
    return this.#table.key(row) === key && this.#table.bytes(row) === bytes;
  }

  /** The store of ours that holds the parcel, by its log. */
  storeOf(parcel: ParcelId): StoreId | undefined {
    const row = this.#table.find(parcel);
    return row === undefined ? undefined : this.#heldIn(row);
  }

  /** By its page; undefined for a parcel that none has described. */
  bytesOf(parcel: ParcelId): number | undefined {
    const row = this.#table.find(parcel);
    return row === undefined || this.#table.source(row) < 0 ? undefined : this.#table.bytes(row);
  }

  /** What is kept free in a store of ours for what is claimed or on its way. */
  reservedBytes(store: StoreId): number {
    for (const own of this.#room.stores()) if (own.store === store) return own.reservedBytes;
    return 0;
  }

  /** The origin of a parcel that the catalog has described. */
  originOf(parcel: ParcelId): HostId | undefined {
    const row = this.#table.find(parcel);
    return row === undefined ? undefined : this.#wanted.originOf(row);
  }

  /** What the listed snapshots of a source reference. */
  *wanted(source: SourceId): IterableIterator<ParcelRef> {
    for (const row of this.#wanted.rowsOf(source))
      yield { id: this.#table.id(row), key: this.#table.key(row), bytes: this.#table.bytes(row) };
  }

  /** Every store that says it holds the parcel, and whether that counts. */
  holders(parcel: ParcelId): readonly CopyReport[] {
    const row = this.#table.find(parcel);
    if (row === undefined) return [];
    return this.#table.holders(row, []).map(slot => {
      const host = this.#holdings.hostOf(slot);
      return {
        host,
        store: this.#holdings.position(slot).store,
        counts: this.#placement.storeCounts(slot),
        liveness: this.#placement.livenessOf(host),
      };
    });
  }

  /** How far every log has been read: what to ask others from. */
  positions(): IterableIterator<{ readonly host: HostId; readonly position: LogPosition }> {
    return this.#holdings.positions();
  }

  head(source: SourceId): HeadHint | undefined {
    return this.#wanted.head(source);
  }

  copiesWanted(source: SourceId): number | undefined {
    return this.#wanted.copiesOf(source);
  }

  host(host: HostId): Readonly<HostView> | undefined {
    return this.#hosts.get(host);
  }

  /** Of the parcels that a host holds: how many would have too few copies without it, and how many of these none. */
  without(host: HostId): { readonly under: number; readonly lost: number } {
    let under = 0;
    let lost = 0;
    for (const row of new Set(this.#holdings.slotsOf(host).flatMap(slot => [...this.#table.heldBy(slot)]))) {
      const copiesWanted = this.#wanted.copiesWanted(row);
      if (copiesWanted === undefined) continue;
      const domains = new Set<string | undefined>();
      for (const slot of this.#table.holders(row, [])) {
        const holder = this.#holdings.hostOf(slot);
        if (holder !== host && this.#placement.storeCounts(slot)) domains.add(this.#placement.domainOf(holder));
      }
      if (domains.size < copiesWanted) under += 1;
      if (domains.size === 0) lost += 1;
    }
    return { under, lost };
  }

  summary(source: SourceId): SourceSummary {
    const copiesWanted = this.#wanted.copiesOf(source);
    const summary = { parcels: 0, bytes: 0, full: 0, under: 0, over: 0, without: 0, haveMin: copiesWanted ?? 0 };
    if (copiesWanted === undefined) return summary;
    for (const row of this.#wanted.rowsOf(source)) {
      const { copies } = this.#count(row);
      summary.parcels += 1;
      summary.bytes += this.#table.bytes(row);
      if (copies >= copiesWanted) summary.full += 1;
      if (copies < copiesWanted) summary.under += 1;
      if (copies > copiesWanted) summary.over += 1;
      if (copies === 0) summary.without += 1;
      summary.haveMin = Math.min(summary.haveMin, copies);
    }
    return summary;
  }

  /** Claims, fetches and attempts to drop of this host, and claims of others that still stand. */
  pending(): {
    readonly pursuits: number;
    readonly fetches: number;
    readonly othersClaims: number;
    readonly attempts: number;
    readonly relocations: number;
  } {
    return {
      pursuits: this.#pursuits.size,
      fetches: this.#fetches.size,
      othersClaims: this.#claims.size,
      attempts: this.#dropping.size,
      relocations: this.#relocating.size,
    };
  }
}

/** What a look at a row has found, for what follows from its verdict. */
interface Considered {
  readonly count: CopyCount;
  readonly view: GrabView;
}

const NOTHING_AVOIDED: ReadonlyMap<HostId, number> = new Map();
const NO_LOAD: ReadonlyMap<HostId, number> = new Map();

const haveSameKeys = <Key>(a: ReadonlyMap<Key, unknown>, b: ReadonlyMap<Key, unknown>): boolean =>
  a.size === b.size && [...a.keys()].every(key => b.has(key));

const backOffMs = (tries: number): number => Math.min(BACK_OFF_MS_MAX, BACK_OFF_MS * 2 ** Math.min(tries - 1, 16));
