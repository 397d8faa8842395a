/** How a move ends that makes room where the parcel that needs it can no longer come: nothing of it stands. */
import test from 'ava';
import { type ParcelId, parseHostId } from '../../src/core/ids.js';
import { MIB, type SmallHost, SmallWorld } from '../helpers/small-world.js';

const GIB = 1024 * MIB;
const HOUR_MS = 3_600_000;

/** The large host must move 3 GiB to the small one, to make room for what is needed. */
function aMove() {
  const lent = (bytes: number) => ({ lentBytes: bytes });
  const world = new SmallWorld([lent(0), lent(10 * GIB), lent(6 * GIB)], { copies: 1, rate: 100 * MIB });
  const [origin, large, small] = world.hosts as [SmallHost, SmallHost, SmallHost];
  world.run(2_000);
  world.backUp(origin, [{ bytes: 3 * GIB }]);
  world.run(60_000);
  const [big] = world.backUp(origin, [{ bytes: 9 * GIB }], 'films') as [ParcelId];
  const pending = () => large.machine.known.pending();
  const happened = (what: string) => world.effects.some(({ effect }) => effect.do === what);
  const runUntil = (comes: () => boolean): boolean => {
    const endMs = world.nowMs + HOUR_MS;
    while (!comes() && world.nowMs < endMs) world.run(1);
    return comes();
  };
  /** Lets it come so far. */
  const reach: Readonly<Record<string, () => boolean>> = {
    offered: () => runUntil(() => happened('offer-relocation')),
    moving: () => runUntil(() => small.machine.known.pending().fetches > 0),
    leaving: () => runUntil(() => pending().attempts > 0),
    kept: () => {
      if (!runUntil(() => pending().attempts > 0)) return false;
      // A member that nobody has heard of yet: what is short waits, for it may hold it.
      const host = parseHostId('f'.repeat(32));
      world.configure({ members: [...world.members(), { ...large.member, host, domain: host }] });
      return runUntil(() => large.machine.known.reservedBytes(large.store) === 9 * GIB);
    },
    claimed: () => runUntil(() => pending().pursuits > 0),
  };
  return { world, origin, large, small, big, reach };
}

/** By what it last said. */
function claims({ effects }: SmallWorld, { id }: SmallHost, parcel: ParcelId): boolean {
  let isClaimed = false;
  for (const { host, effect } of effects) {
    if (host !== id || effect.do !== 'gossip' || effect.message.kind !== 'claims') continue;
    if (effect.message.claims.some(claim => claim.parcel === parcel)) isClaimed = true;
    if (effect.message.withdrawn.includes(parcel)) isClaimed = false;
  }
  return isClaimed;
}

function endRoom({ world, large }: ReturnType<typeof aMove>, how: string): void {
  const { nowMs } = world;
  const { store, lentBytes, usedBytes } = large;
  if (how === 'is paused') world.tell(large, { is: 'paused', nowMs, paused: true });
  else world.tell(large, { is: 'store', nowMs, store, lentBytes, usedBytes, draining: true, unread: false });
}

for (const how of ['is paused', 'drains'])
  for (const stage of ['offered', 'moving', 'leaving', 'kept', 'claimed'])
    test(`nobody waits for a host that makes room and ${how}: ${stage}`, t => {
      const made = aMove();
      const { world, large, big, reach } = made;
      t.true(reach[stage]?.());
      t.true(claims(world, large, big));
      endRoom(made, how);
      t.false(claims(world, large, big));
      t.is(large.machine.known.pending().relocations, 0);
      t.is(large.machine.known.reservedBytes(large.store), 0);
      world.run(5 * 60_000);
      t.false(claims(world, large, big));
    });

test('a host that comes to the parcel in another way makes no room for it any longer', t => {
  const { world, origin, large, big, reach } = aMove();
  t.true(reach.moving?.());
  // Another copy has nowhere to lie, so the parcel is short of one for ever.
  world.configure({ sources: world.sourcePolicies().map(policy => ({ ...policy, copies: 2 })) });
  world.resize(large, 20 * GIB);
  t.true(world.runUntil(() => large.machine.known.pending().pursuits > 0, 60_000));
  t.true(world.runUntil(() => large.machine.known.pending().relocations === 0, 2_000));
  t.true(world.runUntil(() => large.present.has(big), HOUR_MS));
  t.is(large.machine.known.reservedBytes(large.store), 0);
  t.is(origin.machine.known.pending().othersClaims, 0);
  t.is(large.removed.length, 0);
});

test('a move goes on after its disk was slow to wake, and ends when it hangs for longer', t => {
  for (const hangsMs of [30_000, 90_000]) {
    const { world, large, big, reach } = aMove();
    t.true(reach.moving?.());
    const { store } = large;
    world.removes = () => false;
    world.tell(large, { is: 'store-hangs', nowMs: world.nowMs, store, hangs: true });
    world.run(hangsMs);
    const goesOn = hangsMs < 60_000;
    t.is(large.machine.known.pending().relocations, goesOn ? 1 : 0);
    t.is(claims(world, large, big), goesOn);
    world.removes = () => true;
    world.tell(large, { is: 'store-hangs', nowMs: world.nowMs, store, hangs: false });
    t.true(world.runUntil(() => world.trueHolders(big).length === 1, 2 * HOUR_MS));
  }
});
