/**
 * Protection: is a snapshot safe, and can it be restored now? The machine is asked both, parcel by parcel, from the
 * snapshot's pages; nothing is kept that grows with the snapshot.
 *
 * *Protected*: every parcel has its N copies, and the records beside them, on hosts that durably hold a head that
 * lists the snapshot (so that none of them could think the parcel unwanted). *Partial* is a separate matter: a file
 * that could not be read does not make the rest less safe. A snapshot with a page that nobody can give now is not
 * protected, because what it lists is not known.
 */
import type { ListedSnapshot } from '../catalog/head.js';
import { ObjectMissing, readPage, readSnapshot } from '../catalog/read-object.js';
import { walkParcels } from '../catalog/walk.js';
import type { HostId, ObjectId, ParcelId, SourceId } from '../core/ids.js';
import type { Known } from '../core/known.js';
import type { ObjectReader } from '../core/objects.js';

export interface Protection {
  readonly copiesWanted: number;
  readonly parcels: number;
  readonly under: number;
  readonly haveMin: number;
  /** Those of `under` that need more copies; the holders of the others have yet to hear of the head. */
  readonly toCopy: number;
  /** Bytes that the missing copies will take. */
  readonly missingBytes: number;
}

/** With no copies wanted nothing is protected: the source is not configured, or not yet. */
export const isProtected = ({ under, copiesWanted }: Protection): boolean => under === 0 && copiesWanted > 0;

export interface Reach {
  /** Parcels that no reachable host holds, and their bytes. */
  readonly parcels: number;
  readonly bytes: number;
  /** Hosts that hold some of them but are away. */
  readonly hosts: ReadonlySet<HostId>;
}

export class Protections {
  readonly #known: Pick<Known, 'copies' | 'copiesWanted' | 'holders'>;
  readonly #reader: ObjectReader;
  readonly #isReachable: (host: HostId) => boolean;

  constructor({
    known,
    reader,
    isReachable,
  }: {
    readonly known: Pick<Known, 'copies' | 'copiesWanted' | 'holders'>;
    readonly reader: ObjectReader;
    /** True for this host itself and for connected hosts. */
    readonly isReachable: (host: HostId) => boolean;
  }) {
    this.#known = known;
    this.#reader = reader;
    this.#isReachable = isReachable;
  }

  async of(source: SourceId, { id, firstSeq }: ListedSnapshot, signal?: AbortSignal): Promise<Protection> {
    const copiesWanted = this.#known.copiesWanted(source) ?? 0;
    const protection = { copiesWanted, parcels: 0, under: 0, haveMin: copiesWanted, toCopy: 0, missingBytes: 0 };
    try {
      for await (const { id: parcel, bytes } of walkParcels(this.#reader, id, signal === undefined ? {} : { signal })) {
        const copies = this.#known.copies(parcel, firstSeq);
        protection.parcels += 1;
        protection.haveMin = Math.min(protection.haveMin, copies);
        if (copies >= copiesWanted) continue;
        protection.under += 1;
        const missing = copiesWanted - this.#known.copies(parcel);
        if (missing <= 0) continue;
        protection.toCopy += 1;
        protection.missingBytes += missing * bytes;
      }
      return protection;
    } catch (error) {
      if (!(error instanceof ObjectMissing)) throw error;
      // At least one parcel is behind the missing page.
      return { ...protection, parcels: protection.parcels + 1, under: protection.under + 1, haveMin: 0 };
    }
  }

  /**
   * Those of these snapshots for which `isProtected(of(…))` holds. They share most of their pages, and each safe page
   * is looked at once, latest snapshot first: a store that durably has a later one's head counts for an earlier one,
   * too.
   */
  async protectedOf(
    source: SourceId,
    snapshots: readonly ListedSnapshot[],
    signal: AbortSignal,
  ): Promise<Set<ObjectId>> {
    const copiesWanted = this.#known.copiesWanted(source) ?? 0;
    const found = new Set<ObjectId>();
    if (copiesWanted === 0) return found;
    const safePages = new Set<ObjectId>();
    const isSafePage = async (page: ObjectId, firstSeq: number): Promise<boolean> => {
      if (safePages.has(page)) return true;
      signal.throwIfAborted();
      const refs = await readPage(this.#reader, page);
      if (refs.some(({ id }) => this.#known.copies(id, firstSeq) < copiesWanted)) return false;
      safePages.add(page);
      return true;
    };
    const isSafe = async ({ id, firstSeq }: ListedSnapshot): Promise<boolean> => {
      try {
        for (const page of (await readSnapshot(this.#reader, id)).pages)
          if (!(await isSafePage(page, firstSeq))) return false;
        return true;
      } catch (error) {
        if (error instanceof ObjectMissing) return false;
        throw error;
      }
    };
    for (const listed of [...snapshots].sort((a, b) => b.firstSeq - a.firstSeq))
      if (await isSafe(listed)) found.add(listed.id);
    return found;
  }

  /** The newest protected one of these snapshots, which are of one source, oldest first. */
  async newestProtected(
    source: SourceId,
    snapshots: readonly ListedSnapshot[],
    signal: AbortSignal,
  ): Promise<ObjectId | undefined> {
    for (const listed of [...snapshots].reverse())
      if (isProtected(await this.of(source, listed, signal))) return listed.id;
    return undefined;
  }

  /** Parcels of a snapshot that no host that is up holds in a store. Those behind an unavailable page count as one. */
  async reach({ id }: Pick<ListedSnapshot, 'id'>, signal?: AbortSignal): Promise<Reach> {
    let parcels = 0;
    let bytes = 0;
    const hosts = new Set<HostId>();
    try {
      for await (const ref of walkParcels(this.#reader, id, signal === undefined ? {} : { signal })) {
        if (ref.bytes === 0) continue;
        const away = this.away(ref.id);
        if (away === undefined) continue;
        parcels += 1;
        bytes += ref.bytes;
        for (const host of away) hosts.add(host);
      }
    } catch (error) {
      if (!(error instanceof ObjectMissing)) throw error;
      parcels += 1;
    }
    return { parcels, bytes, hosts };
  }

  /**
   * The hosts that have a parcel which no host that is up holds in a store; `undefined` when some host that is up holds
   * it.
   */
  away(parcel: ParcelId): readonly HostId[] | undefined {
    const hosts = this.#known.holders(parcel).map(({ host }) => host);
    return hosts.some(host => this.#isReachable(host)) ? undefined : hosts;
  }
}
