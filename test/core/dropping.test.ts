import test from 'ava';
import fc from 'fast-check';
import { Chance } from '../../src/core/chance.js';
import { type ClusterConfig, DEFAULT_TIMING, type Member } from '../../src/core/cluster-config.js';
import { Dropping } from '../../src/core/dropping.js';
import type { Effect } from '../../src/core/effects.js';
import { type LogSegment, logStart } from '../../src/core/holdings-log.js';
import {
  type HostId,
  type Nonce,
  parseClusterId,
  parseHostId,
  parseKey,
  parseNonce,
  parseParcelId,
  parsePeerName,
  parsePossession,
  parseStoreId,
  type StoreId,
} from '../../src/core/ids.js';
import { ParcelTable, type Row } from '../../src/core/parcel-table.js';
import { RowSet } from '../../src/core/row-set.js';
import { RULES } from '../../src/core/rules.js';
import { REMOVAL_RESTS, StoreRests } from '../../src/core/store-rests.js';
import { law } from '../helpers/law.js';
import { MIB, type SmallHost, SmallWorld } from '../helpers/small-world.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const many = (count: number, bytes = MIB) => Array.from({ length: count }, () => ({ bytes }));

/** A world in which each parcel has `copies` copies and all is quiet. */
function settledWorld(hosts: number, { parcels = 20, copies = 2, seed = 1, timing = {} } = {}) {
  const world = new SmallWorld(
    Array.from({ length: hosts }, () => ({})),
    { copies, seed, timing },
  );
  const [origin, ...others] = world.hosts as [SmallHost, ...SmallHost[]];
  world.run(2_000);
  const ids = world.backUp(origin, many(parcels));
  world.run(5 * MINUTE_MS);
  const lowerTo = (fewer: number): void => {
    const change = (sources: ClusterConfig['sources']) => sources.map(policy => ({ ...policy, copies: fewer }));
    world.configure({ sources: change(world.sourcePolicies()) });
  };
  return { world, origin, others, ids, lowerTo };
}

const copiesOf = (world: SmallWorld, ids: readonly string[]) => ids.map(id => world.trueHolders(id as never).length);
const all = (count: number, value: number) => Array.from({ length: count }, () => value);

test('with N lowered each parcel ends with exactly N copies, and at no moment with fewer', t => {
  const { world, ids, lowerTo } = settledWorld(5, { copies: 3 });
  t.deepEqual(copiesOf(world, ids), all(20, 3));
  lowerTo(1);
  let least = 3;
  const settled = world.runUntil(() => {
    least = Math.min(least, ...copiesOf(world, ids));
    return copiesOf(world, ids).every(copies => copies === 1);
  }, HOUR_MS);
  t.true(settled);
  t.is(least, 1);
  for (const host of world.hosts) t.is(host.machine.known.pending().attempts, 0);
});

test('a surplus is left alone until it has lasted', t => {
  const { world, ids, lowerTo } = settledWorld(4, { copies: 2, parcels: 5 });
  lowerTo(1);
  world.run(25_000);
  t.deepEqual(copiesOf(world, ids), all(5, 2));
  t.true(world.runUntil(() => copiesOf(world, ids).every(copies => copies === 1), HOUR_MS));
});

test('what a host brings back that was taken for dead is surplus for long before it goes', t => {
  const { world, ids, others } = settledWorld(5, { timing: { deadMs: 10 * MINUTE_MS, returnMs: HOUR_MS } });
  const [lost] = others as [SmallHost];
  world.kill(lost);
  t.true(world.runUntil(() => copiesOf(world, ids).every(copies => copies === 2), HOUR_MS));
  world.revive(lost);
  world.run(0.9 * HOUR_MS);
  t.true(copiesOf(world, ids).some(copies => copies === 3));
  world.run(0.2 * HOUR_MS);
  t.deepEqual(copiesOf(world, ids), all(20, 2));
});

