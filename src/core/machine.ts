/**
 * The host machine: all that one host decides, as one synchronous function of what it is told.
 *
 * `step(input)` returns effects; the daemon carries them out on real disks and networks, the simulator in virtual time.
 * The machine has no clock (each input says when it happened), no dice (a seeded generator is handed in) and does no I/O.
 *
 * It keeps: who is there (hosts), what is wanted (the parcel table, by the newest heads), what every store holds (holdings),
 * and who is about to fetch what (claims), as others say it (listening) and as logs have it (log-reading). From these it grabs
 * what has too few copies (pursuing), lets go what has too many (dropping) and what nobody wants any more (expiring), makes
 * room for what fits nowhere (relocating), and asks others to show what they say they hold (auditing). Whatever may have
 * changed a decision about a parcel marks its row; marked rows are looked at before the step ends, so that a step costs what
 * changed and not the whole.
 */
import { Auditing, type StorePresence } from './auditing.js';
import type { Chance } from './chance.js';
import { Claims } from './claims.js';
import { type ClusterConfig, type Member, mayHoldCopies } from './cluster-config.js';
import { Dropping } from './dropping.js';
import type { Boot } from './duplicate.js';
import type { Effect, Input, PastAbsence } from './effects.js';
import { Expiring } from './expiring.js';
import { assert, unreachable } from './fault.js';
import { Fitting } from './fitting.js';
import { HOLDINGS_LIMITS, Holdings, type HoldingsLimits } from './holdings.js';
import type { LogPosition, LogSegment } from './holdings-log.js';
import type { HostView } from './host-view.js';
import { Hosts } from './hosts.js';
import { type HostId, type Nonce, type ParcelId, type SourceId, type StoreId, splitSourceId } from './ids.js';
import { Listening } from './listening.js';
import type { Liveness } from './liveness.js';
import { LogReading } from './log-reading.js';
import type { HeadHint, Heartbeat, StoreReport } from './messages.js';
import { MinQueue } from './min-queue.js';
import { OtherHolders } from './other-holders.js';
import type { ParcelRef } from './parcel.js';
import { FLAG, ParcelTable, type Row, type StoreSlot } from './parcel-table.js';
import { type CopyCount, Placement } from './placement.js';
import { Pursuing } from './pursuing.js';
import { Relocating } from './relocating.js';
import { Room } from './room.js';
import { RowSet } from './row-set.js';
import { RULES, type Rules } from './rules.js';
import { REMOVAL_RESTS, StoreRests } from './store-rests.js';
import { TakingBack } from './taking-back.js';
import { Voice } from './voice.js';
import { Wanted } from './wanted.js';

/** Heartbeats are spread by this much either way, so that hosts do not fall into step. */
const HEARTBEAT_JITTER_PERCENT = 20;
/** After somebody has connected the next heartbeat comes so soon, in ms. Each asks the other at once for its state, which has one too. */
const HELLO_MS = 1_000;
const BOOT_ID_DIGITS = 16;

/**
 * What people are told of one source's parcels.
 *
 * Too few copies are told of what is listed. What is kept by a hold alone (hold.ts) each host wants for its own running time: one that
 * is on for two hours a day does so for a year when the others have let it go, rightly, after a month, and would call it short
 * for all that time, though nobody can and nobody should do anything about it. While the others want it, too, they make its
 * copies again as any other's.
 */
