import test from 'ava';
import { DEFAULT_TIMING } from '../../src/core/cluster-config.js';
import { type ParcelId, parseHostId } from '../../src/core/ids.js';
import { chooseMove, decideRelocate, RELOCATIONS_MAX, type RelocateView } from '../../src/core/relocate.js';
import { MIB, type SmallHost, SmallWorld } from '../helpers/small-world.js';

const GIB = 1024 * MIB;
const HOUR_MS = 3_600_000;

const view = (changes: Partial<RelocateView> = {}): RelocateView => ({
  nowMs: 100_000,
  shortSinceMs: 70_000,
  patienceMs: 30_000,
  rank: 0,
  turnMs: 4_000,
  copiesWanted: 2,
  copies: 1,
  claims: 0,
  fitsElsewhere: false,
  underWay: false,
  outgoing: 0,
  hasMove: true,
  ...changes,
});

test('a parcel that fits nowhere is made room for after its time, by each rank in its turn', t => {
  t.deepEqual(decideRelocate(view()), { act: 'relocate' });
  t.deepEqual(decideRelocate(view({ nowMs: 99_999 })), { act: 'wait', untilMs: 100_000, because: 'young' });
  t.deepEqual(decideRelocate(view({ rank: 2 })), { act: 'wait', untilMs: 108_000, because: 'turn' });
  t.deepEqual(decideRelocate(view({ rank: 2, nowMs: 108_000 })), { act: 'relocate' });
  t.deepEqual(decideRelocate(view({ rank: 1, copies: 0 })), { act: 'relocate' });
});

test('nothing is moved for what others are at, or what fits elsewhere, or beyond the limit', t => {
  t.deepEqual(decideRelocate(view({ claims: 1 })), { act: 'decline', because: 'enough' });
  t.deepEqual(decideRelocate(view({ fitsElsewhere: true })), { act: 'decline', because: 'fits-elsewhere' });
  t.deepEqual(decideRelocate(view({ underWay: true })), { act: 'decline', because: 'under-way' });
  t.deepEqual(decideRelocate(view({ hasMove: false })), { act: 'decline', because: 'no-move' });
  t.deepEqual(decideRelocate(view({ outgoing: RELOCATIONS_MAX })), { act: 'decline', because: 'busy' });
  t.deepEqual(decideRelocate(view({ outgoing: RELOCATIONS_MAX - 1 })), { act: 'relocate' });
});

test('the smallest family that makes room goes to the roomiest host that may take it', t => {
  const families = [10, 20, 30, 40].map(bytes => ({ rows: [bytes], bytes }));
  const takersOf = () => [
    { host: 'a', freeBytes: 35 },
    { host: 'b', freeBytes: 36 },
  ];
  const choice = { families, takersOf, parcelsMax: 1 };
  t.deepEqual(chooseMove({ ...choice, needBytes: 15 }), { families: [families[1]], to: 'b' });
  t.deepEqual(chooseMove({ ...choice, needBytes: 20 }), { families: [families[1]], to: 'b' });
  t.deepEqual(chooseMove({ ...choice, needBytes: 21 }), { families: [families[2]], to: 'b' });
  t.is(chooseMove({ ...choice, needBytes: 31 }), undefined);
  t.is(chooseMove({ ...choice, needBytes: 41 }), undefined);
});

test('where no single family makes room, several go to one host, the largest first', t => {
  const families = [2, 3, 5, 8, 30].map(bytes => ({ rows: [bytes], bytes }));
  const takers: Record<number, { host: string; freeBytes: number }[]> = {
    2: [{ host: 'a', freeBytes: 16 }],
    3: [{ host: 'a', freeBytes: 16 }],
    5: [
      { host: 'a', freeBytes: 16 },
      { host: 'b', freeBytes: 16 },
    ],
    8: [
      { host: 'b', freeBytes: 16 },
      { host: 'c', freeBytes: 8 },
    ],
    30: [],
  };
  const takersOf = ({ bytes }: { bytes: number }) => takers[bytes] ?? [];
  const chosen = (needBytes: number, parcelsMax = 10) => {
    const move = chooseMove({ needBytes, families, takersOf, parcelsMax });
    return move && { ...move, families: move.families.map(({ bytes }) => bytes) };
  };
  t.deepEqual(chosen(12), { families: [8, 5], to: 'b' });
  t.is(chosen(14), undefined, 'what a, b and c take together is more, and each alone takes less');
  t.deepEqual(chosen(9), { families: [8, 5], to: 'b' });
  t.is(chosen(9, 1), undefined, 'nor more parcels than one move may have');
  takers[8] = [];
  t.deepEqual(chosen(9), { families: [5, 3, 2], to: 'a' });
});

