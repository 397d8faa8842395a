/**
 * Dropping: this host's own attempts to let surplus copies go, and its answers to those of others
 * (src/DESIGN.md, "How a copy is dropped").
 *
 *   PRESENT --decideDrop, a fresh nonce--> proving --our own copy is whole--> asking --N valid grants--> committing --> ABSENT
 *              ^--- asked by a host with priority, newer configuration, timeout, too few grants ---'
 *
 * From the nonce on, the parcel is DROPPING: this host gives no grant for it. Only grants that answer this nonce count.
 * An attempt lives only in memory: after a restart there is none, and the log and the disk say what is held. The
 * durable part is the `del` in the log, which is written inside the attempt.
 *
 * Why this never leaves too few copies, in three lines: of all attempts that have committed, take the one that entered
 * DROPPING last. Its N granters were PRESENT after that. Had one of them committed, it would have entered later still.
 *
 * A host that holds a parcel in two stores, because one of them was away, counts once: the second copy is surplus as
 * soon as N hosts, this one among them, hold the parcel. Then the copy that stays is the one that is read whole in the
 * attempt, and it stands for this host among the N. A host has one attempt per parcel at a time, so the three lines
 * hold unchanged. If fewer than N hosts have the parcel at all, the second copy stays until its room is needed or its
 * store is to be emptied; then these few are enough, because as many hosts have it after as before.
 *
 * Keeps I1 to I4. Driven by the machine; specified by protocols/drop/drop.md and checked by the models beside it.
 */
import type { Chance } from './chance.js';
import { type ClusterConfig, type ConfigMark, type Member, mayHoldCopies, mayTakeCopies } from './cluster-config.js';
import { type DropVerdict, type DropView, decideDrop } from './drop.js';
import { DropProof, type Grant } from './drop-proof.js';
import type { Effect, Input } from './effects.js';
import type { Expiring } from './expiring.js';
import type { Fitting } from './fitting.js';
import type { DenyReason, GrantAnswer, OwnRemoval } from './grant.js';
import type { HeldHere } from './held-here.js';
import type { HostId, Nonce, ParcelId, Possession, StoreId } from './ids.js';
import type { Marks } from './marks.js';
import type { OtherHolders } from './other-holders.js';
import type { ParcelTable, Row } from './parcel-table.js';
import type { Placement } from './placement.js';
import { READ_BYTES_PER_MS } from './read-rate.js';
import type { Relocating } from './relocating.js';
import type { Room } from './room.js';
import type { Rules } from './rules.js';
import type { StoreRests } from './store-rests.js';
import type { Wanted } from './wanted.js';

/** Parcels in DROPPING at once: others can get our grant for none of them. */
const ATTEMPTS_MAX = 64;
/** No back-off is longer, in ms. */
const BACK_OFF_MS_MAX = 30 * 60_000;
const BACK_OFF_JITTER_PERCENT = 50;

interface Attempt {
  readonly nonce: Nonce;
  readonly row: Row;
  readonly parcel: ParcelId;
  readonly store: StoreId;
  /** The other store of ours that has it, and keeps it; undefined if there is none. */
  readonly stays: StoreId | undefined;
  /** The configuration under which it was entered. */
  readonly config: ClusterConfig;
  readonly holders: readonly HostId[];
  /** Domains that could show, when the attempt began, that they have it. */
  readonly grantable: number;
  /** When the present stage times out: our own read and the holders' reads each have their time. */
  untilMs: number;
  stage: 'proving' | 'asking' | 'committing';
  expected: ReadonlyMap<HostId, Possession>;
  readonly grants: Grant[];
  readonly unanswered: Set<HostId>;
}

/** Our copy that may go, and the one that stays, if there is another. */
type OwnCopies = Pick<Attempt, 'store' | 'stays'>;

/** A grant request whose bytes are being read. */
interface PendingRead {
  readonly row: Row;
  readonly to: HostId;
  readonly nonce: Nonce;
  readonly parcel: ParcelId;
  readonly store: StoreId;
  readonly askerConfig: ConfigMark;
  readonly generation: number;
}

