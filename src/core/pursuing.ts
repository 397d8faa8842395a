/**
 * Pursuing: the parcels that this host is fetching or about to fetch, from the verdict of a look to the copy: what it
 * claims, how much and in which order, which source it fetches from, and what follows when a fetch fails.
 *
 * A look decides whether to grab (grab.ts). A parcel that may be grabbed waits until the budget allows a claim
 * (claimed-bytes.ts), the most important first (claim-order.ts). If no better-ranked host has announced a claim, this
 * host announces its own, looks once more, and fetches from the source that is expected to give most (fetching.ts).
 * What our own stores have all of, such as a renamed folder, comes over no link, and is not looked at once more if it
 * may be taken. Room is reserved from before the claim until the fetch has ended (I6).
 *
 * While the host is paused it claims nothing and takes nothing over. It says no word of that: its turn passes, as that
 * of a host that is away, and the next one takes the parcel.
 *
 * Driven by the machine.
 */
import type { Chance } from './chance.js';
import { importanceOf, isLeft } from './claim-order.js';
import { ClaimedBytes } from './claimed-bytes.js';
import type { Claims } from './claims.js';
import { type ClusterConfig, type Member, mayTakeCopies } from './cluster-config.js';
import type { Effect, FetchFailure, Input } from './effects.js';
import { assert, unreachable } from './fault.js';
import { FetchFailures } from './fetch-failures.js';
import { Fetching, type Progress } from './fetching.js';
import type { Fitting } from './fitting.js';
import { Givers } from './givers.js';
import { claimTurnMs, decideGrab, type GrabVerdict, type GrabView } from './grab.js';
import { GrabLooks } from './grab-looks.js';
import type { HeldHere } from './held-here.js';
import type { Holdings } from './holdings.js';
import type { Hosts } from './hosts.js';
import type { HostId, StoreId } from './ids.js';
import type { Marks } from './marks.js';
import type { OtherHolders } from './other-holders.js';
import { Paces } from './paces.js';
import { FLAG, type ParcelTable, type Row } from './parcel-table.js';
import type { CopyCount, Placement } from './placement.js';
import { NO_ROOM_BACK_OFF_MS, PURSUITS_MAX, type Pursuit } from './pursuit.js';
import { Ready, type ReadyRow } from './ready.js';
import type { Relocating } from './relocating.js';
import type { Room } from './room.js';
import type { Voice } from './voice.js';
import type { Wanted } from './wanted.js';

/**
 * A pace that has grown by this factor is announced at once, because others' choice of sources, and what they leave to
 * us, depends on it.
 */
const PACE_NEWS = 2;
/** A fetch that has received less than this share may be given up for a better one. */
const BEGUN_SHARE = 0.25;

/**
 * A fetch into a store that hangs is given up after this, in ms: by then a disk that slept is awake. Its bytes must be
 * fetched again, but while it waits it keeps one of few places from all other fetches.
 */
const FETCH_HANGS_MS = 15_000;

/** What pursuing must know of its machine. */
export interface PursuingContext {
  readonly self: HostId;
  readonly table: ParcelTable;
  readonly holdings: Holdings;
  readonly hosts: Hosts;
  readonly placement: Placement;
  readonly others: Pick<OtherHolders, 'hasTaker'>;
  readonly room: Room;
  readonly fitting: Fitting;
  readonly claims: Claims;
  readonly voice: Voice;
  readonly wanted: Wanted;
  readonly chance: Chance;
  readonly nowMs: () => number;
  readonly config: () => ClusterConfig;
  /** This host as a member; undefined while it is none. */
  readonly member: () => Member | undefined;
  readonly relocating: Pick<Relocating, 'giveRoomBack' | 'considerStuck'>;
  readonly here: Pick<HeldHere, 'isHeldToStay' | 'isReadable'>;
  readonly count: (row: Row) => CopyCount;
  readonly emit: (effect: Effect) => void;
  readonly marks: Pick<Marks, 'mark' | 'lookAgain' | 'lookLater'>;
  /** Makes the next heartbeat due now. */
  readonly sayNow: () => void;
}

