/** Live parcels: the possession that the origin computes is the one that a holder's store gives, or none. */
import { join } from 'node:path';
import test from 'ava';
import { recordBlobs } from '../../src/catalog/record.js';
import { findEntry } from '../../src/catalog/walk.js';
import { type ParcelId, parseHostId, parseNonce } from '../../src/core/ids.js';
import { LiveParcels } from '../../src/daemon/live-parcels.js';
import { readParcel } from '../../src/store/possess.js';
import { aSource, ScratchSource } from '../catalog/scratch-source.js';

const HOLDER = parseHostId('2'.repeat(32));
const NONCE = parseNonce('3'.repeat(32));
const { signal } = new AbortController();

test('the live files give what a holder of them must answer, until one of them changes', async t => {
  const source = new ScratchSource(t);
  source.write({
    'a.txt': 'one',
    'b.txt': 'two',
    'again.txt': 'one',
    'large.bin': 'x'.repeat(700_000),
    'empty.txt': '',
  });
  await source.take();
  const found = await findEntry(source.objects, source.last as never, Buffer.from('b.txt'));
  const parcel = found?.parcel as ParcelId;
  const torn: string[] = [];
  const live = new LiveParcels({
    catalog: source.objects,
    cache: source.cache,
    ownSource: () => ({ source: aSource, path: source.root }),
    renamed: () => undefined,
    onTorn: ({ path }) => void torn.push(path.toString()),
  });
  const ask = () => live.possession({ parcel, nonce: NONCE, holder: HOLDER }, signal);

  const record = (await source.objects.get(parcel)) as Uint8Array;
  const names = ['a.txt', 'b.txt', 'large.bin'];
  const refs = recordBlobs(record);
  t.is(refs.length, names.length);
  const byBlob = new Map(refs.map(({ blob }, n) => [blob, join(source.root, names[n] as string)]));
  const held = await readParcel(refs, blob => byBlob.get(blob) as string, { nonce: NONCE, holders: [HOLDER] });
  t.is(held.kind, 'whole');
  t.is(await ask(), held.kind === 'whole' ? held.possessions.get(HOLDER) : undefined);
  t.deepEqual(torn, []);

  source.write({ 'large.bin': 'y'.repeat(700_000) });
  t.is(await ask(), undefined);
  t.deepEqual(torn, ['large.bin']);
});

test('of a parcel of another origin the files say nothing', async t => {
  const source = new ScratchSource(t);
  source.write({ 'a.txt': 'one' });
  await source.take();
  const found = await findEntry(source.objects, source.last as never, Buffer.from('a.txt'));
  const live = new LiveParcels({
    catalog: source.objects,
    cache: source.cache,
    ownSource: () => undefined,
    renamed: () => undefined,
    onTorn: () => t.fail(),
  });
  t.is(await live.possession({ parcel: found?.parcel as ParcelId, nonce: NONCE, holder: HOLDER }, signal), undefined);
});
