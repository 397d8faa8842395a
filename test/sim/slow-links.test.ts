/**
 * Slow links: a first backup over unequal links takes about the time that the links need, from what the hosts find out; at the start
 * nobody knows anybody's pace.
 */
import test from 'ava';
import { settleFromNothing } from '../../sim/bench/settle.js';
import { CopyWatch } from '../../sim/copy-watch.js';
import { MINUTE_MS, SECOND_MS, World } from '../../sim/world.js';

const MB = 1_000_000;
const GB = 1000 * MB;
const SLOW = 11 * MB;
const FAST = 110 * MB;

test('what slow origins have is sent once, and to hosts with good links first', t => {
  const { seconds, boundS, wasted, short } = settleFromNothing({ seed: 1, hosts: 30, parcels: 1_200 });
  t.is(short, 0);
  t.true(seconds / boundS < 1.25, `${seconds / boundS}`);
  t.true(wasted < 0.01, `${wasted}`);
});

test('a slow host leaves large parcels to fast ones that are done with them long before', t => {
  const world = new World({ seed: 1 });
  const [origin, slow] = world.addEach([
    { freeBytes: 0, bytesPerS: FAST },
    { freeBytes: 100 * GB, bytesPerS: SLOW },
    { freeBytes: 100 * GB, bytesPerS: FAST },
    { freeBytes: 100 * GB, bytesPerS: FAST },
  ]);
  if (origin === undefined || slow === undefined) throw new Error('no hosts');
  world.run(2 * MINUTE_MS);
  // So that all know each other's paces.
  world.backUp(origin, { parcels: 60, sizeBytes: 20 * MB });
  world.run(5 * MINUTE_MS);
  const watch = new CopyWatch(world);
  const startMs = world.nowMs;
  const large = world.backUp(origin, { parcels: 5, sizeBytes: 2 * GB });
  for (const id of large) {
    const parcel = world.catalog.parcel(id);
    if (parcel !== undefined) watch.want(parcel, 2);
  }
  while (watch.short > 0 && world.step(startMs + 60 * MINUTE_MS));
  t.true(world.nowMs - startMs < 150 * SECOND_MS, `${world.nowMs - startMs} ms`);
  for (const id of large) {
    t.is(world.holders(id).length, 2);
    t.false(world.holders(id).includes(slow));
  }
});
