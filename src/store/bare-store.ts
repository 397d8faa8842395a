/**
 * Bare store: a store's disk read by itself, with no service, no state folder, no key and no peer.
 *
 * What `restore --from-store` stands on. It reads and never writes, and believes nothing: objects are hashed as they are
 * read, and whoever reads a blob hashes it. There is no index, so a blob is here when its file is.
 */
import { lstatSync } from 'node:fs';
import { ClusterError } from '../core/fault.js';
import type { BlobId, SourceId } from '../core/ids.js';
import { readdir } from '../platform/disk-calls.js';
import { readBlob, type StoredBlob } from './blob-reader.js';
import { type Marker, readMarker } from './marker.js';
import { type DamagedObject, ObjectFolderReader } from './object-folder.js';
import { readOwnFile, systemCode, tampered } from './own-folder.js';
import { headName, headsIn, resolveStorePath, SIGNED_BYTES_MAX, StoreFolder } from './store-folder.js';

export interface BareStore {
  readonly marker: Marker;
  /** Absolute, with no symlink in it. */
  readonly folder: string;
  readonly objects: ObjectFolderReader;
  /** The sources whose heads are kept here. */
  heads(): Promise<SourceId[]>;
  head(source: SourceId): Promise<Buffer | undefined>;
  /** The configuration versions kept here, in order. */
  configVersions(): Promise<number[]>;
  config(version: number): Promise<Buffer | undefined>;
  /**
   * How long the blob's file is; undefined when there is none. Synchronous: every file of a snapshot is asked for, in a
   * process that has nothing else to do, and so it costs 5 µs instead of 40.
   */
  blobBytes(blob: BlobId): number | undefined;
  /** Its bytes are what they are: the reader checks them against the id. */
  openBlob(blob: BlobId): Promise<StoredBlob | undefined>;
}

/** @throws ClusterError NOT_A_STORE, STORE_UNREADABLE */
export async function openBareStore(
  path: string,
  { onDamaged }: { readonly onDamaged: DamagedObject },
): Promise<BareStore> {
  const { real, marker } = await findStore(path);
  const folder = new StoreFolder(real);
  const blobBytes = (blob: BlobId): number | undefined => {
    const place = folder.blobs.pathOf(blob);
    const found = lstatSync(place, { throwIfNoEntry: false });
    if (found !== undefined && !found.isFile()) throw tampered(place, 'is not a plain file');
    return found?.size;
  };
  return {
    marker,
    folder: real,
    objects: new ObjectFolderReader(folder.objects, onDamaged),
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
    blobBytes,
    openBlob: async blob => {
      const bytes = blobBytes(blob);
      return bytes === undefined ? undefined : readBlob(folder.blobs.pathOf(blob), blob, bytes);
    },
  };
}

async function findStore(path: string): Promise<{ readonly real: string; readonly marker: Marker }> {
  try {
    const real = await resolveStorePath(path);
    const read = real === undefined ? undefined : await readMarker(real);
    if (real !== undefined && read?.kind === 'found') return { real, marker: read.marker };
    const because =
      real === undefined
        ? 'there is no such folder; is its disk mounted?'
        : read?.kind === 'unreadable'
          ? `its marker cannot be read: ${read.because}`
          : 'no marker .scatterhoard there; the store is the folder that has one';
    throw new ClusterError('NOT_A_STORE', `${path} is not a store: ${because}`, { blame: 'operator' });
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined || error instanceof ClusterError) throw error;
    throw new ClusterError(
      'STORE_UNREADABLE',
      `the store ${path} cannot be read (${code}): run this as root, or as the user that its files belong to`,
      { blame: 'operator', cause: error },
    );
  }
}
