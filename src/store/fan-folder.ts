/**
 * Fan folder: files named by their hash, spread over 256 folders by its first two hex digits (`ab/abcd…`).
 *
 * All 256 folders are made and checked at the opening, so that nothing else has to consider them afterwards.
 */
import { readdir } from '../platform/disk-calls.js';
import { fsyncFolder } from '../platform/durable.js';
import { makeOwnFolder } from './own-folder.js';

const SHARDS: readonly string[] = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, '0'));

export class FanFolder {
  readonly path: string;

  /** Use it for reading only until `make` is done. */
  constructor(path: string) {
    this.path = path;
  }

  async make(): Promise<void> {
    await makeOwnFolder(this.path);
    await Promise.all(this.folders().map(makeOwnFolder));
    await fsyncFolder(this.path);
  }

  pathOf(id: string): string {
    return `${this.path}/${id.slice(0, 2)}/${id}`;
  }

  folderOf(id: string): string {
    return `${this.path}/${id.slice(0, 2)}`;
  }

  folders(): string[] {
    return SHARDS.map(shard => `${this.path}/${shard}`);
  }

  /**
   * Shard by shard in order: the names of its plain files, in order. In memory: the names of one shard, a 256th of all.
   * `strange` lists everything else in it: whatever is not a plain file with a full hash of that shard.
   */
  async *shards(): AsyncGenerator<{
    readonly shard: string;
    readonly ids: readonly string[];
    readonly strange: readonly string[];
  }> {
    for (const shard of SHARDS) {
      const ids: string[] = [];
      const strange: string[] = [];
      for (const entry of await readdir(`${this.path}/${shard}`, { withFileTypes: true })) {
        const own = entry.isFile() && entry.name.startsWith(shard) && /^[0-9a-f]{64}$/.test(entry.name);
        (own ? ids : strange).push(entry.name);
      }
      yield { shard, ids: ids.sort(), strange };
    }
  }
}