/** What a look at a row has found, for acting on its verdict. */
interface Considered {
  readonly count: CopyCount;
  readonly view: GrabView;
}

export class Pursuing {
  readonly #of: PursuingContext;
  readonly #table: ParcelTable;
  readonly #hosts: Hosts;
  readonly #room: Room;
  readonly #voice: Voice;
  readonly #wanted: Wanted;
  readonly #paces: Paces;
  readonly #givers: Givers;
  readonly #looks: GrabLooks;
  readonly #pursuits = new Map<Row, Pursuit>();
  readonly #claimed: ClaimedBytes;
  readonly #fetching: Fetching;
  readonly #failures = new FetchFailures();
  readonly #fitting: Fitting;
  readonly #ready = new Ready();
  /** Rises when a pursuit begins or ends. */
  #version = 0;
  /** Rises when a pursuit is cleared, or a cleared one is looked at: then another source may be able to give it. */
  #clearedVersion = 0;
  /**
   * The version at the last search for something to claim: until it changes, or `#claimsDueMs` comes, a search would
   * find nothing.
   */
  #claimsSoughtOf = -1;
  #claimsDueMs = Number.POSITIVE_INFINITY;
  #filledMs = Number.NEGATIVE_INFINITY;
  #renewDueMs = Number.POSITIVE_INFINITY;
  /** The pace in the last heartbeat. */
  #toldPace = 0;
  #isPaused = false;