test('ten files of 100 GiB find two copies each on three hosts that lend 700 GiB, whoever took what first', t => {
  for (let seed = 1; seed <= 12; seed += 1) {
    const lent = { lentBytes: 700 * GIB };
    const world = new SmallWorld([{ lentBytes: 0 }, lent, lent, lent], { seed, rate: 2 * GIB });
    const [origin] = world.hosts as [SmallHost];
    world.run(2_000);
    const parcels = world.backUp(
      origin,
      Array.from({ length: 10 }, () => ({ bytes: 100 * GIB })),
    );
    const solved = (): boolean => parcels.every(id => world.trueHolders(id).length === 2);
    t.true(world.runUntil(solved, 3 * HOUR_MS), `seed ${seed}: ${parcels.map(id => world.trueHolders(id).length)}`);
    const moves = world.effects.filter(({ effect }) => effect.do === 'answer-relocation' && effect.accepted).length;
    t.true(moves <= 2, `seed ${seed}: ${moves} relocations`);
    world.run(600_000);
    t.true(solved());
    for (const host of world.hosts) t.true(host.usedBytes <= host.lentBytes);
  }
});

test('a family moves as a whole, and room that was made is not taken by others', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes: 10 * GIB }, { lentBytes: 6 * GIB }], { copies: 1 });
  const [origin, large, small] = world.hosts as [SmallHost, SmallHost, SmallHost];
  world.run(2_000);
  // A family of two in the large host, which then has 7 GiB left.
  const family = [{ bytes: GIB }, { bytes: 2 * GIB }].flatMap(({ bytes }) => {
    const [member] = world.backUp(origin, [{ bytes, key: 'family 5' }]);
    world.run(60_000);
    return member ?? [];
  });
  t.true(family.every(id => large.present.has(id)));
  const [big] = world.backUp(origin, [{ bytes: 9 * GIB }], 'films') as [ReturnType<SmallWorld['backUp']>[0]];
  t.true(world.runUntil(() => world.trueHolders(big).length === 1, HOUR_MS));
  t.true(large.present.has(big));
  t.deepEqual([...small.present].sort(), [...family].sort());
});

test('several small families make room for what is larger than each of them', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes: 10 * GIB }, { lentBytes: MIB }], { copies: 1 });
  const [origin, large, small] = world.hosts as [SmallHost, SmallHost, SmallHost];
  world.run(2_000);
  const photos = Array.from({ length: 4 }, () => ({ bytes: GIB }));
  world.backUp(origin, photos, 'photos');
  t.true(world.runUntil(() => large.present.size === 4, HOUR_MS));
  world.resize(small, 6 * GIB);
  const [big] = world.backUp(origin, [{ bytes: 8 * GIB }], 'films') as [ReturnType<SmallWorld['backUp']>[0]];
  t.true(world.runUntil(() => world.trueHolders(big).length === 1, HOUR_MS));
  t.true(large.present.has(big));
  t.is(small.present.size, 2, 'no more than makes room');
});

test('what a host held in a store that it lost keeps nobody from handing it the same again', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes: MIB }, { lentBytes: 10 * GIB }], { copies: 1 });
  const [origin, large, small] = world.hosts as [SmallHost, SmallHost, SmallHost];
  world.run(2_000);
  const photos = world.backUp(
    origin,
    Array.from({ length: 4 }, () => ({ bytes: GIB })),
    'photos',
  );
  t.true(world.runUntil(() => small.present.size === 4, HOUR_MS));
  world.replaceStore(small, MIB);
  world.resize(large, 10 * GIB);
  t.true(world.runUntil(() => large.present.size === 4, HOUR_MS));
  world.resize(small, 6 * GIB);
  const [big] = world.backUp(origin, [{ bytes: 8 * GIB }], 'films') as [ParcelId];
  t.true(world.runUntil(() => world.trueHolders(big).length === 1, HOUR_MS));
  t.true(large.present.has(big));
  t.true(world.runUntil(() => photos.every(id => world.trueHolders(id).length === 1), HOUR_MS));
});