export interface SourceSummary {
  /** Listed or held. */
  readonly parcels: number;
  readonly bytes: number;
  /** Parcels with N copies or more. */
  readonly full: number;
  /** Listed, with fewer. */
  readonly under: number;
  readonly over: number;
  /** Of the parcels that are listed and short, how many have no copy at all. */
  readonly without: number;
  /** The least number of copies of any parcel that is listed; N when there is none. */
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
  readonly #takingBack = new TakingBack(this.#room);
  readonly #voice = new Voice();
  readonly #wanted = new Wanted(this.#table);
  readonly #dropping: Dropping;
  readonly #expiring: Expiring;
  readonly #relocating: Relocating;
  readonly #auditing: Auditing;
  readonly #fitting: Fitting;
  readonly #pursuing: Pursuing;
  readonly #logs: LogReading;
  readonly #listening: Listening;
  readonly #ranBeforeMs: number;
  readonly #startedMs: number;
  /** Head operations on their way into our stores' logs. */
  readonly #keepingHead = new Set<string>();
  readonly #marked = new RowSet();
  readonly #due = new MinQueue();
  #config: ClusterConfig | undefined;
  #member: Member | undefined;
  #nowMs: number;
  /** Who is connected, members or not: who was let in may be written down as one while the connection stands. As many as the driver lets in. */
  readonly #connections = new Set<HostId>();
  /** When a store of ours came back from wherever it was; undefined where none did since the start. */
  #returnedAtMs: number | undefined;
  #effects: Effect[] = [];
  #heartbeatDueMs: number;
  #wakeMs = Number.POSITIVE_INFINITY;

