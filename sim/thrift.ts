/**
 * Thrift: a cluster in which all is well receives what it needs and no more (I11).
 *
 * After a run has come to rest, each live origin backs up something more; when everything has come to rest again, the
 * bytes received for that are compared with the copies that exist. Claims and ranks keep hosts from fetching the same
 * parcel: a machine without them passes all other checks, because surplus copies are dropped again.
 */

import type { ParcelId } from '../src/core/ids.js';
import { addCounts, type Counts, noCounts } from './counts.js';
import type { Happening } from './happening.js';
import type { RunOptions } from './run-options.js';
import { settle } from './settle.js';
import type { SimHost } from './sim-host.js';
import { Violation } from './violation.js';
import type { World } from './world.js';

/** I11: the most waste over many runs, as a share of the needed bytes. */
const WASTE_PERCENT_MAX = 1;
/** A single run makes only some 20 copies, so that one cancelled half way already exceeds its share. */
const WASTE_OF_RUN_PERCENT_MAX = 25;
/** New parcels per origin. */
const PARCELS = 8;
const BYTES_MAX = 64 * 1024 * 1024;

/**
 * Call it when the world has come to rest. @throws Violation (I11) when the new backups cost far more than they need.
 */
export function backUpThriftily(world: World, options: RunOptions): void {
  const origins = world.hosts.filter(host => isThere(world, host) && hasSource(world, host));
  // What a disk with a hidden quota receives is wasted: then all is not well.
  const areDisksHonest = world.hosts.every(({ stores }) =>
    stores.every(({ quotaBytes }) => quotaBytes === Number.POSITIVE_INFINITY),
  );
  if (origins.length === 0 || !areDisksHonest) return;
  // Over slow links no larger parcels than the run had: otherwise a few would take days.
  const mostBytes = options.bytesPerS === undefined ? Number.POSITIVE_INFINITY : options.parcelBytesMax;
  const sizeBytes = Math.min(mostBytes, fittingBytes(world, PARCELS * origins.length));
  if (sizeBytes < 1) return;
  world.network.inOrder = true;
  const parcels = new Set(origins.flatMap(origin => world.backUp(origin, { parcels: PARCELS, sizeBytes })));
  let receivedBytes = 0;
  const moves = new Moves();
  world.witnesses.push(happening => {
    moves.see(happening);
    if (happening.is !== 'received' || !parcels.has(happening.parcel) || moves.has(happening)) return;
    receivedBytes += happening.bytes;
  });
  settle(world, options);
  let copies = 0;
  for (const parcel of parcels) copies += world.holders(parcel).length;
  const thrift = { neededBytes: copies * sizeBytes, needlessBytes: receivedBytes - copies * sizeBytes };
  addCounts(world.counts, { ...noCounts(), thriftyCopies: copies, ...thrift });
  const wrong = whatIsWasted(thrift, WASTE_OF_RUN_PERCENT_MAX);
  if (wrong !== undefined) throw new Violation('I11', wrong);
}

/**
 * Parcels that hosts have taken over from others: a large parcel that was short before may find room only now, and new
 * ones move for it.
 */
class Moves {
  readonly #offered = new Map<string, readonly ParcelId[]>();
  readonly #accepted = new Set<string>();

  see(happening: Happening): void {
    if (happening.is === 'told' && happening.input.is === 'relocation-offered')
      this.#offered.set(`${happening.by.host.id} ${happening.input.ask}`, happening.input.parcels);
    if (happening.is !== 'effect' || happening.effect.do !== 'answer-relocation' || !happening.effect.accepted) return;
    const { id } = happening.by.host;
    for (const parcel of this.#offered.get(`${id} ${happening.effect.ask}`) ?? [])
      this.#accepted.add(`${id} ${parcel}`);
  }

  has({ host, parcel }: Extract<Happening, { is: 'received' }>): boolean {
    return this.#accepted.has(`${host.id} ${parcel}`);
  }
}

/** What is wrong with the runs that were counted; undefined when nothing is. */
export function whatIsWasted(
  { neededBytes, needlessBytes }: Pick<Counts, 'neededBytes' | 'needlessBytes'>,
  percentMax = WASTE_PERCENT_MAX,
): string | undefined {
  if (needlessBytes * 100 <= neededBytes * percentMax) return undefined;
  const percent = ((100 * needlessBytes) / neededBytes).toFixed(1);
  return `${percent} % came beyond the ${neededBytes} bytes that new parcels needed while all was in order; at most ${percentMax} % may`;
}

function isThere(world: World, { id, isClone, isUp }: SimHost): boolean {
  return isUp && !isClone && world.config.members.some(({ host, state }) => host === id && state === 'active');
}

const hasSource = (world: World, { id }: SimHost): boolean =>
  world.config.sources.some(({ source }) => source.startsWith(id));

/** A size at which this many parcels fit twice on each of N + 1 hosts, so that no room has to be made for them. */
function fittingBytes(world: World, parcels: number): number {
  const copies = Math.max(0, ...world.config.sources.map(source => source.copies));
  const free = world.hosts
    .filter(host => isThere(world, host))
    .map(({ stores }) => Math.max(0, ...stores.map(({ freeBytes }) => freeBytes)))
    .sort((a, b) => b - a);
  return Math.min(BYTES_MAX, Math.floor((free[copies] ?? 0) / (2 * parcels)));
}
