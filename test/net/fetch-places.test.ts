/** Fetch places: how many answers a peer has at once, which go first, and what it hears when there are no more. */
import test from 'ava';
import { type PeerName, parseBlobId, parseParcelId } from '../../src/core/ids.js';
import { type FetchPlace, FetchPlaces } from '../../src/net/fetch-places.js';
import { askFetch, type FetchPurpose, serveFetch } from '../../src/net/fetch-protocol.js';
import { type Host, House, until } from './fleet.js';

const [ANN, BOB] = ['12D3KooWAnn', '12D3KooWBob'] as [PeerName, PeerName];

/** All that a peer can take at once. */
function takeAll(places: FetchPlaces, peer: PeerName, isUrgent: boolean): FetchPlace[] {
  const taken: FetchPlace[] = [];
  for (let place = places.take(peer, { isUrgent }); place !== undefined; place = places.take(peer, { isUrgent }))
    taken.push(place);
  return taken;
}

test('restores have places that other fetches cannot take, and no other peer can', t => {
  const places = new FetchPlaces();
  t.is(takeAll(places, ANN, false).length, 16);
  t.deepEqual(
    takeAll(places, ANN, true).map(({ isUrgent }) => isUrgent),
    [true, true, true, true],
  );
  t.is(takeAll(places, BOB, false).length, 16);
});

test('a peer that calls everything a restore gets four that go first, and no more than others in all', t => {
  const places = new FetchPlaces();
  const taken = takeAll(places, ANN, true);
  t.is(taken.length, 20);
  t.deepEqual(
    taken.map(({ isUrgent }) => isUrgent),
    taken.map((_, n) => n < 4),
  );
  t.is(places.take(ANN, { isUrgent: false }), undefined);
  taken[19]?.leave();
  t.false(places.take(ANN, { isUrgent: true })?.isUrgent);
  taken[0]?.leave();
  t.true(places.take(ANN, { isUrgent: true })?.isUrgent);
  t.is(places.take(ANN, { isUrgent: true }), undefined);
});

test('a peer that has all its places is told to come again, and its stream stays', async t => {
  const [a, b] = (await new House(t).clique(2)) as [Host, Host];
  let go: () => void = () => undefined;
  const gate = new Promise<void>(resolve => {
    go = resolve;
  });
  let begun = 0;
  const provide = async ({ blobs }: { readonly blobs: readonly string[] }) =>
    ({
      kind: 'blobs',
      parts: (async function* () {
        begun += 1;
        await gate;
        for (const blob of blobs) yield { blob: parseBlobId(blob), gone: true } as const;
      })(),
    }) as const;
  await serveFetch(b.net, provide, () => false);
  const [parcel, blob] = [parseParcelId('cd'.repeat(32)), parseBlobId('ab'.repeat(32))];
  const ask = async (purpose: FetchPurpose) => {
    const kinds: string[] = [];
    for await (const { kind } of askFetch(a.net, b.net.peer, { parcel, blobs: [blob], purpose })) kinds.push(kind);
    return kinds;
  };
  const held = Array.from({ length: 16 }, () => ask('grab'));
  await until(() => begun === 16, 'all places of other fetches to be taken');
  held.push(...Array.from({ length: 4 }, () => ask('restore')));
  await until(() => begun === 20, 'those of a restore, too');
  t.deepEqual(await ask('restore'), ['busy']);
  t.deepEqual(await ask('grab'), ['busy']);
  go();
  t.deepEqual(await Promise.all(held), Array(20).fill(['gone']));
  t.deepEqual(await ask('restore'), ['gone']);
});
