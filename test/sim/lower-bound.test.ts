import test from 'ava';
import { type BoundHost, lowerBoundS } from '../../sim/lower-bound.js';

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

test('without the room there is no such time', t => {
  t.is(lowerBoundS([host({ roomBytes: 500 }), host({ roomBytes: 500 })], 2_000), Number.POSITIVE_INFINITY);
});