test('a host that was off until others took it for dead keeps what is too many for long, too, though it starts anew', t => {
  const timing = { deadMs: 10 * MINUTE_MS, returnMs: HOUR_MS };
  const dropped = (offForMs: number, forMs = 0.9 * HOUR_MS): number => {
    const { world, ids, others } = settledWorld(5, { timing });
    const [lost] = others as [SmallHost];
    world.kill(lost);
    t.true(world.runUntil(() => ids.every(id => world.trueHolders(id).length === 2), HOUR_MS));
    world.startAgain(lost, offForMs);
    world.run(forMs);
    const early = world.hosts.reduce((sum, { removed }) => sum + removed.length, 0);
    world.run(1.1 * HOUR_MS - forMs);
    t.deepEqual(copiesOf(world, ids), all(20, 2));
    return early;
  };
  t.is(dropped(2 * HOUR_MS), 0);
  // … but for half as long as it was off at the most.
  t.is(dropped(HOUR_MS, 29 * MINUTE_MS), 0);
  t.true(dropped(HOUR_MS, 35 * MINUTE_MS) > 0);
  // By its own word it was off for too short a time for that.
  t.true(dropped(10 * MINUTE_MS) > 0);
});

test('a file that is larger than every store has nobody let surplus go before its time', t => {
  const { world, origin, others } = settledWorld(4, { timing: { deadMs: 10 * MINUTE_MS } });
  world.backUp(origin, [{ bytes: 2 * 1024 * MIB }]);
  world.run(MINUTE_MS);
  const [lost] = others as [SmallHost];
  world.kill(lost);
  world.run(HOUR_MS);
  world.revive(lost);
  world.run(HOUR_MS);
  t.true(others.every(({ removed }) => removed.length === 0));
});

test('a draining host ends empty, and every parcel keeps its copies all the while', t => {
  const { world, ids, others } = settledWorld(5);
  const [leaving] = others as [SmallHost];
  t.true(leaving.present.size > 0);
  world.configure({
    members: world.members().map(member => (member.host === leaving.id ? { ...member, state: 'draining' } : member)),
  });
  let least = 2;
  const emptied = world.runUntil(() => {
    least = Math.min(least, ...copiesOf(world, ids));
    return leaving.present.size === 0;
  }, HOUR_MS);
  t.true(emptied);
  t.is(least, 2);
  t.deepEqual(copiesOf(world, ids), all(20, 2));
});

test('a store that is over its limit lets surplus go at once, and never what is needed', t => {
  const { world, ids, others } = settledWorld(4, { parcels: 10 });
  for (const host of others) world.resize(host, MIB);
  world.run(HOUR_MS);
  t.deepEqual(copiesOf(world, ids), all(10, 2));
});

test('a copy that its store would not let go is PRESENT again: tried after a rest, and granted to others', t => {
  const { world, ids, lowerTo } = settledWorld(4, { copies: 2, parcels: 5 });
  const tried = () =>
    world.effects.flatMap(({ host, effect }) => (effect.do === 'drop' ? [{ host, id: effect.proof.parcel }] : []));
  const holdersThatTried = (id: string) => new Set(tried().flatMap(each => (each.id === id ? each.host : [])));
  world.removes = () => false;
  lowerTo(1);
  // Either holder has had its grant from the other, which had tried before.
  t.true(world.runUntil(() => ids.some(id => holdersThatTried(id).size === 2), HOUR_MS));
  t.true(world.runUntil(() => tried().length > 2 * ids.length, HOUR_MS));
  t.deepEqual(copiesOf(world, ids), all(5, 2));
  world.removes = () => true;
  t.true(world.runUntil(() => copiesOf(world, ids).every(copies => copies === 1), HOUR_MS));
});

test('an attempt by an older configuration is void', t => {
  const { world, ids, lowerTo } = settledWorld(5, { copies: 3, parcels: 40 });
  lowerTo(1);
  world.runUntil(() => world.hosts.some(host => host.machine.known.pending().attempts > 0), HOUR_MS);
  lowerTo(3);
  world.run(10);
  for (const host of world.hosts) t.is(host.machine.known.pending().attempts, 0);
  world.run(HOUR_MS);
  t.deepEqual(copiesOf(world, ids), all(40, 3));
});

test('… also when the other branch of a fork has the same version', t => {
  const { world, lowerTo } = settledWorld(5, { copies: 3, parcels: 40 });
  lowerTo(1);
  world.runUntil(() => world.hosts.some(host => host.machine.known.pending().attempts > 0), HOUR_MS);
  world.configureAsFork({ timing: { ...DEFAULT_TIMING } });
  for (const host of world.hosts) t.is(host.machine.known.pending().attempts, 0);
});

