/**
 * Auditing: this host's audits of the copies that others say they hold, and the copies that do not count since an audit
 * failed.
 *
 * The live holders of a parcel form a ring, ordered by host id, and each audits the next one, so every copy is audited
 * by one host. A sole holder is audited by the parcel's origin, which has the files that the parcel was made of.
 * A host walks through all that it holds once every `scrub`, one audit at a time. A failure is gossiped to all, audited
 * again within the hour, and believed for two hours after it was last repeated, not counting the time its holder is
 * away. So a host that missed the message, or restarted, comes to believe what the others believe. A host that has the
 * bytes itself believes the failure until an audit passes. A failure is also forgotten when its holder's membership
 * ends, and when the store has been unlisted for `deadMax`: otherwise stores that never come back would be remembered
 * for ever. Nothing is removed because of an audit.
 *
 * Driven by the machine. See audit.ts and protocols/audit/audit.md.
 */
import { type AuditVerdict, decideAudit } from './audit.js';
import type { Chance } from './chance.js';
import type { ClusterConfig } from './cluster-config.js';
import type { Effect, Input, UnansweredAudit } from './effects.js';
import type { HeldHere } from './held-here.js';
import type { Holdings } from './holdings.js';
import { compareEpochs, type Epoch } from './holdings-log.js';
import type { HostId, Nonce } from './ids.js';
import type { Marks } from './marks.js';
import type { CopyName } from './messages.js';
import type { ParcelTable, Row, StoreSlot } from './parcel-table.js';
import type { StorePresence, StorePresences } from './store-presence.js';

/** Least time between two audits, in ms: a host that holds millions of parcels takes longer than a `scrub`. */
const GAP_MS_MIN = 1_000;
/**
 * Longest rest, in ms, after a start, when other work is more urgent, and while there is no page, and so nothing to do.
 */
const REST_MS = 60_000;
/** Rows searched in one step for one that can be audited. */
const ROWS_PER_STEP = 1_024;
/** A copy that was denied, or failed, is audited again after this, in ms: by then its log has brought the news. */
const DENIED_AGAIN_MS = 60_000;
const FAILED_AGAIN_MS = 45 * 60_000;
/** An unanswered question is repeated after this share of a walk's time. */
const UNANSWERED_AGAIN = 1 / 10;
/**
 * A failure that is not repeated within this time, in ms, while its holder is there, is no longer believed. Failed
 * copies are audited twice in that time.
 */
const BELIEVED_MS = 2 * 3_600_000;
/**
 * The most copies that are not counted because they failed: a host with more of them should be revoked. Beyond this
 * limit, copies that would not count anyway are forgotten first; then further failed copies go on counting.
 */
const DISTRUSTED_MAX = 4_096;
/**
 * The most unanswered copies remembered. Beyond this limit, again those that would not count anyway are forgotten
 * first, then others go on counting.
 */
const UNANSWERED_MAX = 4_096;
/**
 * The most copies waiting to be asked again. Beyond it, those neither denied nor failed go first: a walk reaches them
 * anyway.
 */
const AGAIN_MAX = 4_096;
/** The walk's pace varies by ± this, so that hosts do not fall into step. */
const GAP_JITTER_PERCENT = 20;

interface Copy {
  readonly row: Row;
  readonly slot: StoreSlot;
}

interface Again extends Copy {
  readonly atMs: number;
  /** The delay that led to `atMs`; used again if the copy cannot be asked then. */
  readonly afterMs: number;
  readonly deniedBefore: boolean;
}

/** Copies in stores of these states do not count anyway. In the order in which they are forgotten. */
const COUNTS_NOT = ['unlisted', 'dead'] as const satisfies readonly StorePresence[];

/** The questions that a copy has left unanswered since its last answer. */
interface Unanswered extends Copy {
  readonly sinceRunMs: number;
  readonly questions: number;
}

/** Copies of one store that do not count because they failed. */
interface Distrusted {
  /** Epoch of the store's log: another epoch tells again of everything that the store holds. */
  readonly epoch: Epoch;
  /** When the store was last seen in any state but `unlisted`. */
  listedMs: number;
  /** Until when each failure is believed. */
  readonly untilMs: Map<Row, number>;
}

