import test from 'ava';
import { crashPoint, dangerousCrashes } from '../../sim/crash-points.js';
import { MIB, MINUTE_MS, World } from '../../sim/world.js';

/** All that can be drawn. */
const drawn = Array.from({ length: 1_000 }, (_, dice) => crashPoint(dice));

test('every effect is drawn at every boundary that it has', t => {
  const boundaries = (on: string): string =>
    [...new Set(drawn.flatMap(point => (point.on === on ? [point.boundary] : [])))].sort().join();
  for (const effect of ['drop', 'measure', 'identify', 'note-absence', 'note-unanswered', 'ask-config', 'gossip'])
    t.is(boundaries(effect), 'asked,begun,done', effect);
  for (const effect of ['cancel-attempt', 'note-outage']) t.is(boundaries(effect), 'asked,begun', effect);
});

test('what could lose data is counted by effect and boundary', t => {
  const counts = dangerousCrashes(0);
  t.is(counts['crash: drop done'], 0);
  t.false('crash: gossip done' in counts);
  t.false('crash: cancel-attempt done' in counts);
});

test('a crash strikes when something has been said', t => {
  const world = new World();
  const [host] = world.addHosts(2);
  if (host === undefined) return t.fail();
  world.run(MINUTE_MS);
  let strikes = 0;
  host.armed = { on: 'gossip', boundary: 'done', strike: () => (strikes += 1) };
  world.run(MINUTE_MS);
  t.is(strikes, 1);
});

test('strikes at dangerous points are counted', t => {
  const world = new World();
  const [origin, holder] = world.addHosts(2, { freeBytes: 1024 * MIB });
  if (origin === undefined || holder === undefined) return t.fail();
  world.run(MINUTE_MS);
  holder.armed = { on: 'fetch', boundary: 'begun', strike: () => world.restart(holder) };
  world.backUp(origin, { parcels: 5, sizeBytes: MIB, copiesWanted: 1 });
  world.run(5 * MINUTE_MS);
  t.is(world.counts['crash: fetch begun'], 1);
});
