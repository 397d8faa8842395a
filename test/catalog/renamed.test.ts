/** Renamed folders: nothing of them is read again, and their parcels are as they were, under the same keys. */
import { renameSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { readRecord } from '../../src/catalog/read-object.js';
import { walkParcels } from '../../src/catalog/walk.js';
import { hash, hashHex } from '../../src/core/hash.js';
import { ScratchSource, settle } from './scratch-source.js';

/** Of a few bytes up to 20 kB, each unlike all others. */
function contentOf(name: string): Uint8Array {
  const seed = hash(Buffer.from(name));
  const content = Buffer.alloc(1 + (((seed[0] as number) * 256 + (seed[1] as number)) % 20_000));
  return Buffer.concat([content, Buffer.from(name)]);
}

const filesOf = (folder: string, count: number): Record<string, Uint8Array> =>
  Object.fromEntries(
    Array.from({ length: count }, (_, n) => {
      const name = `${folder}/${n}.jpg`;
      return [name, contentOf(name)];
    }),
  );

/** Keys and contents of the parcels all of whose entries lie below that folder. */
async function parcelsBelow(source: ScratchSource, folder: string): Promise<string[]> {
  const parcels: string[] = [];
  if (source.last === undefined) return parcels;
  for await (const ref of walkParcels(source.objects, source.last)) {
    const entries = await readRecord(source.objects, ref);
    if (!entries.every(({ path }) => path.toString().startsWith(`${folder}/`))) continue;
    parcels.push(`${ref.key}: ${entries.map(({ blob, kind }) => blob ?? kind).join(' ')}`);
  }
  return parcels;
}

/** Takes a snapshot; how many bytes it read. */
async function readBytesOf(source: ScratchSource): Promise<number> {
  let read = 0;
  const onProgress = ({ readBytes }: { readonly readBytes: number }): void => {
    read = readBytes;
  };
  await source.take({ onProgress });
  return read;
}

test('a flat folder that is renamed twice is read by no snapshot, and its runs stay as they were', async t => {
  const source = new ScratchSource(t);
  source.write({ ...filesOf('aaa', 40), ...filesOf('album', 900), ...filesOf('zzz', 40) });
  await settle(source);
  t.true((await readBytesOf(source)) > 0);
  const before = await parcelsBelow(source, 'album');
  t.true(before.length >= 8, `${before.length} runs`);
  for (const [from, to] of [
    ['album', 'mmm'],
    ['mmm', '000'],
  ] as const) {
    renameSync(source.path(from), source.path(to));
    t.is(await readBytesOf(source), 0);
    const after = new Set(await parcelsBelow(source, to));
    // The first and the last run have neighbours on the other side of the folder's border, and other ones now.
    const kept = before.filter(parcel => after.has(parcel)).length;
    t.true(kept >= before.length - 2, `${kept} of ${before.length} runs as they were`);
    const again = await source.take();
    t.is(again.reused, again.parcels);
  }
});

test('so are folders below it, and what in them has no content', async t => {
  const source = new ScratchSource(t);
  for (let n = 0; n < 60; n += 1) source.write({ ...filesOf(`home/${n}/photos`, 12), [`home/${n}/photos/empty`]: '' });
  for (let n = 0; n < 60; n += 1) symlinkSync(`../${n + 1}`, source.path('home', `${n}`, 'next'));
  await settle(source);
  await source.take();
  const before = await parcelsBelow(source, 'home');
  renameSync(source.path('home'), source.path('house'));
  t.is(await readBytesOf(source), 0);
  const after = new Set(await parcelsBelow(source, 'house'));
  const kept = before.filter(parcel => after.has(parcel)).length;
  t.true(before.length >= 8 && kept >= before.length - 2, `${kept} of ${before.length} runs as they were`);
});

test('a file that was moved in under the name of another is read', async t => {
  const source = new ScratchSource(t);
  source.write(filesOf('album', 20));
  await settle(source);
  await source.take();
  renameSync(source.path('album'), source.path('moved'));
  renameSync(source.path('moved', '7.jpg'), source.path('moved', '3.jpg'));
  t.is(await readBytesOf(source), contentOf('album/7.jpg').length);
  t.is(String((await source.entry('moved/3.jpg')).blob), hashHex(contentOf('album/7.jpg')));
});

test('a file that changed since is read, wherever it was moved', async t => {
  const source = new ScratchSource(t);
  source.write(filesOf('album', 20));
  await settle(source);
  await source.take();
  const { mtime } = statSync(source.path('album', '7.jpg'));
  writeFileSync(source.path('album', '7.jpg'), contentOf('album/7.jpg').reverse());
  source.setTime(join('album', '7.jpg'), mtime.getTime() / 1000);
  renameSync(source.path('album'), source.path('moved'));
  t.is(await readBytesOf(source), contentOf('album/7.jpg').length);
});
