/**
 * Bare stores: the surviving disks of one cluster, read as if they were one.
 *
 * What one disk has lost or damaged is taken from the next. Damage is reported once, even if another disk has the right
 * bytes: somebody may want to throw that disk away.
 */
import { ClusterError } from '../core/fault.js';
import type { BlobId, ClusterId, ObjectId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import { type BareStore, openBareStore } from './bare-store.js';
import { MARKER_NAME } from './marker.js';
import { systemCode } from './own-folder.js';

/** Something on one of the disks that cannot be used. */
export interface Damage {
  /** The path as the person wrote it. */
  readonly path: string;
  readonly what: string;
  readonly because: string;
}

export interface NamedStore extends BareStore {
  /** The path as the person wrote it. */
  readonly path: string;
}

export class BareStores {
  /** In the order in which they were named; a store named twice is here once. */
  readonly stores: readonly NamedStore[];
  /** Undefined where none of them has a marker. */
  readonly cluster: ClusterId | undefined;
  readonly objects: ObjectReader;
  readonly #damages: Damages;

  private constructor(stores: readonly NamedStore[], cluster: ClusterId | undefined, damages: Damages) {
    this.stores = stores;
    this.cluster = cluster;
    this.objects = { get: id => this.#object(id) };
    this.#damages = damages;
  }

  /** @throws ClusterError NOT_A_STORE, STORE_UNREADABLE, STORES_OF_SEVERAL */
  static async open(
    paths: readonly [string, ...string[]],
    { onDamage }: { readonly onDamage: (damage: Damage) => void },
  ): Promise<BareStores> {
    const damages = new Damages(onDamage);
    const open = async (path: string): Promise<NamedStore> => ({
      path,
      ...(await openBareStore(path, {
        onDamaged: (id, error) => damages.tell(path, objectName(id), error),
        onNoMarker: because => damages.tell(path, `the marker ${MARKER_NAME}`, new Error(because)),
      })),
    });
    const [firstPath, ...otherPaths] = paths;
    const first = await open(firstPath);
    const stores = [first];
    for (const path of otherPaths) {
      const store = await open(path);
      if (!stores.some(({ folder }) => folder === store.folder)) stores.push(store);
    }
    const marked = stores.flatMap(({ path: of, marker }) => (marker === undefined ? [] : [{ of, ...marker }]));
    const cluster = marked[0]?.cluster;
    if (marked.every(marker => marker.cluster === cluster)) return new BareStores(stores, cluster, damages);
    const whose = marked.map(marker => `${marker.of} belongs to ${marker.cluster}`).join(', ');
    throw new ClusterError(
      'STORES_OF_SEVERAL',
      `these stores belong to several clusters: ${whose}. Nothing was written: name only the stores of one cluster`,
      { blame: 'operator' },
    );
  }

  /** A file of this name and size is on one of them. */
  has(blob: BlobId, bytes: number): boolean {
    return this.stores.some(store => {
      try {
        return store.blobBytes(blob) === bytes;
      } catch (error) {
        this.damaged(store, `the blob ${blob}`, error);
        return false;
      }
    });
  }

  async #object(id: ObjectId): Promise<Uint8Array | undefined> {
    for (const store of this.stores) {
      try {
        const bytes = await store.objects.get(id);
        if (bytes !== undefined) return bytes;
      } catch (error) {
        this.damaged(store, objectName(id), error);
      }
    }
    return undefined;
  }

  damaged({ path }: NamedStore, what: string, error: unknown): void {
    this.#damages.tell(path, what, error);
  }
}

const objectName = (id: ObjectId): string => `the catalog object ${id}`;

/** Bounded, so that a disk that fails as a whole does not fill the memory with reports. */
const TOLD_MAX = 10_000;

/** Reports each damage once, however often it is met. */
class Damages {
  readonly #onDamage: (damage: Damage) => void;
  readonly #told = new Set<string>();

  constructor(onDamage: (damage: Damage) => void) {
    this.#onDamage = onDamage;
  }

  tell(path: string, what: string, error: unknown): void {
    const key = JSON.stringify([path, what]);
    if (this.#told.has(key) || this.#told.size >= TOLD_MAX) return;
    this.#told.add(key);
    this.#onDamage({ path, what, because: reasonOf(error) });
  }
}

/** A phrase for people, without the path that Node puts behind a system call's error. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'syscall' in error ? `it cannot be read (${systemCode(error)})` : error.message;
}
