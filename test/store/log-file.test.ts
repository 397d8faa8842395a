import { copyFile, mkdtemp, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { hashHex } from '../../src/core/hash.js';
import type { Epoch, LogOp } from '../../src/core/holdings-log.js';
import { parseHostId, parseParcelId, parseStoreId, sourceIdOf } from '../../src/core/ids.js';
import { LogFile } from '../../src/store/log-file.js';

const STORE = parseStoreId('51'.repeat(16));
const EPOCH: Epoch = { counter: 1_700_000_000_001, random: '0123456789abcdef' };

const opOf = (n: number): LogOp => ({ op: 'add', parcel: parseParcelId(hashHex(Buffer.from(`parcel ${n}`))) });
const newPath = async () => join(await mkdtemp(join(tmpdir(), 'log-')), 'log');

async function read(path: string) {
  const ops: LogOp[] = [];
  const opened = await LogFile.open(path, STORE, op => ops.push(op));
  if (opened.kind === 'sound') await opened.log.close();
  return { opened, ops };
}

/** A log of some ops in some frames, and the file sizes after each frame. */
async function logOf(frames: readonly number[]): Promise<{ path: string; ends: number[]; ops: LogOp[] }> {
  const path = await newPath();
  const log = await LogFile.create(path, STORE, EPOCH);
  const ends = [(await stat(path)).size];
  const ops: LogOp[] = [];
  for (const count of frames) {
    const some = Array.from({ length: count }, (_, n) => opOf(ops.length + n));
    await log.append(some);
    ops.push(...some);
    ends.push((await stat(path)).size);
  }
  await log.close();
  return { path, ends, ops };
}

test('what was appended is read back in order, over many frames and windows', async t => {
  const path = await newPath();
  const log = await LogFile.create(path, STORE, EPOCH);
  const ops: LogOp[] = Array.from({ length: 30_000 }, (_, n) => opOf(n));
  ops[5] = { op: 'head', source: sourceIdOf(parseHostId('0a'.repeat(16)), 'photos'), seq: 12 };
  for (let at = 0, count = 1; at < ops.length; at += count, count = (count * 3) % 5_000)
    await log.append(ops.slice(at, at + count));
  t.true((await stat(path)).size > 1024 * 1024);
  t.deepEqual(await log.ops(0, 99_999), ops);
  t.deepEqual(await log.ops(12_345, 3), ops.slice(12_345, 12_348));
  const { position } = log;
  const middle = await log.positionAt(20_000);
  await log.close();
  const again = await read(path);
  t.deepEqual(again.ops, ops);
  if (again.opened.kind !== 'sound') return t.fail();
  t.deepEqual(again.opened.log.position, position);
  t.is(middle.seq, 20_000);
});

test('a log cut at any byte of its last frame keeps all before it and can be appended to', async t => {
  const { path, ends, ops } = await logOf([2, 1, 3]);
  const [whole = 0, last = 0] = [ends.at(-2), ends.at(-1)];
  const law = fc.asyncProperty(fc.integer({ min: whole, max: last - 1 }), async size => {
    const copy = `${path}.copy`;
    await copyFile(path, copy);
    await truncate(copy, size);
    const found: LogOp[] = [];
    const opened = await LogFile.open(copy, STORE, op => found.push(op));
    if (opened.kind !== 'sound') return false;
    await opened.log.append([opOf(77)]);
    await opened.log.close();
    const again = await read(copy);
    return (
      opened.cutBytes === size - whole &&
      JSON.stringify(found) === JSON.stringify(ops.slice(0, 3)) &&
      again.ops.length === 4
    );
  });
  await t.notThrowsAsync(fc.assert(law, { numRuns: 40 }));
});

for (const [what, tail] of [
  ['zeros, as after a power cut', Buffer.alloc(5_000)],
  ['other bytes', Buffer.from('nonsense'.repeat(300))],
  ['the first half of a frame that claims to be huge', Buffer.from('f54c4f47ffffffffffffffff', 'hex')],
] as const) {
  test(`a tail of ${what} is cut off`, async t => {
    const { path, ops } = await logOf([2, 2]);
    const { size } = await stat(path);
    await writeFile(path, tail, { flag: 'a' });
    const again = await read(path);
    t.like(again.opened, { kind: 'sound', cutBytes: tail.length });
    t.deepEqual(again.ops, ops);
    t.is((await stat(path)).size, size);
  });
}

test('a changed byte before the last frame is damage, wherever it is', async t => {
  const { path, ends } = await logOf([2, 1, 3]);
  const bytes = await readFile(path);
  const law = fc.asyncProperty(fc.integer({ min: 0, max: (ends.at(-2) ?? 0) - 1 }), async at => {
    const copy = `${path}.copy`;
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ 0x20;
    await writeFile(copy, changed);
    const { opened } = await read(copy);
    return opened.kind === 'damaged' && (await readFile(copy)).equals(changed);
  });
  await t.notThrowsAsync(fc.assert(law, { numRuns: 60 }));
});

test('a frame that is whole but does not continue the chain is damage', async t => {
  const [one, other] = [await logOf([1, 2]), await logOf([3, 2])];
  const head = (await readFile(one.path)).subarray(0, one.ends[1]);
  const tail = (await readFile(other.path)).subarray(other.ends[1]);
  await writeFile(one.path, Buffer.concat([head, tail]));
  t.like((await read(one.path)).opened, { kind: 'damaged' });
});

test('a missing log, an empty one, and one of another store are damage', async t => {
  const { path } = await logOf([1]);
  const opened = await LogFile.open(path, parseStoreId('52'.repeat(16)), () => {});
  t.is(opened.kind, 'damaged');
  t.is((await read(`${path}.not`)).opened.kind, 'damaged');
  await writeFile(`${path}.empty`, '');
  t.is((await read(`${path}.empty`)).opened.kind, 'damaged');
});

test('a symlink in the place of the log is not followed', async t => {
  const { path } = await logOf([1]);
  await symlink(path, `${path}.link`);
  t.like(await t.throwsAsync(read(`${path}.link`)), { code: 'STORE_TAMPERED' });
});
