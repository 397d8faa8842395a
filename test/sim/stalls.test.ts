/** Stalls: a stream over a link that carries nothing moves nothing, whether or not its ends know; what came of it stays. */
import test from 'ava';
import type { SimHost } from '../../sim/sim-host.js';
import { MINUTE_MS, SECOND_MS, World } from '../../sim/world.js';

const MB = 1_000_000;
const BYTES = 100 * MB;

/** One parcel is on its way from one host to another, some seconds after its first byte. */
function halfWay(): { readonly world: World; readonly origin: SimHost; readonly other: SimHost } {
  const world = new World({ seed: 1 });
  const [origin, other] = world.addHosts(2, { bytesPerS: MB });
  if (origin === undefined || other === undefined) throw new Error('no hosts');
  world.run(MINUTE_MS);
  world.backUp(origin, { parcels: 1, sizeBytes: BYTES, copiesWanted: 1 });
  let isComing = false;
  world.witnesses.push(({ is }) => {
    isComing ||= is === 'taking-in';
  });
  while (!isComing) world.run(10);
  world.run(20 * SECOND_MS);
  return { world, origin, other };
}

const HOLDS_UP: Record<string, (of: ReturnType<typeof halfWay>) => () => void> = {
  'both ways are cut, unnoticed': ({ world: { network }, origin, other }) => {
    network.cut(origin, other, true);
    network.cut(other, origin, true);
    return () => {
      network.mend(origin, other, true);
      network.mend(other, origin, true);
    };
  },
  'both ways are cut': ({ world: { network }, origin, other }) => {
    network.cut(origin, other);
    network.cut(other, origin);
    return () => {
      network.mend(origin, other);
      network.mend(other, origin);
    };
  },
  'its giver is paused': ({ world, origin }) => {
    world.pause(origin);
    return () => world.resume(origin);
  },
  'its taker is suspended': ({ world, other }) => {
    world.suspend(other);
    return () => world.resume(other);
  },
};

for (const [what, holdUp] of Object.entries(HOLDS_UP)) {
  test(`while ${what} nothing comes, it is given up, and goes on later from where it was`, t => {
    const of = halfWay();
    const { world, other } = of;
    const goOn = holdUp(of);
    world.run(10 * MINUTE_MS);
    const before = world.counts.receivedBytes;
    t.true(before < 25 * MB, `${before}`);
    t.is(other.stores[0]?.present.size, 0);
    goOn();
    world.run(10 * MINUTE_MS);
    t.is(other.stores[0]?.present.size, 1);
    t.is(world.counts.resumed, 1);
    // What had not come whole came again: less than a piece.
    t.true(world.counts.receivedBytes < BYTES + 2 * MB, `${world.counts.receivedBytes}`);
  });
}

test('over a half-open link a transfer is given up while its ends still take the link for whole', t => {
  const of = halfWay();
  const { world, origin, other } = of;
  HOLDS_UP['both ways are cut, unnoticed']?.(of);
  world.run(59 * SECOND_MS);
  t.is(world.counts.stalls, 0);
  world.run(2 * SECOND_MS);
  t.is(world.counts.stalls, 1);
  t.true(world.network.isUp(origin, other));
});
