/**
 * Snapshot pages: a snapshot's parcels by their places, and their records in sequence.
 *
 * A few objects are requested ahead, so that a reader over the network need not wait for them one by one. Used by
 * everything that walks a snapshot: walk.ts, walk-readable.ts, snapshot-parcels.ts and changed-parcels.ts.
 */
import type { ObjectId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { ParcelRef } from '../core/parcel.js';
import { RUN_SPAN_MAX } from './cut.js';
import type { Entry } from './entry.js';
import { comparePaths } from './path-order.js';
import { ifReadable, readPage, readRecord } from './read-object.js';
import type { Snapshot } from './snapshot.js';

export interface WalkedParcel {
  readonly ref: ParcelRef;
  /** Its place among the snapshot's parcels, from 0. */
  readonly ordinal: number;
  readonly entries: readonly Entry[];
}

/** Told of the parcels and pages that cannot be read, and of those that can, when the walk continues past gaps. */
export interface GapListener {
  add(missing: ParcelRef | 'page'): void;
  pass(entries: readonly Entry[]): void;
}

/** Records requested ahead of the one in use. Each is at most 256 KiB. */
const READ_AHEAD = 8;

export interface Position {
  readonly page: number;
  readonly ref: number;
  /** Counted from where the walk began, unless it began at 0. */
  readonly ordinal: number;
}

export const FIRST: Position = { page: 0, ref: 0, ordinal: 0 };

/** What a walk and a search need of a snapshot's pages, or of some of its parcels. */
export type ParcelPages = Pick<Pages, 'count' | 'refs' | 'entries' | 'read'>;

/** A snapshot's pages. The last few are kept decoded, since a search comes back to the same ones. */
export class Pages {
  readonly #reader: ObjectReader;
  readonly #ids: readonly ObjectId[];
  readonly #recent = new Map<number, Promise<readonly ParcelRef[]>>();
  /** The place of each page's first parcel, for the pages looked at so far and one more. */
  readonly #ordinals = [0];

  constructor(reader: ObjectReader, snapshot: Snapshot) {
    this.#reader = reader;
    this.#ids = snapshot.pages;
  }

  get count(): number {
    return this.#ids.length;
  }

  async refs(page: number): Promise<readonly ParcelRef[]> {
    const known = this.#recent.get(page);
    if (known !== undefined) return known;
    const id = this.#ids[page];
    if (id === undefined) return [];
    const reading = readPage(this.#reader, id);
    this.#recent.set(page, reading);
    if (this.#recent.size > READ_AHEAD) this.#recent.delete(this.#recent.keys().next().value ?? page);
    return reading;
  }

  async positionOf(ordinal: number): Promise<Position> {
    const ordinals = this.#ordinals;
    for (let last = ordinals.length - 1; last < this.count; last += 1) {
      const end = (ordinals[last] ?? 0) + (await this.refs(last)).length;
      ordinals[last + 1] = end;
      if (end > ordinal) break;
    }
    const page = (await firstIndex(ordinals.length, async index => (ordinals[index] ?? 0) > ordinal)) - 1;
    return { page, ref: ordinal - (ordinals[page] ?? 0), ordinal };
  }

  async entries(page: number, ref: number): Promise<readonly Entry[]> {
    const wanted = (await this.refs(page))[ref];
    return wanted === undefined ? [] : this.read(wanted);
  }

  read(ref: ParcelRef): Promise<readonly Entry[]> {
    return readRecord(this.#reader, ref);
  }
}

export async function* recordsFrom(
  pages: ParcelPages,
  start: Position,
  signal: AbortSignal | undefined,
  only: (ref: ParcelRef, ordinal: number) => boolean = () => true,
): AsyncGenerator<WalkedParcel> {
  async function* places(): AsyncGenerator<Omit<WalkedParcel, 'entries'>> {
    let { ordinal } = start;
    for (let page = start.page; page < pages.count; page += 1) {
      const refs = await pages.refs(page);
      for (const ref of page === start.page ? refs.slice(start.ref) : refs) {
        if (only(ref, ordinal)) yield { ref, ordinal };
        ordinal += 1;
      }
    }
  }
  const read = async (place: Omit<WalkedParcel, 'entries'>) => ({ ...place, entries: await pages.read(place.ref) });
  for await (const parcel of ahead(places(), read)) {
    signal?.throwIfAborted();
    yield parcel;
  }
}

/** The parcels whose records can be read; the others are reported to `gaps`, if that is given. */
export async function* readableFrom(
  pages: Pages,
  {
    start,
    gaps,
    signal,
  }: { readonly start: Position; readonly gaps?: GapListener; readonly signal: AbortSignal | undefined },
): AsyncGenerator<WalkedParcel> {
  async function* refs(): AsyncGenerator<ParcelRef | 'page'> {
    for (let page = start.page; page < pages.count; page += 1) {
      const all = await ifReadable(pages.refs(page));
      if (all === undefined) yield 'page';
      else yield* page === start.page ? all.slice(start.ref) : all;
    }
  }
  const read = async (ref: ParcelRef | 'page') =>
    [ref, ref === 'page' ? undefined : await ifReadable(pages.read(ref))] as const;
  let ordinal = start.ordinal;
  for await (const [ref, entries] of ahead(refs(), read)) {
    signal?.throwIfAborted();
    if (ref === 'page' || entries === undefined) gaps?.add(ref);
    else {
      gaps?.pass(entries);
      yield { ref, ordinal, entries };
    }
    ordinal += 1;
  }
}

/** A parcel from which a walk meets everything at or below `path`. */
export async function startFor(pages: ParcelPages, path: Uint8Array): Promise<Position> {
  const opensAfter = async (page: number, ref: number): Promise<boolean> => {
    const [first] = await pages.entries(page, ref);
    return first !== undefined && comparePaths(first.path, path) > 0;
  };
  // The last page, then the last parcel in it, that opens at or before the path.
  let page = (await firstIndex(pages.count, index => opensAfter(index, 0))) - 1;
  if (page < 0) return FIRST;
  const inPage = page;
  let ref = (await firstIndex((await pages.refs(page)).length, index => opensAfter(inPage, index))) - 1;
  // That parcel may be a large file in the middle of a run that opened earlier.
  for (let back = 0; back < RUN_SPAN_MAX; back += 1) {
    if ((await pages.entries(page, ref)).length > 1) break;
    if (ref > 0) ref -= 1;
    else if (page > 0) {
      page -= 1;
      ref = (await pages.refs(page)).length - 1;
    } else break;
  }
  return { page, ref: Math.max(ref, 0), ordinal: 0 };
}

/** The least index from 0 to `count` for which `isTrue` holds, given that it holds for all after it. */
async function firstIndex(count: number, isTrue: (index: number) => Promise<boolean>): Promise<number> {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (await isTrue(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Results in order, with up to READ_AHEAD in the making. */
export async function* ahead<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  make: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const making: Promise<R>[] = [];
  for await (const item of items) {
    const made = make(item);
    // It is awaited in its turn, and its failure is thrown then. Until then Node must not report it as unhandled.
    made.catch(() => undefined);
    making.push(made);
    const first = making.length >= READ_AHEAD ? making.shift() : undefined;
    if (first !== undefined) yield await first;
  }
  for (const made of making) yield await made;
}