test('an answer by a newer configuration ends the attempt, also one that comes again', t => {
  const { world, lowerTo } = settledWorld(5, { copies: 3, parcels: 5 });
  world.answersGrants = () => false;
  lowerTo(1);
  const asked = () =>
    world.effects.flatMap(({ host, effect }) => (effect.do === 'ask-grants' ? [{ host, effect }] : []))[0];
  t.true(world.runUntil(() => asked() !== undefined, HOUR_MS));
  const { host: id, effect } = asked() as NonNullable<ReturnType<typeof asked>>;
  const { attempt, config, holders } = effect;
  const [from, other] = holders;
  const host = world.hosts.find(each => each.id === id);
  if (host === undefined || from === undefined || other === undefined) throw new Error('nobody was asked');
  const before = host.machine.known.pending().attempts;
  const answer = (by: HostId, version: number): void =>
    world.tell(host, {
      is: 'grant-answered',
      nowMs: world.nowMs,
      attempt,
      from: by,
      answer: { answer: 'deny', because: 'busy', configVersion: version },
    });
  answer(from, config.version);
  t.is(host.machine.known.pending().attempts, before);
  // Nobody asked this one.
  answer(id, config.version + 1);
  t.is(host.machine.known.pending().attempts, before);
  answer(from, config.version + 1);
  t.is(host.machine.known.pending().attempts, before - 1);
});

test('a holder grants nothing to whom another branch of a fork has, with the same version, and both ask for the other branch', t => {
  const { world, ids } = settledWorld(5, { copies: 2, parcels: 20 });
  const [dropper] = world.trueHolders(ids[0] as never) as [SmallHost];
  const before = copiesOf(world, ids);
  world.configureAsFork({ sources: world.sourcePolicies().map(policy => ({ ...policy, copies: 1 })) }, [dropper]);
  world.effects.length = 0;
  world.run(HOUR_MS);
  const denials = world.effects.flatMap(({ host, effect }) =>
    effect.do === 'answer-grant' && effect.answer.answer === 'deny' ? [{ host, because: effect.answer.because }] : [],
  );
  t.true(denials.length > 0 && denials.every(({ because }) => because === 'config-differs'));
  t.deepEqual(dropper.removed, []);
  t.deepEqual(copiesOf(world, ids), before);
  const asksConfig = (by: HostId, of: HostId): boolean =>
    world.effects.some(({ host, effect }) => host === by && effect.do === 'ask-config' && effect.host === of);
  for (const { host } of denials) t.true(asksConfig(host, dropper.id) && asksConfig(dropper.id, host));
});

test('an answer from another branch of a fork ends the attempt, whoever else has granted', t => {
  const { effects, dropping, attempts, other } = droppingOf(1, { isTwice: true, copiesWanted: 2 });
  const { nonce: attempt } = attempts[0] as { readonly nonce: Nonce };
  dropping.ownProved({ is: 'own-proved', nowMs: 0, attempt, expected: new Map() });
  t.is(dropping.size, 1);
  const answer = { answer: 'deny', because: 'config-differs', configVersion: 1 } as const;
  dropping.grantAnswered({ is: 'grant-answered', nowMs: 0, attempt, from: other, answer });
  t.is(dropping.size, 0);
  t.true(effects.some(effect => effect.do === 'ask-config' && effect.host === other));
});

test('with any N, hosts and chance, surplus goes and nothing else', t => {
  const hosts = fc.integer({ min: 4, max: 7 });
  law(
    t,
    fc.property(hosts, fc.integer({ min: 1, max: 2 }), fc.integer({ min: 1, max: 1e6 }), (count, fewer, seed) => {
      const { world, ids, lowerTo } = settledWorld(count, { copies: 3, parcels: 12, seed });
      lowerTo(fewer);
      let isSafe = true;
      const settled = world.runUntil(() => {
        isSafe &&= copiesOf(world, ids).every(copies => copies >= fewer);
        return copiesOf(world, ids).every(copies => copies === fewer);
      }, HOUR_MS);
      return settled && isSafe;
    }),
    { numRuns: 15 },
  );
});

