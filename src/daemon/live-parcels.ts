/**
 * Live parcels: blobs of parcels of this host's own sources, read from the live files, because the origin keeps no
 * second copy.
 *
 * `onTorn` hears of a blob that no file has any longer, after it was looked for in a file that should have it, and in one
 * that was found to have it under another name (renamed-files.ts).
 */
import type { Entry } from '../catalog/entry.js';
import type { RecipeFile } from '../catalog/recipe-maker.js';
import { decodeRecord, recordBlobs } from '../catalog/record.js';
import type { ScanCache } from '../catalog/scan-cache.js';
import { readSmallSourceFiles, readSourceFile, SourceGone } from '../catalog/source-file.js';
import type { ByteRange } from '../core/byte-range.js';
import { createHasher } from '../core/hash.js';
import {
  type BlobId,
  type HostId,
  hexOf,
  type Nonce,
  type ParcelId,
  type Possession,
  type SourceId,
} from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import { possessionHasher } from '../core/possession.js';
import type { Urgency } from '../platform/urgent-first.js';

export interface OwnSource {
  readonly source: SourceId;
  /** The source's folder. */
  readonly path: string;
}

export type TornListener = (torn: {
  readonly source: SourceId;
  readonly parcel: ParcelId;
  readonly path: Buffer;
}) => void;

export interface LiveBlob {
  readonly bytes: number;
  /** @throws SourceGone when the file changes meanwhile: then what came of it does not count */
  readonly content: AsyncIterable<Uint8Array>;
  /** What the recipe is made from; undefined for a small file. */
  readonly file: RecipeFile | undefined;
}

export interface LiveParcel {
  readonly own: OwnSource;
  readonly parcel: ParcelId;
  readonly record: Uint8Array;
  /** For each blob, the files that have it. */
  readonly files: ReadonlyMap<BlobId, readonly Entry[]>;
}

export class LiveParcels {
  readonly #catalog: ObjectReader;
  readonly #cache: ScanCache;
  readonly #ownSource: (source: SourceId) => OwnSource | undefined;
  readonly #renamed: (source: SourceId, blob: BlobId) => Entry | undefined;
  readonly #onTorn: TornListener;

  constructor({
    catalog,
    cache,
    ownSource,
    renamed,
    onTorn,
  }: {
    /** This host's own catalog: the records of its own sources. */
    readonly catalog: ObjectReader;
    readonly cache: ScanCache;
    readonly ownSource: (source: SourceId) => OwnSource | undefined;
    /** A file that may have the content under a name which the parcel does not list. */
    readonly renamed: (source: SourceId, blob: BlobId) => Entry | undefined;
    readonly onTorn: TornListener;
  }) {
    this.#catalog = catalog;
    this.#cache = cache;
    this.#ownSource = ownSource;
    this.#renamed = renamed;
    this.#onTorn = onTorn;
  }

  /** Undefined when the parcel belongs to none of this host's sources. */
  async find(parcel: ParcelId): Promise<LiveParcel | undefined> {
    const record = await this.#catalog.get(parcel);
    if (record === undefined) return undefined;
    const { source, entries } = decodeRecord(record);
    const own = this.#ownSource(source);
    if (own === undefined) return undefined;
    const files = new Map<BlobId, Entry[]>();
    for (const entry of entries) {
      if (entry.kind !== 'file' || entry.blob === undefined) continue;
      const same = files.get(entry.blob);
      if (same === undefined) files.set(entry.blob, [entry]);
      else same.push(entry);
    }
    return { own, parcel, record, files };
  }

  /** Reads small blobs, all at once; undefined for each blob that `open` has to look at more closely. */
  async readSmall(
    { own, files }: LiveParcel,
    blobs: readonly BlobId[],
    urgency: Urgency = {},
  ): Promise<readonly (Uint8Array | undefined)[]> {
    const entries = blobs.flatMap(blob => files.get(blob)?.slice(0, 1) ?? []);
    const from = { root: own.path, source: own.source, cache: this.#cache };
    const contents = await readSmallSourceFiles({ ...from, entries, ...urgency });
    const byBlob = new Map(entries.map(({ blob }, n) => [blob, contents[n]]));
    return blobs.map(blob => byBlob.get(blob));
  }

  /**
   * The first of the parcel's files with this content that can still be read as it was. `ranges`: default the whole
   * file; `doubted`: default false, and the scan cache is trusted.
   */
  async open(
    { own, parcel, files }: LiveParcel,
    blob: BlobId,
    signal: AbortSignal,
    {
      ranges,
      doubted,
      isUrgent = false,
    }: { readonly ranges?: readonly ByteRange[] | undefined; readonly doubted?: boolean } & Urgency = {},
  ): Promise<LiveBlob | undefined> {
    const named = files.get(blob) ?? [];
    const renamed = this.#renamed(own.source, blob);
    for (const entry of renamed === undefined ? named : [...named, renamed]) {
      const order = { root: own.path, source: own.source, entry, cache: this.#cache, signal, isUrgent };
      const opened = await readSourceFile({ ...order, ...(doubted && { doubted }) });
      if (opened !== 'gone') {
        return {
          bytes: opened.bytes,
          file: opened.file,
          content: this.#watched(opened.read(signal, ranges), { source: own.source, parcel, path: entry.path }),
        };
      }
    }
    for (const { path } of named) this.#onTorn({ source: own.source, parcel, path });
    return undefined;
  }

  async *#watched(
    content: AsyncIterable<Uint8Array>,
    torn: { readonly source: SourceId; readonly parcel: ParcelId; readonly path: Buffer },
  ): AsyncGenerator<Uint8Array> {
    try {
      yield* content;
    } catch (error) {
      if (error instanceof SourceGone) this.#onTorn(torn);
      throw error;
    }
  }

  /**
   * What a holder of the parcel must answer to the nonce, according to the live files. Undefined when one of them has
   * changed: then nothing is known about the holder's copy.
   */
  async possession(
    { parcel, nonce, holder }: { readonly parcel: ParcelId; readonly nonce: Nonce; readonly holder: HostId },
    signal: AbortSignal,
  ): Promise<Possession | undefined> {
    const live = await this.find(parcel);
    if (live === undefined) return undefined;
    const hasher = possessionHasher(nonce, holder);
    let whole = false;
    try {
      for (const { blob, bytes } of recordBlobs(live.record)) {
        const opened = await this.open(live, blob as BlobId, signal);
        if (opened === undefined) return undefined;
        hasher.blob(bytes);
        if ((await hashThrough(opened.content, chunk => hasher.update(chunk))) !== blob) return undefined;
      }
      whole = true;
      return hasher.digest();
    } catch (error) {
      if (error instanceof SourceGone) return undefined;
      throw error;
    } finally {
      if (!whole) hasher.dispose();
    }
  }
}

async function hashThrough(content: AsyncIterable<Uint8Array>, onChunk: (chunk: Uint8Array) => void): Promise<string> {
  const hasher = createHasher();
  let whole = false;
  try {
    for await (const chunk of content) {
      hasher.update(chunk);
      onChunk(chunk);
    }
    whole = true;
    return hexOf(hasher.digest());
  } finally {
    if (!whole) hasher.dispose();
  }
}
