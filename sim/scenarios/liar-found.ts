/**
 * Scenario: a host says that it holds every parcel as soon as it is listed, before anybody has a second copy, and holds none.
 *
 * Safety:   nobody drops anything for its sake: what has a true copy keeps one.
 * Liveness: the others ask it to show what it says it has; within one scrub each parcel has the copies that it should.
 */
import { everyParcelHas, nothingIsPending } from '../checks.js';
import { GIB, HOUR_MS, MIB, MINUTE_MS, type World } from '../world.js';

/** A scrub here; each copy that failed is audited again and again beside the walk. */
const SCRUB_MS = 6 * HOUR_MS;

export function run(world: World): void {
  const [origin, liar] = world.addHosts(5, { freeBytes: 20 * GIB });
  if (origin === undefined || liar === undefined) return;
  world.configure(({ timing }) => ({ timing: { ...timing, scrubMs: SCRUB_MS } }));
  world.run(2 * MINUTE_MS);
  liar.lies = { holdings: true, room: false, grants: false, audits: true };
  // Large: the liar has said it of all before the others have fetched them.
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
