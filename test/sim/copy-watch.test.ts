/** Copy watch: it counts what the world counts, by whichever members there are now. */
import test from 'ava';
import type { ParcelModel } from '../../sim/catalog-model.js';
import { CopyWatch } from '../../sim/copy-watch.js';
import type { SimHost } from '../../sim/sim-host.js';
import { type HostOptions, MIB, World } from '../../sim/world.js';
import { sourceIdOf } from '../../src/core/ids.js';

/** A parcel of the first host, a copy of which each of the others has. */
function held(others: readonly HostOptions[]): {
  readonly world: World;
  readonly watch: CopyWatch;
  readonly parcel: ParcelModel;
} {
  const world = new World();
  const [origin, ...holders] = world.addEach([{}, ...others]) as [SimHost, ...SimHost[]];
  const { id, bytes } = world.catalog.cut(sourceIdOf(origin.id, 'files'), MIB);
  const watch = new CopyWatch(world);
  const parcel = world.catalog.parcel(id) as ParcelModel;
  watch.want(parcel, 2);
  for (const host of holders) {
    const [store] = host.stores;
    if (store === undefined) continue;
    store.put(id, { content: id, bytes, shared: undefined });
    store.commit({ op: 'add', parcel: id });
    world.happened({ is: 'durable', host, store, op: { op: 'add', parcel: id } });
  }
  return { world, watch, parcel };
}

for (const [what, options] of [
  ['is draining', { state: 'draining' }],
  ['is let in for the time being', { state: 'provisional' }],
  ['was shut out', { state: 'revoked' }],
  ['is not trusted', { trust: 'untrusted' }],
  ['shares its domain', { domain: 'd'.repeat(32) }],
] as const) {
  test(`a copy at a host that ${what} is none more`, t => {
    const { world, watch, parcel } = held([{ domain: 'd'.repeat(32) }, options]);
    t.is(watch.withCopies(1), 1);
    t.is(watch.short, 1);
    t.is(world.copies(parcel.ref.id), 1);
  });
}

test('what changes at the members is counted anew at once, and told', t => {
  const { world, watch, parcel } = held([{}, {}]);
  t.is(watch.short, 0);
  const told: number[] = [];
  watch.changed = (_, copies) => void told.push(copies);
  const last = world.hosts.at(-1)?.id;
  const put = (state: 'draining' | 'active'): void => {
    world.configure(({ members }) => ({
      members: members.map(member => (member.host === last ? { ...member, state } : member)),
    }));
  };
  put('draining');
  t.is(watch.least, 1);
  t.is(watch.short, 1);
  t.is(world.copies(parcel.ref.id), 1);
  put('active');
  t.is(watch.least, 2);
  t.deepEqual(told, [1, 2]);
});
