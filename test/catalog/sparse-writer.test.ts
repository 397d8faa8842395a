import { closeSync, ftruncateSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { copySparse, SparseWriter } from '../../src/catalog/sparse-writer.js';
import { skip } from '../helpers/skip.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { Blobs, fileOf, placed, restore } from './restore-fixture.js';

const KiB = 1024;
const folder = temporaryFolder({ teardown: test.after.always });

let files = 0;
const aPath = (): string => join(folder, `file ${++files}`);
const allocated = (path: string): number => statSync(path).blocks * 512;

/** Writes the content in pieces of these sizes, over and over. */
function written(content: Buffer, pieces: readonly number[] = [content.length]): string {
  const path = aPath();
  const fd = openSync(path, 'wx');
  const writer = new SparseWriter(fd);
  for (let at = 0, turn = 0; at < content.length; turn += 1) {
    const bytes = pieces[turn % pieces.length] ?? content.length;
    writer.write(content.subarray(at, at + bytes));
    at += bytes;
  }
  writer.end();
  closeSync(fd);
  return path;
}

const data = (bytes: number): Buffer => Buffer.alloc(bytes, 0x5a);
const zeros = (bytes: number): Buffer => Buffer.alloc(bytes);

const holesTest = (title: string, body: (t: ExecutionContext) => void | Promise<void>): void =>
  test(title, async t => {
    const path = aPath();
    const fd = openSync(path, 'wx');
    ftruncateSync(fd, 1024 * KiB);
    closeSync(fd);
    return allocated(path) > 0 ? skip(t, `the file system of ${tmpdir()} has no holes`) : body(t);
  });

test('whatever the content and however it comes in pieces, it is what the file has', t => {
  const run = fc.record({
    byte: fc.constantFrom(0, 0, 1),
    bytes: fc.oneof(fc.nat({ max: 9000 }), fc.integer({ min: 60 * KiB, max: 140 * KiB }), fc.constant(64 * KiB)),
  });
  const law = fc.property(
    fc.array(run, { maxLength: 6 }),
    fc.array(fc.integer({ min: 1, max: 100 * KiB }), { minLength: 1, maxLength: 3 }),
    (runs, pieces) => {
      const content = Buffer.concat(runs.map(({ byte, bytes }) => Buffer.alloc(bytes, byte)));
      // A byte at a time would take minutes.
      const coarse = pieces.map(bytes => Math.max(bytes, content.length >> 8));
      const path = written(content, coarse);
      const found = readFileSync(path);
      rmSync(path);
      return found.equals(content);
    },
  );
  t.notThrows(() => fc.assert(law, { numRuns: 100 }));
});

holesTest('64 KiB of whole blocks of zeros are a hole, less is written', t => {
  for (const pieces of [[1024 * KiB], [64 * KiB], [1000, 70_000]]) {
    const hole = written(Buffer.concat([data(4 * KiB), zeros(64 * KiB), data(4 * KiB)]), pieces);
    t.true(allocated(hole) < 64 * KiB, 'the hole takes nothing');
    const less = written(Buffer.concat([data(4 * KiB), zeros(64 * KiB - 1), data(4 * KiB)]), pieces);
    t.true(allocated(less) >= 64 * KiB, 'one byte less, and it has 15 whole blocks');
    const shifted = written(Buffer.concat([data(1), zeros(64 * KiB), data(4 * KiB)]), pieces);
    t.true(allocated(shifted) >= 64 * KiB, 'as many, but not whole blocks');
  }
});

holesTest('a file that ends with zeros, or has nothing else, has its size all the same', t => {
  const end = written(Buffer.concat([data(5000), zeros(1024 * KiB - 5000)]), [64 * KiB]);
  t.is(statSync(end).size, 1024 * KiB);
  t.true(allocated(end) < 64 * KiB);
  const nothing = written(zeros(300_001), [7777]);
  t.is(statSync(nothing).size, 300_001);
  t.true(allocated(nothing) < 64 * KiB);
  const short = written(zeros(60 * KiB));
  t.is(statSync(short).size, 60 * KiB);
  t.true(allocated(short) >= 60 * KiB);
});

holesTest('a copy has the holes, and a copy that fails leaves nothing', t => {
  const content = Buffer.concat([data(4 * KiB), zeros(2048 * KiB), data(100)]);
  const copy = aPath();
  copySparse(Buffer.from(written(content)), Buffer.from(copy));
  t.deepEqual(readFileSync(copy), content);
  t.true(allocated(copy) < 64 * KiB);
  t.throws(() => copySparse(Buffer.from(folder), Buffer.from(`${copy} 2`)), { code: 'EISDIR' });
  t.throws(() => statSync(`${copy} 2`), { code: 'ENOENT' });
  t.throws(() => copySparse(Buffer.from(copy), Buffer.from(copy)), { code: 'EEXIST' });
  t.deepEqual(readFileSync(copy), content);
});

holesTest('a sparse file is restored with its holes, under each name of its content', async t => {
  const target = join(folder, 'target');
  const content = Buffer.concat([data(10), zeros(5000 * KiB), data(10), zeros(3000 * KiB)]);
  const list = placed([fileOf('a', content), fileOf('b', content, { mode: 0o600 }), fileOf('full', data(1024 * KiB))]);
  const blobs = new Blobs().add(content).add(data(1024 * KiB));
  const { problems } = await restore({ target, list, blobs, verify: true });
  t.deepEqual(problems, []);
  for (const name of ['a', 'b']) {
    t.true(readFileSync(join(target, name)).equals(content), name);
    t.true(allocated(join(target, name)) < 64 * KiB, name);
  }
  t.true(allocated(join(target, 'full')) >= 1024 * KiB);
});
