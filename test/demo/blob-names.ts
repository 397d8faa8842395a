/**
 * Blob names: how far the stores are, by the names in them alone. Cheap enough to look several times a second, and for the
 * eye only: what the demo says about copies is read and hashed by another process (count-copies.ts).
 */
import { readdirSync } from 'node:fs';

export interface Level {
  readonly blobs: number;
  readonly bytes: number;
}

export interface Levels {
  /** In the order of the stores. */
  readonly stores: readonly Level[];
  /** Contents that lie in at least so many of the stores as asked for. */
  readonly enough: number;
}

/** `contents`: hash → size of what is backed up. */
export function levelsOf(contents: ReadonlyMap<string, number>, stores: readonly string[], copies: number): Levels {
  const have = new Map<string, number>();
  const levels = stores.map(store => {
    const level = { blobs: 0, bytes: 0 };
    for (const name of blobNames(store)) {
      const bytes = contents.get(name);
      if (bytes === undefined) continue;
      level.blobs += 1;
      level.bytes += bytes;
      have.set(name, (have.get(name) ?? 0) + 1);
    }
    return level;
  });
  let enough = 0;
  for (const count of have.values()) if (count >= copies) enough += 1;
  return { stores: levels, enough };
}

function* blobNames(store: string): Generator<string> {
  for (const shard of namesIn(`${store}/.blobs`)) yield* namesIn(`${store}/.blobs/${shard}`);
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    // Before its service has mounted it, a store is an empty folder.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
