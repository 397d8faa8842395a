/**
 * Shortfall: what is missing of a snapshot on disks that hold only some of it.
 *
 * A blob counts as there when a file of its name and size is: its reader will hash it, and reading everything twice
 * would double the wait in a bad hour.
 *
 * Driven by a restore from bare stores (cli/restore-from-store.ts).
 */
import { type BlobId, type ObjectId, parseBlobId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import { ifReadable, readPage, readRecord, readSnapshot } from './read-object.js';
import { blobsOf } from './record.js';
import type { SnapshotId } from './snapshot.js';
import { walkReadable } from './walk-readable.js';

export interface Disks {
  readonly objects: ObjectReader;
  has(blob: BlobId, bytes: number): boolean;
}

export interface Shortfall {
  /** Regular files whose names can be read, and their sizes. */
  readonly files: number;
  readonly bytes: number;
  /** Files of these whose content is missing. */
  readonly missingFiles: number;
  readonly missingBytes: number;
  /** Parcels of which not even the names can be read, and their content; pages of which not even that much is known. */
  readonly unreadParcels: number;
  readonly unreadBytes: number;
  readonly unreadPages: number;
}

export const isNothing = ({ missingFiles, unreadParcels, unreadPages }: Shortfall): boolean =>
  missingFiles + unreadParcels + unreadPages === 0;

export interface ShortfallRequest {
  readonly under: Buffer;
  readonly signal: AbortSignal;
  readonly onMissing?: (path: Buffer) => void;
}

/** @throws ObjectMissing, MalformedObject when the snapshot itself cannot be read */
export async function shortfallOf(
  disks: Disks,
  snapshot: SnapshotId,
  { under, signal, onMissing }: ShortfallRequest,
): Promise<Shortfall> {
  const sum = {
    files: 0,
    bytes: 0,
    missingFiles: 0,
    missingBytes: 0,
    unreadParcels: 0,
    unreadBytes: 0,
    unreadPages: 0,
  };
  for await (const item of walkReadable(disks.objects, snapshot, { under, signal })) {
    if (item.is === 'gap') {
      sum.unreadParcels += item.gap.parcels;
      sum.unreadBytes += item.gap.bytes;
      sum.unreadPages += item.gap.pages;
    } else if (item.entry.kind === 'file') {
      const { size, blob, path } = item.entry;
      sum.files += 1;
      sum.bytes += size;
      if (size === 0 || (blob !== undefined && disks.has(blob, size))) continue;
      sum.missingFiles += 1;
      sum.missingBytes += size;
      onMissing?.(path);
    }
  }
  return sum;
}

/** Finds out which snapshots are whole. They share most of their pages, and each page is checked once. */
export class WholeSnapshots {
  readonly #disks: Disks;
  readonly #pages = new Map<ObjectId, boolean>();

  constructor(disks: Disks) {
    this.#disks = disks;
  }

  async isWhole(snapshot: SnapshotId, signal: AbortSignal): Promise<boolean> {
    const read = await ifReadable(readSnapshot(this.#disks.objects, snapshot));
    if (read === undefined) return false;
    for (const page of read.pages) {
      signal.throwIfAborted();
      const isWhole = this.#pages.get(page) ?? (await this.#isPageWhole(page));
      this.#pages.set(page, isWhole);
      if (!isWhole) return false;
    }
    return true;
  }

  async #isPageWhole(page: ObjectId): Promise<boolean> {
    const { objects } = this.#disks;
    const refs = await ifReadable(readPage(objects, page));
    for (const ref of refs ?? []) {
      const entries = await ifReadable(readRecord(objects, ref));
      if (
        entries === undefined ||
        !blobsOf(entries).every(({ blob, bytes }) => this.#disks.has(parseBlobId(blob), bytes))
      )
        return false;
    }
    return refs !== undefined;
  }
}
