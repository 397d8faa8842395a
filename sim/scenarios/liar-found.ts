/**
 * Scenario: a host claims to hold every parcel as soon as it is listed, before any host has a second copy, and holds
 * none.
 *
 * Safety:   nobody drops anything because of it: a parcel with an intact copy keeps one.
 * Liveness: the others ask it to show what it claims to hold; within one scrub each parcel has its copies.
 */
import { everyParcelHas, nothingIsPending } from '../checks.js';
import { GIB, HOUR_MS, MIB, MINUTE_MS, type World } from '../world.js';

/** The scrub of this scenario; each failed copy is audited repeatedly besides the walk. */
const SCRUB_MS = 6 * HOUR_MS;

export function run(world: World): void {
  const [origin, liar] = world.addHosts(5, { freeBytes: 20 * GIB });
  if (origin === undefined || liar === undefined) return;
  world.configure(({ timing }) => ({ timing: { ...timing, scrubMs: SCRUB_MS } }));
  world.run(2 * MINUTE_MS);
  liar.lies = { holdings: true, room: false, grants: false, audits: true };
  // Large files, so that the liar has claimed all before the others have fetched them.
  const parcels = world.backUp(origin, { parcels: 20, sizeBytes: 400 * MIB, copiesWanted: 2 });
  const [store] = liar.stores;
  if (store !== undefined) liar.running?.claimToHold(store.id, parcels);
  world.run(10 * MINUTE_MS);
  const lied = parcels.filter(parcel => world.copies(parcel) < 2).length;
  if (lied === 0) throw new Error('nobody has believed the liar');
  world.always(everyParcelHas(1));
  world.eventually(everyParcelHas(2), { withinMs: 2 * SCRUB_MS });
  world.eventually(nothingIsPending, { withinMs: HOUR_MS });
}
