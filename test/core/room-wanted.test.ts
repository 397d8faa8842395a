import test from 'ava';
import { DEFAULT_TIMING } from '../../src/core/cluster-config.js';
import { roomWantedAt } from '../helpers/room-wanted-at.js';
import { MIB, type SmallHost, SmallWorld } from '../helpers/small-world.js';

const { relocateMs } = DEFAULT_TIMING;
const HOUR_MS = 3_600_000;
/** Until a host is dead that was never away before. */
const DEAD_MS = DEFAULT_TIMING.deadMs + 60_000;

test('what has no place is counted on every host, once a move could have made room', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, {}, { lentBytes: 5 * MIB }, { lentBytes: 0 }]);
  const [origin, roomy, tight] = world.hosts as [SmallHost, SmallHost, SmallHost, SmallHost];
  world.backUp(origin, [{ bytes: 30 * MIB }, { bytes: 20 * MIB }, { bytes: 2 * MIB }]);
  world.run(relocateMs - 5_000);
  t.is(roomy.present.size, 3);
  t.is(tight.present.size, 1);
  for (const host of world.hosts) t.is(roomWantedAt(host, origin), undefined);
  world.run(15_000);
  for (const host of world.hosts)
    t.deepEqual(roomWantedAt(host, origin), {
      parcels: 2,
      bytes: 50 * MIB,
      largestBytes: 30 * MIB,
      freeBytes: 3 * MIB,
    });

  // More room ends it for what fits.
  world.resize(tight, 25 * MIB);
  world.run(60_000);
  for (const host of world.hosts) t.like(roomWantedAt(host, origin), { parcels: 1, freeBytes: 3 * MIB });
});

test('while there is room for all, nothing is found for longer than claims are on their way, however long it takes', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes: 605 * MIB }, { lentBytes: 605 * MIB }], {
    rate: 1 * MIB,
  });
  const [origin, ...holders] = world.hosts as [SmallHost, ...SmallHost[]];
  world.backUp(
    origin,
    Array.from({ length: 60 }, (_, i) => ({ bytes: (i % 2 === 0 ? 18 : 2) * MIB })),
  );
  const begunMs = world.nowMs;
  let foundBefore = false;
  while (!holders.every(({ present }) => present.size === 60) && world.nowMs < begunMs + HOUR_MS) {
    world.run(1_000);
    const isFound = world.hosts.some(host => roomWantedAt(host, origin) !== undefined);
    t.false(isFound && foundBefore);
    foundBefore = isFound;
  }
  t.true(world.nowMs > begunMs + 4 * relocateMs);
  t.true(world.nowMs < begunMs + HOUR_MS);
});

test('a host that is missing is not want of room, and neither is a domain too few', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, {}, {}, { lentBytes: 5 * MIB }], { copies: 3 });
  const [origin, first, second, tight] = world.hosts as [SmallHost, SmallHost, SmallHost, SmallHost];
  world.backUp(origin, [{ bytes: 2 * MIB }]);
  world.run(relocateMs);
  t.is(tight.present.size, 1);
  // Suspect, then dead: it is waited for, and then there are only two that lend room.
  world.kill(second);
  for (let ms = 0; ms < DEAD_MS; ms += 10_000) {
    world.run(10_000);
    for (const host of [origin, first, tight]) t.is(roomWantedAt(host, origin), undefined);
  }
  t.is(origin.machine.known.host(second.id)?.liveness, 'dead');
});

test('the room of a host that is dead is none, and that of one that is only suspect is some', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, {}, {}, { lentBytes: 5 * MIB }]);
  const [origin, , away] = world.hosts as [SmallHost, SmallHost, SmallHost, SmallHost];
  world.run(10_000);
  world.kill(away);
  world.backUp(origin, [{ bytes: 30 * MIB }]);
  world.run(DEAD_MS / 2);
  t.is(roomWantedAt(origin, origin), undefined);
  world.run(DEAD_MS / 2);
  t.like(roomWantedAt(origin, origin), { parcels: 1, bytes: 30 * MIB });
});

test('a look takes turns, and what leaves or comes between them is counted once or not at all', t => {
  const world = new SmallWorld([{ lentBytes: 0 }, { lentBytes: 5 * MIB }, { lentBytes: 5 * MIB }]);
  const [origin] = world.hosts as [SmallHost, SmallHost, SmallHost];
  const count = 8_000;
  const ids = world.backUp(
    origin,
    Array.from({ length: count }, () => ({ bytes: 30 * MIB })),
  );
  world.run(2 * relocateMs);
  let turns = 0;
  const seen = roomWantedAt(origin, origin, () => {
    turns += 1;
    if (turns > 1) return;
    // The one has been looked at, and the other has not.
    world.forget(origin, [...ids.slice(0, 1_000), ...ids.slice(-500)]);
  });
  t.true(turns >= 2, 'no turn is longer than some thousand looks');
  t.is(seen?.parcels, count - 500);
  t.is(roomWantedAt(origin, origin)?.parcels, count - 1_500);
});
