/** Assembly, where a test has to look behind the store: a full disk, and files that somebody else has changed. */
import { existsSync, readdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { hash } from '../../src/core/hash.js';
import { Assemblies, Assembly, type AssemblyAsk, type AssemblyParts } from '../../src/store/assembly.js';
import { ChunkBuffers } from '../../src/store/chunk-buffers.js';
import type { PartialBlob } from '../../src/store/partial-blobs.js';
import { seededBytes } from '../helpers/seeded-bytes.js';
import { skip } from '../helpers/skip.js';
import { blobOf } from '../helpers/test-parcels.js';
import { TestHost } from './real-store.js';

const MiB = 1024 * 1024;
const content = seededBytes(9 * MiB, 1);

/** Written where `path` says, and what becomes of it. */
function partsAt(path: string) {
  const told: string[] = [];
  let usedBytes = 0;
  const place: PartialBlob = {
    path,
    wrote: bytes => {
      usedBytes += bytes;
    },
    arrived: async () => void told.push('arrived'),
    remove: async () => void told.push('removed'),
    leave: () => void told.push('left'),
  };
  const parts = {
    incoming: { partial: () => place, hasArrived: () => false },
    recipes: { find: () => undefined },
    pathOf: () => undefined,
  } as unknown as AssemblyParts;
  return { parts, place, told, usedBytes: () => usedBytes };
}

const pieces = Array.from({ length: 9 }, (_, n) => content.subarray(n * MiB, (n + 1) * MiB));
const append = (assembly: Assembly | undefined, piece: Uint8Array) =>
  assembly?.append({ hash: hash(piece), bytes: piece.length }, new Uint8Array(piece));

// A disk that is really full, which Linux has. The tests below, whose thread is told to fail, run everywhere.
test('what a full disk does not take does not count, and is told of as that', async t => {
  if (!existsSync('/dev/full')) return skip(t, 'there is no /dev/full');
  const { parts, usedBytes } = partsAt('/dev/full');
  const assemblies = new Assemblies(parts);
  const assembly = await assemblies.begin(blobOf(content));
  const appendAll = async (): Promise<void> => {
    for (const piece of pieces) await append(assembly, piece);
    await assembly?.finish();
  };
  t.like(await t.throwsAsync(appendAll()), { code: 'STORE_FULL', blame: 'passing' });
  t.like(await t.throwsAsync(appendAll()), { code: 'STORE_FULL' }, 'and it stays so');
  t.is(usedBytes(), 0);
  await assembly?.leave();
  await assemblies.end();
});

for (const [code, end] of [
  ['ENOSPC', 'removed'],
  ['EIO', 'left'],
] as const) {
  test(`what came before ${code} is ${end}`, async t => {
    const { parts, place, told, usedBytes } = partsAt('somewhere');
    let asks = 0;
    const session = {
      number: 1,
      ask: async ({ is }: AssemblyAsk) => {
        if (is === 'open') return 0;
        asks += 1;
        if (is === 'append' && asks > 2) throw Object.assign(new Error('no'), { code });
        return is === 'append' ? { isRight: true, buffer: new ArrayBuffer(0) } : true;
      },
      signs: () => 0,
      close: () => {},
    };
    const shared = { buffers: new ChunkBuffers(), aheadBytes: 0 };
    const whole = { ...parts, shared, session, end: () => void told.push('ended') };
    const assembly = await Assembly.open(blobOf(content), place, whole);
    const appending = async (): Promise<void> => {
      for (const piece of pieces) await append(assembly, piece);
    };
    t.like(await t.throwsAsync(appending()), { code: code === 'ENOSPC' ? 'STORE_FULL' : 'EIO' });
    t.is(usedBytes(), 2 * MiB);
    await assembly.leave();
    await assembly.leave();
    t.deepEqual(told, [end, 'ended']);
  });
}

test('where no file can be made nothing is left open, and the next one may try', async t => {
  const { parts, told } = partsAt('/nowhere/blob.part');
  const assemblies = new Assemblies(parts);
  await t.throwsAsync(assemblies.begin(blobOf(content)), { code: 'ENOENT' });
  await t.throwsAsync(assemblies.begin(blobOf(content)), { code: 'ENOENT' });
  t.deepEqual(told, ['removed', 'removed']);
  await assemblies.end();
});

test('what was left before a long night is kept its time from the morning on', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  const assembly = await store.assemble(blobOf(content));
  await append(assembly, content.subarray(0, MiB));
  await assembly?.leave();
  const folder = join(host.storePath, '.incoming');
  const again = await host.restart(async () => utimesSync(join(folder, readdirSync(folder)[0] as string), 1, 1));
  await again.sweepIncoming(Date.now() - 60_000);
  t.is(readdirSync(folder).length, 1);
  await again.sweepIncoming(Date.now() + 60_000);
  t.is(readdirSync(folder).length, 0);
});

test('a blob that is here, and is said to have another size, is told of, and keeps nobody waiting', async t => {
  const host = await TestHost.begin(t);
  const store = await host.mount();
  const ref = blobOf(content);
  const first = await store.assemble(ref);
  for (const piece of pieces) await append(first, piece);
  await first?.finish();
  await first?.leave();
  await t.throwsAsync(store.assemble({ ...ref, bytes: ref.bytes - 1 }), { code: 'BLOB_MISMATCH' });
  t.is(await store.assemble(ref), undefined, 'it is here');
});

test('buffers that came back are used again, for what fits, and few are kept', t => {
  const buffers = new ChunkBuffers();
  const first = buffers.take(MiB + 1);
  t.is(first.length, MiB + 1);
  buffers.giveBack(first.buffer);
  t.not(buffers.take(MiB).buffer, first.buffer, 'a smaller chunk has a smaller one');
  const again = buffers.take(2 * MiB);
  t.is(again.buffer, first.buffer);
  t.deepEqual([again.byteOffset, again.length], [0, 2 * MiB]);
  const many = Array.from({ length: 8 }, () => buffers.take(2 * MiB).buffer);
  for (const buffer of many) buffers.giveBack(buffer);
  const kept = many.map(() => buffers.take(2 * MiB).buffer).filter(buffer => many.includes(buffer));
  t.is(kept.length, 4, '8 MiB');
});
