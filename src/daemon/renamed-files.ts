/**
 * Renamed files: content of older snapshots that nobody has a copy of yet, and that the newest snapshot has under
 * another name. It is given from there, so that the file stays in the restore points from before the rename.
 *
 * That a file has another name is known once a snapshot was taken since. Until then nobody knows it from one that was
 * removed, of which there are many more: so it is cut out of its snapshot if it is asked for before that.
 *
 * Kept in memory: after a restart a file is asked for in vain once, and found again. Driven by torn-files.ts.
 */
import type { Entry } from '../catalog/entry.js';
import { PathSearch } from '../catalog/path-search.js';
import { ifReadable } from '../catalog/read-object.js';
import type { ScanCache } from '../catalog/scan-cache.js';
import { readSourceFile } from '../catalog/source-file.js';
import { walkStretches } from '../catalog/walk.js';
import type { BlobId, ObjectId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { OwnSource } from './live-parcels.js';

/** At most so many contents are remembered as found, and as many as not found: some 10 MB. */
const REMEMBERED_MAX = 20_000;

export interface RenamedFilesOptions {
  readonly objects: ObjectReader;
  readonly cache: ScanCache;
  readonly signal: AbortSignal;
}

/** Those of one source. */
export class RenamedFiles {
  readonly #options: RenamedFilesOptions;
  readonly #found = new Map<BlobId, Entry>();
  /** What was looked for in this snapshot, in vain: a file that has no copy is asked for over and over. */
  #inVain: { readonly snapshot: ObjectId; readonly blobs: Set<BlobId> } | undefined;

  constructor(options: RenamedFilesOptions) {
    this.#options = options;
  }

  /** Where the content was last found under another name. The file may have changed since. */
  at(blob: BlobId): Entry | undefined {
    return this.#found.get(blob);
  }

  /**
   * Looks for files that cannot be read any longer. Reads all of the snapshot, unless they are in it under the names
   * that they had, so that it is from before they went.
   * @returns the contents that can be given from elsewhere
   * @throws ClusterError SOURCE_MISSING; the signal's reason
   */
  async find(own: OwnSource, newest: ObjectId, gone: readonly Entry[]): Promise<ReadonlySet<BlobId>> {
    const { objects, cache, signal } = this.#options;
    const readable = new Set<BlobId>();
    const sought = await this.#notInPlace(newest, gone);
    if (sought.size === 0) return readable;
    const look = async (): Promise<void> => {
      for await (const stretch of walkStretches(objects, newest, { signal }))
        for (const { entry } of stretch) {
          const { blob } = entry;
          if (blob === undefined || !sought.has(blob)) continue;
          const order = { root: own.path, source: own.source, entry, cache, doubted: true, signal };
          if ((await readSourceFile(order)) === 'gone') continue;
          sought.delete(blob);
          readable.add(blob);
          this.#remember(blob, entry);
        }
    };
    await ifReadable(look());
    this.#notFound(newest, sought);
    return readable;
  }

  /** The contents of files that the snapshot does not have under the names that they had. */
  async #notInPlace(snapshot: ObjectId, gone: readonly Entry[]): Promise<Set<BlobId>> {
    const { objects, signal } = this.#options;
    const inVain = this.#inVain?.snapshot === snapshot ? this.#inVain.blobs : new Set<BlobId>();
    const files = gone.flatMap(({ path, blob }) => (blob === undefined || inVain.has(blob) ? [] : [{ path, blob }]));
    if (files.length === 0) return new Set();
    const paths = files.map(({ path }) => path);
    const found = await ifReadable(new PathSearch(objects, paths, { signal }).look(snapshot));
    const inPlace = new Set(found?.map(({ entry }) => entry.blob));
    return new Set(files.map(({ blob }) => blob).filter(blob => found !== undefined && !inPlace.has(blob)));
  }

  #remember(blob: BlobId, entry: Entry): void {
    this.#found.delete(blob);
    const [oldest] = this.#found.keys();
    if (oldest !== undefined && this.#found.size >= REMEMBERED_MAX) this.#found.delete(oldest);
    this.#found.set(blob, entry);
  }

  #notFound(snapshot: ObjectId, blobs: ReadonlySet<BlobId>): void {
    if (this.#inVain?.snapshot !== snapshot || this.#inVain.blobs.size >= REMEMBERED_MAX)
      this.#inVain = { snapshot, blobs: new Set() };
    for (const blob of blobs) this.#inVain.blobs.add(blob);
  }
}