/** What dropping must know of its machine. */
export interface DroppingContext {
  readonly self: HostId;
  readonly table: ParcelTable;
  readonly placement: Pick<Placement, 'domainOf'>;
  readonly others: Pick<OtherHolders, 'grantersOf' | 'dropsBefore'>;
  readonly wanted: Pick<Wanted, 'copiesWanted' | 'originOf' | 'originsOf'>;
  readonly chance: Chance;
  readonly nonces: () => Nonce;
  readonly rules: Rules;
  readonly nowMs: () => number;
  readonly config: () => ClusterConfig;
  readonly memberOf: (host: HostId) => Member | undefined;
  /** When a host that was taken for dead came back; undefined for one that was not. */
  readonly returnedAtMs: (host: HostId) => number | undefined;
  readonly here: Pick<HeldHere, 'heldIn' | 'allThatHold' | 'isHeldTwice' | 'isOurs'>;
  readonly room: Pick<Room, 'takesParcels' | 'isOver' | 'hangsAny'> & {
    readonly stores: () => Iterable<{ readonly store: StoreId }>;
  };
  readonly fitting: Pick<Fitting, 'lacksRoom'>;
  readonly expiring: Pick<Expiring, 'isExpiring'>;
  readonly relocating: Pick<Relocating, 'isLeaving' | 'keepUntilMs'>;
  readonly rests: StoreRests;
  readonly emit: (effect: Effect) => void;
  readonly marks: Pick<Marks, 'lookAgain' | 'lookLater'>;
}

export class Dropping {
  readonly #of: DroppingContext;
  readonly #byRow = new Map<Row, Attempt>();
  readonly #byNonce = new Map<Nonce, Attempt>();
  readonly #reads = new Map<number, PendingRead>();
  /** The generation of each row that is being read for another host; other rows need none. */
  readonly #generations = new Map<Row, number>();
  readonly #failures = new Map<Row, { tries: number; untilMs: number }>();
  /** The stores that were pressed at the last `heedPressure`. */
  readonly #pressed = new Set<StoreId>();
  /** Rows whose drop is due while `ATTEMPTS_MAX` attempts run. */
  readonly #queue = new Set<Row>();
  #isPaused = false;

  constructor(context: DroppingContext) {
    this.#of = context;
  }

  /** How far this host has got with removing the row. */
  #ownRemoval(row: Row): OwnRemoval {
    if (this.#of.expiring.isExpiring(row)) return 'committing';
    const attempt = this.#byRow.get(row);
    if (attempt === undefined) return 'none';
    return attempt.stage === 'committing' ? 'committing' : 'asking';
  }