  constructor(context: PursuingContext) {
    this.#of = context;
    this.#table = context.table;
    this.#hosts = context.hosts;
    this.#room = context.room;
    this.#fitting = context.fitting;
    this.#voice = context.voice;
    this.#wanted = context.wanted;
    this.#paces = new Paces({
      saidOf: host => this.#hosts.paceBytesPerS(host),
      saidVersion: () => this.#hosts.sourcesVersion,
      fastest: () => this.#hosts.fastestBytesPerS,
    });
    this.#claimed = new ClaimedBytes({
      self: context.self,
      paces: this.#paces,
      claimWaitMs: () => this.#configured().timing.claimWaitMs,
    });
    this.#givers = new Givers({ ...context, paces: this.#paces });
    this.#fetching = new Fetching({ ...context, paces: this.#paces, givers: this.#givers });
    this.#looks = new GrabLooks({
      ...context,
      paces: this.#paces,
      givers: this.#givers,
      pursuitOf: row => this.#pursuits.get(row),
      notBeforeMs: row => this.#failures.untilMs(row),
      claimedBytes: () => this.#claimedBytes,
      filledMs: () => this.#filledMs,
    });
  }

  get size(): number {
    return this.#pursuits.size;
  }

  get fetches(): number {
    return this.#fetching.size;
  }

  /** Rows that may be claimed are waiting. */
  get isReady(): boolean {
    return this.#ready.size > 0;
  }

  /** When claims are to be renewed. */
  get dueMs(): number {
    return this.#renewDueMs;
  }

  /** The rate at which this host receives, in bytes a second, for heartbeats. */
  get paceBytesPerS(): number {
    return Math.round(this.#paces.own);
  }

  /** A heartbeat has announced the pace. */
  paceTold(): void {
    this.#toldPace = this.#paces.own;
  }

  isAfter(row: Row): boolean {
    return this.#pursuits.has(row);
  }

  /** True when this host pursues the row and has announced its claim. */
  claims(row: Row): boolean {
    return this.#pursuits.get(row)?.isClaimed === true;
  }

  /** What is being fetched goes on; claims whose fetch has not begun are withdrawn, so that nobody waits for them. */
  pause(paused: boolean): void {
    this.#isPaused = paused;
    if (paused) this.#abandonNotBegun();
    else this.#version += 1;
  }

  /** Claims, fetches and renews what is due. Called after every row that may have changed was looked at. */
  advance(): void {
    this.#claimReady();
    this.#fetching.start(this.#pursuits, this.#clearedVersion);
    this.#renewClaims();
  }

  // ------------------------------------------------------------------------------------------------------------- looks

  /** The row is no longer wanted. */
  unwanted(row: Row): void {
    const pursuit = this.#pursuits.get(row);
    this.#ready.remove(row);
    this.#fitting.lacksNoMore(row);
    this.#fitting.forgetMeasure(row);
    this.#failures.delete(row);
    if (pursuit !== undefined) this.#abandon(pursuit);
  }

  /** A look at a wanted row. */
  consider(row: Row, count: CopyCount, copiesWanted: number): void {
    this.#fitting.lacksNoMore(row);
    if (count.copies >= copiesWanted) this.#failures.delete(row);
    const pursuit = this.#pursuits.get(row);
    if (pursuit?.stage === 'cleared') this.#clearedVersion += 1;
    const view = this.#looks.at(row, count, copiesWanted);
    const verdict = decideGrab(view);
    if (pursuit !== undefined) this.#reconsider(pursuit, verdict, { count, view });
    else this.#act(row, verdict, { count, view });
  }

  /** A row that was short now has its copies. */
  filled(): void {
    this.#filledMs = this.#nowMs;
  }

  /** A source is gone: pursuits that only it could serve are given up, so that they keep nothing else waiting. */
  lookAtAll(): void {
    for (const row of this.#pursuits.keys()) this.#of.marks.mark(row);
  }

  #reconsider(pursuit: Pursuit, verdict: GrabVerdict, { count, view }: Considered): void {
    if (verdict.act === 'decline' || this.#hangsForLong(pursuit)) {
      this.#abandon(pursuit);
      return;
    }
    if (this.#isBegun(pursuit) && count.copies === 0) {
      const isLeft = this.#paces.isLeftToFaster(pursuit.source, this.#nowMs);
      if (isLeft || this.#isSentTwice(pursuit.source, count, view.betterClaims)) {
        this.#abandon(pursuit);
        return;
      }
    }
    const { stage } = pursuit;
    if (stage !== 'unsaid' && stage !== 'claimed') return;
    if (verdict.act === 'take') {
      if (stage === 'unsaid') this.#sayClaimUnlessDone(pursuit);
      this.#clear(pursuit);
      return;
    }
    if (this.#nowMs < pursuit.lookAgainMs) return;
    const claims = view.unsaid ? view.claims : view.betterClaims;
    const isSentTwice = !pursuit.relocated && this.#isSentTwice(pursuit.source, count, claims);
    if (verdict.act !== 'grab' || isSentTwice) this.#abandon(pursuit);
    else if (stage === 'claimed') this.#clear(pursuit);
    else this.#say(pursuit);
  }

  #clear(pursuit: Pursuit): void {
    pursuit.stage = 'cleared';
    this.#clearedVersion += 1;
  }

  /**
   * The end of such a fetch is not waited for; its room stays reserved until then, and if it ends with a copy, that
   * counts.
   */
  #hangsForLong({ store }: Pursuit): boolean {
    return this.#nowMs >= this.#room.hangsSinceMs(store) + FETCH_HANGS_MS;
  }

  /**
   * Bytes come over a slow link only once: the host that claims the parcel has it soon, and then it can be had from
   * there.
   */
  #isSentTwice(source: HostId, { copies }: CopyCount, claims: number): boolean {
    return copies === 0 && claims > 0 && this.#paces.isSlow(source);
  }

  /**
   * True for a fetch that has just begun from an origin that has turned out to be slow: while nobody's pace is known, N
   * hosts begin with each parcel, and one that gives up now gets the parcel later over a better link.
   */
  #isBegun({ row, stage, from, doneBytes, relocated }: Pursuit): boolean {
    if (stage !== 'fetching' || relocated || from === undefined || !this.#wanted.originsOf(row).includes(from))
      return false;
    return doneBytes < BEGUN_SHARE * this.#table.bytes(row) && this.#paces.isSlow(from);
  }

  #act(row: Row, verdict: GrabVerdict, { count, view }: Considered): void {
    switch (verdict.act) {
      case 'grab':
      case 'take': {
        this.#fitting.lookForFiles(row);
        const source = this.#givers.best(row);
        if (source === undefined || this.#isSentTwice(source, count, view.claims)) this.#ready.remove(row);
        else this.#ready.push(row, this.#importance(row, source, { count, view }), source);
        return;
      }
      case 'wait': {
        this.#ready.remove(row);
        this.#fitting.lookForFiles(row);
        // While others fetch it, the end of a claim brings the row up again.
        if (verdict.untilMs !== Number.POSITIVE_INFINITY) this.#of.marks.lookLater(row, verdict.untilMs);
        return;
      }
      case 'decline':
        this.#ready.remove(row);
        if (verdict.because !== 'no-room') {
          this.#fitting.forgetMeasure(row);
          return;
        }
        this.#fitting.lacks(row);
        if (!this.#isPaused && !this.#room.hangsAny())
          this.#of.relocating.considerStuck(row, { copies: count.copies, claims: view.claims });
        return;
      default:
        unreachable(verdict);
    }
  }

  #importance(row: Row, source: HostId, { count, view }: Considered): number {
    return importanceOf({
      isHere: source === this.#of.self,
      newest: this.#table.has(row, FLAG.newest),
      copies: count.copies,
      claims: view.claims,
      rank: view.rank,
      bytes: this.#table.bytes(row),
      left: this.#paces.isLeftToFaster(source, this.#nowMs),
      tries: this.#room.triesAny && this.#triesDisk(row),
    });
  }

  #triesDisk(row: Row): boolean {
    const place = this.#fitting.placeFor(row);
    return place !== undefined && this.#room.triesWith(place.store, place.needBytes);
  }

  /** Bytes that are claimed and not here yet. */
  get #claimedBytes(): number {
    return this.#claimed.linkedBytes - this.#fetching.doneBytes;
  }

  // ----------------------------------------------------------------------------------------------------------- claims

  #claimReady(): void {
    if (this.#isPaused || this.#ready.size === 0) return;
    if (this.#claimsSoughtOf === this.#claimsVersion && this.#nowMs < this.#claimsDueMs) return;
    const completeAtMs = this.#hosts.viewCompleteAtMs(this.#nowMs);
    if (completeAtMs > this.#nowMs) return;
    this.#claimsDueMs = Number.POSITIVE_INFINITY;
    const mayTake = (source: HostId, importance: number): boolean => {
      if (!this.#claimed.allows(source)) return false;
      const leftUntilMs = isLeft(importance) ? this.#paces.leftUntilMs(source, this.#nowMs) : Number.NEGATIVE_INFINITY;
      if (leftUntilMs < this.#nowMs) return true;
      this.#claimsDueMs = Math.min(this.#claimsDueMs, leftUntilMs);
      return false;
    };
    while (this.#pursuits.size < PURSUITS_MAX) {
      const ready = this.#ready.take(mayTake);
      if (ready === undefined) break;
      this.#claimIfStillDue(ready);
    }
    this.#claimsSoughtOf = this.#claimsVersion;
  }

  /** Rises when another row may become claimable. */
  get #claimsVersion(): number {
    return this.#version + this.#ready.version + this.#paces.version;
  }

  /** Claims the row, unless something has changed since it became ready. */
  #claimIfStillDue({ row, importance }: ReadyRow): void {
    const copiesWanted = this.#wanted.copiesWanted(row);
    if (copiesWanted === undefined || this.#pursuits.has(row)) return;
    const count = this.#of.count(row);
    const view = this.#looks.at(row, count, copiesWanted);
    const verdict = decideGrab(view);
    const source = this.#givers.best(row);
    const isDue = verdict.act === 'grab' || verdict.act === 'take';
    if (!isDue || source === undefined || this.#isSentTwice(source, count, view.claims)) {
      this.#act(row, verdict, { count, view });
      return;
    }
    const importanceNow = this.#importance(row, source, { count, view });
    if (importanceNow > importance) {
      this.#ready.push(row, importanceNow, source);
      return;
    }
    const kept = this.#of.relocating.giveRoomBack(row);
    // Reserved room was based on what is lent; the disk may have refused that much since.
    if (this.#fitting.placeFor(row) === undefined) {
      if (kept !== undefined) this.#voice.withdraw(kept, this.#table.id(row));
      this.#act(row, { act: 'decline', because: 'no-room' }, { count, view });
      return;
    }
    if (verdict.act === 'take') this.#pursue(row, source, { atOnce: true });
    else this.#pursue(row, source, { turnMs: claimTurnMs(view.rank, this.#configured().timing.claimWaitMs) });
  }

  /** @param turnMs how long the claim is held back; one that begins `atOnce` does not wait, nor a `relocated` one */
  #pursue(
    row: Row,
    source: HostId,
    {
      turnMs = 0,
      relocated = false,
      atOnce = relocated,
    }: { readonly turnMs?: number; readonly relocated?: boolean; readonly atOnce?: boolean },
  ): void {
    const place = this.#fitting.placeFor(row);
    assert(place !== undefined, 'a grab without room');
    const pursuit: Pursuit = {
      row,
      store: place.store,
      source,
      reservedBytes: place.needBytes,
      purpose: this.#table.has(row, FLAG.hadCopies) ? 'repair' : 'grab',
      relocated,
      stage: atOnce ? 'cleared' : 'unsaid',
      isClaimed: false,
      lookAgainMs: this.#nowMs + turnMs,
      fetch: undefined,
      from: undefined,
      doneBytes: 0,
      foundBytes: 0,
      renewedBytes: 0,
      hasLost: false,
      tries: 0,
      avoidUntilMs: new Map(),
    };
    this.#room.reserve(place.store, place.needBytes);
    this.#pursuits.set(row, pursuit);
    this.#version += 1;
    this.#claimed.add(source, place.needBytes);
    if (atOnce) {
      this.#clearedVersion += 1;
      this.#sayClaimUnlessDone(pursuit);
    } else if (turnMs === 0) this.#say(pursuit);
    else this.#of.marks.lookAgain(row, pursuit.lookAgainMs);
    this.#renewDueMs = Math.min(this.#renewDueMs, this.#nowMs + this.#configured().timing.claimMs / 3);
  }

  /** Announces the claim. */
  #say(pursuit: Pursuit): void {
    pursuit.stage = 'claimed';
    pursuit.lookAgainMs = this.#nowMs + this.#configured().timing.claimWaitMs;
    this.#sayClaim(pursuit);
    this.#of.marks.lookAgain(pursuit.row, pursuit.lookAgainMs);
  }

  /** Takes a parcel over from a host that is too full. @returns false when it cannot. */
  takeOver(row: Row): boolean {
    if (this.#pursuits.has(row) || this.#pursuits.size >= PURSUITS_MAX || this.#of.here.isHeldToStay(row)) return false;
    if (this.#isPaused || !mayTakeCopies(this.#member)) return false;
    if (this.#wanted.originsOf(row).includes(this.#of.self) || this.#fitting.placeFor(row) === undefined) return false;
    const kept = this.#of.relocating.giveRoomBack(row);
    // As for a claim: the disk may have refused since what was kept.
    if (this.#fitting.placeFor(row) === undefined) {
      if (kept !== undefined) this.#voice.withdraw(kept, this.#table.id(row));
      return false;
    }
    this.#pursue(row, this.#givers.best(row) ?? this.#wanted.knownOriginOf(row), { relocated: true });
    return true;
  }

  /** Gives up a parcel that was taken over. */
  giveUp(row: Row): void {
    const pursuit = this.#pursuits.get(row);
    if (pursuit !== undefined) this.#abandon(pursuit);
  }

  /** What needs no bytes is a copy before anybody could heed the claim. */
  #sayClaimUnlessDone(pursuit: Pursuit): void {
    if (!this.#fitting.lacksNothing(pursuit)) this.#sayClaim(pursuit);
  }

  #sayClaim(pursuit: Pursuit): void {
    const { row, store } = pursuit;
    pursuit.isClaimed = true;
    const { claimMs } = this.#configured().timing;
    const pace = this.#paces.own / Math.max(1, this.#fetching.size);
    const transferMs = pace > 0 ? (3 * this.#table.bytes(row) * 1000) / pace : 0;
    this.#voice.claim(store, this.#table.id(row), Math.ceil(Math.max(claimMs, transferMs)));
  }

  /** A claim lives by progress: a fetch that moves renews its own claim and those queued behind it. */
  #renewClaims(): void {
    if (this.#nowMs < this.#renewDueMs) return;
    this.#renewDueMs = Number.POSITIVE_INFINITY;
    if (this.#pursuits.size === 0) return;
    const moving = this.#fetching.moving();
    for (const pursuit of this.#pursuits.values()) {
      if (pursuit.stage === 'unsaid') continue;
      const moves = pursuit.stage === 'fetching' ? moving.includes(pursuit) : moving.length > 0;
      if (moves) this.#sayClaim(pursuit);
    }
    for (const pursuit of moving) pursuit.renewedBytes = pursuit.doneBytes + pursuit.foundBytes;
    this.#renewDueMs = this.#nowMs + this.#configured().timing.claimMs / 3;
  }

  // ---------------------------------------------------------------------------------------------------------- fetches

  progressed(fetch: number, progress: Progress): void {
    const pursuit = this.#fetching.came(fetch, progress);
    if (pursuit !== undefined) this.#came(pursuit);
  }

  #came(pursuit: Pursuit): void {
    if (this.#isBegun(pursuit)) this.#of.marks.mark(pursuit.row);
    if (this.#paces.own >= PACE_NEWS * this.#toldPace && this.#paces.own > 0) this.#of.sayNow();
  }

  fetched({ fetch, receivedBytes }: Extract<Input, { is: 'fetched' }>): void {
    const pursuit = this.#fetching.got(fetch, receivedBytes);
    if (pursuit === undefined) this.#endedAfterAll(fetch);
    else {
      this.#came(pursuit);
      this.#release(pursuit);
      this.#failures.delete(pursuit.row);
    }
  }

  fetchFailed(fetch: number, because: FetchFailure, retryAfterMs: number): void {
    const pursuit = this.#fetching.failed(fetch);
    if (pursuit === undefined) {
      this.#endedAfterAll(fetch);
      return;
    }
    this.#clearedVersion += 1;
    this.#failures.count(pursuit.row);
    // Keep the claim and ask another source, or the same one later.
    if (this.#fetching.asksOn(pursuit, because, retryAfterMs)) return;
    this.#failed(pursuit, because === 'no-room' || because === 'disk' ? NO_ROOM_BACK_OFF_MS : retryAfterMs, because);
    if (because === 'no-room') this.#refused(pursuit);
  }

  /**
   * The disk has less room than reported. Claims made on that report whose fetch has not begun are made again where
   * they fit.
   */
  #refused({ store, reservedBytes }: Pursuit): void {
    this.#abandonNotBegun(store);
    this.#room.refused(store, reservedBytes, this.#nowMs);
    this.#of.sayNow();
  }

  /**
   * A copy of the row has come to one of our stores or left it. Claims that relied on family members here, and whose
   * fetch has not begun, are made again: more bytes are missing now than room is reserved for.
   */
  copiesChanged(row: Row): void {
    this.#fitting.copiesChanged(row);
    if (this.#pursuits.size === 0) return;
    for (const other of this.#table.familyOf(row)) {
      const pursuit = this.#pursuits.get(other);
      if (pursuit === undefined || pursuit.reservedBytes >= this.#table.bytes(other)) continue;
      const slot = this.#of.holdings.slotOf(this.#of.self, pursuit.store);
      // The copy has come: no more is missing than before.
      if (slot !== undefined && this.#table.isHeldBy(row, slot)) continue;
      if (pursuit.stage === 'fetching') pursuit.hasLost = true;
      else this.#abandon(pursuit);
    }
  }

  /** A host is back: parcels that it could give no longer rest. */
  sourceIsBack(host: HostId): void {
    for (const row of this.#failures.rows()) {
      if (!this.#givers.all(row).includes(host)) continue;
      this.#failures.restEnds(row, this.#nowMs);
      this.#of.marks.mark(row);
    }
  }

  /** A host has a new copy; a first copy may well have come from the origin. */
  noteTaken(host: HostId, row: Row): void {
    this.#failures.restEnds(row, this.#nowMs);
    const source = this.#wanted.originOf(row);
    if (host === this.#of.self || source === undefined) return;
    this.#paces.took(host, { source, bytes: this.#table.bytes(row), nowMs: this.#nowMs });
  }

  // ------------------------------------------------------------------------------------------------------------- ends

  #failed(pursuit: Pursuit, leastMs: number, because: FetchFailure): void {
    const restMs = this.#of.chance.jitter(this.#failures.restMs(pursuit.row, because), 50);
    const untilMs = this.#nowMs + Math.max(leastMs, restMs);
    this.#failures.rest(pursuit.row, untilMs);
    this.#abandon(pursuit);
    this.#of.marks.lookAgain(pursuit.row, untilMs);
  }

  /**
   * Gives a pursuit up: ends its fetch, withdraws its claim, then frees its room. Verified bytes stay for another try.
   */
  #abandon(pursuit: Pursuit): void {
    if (this.#fetching.cancel(pursuit)) this.#forget(pursuit);
    else this.#release(pursuit);
    // The copy itself ends the claim.
    if (pursuit.isClaimed && !this.#of.here.isHeldToStay(pursuit.row))
      this.#voice.withdraw(pursuit.store, this.#table.id(pursuit.row));
    this.#of.marks.mark(pursuit.row);
  }

  #release(pursuit: Pursuit): void {
    this.#forget(pursuit);
    this.#giveRoomBack(pursuit);
  }

  #giveRoomBack({ store, reservedBytes }: Pick<Pursuit, 'store' | 'reservedBytes'>): void {
    this.#room.release(store, reservedBytes);
    this.#fitting.roomIsFree();
  }

  /** A cancelled fetch has ended, with a copy or without. */
  #endedAfterAll(fetch: number): void {
    const ending = this.#fetching.endedAfterAll(fetch);
    if (ending !== undefined) this.#giveRoomBack(ending);
  }

  #forget(pursuit: Pursuit): void {
    if (this.#pursuits.delete(pursuit.row)) {
      this.#claimed.remove(pursuit.source, pursuit.reservedBytes);
      this.#version += 1;
    }
    this.#fitting.forgetMeasure(pursuit.row);
    this.#fetching.end(pursuit);
  }

  /** Claims whose fetch has not begun are made again where they fit; a begun fetch has `FETCH_HANGS_MS`. */
  storeHangs(store: StoreId): void {
    this.#abandonNotBegun(store);
    for (const pursuit of this.#pursuits.values())
      if (pursuit.store === store) this.#of.marks.lookAgain(pursuit.row, this.#nowMs + FETCH_HANGS_MS);
  }

  /** Claims whose fetch has not begun are made again where the copy can stay. */
  storeDrains(store: StoreId): void {
    this.#abandonNotBegun(store);
  }

  /** @param store default: any */
  #abandonNotBegun(store?: StoreId): void {
    for (const pursuit of [...this.#pursuits.values()])
      if ((store ?? pursuit.store) === pursuit.store && pursuit.stage !== 'fetching') this.#abandon(pursuit);
  }

  storeGone(store: StoreId): void {
    for (const pursuit of [...this.#pursuits.values()]) if (pursuit.store === store) this.#abandon(pursuit);
    this.#fetching.storeGone(store);
  }

  // ------------------------------------------------------------------------------------------------------ its machine

  get #nowMs(): number {
    return this.#of.nowMs();
  }

  get #member(): Member | undefined {
    return this.#of.member();
  }

  #configured(): ClusterConfig {
    return this.#of.config();
  }
}
