import test from 'ava';
import { decideBoot, StartTurns, TURN_MS_MIN, TURNS_MIN } from '../../src/core/duplicate.js';
import { type LogOp, type LogSegment, logAfter, logStart } from '../../src/core/holdings-log.js';
import { sourceIdOf } from '../../src/core/ids.js';
import { MIB, type SmallHost, SmallWorld } from '../helpers/small-world.js';

const DEAD_MS = 30 * 60_000;
const A = { boot: 1, bootId: 'a'.repeat(16) };
const B = { boot: 2, bootId: 'b'.repeat(16) };

test('a new id under another number is a restart, also under a lower one', t => {
  t.is(decideBoot([], A), 'restarted');
  t.is(decideBoot([A], B), 'restarted');
  t.is(decideBoot([B], A), 'restarted');
});

test('one number with two ids is two machines', t => {
  t.is(decideBoot([A, B], B), 'same');
  t.is(decideBoot([A, B], { ...B, bootId: 'c'.repeat(16) }), 'duplicate');
});

test('an id from before the last start is late', t => {
  t.is(decideBoot([A, B], A), 'older');
});

test('a late word of a start that was not known is overruled by the later one', t => {
  t.is(decideBoot([B], A), 'restarted');
  t.is(decideBoot([B, A], B), 'restarted');
});

test('two starts that go on speaking in turns are two machines, and last words that come late are not', t => {
  const FORGET_MS = 1_000_000;
  const says = (turns: StartTurns, nowMs: number): boolean => turns.heardEarlier(nowMs, FORGET_MS);
  const late = new StartTurns();
  late.heardLast();
  for (let nowMs = 0; nowMs < TURN_MS_MIN; nowMs += 1_000) t.false(says(late, nowMs), 'in a bunch');
  const alone = new StartTurns();
  alone.heardLast();
  for (let n = 0; n < 10; n += 1) t.false(says(alone, n * TURN_MS_MIN), 'the last start is silent');
  const both = new StartTurns();
  const verdicts = Array.from({ length: TURNS_MIN }, (_, n) => {
    both.heardLast();
    return says(both, n * TURN_MS_MIN);
  });
  t.deepEqual(verdicts, [...Array.from({ length: TURNS_MIN - 1 }, () => false), true]);
  both.heardLast();
  t.false(says(both, TURNS_MIN * TURN_MS_MIN + FORGET_MS), 'a year later it is another story');
});

test('the copies of a host that runs twice count for nobody, and it is said', t => {
  const world = new SmallWorld([{}, {}, {}, {}, {}]);
  const [origin, twice] = world.hosts as [SmallHost, SmallHost];
  world.run(2_000);
  const parcels = world.backUp(
    origin,
    Array.from({ length: 20 }, () => ({ bytes: MIB })),
  );
  world.run(300_000);
  const heldThere = parcels.filter(id => twice.present.has(id));
  t.true(heldThere.length > 0);
  const other = { ...twice.machine.heartbeat(), bootId: 'f'.repeat(16) };
  for (const host of world.hosts) {
    if (host !== twice) world.tell(host, { is: 'heard', nowMs: world.nowMs, from: twice.id, message: other });
  }
  for (const id of heldThere) t.is(origin.machine.known.copies(id), 1);
  t.true(world.effects.some(({ effect }) => effect.do === 'note-duplicate' && effect.host === twice.id));
  t.true(world.runUntil(() => parcels.every(id => origin.machine.known.copies(id) === 2), 600_000));
});

test('a start that is heard of no more, and does not learn of it, is asked no more often than it speaks', t => {
  const world = new SmallWorld([{}, {}]);
  const [hearer, twice] = world.hosts as [SmallHost, SmallHost];
  world.run(2_000);
  const { boot } = twice.machine.heartbeat();
  const later = { ...twice.machine.heartbeat(), boot: boot + 1, bootId: 'f'.repeat(16) };
  world.tell(hearer, { is: 'heard', nowMs: world.nowMs, from: twice.id, message: later });
  world.effects.length = 0;
  world.run(10 * 60_000);
  const asks = world.effects.filter(({ host, effect }) => host === hearer.id && effect.do === 'ask-state');
  // Every five seconds.
  t.true(asks.length > 2 && asks.length < 150, `${asks.length} in ten minutes`);
});

test('a host whose log another with its identity has overtaken is asked no more often than it speaks while it does not learn of that', t => {
  const world = new SmallWorld([{}, {}]);
  const [hearer, behind] = world.hosts as [SmallHost, SmallHost];
  world.run(2_000);
  const op: LogOp = { op: 'head', source: sourceIdOf(behind.id, 'photos'), seq: 1 };
  const end = logAfter(logStart(behind.store, { counter: 2, random: '00'.repeat(8) }), op);
  const segment: LogSegment = { host: behind.id, end, ops: [op], signature: new Uint8Array(64) };
  world.tell(hearer, { is: 'log', nowMs: world.nowMs, segment });
  world.effects.length = 0;
  world.run(10 * 60_000);
  const asks = world.effects.filter(({ host, effect }) => host === hearer.id && effect.do === 'ask-state');
  // Every five seconds.
  t.true(asks.length > 2 && asks.length < 150, `${asks.length} in ten minutes`);
});

