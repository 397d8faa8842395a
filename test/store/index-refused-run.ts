/**
 * Run by index-refusals.test.ts, under a limit on the size of a file that it lifts later: until then LMDB cannot grow
 * its own. Prints what became of it, in JSON.
 */
import { execFileSync } from 'node:child_process';
import { parsePeerName, parseStoreId } from '../../src/core/ids.js';
import { openIndexDatabase } from '../../src/store/index-database.js';
import { blobOf } from '../helpers/test-parcels.js';

const [path = '', isToBeLifted = ''] = process.argv.slice(2);
const STORE = parseStoreId('51'.repeat(16));
const WRITES = 60;
const BLOBS = 200;

// What ends the service must not end this before it has counted it.
let unheld = 0;
process.on('unhandledRejection', () => {
  unheld += 1;
});
// LMDB prints each refusal.
console.error = () => {};

const index = openIndexDatabase(path);
const blobs = index.blobsOf(STORE);
let refused = 0;
const codes = new Set<unknown>();
const attempt = async (write: () => Promise<void>): Promise<void> => {
  try {
    await write();
  } catch (error) {
    refused += 1;
    codes.add((error as { readonly code?: unknown }).code);
  }
};
let n = 0;
const changes = () => Array.from({ length: BLOBS }, () => ({ blob: blobOf(`blob ${n++}`), by: 1 }) as const);
const write = async (frame: number): Promise<void> => {
  index.frames.save(parsePeerName(`12D3KooW${'x'.repeat(44)}`), { boot: 1, frame });
  await attempt(() => blobs.apply(changes(), undefined));
  await attempt(() => blobs.flush());
  await attempt(() =>
    index.unwanted.change(changes().map(({ blob }) => ({ parcel: blob.blob as never, sinceRunMs: 1 }))),
  );
};
for (let frame = 1; frame <= WRITES; frame += 1) await write(frame);
const during = { refused, counted: index.refusals.count };
if (isToBeLifted !== '') {
  execFileSync('prlimit', ['--pid', String(process.pid), '--fsize=unlimited']);
  refused = 0;
  await write(WRITES + 1);
}
const after = { refused, counted: index.refusals.count };
await index.close();
console.log(JSON.stringify({ during, after, unheld, codes: [...codes] }));
