/**
 * Head objects: the snapshots and pages that a head lists. They are fetched from a peer that knows the head, searched
 * for everywhere when a held snapshot has lost one, and copied into another catalog.
 *
 * A reader checks an object against its hash; here a snapshot is checked against the keys of its origin.
 */
import type { Logger } from 'pino';
import { decodePage } from '../catalog/page.js';
import { readSnapshot } from '../catalog/read-object.js';
import { verifyWithOneOf } from '../catalog/sealed-object.js';
import { decodeSnapshot, verifySnapshot } from '../catalog/snapshot.js';
import { ClusterError } from '../core/fault.js';
import type { ObjectId, SourceId } from '../core/ids.js';
import type { ObjectReader, ObjectWriter } from '../core/objects.js';
import { withDeadline } from '../net/deadline.js';

/**
 * Pages asked of a peer at a time: it serves 8 such streams to one host, and records are asked for at the same time.
 */
const PAGES_AT_ONCE = 4;
/** How long the lost objects of one source are searched for, in ms: its newer heads wait for it. */
const SEEK_MS_MAX = 30_000;

/** Where to look for lost objects of held snapshots: at this peer, then everywhere. */
export interface Seek {
  readonly reader: ObjectReader | undefined;
  readonly signal: AbortSignal | undefined;
}

export interface HeadObjectsOptions {
  /** The catalog that they are fetched into. */
  readonly objects: ObjectWriter;
  /** Reads from any host that is up. */
  readonly find: (object: ObjectId, signal: AbortSignal) => Promise<Uint8Array | undefined>;
  readonly log: Logger;
  /** Ends every search. */
  readonly signal: AbortSignal;
}

export class HeadObjects {
  readonly #objects: ObjectWriter;
  readonly #find: HeadObjectsOptions['find'];
  readonly #log: Logger;
  readonly #signal: AbortSignal;

  constructor({ objects, find, log, signal }: HeadObjectsOptions) {
    this.#objects = objects;
    this.#find = find;
    this.#log = log;
    this.#signal = signal;
  }

  /**
   * Fetches those of these snapshots, and of their pages, that are not here; does nothing when there is no reader.
   * @throws ClusterError OBJECT_MISSING (passing), FOREIGN_SNAPSHOT (peer); BadSignature, MalformedObject
   */
  async fetch(
    snapshots: Iterable<ObjectId>,
    {
      source,
      reader,
      keys,
      signal,
    }: {
      readonly source: SourceId;
      readonly reader: ObjectReader | undefined;
      /** Of the origin, present and former. */
      readonly keys: readonly Uint8Array[];
      readonly signal: AbortSignal | undefined;
    },
  ): Promise<void> {
    if (reader === undefined) return;
    for (const id of snapshots) {
      signal?.throwIfAborted();
      const sealed = await this.#fetchObject(id, reader);
      const snapshot = verifyWithOneOf(keys, key => verifySnapshot(sealed, key));
      if (snapshot.source !== source) {
        throw new ClusterError('FOREIGN_SNAPSHOT', `the head of ${source} lists a snapshot of ${snapshot.source}`, {
          blame: 'peer',
        });
      }
      for (let at = 0; at < snapshot.pages.length; at += PAGES_AT_ONCE) {
        signal?.throwIfAborted();
        const pages = snapshot.pages.slice(at, at + PAGES_AT_ONCE);
        await Promise.all(pages.map(async page => decodePage(await this.#fetchObject(page, reader))));
      }
    }
  }

  /**
   * Looks for the lost objects of held snapshots.
   * @returns the snapshots that still lack something: a page, or all, as nobody knows which
   */
  async seek(held: readonly ObjectId[], seek: Seek | undefined): Promise<ReadonlyMap<ObjectId, 'page' | 'all'>> {
    const lacking = new Map<ObjectId, 'page' | 'all'>();
    const looked = new Map<ObjectId, boolean>();
    await withDeadline(SEEK_MS_MAX, [seek?.signal, this.#signal], async until => {
      const isHere = async (id: ObjectId): Promise<boolean> => {
        const is =
          looked.get(id) ?? ((await this.#objects.get(id)) !== undefined || (await this.#sought(id, seek, until)));
        looked.set(id, is);
        return is;
      };
      for (const id of held) {
        if (!(await isHere(id))) {
          lacking.set(id, 'all');
          continue;
        }
        for (const page of (await readSnapshot(this.#objects, id)).pages)
          if (!(await isHere(page))) lacking.set(id, 'page');
      }
    });
    await this.#objects.flush();
    return lacking;
  }

  /**
   * Copies snapshots with their pages into another catalog (a store's own), durably; a snapshot after its pages.
   * @param complete those that should be there with all their pages. The snapshots are read, and their pages are looked
   *   up by name, because a disk loses some
   * @throws ClusterError OBJECT_MISSING (passing)
   */
  async copy(
    snapshots: readonly ObjectId[],
    target: ObjectWriter,
    { keys, complete }: { readonly keys: () => readonly Uint8Array[]; readonly complete: ReadonlySet<ObjectId> },
  ): Promise<void> {
    const absent: ObjectId[] = [];
    const there = new Set<ObjectId>();
    for (const id of snapshots) if (!complete.has(id) || !(await isWhole(id, target, there))) absent.push(id);
    for (const id of absent) {
      const sealed = await this.#need(id);
      const { pages } = verifyWithOneOf(keys(), key => verifySnapshot(sealed, key));
      for (const page of pages) if (!(await target.has(page))) await target.put(await this.#need(page));
    }
    await target.flush();
    for (const id of absent) await target.put(await this.#need(id));
    await target.flush();
  }

  async #fetchObject(id: ObjectId, reader: ObjectReader): Promise<Uint8Array> {
    const here = await this.#objects.get(id);
    if (here !== undefined) return here;
    const bytes = await reader.get(id);
    if (bytes === undefined) {
      throw new ClusterError('OBJECT_MISSING', `the peer that sent a head lacks its object ${id}`, {
        blame: 'passing',
      });
    }
    await this.#objects.put(bytes);
    return bytes;
  }

  /** @returns whether it was found and is here now */
  async #sought(id: ObjectId, seek: Seek | undefined, until: AbortSignal): Promise<boolean> {
    if (seek === undefined) return false;
    const places = [() => seek.reader?.get(id), () => this.#find(id, until)];
    for (const place of places) {
      if (until.aborted) break;
      try {
        const bytes = await place();
        if (bytes === undefined) continue;
        await this.#objects.put(bytes);
        return true;
      } catch (error) {
        seek.signal?.throwIfAborted();
        // Another host may have it, and it is looked for again.
        this.#log.debug({ code: 'OBJECT_NOT_READ', object: id, err: error }, 'a lost object was not found');
      }
    }
    return false;
  }

  async #need(id: ObjectId): Promise<Uint8Array> {
    const bytes = await this.#objects.get(id);
    if (bytes === undefined) {
      throw new ClusterError('OBJECT_MISSING', `catalog object ${id} is missing here; it will be asked for again`, {
        blame: 'passing',
      });
    }
    return bytes;
  }
}

/** `there`: pages that were already looked for; snapshots share most of theirs. */
async function isWhole(id: ObjectId, objects: ObjectWriter, there: Set<ObjectId>): Promise<boolean> {
  const sealed = await objects.get(id);
  if (sealed === undefined) return false;
  for (const page of decodeSnapshot(sealed).pages) {
    if (there.has(page)) continue;
    if (!(await objects.has(page))) return false;
    there.add(page);
  }
  return true;
}
