/**
 * Scenario: the disk of a host that runs is copied, and the copy is started in a second machine.
 *
 * Safety:   neither of the two is counted on once they are found: every parcel has its copies at the others.
 * Liveness: every other host finds them within ten minutes. When the copy has been off for as long as the dead are waited for, the
 *           host counts again.
 */
import { assert } from '../../src/core/fault.js';
import { everyParcelHas, noParcelHasOver, viewsAgree } from '../checks.js';
import { type Check, GIB, MIB, MINUTE_MS, type World } from '../world.js';

export function run(world: World): void {
  const hosts = world.addHosts(6, { freeBytes: 1 * GIB });
  const [first, , twin] = hosts;
  if (first === undefined || twin === undefined) return;
  world.backUp(first, { parcels: 30, sizeBytes: 4 * MIB, copiesWanted: 2 });
  world.eventually(everyParcelHas(2), { withinMs: 2 * MINUTE_MS });
  const held = twin.stores.flatMap(({ present }) => [...present]);
  assert(held.length > 0, 'a host that holds nothing is not counted on');

  const others = hosts.filter(host => host !== twin);
  const setAsideBy = (): number =>
    others.filter(({ running }) => running?.machine.known.host(twin.id)?.isSetAside).length;
  const copy = world.clone(twin);
  world.eventually(() => (setAsideBy() === others.length ? undefined : `${setAsideBy()} have found it`), {
    withinMs: 10 * MINUTE_MS,
  });
  const areMadeUpFor: Check = () => {
    const short = held.find(parcel => (first.running?.machine.known.copies(parcel) ?? 0) < 2);
    return short && `parcel ${short.slice(0, 8)} has not two copies elsewhere`;
  };
  world.eventually(areMadeUpFor, { withinMs: 10 * MINUTE_MS });

  world.lose(copy);
  world.eventually(() => (setAsideBy() === 0 ? undefined : `${setAsideBy()} do not count on it`), {
    withinMs: 2 * world.config.timing.deadMs,
  });
  world.eventually(noParcelHasOver(2), { withinMs: 2 * world.config.timing.deadMs });
  world.eventually(viewsAgree, { withinMs: 5 * MINUTE_MS });
}