test('nothing is taken over from a host that may hold no copies', t => {
  const accepts = (change: object): boolean | undefined => {
    const world = new SmallWorld([{}, {}, {}], { copies: 1 });
    const [origin, ...others] = world.hosts as [SmallHost, SmallHost, SmallHost];
    world.run(2_000);
    const parcels = world.backUp(origin, [{ bytes: MIB }]);
    world.run(60_000);
    const giver = others.find(host => host.present.size === 1) as SmallHost;
    const taker = others.find(host => host !== giver) as SmallHost;
    const members = world.members().map(member => (member.host === giver.id ? { ...member, ...change } : member));
    world.configure({ members });
    const from = world.effects.length;
    world.tell(taker, { is: 'relocation-offered', nowMs: world.nowMs, ask: 1, from: giver.id, parcels });
    const [answer] = world.effects
      .slice(from)
      .flatMap(({ effect }) => (effect.do === 'answer-relocation' ? effect : []));
    return answer?.accepted;
  };
  t.is(accepts({}), true);
  t.is(accepts({ trust: 'untrusted' }), false);
  t.is(accepts({ state: 'provisional' }), false);
});

test('room that was made and is gone again, before it was claimed, is not promised', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes: 10 * GIB }, { lentBytes: 6 * GIB }], { copies: 1 });
  const [origin, large] = world.hosts as [SmallHost, SmallHost, SmallHost];
  world.run(2_000);
  world.backUp(origin, [{ bytes: 3 * GIB }]);
  world.run(60_000);
  const [big] = world.backUp(origin, [{ bytes: 9 * GIB }], 'films') as [ReturnType<SmallWorld['backUp']>[0]];
  t.true(world.runUntil(() => large.machine.known.pending().attempts > 0, HOUR_MS));
  // A member that nobody has heard of yet: what is short waits, for it may hold it.
  const host = parseHostId('f'.repeat(32));
  world.configure({ members: [...world.members(), { ...large.member, host, domain: host }] });
  t.true(world.runUntil(() => large.removed.length === 1, HOUR_MS));
  t.is(large.machine.known.reservedBytes(large.store), 9 * GIB);
  world.resize(large, 8 * GIB);
  world.run(HOUR_MS);
  t.is(world.trueHolders(big).length, 0);
  t.is(large.machine.known.reservedBytes(large.store), 0);
});

test('a move ends at once when another holder lets go of its copy first: that one has the room now', t => {
  const lentBytes = 7.5 * GIB;
  // With this seed another holder is the first to ask for grants.
  const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes }, { lentBytes }, { lentBytes: MIB }], { seed: 2 });
  const [origin, ...holders] = world.hosts as [SmallHost, ...SmallHost[]];
  const [, , late] = holders as [SmallHost, SmallHost, SmallHost];
  const files = (count: number) => Array.from({ length: count }, () => ({ bytes: GIB }));
  world.run(2_000);
  const parcels = [...world.backUp(origin, files(6))];
  world.run(600_000);
  // Room for one more in each of two, for seven in the third: of three more files one lacks a copy.
  world.resize(late, lentBytes);
  const mover = (): SmallHost | undefined => holders.find(({ machine }) => machine.known.pending().relocations > 0);
  world.removes = host => host !== mover();
  parcels.push(...world.backUp(origin, files(3), 'more'));
  t.true(world.runUntil(() => mover() !== undefined, HOUR_MS));
  const moving = mover() as SmallHost;
  const [family = []] = world.effects.flatMap(({ host, effect }) =>
    host === moving.id && effect.do === 'offer-relocation' ? [effect.parcels] : [],
  );
  const dropped = (): boolean =>
    holders.some(host => host !== moving && host.removed.some(({ parcel }) => family.includes(parcel)));
  t.true(world.runUntil(dropped, HOUR_MS));
  t.true(world.runUntil(() => moving.machine.known.pending().relocations === 0, 5_000));
  t.true(world.runUntil(() => parcels.every(id => world.trueHolders(id).length >= 2), 60_000));
});

test('of an offer that does not fit as a whole nothing is fetched', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, {}, {}, { lentBytes: 15 * MIB }], { rate: MIB });
  const [origin, giver, , taker] = world.hosts as [SmallHost, SmallHost, SmallHost, SmallHost];
  world.run(2_000);
  const parcels = world.backUp(origin, [
    { bytes: 20 * MIB, key: 'family' },
    { bytes: 10 * MIB, key: 'family' },
  ]);
  const [large, small] = parcels as [ParcelId, ParcelId];
  world.run(600_000);
  t.is(taker.present.size, 0);
  const from = world.effects.length;
  const offer = [small, large];
  world.tell(taker, { is: 'relocation-offered', nowMs: world.nowMs, ask: 1, from: giver.id, parcels: offer });
  world.run(60_000);
  const done = world.effects.slice(from).flatMap(({ host, effect }) => (host === taker.id ? effect : []));
  t.like(
    done.find(effect => effect.do === 'answer-relocation'),
    { accepted: false },
  );
  t.false(done.some(effect => effect.do === 'fetch'));
  t.is(taker.machine.known.pending().pursuits, 0);
});

