/**
 * Blob names: how full the stores are, judged by the names in them alone. Cheap enough for several looks a second, and
 * only for show: for what the demo says about copies, another process reads and hashes them (count-copies.ts).
 */
import { readdirSync } from 'node:fs';

export interface Level {
  readonly blobs: number;
  readonly bytes: number;
}

export interface Levels {
  /** In the order of the stores. */
  readonly stores: readonly Level[];
  /** How many contents lie in at least as many of the stores as were asked for. */
  readonly enough: number;
}

/** `contents`: hash → size of each content that is backed up. */
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
    // A store is an empty folder until its service has mounted it.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
