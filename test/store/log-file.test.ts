import { copyFile, open as openFile, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { ContentsChain, ContentsChange } from '../../src/core/checkpoint.js';
import { hashHex } from '../../src/core/hash.js';
import { type Epoch, type LogOp, type LogPosition, logAfterAll, logStart } from '../../src/core/holdings-log.js';
import { parseHostId, parseParcelId, parseStoreId, sourceIdOf } from '../../src/core/ids.js';
import { type LogDraft, LogFile } from '../../src/store/log-file.js';
import { encodeFrame, payloadOf } from '../../src/store/log-frames.js';
import { firstPayload, type LogReader } from '../../src/store/log-opening.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

const STORE = parseStoreId('51'.repeat(16));
const EPOCH: Epoch = { counter: 1_700_000_000_001, random: '0123456789abcdef' };

const opOf = (n: number): LogOp => ({ op: 'add', parcel: parseParcelId(hashHex(Buffer.from(`parcel ${n}`))) });
const newPath = (t: ExecutionContext): string => join(temporaryFolder(t), 'log');

const readerOf = (ops: LogOp[], held: LogOp[] = []): LogReader => ({
  held: op => void held.push(op),
  begin: () => undefined,
  op: op => void ops.push(op),
});

async function read(path: string) {
  const ops: LogOp[] = [];
  const opened = await LogFile.open(path, STORE, readerOf(ops));
  if (opened.kind === 'sound') await opened.log.close();
  return { opened, ops };
}

/** A log of some ops in some frames, and the file sizes after each frame. */
async function logOf(
  t: ExecutionContext,
  frames: readonly number[],
): Promise<{ path: string; ends: number[]; ops: LogOp[] }> {
  const path = newPath(t);
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
  const path = newPath(t);
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
  const { path, ends, ops } = await logOf(t, [2, 1, 3]);
  const [whole = 0, last = 0] = [ends.at(-2), ends.at(-1)];
  const law = fc.asyncProperty(fc.integer({ min: whole, max: last - 1 }), async size => {
    const copy = `${path}.copy`;
    await copyFile(path, copy);
    await truncate(copy, size);
    const found: LogOp[] = [];
    const opened = await LogFile.open(copy, STORE, readerOf(found));
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
    const { path, ops } = await logOf(t, [2, 2]);
    const { size } = await stat(path);
    await writeFile(path, tail, { flag: 'a' });
    const again = await read(path);
    t.like(again.opened, { kind: 'sound', cutBytes: tail.length });
    t.deepEqual(again.ops, ops);
    t.is((await stat(path)).size, size);
  });
}

test('a changed byte before the last frame is damage, wherever it is', async t => {
  const { path, ends } = await logOf(t, [2, 1, 3]);
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
  const [one, other] = [await logOf(t, [1, 2]), await logOf(t, [3, 2])];
  const head = (await readFile(one.path)).subarray(0, one.ends[1]);
  const tail = (await readFile(other.path)).subarray(other.ends[1]);
  await writeFile(one.path, Buffer.concat([head, tail]));
  t.like((await read(one.path)).opened, { kind: 'damaged' });
});

test('a missing log, an empty one, and one of another store are damage', async t => {
  const { path } = await logOf(t, [1]);
  const opened = await LogFile.open(path, parseStoreId('52'.repeat(16)), readerOf([]));
  t.is(opened.kind, 'damaged');
  t.is((await read(`${path}.not`)).opened.kind, 'damaged');
  await writeFile(`${path}.empty`, '');
  t.is((await read(`${path}.empty`)).opened.kind, 'damaged');
});

test.serial('a bad sector in the log is damage, and not a disk that is away', async t => {
  const { path } = await logOf(t, [1]);
  const file = await openFile(path);
  const handles = Object.getPrototypeOf(file) as { read: unknown };
  await file.close();
  const { read: intact } = handles;
  handles.read = async () => {
    throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' });
  };
  try {
    t.like((await read(path)).opened, { kind: 'damaged', because: 'EIO: i/o error, read' });
  } finally {
    handles.read = intact;
  }
  t.is((await read(path)).opened.kind, 'sound');
});

test('a symlink in the place of the log is not followed', async t => {
  const { path } = await logOf(t, [1]);
  await symlink(path, `${path}.link`);
  t.like(await t.throwsAsync(read(`${path}.link`)), { code: 'STORE_TAMPERED' });
});

// ---- checkpoints

const NEVER = new AbortController().signal;
const del = (n: number): LogOp => ({ ...opOf(n), op: 'del' }) as LogOp;
const photos: LogOp = { op: 'head', source: sourceIdOf(parseHostId('0a'.repeat(16)), 'photos'), seq: 12 };

function contentsAfter(ops: readonly LogOp[]): LogOp[] {
  const change = new ContentsChange();
  change.take(ops);
  return [...change.appliedTo([])];
}

/** The checkpoint after these operations, beside the log that has them. */
function draftOf(log: LogFile, ops: readonly LogOp[]): Promise<LogDraft> {
  const contents = contentsAfter(ops);
  const at = logAfterAll(logStart(STORE, EPOCH), ops);
  return log.draft({ at, contents, count: contents.length }, NEVER);
}

async function readAll(path: string) {
  const [ops, held]: [LogOp[], LogOp[]] = [[], []];
  const begun: LogPosition[] = [];
  const reader = { ...readerOf(ops, held), begin: (position: LogPosition) => void begun.push(position) };
  const opened = await LogFile.open(path, STORE, reader);
  const base = opened.kind === 'sound' ? opened.log.base : undefined;
  const position = opened.kind === 'sound' ? opened.log.position : undefined;
  if (opened.kind === 'sound') await opened.log.close();
  return { kind: opened.kind, ops, held, begun, base, position };
}

/** A log that stands on a checkpoint after the first five operations, and has three more. */
async function standing(t: ExecutionContext) {
  const path = newPath(t);
  const log = await LogFile.create(path, STORE, EPOCH);
  const ops = [opOf(1), opOf(2), photos, del(1), opOf(3), opOf(4), opOf(5), opOf(6)];
  await log.append(ops.slice(0, 5));
  const { size: sizeBefore } = await stat(path);
  await log.standOn(await draftOf(log, ops.slice(0, 5)));
  const { size: sizeAt } = await stat(path);
  for (const op of ops.slice(5)) await log.append([op]);
  return { path, log, ops, sizeBefore, sizeAt };
}

test('a log that stands on a checkpoint gives what it stands on, then what came after, and is appended to', async t => {
  const { path, log, ops } = await standing(t);
  const at = logAfterAll(logStart(STORE, EPOCH), ops.slice(0, 5));
  const end = logAfterAll(logStart(STORE, EPOCH), ops);
  t.deepEqual(log.position, end);
  t.deepEqual(log.first, at);
  t.deepEqual(await log.ops(5, 99), ops.slice(5));
  t.deepEqual(await log.ops(6, 1), ops.slice(6, 7));
  t.deepEqual(await log.positionAt(5), at);
  t.is((await log.positionAt(7)).seq, 7);
  await t.throwsAsync(log.positionAt(4), { message: /stands on operation 5/ });
  const contents: LogOp[] = [];
  for await (const some of log.contents()) contents.push(...some);
  t.deepEqual(contents, contentsAfter(ops.slice(0, 5)));
  const { base } = log;
  await log.close();
  const again = await readAll(path);
  t.deepEqual(again, {
    kind: 'sound',
    held: contents,
    begun: [at],
    ops: ops.slice(5),
    base,
    position: end,
  });
  const chain = new ContentsChain(at);
  chain.take(contents);
  t.deepEqual(base, chain.base);
});

/** The frames of a checkpoint, as earlier builds wrote them. @param promised how many deletions its first frame speaks of */
function framesOfOld(ops: readonly LogOp[], deletions: readonly LogOp[], promised = deletions.length): Buffer {
  const contents = contentsAfter(ops);
  const at = logAfterAll(logStart(STORE, EPOCH), ops);
  const chain = new ContentsChain(at);
  const first = firstPayload(at, { count: contents.length, deletions: promised });
  const frames = [encodeFrame(first, 0, chain.base.digest)];
  for (const some of [contents, deletions]) {
    chain.take(some);
    frames.push(encodeFrame(payloadOf(some), some.length, chain.base.digest));
  }
  return Buffer.concat(frames);
}

test('deletions that an earlier build has put behind the contents are none of them', async t => {
  const { log, ops } = await standing(t);
  await log.close();
  const path = newPath(t);
  await writeFile(path, framesOfOld(ops.slice(0, 5), [del(1), del(9)]));
  const found = await readAll(path);
  t.deepEqual(found.held, [...contentsAfter(ops.slice(0, 5)), del(1), del(9)]);
  t.deepEqual(found.base, log.base);
  t.deepEqual(found.position, log.first);
});

test('what is appended while a checkpoint is being written stands behind it', async t => {
  const path = newPath(t);
  const log = await LogFile.create(path, STORE, EPOCH);
  const ops = Array.from({ length: 9_000 }, (_, n) => opOf(n));
  await log.append(ops.slice(0, 10));
  const draft = await draftOf(log, ops.slice(0, 10));
  await log.append(ops.slice(10));
  await log.standOn(draft);
  t.deepEqual(await log.ops(10, 99_999), ops.slice(10));
  t.is((await log.positionAt(8_000)).seq, 8_000);
  await log.append([opOf(9_000)]);
  await log.close();
  const again = await readAll(path);
  t.deepEqual([again.held.length, again.ops.length], [10, 8_991]);
});

test('who reads a log while a checkpoint takes its place reads it to its end', async t => {
  const { log, ops } = await standing(t);
  const reading = log.contents();
  const before = log.ops(5, 99);
  const first = await reading.next();
  await log.standOn(await draftOf(log, ops));
  t.deepEqual(first.value, contentsAfter(ops.slice(0, 5)));
  t.true((await reading.next()).done);
  t.deepEqual(await before, ops.slice(5));
  await log.close();
});

test('what a log of the same parcels takes to open and keep does not grow with its history', async t => {
  const path = newPath(t);
  const log = await LogFile.create(path, STORE, EPOCH);
  const sizes = new Set<number>();
  const ops: LogOp[] = [];
  for (let round = 0; round < 3; round += 1) {
    const more = Array.from({ length: 3_000 }, (_, n) => (n % 2 === 0 ? opOf(n % 20) : del((n - 1) % 20)));
    await log.append(more);
    ops.push(...more);
    await log.standOn(await draftOf(log, ops));
    sizes.add((await stat(path)).size);
  }
  await log.close();
  t.true(Math.max(...sizes) < 500);
  const again = await readAll(path);
  t.deepEqual([again.held.length, again.ops.length, again.position?.seq], [0, 0, 9_000]);
});

test('whatever a crash leaves beside the log, the log is as it was; once it has taken its place, the checkpoint is it', async t => {
  const { path, log, ops } = await standing(t);
  const before = await readFile(path);
  const draft = await draftOf(log, ops);
  const beside = await readFile(draft.path);
  const old = await readAll(path);
  for (const written of [0, 1, 40, beside.length - 1, beside.length]) {
    const copy = `${path}.copy-${written}`;
    await writeFile(copy, before);
    await writeFile(`${copy}.new`, beside.subarray(0, written));
    t.deepEqual(await readAll(copy), old);
    await t.throwsAsync(stat(`${copy}.new`), { code: 'ENOENT' });
  }
  const renamed = `${path}.renamed`;
  await writeFile(renamed, beside);
  const { held, position } = await readAll(renamed);
  t.deepEqual([held, position], [contentsAfter(ops), log.position]);
  await draft.discard();
  await log.close();
});

test('a log is cut at any byte behind its checkpoint, and damaged at any byte within it', async t => {
  const { path, log, sizeAt } = await standing(t);
  await log.close();
  const bytes = await readFile(path);
  const cut = fc.asyncProperty(fc.integer({ min: 1, max: bytes.length - 1 }), async size => {
    const copy = `${path}.cut`;
    await writeFile(copy, bytes.subarray(0, size));
    const { kind, ops } = await readAll(copy);
    return size < sizeAt ? kind === 'damaged' : kind === 'sound' && ops.length <= 3;
  });
  await t.notThrowsAsync(fc.assert(cut, { numRuns: 80 }));
  const changed = fc.asyncProperty(fc.integer({ min: 0, max: sizeAt - 1 }), async at => {
    const copy = `${path}.changed`;
    const other = Buffer.from(bytes);
    other[at] = (other[at] ?? 0) ^ 0x20;
    await writeFile(copy, other);
    return (await readAll(copy)).kind === 'damaged';
  });
  await t.notThrowsAsync(fc.assert(changed, { numRuns: 80 }));
});

test('a checkpoint that ends early or late is damage, though each of its frames is whole', async t => {
  for (const [promised, kind] of [
    [0, 'damaged'],
    [1, 'sound'],
    [2, 'damaged'],
  ] as const) {
    const path = newPath(t);
    await writeFile(path, framesOfOld([opOf(1), opOf(2)], [del(9)], promised));
    t.is((await readAll(path)).kind, kind, `${promised} deletions are promised`);
  }
});

test('a checkpoint that is given up leaves the log as it is', async t => {
  const { path, log, ops } = await standing(t);
  const ended = new AbortController();
  ended.abort(new Error('enough'));
  const contents = contentsAfter(ops);
  const draft = { at: log.position, contents, count: contents.length };
  await t.throwsAsync(log.draft(draft, ended.signal), { message: 'enough' });
  await t.throwsAsync(stat(`${path}.new`), { code: 'ENOENT' });
  await log.append([opOf(9)]);
  t.is(log.failure, undefined);
  await log.close();
  t.deepEqual((await readAll(path)).ops, [...ops.slice(5), opOf(9)]);
});

// A flush that failed leaves pages that are read and count as written: only writing them again brings them to the disk.
test.serial('the end of a log is written and flushed once more before it is believed', async t => {
  const { path, ends } = await logOf(t, [1, 3_000, 2]);
  const content = await readFile(path);
  const told: (string | { readonly at: number; readonly bytes: Buffer })[] = [];
  const handle = await openFile(path);
  const handles = Object.getPrototypeOf(handle) as Record<'write' | 'sync', (...args: unknown[]) => Promise<unknown>>;
  await handle.close();
  const { write, sync } = handles;
  handles.write = function (this: unknown, ...args) {
    const [bytes, offset, length, at] = args as [Buffer, number, number, number];
    told.push({ at, bytes: Buffer.from(bytes.subarray(offset, offset + length)) });
    return write.apply(this, args);
  };
  handles.sync = function (this: unknown, ...args) {
    told.push('flushed');
    return sync.apply(this, args);
  };
  try {
    t.is((await read(path)).opened.kind, 'sound');
  } finally {
    Object.assign(handles, { write, sync });
  }
  const [written, flushed] = told;
  if (typeof written !== 'object') return t.fail('nothing was written');
  t.true(written.at <= (ends[1] ?? 0), 'all frames that one append may have');
  t.deepEqual(written.bytes, content.subarray(written.at));
  t.is(flushed, 'flushed');
  t.deepEqual(await readFile(path), content);
});

// Serial, for the disk fails for every log of this process.
test.serial('a disk without room for a checkpoint, or that cannot flush it, leaves the log as it is', async t => {
  for (const [call, at] of [
    ['write', 0],
    ['write', 1],
    ['sync', 0],
  ] as const) {
    const { path, log, ops } = await standing(t);
    await withFailing(call, at, () => t.throwsAsync(draftOf(log, ops), { code: 'ENOSPC' }));
    await t.throwsAsync(stat(`${path}.new`), { code: 'ENOENT' });
    const draft = await draftOf(log, ops.slice(0, 7));
    await withFailing(call === 'write' ? 'write' : 'sync', 0, () =>
      t.throwsAsync(log.standOn(draft), { code: 'ENOSPC' }),
    );
    await draft.discard();
    t.is(log.failure, undefined);
    await log.append([opOf(9)]);
    await log.close();
    t.deepEqual((await readAll(path)).ops, [...ops.slice(5), opOf(9)]);
  }
});

test.serial('a log whose new name may not be durable takes no more operations', async t => {
  const { path, log, ops } = await standing(t);
  const draft = await draftOf(log, ops);
  // The file's own flush is the first, its folder's the second.
  await withFailing('sync', 1, () => t.throwsAsync(log.standOn(draft), { code: 'ENOSPC' }));
  await t.throwsAsync(log.append([opOf(9)]), { code: 'ENOSPC' });
  await log.close();
  t.deepEqual((await readAll(path)).position, logAfterAll(logStart(STORE, EPOCH), ops));
});

/** Runs `work` while a call of this kind fails, after so many that do not. */
async function withFailing(call: 'write' | 'sync', after: number, work: () => Promise<unknown>): Promise<void> {
  const folder = await openFile(tmpdir());
  const handles = Object.getPrototypeOf(folder) as Record<typeof call, (...args: unknown[]) => Promise<unknown>>;
  await folder.close();
  const right = handles[call];
  let calls = 0;
  handles[call] = function (this: unknown, ...args) {
    calls += 1;
    if (calls <= after) return right.apply(this, args);
    return Promise.reject(Object.assign(new Error('no room'), { code: 'ENOSPC' }));
  };
  try {
    await work();
  } finally {
    handles[call] = right;
  }
}