test('a host that took no offers for a while gets what it can take soon after', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes: 10 * GIB }, { lentBytes: MIB }], { copies: 1 });
  const [origin, large, small] = world.hosts as [SmallHost, SmallHost, SmallHost];
  world.run(2_000);
  world.backUp(
    origin,
    [1, 2, 3, 4].map(n => ({ bytes: 2 * GIB, key: `family ${n}` })),
  );
  t.true(world.runUntil(() => large.present.size === 4, HOUR_MS));
  world.resize(small, 3 * GIB);
  world.hearsOffers = () => false;
  const [big] = world.backUp(origin, [{ bytes: 4 * GIB }], 'films') as [ParcelId];
  const offers = () => world.effects.flatMap(({ effect }) => (effect.do === 'offer-relocation' ? effect.parcels : []));
  t.true(world.runUntil(() => offers().length >= 3, HOUR_MS));
  t.is(new Set(offers().slice(0, 3)).size, 3, 'not always the same');
  const tooManyMs = 10 * DEFAULT_TIMING.relocateMs;
  world.run(tooManyMs);
  t.true(offers().length <= 20, 'no more often than it may do any good');
  world.hearsOffers = () => true;
  t.true(world.runUntil(() => world.trueHolders(big).length === 1, 3 * tooManyMs));
});

test('what was moved away has left only when its bytes have, so that nothing more is moved for the same room', t => {
  const lent = (bytes: number) => ({ lentBytes: bytes });
  const world = new SmallWorld([lent(0), lent(6 * GIB + 200 * MIB), lent(MIB)], { copies: 1, rate: GIB });
  const [origin, large, small] = world.hosts as [SmallHost, SmallHost, SmallHost];
  const files = (count: number) => Array.from({ length: count }, () => ({ bytes: GIB }));
  world.run(2_000);
  world.backUp(origin, files(6));
  t.true(world.runUntil(() => large.present.size === 6, HOUR_MS));
  world.resize(small, 4 * GIB);
  world.run(10_000);
  // Two are dropped at once, and the log that tells of the first has the second, too, whose bytes are still there.
  const removalsMs = [20, 60];
  world.removalMs = () => removalsMs.shift() ?? 0;
  const films = world.backUp(small, files(2), 'films');
  t.true(world.runUntil(() => films.every(id => world.trueHolders(id).length === 1), HOUR_MS));
  world.run(60_000);
  t.is(removalsMs.length, 0);
  t.is(large.removed.length, 2);
  t.is(world.effects.filter(({ effect }) => effect.do === 'offer-relocation').length, 2);
});

test('a copy that is found corrupt as it is to leave has left', t => {
  const lent = (bytes: number) => ({ lentBytes: bytes });
  const world = new SmallWorld([lent(0), lent(10 * GIB), lent(6 * GIB)], { copies: 1 });
  const [origin, large] = world.hosts as [SmallHost, SmallHost, SmallHost];
  world.run(2_000);
  const [leaving] = world.backUp(origin, [{ bytes: 3 * GIB }]) as [ParcelId];
  world.run(60_000);
  const [big] = world.backUp(origin, [{ bytes: 9 * GIB }], 'films') as [ParcelId];
  t.true(world.runUntil(() => large.machine.known.pending().attempts > 0, HOUR_MS));
  large.usedBytes -= 3 * GIB;
  const segment = large.append({ op: 'corrupt', parcel: leaving });
  world.tell(large, { is: 'own-ops', nowMs: world.nowMs, segment, usedBytes: large.usedBytes });
  t.is(large.machine.known.pending().relocations, 0);
  t.true(world.runUntil(() => world.trueHolders(big).length === 1, 10 * 60_000));
});

