/** Scenario: a cluster in which all is well and nobody backs anything up: the cost of staying in touch. */
import { everyParcelHas } from '../checks.js';
import { GB, MB } from '../shape.js';
import { HOUR_MS, SECOND_MS, World } from '../world.js';

const COPIES = 2;

/** @returns bytes a second per host, in plus out, of gossip with all its duplicates and of questions over streams. */
export function idleTraffic({ seed, hosts: count }: { readonly seed: number; readonly hosts: number }): number {
  const world = new World({ seed });
  const [origin] = world.addHosts(count, { freeBytes: 100 * GB });
  if (origin === undefined) return 0;
  world.backUp(origin, { parcels: 200, sizeBytes: 20 * MB, copiesWanted: COPIES });
  world.eventually(everyParcelHas(COPIES), { withinMs: HOUR_MS });
  world.run(HOUR_MS / 6);
  const { network } = world;
  const before = network.gossipBytesReceived + network.streamBytes;
  const forMs = HOUR_MS / 2;
  world.run(forMs);
  // Every byte that one host receives, another has sent.
  const moved = 2 * (network.gossipBytesReceived + network.streamBytes - before);
  return moved / count / (forMs / SECOND_MS);
}
