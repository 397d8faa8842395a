/** An origin in the simulator: what it lists when its disk was an old image, and when that does not take what it signs. */
import test from 'ava';
import type { SimHost } from '../../sim/sim-host.js';
import { MINUTE_MS, SECOND_MS, World } from '../../sim/world.js';
import { sourceIdOf } from '../../src/core/ids.js';

function cluster() {
  const world = new World({ seed: 1 });
  const [origin, ...others] = world.addHosts(4) as [SimHost, ...SimHost[]];
  world.run(MINUTE_MS);
  const source = sourceIdOf(origin.id, 'files');
  /** One more snapshot, and all before it. */
  const more = (): void => world.snapshot(origin, source, before => [...before, world.catalog.snapshot(source, [], 0)]);
  world.configureSource(source, 2);
  more();
  world.run(MINUTE_MS);
  const headOf = (host: SimHost) => host.disk.heads.get(source);
  return { world, origin, others, more, headOf };
}

test('an origin that was put back from an old image goes on above what the others remember, with all that it lists', t => {
  const { world, origin, others, more, headOf } = cluster();
  const image = origin.disk.image();
  more();
  world.run(MINUTE_MS);
  const listed = headOf(others[0] as SimHost)?.snapshots ?? [];
  t.is(listed.length, 2);
  world.crash(origin);
  origin.disk = image;
  world.happened({ is: 'disk-replaced', host: origin });
  world.start(origin);
  more();
  world.run(5 * MINUTE_MS);
  for (const host of world.hosts) {
    t.true((headOf(host)?.seq ?? 0) > 2);
    t.deepEqual(headOf(host)?.snapshots.slice(0, 2), listed);
    t.is(headOf(host)?.snapshots.length, 3);
  }
});

test('what its disk does not take nobody hears of, and it is taken again later, under the same number', t => {
  const { world, origin, others, more, headOf } = cluster();
  origin.disk.state.full = true;
  more();
  world.run(MINUTE_MS);
  t.deepEqual([origin.disk.history.values().next().value?.seq, headOf(others[0] as SimHost)?.seq], [1, 1]);
  origin.disk.state.full = false;
  world.run(5 * MINUTE_MS + 10 * SECOND_MS);
  t.deepEqual([headOf(origin)?.seq, headOf(others[0] as SimHost)?.seq], [2, 2]);
});

test('snapshots that are to be taken at once are all listed, one after the other', t => {
  const { world, others, more, headOf } = cluster();
  for (let n = 0; n < 3; n += 1) more();
  world.run(MINUTE_MS);
  t.deepEqual([headOf(others[0] as SimHost)?.seq, headOf(others[0] as SimHost)?.snapshots.length], [4, 4]);
});
