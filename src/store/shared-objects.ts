/**
 * Shared objects: the object folders of one host. What two of them have on one disk lies there once: the second one's file is another
 * name of the first one's, a hard link. A catalog and the stores whose disk it is on have most objects in common.
 *
 * The bytes are read and right before they are counted on a second time; and who replaces a damaged file writes a new one.
 */
import type { ObjectId } from '../core/ids.js';

export interface SharingFolder {
  /** Of its disk, as stat tells it. */
  readonly device: number;
  /**
   * Makes `path`, on its disk, another name of its file of an object, which it has read.
   * @returns the size of the file in bytes; undefined when it has no such file, or one that is damaged, or the disk makes no links
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

  /** From another one on the disk of this one. @returns as `SharingFolder.linkTo` */
  async link(own: SharingFolder, id: ObjectId, path: string): Promise<number | undefined> {
    for (const folder of this.#folders) {
      if (folder === own || folder.device !== own.device) continue;
      const bytes = await folder.linkTo(id, path);
      if (bytes !== undefined) return bytes;
    }
    return undefined;
  }
}
