import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { hashFile } from '../../src/catalog/restore-hash.js';
import { hashHex } from '../../src/core/hash.js';
import { seededBytes } from '../helpers/seeded-bytes.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const MIB = 1024 * 1024;

test('files are hashed whole on both sides of the size from which they are read piece by piece', async t => {
  const folder = temporaryFolder(t);
  for (const size of [0, 1, MIB - 2, MIB - 1, MIB, MIB + 1, 3 * MIB]) {
    const path = join(folder, `${size}`);
    const bytes = seededBytes(size, 1);
    writeFileSync(path, bytes);
    t.is(await hashFile(Buffer.from(path), AbortSignal.timeout(30_000)), hashHex(bytes), `${size}`);
  }
});

test.serial('many small files need no memory of their own', async t => {
  const path = join(temporaryFolder(t), 'small');
  writeFileSync(path, 'small');
  const signal = AbortSignal.timeout(30_000);
  const outside = (): number => process.memoryUsage().arrayBuffers;
  const before = outside();
  let most = 0;
  for (let n = 0; n < 200; n += 1) {
    await hashFile(Buffer.from(path), signal);
    most = Math.max(most, outside() - before);
  }
  t.true(most < 4 * MIB, `${most}`);
});