/** What each host asked for to drop something, attempt by attempt, in order. */
function attemptsOf(world: SmallWorld): Map<string, { readonly host: HostId; readonly did: string[] }> {
  const attempts = new Map<string, { readonly host: HostId; readonly did: string[] }>();
  for (const { host, effect } of world.effects) {
    if (effect.do === 'drop') attempts.get(effect.proof.nonce)?.did.push('drop');
    else if (effect.do === 'prove-own') attempts.set(effect.attempt, { host, did: ['prove'] });
    else if (effect.do === 'ask-grants') attempts.get(effect.attempt)?.did.push('ask');
    else if (effect.do === 'cancel-attempt') attempts.get(effect.attempt)?.did.push('cancel');
  }
  return attempts;
}

const waysOf = (world: SmallWorld) => new Set([...attemptsOf(world).values()].map(({ did }) => did.join(' ')));

test('an attempt that has grants enough, or gives way, calls off what it began', t => {
  const { world, ids, lowerTo } = settledWorld(5, { copies: 3, parcels: 40 });
  lowerTo(1);
  t.true(world.runUntil(() => copiesOf(world, ids).every(copies => copies === 1), HOUR_MS));
  // Enough for N, with or without answers that were still to come; or given up.
  const ways = waysOf(world);
  t.deepEqual(
    [...ways].filter(way => !/^prove (ask drop|ask drop cancel|ask cancel|cancel)$/.test(way)),
    [],
  );
  t.true(ways.has('prove ask drop cancel') && ways.has('prove ask cancel'), [...ways].join(', '));
});

test('an attempt by an older configuration is called off, whatever it was at', t => {
  const { world, lowerTo } = settledWorld(5, { copies: 3, parcels: 40 });
  lowerTo(1);
  world.runUntil(() => world.hosts.some(host => host.machine.known.pending().attempts > 0), HOUR_MS);
  const open = [...attemptsOf(world)].filter(([, { did }]) => !did.includes('drop') && !did.includes('cancel'));
  t.true(open.length > 0);
  lowerTo(3);
  const now = attemptsOf(world);
  t.deepEqual(
    open.map(([nonce]) => now.get(nonce)?.did.at(-1)),
    open.map(() => 'cancel'),
  );
});

test('an attempt whose holders say nothing until its time is up is called off then, once', t => {
  const { world, others, ids, lowerTo } = settledWorld(4, { copies: 2, parcels: 5 });
  // They are there, and read for ever.
  world.answersGrants = () => false;
  lowerTo(1);
  t.true(world.runUntil(() => [...attemptsOf(world).values()].some(({ did }) => did.includes('cancel')), HOUR_MS));
  t.deepEqual(
    [...waysOf(world)].filter(way => way !== 'prove ask' && way !== 'prove ask cancel'),
    [],
  );
  t.deepEqual(copiesOf(world, ids), all(5, 2));
  t.true(others.every(host => host.removed.length === 0));
});

