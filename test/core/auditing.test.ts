/** Auditing: who is asked, what a failure leads to, and how it ends. */
import test from 'ava';
import type { AuditAnswer } from '../../src/core/audit.js';
import { decideAudit } from '../../src/core/audit.js';
import { Auditing } from '../../src/core/auditing.js';
import { Chance } from '../../src/core/chance.js';
import { ContentsChain, contentsOf } from '../../src/core/checkpoint.js';
import { DEFAULT_TIMING } from '../../src/core/cluster-config.js';
import type { Effect } from '../../src/core/effects.js';
import { HOLDINGS_LIMITS, Holdings } from '../../src/core/holdings.js';
import { type Epoch, type LogOp, logAfterAll, logStart } from '../../src/core/holdings-log.js';
import {
  type HostId,
  type ParcelId,
  type Possession,
  parseHostId,
  parseNonce,
  parseParcelId,
  parseStoreId,
  type StoreId,
} from '../../src/core/ids.js';
import { ParcelTable, type StoreSlot } from '../../src/core/parcel-table.js';
import { RULES } from '../../src/core/rules.js';
import type { StorePresence } from '../../src/core/store-presence.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const RIGHT = 'a'.repeat(64) as Possession;
const WRONG = 'b'.repeat(64) as Possession;

const hostNumber = (n: number): HostId => parseHostId(n.toString(16).padStart(32, '0'));
const storeOf = (host: HostId) => parseStoreId(host);
const parcelNumber = (n: number): ParcelId => parseParcelId(n.toString(16).padStart(64, '0'));
const EPOCH: Epoch = { counter: 1, random: '00'.repeat(8) };

const failed = (host: HostId, parcel: number) => ({ host, store: storeOf(host), parcel: parcelNumber(parcel) });
type Audit = Extract<Effect, { do: 'ask-audit' }>;

class Fixture {
  nowMs = 0;
  readonly table = new ParcelTable();
  readonly holdings: Holdings;
  readonly effects: Effect[] = [];
  readonly asked: HostId[] = [];
  readonly away = new Set<HostId>();
  readonly unlisted = new Set<StoreId>();
  /** Of those that are not simply there or away. */
  readonly presence = new Map<HostId, StorePresence>();
  readonly fromHere = new Set<ParcelId>();
  readonly self = hostNumber(5);
  readonly auditing: Auditing;
  #nonces = 0;

