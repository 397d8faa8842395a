/**
 * Shared objects: lets the object folders of one host share files. An object that two of them have on one disk lies
 * there once: the second folder's file is a hard link to the first's. A catalog and the stores on its disk have most
 * objects in common.
 *
 * The bytes are read and verified before a second folder relies on them. To replace a damaged file, a folder writes a
 * new one and makes no link. Nobody waits long for another folder: something else may have been mounted over it, and
 * hang.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { ObjectId } from '../core/ids.js';

/** In ms. A link saves one small write, which takes less than this on any disk that answers. */
const LINK_MS_MAX = 250;

export interface SharingFolder {
  /** The device number of its disk, from stat. */
  readonly device: number;
  /**
   * Makes `path`, on the same disk, a hard link to this folder's file of an object, after reading that file.
   * @returns the size of the file in bytes; undefined when the file is absent or damaged, or cannot be linked
   */
  linkTo(id: ObjectId, path: string): Promise<number | undefined>;
}

export class SharedObjects {
  readonly #folders = new Set<SharingFolder>();
  readonly #linkMsMax: number;

  /** `linkMsMax`: how long a folder waits for another's link, in ms; default `LINK_MS_MAX`. */
  constructor({ linkMsMax = LINK_MS_MAX }: { readonly linkMsMax?: number } = {}) {
    this.#linkMsMax = linkMsMax;
  }

  join(folder: SharingFolder): void {
    this.#folders.add(folder);
  }

  leave(folder: SharingFolder): void {
    this.#folders.delete(folder);
  }

  /**
   * Links from another folder on the disk of `own`.
   * @param onLate called when a link that is no longer waited for has been made
   * @returns as `SharingFolder.linkTo`
   */
  async link(
    own: SharingFolder,
    id: ObjectId,
    { path, onLate }: { readonly path: string; readonly onLate: () => void },
  ): Promise<number | undefined> {
    const others = [...this.#folders].filter(folder => folder !== own && folder.device === own.device);
    if (others.length === 0) return undefined;
    let isLate = false;
    const linking = (async () => {
      for (const folder of others) {
        const bytes = await folder.linkTo(id, path);
        if (bytes === undefined) continue;
        if (isLate) onLate();
        return bytes;
      }
      return undefined;
    })();
    const end = new AbortController();
    const late = delay(this.#linkMsMax, undefined, { signal: end.signal }).then(
      () => {
        isLate = true;
        return undefined;
      },
      () => undefined, // ended below
    );
    try {
      return await Promise.race([linking, late]);
    } finally {
      end.abort();
    }
  }
}