/** One host's dropping without its machine: parcels of which it and one other host have the only copies, one of them too many. */
function droppingOf(
  parcels: number,
  { isTwice = false, isElsewhere = true, copiesWanted = 1, isPressed = false } = {},
) {
  const [self, other, origin] = ['1', '2', '3'].map(digit => parseHostId(digit.repeat(32))) as [HostId, HostId, HostId];
  const store = parseStoreId('4'.repeat(32));
  const second = parseStoreId('5'.repeat(32));
  const slots = { own: 0, other: 1, second: 2 };
  const member: Member = {
    host: self,
    name: 'h1',
    peer: parsePeerName(`12D3Koo${'A'.repeat(45)}`),
    state: 'active',
    trust: 'trusted',
    domain: self,
    roaming: false,
  };
  const timing = { ...DEFAULT_TIMING, surplusMs: 0 };
  const cluster = parseClusterId('c'.repeat(32));
  let config = { cluster, version: 1, hash: 'a'.repeat(64), members: [member], sources: [], timing };
  const table = new ParcelTable();
  const marked = new RowSet();
  const silent = new Set<Row>();
  const attempts: { readonly row: Row; readonly nonce: ReturnType<typeof parseNonce> }[] = [];
  const effects: Effect[] = [];
  const draining = new Set<StoreId>();
  const rowOf = (n: number): Row => table.rowOf(parseParcelId(n.toString(16).padStart(64, '0')));
  let nonces = 0;
  let isOtherFirst = false;
  const clock = { nowMs: 0 };
  const dropping = new Dropping({
    self,
    table,
    placement: { domainOf: host => host },
    others: {
      grantersOf: row => (table.isHeldBy(row, slots.other) && !silent.has(row) ? [other] : []),
      dropsBefore: () => isOtherFirst,
    },
    wanted: { copiesWanted: () => copiesWanted, originOf: () => origin, originsOf: () => [origin] },
    chance: new Chance([1, 2, 3]),
    nonces: () => parseNonce((++nonces).toString(16).padStart(32, '0')),
    rules: RULES,
    nowMs: () => clock.nowMs,
    config: () => config,
    memberOf: host => ({ ...member, host, domain: host }),
    returnedAtMs: () => undefined,
    here: {
      heldIn: row => (table.isHeldBy(row, slots.own) ? store : undefined),
      isOurs: row => table.isHeldBy(row, slots.own),
      allThatHold: row =>
        [
          ...(table.isHeldBy(row, slots.own) ? [store] : []),
          ...(table.isHeldBy(row, slots.second) ? [second] : []),
        ].sort((a, b) => Number(draining.has(a)) - Number(draining.has(b))),
      isHeldTwice: row => table.isHeldBy(row, slots.own) && table.isHeldBy(row, slots.second),
    },
    room: {
      takesParcels: id => !draining.has(id),
      isOver: () => isPressed,
      hangsAny: () => false,
      stores: () => [{ store }, { store: second }],
    },
    fitting: { lacksRoom: false },
    expiring: { isExpiring: () => false },
    relocating: { isLeaving: () => false, keepUntilMs: () => Number.NEGATIVE_INFINITY },
    rests: new StoreRests(REMOVAL_RESTS),
    emit: effect => {
      effects.push(effect);
      const row = effect.do === 'prove-own' ? table.find(effect.parcel) : undefined;
      if (effect.do === 'prove-own' && row !== undefined) attempts.push({ row, nonce: effect.attempt });
    },
    marks: {
      lookAgain: (row, atMs) => {
        if (atMs === undefined) marked.add(row);
      },
      lookLater: () => undefined,
    },
  });
  const look = (): void => {
    for (let row = marked.take(); row !== undefined; row = marked.take()) dropping.consider(row);
  };
  for (let n = 0; n < parcels; n += 1) {
    const row = rowOf(n);
    table.describe({ id: table.id(row), key: parseKey('0'.repeat(32)), bytes: MIB }, 0);
    table.setHeld(row, slots.own, true);
    table.setHeld(row, slots.other, isElsewhere);
    table.setHeld(row, slots.second, isTwice);
    dropping.consider(row);
  }
  return {
    dropping,
    clock,
    attempts,
    effects,
    other,
    store,
    second,
    /** The store that should keep the copy of a parcel has it no more. */
    lost(n: number): void {
      table.setHeld(rowOf(n), slots.own, false);
      dropping.consider(rowOf(n));
    },
    drains(id: StoreId): void {
      draining.add(id);
    },
    /** The other host has the higher right to drop. */
    otherGoesFirst(): void {
      isOtherFirst = true;
    },
    /** Another host wants our grant for a parcel. */
    asks(n: number, from: HostId): void {
      const row = rowOf(n);
      const { version, hash } = config;
      const nonce = parseNonce('e'.repeat(32));
      dropping.grantAsked(
        { is: 'grant-asked', nowMs: 0, ask: 1, from, nonce, parcel: table.id(row), config: { version, hash } },
        row,
      );
    },
    /** The branch of a fork that was in use has lost, to one that is no longer. */
    otherBranch(): void {
      config = { ...config };
      dropping.configChanged();
    },
    /** The other host lets its copies of so many go. */
    othersGo(from: number, to: number): void {
      for (let n = from; n < to; n += 1) {
        table.setHeld(rowOf(n), slots.other, false);
        marked.add(rowOf(n));
      }
      look();
    },
    /** … or can grant nothing for them, which is seen when they are looked at. */
    othersAreSilent(from: number, to: number): void {
      for (let n = from; n < to; n += 1) silent.add(rowOf(n));
    },
    /** All attempts that are under way come to their end. */
    allDropped(): void {
      for (const { row, nonce } of attempts.splice(0)) {
        table.setHeld(row, slots.own, false);
        const segment: LogSegment = {
          host: self,
          end: logStart(store, { counter: 1, random: '00'.repeat(8) }),
          ops: [],
          signature: new Uint8Array(64),
        };
        dropping.dropped({ is: 'dropped', nowMs: 0, attempt: nonce, segment, usedBytes: 0 });
        marked.add(row);
      }
      look();
    },
  };
}

