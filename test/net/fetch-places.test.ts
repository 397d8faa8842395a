import test from 'ava';
import type { PeerName } from '../../src/core/ids.js';
import { type FetchPlace, FetchPlaces } from '../../src/net/fetch-places.js';

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
