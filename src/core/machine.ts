/**
 * The host machine: everything that one host decides, as one synchronous function of its inputs.
 *
 * `step(input)` returns effects; the daemon carries them out on real disks and networks, the simulator in virtual time.
 * The machine has no clock (each input says when it happened), no dice (a seeded generator is handed in), and does no
 * I/O.
 *
 * It keeps who is there (hosts), what is wanted (the parcel table, by the newest heads), what every store holds
 * (holdings), and who is about to fetch what (claims). It learns this from other hosts (listening), from logs
 * (log-reading) and from its own stores (own-holdings).
 *
 * It grabs what has too few copies (pursuing), drops what has too many (dropping), removes what nobody wants any
 * longer (expiring), makes room for what fits nowhere (relocating), and asks others to prove what they say they hold
 * (auditing). Whatever may change a decision about a parcel marks its row (marks); marked rows are considered before
 * the step ends. This file only passes inputs and looks to the parts that handle them; `known` answers questions.
 */
import { Auditing } from './auditing.js';
import type { Chance } from './chance.js';
import { Claims } from './claims.js';
import type { ClusterConfig, Member } from './cluster-config.js';
import { Dropping } from './dropping.js';
import type { Effect, Input, PastAbsence } from './effects.js';
import { Expiring } from './expiring.js';
import { assert, unreachable } from './fault.js';
import { Fitting } from './fitting.js';
import { Heeding } from './heeding.js';
import { HeldHere } from './held-here.js';
import { HOLDINGS_LIMITS, Holdings, type HoldingsLimits } from './holdings.js';
import { Hosts } from './hosts.js';
import { type HostId, type Nonce, type SourceId, type StoreId, splitSourceId } from './ids.js';
import { Known } from './known.js';
import { Listening } from './listening.js';
import { LogReading } from './log-reading.js';
import { Marks } from './marks.js';
import type { Heartbeat, StoreReport } from './messages.js';
import { OtherHolders } from './other-holders.js';
import { OwnHoldings } from './own-holdings.js';
import { FLAG, ParcelTable, type Row } from './parcel-table.js';
import { type CopyCount, Placement } from './placement.js';
import { Pursuing } from './pursuing.js';
import { Relocating } from './relocating.js';
import { Room } from './room.js';
import { RULES, type Rules } from './rules.js';
import { StorePresences } from './store-presence.js';
import { REMOVAL_RESTS, StoreRests } from './store-rests.js';
import { TakingBack } from './taking-back.js';
import { Voice } from './voice.js';
import { Wanted } from './wanted.js';

/** Heartbeats are spread by this much either way, so that hosts do not fall into step. */
const HEARTBEAT_JITTER_PERCENT = 20;
/**
 * The next heartbeat comes at most this long after a host has connected, in ms. Sooner is not needed: both hosts ask
 * each other for their state at once, and that includes a heartbeat.
 */
const HELLO_MS = 1_000;
const BOOT_ID_DIGITS = 16;

export interface MachineOptions {
  readonly self: HostId;
  /** This start's number: rises with each start of the service. */
  readonly boot: number;
  readonly chance: Chance;
  /** Names each attempt to drop by 128 random bits that were never used. Not from `chance`: its seed is small. */
  readonly nonces: () => Nonce;
  readonly config: ClusterConfig;
  readonly nowMs: number;
  /** How long this host ran in its earlier starts, in ms. Expiry is counted in running time. */
  readonly ranBeforeMs: number;
  /** Default: `RULES`. Others are given only to show what a rule is for. */
  readonly rules?: Rules;
  /** Default: `HOLDINGS_LIMITS`. Others are given only to show what a limit is for. */
  readonly limits?: HoldingsLimits;
  /** The absences of the last 14 days that earlier starts reported by `note-absence`. */
  readonly absences?: readonly PastAbsence[];
  /** SECRET_WORDS random words, so that nobody can choose ids that take long to look up (byte-index.ts). Default: none. */
  readonly secret?: Int32Array;
}

/** A head of a source. A copy counted with it must lie in a store that holds this head or a later one. */
interface HeadSeq {
  readonly source: SourceId;
  readonly seq: number;
}

