/**
 * Path search: what several snapshots of one source have at some paths, and in which parcels.
 *
 * Snapshots share most of their pages and parcels. What a snapshot has at a path is in one of its parcels, and a parcel
 * never changes: so a page that was in a snapshot looked at before has nothing new, nor has a record that was read
 * before. Of each further snapshot only what changed is read.
 *
 * A few paths are searched for one by one, which reads a number of records that grows with the logarithm of what is
 * searched. Where that would cost more, all records are read once.
 */
import { setImmediate as breathe } from 'node:timers/promises';
import type { ObjectId, ParcelId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { ParcelRef } from '../core/parcel.js';
import { inPathOrder } from './entries-in-order.js';
import type { Entry } from './entry.js';
import { comparePaths, pathKey } from './path-order.js';
import { readPage, readRecord, readSnapshot } from './read-object.js';
import type { SnapshotId } from './snapshot.js';
import { ahead, type ParcelPages, recordsFrom, startFor } from './snapshot-pages.js';

/** About as many records are read to find one path among a thousand pages. */
const READS_A_PATH = 16;
/** The references of so many pages are in memory at a time: some 13 MB. */
const PAGES_AT_ONCE = 1_024;
/** Decoded in one turn of the event loop, in records or pages: some 10 ms. */
const READS_A_TURN = 16;

export interface FoundEntry {
  readonly entry: Entry;
  readonly parcel: ParcelId;
}

export class PathSearch {
  readonly #reader: ObjectReader;
  readonly #signal: AbortSignal | undefined;
  /** What is looked for. */
  readonly #paths: Map<string, Buffer>;
  readonly #pagesKnown = new Set<ObjectId>();
  readonly #recordsKnown = new Set<ParcelId>();
  #reads = 0;

  constructor(reader: ObjectReader, paths: Iterable<Buffer>, { signal }: { readonly signal?: AbortSignal } = {}) {
    this.#reader = reader;
    this.#signal = signal;
    this.#paths = new Map([...paths].map(path => [pathKey(path), path]));
  }

  /** No longer looked for. */
  leave(path: Buffer): void {
    this.#paths.delete(pathKey(path));
  }

  /**
   * What the snapshot has at the paths, but for what a snapshot has that was looked at before.
   * @throws ObjectMissing, MalformedObject; then some may have been found that is not told, now or later
   * @throws the signal's reason
   */
  async look(snapshot: SnapshotId): Promise<readonly FoundEntry[]> {
    const { pages } = await readSnapshot(this.#reader, snapshot);
    const found: FoundEntry[] = [];
    const unknown = pages.filter(page => !this.#pagesKnown.has(page));
    for (let at = 0; at < unknown.length && this.#paths.size > 0; at += PAGES_AT_ONCE)
      await this.#lookInPages(unknown.slice(at, at + PAGES_AT_ONCE), found);
    for (const page of unknown) this.#pagesKnown.add(page);
    return found;
  }

  async #lookInPages(pages: readonly ObjectId[], found: FoundEntry[]): Promise<void> {
    const refs: ParcelRef[] = [];
    for await (const page of ahead(pages, id => readPage(this.#reader, id))) {
      await this.#turn();
      for (const ref of page) if (!this.#recordsKnown.has(ref.id)) refs.push(ref);
    }
    const read = async (ref: ParcelRef): Promise<readonly Entry[]> => {
      await this.#turn();
      const entries = await readRecord(this.#reader, ref);
      if (!this.#recordsKnown.has(ref.id)) found.push(...this.#wantedOf(entries, ref.id));
      this.#recordsKnown.add(ref.id);
      return entries;
    };
    const isFew = this.#paths.size * READS_A_PATH < refs.length;
    if (isFew && (await this.#search(refs, read))) return;
    const unread = refs.filter(({ id }) => !this.#recordsKnown.has(id));
    // What is read is looked at, and nothing else is to be done with it.
    for await (const _ of ahead(unread, read));
  }

  #wantedOf(entries: readonly Entry[], parcel: ParcelId): FoundEntry[] {
    return entries.filter(({ path }) => this.#paths.has(pathKey(path))).map(entry => ({ entry, parcel }));
  }

  /**
   * Reads until it is past each path, one after the other.
   * @returns false when that has cost more than to read all: in a row of large files a path is found by some 500 reads
   */
  async #search(refs: readonly ParcelRef[], read: (ref: ParcelRef) => Promise<readonly Entry[]>): Promise<boolean> {
    let reads = 0;
    const pages = oneOf(refs, ref => {
      reads += 1;
      return read(ref);
    });
    for (const path of this.#paths.values()) {
      if (reads > refs.length) return false;
      for await (const stretch of inPathOrder(recordsFrom(pages, await startFor(pages, path), this.#signal))) {
        const last = stretch.at(-1);
        if (last !== undefined && comparePaths(last.entry.path, path) >= 0) break;
      }
    }
    return true;
  }

  /** While it reads much, everybody else gets a turn again and again. */
  async #turn(): Promise<void> {
    this.#signal?.throwIfAborted();
    this.#reads += 1;
    if (this.#reads % READS_A_TURN === 0) await breathe();
  }
}

/** References as if they were a snapshot's only page. */
function oneOf(refs: readonly ParcelRef[], read: (ref: ParcelRef) => Promise<readonly Entry[]>): ParcelPages {
  return {
    count: 1,
    refs: async () => refs,
    entries: async (_, at) => {
      const ref = refs[at];
      return ref === undefined ? [] : read(ref);
    },
    read,
  };
}
