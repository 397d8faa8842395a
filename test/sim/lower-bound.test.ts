import test from 'ava';
import { type BoundHost, lowerBoundS, sendingBoundS } from '../../sim/lower-bound.js';

const host = (changes: Partial<BoundHost> = {}): BoundHost => ({
  uploadBytesPerS: 100,
  downloadBytesPerS: 100,
  roomBytes: 1e9,
  ownBytes: 0,
  takesBytes: 1e9,
  ...changes,
});

test('all links together bring what is missing', t => {
  t.is(lowerBoundS([host(), host()], 2_000), 10);
  t.is(lowerBoundS([host()], 0), 0);
});

test('an origin sends all of its own', t => {
  t.is(lowerBoundS([host({ ownBytes: 1_500 }), host()], 2_000), 15);
});

test('a host takes no more than it has room for, and the others the rest', t => {
  t.is(lowerBoundS([host({ roomBytes: 500 }), host()], 2_000), 15);
});

test('a host takes no more than there is for it', t => {
  t.is(lowerBoundS([host({ takesBytes: 0 }), host()], 2_000), 20);
});

test('where all take all that there is for them, the one with most of it ends last', t => {
  const takes = [4_207_908_498, 4_579_278_444, 3_605_019_544];
  const hosts = takes.map(takesBytes =>
    host({ downloadBytesPerS: 1e8, roomBytes: 1e10, uploadBytesPerS: 1e12, takesBytes }),
  );
  t.is(lowerBoundS(hosts, 12_392_206_486).toFixed(6), '45.792784');
});

test('without the room there is no such time', t => {
  t.is(lowerBoundS([host({ roomBytes: 500 }), host({ roomBytes: 500 })], 2_000), Number.POSITIVE_INFINITY);
});

test('a parcel leaves over the links of those who have it, and a host alone sends what only it has', t => {
  const [a, b] = [host(), host({ uploadBytesPerS: 300 })];
  t.is(sendingBoundS([]), 0);
  t.is(sendingBoundS([{ bytes: 4_000, sources: [a, b] }]), 10);
  const onlyA = { bytes: 600, sources: [a] };
  t.is(sendingBoundS([{ bytes: 4_000, sources: [a, b] }, onlyA, onlyA]), 12);
});
