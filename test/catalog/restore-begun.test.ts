/** A large file that an interruption cut in two. */
import { closeSync, existsSync, lstatSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { BEGUN_BYTES_MIN } from '../../src/catalog/restore-files.js';
import { MARK_FOLDER } from '../../src/catalog/restore-names.js';
import { seededBytes } from '../helpers/seeded-bytes.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { Blobs, fileOf, interruptedRestore, placed, restore } from './restore-fixture.js';

const MiB = 1024 * 1024;
/** Zeros lie where the first run is interrupted, and at the end: there a file is shorter than what has come of it. */
const LARGE = Buffer.concat([
  seededBytes(20 * MiB, 1),
  Buffer.alloc(20 * MiB),
  seededBytes(24 * MiB, 2),
  Buffer.alloc(MiB),
]);
const INTERRUPTED_BYTES = 30 * MiB;

/** Restores `content` as `a` until it is interrupted. */
async function interrupted(target: string, content: Buffer) {
  const blobs = new Blobs().add(content);
  const list = placed([fileOf('a', content)]);
  await interruptedRestore({ target, list, blobs }, { afterBytes: INTERRUPTED_BYTES }).catch(error => {
    if (error.message !== 'interrupted') throw error;
  });
  return { blobs, list, begun: readdirSync(join(target, MARK_FOLDER)).filter(name => name.startsWith('begun-')) };
}

/** The second run, and how many bytes came in it. */
async function goOn(request: Pick<Parameters<typeof restore>[0], 'target' | 'list' | 'blobs'>) {
  let cameBytes = 0;
  const restored = await restore({
    ...request,
    onProgress: ({ phase, bytes }) => {
      if (phase === 'write') cameBytes = bytes;
    },
  });
  return { ...restored, cameBytes };
}

test('it goes on where it was', async t => {
  const target = join(temporaryFolder(t), 'target');
  const { blobs, list, begun } = await interrupted(target, LARGE);
  t.is(begun.length, 1);
  const hereBytes = lstatSync(join(target, MARK_FOLDER, begun[0] ?? '')).size;
  t.true(hereBytes > 0 && hereBytes <= INTERRUPTED_BYTES);

  blobs.beginsLater = true;
  const { report, cameBytes } = await goOn({ target, list, blobs });
  t.like(report, { files: 1, bytes: LARGE.length, failed: 0 });
  t.is(blobs.asked.at(-1)?.from, hereBytes);
  t.is(cameBytes, LARGE.length - hereBytes);
  t.true(readFileSync(join(target, 'a')).equals(LARGE));
  t.false(existsSync(join(target, MARK_FOLDER)));
});

test('it begins anew where the giver does so', async t => {
  const target = join(temporaryFolder(t), 'target');
  const { blobs, list } = await interrupted(target, LARGE);
  const { report, cameBytes } = await goOn({ target, list, blobs });
  t.like(report, { files: 1, failed: 0 });
  t.is(blobs.asked.length, 2);
  t.is(cameBytes, LARGE.length);
  t.true(readFileSync(join(target, 'a')).equals(LARGE));
});

test('a giver who goes on elsewhere than where it was is not believed, and asked anew', async t => {
  const target = join(temporaryFolder(t), 'target');
  const { blobs, list } = await interrupted(target, LARGE);
  blobs.beginsLater = true;
  const { report } = await restore({
    target,
    list,
    blobs,
    content: async function* (request, signal) {
      const elsewhere = request.from === undefined ? request : { ...request, from: request.from - MiB };
      yield* blobs.frames(elsewhere, signal);
    },
  });
  t.like(report, { files: 1, failed: 0 });
  t.is(blobs.asked.length, 3);
  t.true(readFileSync(join(target, 'a')).equals(LARGE));
});

test('what a power cut spoiled of it is found by its hash, and it comes anew', async t => {
  const target = join(temporaryFolder(t), 'target');
  const { blobs, list, begun } = await interrupted(target, LARGE);
  const fd = openSync(join(target, MARK_FOLDER, begun[0] ?? ''), 'r+');
  writeSync(fd, 'spoiled', 1000);
  closeSync(fd);

  blobs.beginsLater = true;
  const { report } = await goOn({ target, list, blobs });
  t.like(report, { files: 1, failed: 0 });
  t.deepEqual(
    blobs.asked.slice(1).map(({ from }) => from === undefined),
    [false, true],
  );
  t.true(readFileSync(join(target, 'a')).equals(LARGE));
});

test('what nobody can give now is kept for the next run', async t => {
  const target = join(temporaryFolder(t), 'target');
  const { blobs, list, begun } = await interrupted(target, LARGE);
  blobs.unavailable.add(fileOf('a', LARGE).blob ?? '');
  const { report } = await goOn({ target, list, blobs });
  t.like(report, { failed: 1, resumable: true });
  t.deepEqual(
    readdirSync(join(target, MARK_FOLDER)).filter(name => name.startsWith('begun-')),
    begun,
  );
});

test('another restore into the same folder does not find it', async t => {
  const target = join(temporaryFolder(t), 'target');
  const { blobs, list } = await interrupted(target, LARGE);
  const mark = { snapshot: 'other', sourceId: 'other', under: Buffer.alloc(0) };
  blobs.beginsLater = true;
  await restore({ target, list, blobs, mark, existing: 'overwrite' });
  t.is(blobs.asked.at(-1)?.from, undefined);
});

test('of a file just below the limit nothing is kept, and of one at it all', async t => {
  const folder = temporaryFolder(t);
  const atLimit = LARGE.subarray(0, BEGUN_BYTES_MIN);
  t.is((await interrupted(join(folder, 'at'), atLimit)).begun.length, 1);
  t.is((await interrupted(join(folder, 'below'), atLimit.subarray(1))).begun.length, 0);
});

test('two files with the same content come in beside each other', async t => {
  const target = join(temporaryFolder(t), 'target');
  const list = placed([fileOf('a', LARGE), fileOf('b', LARGE)]);
  const blobs = new Blobs().add(LARGE);
  let bothBegan = (): void => {};
  const both = new Promise<void>(resolve => {
    bothBegan = resolve;
  });
  let coming = 0;
  const { report } = await restore({
    target,
    list,
    blobs,
    content: async function* (request, signal) {
      let isBegun = false;
      for await (const frame of blobs.frames(request, signal)) {
        yield frame;
        if (frame.kind !== 'data' || isBegun) continue;
        isBegun = true;
        coming += 1;
        if (coming === 2) bothBegan();
        await both;
      }
    },
  });
  t.like(report, { files: 2, failed: 0 });
  for (const name of ['a', 'b']) t.true(readFileSync(join(target, name)).equals(LARGE));
});
