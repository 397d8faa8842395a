/**
 * Head change: what a new head, or the end of a hold, changes in what is wanted. Pages are content-addressed, so only pages
 * that are wanted before or after and not both are read, but where something leaves: then the rest must be asked whether it
 * stays.
 */
import { readPage, readSnapshot } from '../catalog/walk.js';
import type { ObjectId, ParcelId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { ParcelRef } from '../core/parcel.js';

/** The snapshots of a source that are wanted. */
export interface WantedSnapshots {
  /** By its newest head, oldest first. */
  readonly listed: readonly ObjectId[];
  /** Not listed any more, and in their hold (core/hold.ts). */
  readonly held: readonly ObjectId[];
}

export interface HeadChange {
  /** In a page that is new; some may have been wanted before. */
  readonly add: readonly ParcelRef[];
  readonly remove: readonly ParcelId[];
  /** Wanted, and not in the newest snapshot (any more). */
  readonly notNewest: readonly ParcelId[];
  /** Wanted before, and in the newest snapshot now. */
  readonly newestAgain: readonly ParcelId[];
}

/** Grows with the parcels of the pages that changed: some 300 bytes each, for the time of the call. */
export async function headChange(
  reader: ObjectReader,
  before: WantedSnapshots | undefined,
  after: WantedSnapshots,
): Promise<HeadChange> {
  const old = before === undefined ? NO_PAGES : await pagesOf(reader, before);
  const now = await pagesOf(reader, after);

  const added = await refsOf(reader, minus(now.all, old.all));
  const left = await refsOf(reader, minus(old.all, now.all));
  for (const id of added.keys()) left.delete(id);
  if (left.size > 0) {
    for await (const ref of eachRef(reader, intersection(now.all, old.all))) left.delete(ref.id);
  }

  const newestAgain = await refsOf(reader, minus(now.newest, old.newest));
  const notNewest = await refsOf(reader, minus(old.newest, now.newest));
  // An older snapshot that was not wanted before brings parcels that never were in the newest.
  const addedOlder = await refsOf(reader, minus(minus(now.all, old.all), now.newest));
  for (const [id, ref] of addedOlder) notNewest.set(id, ref);
  if (notNewest.size > 0) {
    for await (const ref of eachRef(reader, now.newest)) notNewest.delete(ref.id);
  }
  return {
    add: [...added.values()],
    remove: [...left.keys()],
    notNewest: [...notNewest.keys()].filter(id => !left.has(id)),
    newestAgain: [...newestAgain.keys()].filter(id => !added.has(id)),
  };
}

interface Pages {
  readonly all: ReadonlySet<ObjectId>;
  readonly newest: ReadonlySet<ObjectId>;
}

const NO_PAGES: Pages = { all: new Set(), newest: new Set() };

async function pagesOf(reader: ObjectReader, { listed, held }: WantedSnapshots): Promise<Pages> {
  const all = new Set<ObjectId>();
  let newest = new Set<ObjectId>();
  for (const id of [...held, ...listed]) {
    const { pages } = await readSnapshot(reader, id);
    for (const page of pages) all.add(page);
    if (id === listed.at(-1)) newest = new Set(pages);
  }
  return { all, newest };
}

async function* eachRef(reader: ObjectReader, pages: Iterable<ObjectId>): AsyncGenerator<ParcelRef> {
  for (const page of pages) yield* await readPage(reader, page);
}

async function refsOf(reader: ObjectReader, pages: Iterable<ObjectId>): Promise<Map<ParcelId, ParcelRef>> {
  const refs = new Map<ParcelId, ParcelRef>();
  for await (const ref of eachRef(reader, pages)) refs.set(ref.id, ref);
  return refs;
}

const minus = (a: ReadonlySet<ObjectId>, b: ReadonlySet<ObjectId>): Set<ObjectId> =>
  new Set([...a].filter(id => !b.has(id)));
const intersection = (a: ReadonlySet<ObjectId>, b: ReadonlySet<ObjectId>): Set<ObjectId> =>
  new Set([...a].filter(id => b.has(id)));
