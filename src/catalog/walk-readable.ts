/**
 * Walk readable: a snapshot's entries where only some of its objects exist: on a surviving disk, say.
 *
 * It continues past what is missing, and reports what that was.
 */
import type { ParcelId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { ParcelRef } from '../core/parcel.js';
import { SLASH } from '../platform/slash.js';
import { PARCEL_FILE_BYTES } from './cut.js';
import { inPathOrder } from './entries-in-order.js';
import type { Entry } from './entry.js';
import { comparePaths, isAtOrUnder, isUnder } from './path-order.js';
import { ifReadable, readSnapshot } from './read-object.js';
import type { SnapshotId } from './snapshot.js';
import { FIRST, type GapListener, Pages, readableFrom, startFor } from './snapshot-pages.js';

/** Consecutive parcels whose records, or even pages, cannot be read: what they list is not known. */
export interface WalkGap {
  /** All of it stands after this path (undefined: it may be the first of all) … */
  readonly after: Buffer | undefined;
  /** … and before this one (undefined: it may be the last). */
  readonly before: Buffer | undefined;
  /** Parcels of a page that cannot be read are not counted. */
  readonly parcels: number;
  readonly bytes: number;
  readonly pages: number;
}

export type ReadableItem =
  | { readonly is: 'entry'; readonly entry: Entry; readonly parcel: ParcelId }
  /**
   * A folder whose own entry is in a gap, given before the first readable entry in it. It has that entry's owner; the
   * rest is made up.
   */
  | { readonly is: 'stand-in'; readonly entry: Entry; readonly parcel: ParcelId }
  | { readonly is: 'gap'; readonly gap: WalkGap };

/**
 * `walkEntries` for a reader that has only some of the objects. It throws only when the snapshot itself is missing. A
 * gap is given once its bounds are known, so some entries after it may come before it.
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
        // Without a gap, a snapshot that does not list a folder is wrong, and the reader should notice that.
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

/** Gaps under construction. A large file may stand inside a run that cannot be read, so only another run ends a gap. */
class Gaps implements GapListener {
  readonly #under: Uint8Array;
  #passed: Buffer | undefined;
  #open: { readonly after: Buffer | undefined; parcels: number; bytes: number; pages: number } | undefined;
  #closed: WalkGap[] = [];
  #any = false;

  /** Only gaps are reported that may hold something at or below `under`. */
  constructor(under: Uint8Array) {
    this.#under = under;
  }

  /** Whether anything has been missing so far, reported or not. */
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

  /** Folders from `under` on that are above `path` and have not come. From now on they count as having come. */
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

const NO_PATH = Buffer.alloc(0);

/** Closed to others, since nobody knows to whom it was open. */
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