test('what others have dropped gives its turn to what waits behind it', t => {
  const { dropping, attempts, othersGo, allDropped } = droppingOf(200);
  t.is(dropping.size, 64);
  othersGo(64, 128);
  allDropped();
  t.is(dropping.size, 64);
  t.is(attempts.length, 64);
  allDropped();
  allDropped();
  t.is(dropping.size, 0);
  t.is(attempts.length, 0);
});

test('what is found needed when its turn comes gives it to the next', t => {
  const { dropping, othersAreSilent, allDropped } = droppingOf(129);
  othersAreSilent(64, 128);
  allDropped();
  t.is(dropping.size, 1);
});

/** This host has one parcel in two stores, one other host has it, too, and two copies are wanted. */
function heldTwice() {
  const of = droppingOf(1, { isTwice: true, copiesWanted: 2 });
  const { dropping, attempts, effects, other } = of;
  const { nonce } = attempts[0] as { readonly nonce: Nonce };
  const possession = parsePossession('a'.repeat(64));
  return {
    ...of,
    proved: () =>
      dropping.ownProved({ is: 'own-proved', nowMs: 0, attempt: nonce, expected: new Map([[other, possession]]) }),
    granted: () =>
      dropping.grantAnswered({
        is: 'grant-answered',
        nowMs: 0,
        attempt: nonce,
        from: other,
        answer: { answer: 'grant', possession, configVersion: 1 },
      }),
    drops: () => effects.flatMap(effect => (effect.do === 'drop' ? [effect.proof] : [])),
  };
}

test('of a parcel in two stores of a host one copy goes, when the other one was read and N hosts have it with that', t => {
  const { effects, proved, granted, drops, store, second, other } = heldTwice();
  t.like(effects[0], { do: 'prove-own', store, holders: [other] });
  proved();
  t.deepEqual(drops(), []);
  granted();
  t.like(drops(), [{ store: second }]);
  t.is(drops()[0]?.granters.length, 2);
});

test('… and not when the one that should stay has gone meanwhile, or is to be emptied', t => {
  const gone = heldTwice();
  gone.proved();
  gone.lost(0);
  gone.granted();
  t.deepEqual(gone.drops(), []);
  t.is(gone.dropping.size, 0);
  const drained = heldTwice();
  drained.proved();
  drained.drains(drained.store);
  drained.granted();
  t.deepEqual(drained.drops(), []);
});

test('… nor while fewer than N hosts have it: then the second copy is kept', t => {
  t.is(droppingOf(1, { isTwice: true, copiesWanted: 3 }).dropping.size, 0);
});

test('… until its room is needed: then as many hosts as have it are enough', t => {
  const { dropping, attempts, effects, other, second } = droppingOf(1, {
    isTwice: true,
    copiesWanted: 3,
    isPressed: true,
  });
  const possession = parsePossession('a'.repeat(64));
  const [attempt] = attempts as [(typeof attempts)[0]];
  dropping.consider(attempt.row);
  dropping.ownProved({ is: 'own-proved', nowMs: 0, attempt: attempt.nonce, expected: new Map([[other, possession]]) });
  const drops = () => effects.flatMap(effect => (effect.do === 'drop' ? effect.proof : []));
  t.deepEqual(drops(), []);
  dropping.grantAnswered({
    is: 'grant-answered',
    nowMs: 0,
    attempt: attempt.nonce,
    from: other,
    answer: { answer: 'grant', possession, configVersion: 1 },
  });
  t.like(drops(), [{ store: second }]);
});

