/**
 * Bare store: a store's disk read by itself, with no service, no state folder, no key and no peer.
 *
 * What `restore --from-store` stands on. It reads and never writes, and believes nothing: objects are hashed as they are
 * read, and whoever reads a blob hashes it. There is no index, so a blob is here when its file is.
 */
import { readdir } from 'node:fs/promises';
import type { Logger } from 'pino';
import { ClusterError } from '../core/fault.js';
import type { BlobId, SourceId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import { readBlob, type StoredBlob } from './blob-reader.js';
import { type Marker, readMarker } from './marker.js';
import { ObjectFolderReader } from './object-folder.js';
import { openOwnFile, readOwnFile } from './own-folder.js';
import { headName, headsIn, resolveStorePath, SIGNED_BYTES_MAX, StoreFolder } from './store-folder.js';

export interface BareStore {
  readonly marker: Marker;
  readonly objects: ObjectReader;
  /** The sources whose heads are kept here. */
  heads(): Promise<SourceId[]>;
  head(source: SourceId): Promise<Buffer | undefined>;
  /** The configuration versions kept here, in order. */
  configVersions(): Promise<number[]>;
  config(version: number): Promise<Buffer | undefined>;
  /** Its bytes are what they are: the reader checks them against the id. */
  openBlob(blob: BlobId): Promise<StoredBlob | undefined>;
}

/** @throws ClusterError NOT_A_STORE */
export async function openBareStore(path: string, { log }: { readonly log: Logger }): Promise<BareStore> {
  const real = await resolveStorePath(path);
  const read = real === undefined ? undefined : await readMarker(real);
  if (real === undefined || read?.kind !== 'found') {
    const because =
      read?.kind === 'unreadable' ? `its marker cannot be read: ${read.because}` : 'no marker .scatterhoard there';
    throw new ClusterError('NOT_A_STORE', `${path} is not a store: ${because}`, { blame: 'operator' });
  }
  const folder = new StoreFolder(real);
  return {
    marker: read.marker,
    objects: new ObjectFolderReader(folder.objects, log),
    heads: () => headsIn(folder),
    head: source => readOwnFile(`${folder.heads}/${headName(source)}`, SIGNED_BYTES_MAX),
    configVersions: async () => {
      const names = await readdir(folder.config);
      return names
        .filter(name => /^[1-9]\d*$/.test(name))
        .map(Number)
        .sort((a, b) => a - b);
    },
    config: version => readOwnFile(`${folder.config}/${version}`, SIGNED_BYTES_MAX),
    openBlob: async blob => {
      const file = await openOwnFile(folder.blobs.pathOf(blob));
      if (file === undefined) return undefined;
      try {
        return readBlob(folder.blobs.pathOf(blob), blob, (await file.stat()).size);
      } finally {
        await file.close();
      }
    },
  };
}
