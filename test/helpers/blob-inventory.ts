/** Blob inventory: every blob of some stores with what changes when it is written again. */
import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { StorePlace } from './count-copies.js';

/** The file that each is, and when that was written. */
export function inventory(stores: readonly StorePlace[]): readonly string[] {
  return stores.flatMap(({ host, path }) => {
    const blobs = join(path, '.blobs');
    return readdirSync(blobs).flatMap(shard =>
      readdirSync(join(blobs, shard)).map(name => {
        const { ino, size, mtimeNs } = lstatSync(join(blobs, shard, name), { bigint: true });
        return `${host} ${name} ${ino} ${size} ${mtimeNs}`;
      }),
    );
  });
}
