/** One way: a host that is heard and hears nothing, and the reverse. */
import test from 'ava';
import type { SimHost } from '../../sim/sim-host.js';
import { MINUTE_MS, World } from '../../sim/world.js';

/** How many messages each of two hosts heard while one of them was muted in one direction. */
function heard(way: 'out' | 'in'): { readonly muted: number; readonly other: number } {
  const world = new World();
  const [muted, other] = world.addHosts(2) as [SimHost, SimHost];
  world.run(MINUTE_MS);
  const counts = new Map<SimHost, number>();
  world.network.muteGossip(muted, true, way);
  // What was on its way arrives.
  world.run(1_000);
  world.witnesses.push(happening => {
    if (happening.is !== 'told' || happening.input.is !== 'heard') return;
    counts.set(happening.by.host, (counts.get(happening.by.host) ?? 0) + 1);
  });
  world.run(20_000);
  return { muted: counts.get(muted) ?? 0, other: counts.get(other) ?? 0 };
}

test('a host may be heard and hear nothing', t => {
  const { muted, other } = heard('in');
  t.is(muted, 0);
  t.true(other > 0);
});

test('a host may hear and not be heard', t => {
  const { muted, other } = heard('out');
  t.is(other, 0);
  t.true(muted > 0);
});

for (const way of ['out', 'in'] as const) {
  test(`streams may come about in one direction only: muted ${way}`, t => {
    const world = new World();
    const [muted, other] = world.addHosts(2) as [SimHost, SimHost];
    world.run(MINUTE_MS);
    world.network.muteStreams(muted, true, way);
    // Whoever takes bytes has opened the stream.
    t.is(world.network.carries(other, muted), way === 'in');
    t.is(world.network.carries(muted, other), way === 'out');
  });
}