export interface AuditingContext {
  readonly self: HostId;
  readonly table: ParcelTable;
  readonly holdings: Holdings;
  readonly chance: Chance;
  readonly nonces: () => Nonce;
  readonly nowMs: () => number;
  /** This host's running time, summed over all its starts. */
  readonly runMs: () => number;
  readonly config: () => Pick<ClusterConfig, 'timing'>;
  readonly here: Pick<HeldHere, 'heldIn'>;
  /** This host is the row's origin and is trusted: holders do not answer untrusted hosts. */
  readonly isFromHere: (row: Row) => boolean;
  /** A listed snapshot references the row. */
  readonly isWanted: (row: Row) => boolean;
  readonly presences: Pick<StorePresences, 'of' | 'canBeAsked'>;
  readonly askState: (host: HostId) => void;
  readonly emit: (effect: Effect) => void;
  readonly marks: Pick<Marks, 'mark'>;
}

export class Auditing {
  readonly #of: AuditingContext;
  #nextMs = Number.POSITIVE_INFINITY;
  #cursor: Row | undefined;
  #running: (Copy & { readonly nonce: Nonce; readonly deniedBefore: boolean }) | undefined;
  /** Ordered by time. A copy appears at most once. */
  #again: Again[] = [];
  readonly #distrusted = new Map<StoreSlot, Distrusted>();
  #distrustedSize = 0;
  /** The limit was reached and reported, and no place has become free since. */
  #isFull = false;
  /** By store and row. */
  readonly #unanswered = new Map<string, Unanswered>();
  /** The limit was reached and reported, and not yet half of the places have become free since. */
  #isUnansweredFull = false;
  /** When the distrusted copies are next checked, for failures that have expired and for holders that are away. */
  #lookThroughMs = Number.POSITIVE_INFINITY;
  /** Stores whose number of distrusted copies must be reported: once a step, however many copies changed. */
  readonly #changed = new Set<StoreSlot>();

  constructor(context: AuditingContext) {
    this.#of = context;
  }