test('two machines with one identity are asked no more often than they speak, whichever of them answers', t => {
  const world = new SmallWorld([{}, {}], { timing: { heartbeatMs: 60_000, suspectMs: 240_000 } });
  const [hearer, twice] = world.hosts as [SmallHost, SmallHost];
  world.run(120_000);
  const first = twice.machine.heartbeat.bind(twice.machine);
  let answers = 0;
  twice.machine.heartbeat = () => {
    answers += 1;
    const own = first();
    // Of the other one each head that it has heard of is news.
    const headsDigest = answers.toString(16).padStart(64, '0');
    return answers % 2 === 0 ? own : { ...own, boot: own.boot + 1, bootId: 'f'.repeat(16), headsDigest };
  };
  const twin = { ...first(), bootId: 'e'.repeat(16) };
  world.tell(hearer, { is: 'heard', nowMs: world.nowMs, from: twice.id, message: twin });
  const did = (what: string): number =>
    world.effects.filter(({ host, effect }) => host === hearer.id && effect.do === what).length;
  t.is(did('note-duplicate'), 1);
  const before = did('ask-state');
  world.run(60 * 60_000);
  t.is(did('note-duplicate'), 1, 'it stays set aside');
  const asks = did('ask-state') - before;
  // Every minute.
  t.true(asks > 20 && asks < 80, `${asks} in an hour`);
});

test('of two machines with one number the one that is left counts again, whichever of them it is', t => {
  const world = new SmallWorld([{}, {}, {}], { timing: { deadMs: DEAD_MS } });
  const [hearer, twice] = world.hosts as [SmallHost, SmallHost];
  world.run(2_000);
  const { boot } = twice.machine.heartbeat();
  const says = (digit: string): void => {
    const message = { ...twice.machine.heartbeat(), boot: boot + 1, bootId: digit.repeat(16) };
    world.tell(hearer, { is: 'heard', nowMs: world.nowMs, from: twice.id, message });
  };
  const notes = (): readonly boolean[] =>
    world.effects.flatMap(({ host, effect }) =>
      host === hearer.id && effect.do === 'note-duplicate' && effect.host === twice.id ? [effect.duplicate] : [],
    );
  says('e');
  says('f');
  says('e');
  t.deepEqual(notes(), [true]);
  for (let passedMs = 0; passedMs < DEAD_MS - 60_000; passedMs += 30_000) {
    world.run(30_000);
    says('f');
  }
  t.deepEqual(notes(), [true], 'not before it has been alone for as long as the dead are waited for');
  for (let passedMs = 0; passedMs < 120_000; passedMs += 30_000) {
    world.run(30_000);
    says('f');
  }
  t.deepEqual(notes(), [true, false]);
});

test('a host that goes on in an earlier start than one that was heard of is asked, so that it learns that it is not heard', t => {
  const world = new SmallWorld([{}, {}, {}]);
  const [hearer, twice] = world.hosts as [SmallHost, SmallHost];
  world.run(60_000);
  const own = twice.machine.heartbeat();
  const later = { ...own, boot: own.boot + 1, bootId: 'e'.repeat(16) };
  world.tell(hearer, { is: 'heard', nowMs: world.nowMs, from: twice.id, message: later });
  t.deepEqual(hearer.machine.known.startOf(twice.id), { boot: later.boot, bootId: later.bootId });
  const asked = (): number =>
    world.effects.filter(
      ({ host, effect }) => host === hearer.id && effect.do === 'ask-state' && effect.host === twice.id,
    ).length;
  const before = asked();
  world.run(30_000);
  t.true(asked() > before);
  t.true(asked() < before + 30_000 / 1_000, 'not all the time');
});

test('nobody waits for a host that runs twice: what it takes would not count', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, {}, {}], { copies: 1 });
  const [origin, twice, other] = world.hosts as [SmallHost, SmallHost, SmallHost];
  world.run(60_000);
  const message = { ...twice.machine.heartbeat(), bootId: 'f'.repeat(16) };
  for (const host of [origin, other]) world.tell(host, { is: 'heard', nowMs: world.nowMs, from: twice.id, message });
  const parcels = world.backUp(
    origin,
    Array.from({ length: 20 }, () => ({ bytes: MIB })),
  );
  t.true(world.runUntil(() => parcels.every(id => other.present.has(id)), 20_000));
});
