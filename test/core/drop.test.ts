import test from 'ava';
import { type DropView, decideDrop } from '../../src/core/drop.js';

const view = (changes: Partial<DropView> = {}): DropView => ({
  nowMs: 100_000,
  held: true,
  mayDrop: true,
  draining: false,
  emptied: false,
  copiesWanted: 2,
  grantable: 2,
  place: 0,
  surplus: 1,
  surplusSinceMs: 70_000,
  patienceMs: 30_000,
  turnMs: 1_000,
  heldTwice: false,
  lastSteady: false,
  relocated: false,
  pressed: false,
  notBeforeMs: Number.NEGATIVE_INFINITY,
  ...changes,
});

test('a surplus that has lasted is dropped, and one that has not waits for its time', t => {
  t.deepEqual(decideDrop(view()), { act: 'drop', because: 'surplus' });
  t.deepEqual(decideDrop(view({ nowMs: 99_999 })), { act: 'wait', untilMs: 100_000, because: 'young' });
});

test('while fewer than N others could grant it, the copy is needed', t => {
  t.deepEqual(decideDrop(view({ grantable: 1 })), { act: 'keep', because: 'needed' });
  t.deepEqual(decideDrop(view({ grantable: 1, pressed: true })), { act: 'keep', because: 'needed' });
  t.deepEqual(decideDrop(view({ grantable: 1, draining: true })), { act: 'keep', because: 'needed' });
});

test('who is pressed for room, or draining, waits for no age', t => {
  const young = { nowMs: 70_000 };
  t.deepEqual(decideDrop(view({ ...young, pressed: true })), { act: 'drop', because: 'pressed' });
  t.deepEqual(decideDrop(view({ ...young, draining: true, place: 5 })), { act: 'drop', because: 'draining' });
});

test('the last holder that does not roam keeps what is too many, unless it is pressed, leaves, or keeps another copy', t => {
  const last = { lastSteady: true };
  t.deepEqual(decideDrop(view(last)), { act: 'keep', because: 'last-steady' });
  t.is(decideDrop(view({ ...last, pressed: true })).act, 'drop');
  t.is(decideDrop(view({ ...last, draining: true })).act, 'drop');
  t.is(decideDrop(view({ ...last, relocated: true })).act, 'drop');
});

test('of several holders as many go at once as are too many; each after them waits one more turn', t => {
  t.is(decideDrop(view({ place: 1, surplus: 2 })).act, 'drop');
  t.deepEqual(decideDrop(view({ place: 1 })), { act: 'wait', untilMs: 101_000, because: 'turn' });
  t.deepEqual(decideDrop(view({ place: 2 })), { act: 'wait', untilMs: 102_000, because: 'turn' });
  t.is(decideDrop(view({ place: 2, nowMs: 102_000 })).act, 'drop');
});

test('the second copy of a host waits for its age, and for nobody else', t => {
  t.deepEqual(decideDrop(view({ heldTwice: true, place: 2 })), { act: 'drop', because: 'surplus' });
  t.is(decideDrop(view({ heldTwice: true, nowMs: 99_999 })).act, 'wait');
  t.deepEqual(decideDrop(view({ heldTwice: true, grantable: 1 })), { act: 'keep', because: 'needed' });
});

test('where fewer than N have it, the second copy of a host stays until its room is needed, or its store is to be emptied', t => {
  const few = { heldTwice: true, grantable: 1, nowMs: 70_000 };
  t.deepEqual(decideDrop(view(few)), { act: 'keep', because: 'needed' });
  t.deepEqual(decideDrop(view({ ...few, pressed: true })), { act: 'drop', because: 'pressed' });
  t.deepEqual(decideDrop(view({ ...few, draining: true, emptied: true })), { act: 'drop', because: 'draining' });
  t.deepEqual(decideDrop(view({ ...few, draining: true })), { act: 'keep', because: 'needed' });
  t.deepEqual(decideDrop(view({ ...few, grantable: 0, pressed: true })), { act: 'keep', because: 'needed' });
});

test('after an attempt in vain it rests', t => {
  t.deepEqual(decideDrop(view({ notBeforeMs: 100_001 })), { act: 'wait', untilMs: 100_001, because: 'back-off' });
  t.is(decideDrop(view({ notBeforeMs: 100_000 })).act, 'drop');
});

test('what is not held, not placed by anybody, or not this host’s to drop stays as it is', t => {
  t.deepEqual(decideDrop(view({ held: false })), { act: 'keep', because: 'not-held' });
  t.deepEqual(decideDrop(view({ copiesWanted: undefined })), { act: 'keep', because: 'not-placed' });
  t.deepEqual(decideDrop(view({ mayDrop: false })), { act: 'keep', because: 'may-not-drop' });
});
