/**
 * Snapshot parcels: reads the last snapshot for the comparison with the next one, stretch by stretch, passing over the
 * rest.
 *
 * Driven by merge-scan.ts and parcel-builder.ts.
 */
import { assert } from '../core/fault.js';
import type { ObjectReader } from '../core/objects.js';
import type { ParcelRef } from '../core/parcel.js';
import { inPathOrder, type WalkedEntry } from './entries-in-order.js';
import { ifReadable, readSnapshot } from './read-object.js';
import type { SnapshotId } from './snapshot.js';
import { FIRST, Pages, readableFrom, recordsFrom, type WalkedParcel } from './snapshot-pages.js';

interface SnapshotParcelsOptions {
  readonly signal?: AbortSignal | undefined;
  /** Whatever cannot be read is passed over, as if the snapshot did not have it. Default: an error is thrown. */
  readonly readableOnly?: boolean;
}

/** A snapshot of which stretches are read, in order, and the rest passed over. Each page is read once or twice. */
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

  /**
   * Entries in path order, starting with a parcel that opens after all entries of those before it. With `readableOnly`:
   * only from the first parcel.
   */
  async *stretchesFrom(ordinal: number): AsyncGenerator<readonly WalkedEntry[]> {
    assert(!this.#readableOnly || ordinal === 0, 'where pages are missing, nobody knows where a parcel stands');
    yield* inPathOrder(
      this.#readableOnly
        ? this.#readable()
        : recordsFrom(this.#pages, await this.#pages.positionOf(ordinal), this.#signal),
    );
  }

  /** A path near the middle, counted in parcels; undefined when it cannot be read. Reads a page and a record. */
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
