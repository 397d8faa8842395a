/**
 * Bare store: reads a store's disk by itself, with no service, no state folder, no key and no peer.
 *
 * `restore --from-store` is built on it. It never writes, and it believes nothing: objects are hashed as they are read,
 * and the reader of a blob hashes it. There is no index, so a blob is here when its file is.
 */
import { lstatSync, statSync } from 'node:fs';
import { ClusterError } from '../core/fault.js';
import type { BlobId, SourceId } from '../core/ids.js';
import { readBlob, type StoredBlob } from './blob-reader.js';
import { MARKER_NAME, type Marker, readMarker } from './marker.js';
import { type DamagedObject, ObjectFolderReader } from './object-folder.js';
import { systemCode, tampered } from './own-folder.js';
import { SignedFileReader } from './signed-files.js';
import { resolveStorePath, StoreFolder } from './store-folder.js';

export interface BareStore {
  /** Undefined where it is lost or damaged; the rest of the store can be read all the same. */
  readonly marker: Marker | undefined;
  /** Absolute, with no symlink in it. */
  readonly folder: string;
  readonly objects: ObjectFolderReader;
  /** The sources whose heads are kept in this store. */
  heads(): Promise<SourceId[]>;
  head(source: SourceId): Promise<Buffer | undefined>;
  /** The configuration versions kept in this store, in order. */
  configVersions(): Promise<number[]>;
  config(version: number): Promise<Buffer | undefined>;
  /**
   * The length of the blob's file; undefined when there is none. Synchronous: it is asked for every file of a snapshot,
   * in a process that has nothing else to do, and so costs 5 µs instead of 40.
   */
  blobBytes(blob: BlobId): number | undefined;
  /** Opens it without checking its bytes: the reader checks them against the id. */
  openBlob(blob: BlobId): Promise<StoredBlob | undefined>;
}

export interface BareStoreOptions {
  readonly onDamaged: DamagedObject;
  /** Called when the marker cannot be used; the store is read without it. */
  readonly onNoMarker: (because: string) => void;
}

/** @throws ClusterError NOT_A_STORE, STORE_UNREADABLE */
export async function openBareStore(path: string, { onDamaged, onNoMarker }: BareStoreOptions): Promise<BareStore> {
  const { real, marker, because } = await findStore(path);
  if (because !== undefined) onNoMarker(because);
  const folder = new StoreFolder(real);
  const signed = new SignedFileReader(folder);
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
    heads: () => signed.heads(),
    head: source => signed.head(source),
    configVersions: () => signed.configVersions(),
    config: version => signed.config(version),
    blobBytes,
    openBlob: async blob => {
      const bytes = blobBytes(blob);
      return bytes === undefined ? undefined : readBlob(folder.blobs.pathOf(blob), blob, bytes);
    },
  };
}

/**
 * Accepts a folder without its marker: one file of 400 bytes must not stand between a person and a disk full of right
 * ones.
 * @throws what the system says when this user may not look into the folder, or the disk cannot read it
 */
export const looksLikeStore = (path: string): boolean =>
  isThere(`${path}/${MARKER_NAME}`) || (isThere(`${path}/.blobs`) && isThere(`${path}/.catalog/objects`));

/** Unlike existsSync, which takes a folder that may not be read for one that does not exist. */
const isThere = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined;

interface FoundStore {
  readonly real: string;
  readonly marker: Marker | undefined;
  /** Why the marker cannot be used. */
  readonly because?: string;
}

async function findStore(path: string): Promise<FoundStore> {
  try {
    const real = await resolveStorePath(path);
    if (real === undefined || !looksLikeStore(real)) {
      const why =
        real === undefined
          ? 'there is no such folder; is its disk mounted?'
          : `no marker ${MARKER_NAME} there; the store is the folder that has one`;
      throw new ClusterError('NOT_A_STORE', `${path} is not a store: ${why}`, { blame: 'operator' });
    }
    const read = await readMarker(real);
    if (read.kind === 'found') return { real, marker: read.marker };
    if (read.kind === 'unreadable' && read.isOtherFormat === true)
      throw new ClusterError('NOT_A_STORE', `${path} cannot be read by this program: ${read.because}`, {
        blame: 'operator',
      });
    return { real, marker: undefined, because: read.kind === 'unreadable' ? read.because : 'it is missing' };
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