  #isDraining(store: StoreId): boolean {
    return !this.#of.room.takesParcels(store);
  }

  /** The store is over its limit, or what has too few copies does not fit here. */
  #isPressed(store: StoreId): boolean {
    const { room, fitting } = this.#of;
    // What finds no room because a disk does not answer has it when that does.
    return (fitting.lacksRoom && !room.hangsAny()) || room.isOver(store);
  }

  get size(): number {
    return this.#byRow.size;
  }

  /** An attempt is under way. */
  isDropping(row: Row): boolean {
    return this.#byRow.has(row);
  }

  /** While the host is paused no attempt begins, and none goes on but those that have committed. Grants are given. */
  pause(paused: boolean): void {
    this.#isPaused = paused;
    if (!paused) return;
    this.#queue.clear();
    for (const attempt of [...this.#byRow.values()]) if (attempt.stage !== 'committing') this.#abort(attempt);
  }

  /** An attempt, or a read for another's grant, is under way. */
  isBusy(row: Row): boolean {
    return this.#byRow.has(row) || this.#generations.has(row);
  }

  // ---------------------------------------------------------------------------------------------------------- attempts

  /**
   * When room has just become scarce, a surplus waits no longer. Called in each step: it does nothing without a
   * surplus.
   */
  heedPressure(): void {
    const { table, room, marks } = this.#of;
    if (table.surplusCount === 0) return;
    let isNew = false;
    for (const { store } of room.stores()) {
      if (!this.#isPressed(store)) this.#pressed.delete(store);
      else if (!this.#pressed.has(store)) {
        this.#pressed.add(store);
        isNew = true;
      }
    }
    if (isNew) for (const row of table.surplus()) marks.lookAgain(row);
  }

  /** Looks at a row: whether its surplus is ripe, or whether an attempt has lost its reason. */
  consider(row: Row): void {
    this.#queue.delete(row);
    this.#decide(row);
    // The row may have come from the queue without taking the free place.
    if (!this.#byRow.has(row)) this.#nextTurn();
  }

  #decide(row: Row): void {
    const store = this.#of.here.heldIn(row);
    const attempt = this.#byRow.get(row);
    if (store === undefined) {
      // It has gone some other way, or is corrupt or unmounted: there is nothing left to drop.
      this.#of.table.setSurplusSince(row, Number.NaN);
      // A store that refuses every write comes and goes; its failures must not be forgotten each time.
      if (!this.#of.here.isOurs(row)) this.#failures.delete(row);
      if (attempt !== undefined && attempt.stage !== 'committing') this.#abort(attempt);
      return;
    }
    if (attempt === undefined && this.#isPlainlyNeeded(row, store)) {
      this.#of.table.setSurplusSince(row, Number.NaN);
      this.#failures.delete(row);
      return;
    }
    const copies = attempt ?? this.#choose(row, store);
    const { view, granters } = this.#view(row, copies);
    if (attempt !== undefined) {
      const ended =
        this.#of.nowMs() >= attempt.untilMs ||
        this.#neededBy(attempt, view.copiesWanted) > view.grantable ||
        !this.#stillStays(attempt);
      if (attempt.stage !== 'committing' && ended) this.#giveUp(attempt);
      return;
    }
    this.#act(row, copies, { verdict: decideDrop(view), grantable: view.grantable, granters });
  }

  /** Of several copies here, the one that would go and the one that would stay. */
  #choose(row: Row, store: StoreId): OwnCopies {
    const [stays, ...others] = this.#of.here.allThatHold(row);
    const goes = others.at(-1);
    // A parcel that is only in stores to be emptied counts in none of them.
    if (goes === undefined || stays === undefined || this.#isDraining(stays)) return { store, stays: undefined };
    return { store: goes, stays };
  }

  /** Also true if no copy was to stay. */
  #stillStays({ row, stays }: Attempt): boolean {
    return stays === undefined || (this.#of.here.allThatHold(row).includes(stays) && !this.#isDraining(stays));
  }

  /** The number of domains that must show that they have it. */
  #neededBy({ stays, grantable }: Attempt, copiesWanted = Number.POSITIVE_INFINITY): number {
    return stays === undefined || copiesWanted === Number.POSITIVE_INFINITY
      ? copiesWanted
      : Math.min(copiesWanted, grantable);
  }

  /** The usual case, decided cheaply: there are no more copies than are wanted, even if all of them count. */
  #isPlainlyNeeded(row: Row, store: StoreId): boolean {
    const { table, wanted, memberOf, self } = this.#of;
    if (this.#isDraining(store) || memberOf(self)?.state === 'draining' || this.#of.here.isHeldTwice(row)) return false;
    return table.holderCount(row) <= (wanted.copiesWanted(row) ?? Number.POSITIVE_INFINITY);
  }

  #act(
    row: Row,
    copies: OwnCopies,
    {
      verdict,
      ...asked
    }: { readonly verdict: DropVerdict; readonly grantable: number; readonly granters: readonly HostId[] },
  ): void {
    if (verdict.act === 'wait') this.#of.marks.lookLater(row, verdict.untilMs);
    if (verdict.act !== 'drop' || this.#isPaused) return;
    // A host that has just yielded is reading for the other. Beginning again before that read is done would deny the
    // grant after all, and so on for ever (progress.pml). The end of the read brings the row up again.
    if (this.#generations.has(row)) return;
    if (this.#byRow.size >= ATTEMPTS_MAX) this.#queue.add(row);
    else this.#begin(row, copies, asked);
  }

  #view(row: Row, { store, stays }: OwnCopies): { readonly view: DropView; readonly granters: readonly HostId[] } {
    const { table, placement, others, wanted, self, memberOf, config } = this.#of;
    const nowMs = this.#of.nowMs();
    const { timing } = config();
    const copiesWanted = wanted.copiesWanted(row);
    const origin = wanted.originOf(row);
    const member = memberOf(self);
    const granters = origin === undefined ? [] : others.grantersOf(row, wanted.originsOf(row));
    const domains = new Set(granters.map(host => placement.domainOf(host)));
    const heldTwice = stays !== undefined && member?.state === 'active' && !wanted.originsOf(row).includes(self);
    if (heldTwice) domains.add(member.domain);
    const grantable = domains.size;
    const isSurplus = copiesWanted !== undefined && (grantable >= copiesWanted || heldTwice);
    if (!isSurplus) table.setSurplusSince(row, Number.NaN);
    else if (Number.isNaN(table.surplusSinceMs(row))) table.setSurplusSince(row, nowMs);
    const returnedMs = Math.max(
      ...[self, ...granters].map(host => this.#of.returnedAtMs(host) ?? Number.NEGATIVE_INFINITY),
    );
    const restMs = returnedMs + timing.returnMs - table.surplusSinceMs(row);
    const draining = member?.state === 'draining' || this.#isDraining(store);
    const view: DropView = {
      nowMs,
      held: true,
      mayDrop: mayHoldCopies(member),
      draining,
      emptied: this.#isDraining(store),
      copiesWanted,
      grantable,
      place:
        isSurplus && origin !== undefined
          ? granters.filter(host => others.dropsBefore(row, origin, host, self)).length
          : 0,
      surplus: granters.length + 1 - (copiesWanted ?? 0),
      surplusSinceMs: table.surplusSinceMs(row),
      patienceMs: Math.max(timing.surplusMs, Math.min(timing.returnMs, Number.isNaN(restMs) ? 0 : restMs)),
      turnMs: timing.repairStepMs,
      heldTwice,
      lastSteady:
        stays === undefined && member?.roaming === false && granters.every(host => memberOf(host)?.roaming === true),
      relocated: this.#of.relocating.isLeaving(row),
      pressed: this.#isPressed(store),
      notBeforeMs: Math.max(
        this.#of.relocating.keepUntilMs(row),
        this.#failures.get(row)?.untilMs ?? Number.NEGATIVE_INFINITY,
        this.#of.rests.untilMs(store),
      ),
    };
    return { view, granters };
  }

  #begin(
    row: Row,
    { store, stays }: OwnCopies,
    { granters: holders, grantable }: { readonly granters: readonly HostId[]; readonly grantable: number },
  ): void {
    const { table, nonces, config, emit, marks } = this.#of;
    const attempt: Attempt = {
      nonce: nonces(),
      row,
      parcel: table.id(row),
      store,
      stays,
      config: config(),
      holders,
      grantable,
      untilMs: this.#readUntilMs(row),
      stage: 'proving',
      expected: new Map(),
      grants: [],
      unanswered: new Set(holders),
    };
    this.#byRow.set(row, attempt);
    this.#byNonce.set(attempt.nonce, attempt);
    marks.lookAgain(row, attempt.untilMs);
    emit({ do: 'prove-own', attempt: attempt.nonce, parcel: attempt.parcel, store: stays ?? store, holders });
  }

  /** By when a disk that starts reading now has read the whole parcel. */
  #readUntilMs(row: Row): number {
    const { table, config, nowMs } = this.#of;
    return nowMs() + config().timing.attemptMs + Math.ceil(table.bytes(row) / READ_BYTES_PER_MS);
  }

  ownProved({ attempt: nonce, expected }: Extract<Input, { is: 'own-proved' }>): void {
    const attempt = this.#byNonce.get(nonce);
    if (attempt?.stage !== 'proving') return;
    attempt.stage = 'asking';
    attempt.expected = expected;
    attempt.untilMs = this.#readUntilMs(attempt.row);
    this.#of.marks.lookAgain(attempt.row, attempt.untilMs);
    const { parcel, holders } = attempt;
    const { version, hash } = attempt.config;
    if (holders.length > 0)
      this.#of.emit({ do: 'ask-grants', attempt: nonce, parcel, holders, config: { version, hash } });
    // The copy that stays may be enough by itself.
    else this.#commitIfProved(attempt);
  }

  /** Our own copy is corrupt (then the log records that on its own) or cannot be read. */
  ownNotProved({ attempt: nonce }: Extract<Input, { is: 'own-not-proved' }>): void {
    const attempt = this.#byNonce.get(nonce);
    if (attempt?.stage === 'proving') this.#giveUp(attempt);
  }

  grantAnswered({ attempt: nonce, from, answer }: Extract<Input, { is: 'grant-answered' }>): void {
    const attempt = this.#byNonce.get(nonce);
    if (attempt?.stage !== 'asking' || !attempt.holders.includes(from)) return;
    // Checked also for a repeated answer.
    if (answer !== undefined && this.#of.rules.endsWithAnswer(attempt.config, answer)) {
      this.#of.emit({ do: 'ask-config', host: from });
      this.#giveUp(attempt);
      return;
    }
    if (!attempt.unanswered.delete(from)) return;
    if (answer?.answer === 'grant') {
      attempt.grants.push({ host: from, nonce, possession: answer.possession, expected: attempt.expected.get(from) });
      this.#commitIfProved(attempt);
    }
    if (attempt.stage === 'asking' && attempt.unanswered.size === 0) this.#giveUp(attempt);
  }

  #commitIfProved(attempt: Attempt): void {
    const { self, wanted, config, rules, memberOf } = this.#of;
    const origins = wanted.originsOf(attempt.row);
    const copiesWanted = wanted.copiesWanted(attempt.row);
    if (origins.length === 0 || copiesWanted === undefined) return;
    if (rules.endsWithConfig(attempt.config, config()) || !this.#stillStays(attempt)) return;
    const proof = DropProof.from({
      parcel: attempt.parcel,
      store: attempt.store,
      stays: attempt.stays,
      self,
      origins,
      nonce: attempt.nonce,
      copiesWanted,
      grantable: attempt.grantable,
      configVersion: attempt.config.version,
      memberOf,
      grants: attempt.grants,
    });
    if (proof === undefined) return;
    attempt.stage = 'committing';
    this.#of.emit({ do: 'drop', proof });
    if (attempt.unanswered.size > 0) this.#of.emit({ do: 'cancel-attempt', attempt: attempt.nonce });
  }

  /** `del` is durable. The machine applies the operation itself. */
  dropped({ attempt: nonce }: Extract<Input, { is: 'dropped' }>): void {
    const attempt = this.#byNonce.get(nonce);
    if (attempt === undefined) return;
    this.#failures.delete(attempt.row);
    this.#of.rests.forget(attempt.store);
    this.#end(attempt);
  }

  /** PRESENT again, and to be tried again after a rest. If its store has gone since, the attempt is over already. */
  notDropped({ attempt: nonce }: Extract<Input, { is: 'not-dropped' }>): void {
    const attempt = this.#byNonce.get(nonce);
    if (attempt === undefined) return;
    this.#of.rests.begin(attempt.store, this.#of.nowMs());
    this.#giveUp(attempt);
  }

  /** The store takes nothing more until it is opened again; until then nobody knows whether `del` is in its log. */
  storeGone(store: StoreId): void {
    // With a rest, because a store that refuses every write comes back at once, and would be asked again at once.
    for (const attempt of [...this.#byRow.values()]) {
      if (attempt.store !== store) continue;
      if (attempt.stage === 'committing') this.#of.rests.begin(store, this.#of.nowMs());
      this.#giveUp(attempt);
    }
  }

  /** An attempt under an older configuration is void. */
  configChanged(): void {
    const { config, rules } = this.#of;
    for (const attempt of [...this.#byRow.values()])
      if (attempt.stage !== 'committing' && rules.endsWithConfig(attempt.config, config())) this.#giveUp(attempt);
  }

  /** Makes the attempt void; it is tried again after a rest. */
  #giveUp(attempt: Attempt): void {
    const tries = (this.#failures.get(attempt.row)?.tries ?? 0) + 1;
    const { chance, config, marks } = this.#of;
    const restMs = Math.min(BACK_OFF_MS_MAX, config().timing.dropBackOffMs * 2 ** Math.min(tries - 1, 16));
    const untilMs = this.#of.nowMs() + chance.jitter(restMs, BACK_OFF_JITTER_PERCENT);
    this.#failures.set(attempt.row, { tries, untilMs });
    this.#abort(attempt);
    marks.lookAgain(attempt.row, untilMs);
  }

  #abort(attempt: Attempt): void {
    this.#end(attempt);
    this.entered(attempt.row);
  }

  #end(attempt: Attempt): void {
    this.#byRow.delete(attempt.row);
    this.#byNonce.delete(attempt.nonce);
    // Otherwise the reads that were started for it would keep disks busy, here and at the holders, until they time out.
    if (attempt.stage !== 'committing') this.#of.emit({ do: 'cancel-attempt', attempt: attempt.nonce });
    // Whoever waits for its end, because the copy is gone, learns of it.
    this.#of.marks.lookAgain(attempt.row);
    this.#nextTurn();
  }

  #nextTurn(): void {
    const [next] = this.#queue;
    if (next === undefined || this.#byRow.size >= ATTEMPTS_MAX) return;
    this.#queue.delete(next);
    this.#of.marks.lookAgain(next);
  }

  // ------------------------------------------------------------------------------------------------- grants for others

  /** The row has entered PRESENT again, or left it: reads in progress are of another copy. */
  entered(row: Row): void {
    const generation = this.#generations.get(row);
    if (generation !== undefined) this.#generations.set(row, generation + 1);
  }

  grantAsked(asked: Extract<Input, { is: 'grant-asked' }>, row: Row | undefined): void {
    const { memberOf, others, wanted, config, rules } = this.#of;
    // If two stores have it, not the one that is to be emptied.
    const [store] = row === undefined ? [] : this.#of.here.allThatHold(row);
    const origin = row === undefined ? undefined : wanted.originOf(row);
    const verdict = rules.decideGrant({
      askerIsMember: mayHoldCopies(memberOf(asked.from)),
      askerConfig: asked.config,
      config: config(),
      mayGrant: this.#mayGrant(store),
      held: store !== undefined,
      wanted: row !== undefined && wanted.copiesWanted(row) !== undefined,
      ownRemoval: row === undefined ? 'none' : this.#ownRemoval(row),
      askerFirst:
        row !== undefined && origin !== undefined && others.dropsBefore(row, origin, asked.from, this.#of.self),
      reads: this.#reads.size,
    });
    if (verdict.act === 'deny') {
      if (verdict.because === 'config-older' || verdict.because === 'config-differs')
        this.#of.emit({ do: 'ask-config', host: asked.from });
      this.#deny(asked.ask, { to: asked.from, nonce: asked.nonce, parcel: asked.parcel }, verdict.because);
      return;
    }
    if (row === undefined || store === undefined) return;
    const attempt = this.#byRow.get(row);
    if (verdict.yields && attempt !== undefined) this.#giveUp(attempt);
    const generation = this.#generations.get(row) ?? 0;
    this.#generations.set(row, generation);
    this.#reads.set(asked.ask, {
      row,
      to: asked.from,
      nonce: asked.nonce,
      parcel: asked.parcel,
      store,
      askerConfig: asked.config,
      generation,
    });
    this.#of.emit({ do: 'read-possession', ask: asked.ask, parcel: asked.parcel, store, nonce: asked.nonce });
  }

  possessionRead({ ask, possession }: Extract<Input, { is: 'possession-read' }>): void {
    const read = this.#reads.get(ask);
    if (read === undefined) return;
    this.#reads.delete(ask);
    const { rules, config, here } = this.#of;
    const generation = this.#generations.get(read.row) ?? 0;
    if (![...this.#reads.values()].some(({ row }) => row === read.row)) {
      this.#generations.delete(read.row);
      this.#of.marks.lookAgain(read.row);
    }
    const because = rules.decideSign({
      held: here.heldIn(read.row) !== undefined,
      readGeneration: read.generation,
      generation,
      ownRemoval: this.#ownRemoval(read.row),
      possession,
      mayGrant: this.#mayGrant(read.store),
      askerConfig: read.askerConfig,
      config: config(),
    });
    if (because !== undefined || possession === undefined) this.#deny(ask, read, because ?? 'corrupt');
    else this.#answer(ask, read, { answer: 'grant', possession, configVersion: config().version });
  }

  #mayGrant(store: StoreId | undefined): boolean {
    if (!mayTakeCopies(this.#of.memberOf(this.#of.self))) return false;
    return store === undefined || !this.#isDraining(store);
  }

  #deny(ask: number, question: { to: HostId; nonce: Nonce; parcel: ParcelId }, because: DenyReason): void {
    this.#answer(ask, question, { answer: 'deny', because, configVersion: this.#of.config().version });
  }

  #answer(
    ask: number,
    { to, nonce, parcel }: { readonly to: HostId; readonly nonce: Nonce; readonly parcel: ParcelId },
    answer: GrantAnswer,
  ): void {
    this.#of.emit({ do: 'answer-grant', ask, to, nonce, parcel, answer });
  }
}