test('an attempt by the lost branch of a fork is void, though the other branch has no higher version', t => {
  const { dropping, proved, granted, drops, otherBranch } = heldTwice();
  proved();
  otherBranch();
  granted();
  t.deepEqual(drops(), []);
  t.is(dropping.size, 0);
});

test('where one copy is all that is wanted nobody has to be asked', t => {
  const { dropping, attempts, effects, second } = droppingOf(1, { isTwice: true, isElsewhere: false });
  for (const { nonce } of attempts)
    dropping.ownProved({ is: 'own-proved', nowMs: 0, attempt: nonce, expected: new Map() });
  t.deepEqual(
    effects.map(effect => effect.do),
    ['prove-own', 'drop'],
  );
  t.like(effects[1], { proof: { store: second } });
});

test('the holders’ reads have the time that our own had, and no more', t => {
  const { dropping, clock, effects, attempts, other } = droppingOf(1);
  const [attempt] = attempts as [(typeof attempts)[0]];
  const { row, nonce } = attempt;
  const limitMs = DEFAULT_TIMING.attemptMs + Math.ceil(MIB / 20_000);
  const isOver = (): boolean => effects.some(effect => effect.do === 'cancel-attempt');
  clock.nowMs = limitMs - 1;
  dropping.consider(row);
  dropping.ownProved({
    is: 'own-proved',
    nowMs: clock.nowMs,
    attempt: nonce,
    expected: new Map([[other, parsePossession('a'.repeat(64))]]),
  });
  t.true(effects.some(effect => effect.do === 'ask-grants'));
  clock.nowMs += limitMs - 1;
  dropping.consider(row);
  t.false(isOver());
  clock.nowMs += 1;
  dropping.consider(row);
  t.true(isOver());
});

test('an own read that takes longer than it may ends the attempt', t => {
  const { dropping, clock, effects, attempts } = droppingOf(1);
  const [{ row }] = attempts as [(typeof attempts)[0]];
  clock.nowMs = DEFAULT_TIMING.attemptMs + Math.ceil(MIB / 20_000);
  dropping.consider(row);
  t.true(effects.some(effect => effect.do === 'cancel-attempt'));
});

test('a store that is to be emptied grants nothing, also when that is said while it reads', t => {
  for (const isSaidFirst of [true, false]) {
    const { dropping, effects, other, store, drains, asks } = droppingOf(1, { copiesWanted: 2 });
    if (isSaidFirst) drains(store);
    asks(0, other);
    if (!isSaidFirst) drains(store);
    const possession = parsePossession('a'.repeat(64));
    dropping.possessionRead({ is: 'possession-read', nowMs: 0, ask: 1, possession });
    t.like(
      effects.findLast(effect => effect.do === 'answer-grant'),
      { to: other, answer: { answer: 'deny', because: 'draining' } },
    );
  }
});

test('who has given way begins again when it has read for the other, and not before', t => {
  const { dropping, clock, effects, attempts, other, otherGoesFirst, asks } = droppingOf(1);
  const [{ row }] = attempts as [(typeof attempts)[0]];
  t.is(dropping.size, 1);
  otherGoesFirst();
  asks(0, other);
  clock.nowMs = HOUR_MS;
  dropping.consider(row);
  t.is(dropping.size, 0);
  const possession = parsePossession('a'.repeat(64));
  dropping.possessionRead({ is: 'possession-read', nowMs: clock.nowMs, ask: 1, possession });
  t.like(
    effects.findLast(effect => effect.do === 'answer-grant'),
    { to: other, answer: { answer: 'grant' } },
  );
  dropping.consider(row);
  t.is(dropping.size, 1);
});

test('a grant is read from the store that keeps the copy, and not from one that is to be emptied', t => {
  const { dropping, effects, other, store, second, drains, asks } = droppingOf(1, { isTwice: true, copiesWanted: 3 });
  drains(store);
  asks(0, other);
  t.like(
    effects.findLast(effect => effect.do === 'read-possession'),
    { store: second },
  );
  t.is(dropping.size, 0);
});
