/**
 * Walk: reading a snapshot back: its parcels, its entries, and which parcels two snapshots differ in.
 *
 * Everything streams: what is held at a time is a few records and pages, however large the snapshot is. Objects come from
 * any `ObjectReader`; a few are asked for ahead, so that a reader over the network is not waited for one by one. Pages and
 * records are checked against what referred to them; a reader vouches that bytes belong to their id.
 *
 * Parcels stand in the order of their first paths. A run (many entries) may enclose parcels of one large file each, and
 * nothing else; two runs never interleave, and a run closes within `RUN_SPAN_MAX` parcels and entries of its opening
 * (cut.ts). That is what lets `walkEntries` give path order, and find a path, by reading a few records.
 *
 * A disk that is left has only some of the records: `walkReadable` goes on behind what is missing, and says what that was.
 */
import { assert, ClusterError } from '../core/fault.js';
import type { ObjectId, ParcelId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { ParcelRef } from '../core/parcel.js';
import { PARCEL_FILE_BYTES, RUN_SPAN_MAX } from './cut.js';
import type { Entry } from './entry.js';
import { MalformedObject } from './malformed-object.js';
import { decodePage } from './page.js';
import { comparePaths, isAtOrUnder, isUnder } from './path-order.js';
import { bytesOfParcel, decodeRecord } from './record.js';
import { decodeSnapshot, type Snapshot, type SnapshotId } from './snapshot.js';

/** An object that the walk needs is not where it reads: fetch it from a peer, or read elsewhere. */
export class ObjectMissing extends ClusterError {
  readonly id: ObjectId;

  constructor(id: ObjectId, what: string) {
    super('OBJECT_MISSING', `the ${what} ${id} is not here; a holder of the snapshot or its origin has it`, {
      blame: 'passing',
    });
    this.id = id;
  }
}

export interface WalkedParcel {
  readonly ref: ParcelRef;
  /** Its place among the snapshot's parcels, from 0. */
  readonly ordinal: number;
  readonly entries: readonly Entry[];
}

export interface WalkedEntry {
  readonly entry: Entry;
  /** The parcel that it is in. */
  readonly parcel: ParcelId;
  readonly of: WalkedParcel;
}

/** Records asked for ahead of the one in use. Each is at most 256 KiB. */
const READ_AHEAD = 8;

/** @throws ObjectMissing, MalformedObject */
export async function readSnapshot(reader: ObjectReader, id: SnapshotId): Promise<Snapshot> {
  return decodeSnapshot(await need(reader, id, 'snapshot'));
}

/** @throws ObjectMissing, MalformedObject */
export async function readPage(reader: ObjectReader, id: ObjectId): Promise<readonly ParcelRef[]> {
  return decodePage(await need(reader, id, 'page'));
}

/** @throws ObjectMissing; MalformedObject also when the record is not what its page says. */
export async function readRecord(reader: ObjectReader, ref: ParcelRef): Promise<readonly Entry[]> {
  const { key, entries } = decodeRecord(await need(reader, ref.id, 'record'));
  if (key !== ref.key) throw new MalformedObject(`record ${ref.id}: its page gives it another key`);
  if (bytesOfParcel(entries) !== ref.bytes)
    throw new MalformedObject(`record ${ref.id}: its page gives it ${ref.bytes} bytes`);
  return entries;
}

async function need(reader: ObjectReader, id: ObjectId, what: string): Promise<Uint8Array> {
  const bytes = await reader.get(id);
  if (bytes === undefined) throw new ObjectMissing(id, what);
  return bytes;
}

/** The snapshot's parcels in the order of their first paths. Reads pages only. */
export async function* walkParcels(
  reader: ObjectReader,
  snapshot: SnapshotId,
  { signal }: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<ParcelRef> {
  const { pages } = await readSnapshot(reader, snapshot);
  for await (const refs of ahead(pages, page => readPage(reader, page))) {
    signal?.throwIfAborted();
    yield* refs;
  }
}

/**
 * The snapshot's entries in path order; with `under`, only that path and what lies below it, found by reading a number of
 * records that grows with the logarithm of the snapshot's size. The first entry of all has the empty path: the source's
 * own folder.
 */
export async function* walkEntries(
  reader: ObjectReader,
  snapshot: SnapshotId,
  options: { readonly under?: Uint8Array; readonly signal?: AbortSignal } = {},
): AsyncGenerator<WalkedEntry> {
  for await (const stretch of walkStretches(reader, snapshot, options)) yield* stretch;
}

/** Leaves out the parcels for which it is false: their records are not read. */
export type ParcelFilter = (ref: ParcelRef) => boolean;

/** `walkEntries` in stretches of at most one record each, for loops that should not wait once an entry. */
export async function* walkStretches(
  reader: ObjectReader,
  snapshot: SnapshotId,
  {
    under,
    signal,
    only,
  }: { readonly under?: Uint8Array; readonly signal?: AbortSignal; readonly only?: ParcelFilter } = {},
): AsyncGenerator<readonly WalkedEntry[]> {
  const pages = new Pages(reader, await readSnapshot(reader, snapshot));
  const wanted = under === undefined || under.length === 0 ? undefined : under;
  const start = wanted === undefined ? FIRST : await startFor(pages, wanted);
  for await (const stretch of inPathOrder(recordsFrom(pages, start, signal, only))) {
    if (wanted === undefined) {
      yield stretch;
      continue;
    }
    const inside = stretch.filter(({ entry }) => isAtOrUnder(entry.path, wanted));
    if (inside.length > 0) yield inside;
    const last = stretch.at(-1);
    if (last !== undefined && comparePaths(last.entry.path, wanted) > 0 && !isAtOrUnder(last.entry.path, wanted))
      return;
  }
}

interface SnapshotParcelsOptions {
  readonly signal?: AbortSignal | undefined;
  /** What cannot be read is passed over, as if the snapshot did not have it. Default: it is thrown of. */
  readonly readableOnly?: boolean;
}

/** A snapshot of which stretches are read, in order, and the rest is passed over. Each page is read once or twice. */
export class SnapshotParcels {
  readonly #pages: Pages;
  readonly #signal: AbortSignal | undefined;
  readonly #readableOnly: boolean;

  private constructor(pages: Pages, { signal, readableOnly = false }: SnapshotParcelsOptions) {
    this.#pages = pages;
    this.#signal = signal;
    this.#readableOnly = readableOnly;
  }

  static async open(
    reader: ObjectReader,
    snapshot: SnapshotId,
    options: SnapshotParcelsOptions = {},
  ): Promise<SnapshotParcels> {
    return new SnapshotParcels(new Pages(reader, await readSnapshot(reader, snapshot)), options);
  }

  /** Entries in path order from a parcel on which opens behind all entries of those before it. Of what is readable only: from the first. */
  async *stretchesFrom(ordinal: number): AsyncGenerator<readonly WalkedEntry[]> {
    assert(!this.#readableOnly || ordinal === 0, 'where pages are missing, nobody knows where a parcel stands');
    yield* inPathOrder(
      this.#readableOnly
        ? this.#readable()
        : recordsFrom(this.#pages, await this.#pages.positionOf(ordinal), this.#signal),
    );
  }

  /** A path near the middle one, by parcels; undefined when what tells it cannot be read. Reads a page and a record. */
  async middle(): Promise<Buffer | undefined> {
    const half = this.#pages.count / 2;
    const page = Math.floor(half);
    const refs = (await ifReadable(this.#pages.refs(page))) ?? [];
    const ref = refs[Math.floor((half - page) * refs.length)];
    return ref && (await ifReadable(this.#pages.read(ref)))?.[0]?.path;
  }

  async refs({ ordinal, count }: { readonly ordinal: number; readonly count: number }): Promise<readonly ParcelRef[]> {
    const { page, ref } = await this.#pages.positionOf(ordinal);
    const refs = (await this.#pages.refs(page)).slice(ref, ref + count);
    for (let next = page + 1; refs.length < count && next < this.#pages.count; next += 1)
      refs.push(...(await this.#pages.refs(next)).slice(0, count - refs.length));
    return refs;
  }

  /** The parcels for which `isWanted` (default: all), with their entries. */
  async *records(isWanted: (ordinal: number) => boolean = () => true): AsyncGenerator<WalkedParcel> {
    if (!this.#readableOnly) yield* recordsFrom(this.#pages, FIRST, this.#signal, (_, ordinal) => isWanted(ordinal));
    else for await (const parcel of this.#readable()) if (isWanted(parcel.ordinal)) yield parcel;
  }

  #readable(): AsyncGenerator<WalkedParcel> {
    return readableFrom(this.#pages, { start: FIRST, signal: this.#signal });
  }
}

/** Parcels in a row whose records cannot be read, or of which whole pages cannot: what they list is not known. */
export interface WalkGap {
  /** All of it stands after this path (undefined: it may be the first of all) … */
  readonly after: Buffer | undefined;
  /** … and before this one (undefined: it may be the last). */
  readonly before: Buffer | undefined;
  /** Those of a page that cannot be read are not counted. */
  readonly parcels: number;
  readonly bytes: number;
  readonly pages: number;
}

export type ReadableItem =
  | { readonly is: 'entry'; readonly entry: Entry; readonly parcel: ParcelId }
  /** A folder whose own entry is in a gap, before the first thing in it that is not. It has its owner; the rest is made up. */
  | { readonly is: 'stand-in'; readonly entry: Entry; readonly parcel: ParcelId }
  | { readonly is: 'gap'; readonly gap: WalkGap };

/**
 * `walkEntries` for a reader that has only some of the objects. It throws only when the snapshot itself is missing. A gap
 * is given as soon as its bounds are known, so some entries behind it may come before it.
 */
export async function* walkReadable(
  reader: ObjectReader,
  snapshot: SnapshotId,
  { under = NO_PATH, signal }: { readonly under?: Uint8Array; readonly signal?: AbortSignal } = {},
): AsyncGenerator<ReadableItem> {
  const pages = new Pages(reader, await readSnapshot(reader, snapshot));
  const start = under.length === 0 ? FIRST : ((await ifReadable(startFor(pages, under))) ?? FIRST);
  const gaps = new Gaps(under);
  const folders = new OpenFolders(under);
  walk: for await (const stretch of inPathOrder(readableFrom(pages, { start, gaps, signal }))) {
    for (const { entry, parcel } of stretch) {
      if (isAtOrUnder(entry.path, under)) {
        const missing = folders.missingAbove(entry.path);
        // Without a gap, a snapshot that does not list a folder is wrong, and its reader is to see that.
        if (gaps.any) for (const path of missing) yield { is: 'stand-in', entry: standInFor(path, entry), parcel };
        if (entry.kind === 'directory') folders.open(entry.path);
        yield { is: 'entry', entry, parcel };
      } else if (comparePaths(entry.path, under) > 0) break walk;
    }
    yield* gaps.take();
  }
  gaps.end();
  yield* gaps.take();
}

/** The entry at exactly this path; undefined when the snapshot has none. */
export async function findEntry(
  reader: ObjectReader,
  snapshot: SnapshotId,
  path: Uint8Array,
): Promise<WalkedEntry | undefined> {
  for await (const walked of walkEntries(reader, snapshot, { under: path })) {
    return comparePaths(walked.entry.path, path) === 0 ? walked : undefined;
  }
  return undefined;
}

export interface ChangedParcel {
  readonly ref: ParcelRef;
  readonly change: 'added' | 'removed';
}

/**
 * The parcels that one of the snapshots has and the other has not, removed ones first. Pages that both have are not read.
 * Holds the references of the other pages in memory: 200 bytes a parcel of what changed.
 */
export async function* changedParcels(
  reader: ObjectReader,
  before: SnapshotId | undefined,
  after: SnapshotId,
  { signal }: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<ChangedParcel> {
  const pagesBefore = before === undefined ? [] : (await readSnapshot(reader, before)).pages;
  const pagesAfter = (await readSnapshot(reader, after)).pages;
  const kept = new Set<ObjectId>(pagesAfter);
  const had = new Set<ObjectId>(pagesBefore);
  const added = new Map<ParcelId, ParcelRef>();
  const collect = async (pages: readonly ObjectId[], visit: (ref: ParcelRef) => void): Promise<void> => {
    for await (const refs of ahead(pages, page => readPage(reader, page))) {
      signal?.throwIfAborted();
      for (const ref of refs) visit(ref);
    }
  };
  await collect(
    pagesAfter.filter(page => !had.has(page)),
    ref => void added.set(ref.id, ref),
  );
  const removed: ParcelRef[] = [];
  await collect(
    pagesBefore.filter(page => !kept.has(page)),
    ref => {
      if (!added.delete(ref.id)) removed.push(ref);
    },
  );
  for (const ref of removed) yield { ref, change: 'removed' };
  for (const ref of added.values()) yield { ref, change: 'added' };
}

interface Position {
  readonly page: number;
  readonly ref: number;
  /** Counted from where the walk began, unless it began at 0. */
  readonly ordinal: number;
}

const FIRST: Position = { page: 0, ref: 0, ordinal: 0 };

/** A snapshot's pages, the last few kept decoded: a search comes back to the same ones. */
class Pages {
  readonly #reader: ObjectReader;
  readonly #ids: readonly ObjectId[];
  readonly #recent = new Map<number, Promise<readonly ParcelRef[]>>();
  /** Of the first parcel of each page: of those that were looked for so far, and one more. */
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

async function* recordsFrom(
  pages: Pages,
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

/** The parcels whose records can be read; the others go to `gaps`, if that is given. */
async function* readableFrom(
  pages: Pages,
  { start, gaps, signal }: { readonly start: Position; readonly gaps?: Gaps; readonly signal: AbortSignal | undefined },
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

/** `undefined` when an object is not here, or is not what referred to it says. */
export async function ifReadable<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof ObjectMissing || error instanceof MalformedObject) return undefined;
    throw error;
  }
}

/** Gaps in the making. A large file may stand inside a run that cannot be read, so only another run ends a gap. */
class Gaps {
  readonly #under: Uint8Array;
  #passed: Buffer | undefined;
  #open: { readonly after: Buffer | undefined; parcels: number; bytes: number; pages: number } | undefined;
  #closed: WalkGap[] = [];
  #any = false;

  /** Told are those that may hold something at or below `under`. */
  constructor(under: Uint8Array) {
    this.#under = under;
  }

  /** Something was missing so far, whether it is told or not. */
  get any(): boolean {
    return this.#any;
  }

  add(missing: ParcelRef | 'page'): void {
    this.#any = true;
    this.#open ??= { after: this.#passed, parcels: 0, bytes: 0, pages: 0 };
    if (missing === 'page') this.#open.pages += 1;
    else {
      this.#open.parcels += 1;
      this.#open.bytes += missing.bytes;
    }
  }

  pass(entries: readonly Entry[]): void {
    const [first] = entries;
    if (first === undefined) return;
    if (first.size < PARCEL_FILE_BYTES) this.#close(first.path);
    this.#passed = first.path;
  }

  end(): void {
    this.#close(undefined);
  }

  take(): ReadableItem[] {
    return this.#closed.splice(0).map(gap => ({ is: 'gap', gap }));
  }

  #close(before: Buffer | undefined): void {
    if (this.#open === undefined) return;
    const gap = { ...this.#open, before };
    this.#open = undefined;
    const { after } = gap;
    const endsBefore = before !== undefined && comparePaths(before, this.#under) <= 0;
    const beginsBehind =
      after !== undefined && comparePaths(after, this.#under) > 0 && !isAtOrUnder(after, this.#under);
    if (!endsBefore && !beginsBehind) this.#closed.push(gap);
  }
}

/** The folders around the entry that the walk is at: bounded by the depth of the tree. */
class OpenFolders {
  readonly #under: Buffer;
  /** Each lies in the one before it. */
  readonly #open: Buffer[] = [];

  constructor(under: Uint8Array) {
    this.#under = Buffer.from(under);
  }

  open(path: Buffer): void {
    this.#open.push(path);
  }

  /** Folders from `under` on that stand above `path` and have not come; they count as come now. */
  missingAbove(path: Buffer): Buffer[] {
    for (let top = this.#open.at(-1); top !== undefined && !isUnder(path, top); top = this.#open.at(-1))
      this.#open.pop();
    const missing: Buffer[] = [];
    if (this.#open.length === 0 && isUnder(path, this.#under)) missing.push(this.#under);
    const known = (this.#open.at(-1) ?? this.#under).length;
    for (let slash = path.indexOf(SLASH, known + 1); slash >= 0; slash = path.indexOf(SLASH, slash + 1))
      missing.push(path.subarray(0, slash));
    this.#open.push(...missing);
    return missing;
  }
}

const SLASH = 0x2f;
const NO_PATH = Buffer.alloc(0);

/** Closed to others, for nobody knows whom it was open to. */
const standInFor = (path: Buffer, { uid, gid, user, group, mtimeNs }: Entry): Entry => ({
  path,
  kind: 'directory',
  mode: 0o700,
  uid,
  gid,
  user,
  group,
  mtimeNs,
  size: 0,
  blob: undefined,
  target: undefined,
  link: undefined,
  device: 0n,
  xattrs: [],
  stale: false,
  mount: false,
});

/** Results in order, with up to READ_AHEAD in the making. */
async function* ahead<T, R>(items: Iterable<T> | AsyncIterable<T>, make: (item: T) => Promise<R>): AsyncGenerator<R> {
  const making: Promise<R>[] = [];
  for await (const item of items) {
    const made = make(item);
    // It is awaited in its turn, and its failure is thrown then; until then Node must not call it unhandled.
    made.catch(() => undefined);
    making.push(made);
    const first = making.length >= READ_AHEAD ? making.shift() : undefined;
    if (first !== undefined) yield await first;
  }
  for (const made of making) yield await made;
}

/** Gives the entries of enclosed parcels between those of the run around them. */
async function* inPathOrder(parcels: AsyncIterable<WalkedParcel>): AsyncGenerator<readonly WalkedEntry[]> {
  let run: { readonly parcel: WalkedParcel; at: number } | undefined;
  let last: Entry | undefined;
  const take = ({
    parcel,
    from,
    to,
  }: {
    readonly parcel: WalkedParcel;
    readonly from: number;
    readonly to: number;
  }): WalkedEntry[] => {
    const first = parcel.entries[from];
    if (last !== undefined && first !== undefined && from < to && comparePaths(last.path, first.path) >= 0) {
      throw new MalformedObject(`parcel ${parcel.ref.id}: its entries do not follow those of the parcels before it`);
    }
    last = to > from ? parcel.entries[to - 1] : last;
    return parcel.entries.slice(from, to).map(entry => ({ entry, parcel: parcel.ref.id, of: parcel }));
  };
  for await (const parcel of parcels) {
    const opening = parcel.entries[0]?.path ?? Buffer.alloc(0);
    if (run !== undefined) {
      const { entries } = run.parcel;
      let to = run.at;
      while (to < entries.length && comparePaths(entries[to]?.path ?? opening, opening) < 0) to += 1;
      if (to > run.at) yield take({ parcel: run.parcel, from: run.at, to });
      run = to < entries.length ? { parcel: run.parcel, at: to } : undefined;
    }
    if (run === undefined) run = { parcel, at: 0 };
    else yield take({ parcel, from: 0, to: parcel.entries.length });
  }
  if (run !== undefined) yield take({ parcel: run.parcel, from: run.at, to: run.parcel.entries.length });
}

/** A parcel from which on everything at or below `path` is met. */
async function startFor(pages: Pages, path: Uint8Array): Promise<Position> {
  const opensAfter = async (page: number, ref: number): Promise<boolean> => {
    const [first] = await pages.entries(page, ref);
    return first !== undefined && comparePaths(first.path, path) > 0;
  };
  // The last page, then the last parcel in it, that opens at or before the path.
  let page = (await firstIndex(pages.count, index => opensAfter(index, 0))) - 1;
  if (page < 0) return FIRST;
  const inPage = page;
  let ref = (await firstIndex((await pages.refs(page)).length, index => opensAfter(inPage, index))) - 1;
  // That one may be a large file in the middle of a run that opened earlier.
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