  constructor({
    self,
    boot,
    chance,
    nonces,
    config,
    nowMs,
    ranBeforeMs,
    rules = RULES,
    limits = HOLDINGS_LIMITS,
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
    /** Others than `HOLDINGS_LIMITS` only to show what they are for. */
    readonly limits?: HoldingsLimits;
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
    this.#holdings = new Holdings(this.#table, {
      self,
      compareEpochs: rules.compareEpochs,
      limits,
      // Before its first heartbeat a host's stores are taken as its logs have them.
      isListed: (host, store) => {
        const view = this.#hosts.get(host);
        return view?.heartbeat === undefined || view.reports.has(store);
      },
      onGivenUp: slot => this.#auditing.givenUp(slot),
    });
    this.#hosts = new Hosts(self, config.timing, {
      logsOf: host => this.#holdings.slotsOf(host).map(slot => this.#holdings.position(slot)),
      absences: absences.map(({ agoMs, ...absence }) => ({ ...absence, endedAtMs: nowMs - agoMs })),
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
      holdings: this.#holdings,
      hosts: this.#hosts,
      placement: this.#placement,
      claims: this.#claims,
      others: new OtherHolders({ ...seen, placement: this.#placement }),
      wanted: this.#wanted,
      nowMs: () => this.#nowMs,
      heldIn: (row: Row) => this.#heldIn(row),
      isOurs: (row: Row) => this.#holdings.slotsOf(self).some(slot => this.#table.isHeldBy(row, slot)),
      memberOf: (host: HostId) => (host === self ? this.#member : this.#hosts.believed(host)),
      emit: (effect: Effect) => void this.#effects.push(effect),
      mark: (row: Row) => void this.#marked.add(row),
      lookAgain: (row: Row, atMs?: number) => this.#lookAgain(row, atMs),
      lookLater: (row: Row, atMs: number) => this.#lookLater(row, atMs),
    };
    const rests = new StoreRests(REMOVAL_RESTS);
    this.#dropping = new Dropping({
      ...shared,
      self,
      rests,
      chance,
      nonces,
      rules,
      config: () => this.#configured(),
      storesOf: row => this.#storesOf(row),
      returnedAtMs: host => (host === self ? this.#returnedAtMs : this.#hosts.get(host)?.returnedAtMs),
      isDraining: store => !this.#room.takesParcels(store),
      isExpiring: row => this.#expiring.isExpiring(row),
      isRelocated: row => this.#relocating.isLeaving(row),
      keepUntilMs: row => this.#relocating.keepUntilMs(row),
      // What finds no room because a disk does not answer has it when that does.
      isPressed: store => (this.#fitting.lacksRoom && !this.#room.hangsAny()) || this.#room.isOver(store),
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
        if (!this.#pursuing.claims(row)) this.#voice.withdraw(store, this.#table.id(row));
      },
      reserve: (store, bytes) => this.#room.reserveIfFree(store, bytes),
      release: (store, bytes) => this.#room.release(store, bytes),
      take: row => this.#pursuing.takeOver(row),
      isTaking: row => this.#pursuing.isAfter(row),
    });
    const runMs = (): number => this.#ranBeforeMs + this.#nowMs - this.#startedMs;
    this.#expiring = new Expiring({
      ...shared,
      rests,
      runMs,
      gcGraceMs: () => this.#configured().timing.gcGraceMs,
      heardSeq: source => this.#heardSeq(source),
      isBusy: row => this.#dropping.isBusy(row),
    });
    this.#fitting = new Fitting({
      ...shared,
      self,
      room: this.#room,
      relocating: () => this.#relocating,
    });
    this.#pursuing = new Pursuing({
      ...shared,
      self,
      fitting: this.#fitting,
      room: this.#room,
      voice: this.#voice,
      chance,
      config: () => this.#configured(),
      member: () => this.#member,
      relocating: () => this.#relocating,
      count: row => this.#count(row),
      sayNow: () => {
        this.#heartbeatDueMs = this.#nowMs;
      },
    });
    const presenceOf = (slot: StoreSlot): StorePresence => {
      const view = this.#hosts.get(this.#holdings.hostOf(slot));
      if (view === undefined || !mayHoldCopies(view.member)) return 'gone';
      if (view.liveness === 'dead') return 'dead';
      if (!this.#placement.storeCounts(slot)) return 'unlisted';
      return view.liveness === 'live' ? 'there' : 'suspect';
    };
    this.#auditing = new Auditing({
      ...shared,
      self,
      chance,
      nonces,
      runMs,
      scrubMs: () => this.#configured().timing.scrubMs,
      deadMaxMs: () => this.#configured().timing.deadMaxMs,
      isFromHere: row => this.#member?.trust === 'trusted' && this.#wanted.originsOf(row).includes(self),
      isWanted: row => this.#table.has(row, FLAG.wanted),
      askState: host => {
        const view = this.#hosts.get(host);
        if (view !== undefined) this.#listening.askState(view);
      },
      presenceOf,
      canBeAsked: slot =>
        presenceOf(slot) === 'there' && this.#hosts.get(this.#holdings.hostOf(slot))?.connected === true,
    });
    this.#logs = new LogReading({
      ...shared,
      self,
      auditing: () => this.#auditing,
      askState: writer => this.#listening.askState(writer),
      taken: (host, row) => this.#pursuing.noteTaken(host, row),
      ownChanged: row => this.#ownChanged(row),
    });
    this.#listening = new Listening({
      ...shared,
      auditing: () => this.#auditing,
      logs: () => this.#logs,
      config: () => this.#configured(),
      isHeeded: (host, source) => this.#isHeeded(host, source),
      markHeldBy: host => this.#markHeldBy(host),
      markFrom: host => this.#markFrom(host),
      markShort: () => this.#markShort(),
    });
    this.#configure(config);
  }

  /** The one way in. Inputs must not go back in time. */
  step(input: Input): Effect[] {
    this.#nowMs = Math.max(this.#nowMs, input.nowMs);
    this.#effects = [];
    this.#take(input);
    this.#listening.judge();
    for (const row of this.#claims.expire(this.#nowMs)) this.#marked.add(row);
    if (this.#room.liftCeilings(this.#nowMs)) this.#moreRoom();
    for (let row = this.#due.take(this.#nowMs); row !== undefined; row = this.#due.take(this.#nowMs))
      this.#marked.add(row);
    this.#considerMarked();
    this.#pursuing.advance();
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
        this.#connections.delete(input.host);
        const host = this.#hosts.get(input.host);
        if (host === undefined) return;
        this.#hosts.disconnected(host, this.#nowMs);
        this.#pursuing.lookAtAll();
        return;
      }
      case 'heard':
        this.#listening.hear(input.from, input.message);
        return;
      case 'log':
        this.#logs.apply(input.segment, input.relayed === true);
        return;
      case 'checkpoint':
        this.#logs.takeCheckpoint(input.piece, input.relayed === true);
        return;
      case 'log-forked':
        this.#logs.readAnew(input.host, input.store);
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
      case 'store-hangs':
        this.#storeHangs(input.store, input.hangs);
        return;
      case 'wanted':
        this.#headInForce(input);
        return;
      case 'fetch-progress':
        this.#pursuing.progressed(input.fetch, input.doneBytes);
        return;
      case 'fetched':
        this.#room.used(input.segment.end.store, input.usedBytes);
        this.#pursuing.fetched(input);
        // The copy is there even when the pursuit was given up meanwhile: the log says so.
        this.#ownOps(input.segment);
        return;
      case 'fetch-failed':
        this.#pursuing.fetchFailed(input.fetch, input.because, input.retryAfterMs);
        return;
      case 'measured':
        this.#fitting.measured(input);
        return;
      case 'head-kept':
        this.#keepingHead.delete(keepId(input.store, input.source));
        this.#ownOps(input.segment);
        this.#keepHeads();
        return;
      case 'head-not-kept':
        this.#keepingHead.delete(keepId(input.store, input.source));
        return;
      case 'own-ops':
        this.#room.used(input.segment.end.store, input.usedBytes);
        this.#ownOps(input.segment);
        return;
      case 'taking-back':
        this.#takingBack.begin(input);
        return;
      case 'taken-back':
        this.#takingBack.end(input.parcel);
        this.#fitting.roomIsFree();
        return;
      case 'audited':
        this.#auditing.audited(input);
        return;
      case 'unanswered-before':
        this.#auditing.recall(input.audits);
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
    for (const id of this.#connections) if (this.#hosts.get(id)?.connected === false) this.#connected(id);
    this.#heartbeatDueMs = Math.min(this.#heartbeatDueMs, this.#nowMs + this.#hosts.heartbeatIntervalMs);
    this.#markWanted();
  }

  #connected(id: HostId): void {
    this.#connections.add(id);
    const host = this.#hosts.get(id);
    if (host === undefined) return;
    this.#hosts.connected(host, this.#nowMs);
    this.#listening.askState(host);
    this.#pursuing.sourceIsBack(id);
    // What nobody could give may be had from this one.
    this.#markShort();
    // Say what we have to somebody who may have missed it, once for all who connect about now: where 200 hosts start, each
    // would else say it 199 times to all.
    this.#heartbeatDueMs = Math.min(this.#heartbeatDueMs, this.#nowMs + HELLO_MS);
  }

  /** A copy of our own has come or gone: what was concluded from those that were here is concluded anew. */
  #ownChanged(row: Row): void {
    this.#relocating.holdingsChanged();
    this.#dropping.entered(row);
    this.#pursuing.copiesChanged(row);
  }

  /**
   * Operations that one of our own stores has just made durable: they count from now on, and others must hear of them.
   * Commits that share a segment bring it twice; each operation is taken once.
   */
  #ownOps(segment: LogSegment): void {
    const { store, seq } = segment.end;
    const slot = this.#holdings.slotOf(this.#self, store);
    const knownSeq = slot === undefined ? 0 : this.#holdings.position(slot).seq;
    this.#logs.apply(segment);
    if (seq <= knownSeq) return;
    const ops = segment.ops.slice(Math.max(0, knownSeq - (seq - segment.ops.length)));
    for (const op of ops) if (op.op === 'del' || op.op === 'corrupt') this.#expiring.left(this.#table.rowOf(op.parcel));
    this.#voice.tell(segment, ops, { nowMs: this.#nowMs, heartbeatMs: this.#configured().timing.heartbeatMs });
  }

  /** A copy of ours is gone by our own doing: its room is free, and others must hear of it. */
  #removed(segment: LogSegment, usedBytes: number): void {
    this.#room.used(segment.end.store, usedBytes);
    this.#ownOps(segment);
    this.#fitting.roomIsFree();
  }

  #storeMeasured(measured: Extract<Input, { is: 'store' }>): void {
    const { isNew, isBack, grew } = this.#room.measured(measured);
    if (isBack) this.#returnedAtMs = this.#nowMs;
    if (isNew) {
      this.#markHeldBy(this.#self);
      this.#heartbeatDueMs = this.#nowMs;
    }
    this.#keepHeads();
    if (grew) this.#markShort();
  }

  /** A store of ours has more than before: for what is short here, and for others to plan on. */
  #moreRoom(): void {
    this.#markShort();
    this.#heartbeatDueMs = this.#nowMs;
  }

  #storeHangs(store: StoreId, hangs: boolean): void {
    if (!this.#room.hangs(store, hangs ? this.#nowMs : Number.POSITIVE_INFINITY)) return;
    this.#heartbeatDueMs = this.#nowMs;
    if (hangs) this.#pursuing.storeHangs(store);
    else this.#moreRoom();
  }

  #storeGone(store: StoreId): void {
    if (!this.#room.remove(store)) return;
    this.#pursuing.storeGone(store);
    this.#dropping.storeGone(store);
    // Nobody may be left to say what became of them.
    for (const { source } of this.#wanted.heads()) this.#keepingHead.delete(keepId(store, source));
    this.#relocating.storeGone(store);
    this.#takingBack.storeGone(store);
    this.#markHeldBy(this.#self);
    this.#heartbeatDueMs = this.#nowMs;
  }

  #headInForce({ source, head, add, remove, ...changed }: Extract<Input, { is: 'wanted' }>): void {
    for (const ref of add) {
      const row = this.#wanted.list(source, ref);
      this.#table.set(row, FLAG.newest | FLAG.listed, true);
      this.#marked.add(row);
    }
    for (const parcel of remove) {
      const row = this.#table.find(parcel);
      if (row === undefined) continue;
      this.#wanted.unlist(source, row);
      this.#marked.add(row);
    }
    for (const [parcels, flag, on] of [
      [changed.notNewest, FLAG.newest, false],
      [changed.newestAgain, FLAG.newest, true],
      [changed.notListed, FLAG.listed, false],
      [changed.listedAgain, FLAG.listed, true],
    ] as const) {
      for (const parcel of parcels) {
        const row = this.#table.find(parcel);
        if (row === undefined) continue;
        this.#table.set(row, flag, on);
        this.#marked.add(row);
      }
    }
    if (!this.#wanted.takeHead(head)) return;
    if (this.#speaksFor(source)) this.#effects.push({ do: 'gossip', message: { kind: 'heads', heads: [head] } });
    this.#keepHeads();
  }

  /**
   * Its origin tells everybody of a head; if all did who take it, 200 hosts would each hear 200 times 200 words of 200 heads.
   * Who missed it sees by the next heartbeat of anybody that there is something to ask for.
   */
  #speaksFor(source: SourceId): boolean {
    const { origin } = splitSourceId(source);
    return origin === this.#self || this.#hosts.get(origin)?.connected !== true;
  }

  // ------------------------------------------------------------------------------------------------------ what changed

  #markHeldBy(host: HostId): void {
    for (const slot of this.#holdings.slotsOf(host)) for (const row of this.#table.heldBy(slot)) this.#marked.add(row);
  }

  #markShort(): void {
    const { short } = this.#table;
    for (let place = 0; place < short.size; place += 1) this.#marked.add(short.at(place));
  }

  /** The wanted rows of a host's own sources: its live files are places too. */
  #markFrom(origin: HostId): void {
    for (let row = 0; row < this.#table.size; row += 1) {
      if (this.#table.has(row, FLAG.wanted) && this.#wanted.originsOf(row).includes(origin)) this.#marked.add(row);
    }
  }

  #markWanted(): void {
    for (let row = 0; row < this.#table.size; row += 1) if (this.#table.has(row, FLAG.wanted)) this.#marked.add(row);
  }

  #keepHeads(): void {
    for (const { store } of this.#room.stores()) {
      const slot = this.#holdings.slotOf(this.#self, store);
      for (const { source, seq } of this.#wanted.heads()) {
        if (slot !== undefined && this.#holdings.headSeq(slot, source) >= seq) continue;
        const id = keepId(store, source);
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
    this.#expiring.consider(row);
    const copiesWanted = this.#wanted.copiesWanted(row);
    if (copiesWanted === undefined) {
      this.#table.setShortSince(row, Number.NaN);
      this.#pursuing.unwanted(row);
      this.#dropping.consider(row);
      this.#relocating.consider(row, false);
      return;
    }
    const count = this.#count(row);
    this.#relocating.consider(row, count.copies < copiesWanted);
    if (count.copies >= copiesWanted) {
      if (this.#table.short.has(row)) this.#pursuing.filled();
      this.#table.setShortSince(row, Number.NaN);
      this.#table.set(row, FLAG.hadCopies, true);
    } else if (Number.isNaN(this.#table.shortSinceMs(row))) this.#table.setShortSince(row, this.#nowMs);
    if (count.nextMs !== Number.POSITIVE_INFINITY) this.#lookLater(row, count.nextMs);
    this.#pursuing.consider(row, count, copiesWanted);
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

  /** Every row in a store of ours. */
  *#rowsIn(store: StoreId): IterableIterator<Row> {
    const slot = this.#holdings.slotOf(this.#self, store);
    if (slot !== undefined) yield* this.#table.heldBy(slot);
  }

  // ------------------------------------------------------------------------------------------------------------- speech

  #speak(): void {
    const isDue = this.#nowMs >= this.#heartbeatDueMs;
    for (const message of this.#voice.speak({ nowMs: this.#nowMs, all: isDue }))
      this.#effects.push({ do: 'gossip', message });
    if (!isDue) return;
    this.#effects.push({ do: 'gossip', message: this.heartbeat() });
    this.#pursuing.paceTold();
    this.#heartbeatDueMs = this.#nowMs + this.#chance.jitter(this.#hosts.heartbeatIntervalMs, HEARTBEAT_JITTER_PERCENT);
  }

  /** What this host says of itself: gossiped, and told first to whoever asks over a stream. */
  heartbeat(): Heartbeat {
    const stores: StoreReport[] = [];
    for (const own of this.#room.stores()) {
      const slot = this.#holdings.slotOf(this.#self, own.store);
      if (slot === undefined || own.draining) continue;
      stores.push({
        position: this.#holdings.position(slot),
        lentBytes: this.#room.lendableBytes(own),
        usedBytes: own.usedBytes + own.reservedBytes,
        weightMiB: own.weightMiB,
      });
    }
    return {
      kind: 'heartbeat',
      boot: this.#boot,
      bootId: this.#bootId,
      stores,
      configVersion: this.#configured().version,
      headsDigest: this.#wanted.digest(),
      paceBytesPerS: this.#pursuing.paceBytesPerS,
    };
  }

  #scheduleWake(): void {
    let atMs = Math.min(
      this.#heartbeatDueMs,
      this.#voice.dueMs,
      this.#pursuing.dueMs,
      this.#due.first,
      this.#claims.firstEndMs,
      this.#room.dueMs,
      this.#auditing.dueMs,
      this.#hosts.settle(this.#nowMs),
    );
    if (this.#pursuing.isReady) {
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

  /** The stores of ours that hold the row, in the order in which they should keep it. */
  #storesOf(row: Row): readonly StoreId[] {
    const holding = [...this.#room.stores()].filter(({ store }) => {
      const slot = this.#holdings.slotOf(this.#self, store);
      return slot !== undefined && this.#table.isHeldBy(row, slot);
    });
    holding.sort((a, b) => Number(this.#room.isBetterKept(b, a)) - Number(this.#room.isBetterKept(a, b)));
    return holding.map(({ store }) => store);
  }

  /** The first store of ours that holds the row. */
  #heldIn(row: Row): StoreId | undefined {
    for (const { store } of this.#room.stores()) {
      const slot = this.#holdings.slotOf(this.#self, store);
      if (slot !== undefined && this.#table.isHeldBy(row, slot)) return store;
    }
    return undefined;
  }

  /**
   * Whether a host's word of a source's newest head keeps what the one in force does not list: else any member could have
   * everything kept for ever. Of its own sources an origin may say what it likes.
   */
  #isHeeded(host: HostId, source: SourceId): boolean {
    if (host === this.#self) return true;
    const member = this.#hosts.believed(host);
    return member !== undefined && (mayHoldCopies(member) || splitSourceId(source).origin === host);
  }

  /**
   * The highest head of a source that a member spoke of who is heeded. Of a revoked origin only what members hold durably counts: what it
   * signed after it was revoked nobody may ever get to see, and its copies would be kept for ever.
   */
  #heardSeq(source: SourceId): number {
    const { origin } = splitSourceId(source);
    const isMember = origin === this.#self || this.#hosts.get(origin) !== undefined;
    const said = isMember ? this.#wanted.heardSeq(source) : 0;
    const held = this.#holdings.highestHead(source, this.#wanted.credibleSeq(source), by => this.#isHeeded(by, source));
    return Math.max(said, held);
  }

  #count(row: Row, withHead?: { readonly source: SourceId; readonly seq: number }): CopyCount {
    return this.#placement.count(row, this.#wanted.originsOf(row), this.#nowMs, withHead);
  }

  /** Copies of a wanted parcel that count; with `headSeq` only those whose stores durably hold that head or a later one. */
  copies(parcel: ParcelId, headSeq?: number): number {
    const row = this.#table.find(parcel);
    const source = row === undefined ? undefined : this.#wanted.sourceOf(row);
    if (row === undefined || source === undefined) return 0;
    return this.#count(row, headSeq === undefined ? undefined : { source, seq: headSeq }).copies;
  }

  /** Some snapshot that is listed, or in its hold, lists the parcel, whether its source is configured now or not. */
  isListed(parcel: ParcelId): boolean {
    const row = this.#table.find(parcel);
    return row !== undefined && this.#table.has(row, FLAG.wanted);
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

  /** What is kept free in a store of ours for what is claimed, on its way, or about to be taken back. */
  reservedBytes(store: StoreId): number {
    for (const own of this.#room.stores()) if (own.store === store) return own.reservedBytes;
    return 0;
  }

  /** … of that, for what is not on its disk yet. The trash must not give way to what is being taken out of it. */
  comingBytes(store: StoreId): number {
    return this.reservedBytes(store) - this.#takingBack.bytesIn(store);
  }

  /** Since `taking-back` told of it: there was room. */
  keepsRoomFor(parcel: ParcelId): boolean {
    return this.#takingBack.has(parcel);
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

  /** The other parcels of its key, the ones that were heard of last first. */
  *family(parcel: ParcelId): IterableIterator<ParcelId> {
    const row = this.#table.find(parcel);
    if (row !== undefined) for (const other of this.#table.familyOf(row)) yield this.#table.id(other);
  }

  /** Every store that says it holds the parcel and did not fail an audit of it since, and whether that counts. */
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

  /** Some store's log says that it holds the parcel, whatever became of its audits: others' word of these ends no hold. */
  isClaimed(parcel: ParcelId): boolean {
    const row = this.#table.find(parcel);
    return row !== undefined && (this.#table.holderCount(row) > 0 || this.#auditing.distrustsOf(row));
  }

  /** Hosts that are heard of and not connected: others are asked for their logs, who may be connected to them. */
  outOfReach(): readonly HostId[] {
    return [...this.#hosts.others()].flatMap(({ id, member, liveness, connected }) =>
      liveness === 'live' && !connected && mayHoldCopies(member) ? [id] : [],
    );
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

  /** The last start of a host that is known of, by whatever way it was heard of; undefined for none. */
  startOf(host: HostId): Boot | undefined {
    return this.#hosts.get(host)?.boots.at(-1);
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
      if (copies > copiesWanted) summary.over += 1;
      if (!this.#table.has(row, FLAG.listed)) continue;
      if (copies < copiesWanted) summary.under += 1;
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
      pursuits: this.#pursuing.size,
      fetches: this.#pursuing.fetches,
      othersClaims: this.#claims.size,
      attempts: this.#dropping.size,
      relocations: this.#relocating.size,
    };
  }
}

const keepId = (store: StoreId, source: SourceId): string => `${store} ${source}`;