  /** @param logs that are read of one host */
  constructor(ranBeforeMs = 0, logs = 1) {
    this.holdings = new Holdings(this.table, {
      ...RULES,
      self: hostNumber(5),
      isListed: (_host, store) => !this.unlisted.has(store),
      onGivenUp: slot => this.auditing.givenUp(slot),
      limits: { ...HOLDINGS_LIMITS, logs },
    });
    this.auditing = new Auditing({
      self: this.self,
      table: this.table,
      holdings: this.holdings,
      chance: new Chance([1, 2, 3]),
      nonces: () => parseNonce((++this.#nonces).toString(16).padStart(32, '0')),
      nowMs: () => this.nowMs,
      runMs: () => ranBeforeMs + this.nowMs,
      config: () => ({ timing: { ...DEFAULT_TIMING, scrubMs: 30 * DAY_MS, deadMaxMs: 3 * DAY_MS } }),
      here: {
        heldIn: row => {
          const slot = this.holdings.slotOf(this.self, storeOf(this.self));
          return slot !== undefined && this.table.isHeldBy(row, slot) ? storeOf(this.self) : undefined;
        },
      },
      isFromHere: row => this.fromHere.has(this.table.id(row)),
      isWanted: () => true,
      presences: { of: slot => this.#presenceOf(slot), canBeAsked: slot => this.#presenceOf(slot) === 'there' },
      askState: host => void this.asked.push(host),
      emit: effect => void this.effects.push(effect),
      marks: { mark: () => undefined },
    });
    this.auditing.configured();
  }

  #presenceOf(slot: StoreSlot): StorePresence {
    const host = this.holdings.hostOf(slot);
    return this.presence.get(host) ?? (this.away.has(host) ? 'dead' : 'there');
  }

  log(host: HostId, ops: readonly LogOp[], { epoch = EPOCH, store = storeOf(host) } = {}): void {
    const slot = this.holdings.slotOf(host, store);
    const known = slot === undefined ? undefined : this.holdings.position(slot);
    const start = known?.epoch === epoch ? known : logStart(store, epoch);
    const applied = this.holdings.apply({ host, ops, end: logAfterAll(start, ops), signature: new Uint8Array(64) });
    if (applied.outcome !== 'extended') throw new Error(applied.outcome);
    this.auditing.told(this.holdings.slotOf(host, store) as number, applied.rows);
  }

  /** A checkpoint so many operations on: what the store holds then. */
  checkpoint(host: HostId, parcels: readonly number[], { ops = 9, epoch = EPOCH } = {}): void {
    const store = storeOf(host);
    const chain = new ContentsChain({ ...logStart(store, epoch), seq: ops });
    const contents = [...contentsOf(parcels.map(parcelNumber), [])];
    chain.take(contents);
    const checkpoint = { host, ...chain.base, signature: new Uint8Array(64) };
    const { outcome } = this.holdings.take({ checkpoint, first: 0, ops: contents });
    if (outcome !== 'extended') throw new Error(outcome);
    this.auditing.retold(this.holdings.slotOf(host, store) as number);
  }

  holds(host: HostId, ...parcels: readonly number[]): void {
    this.log(
      host,
      parcels.map(n => ({ op: 'add', parcel: parcelNumber(n) })),
    );
  }

  isHeld(host: HostId, parcel: number): boolean {
    const row = this.table.find(parcelNumber(parcel));
    const slot = this.holdings.slotOf(host, storeOf(host));
    return row !== undefined && slot !== undefined && this.table.isHeldBy(row, slot);
  }

  /** Lets time pass until the next audit is asked for. */
  nextAudit({ withinMs = 31 * DAY_MS } = {}): Audit | undefined {
    const endMs = this.nowMs + withinMs;
    for (let steps = 0; steps < 100_000; steps += 1) {
      const found = this.effects.findIndex(effect => effect.do === 'ask-audit');
      if (found >= 0) return this.effects.splice(found, 1)[0] as Audit;
      if (this.auditing.dueMs > endMs) return undefined;
      this.nowMs = Math.max(this.nowMs, this.auditing.dueMs);
      this.auditing.tick();
    }
    throw new Error('it does not come to an end');
  }

  answer(audit: Audit, answer: AuditAnswer | undefined, expected = RIGHT): void {
    this.auditing.audited({ is: 'audited', nowMs: this.nowMs, audit: audit.audit, expected, answer });
  }

  fails(audit: Audit): void {
    this.answer(audit, { answer: 'proof', possession: WRONG });
  }

  /** What was asked for, once the step has ended. */
  taken<Do extends Effect['do']>(what: Do): Extract<Effect, { do: Do }>[] {
    this.auditing.tick();
    return this.effects.filter((effect): effect is Extract<Effect, { do: Do }> => effect.do === what);
  }
}

/** This host, 5, holds parcel 1; and so does 7. */
function pair(ranBeforeMs = 0): Fixture {
  const fixture = new Fixture(ranBeforeMs);
  fixture.holds(fixture.self, 1);
  fixture.holds(hostNumber(7), 1);
  return fixture;
}

test('what an answer says: only bytes that differ fail at once, and a denial that is said twice', t => {
  const proof = (possession: Possession): AuditAnswer => ({ answer: 'proof', possession });
  const deny = (because: 'busy' | 'absent' | 'corrupt'): AuditAnswer => ({ answer: 'deny', because });
  const table = [
    [proof(RIGHT), RIGHT, false, 'passed'],
    [proof(WRONG), RIGHT, false, 'failed'],
    [proof(WRONG), undefined, false, 'unknown'],
    [undefined, RIGHT, true, 'unknown'],
    [deny('busy'), undefined, true, 'unknown'],
    [deny('absent'), undefined, false, 'denied'],
    [deny('corrupt'), undefined, false, 'denied'],
    [deny('absent'), undefined, true, 'failed'],
  ] as const;
  const unanswered = { questions: 0, forMs: 0 };
  for (const [answer, expected, deniedBefore, verdict] of table)
    t.is(decideAudit({ answer, expected, deniedBefore, unanswered, scrubMs: DAY_MS }), verdict);
});

test('a copy that nobody gets to see in ten questions and two walks counts for nothing', t => {
  const of = (questions: number, forMs: number, answer?: AuditAnswer) =>
    decideAudit({
      expected: RIGHT,
      answer,
      deniedBefore: false,
      unanswered: { questions, forMs },
      scrubMs: DAY_MS,
    });
  t.is(of(10, 2 * DAY_MS), 'failed');
  t.is(of(10, 2 * DAY_MS, { answer: 'deny', because: 'busy' }), 'failed');
  t.is(of(9, 2 * DAY_MS), 'unknown');
  t.is(of(10, 2 * DAY_MS - 1), 'unknown');
  t.is(of(10, 2 * DAY_MS, { answer: 'proof', possession: RIGHT }), 'passed');
});

test('who never has an answer is asked more often, and believed no longer; one answer begins the count anew', t => {
  const fixture = pair();
  const silence = (whenMs: number): number => {
    let questions = 0;
    while (fixture.nowMs < whenMs) {
      const audit = fixture.nextAudit();
      if (audit === undefined) break;
      fixture.answer(audit, questions % 2 === 0 ? undefined : { answer: 'deny', because: 'busy' });
      questions += 1;
      if (!fixture.isHeld(hostNumber(7), 1)) break;
    }
    return questions;
  };
  t.true(silence(50 * DAY_MS) >= 10);
  const audit = fixture.nextAudit();
  if (audit !== undefined) fixture.answer(audit, { answer: 'proof', possession: RIGHT });
  const sinceMs = fixture.nowMs;
  silence(sinceMs + 59 * DAY_MS);
  t.true(fixture.isHeld(hostNumber(7), 1));
  silence(sinceMs + 200 * DAY_MS);
  t.false(fixture.isHeld(hostNumber(7), 1));
  t.is(fixture.taken('gossip').length, 1);
});

test('a restart does not begin the count of unanswered questions anew, and asks again soon', t => {
  const before = pair();
  const noted = (fixture: Fixture) => fixture.effects.filter(effect => effect.do === 'note-unanswered').at(-1);
  for (let questions = 0; questions < 9; questions += 1) before.answer(before.nextAudit() as Audit, undefined);
  const note = noted(before);
  t.is(note?.unanswered?.questions, 9);
  const copy = { host: hostNumber(7), store: storeOf(hostNumber(7)), parcel: parcelNumber(1) };
  t.deepEqual(note?.copy, copy);
  t.true(before.isHeld(hostNumber(7), 1));

  const unanswered = note?.unanswered as { questions: number; sinceRunMs: number };
  const after = pair(unanswered.sinceRunMs + 60 * DAY_MS);
  const gone = { ...copy, parcel: parcelNumber(2) };
  after.auditing.recall([
    { copy, unanswered },
    { copy: gone, unanswered },
  ]);
  t.deepEqual(noted(after), { do: 'note-unanswered', copy: gone, unanswered: undefined });
  after.effects.length = 0;
  const audit = after.nextAudit({ withinMs: 3 * DAY_MS + HOUR_MS });
  after.answer(audit as Audit, undefined);
  t.is(noted(after)?.unanswered?.questions, 10);
  const last = after.nextAudit({ withinMs: 3 * DAY_MS + HOUR_MS });
  after.answer(last as Audit, undefined);
  t.false(after.isHeld(hostNumber(7), 1));
});

test('who never has an answer is asked ten times in each scrub and once by each walk, and no more', t => {
  const fixture = pair();
  let questions = 0;
  for (let audit = fixture.nextAudit(); audit !== undefined && fixture.nowMs < 59 * DAY_MS; questions += 1) {
    fixture.answer(audit, undefined);
    audit = fixture.nextAudit();
  }
  t.true(fixture.isHeld(hostNumber(7), 1));
  t.true(questions >= 19 && questions <= 22, `${questions} questions`);
});

test('a copy that passes when a walk comes by is not asked for again before the next one', t => {
  const fixture = pair();
  let audit = fixture.nextAudit() as Audit;
  // What had no answer is asked for each three days: what comes sooner is the walk.
  for (let beforeMs = Number.NEGATIVE_INFINITY; fixture.nowMs - beforeMs >= 3 * DAY_MS; ) {
    beforeMs = fixture.nowMs;
    fixture.answer(audit, undefined);
    audit = fixture.nextAudit() as Audit;
  }
  fixture.answer(audit, { answer: 'proof', possession: RIGHT });
  t.is(fixture.nextAudit({ withinMs: 20 * DAY_MS }), undefined);
});

test('however many copies have no answer, one that is denied or has failed is asked for again', t => {
  const fixture = new Fixture();
  const parcels = Array.from({ length: 4_200 }, (_, n) => n + 1);
  for (const host of [fixture.self, hostNumber(7)]) fixture.holds(host, ...parcels);
  const first = fixture.nextAudit({ withinMs: HOUR_MS }) as Audit;
  const { parcel } = first;
  const others = parcels.map(n => failed(hostNumber(7), n)).filter(copy => copy.parcel !== parcel);
  fixture.auditing.recall(others.map(copy => ({ copy, unanswered: { questions: 1, sinceRunMs: 0 } })));
  const absent: AuditAnswer = { answer: 'deny', because: 'absent' };
  fixture.answer(first, absent);
  const second = fixture.nextAudit({ withinMs: 2 * MINUTE_MS });
  t.is(second?.parcel, parcel);
  fixture.answer(second as Audit, absent);
  const dueMs = fixture.nowMs + 45 * MINUTE_MS;
  const asked: ParcelId[] = [];
  for (let next = fixture.nextAudit(); next !== undefined && fixture.nowMs <= dueMs; next = fixture.nextAudit()) {
    asked.push(next.parcel);
    fixture.answer(next, undefined);
  }
  t.true(asked.includes(parcel));
});

test('an answer, and its log, end what is noted of a copy', t => {
  const fixture = pair();
  const noted = () =>
    fixture.effects.filter(effect => effect.do === 'note-unanswered').map(note => note.unanswered?.questions);
  fixture.answer(fixture.nextAudit() as Audit, undefined);
  fixture.answer(fixture.nextAudit() as Audit, { answer: 'proof', possession: RIGHT });
  t.deepEqual(noted(), [1, undefined]);
  fixture.answer(fixture.nextAudit() as Audit, undefined);
  fixture.log(hostNumber(7), [{ op: 'del', parcel: parcelNumber(1) }]);
  t.deepEqual(noted(), [1, undefined, 1, undefined]);
});

test('each holder asks the one that comes next by host id, and the last one the first', t => {
  for (const [others, next] of [
    [[2, 7, 9], 7],
    [[2, 3], 2],
    [[9], 9],
  ] as const) {
    const fixture = new Fixture();
    fixture.holds(fixture.self, 1);
    for (const other of others) fixture.holds(hostNumber(other), 1);
    t.is(fixture.nextAudit()?.holder, hostNumber(next));
  }
});

test('who is away is passed over, and what nobody else holds is not audited', t => {
  const fixture = pair();
  fixture.holds(hostNumber(9), 1);
  fixture.away.add(hostNumber(7));
  t.is(fixture.nextAudit()?.holder, hostNumber(9));
  const alone = new Fixture();
  alone.holds(alone.self, 1);
  t.is(alone.nextAudit(), undefined);
});

test('a copy that is the only one is audited by its origin, which has no copy and goes by its files', t => {
  const fixture = new Fixture();
  fixture.holds(hostNumber(7), 1, 2);
  fixture.holds(hostNumber(9), 2);
  for (const n of [1, 2]) fixture.fromHere.add(parcelNumber(n));
  const audit = fixture.nextAudit() as Audit;
  t.like(audit, { holder: hostNumber(7), parcel: parcelNumber(1), store: undefined });
  fixture.fails(audit);
  t.false(fixture.isHeld(hostNumber(7), 1));
  // The origin goes on asking, and believes it again once it shows the bytes; two holders of another parcel do without it.
  const again = fixture.nextAudit() as Audit;
  t.like(again, { holder: hostNumber(7), parcel: parcelNumber(1), store: undefined });
  fixture.answer(again, { answer: 'proof', possession: RIGHT });
  t.true(fixture.isHeld(hostNumber(7), 1));
  t.is(fixture.nextAudit()?.parcel, parcelNumber(1));
});

test('so is one whose other holders are away for good, or are members no more', t => {
  const fixture = new Fixture();
  for (const holder of [7, 8, 9]) fixture.holds(hostNumber(holder), 1);
  fixture.fromHere.add(parcelNumber(1));
  fixture.presence.set(hostNumber(8), 'dead');
  t.is(fixture.nextAudit(), undefined);
  fixture.presence.set(hostNumber(9), 'gone');
  t.like(fixture.nextAudit({ withinMs: 60 * DAY_MS }), { holder: hostNumber(7), parcel: parcelNumber(1) });
});

test('so are two copies of one host, of which nobody else has any', t => {
  const fixture = new Fixture(0, 2);
  for (const store of [storeOf(hostNumber(7)), storeOf(hostNumber(8))])
    fixture.log(hostNumber(7), [{ op: 'add', parcel: parcelNumber(1) }], { store });
  fixture.fromHere.add(parcelNumber(1));
  t.like(fixture.nextAudit(), { holder: hostNumber(7), parcel: parcelNumber(1) });
});

test('every copy is asked for once in each scrub, one at a time', t => {
  const fixture = new Fixture();
  const parcels = Array.from({ length: 40 }, (_, i) => i + 1);
  fixture.holds(fixture.self, ...parcels);
  fixture.holds(hostNumber(7), ...parcels);
  const seen = new Map<ParcelId, number>();
  for (let audits = 0; audits < 40; audits += 1) {
    const audit = fixture.nextAudit();
    if (audit === undefined) break;
    t.is(fixture.nextAudit({ withinMs: DAY_MS }), undefined, 'one at a time');
    fixture.answer(audit, { answer: 'proof', possession: RIGHT });
    seen.set(audit.parcel, (seen.get(audit.parcel) ?? 0) + 1);
  }
  t.is(seen.size, 40);
  t.true(fixture.nowMs > 25 * DAY_MS && fixture.nowMs < 75 * DAY_MS);
});

test('a copy that fails counts no more, and others hear of it', t => {
  const fixture = pair();
  fixture.fails(fixture.nextAudit() as Audit);
  t.false(fixture.isHeld(hostNumber(7), 1));
  t.true(fixture.isHeld(fixture.self, 1));
  const host = hostNumber(7);
  t.deepEqual(fixture.taken('gossip'), [
    {
      do: 'gossip',
      message: { kind: 'failed-audits', failed: [{ host, store: storeOf(host), parcel: parcelNumber(1) }] },
    },
  ]);
  t.deepEqual(fixture.taken('note-distrust'), [{ do: 'note-distrust', host, store: storeOf(host), copies: 1 }]);
});

test('while it fails that is said again within the hour; once it passes it counts again', t => {
  const fixture = pair();
  fixture.fails(fixture.nextAudit() as Audit);
  const again = fixture.nextAudit({ withinMs: HOUR_MS });
  t.is(again?.holder, hostNumber(7));
  fixture.fails(again as Audit);
  t.is(fixture.taken('gossip').length, 2);
  const last = fixture.nextAudit({ withinMs: HOUR_MS });
  fixture.answer(last as Audit, { answer: 'proof', possession: RIGHT });
  t.true(fixture.isHeld(hostNumber(7), 1));
  t.is(fixture.taken('note-distrust').at(-1)?.copies, 0);
});

test('a denial makes its log be read, and counts when it is said once more while the log still has the copy', t => {
  const fixture = pair();
  const absent: AuditAnswer = { answer: 'deny', because: 'absent' };
  fixture.answer(fixture.nextAudit() as Audit, absent);
  t.deepEqual(fixture.asked, [hostNumber(7)]);
  t.true(fixture.isHeld(hostNumber(7), 1));
  fixture.answer(fixture.nextAudit({ withinMs: HOUR_MS }) as Audit, absent);
  t.false(fixture.isHeld(hostNumber(7), 1));
});

test('a holder whose log has told of the end meanwhile is not blamed', t => {
  const fixture = pair();
  const audit = fixture.nextAudit() as Audit;
  fixture.log(hostNumber(7), [{ op: 'del', parcel: parcelNumber(1) }]);
  fixture.fails(audit);
  t.deepEqual(fixture.taken('gossip'), []);
  t.deepEqual(fixture.taken('note-distrust'), []);
});

test('what its log tells of it anew is believed', t => {
  const fixture = pair();
  fixture.fails(fixture.nextAudit() as Audit);
  fixture.log(hostNumber(7), [
    { op: 'corrupt', parcel: parcelNumber(1) },
    { op: 'add', parcel: parcelNumber(1) },
  ]);
  t.true(fixture.isHeld(hostNumber(7), 1));
  t.is(fixture.taken('note-distrust').at(-1)?.copies, 0);
});

test('a checkpoint is no news of a copy that failed, and ends its failure when it has it no more', t => {
  const fixture = pair();
  const host = hostNumber(7);
  fixture.fails(fixture.nextAudit() as Audit);
  fixture.checkpoint(host, [1, 2]);
  t.false(fixture.isHeld(host, 1));
  t.true(fixture.isHeld(host, 2));
  fixture.checkpoint(host, [2], { ops: 12 });
  t.is(fixture.taken('note-distrust').at(-1)?.copies, 0);
  fixture.nowMs += DAY_MS;
  fixture.auditing.tick();
  t.false(fixture.isHeld(host, 1));
});

test('a checkpoint of a new epoch is another log, and what it tells is believed', t => {
  const fixture = pair();
  fixture.fails(fixture.nextAudit() as Audit);
  fixture.checkpoint(hostNumber(7), [1], { epoch: { counter: 2, random: '00'.repeat(8) } });
  t.true(fixture.isHeld(hostNumber(7), 1));
});

test('a log of a new epoch that lacks the copy does not get it back by an old failure that is forgotten', t => {
  const fixture = pair();
  fixture.fails(fixture.nextAudit() as Audit);
  fixture.log(hostNumber(7), [{ op: 'add', parcel: parcelNumber(2) }], {
    epoch: { counter: 2, random: '00'.repeat(8) },
  });
  fixture.nowMs += DAY_MS;
  fixture.auditing.tick();
  t.false(fixture.isHeld(hostNumber(7), 1));
});

test('what another member says is believed for two hours, of anybody but ourselves, and of nothing that is not claimed', t => {
  const fixture = pair();
  fixture.holds(hostNumber(7), 2);
  fixture.auditing.heard([failed(hostNumber(7), 2), failed(fixture.self, 1), failed(hostNumber(7), 3)]);
  t.false(fixture.isHeld(hostNumber(7), 2));
  t.true(fixture.isHeld(fixture.self, 1));
  fixture.nowMs += HOUR_MS;
  fixture.auditing.heard([failed(hostNumber(7), 2)]);
  fixture.nowMs += 1.5 * HOUR_MS;
  fixture.auditing.tick();
  t.false(fixture.isHeld(hostNumber(7), 2), 'it was said again');
  fixture.nowMs += HOUR_MS;
  fixture.auditing.tick();
  t.true(fixture.isHeld(hostNumber(7), 2));
  t.false(fixture.isHeld(hostNumber(7), 3));
});

/** Lets time pass, with a look each minute. */
function pass(fixture: Fixture, forMs: number): void {
  for (const endMs = fixture.nowMs + forMs; fixture.nowMs < endMs; fixture.nowMs += MINUTE_MS) fixture.auditing.tick();
}

test('a holder that is away when it is to be asked again is asked when it is back, and not believed until then', t => {
  const fixture = pair();
  const host = hostNumber(7);
  fixture.fails(fixture.nextAudit() as Audit);
  fixture.away.add(host);
  pass(fixture, 10 * HOUR_MS);
  t.false(fixture.isHeld(host, 1));
  fixture.away.delete(host);
  const again = fixture.nextAudit({ withinMs: HOUR_MS }) as Audit;
  t.false(fixture.isHeld(host, 1));
  fixture.answer(again, { answer: 'proof', possession: RIGHT });
  t.true(fixture.isHeld(host, 1));
});

test('a holder that is away after it denied a copy is asked when it is back, and its next denial is its second', t => {
  const fixture = pair();
  const absent: AuditAnswer = { answer: 'deny', because: 'absent' };
  fixture.answer(fixture.nextAudit() as Audit, absent);
  fixture.away.add(hostNumber(7));
  pass(fixture, 10 * MINUTE_MS);
  fixture.away.delete(hostNumber(7));
  fixture.answer(fixture.nextAudit({ withinMs: 2 * MINUTE_MS }) as Audit, absent);
  t.false(fixture.isHeld(hostNumber(7), 1));
});

test('what another member said and says no more is found out by a host that has the bytes itself', t => {
  for (const possession of [RIGHT, WRONG]) {
    const fixture = pair();
    fixture.auditing.heard([failed(hostNumber(7), 1)]);
    fixture.nowMs += 2 * HOUR_MS;
    const audit = fixture.nextAudit({ withinMs: 2 * MINUTE_MS }) as Audit;
    t.false(fixture.isHeld(hostNumber(7), 1));
    fixture.answer(audit, { answer: 'proof', possession });
    t.is(fixture.isHeld(hostNumber(7), 1), possession === RIGHT);
    t.is(fixture.taken('gossip').length, possession === RIGHT ? 0 : 1);
  }
});

test('a host that has the bytes and cannot read them believes what has lasted, as one that has not', t => {
  const fixture = pair();
  fixture.auditing.heard([failed(hostNumber(7), 1)]);
  fixture.nowMs += 2 * HOUR_MS;
  const { audit } = fixture.nextAudit({ withinMs: 2 * MINUTE_MS }) as Audit;
  const answer: AuditAnswer = { answer: 'proof', possession: WRONG };
  fixture.auditing.audited({ is: 'audited', nowMs: fixture.nowMs, audit, expected: undefined, answer });
  t.true(fixture.isHeld(hostNumber(7), 1));
});

test('what another member said of a holder that is away since is believed until that is back for two hours', t => {
  const fixture = pair();
  const host = hostNumber(7);
  fixture.holds(host, 2);
  fixture.auditing.heard([failed(host, 2)]);
  pass(fixture, HOUR_MS);
  fixture.away.add(host);
  pass(fixture, 5 * HOUR_MS);
  fixture.away.delete(host);
  pass(fixture, HOUR_MS);
  t.false(fixture.isHeld(host, 2));
  pass(fixture, 2 * HOUR_MS);
  t.true(fixture.isHeld(host, 2));
});

test('what is known of a store that makes room for another one is not taken for that one’s', t => {
  const fixture = pair();
  const host = hostNumber(7);
  fixture.holds(host, 2);
  fixture.holds(fixture.self, 2);
  fixture.fails(fixture.nextAudit() as Audit);
  fixture.answer(fixture.nextAudit() as Audit, undefined);
  fixture.unlisted.add(storeOf(host));
  fixture.auditing.tick();
  const store = parseStoreId('5a'.repeat(16));
  const ops: readonly LogOp[] = [{ op: 'add', parcel: parcelNumber(1) }];
  const segment = { host, ops, end: logAfterAll(logStart(store, EPOCH), ops), signature: new Uint8Array(64) };
  t.is(fixture.holdings.apply(segment).outcome, 'extended');
  t.deepEqual(
    fixture.taken('note-distrust').map(note => [note.store, note.copies]),
    [
      [storeOf(host), 1],
      [storeOf(host), 0],
    ],
  );
  t.like(fixture.taken('note-unanswered').at(-1), { copy: { store: storeOf(host) }, unanswered: undefined });
  t.is(fixture.nextAudit({ withinMs: HOUR_MS }), undefined, 'a denial of the other one would be its second');
});

test('a failure is remembered for as long as its holder is a member that may come back, and then no more', t => {
  for (const [presence, forMs, endsIt] of [
    ['dead', 30 * DAY_MS, false],
    ['suspect', 30 * DAY_MS, false],
    ['unlisted', 2 * DAY_MS, false],
    ['unlisted', 3 * DAY_MS + HOUR_MS, true],
  ] as const) {
    const fixture = pair();
    fixture.fails(fixture.nextAudit() as Audit);
    fixture.presence.set(hostNumber(7), presence);
    pass(fixture, forMs);
    t.is(fixture.isHeld(hostNumber(7), 1), endsIt, presence);
    t.is(fixture.taken('note-distrust').at(-1)?.copies, endsIt ? 0 : 1, presence);
  }
});

test('time in which a store is unlisted is counted anew once it was listed', t => {
  const fixture = pair();
  const host = hostNumber(7);
  fixture.fails(fixture.nextAudit() as Audit);
  for (const presence of ['unlisted', 'suspect', 'unlisted'] as const) {
    fixture.presence.set(host, presence);
    pass(fixture, 2 * DAY_MS);
  }
  t.false(fixture.isHeld(host, 1));
});

test('who is no member any more is remembered of nothing, and nothing that is said of it is taken in', t => {
  const fixture = pair();
  const host = hostNumber(7);
  fixture.holds(host, 2);
  fixture.fails(fixture.nextAudit() as Audit);
  fixture.holds(hostNumber(9), 1);
  fixture.away.add(host);
  fixture.answer(fixture.nextAudit() as Audit, undefined);
  fixture.presence.set(host, 'gone').set(hostNumber(9), 'gone');
  fixture.auditing.configured();
  fixture.auditing.heard([failed(host, 2)]);
  t.deepEqual(
    fixture.taken('note-distrust').map(({ copies }) => copies),
    [1, 0],
  );
  t.is(fixture.taken('note-unanswered').at(-1)?.unanswered, undefined);
  t.is(fixture.nextAudit(), undefined);
});

test('copies that would not count anyhow leave no other one believed that failed its audit', t => {
  const fixture = pair();
  const [gone, dead, there] = [hostNumber(8), hostNumber(9), hostNumber(7)];
  const many = Array.from({ length: 4_096 }, (_, n) => n + 10);
  fixture.holds(gone, ...many);
  fixture.holds(dead, 1, 2);
  fixture.holds(there, 2, 3);
  fixture.presence.set(gone, 'unlisted').set(dead, 'dead');
  const said = (host: HostId, parcels: readonly number[]) => {
    fixture.auditing.heard(parcels.map(parcel => failed(host, parcel)));
    fixture.auditing.tick();
  };
  said(dead, [1]);
  said(gone, many);
  const full = () => fixture.effects.filter(effect => effect.do === 'note-distrust-full');
  t.deepEqual(full(), [{ do: 'note-distrust-full', copies: 4_096 }]);
  t.false(fixture.isHeld(gone, 10));
  t.true(fixture.isHeld(gone, 4_105), 'it does not take the place of another one');
  said(there, [1, 2]);
  t.false(fixture.isHeld(there, 1) || fixture.isHeld(there, 2));
  t.true(fixture.isHeld(gone, 10) && fixture.isHeld(gone, 11));
  t.false(fixture.isHeld(dead, 1));
  said(dead, [2]);
  t.true(fixture.isHeld(dead, 2));
  t.is(full().length, 1, 'told of once');
});

/** Host 7 has one copy that this host audits; and 4,096 others of that host had no answer before. */
function silentBefore(host: HostId) {
  const fixture = pair();
  const many = Array.from({ length: 4_096 }, (_, n) => n + 10);
  fixture.holds(host, ...many);
  const before = many.map(parcel => ({ copy: failed(host, parcel), unanswered: { questions: 1, sinceRunMs: 0 } }));
  const recall = (): void => fixture.auditing.recall(before);
  recall();
  const ask = (): void => fixture.answer(fixture.nextAudit() as Audit, undefined);
  const noted = () =>
    fixture.taken('note-unanswered').map(({ copy, unanswered }) => [copy.host, unanswered?.questions]);
  return { fixture, recall, ask, noted };
}

test('of those that do not answer, copies that would not count anyhow are forgotten for one that does', t => {
  const gone = hostNumber(8);
  const { fixture, ask, noted } = silentBefore(gone);
  fixture.presence.set(gone, 'unlisted');
  ask();
  t.deepEqual(noted(), [
    [gone, undefined],
    [hostNumber(7), 1],
  ]);
  t.deepEqual(fixture.taken('note-unanswered-full'), [{ do: 'note-unanswered-full', copies: 4_096 }]);
});

test('of those that all count no more than 4,096 are remembered not to answer, which is told once until half have', t => {
  const there = hostNumber(8);
  const { fixture, recall, ask, noted } = silentBefore(there);
  const full = (): number => fixture.taken('note-unanswered-full').length;
  ask();
  ask();
  t.deepEqual(noted(), []);
  t.is(full(), 1);
  fixture.presence.set(there, 'gone');
  fixture.auditing.configured();
  ask();
  t.deepEqual(noted().at(-1), [hostNumber(7), 1]);
  t.is(full(), 1);
  // Half have, and as many have none again: another copy gets no place.
  fixture.presence.delete(there);
  recall();
  for (const host of [fixture.self, hostNumber(7)]) fixture.holds(host, 2);
  for (let asked = 0; asked < 10 && full() === 1; asked += 1) ask();
  t.is(full(), 2);
});

test('of copies that all count no more than 4,096 are distrusted, and that others are believed is told', t => {
  const fixture = new Fixture();
  const many = Array.from({ length: 4_097 }, (_, n) => n + 1);
  fixture.holds(hostNumber(7), ...many);
  fixture.auditing.heard(many.map(parcel => failed(hostNumber(7), parcel)));
  t.deepEqual([fixture.isHeld(hostNumber(7), 4_096), fixture.isHeld(hostNumber(7), 4_097)], [false, true]);
  t.is(fixture.taken('note-distrust-full').length, 1);
  t.is(fixture.taken('note-distrust').at(-1)?.copies, 4_096);
});