  get #scrubMs(): number {
    return this.#of.config().timing.scrubMs;
  }

  /** The next time at which there is work without any input. */
  get dueMs(): number {
    const again = this.#again[0]?.atMs ?? Number.POSITIVE_INFINITY;
    const askMs = this.#running === undefined ? Math.min(this.#nextMs, again) : Number.POSITIVE_INFINITY;
    return Math.min(askMs, this.#lookThroughMs);
  }

  /** A configuration is in force: the first one, or one that may shorten the walk. */
  configured(): void {
    for (const [slot, { untilMs }] of [...this.#distrusted])
      if (this.#of.presences.of(slot) === 'gone') for (const row of [...untilMs.keys()]) this.#trust({ row, slot });
    for (const copy of [...this.#unanswered.values()])
      if (this.#of.presences.of(copy.slot) === 'gone') this.#answered(copy);
    this.#nextMs = Math.min(this.#nextMs, this.#of.nowMs() + Math.min(REST_MS, this.#scrubMs));
  }

  /** At the end of a step: begins what is due, and says what has changed. */
  tick(): void {
    const nowMs = this.#of.nowMs();
    if (nowMs >= this.#lookThroughMs) this.#lookThrough(nowMs);
    for (const slot of this.#changed) this.#note(slot);
    this.#changed.clear();
    if (this.#running !== undefined) return;
    for (let again = this.#again[0]; again !== undefined && nowMs >= again.atMs; again = this.#again[0]) {
      this.#again.shift();
      if (!this.#isClaimed(again) || !this.#canCheck(again.row)) continue;
      if (this.#of.presences.canBeAsked(again.slot)) {
        this.#ask(again, again.deniedBefore);
        return;
      }
      // Otherwise its failure or denial would be forgotten because it happened to be away at this moment.
      this.#askAgain(again, { afterMs: again.afterMs, deniedBefore: again.deniedBefore });
    }
    if (nowMs >= this.#nextMs) this.#walk(nowMs);
  }

  #walk(nowMs: number): void {
    const { table, chance } = this.#of;
    if (table.size === 0) {
      this.#nextMs = nowMs + Math.min(REST_MS, this.#scrubMs);
      return;
    }
    // Rows have other numbers after a restart: a random start treats all of them alike.
    let cursor: Row = this.#cursor ?? chance.below(table.size);
    const gapMs = chance.jitter(this.#scrubMs / table.size, GAP_JITTER_PERCENT);
    for (let looked = 0; looked < Math.min(ROWS_PER_STEP, table.size); looked += 1) {
      const row: Row = cursor >= table.size ? 0 : cursor;
      cursor = row + 1;
      this.#cursor = cursor;
      // Each row takes its share of the walk's time, whether there is a copy to audit or not.
      this.#nextMs = nowMs + Math.max(GAP_MS_MIN, gapMs * (looked + 1));
      const slot = this.#nextHolder(row);
      if (slot === undefined) continue;
      this.#ask({ row, slot }, false);
      return;
    }
  }

  /** The copy that this host must audit: that of the next host in the ring, or the only one. */
  #nextHolder(row: Row): StoreSlot | undefined {
    const { self, table, holdings, here, isFromHere, isWanted, presences } = this.#of;
    if (table.holderCount(row) === 0 || !isWanted(row)) return undefined;
    // A host that is away, or no longer a member, takes no part in the ring: a remaining holder counts as the only one.
    const slots = table
      .holders(row, [])
      .filter(slot => holdings.hostOf(slot) === self || isCounted(presences.of(slot)));
    // One host may have the row in two stores.
    const isOneHost = slots.every(slot => holdings.hostOf(slot) === holdings.hostOf(slots[0] as StoreSlot));
    if (isOneHost ? !isFromHere(row) : here.heldIn(row) === undefined) return undefined;
    let next: { readonly slot: StoreSlot; readonly host: HostId } | undefined;
    let first: { readonly slot: StoreSlot; readonly host: HostId } | undefined;
    for (const slot of slots) {
      const host = holdings.hostOf(slot);
      if (host === self || !presences.canBeAsked(slot)) continue;
      if (first === undefined || host < first.host) first = { slot, host };
      if (host > self && (next === undefined || host < next.host)) next = { slot, host };
    }
    return (next ?? first)?.slot;
  }

  /** This host has the bytes, as a copy or as files, to compare an answer with. */
  #canCheck(row: Row): boolean {
    return this.#of.here.heldIn(row) !== undefined || this.#of.isFromHere(row);
  }

  #ask({ row, slot }: Copy, deniedBefore: boolean): void {
    const { table, holdings, here, nonces, emit } = this.#of;
    const nonce = nonces();
    this.#running = { row, slot, nonce, deniedBefore };
    emit({
      do: 'ask-audit',
      audit: nonce,
      parcel: table.id(row),
      store: here.heldIn(row),
      holder: holdings.hostOf(slot),
    });
  }

  audited({ audit, expected, answer }: Extract<Input, { is: 'audited' }>): void {
    const running = this.#running;
    if (running?.nonce !== audit) return;
    this.#running = undefined;
    const { row, slot, deniedBefore } = running;
    // Meanwhile its log has reported its end, or its holder is no member any longer: there is nothing left to prove.
    if (!this.#isClaimed(running)) return;
    const runMs = this.#of.runMs();
    const before = this.#unanswered.get(copyId(running));
    const unanswered = { questions: before?.questions ?? 0, forMs: runMs - (before?.sinceRunMs ?? runMs) };
    const verdict = decideAudit({ expected, answer, deniedBefore, unanswered, scrubMs: this.#scrubMs });
    // If only our own copy could not be read, the holder has still answered.
    if (verdict !== 'unknown' || answer?.answer === 'proof') this.#answered(running);
    else
      this.#unansweredAgain({
        row,
        slot,
        sinceRunMs: before?.sinceRunMs ?? runMs,
        questions: unanswered.questions + 1,
      });
    const believedUntilMs = this.#distrusted.get(slot)?.untilMs.get(row);
    // Then this host cannot find out either, and lets the failure expire like the others do.
    if (
      verdict === 'unknown' &&
      answer?.answer === 'proof' &&
      believedUntilMs !== undefined &&
      believedUntilMs <= this.#of.nowMs()
    )
      this.#trust({ row, slot });
    else this.#follow({ row, slot }, verdict);
  }

  #unansweredAgain(unanswered: Unanswered): void {
    const isNew = !this.#unanswered.has(copyId(unanswered));
    if (isNew && this.#unanswered.size >= UNANSWERED_MAX && !this.#makePlaceUnanswered(unanswered.slot)) return;
    this.#unanswered.set(copyId(unanswered), unanswered);
    const { sinceRunMs, questions } = unanswered;
    const copy = this.#nameOf(unanswered);
    this.#of.emit({ do: 'note-unanswered', copy, unanswered: { sinceRunMs, questions } });
  }

  #answered(copy: Copy): void {
    if (!this.#unanswered.delete(copyId(copy))) return;
    // Right at the limit, each copy that comes and goes would be reported.
    if (this.#unanswered.size <= UNANSWERED_MAX / 2) this.#isUnansweredFull = false;
    this.#of.emit({ do: 'note-unanswered', copy: this.#nameOf(copy), unanswered: undefined });
  }

  /**
   * Makes a place for a copy of this store by forgetting one that would not count anyway. @returns false when none can
   * go
   */
  #makePlaceUnanswered(slot: StoreSlot): boolean {
    const { presences, emit } = this.#of;
    if (!this.#isUnansweredFull) emit({ do: 'note-unanswered-full', copies: this.#unanswered.size });
    this.#isUnansweredFull = true;
    if (!isCounted(presences.of(slot))) return false;
    for (const presence of COUNTS_NOT) {
      for (const other of this.#unanswered.values()) {
        if (presences.of(other.slot) !== presence) continue;
        this.#answered(other);
        return true;
      }
    }
    return false;
  }

  /** At start, after the kept logs were handed in: takes what was noted before. The copies are asked again soon. */
  recall(notes: readonly UnansweredAudit[]): void {
    const { table, holdings, emit } = this.#of;
    for (const { copy, unanswered } of notes) {
      const row = table.find(copy.parcel);
      const slot = holdings.slotOf(copy.host, copy.store);
      if (row === undefined || slot === undefined || !this.#isClaimed({ row, slot })) {
        emit({ do: 'note-unanswered', copy, unanswered: undefined });
        continue;
      }
      this.#unanswered.set(copyId({ row, slot }), { row, slot, ...unanswered });
      this.#askAgain({ row, slot }, { afterMs: UNANSWERED_AGAIN * this.#scrubMs, deniedBefore: false });
    }
  }

  #follow(copy: Copy, verdict: AuditVerdict): void {
    switch (verdict) {
      case 'passed':
        this.#again = this.#again.filter(other => !isSame(other, copy));
        this.#trust(copy);
        return;
      case 'denied':
        this.#of.askState(this.#of.holdings.hostOf(copy.slot));
        this.#askAgain(copy, { afterMs: DENIED_AGAIN_MS, deniedBefore: true });
        return;
      case 'failed':
        this.#distrust(copy);
        this.#of.emit({ do: 'gossip', message: { kind: 'failed-audits', failed: [this.#nameOf(copy)] } });
        this.#askAgain(copy, { afterMs: FAILED_AGAIN_MS, deniedBefore: true });
        return;
      case 'unknown':
        // While a copy is distrusted, somebody has to find out when it is right again.
        if (this.#isDistrusted(copy)) this.#askAgain(copy, { afterMs: FAILED_AGAIN_MS, deniedBefore: true });
        else this.#askAgain(copy, { afterMs: UNANSWERED_AGAIN * this.#scrubMs, deniedBefore: false });
        return;
      default:
        verdict satisfies never;
    }
  }

  #askAgain(copy: Copy, { afterMs, deniedBefore }: { readonly afterMs: number; readonly deniedBefore: boolean }): void {
    const known = this.#again.findIndex(other => isSame(other, copy));
    if (known >= 0) {
      // A denied or failed copy is asked sooner than one whose state is only unknown.
      if (!deniedBefore || this.#again[known]?.deniedBefore === true) return;
      this.#again.splice(known, 1);
    } else if (this.#again.length >= AGAIN_MAX) {
      const last = deniedBefore ? this.#again.findLastIndex(other => !other.deniedBefore) : -1;
      if (last < 0) return;
      this.#again.splice(last, 1);
    }
    const { row, slot } = copy;
    const atMs = this.#of.nowMs() + afterMs;
    const place = this.#again.findLastIndex(other => other.atMs <= atMs) + 1;
    this.#again.splice(place, 0, { row, slot, atMs, afterMs, deniedBefore });
  }

  // ------------------------------------------------------------------------------------------------- distrusted copies

  /** An active, trusted member reports failed audits. */
  heard(failed: readonly CopyName[]): void {
    const { self, table, holdings } = this.#of;
    for (const { host, store, parcel } of failed) {
      const row = table.find(parcel);
      const slot = holdings.slotOf(host, store);
      // Our own disk knows our own copies better.
      if (host === self || row === undefined || slot === undefined || !this.#isClaimed({ row, slot })) continue;
      this.#distrust({ row, slot });
    }
  }

  /**
   * The log of a store has new operations: what they say of these rows is news, and is believed until the next audit.
   */
  told(slot: StoreSlot, rows: readonly Row[]): void {
    if (this.#unanswered.size > 0) for (const row of rows) this.#answered({ row, slot });
    const distrusted = this.#distrusted.get(slot);
    if (distrusted === undefined) return;
    if (compareEpochs(distrusted.epoch, this.#of.holdings.position(slot).epoch) !== 0) this.restarted(slot);
    else for (const row of rows) this.#forget({ row, slot });
  }

  /**
   * Everything the store holds was told at once. That is no news of a copy its log had named before: it stays
   * distrusted.
   */
  retold(slot: StoreSlot): void {
    const { table, holdings } = this.#of;
    const distrusted = this.#distrusted.get(slot);
    if (distrusted === undefined) return;
    if (compareEpochs(distrusted.epoch, holdings.position(slot).epoch) !== 0) {
      this.restarted(slot);
      return;
    }
    for (const row of [...distrusted.untilMs.keys()]) {
      if (table.isHeldBy(row, slot)) table.setHeld(row, slot, false);
      else this.#forget({ row, slot });
    }
  }

  /** The log is read from its start, or is another log: earlier failures are forgotten. */
  restarted(slot: StoreSlot): void {
    for (const row of [...(this.#distrusted.get(slot)?.untilMs.keys() ?? [])]) this.#forget({ row, slot });
  }

  /**
   * The slot will belong to another store: what is known of the old one is reported while the slot is still its own.
   */
  givenUp(slot: StoreSlot): void {
    for (const copy of [...this.#unanswered.values()]) if (copy.slot === slot) this.#answered(copy);
    if (this.#running?.slot === slot) this.#running = undefined;
    this.#again = this.#again.filter(copy => copy.slot !== slot);
    this.restarted(slot);
    if (this.#changed.delete(slot)) this.#note(slot);
  }

  /** A member's log says that it holds the copy, whether this host believes that or not. */
  #isClaimed({ row, slot }: Copy): boolean {
    if (this.#of.presences.of(slot) === 'gone') return false;
    return this.#of.table.isHeldBy(row, slot) || this.#isDistrusted({ row, slot });
  }

  /** A copy of the row in some store does not count although the store's log names it. */
  distrustsOf(row: Row): boolean {
    for (const { untilMs } of this.#distrusted.values()) if (untilMs.has(row)) return true;
    return false;
  }

  #isDistrusted({ row, slot }: Copy): boolean {
    return this.#distrusted.get(slot)?.untilMs.has(row) === true;
  }

  #distrust(copy: Copy): void {
    const { row, slot } = copy;
    const nowMs = this.#of.nowMs();
    const isNew = !this.#isDistrusted(copy);
    if (isNew && this.#distrustedSize >= DISTRUSTED_MAX && !this.#makePlace(slot)) return;
    const { epoch } = this.#of.holdings.position(slot);
    const distrusted = this.#distrusted.get(slot) ?? { epoch, listedMs: nowMs, untilMs: new Map<Row, number>() };
    distrusted.untilMs.set(row, nowMs + BELIEVED_MS);
    this.#distrusted.set(slot, distrusted);
    this.#lookThroughMs = Math.min(this.#lookThroughMs, nowMs + FAILED_AGAIN_MS);
    if (!isNew) return;
    this.#distrustedSize += 1;
    this.#of.table.setHeld(row, slot, false);
    this.#of.marks.mark(row);
    this.#changed.add(slot);
  }

  /**
   * Makes a place for a copy of this store by forgetting one that would not count anyway. @returns false when none can
   * go
   */
  #makePlace(slot: StoreSlot): boolean {
    const { presences, emit } = this.#of;
    if (!this.#isFull) emit({ do: 'note-distrust-full', copies: this.#distrustedSize });
    this.#isFull = true;
    if (!isCounted(presences.of(slot))) return false;
    for (const presence of COUNTS_NOT) {
      for (const [other, { untilMs }] of this.#distrusted) {
        const [row] = untilMs.keys();
        if (row === undefined || presences.of(other) !== presence) continue;
        this.#trust({ row, slot: other });
        return true;
      }
    }
    return false;
  }

  #trust(copy: Copy): void {
    if (!this.#forget(copy)) return;
    this.#of.table.setHeld(copy.row, copy.slot, true);
    this.#of.marks.mark(copy.row);
  }

  /** @returns false when it was not distrusted. */
  #forget({ row, slot }: Copy): boolean {
    const rows = this.#distrusted.get(slot)?.untilMs;
    if (rows === undefined || !rows.delete(row)) return false;
    this.#distrustedSize -= 1;
    if (rows.size === 0) this.#distrusted.delete(slot);
    this.#changed.add(slot);
    return true;
  }

  #lookThrough(nowMs: number): void {
    this.#lookThroughMs = Number.POSITIVE_INFINITY;
    if (this.#distrustedSize < DISTRUSTED_MAX) this.#isFull = false;
    for (const [slot, distrusted] of [...this.#distrusted]) {
      const presence = this.#of.presences.of(slot);
      if (presence !== 'unlisted') distrusted.listedMs = nowMs;
      const isOver = nowMs - distrusted.listedMs >= this.#of.config().timing.deadMaxMs;
      for (const [row, untilMs] of [...distrusted.untilMs]) {
        if (isOver) this.#trust({ row, slot });
        else if (presence !== 'there') distrusted.untilMs.set(row, nowMs + BELIEVED_MS);
        else if (untilMs <= nowMs) this.#lasted({ row, slot });
        else this.#lookThroughMs = Math.min(this.#lookThroughMs, untilMs);
      }
    }
    if (this.#distrustedSize > 0) this.#lookThroughMs = Math.min(this.#lookThroughMs, nowMs + FAILED_AGAIN_MS);
  }

  /** Nobody has repeated the failure, perhaps because they restarted and forgot it: whoever has the bytes finds out. */
  #lasted(copy: Copy): void {
    if (this.#running !== undefined && isSame(this.#running, copy)) return;
    if (this.#again.some(other => isSame(other, copy))) return;
    if (this.#canCheck(copy.row) && this.#of.presences.canBeAsked(copy.slot))
      this.#askAgain(copy, { afterMs: DENIED_AGAIN_MS, deniedBefore: true });
    else this.#trust(copy);
  }

  #note(slot: StoreSlot): void {
    const { holdings, emit } = this.#of;
    const copies = this.#distrusted.get(slot)?.untilMs.size ?? 0;
    emit({ do: 'note-distrust', host: holdings.hostOf(slot), store: holdings.position(slot).store, copies });
  }

  #nameOf({ row, slot }: Copy): CopyName {
    const { table, holdings } = this.#of;
    return {
      host: holdings.hostOf(slot),
      store: holdings.position(slot).store,
      parcel: table.id(row),
    };
  }
}

const isCounted = (presence: StorePresence): boolean => presence === 'there' || presence === 'suspect';

const isSame = (a: Copy, b: Copy): boolean => a.row === b.row && a.slot === b.slot;

const copyId = ({ row, slot }: Copy): string => `${slot} ${row}`;
