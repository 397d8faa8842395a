/**
 * Shared objects: lets the object folders of one host share files. An object that two of them have on one disk lies
 * there once: the second folder's file is a hard link to the first's. A catalog and the stores on its disk have most
 * objects in common.
 *
 * The bytes are read and verified before a second folder relies on them. To replace a damaged file, a folder writes a
 * new one and makes no link.
 */
import type { ObjectId } from '../core/ids.js';

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

  join(folder: SharingFolder): void {
    this.#folders.add(folder);
  }

  leave(folder: SharingFolder): void {
    this.#folders.delete(folder);
  }

  /** Links from another folder on the disk of `own`. @returns as `SharingFolder.linkTo` */
  async link(own: SharingFolder, id: ObjectId, path: string): Promise<number | undefined> {
    for (const folder of this.#folders) {
      if (folder === own || folder.device !== own.device) continue;
      const bytes = await folder.linkTo(id, path);
      if (bytes !== undefined) return bytes;
    }
    return undefined;
  }
}