export class Machine {
  readonly #self: HostId;
  readonly #chance: Chance;
  readonly #boot: number;
  readonly #bootId: string;
  readonly #table: ParcelTable;
  readonly #holdings: Holdings;
  readonly #claims = new Claims();
  readonly #hosts: Hosts;
  readonly #placement: Placement;
  readonly #room = new Room();
  readonly #takingBack = new TakingBack(this.#room);
  readonly #voice = new Voice();
  readonly #wanted: Wanted;
  readonly #dropping: Dropping;
  readonly #expiring: Expiring;
  readonly #relocating: Relocating;
  readonly #auditing: Auditing;
  readonly #fitting: Fitting;
  readonly #pursuing: Pursuing;
  readonly #logs: LogReading;
  readonly #listening: Listening;
  readonly #marks: Marks;
  readonly #ownHoldings: OwnHoldings;
  /** Answers questions about what the machine knows. */
  readonly known: Known;
  #config: ClusterConfig | undefined;
  #member: Member | undefined;
  #nowMs: number;
  /**
   * Connected hosts, members or not: a host that was let in may be written down as a member while it is connected. The
   * driver limits how many it lets in.
   */
  readonly #connections = new Set<HostId>();
  #effects: Effect[] = [];
  /** When this host came back after it was off so long that others took it for dead; dated back by `#wasOff`. */
  #returnedAtMs = Number.NEGATIVE_INFINITY;
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
    secret,
  }: MachineOptions) {
    this.#table = new ParcelTable(secret);
    this.#wanted = new Wanted(this.#table);
    this.#self = self;
    this.#boot = boot;
    this.#bootId = nonces().slice(0, BOOT_ID_DIGITS);
    this.#chance = chance;
    this.#nowMs = nowMs;
    this.#heartbeatDueMs = nowMs;
    this.#holdings = new Holdings(this.#table, {
      self,
      compareEpochs: rules.compareEpochs,
      limits,
      // Before a host's first heartbeat, its stores are taken as its logs have them.
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
    const ownView = ownViewOf(self, this.#room, () => this.#member);
    const seen = { table: this.#table, holdings: this.#holdings, hosts: this.#hosts, self: ownView };
    this.#placement = new Placement({ ...seen, rules });
    const kept = {
      self,
      table: this.#table,
      holdings: this.#holdings,
      hosts: this.#hosts,
      placement: this.#placement,
      wanted: this.#wanted,
      claims: this.#claims,
      room: this.#room,
      voice: this.#voice,
      takingBack: this.#takingBack,
      nowMs: () => this.#nowMs,
    };
    this.#marks = new Marks(kept);
    const shared = {
      ...kept,
      marks: this.#marks,
      heeding: new Heeding(kept),
      here: new HeldHere(kept),
      presences: new StorePresences(kept),
      others: new OtherHolders({
        ...seen,
        placement: this.#placement,
        copiesWanted: row => this.#wanted.copiesWanted(row),
      }),
      rests: new StoreRests(REMOVAL_RESTS),
      rules,
      chance,
      nonces,
      runMs: () => ranBeforeMs + this.#nowMs - nowMs,
      config: () => this.#configured(),
      member: () => this.#member,
      memberOf: (host: HostId) => (host === self ? this.#member : this.#hosts.believed(host)),
      count: (row: Row, withHead?: HeadSeq) => this.#count(row, withHead),
      emit: (effect: Effect) => void this.#effects.push(effect),
      sayNow: () => {
        this.#heartbeatDueMs = this.#nowMs;
      },
    };
    // Each part comes after those that it needs. Where two need each other, one gets a function that returns the other.
    const relocating = new Relocating({
      ...shared,
      pursuing: () => this.#pursuing,
      isDropping: row => this.#dropping.isDropping(row),
    });
    const fitting = new Fitting({ ...shared, relocating });
    const expiring = new Expiring({ ...shared, isBusy: row => this.#dropping.isBusy(row) });
    const returnedAtMs = (host: HostId): number | undefined => this.#returnedAtMsOf(host);
    const dropping = new Dropping({ ...shared, relocating, fitting, expiring, returnedAtMs });
    const pursuing = new Pursuing({ ...shared, relocating, fitting });
    const auditing = new Auditing({
      ...shared,
      isFromHere: row => this.#member?.trust === 'trusted' && this.#wanted.originsOf(row).includes(self),
      isWanted: row => this.#table.has(row, FLAG.wanted),
      askState: host => {
        const view = this.#hosts.get(host);
        if (view !== undefined) this.#listening.askState(view);
      },
    });
    const logs = new LogReading({
      ...shared,
      auditing,
      pursuing,
      askState: writer => this.#listening.askState(writer),
      ownChanged: row => this.#ownHoldings.changed(row),
    });
    this.#listening = new Listening({ ...shared, auditing, logs });
    this.#ownHoldings = new OwnHoldings({ ...shared, fitting, logs, expiring, pursuing, dropping, relocating });
    this.known = new Known({ ...shared, self: ownView, auditing, dropping, fitting, pursuing, relocating });
    this.#relocating = relocating;
    this.#fitting = fitting;
    this.#expiring = expiring;
    this.#dropping = dropping;
    this.#pursuing = pursuing;
    this.#auditing = auditing;
    this.#logs = logs;
    this.#configure(config);
  }

  /** The one way in. Inputs must not go back in time. */
  step(input: Input): Effect[] {
    this.#nowMs = Math.max(this.#nowMs, input.nowMs);
    this.#effects = [];
    this.#take(input);
    this.#listening.judge();
    for (const row of this.#claims.expire(this.#nowMs)) this.#marks.mark(row);
    if (this.#room.liftCeilings(this.#nowMs)) this.#ownHoldings.moreRoom();
    this.#marks.due();
    this.#considerMarked();
    this.#pursuing.advance();
    this.#auditing.tick();
    this.#dropping.heedPressure();
    // The calls above may have marked rows: copies stopped counting, or count again.
    this.#considerMarked();
    this.#speak();
    this.#scheduleWake();
    return this.#effects;
  }

  /**
   * Others may have made new copies meanwhile of what this host holds, so they wait before they drop the surplus that
   * its return brings. So does this host, for half the time it was off, and no longer than they do: a host that is off
   * every night would otherwise never drop anything.
   */
  #wasOff(forMs: number): void {
    const { deadMs, returnMs } = this.#configured().timing;
    if (forMs > deadMs) this.#returnedAtMs = this.#nowMs - returnMs + Math.min(returnMs, forMs / 2);
  }

  // ------------------------------------------------------------------------------------------------------------ inputs

  #take(input: Input): void {
    switch (input.is) {
      case 'wake':
        // Timers may fire a little early: every wake that is still needed is asked for again.
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
      case 'earlier-start':
        this.#listening.hearEarlierStart(input.from);
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
        // Rows that waited for a complete view may go on now.
        const differs = this.#listening.whatDiffers(host);
        if (this.#hosts.answered(host, { ok: input.ok, differs, nowMs: this.#nowMs })) this.#marks.short();
        return;
      }
      case 'store':
        this.#ownHoldings.measured(input);
        return;
      case 'store-gone':
        this.#ownHoldings.gone(input.store);
        return;
      case 'store-hangs':
        this.#ownHoldings.hangs(input.store, input.hangs);
        return;
      case 'paused':
        this.#pursuing.pause(input.paused);
        this.#dropping.pause(input.paused);
        if (input.paused) this.#relocating.pause();
        // What was due meanwhile is looked at once more.
        if (!input.paused) this.#marks.wanted();
        return;
      case 'wanted':
        this.#headInForce(input);
        return;
      case 'fetch-progress':
        this.#pursuing.progressed(input.fetch, input);
        return;
      case 'fetched':
        this.#room.used(input.segment.end.store, input.usedBytes);
        this.#pursuing.fetched(input);
        // The copy is there even if the pursuit was given up meanwhile: the log says so.
        this.#ownHoldings.wrote(input.segment);
        return;
      case 'fetch-failed':
        this.#pursuing.fetchFailed(input.fetch, input.because, input.retryAfterMs);
        return;
      case 'measured':
        this.#fitting.measured(input);
        return;
      case 'head-kept':
        this.#ownHoldings.headKept(input);
        return;
      case 'head-not-kept':
        this.#ownHoldings.headNotKept(input);
        return;
      case 'own-ops':
        this.#room.used(input.segment.end.store, input.usedBytes);
        this.#ownHoldings.wrote(input.segment);
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
        this.#ownHoldings.removed(input.segment, input.usedBytes);
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
        if (input.is === 'expired') this.#ownHoldings.removed(input.segment, input.usedBytes);
        return;
      }
      case 'identified': {
        const row = this.#table.find(input.parcel);
        if (row !== undefined) this.#expiring.identified(row, input.source);
        return;
      }
      case 'was-off':
        this.#wasOff(input.forMs);
        return;
      case 'unwanted-before':
        this.#expiring.recall(input);
        return;
      default:
        unreachable(input);
    }
  }

  #configure(config: ClusterConfig): void {
    this.#config = config;
    this.#member = config.members.find(member => member.host === this.#self);
    this.#hosts.configure(config, this.#nowMs);
    this.#wanted.configure(config);
    this.#dropping.configChanged();
    this.#auditing.configured();
    for (const id of this.#connections) if (this.#hosts.get(id)?.connected === false) this.#connected(id);
    this.#heartbeatDueMs = Math.min(this.#heartbeatDueMs, this.#nowMs + this.#hosts.heartbeatIntervalMs);
    this.#marks.wanted();
  }

  #connected(id: HostId): void {
    this.#connections.add(id);
    const host = this.#hosts.get(id);
    if (host === undefined) return;
    this.#hosts.connected(host, this.#nowMs);
    this.#listening.askState(host);
    this.#pursuing.sourceIsBack(id);
    // This host may have what nobody else could give.
    this.#marks.short();
    // Tells a host that may have missed it what this host has: one heartbeat for all that connect at about this time.
    // Where 200 hosts start together, each would otherwise send 199 heartbeats to all.
    this.#heartbeatDueMs = Math.min(this.#heartbeatDueMs, this.#nowMs + HELLO_MS);
  }

  #headInForce({ source, head, add, remove, ...changed }: Extract<Input, { is: 'wanted' }>): void {
    for (const ref of add) {
      const row = this.#wanted.list(source, ref);
      this.#table.set(row, FLAG.newest | FLAG.listed, true);
      this.#marks.mark(row);
    }
    for (const parcel of remove) {
      const row = this.#table.find(parcel);
      if (row === undefined) continue;
      this.#wanted.unlist(source, row);
      this.#marks.mark(row);
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
        this.#marks.mark(row);
      }
    }
    if (!this.#wanted.takeHead(head)) return;
    if (this.#speaksFor(source)) this.#effects.push({ do: 'gossip', message: { kind: 'heads', heads: [head] } });
    this.#ownHoldings.keepHeads();
  }

  /**
   * The origin announces a head to everybody. If every host that takes the head did so too, each of 200 hosts would
   * hear of 200 heads 200 times each. A host that missed a head learns from anybody's next heartbeat that there is
   * something to ask for.
   */
  #speaksFor(source: SourceId): boolean {
    const { origin } = splitSourceId(source);
    return origin === this.#self || this.#hosts.get(origin)?.connected !== true;
  }

  // --------------------------------------------------------------------------------------------------------- decisions

  #considerMarked(): void {
    for (let row = this.#marks.take(); row !== undefined; row = this.#marks.take()) this.#consider(row);
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
    if (count.nextMs !== Number.POSITIVE_INFINITY) this.#marks.lookLater(row, count.nextMs);
    this.#pursuing.consider(row, count, copiesWanted);
    this.#dropping.consider(row);
  }

  // ------------------------------------------------------------------------------------------------------------ speech

  #speak(): void {
    const isDue = this.#nowMs >= this.#heartbeatDueMs;
    if (!this.#isAtWork) this.#voice.hurry(this.#nowMs);
    for (const message of this.#voice.speak({ nowMs: this.#nowMs, all: isDue }))
      this.#effects.push({ do: 'gossip', message });
    if (!isDue) return;
    this.#effects.push({ do: 'gossip', message: this.heartbeat() });
    this.#pursuing.paceTold();
    this.#heartbeatDueMs = this.#nowMs + this.#chance.jitter(this.#hosts.heartbeatIntervalMs, HEARTBEAT_JITTER_PERCENT);
  }

  /** Our stores are about to write more to their logs. */
  get #isAtWork(): boolean {
    return this.#pursuing.size > 0 || this.#fitting.isMeasuring || this.#ownHoldings.isKeepingHeads;
  }

  /** This host's report on itself: gossiped, and sent first to any host that asks over a stream. */
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
        unread: own.unread,
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
      this.#marks.firstDueMs,
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

  // --------------------------------------------------------------------------------------------------------- questions

  #configured(): ClusterConfig {
    assert(this.#config !== undefined, 'no configuration');
    return this.#config;
  }

  /** When the host came back after it was taken for dead; undefined for a host that was not. */
  #returnedAtMsOf(host: HostId): number | undefined {
    if (host !== this.#self) return this.#hosts.get(host)?.returnedAtMs;
    return Math.max(this.#returnedAtMs, this.#ownHoldings.returnedAtMs ?? Number.NEGATIVE_INFINITY);
  }

  #count(row: Row, withHead?: HeadSeq): CopyCount {
    return this.#placement.count(row, this.#wanted.originsOf(row), this.#nowMs, withHead);
  }
}

/** How placement sees this host itself. */
function ownViewOf(host: HostId, room: Room, member: () => Member | undefined) {
  return {
    host,
    member,
    mounted: (store: StoreId) => room.takesParcels(store),
    get weightMiB() {
      return room.weightMiB;
    },
    get version() {
      return room.version;
    },
  };
}