test('room that a host has made for a parcel is its own: no other host makes room for it as well', t => {
  const lentBytes = 7.5 * GIB;
  // A move takes longer than it takes until the turn of the next host has come.
  const worldOf = (seed: number) =>
    new SmallWorld([{ lentBytes: 0 }, { lentBytes }, { lentBytes }, { lentBytes: MIB }], { seed, rate: 100 * MIB });
  const files = (count: number) => Array.from({ length: count }, () => ({ bytes: GIB }));
  for (let seed = 1; seed <= 8; seed += 1) {
    const world = worldOf(seed);
    const [origin, , , late] = world.hosts as [SmallHost, SmallHost, SmallHost, SmallHost];
    world.run(2_000);
    const parcels = [...world.backUp(origin, files(6))];
    world.run(600_000);
    world.resize(late, lentBytes);
    // Of three more one lacks a copy, or two do, and two hosts could make room for each.
    parcels.push(...world.backUp(origin, files(3), 'more'));
    const isWhole = () => parcels.every(id => world.trueHolders(id).length === 2);
    t.true(world.runUntil(isWhole, HOUR_MS), `seed ${seed}`);
    const needed = world.effects.flatMap(({ effect }) => (effect.do === 'offer-relocation' ? [effect.needed] : []));
    t.true(needed.length > 0);
    t.is(new Set(needed).size, needed.length, `seed ${seed}: twice for the same`);
  }
});

test('a move ends when the other host gives up what it took over', t => {
  const lent = (bytes: number) => ({ lentBytes: bytes });
  const world = new SmallWorld([lent(0), lent(110 * GIB), lent(MIB)], { copies: 1, rate: GIB });
  const [origin, large, small] = world.hosts as [SmallHost, SmallHost, SmallHost];
  world.run(2_000);
  world.backUp(origin, [{ bytes: 100 * GIB }]);
  t.true(world.runUntil(() => large.present.size === 1, HOUR_MS));
  world.resize(small, 101 * GIB);
  // Its disk refuses the write, so it takes nothing so large again, and the move has a day.
  world.refuses = host => host === small;
  const [big] = world.backUp(origin, [{ bytes: 105 * GIB }], 'films') as [ParcelId];
  const isMoving = (): boolean => large.machine.known.pending().relocations > 0;
  t.true(world.runUntil(isMoving, HOUR_MS));
  t.true(world.runUntil(() => !isMoving(), 5 * 60_000));
  t.is(world.trueHolders(big).length, 0);
});

test('what the roomiest host accepts again and again, and never gets, is offered to another one', t => {
  const lent = (bytes: number) => ({ lentBytes: bytes });
  const world = new SmallWorld([lent(0), lent(110 * GIB), lent(MIB), lent(MIB)], { copies: 1, rate: GIB });
  const [origin, large, roomy, other] = world.hosts as [SmallHost, SmallHost, SmallHost, SmallHost];
  world.run(2_000);
  world.backUp(origin, [{ bytes: 100 * GIB }]);
  t.true(world.runUntil(() => large.present.size === 1, HOUR_MS));
  // It lends more than its disk has.
  world.resize(roomy, 104 * GIB);
  world.refuses = host => host === roomy;
  world.resize(other, 101 * GIB);
  const [big] = world.backUp(origin, [{ bytes: 105 * GIB }], 'films') as [ParcelId];
  t.true(world.runUntil(() => world.trueHolders(big).length === 1, 24 * HOUR_MS));
});

test('room that was made, and that its disk refuses since, is not promised', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes: 1000 * MIB }, { lentBytes: MIB }], { copies: 1 });
  const [origin, large, small] = world.hosts as [SmallHost, SmallHost, SmallHost];
  world.run(5_000);
  world.backUp(
    origin,
    Array.from({ length: 9 }, (_, n) => ({ bytes: 10 * MIB, key: `family ${n}` })),
  );
  world.run(120_000);
  world.resize(small, 25 * MIB);
  world.run(10_000);
  // Its disk refuses a write: 120 MiB are too much, and so is what is near that.
  world.refuses = host => host === large;
  const refused = world.backUp(origin, [{ bytes: 30 * MIB }]);
  world.run(5_000);
  world.forget(origin, refused);
  const [big] = world.backUp(origin, [{ bytes: 30 * MIB }]) as [ParcelId];
  const offers = (): boolean => world.effects.some(({ effect }) => effect.do === 'offer-relocation');
  t.true(world.runUntil(offers, 60_000));
  world.refuses = () => false;
  // A member that nobody has heard of yet: what is short waits, for it may hold it.
  const host = parseHostId('f'.repeat(32));
  world.configure({ members: [...world.members(), { ...large.member, host, domain: host }] });
  t.true(world.runUntil(() => large.machine.known.reservedBytes(large.store) > 0, HOUR_MS));
  // Its catalog grows by what nobody reserves.
  large.usedBytes += 6 * MIB;
  world.resize(large, 1000 * MIB);
  world.configure({ members: world.members().filter(member => member.host !== host) });
  t.true(world.runUntil(() => world.trueHolders(big).length === 1, 24 * HOUR_MS));
});
