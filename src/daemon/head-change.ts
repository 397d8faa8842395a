/**
 * Head change: what a new head, or the end of a hold, changes in what is wanted. Pages are content-addressed, so
 * usually only the pages that are wanted either before or after, but not both, are read. Where parcels leave, the
 * other pages are read too, because a parcel may stay through them.
 *
 * What the head lists must be readable, or there is no change. What is held, or was wanted before, may be lost
 * everywhere: parcels that only lost pages lead to are neither added nor removed.
 */
import { ifReadable, readPage, readSnapshot } from '../catalog/read-object.js';
import type { ObjectId, ParcelId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { ParcelRef } from '../core/parcel.js';

/** The snapshots of a source that are wanted. */
export interface WantedSnapshots {
  /** Listed by its newest head, oldest first. */
  readonly listed: readonly ObjectId[];
  /** No longer listed, but in their hold (core/hold.ts). */
  readonly held: readonly ObjectId[];
}

export interface WantedBefore extends WantedSnapshots {
  /** Unreadable when they became wanted: what these pages lead to may not be known to be wanted. */
  readonly lost: ReadonlySet<ObjectId>;
}

export interface HeadChange {
  /** In a new page; some may have been wanted before. */
  readonly add: readonly ParcelRef[];
  readonly remove: readonly ParcelId[];
  /** Wanted, and not, or no longer, in the newest snapshot. */
  readonly notNewest: readonly ParcelId[];
  /** Wanted before, and now in the newest snapshot. */
  readonly newestAgain: readonly ParcelId[];
  /** Wanted, and not, or no longer, in any listed snapshot. */
  readonly notListed: readonly ParcelId[];
  /** Wanted before, and now listed. */
  readonly listedAgain: readonly ParcelId[];
}

export interface JudgedChange {
  readonly change: HeadChange;
  /** Unreadable snapshots and pages that no listed snapshot leads to. */
  readonly lost: ReadonlySet<ObjectId>;
}

/**
 * Takes memory for the parcels of the pages that changed: some 300 bytes each, for the time of the call.
 * @throws ObjectMissing, MalformedObject for what is listed
 */
export async function headChange(
  reader: ObjectReader,
  before: WantedBefore | undefined,
  after: WantedSnapshots,
): Promise<JudgedChange> {
  const pages = new Pages(reader);
  const now = await pages.after(after);
  const old = before === undefined ? NO_PAGES : await pages.before(before);

  const come = before === undefined ? now.all : minus(now.all, minus(old.all, before.lost));
  const added = await pages.refsOf(come);
  const left = await pages.refsOf(minus(old.all, now.all));
  for (const id of added.keys()) left.delete(id);
  if (left.size > 0) {
    for await (const ref of pages.eachRef(intersection(now.all, old.all))) left.delete(ref.id);
  }

  /** Of what is wanted: the parcels that are not, or no longer, in these pages, and those that are in them again. */
  const among = async (which: 'newest' | 'listed'): Promise<{ not: ParcelId[]; again: ParcelId[] }> => {
    const again = await pages.refsOf(minus(now[which], old[which]));
    const not = await pages.refsOf(minus(old[which], now[which]));
    // A snapshot that was not wanted before brings parcels that were never in these pages.
    const addedElsewhere = await pages.refsOf(minus(come, now[which]));
    for (const [id, ref] of addedElsewhere) not.set(id, ref);
    if (not.size > 0) {
      for await (const ref of pages.eachRef(now[which])) not.delete(ref.id);
    }
    return {
      not: [...not.keys()].filter(id => !left.has(id)),
      again: [...again.keys()].filter(id => !added.has(id)),
    };
  };
  const newest = await among('newest');
  const listed = await among('listed');
  const change = {
    add: [...added.values()],
    remove: [...left.keys()],
    notNewest: newest.not,
    newestAgain: newest.again,
    notListed: listed.not,
    listedAgain: listed.again,
  };
  return { change, lost: pages.lost };
}

interface PagesOf {
  readonly all: ReadonlySet<ObjectId>;
  readonly listed: ReadonlySet<ObjectId>;
  readonly newest: ReadonlySet<ObjectId>;
}

const NO_PAGES: PagesOf = { all: new Set(), listed: new Set(), newest: new Set() };

/** Reads pages for one change. */
class Pages {
  readonly lost = new Set<ObjectId>();
  readonly #reader: ObjectReader;
  /** Snapshots and pages that must be readable, or there is no change. */
  readonly #needed = new Set<ObjectId>();

  constructor(reader: ObjectReader) {
    this.#reader = reader;
  }

  /** Must be called first: what is listed then is needed. */
  after(wanted: WantedSnapshots): Promise<PagesOf> {
    return this.#of(wanted, { isNeeded: true });
  }

  before(wanted: WantedSnapshots): Promise<PagesOf> {
    return this.#of(wanted, { isNeeded: false });
  }

  async #of({ listed, held }: WantedSnapshots, { isNeeded }: { readonly isNeeded: boolean }): Promise<PagesOf> {
    const ofListed = new Set<ObjectId>();
    let newest: ReadonlySet<ObjectId> = new Set();
    for (const id of listed) {
      if (isNeeded) this.#needed.add(id);
      const pages = await this.#pagesOf(id);
      for (const page of pages) ofListed.add(page);
      if (id === listed.at(-1)) newest = new Set(pages);
    }
    if (isNeeded) for (const page of ofListed) this.#needed.add(page);
    const all = new Set<ObjectId>();
    for (const id of held) for (const page of await this.#pagesOf(id)) all.add(page);
    for (const page of ofListed) all.add(page);
    return { all, listed: ofListed, newest };
  }

  async *eachRef(pages: Iterable<ObjectId>): AsyncGenerator<ParcelRef> {
    for (const page of pages) yield* (await this.#read(page, readPage)) ?? [];
  }

  async refsOf(pages: Iterable<ObjectId>): Promise<Map<ParcelId, ParcelRef>> {
    const refs = new Map<ParcelId, ParcelRef>();
    for await (const ref of this.eachRef(pages)) refs.set(ref.id, ref);
    return refs;
  }

  async #pagesOf(snapshot: ObjectId): Promise<readonly ObjectId[]> {
    return (await this.#read(snapshot, readSnapshot))?.pages ?? [];
  }

  async #read<T>(id: ObjectId, read: (reader: ObjectReader, id: ObjectId) => Promise<T>): Promise<T | undefined> {
    if (this.#needed.has(id)) return read(this.#reader, id);
    const found = await ifReadable(read(this.#reader, id));
    if (found === undefined) this.lost.add(id);
    return found;
  }
}

const minus = (a: ReadonlySet<ObjectId>, b: ReadonlySet<ObjectId>): Set<ObjectId> =>
  new Set([...a].filter(id => !b.has(id)));
const intersection = (a: ReadonlySet<ObjectId>, b: ReadonlySet<ObjectId>): Set<ObjectId> =>
  new Set([...a].filter(id => b.has(id)));
