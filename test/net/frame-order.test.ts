import test from 'ava';
import type { FrameNumber } from '../../src/core/frame-window.js';
import type { PeerName } from '../../src/core/ids.js';
import { type FrameMemory, FrameOrder } from '../../src/net/frame-order.js';

const ANN = '12D3KooWAnn' as PeerName;
const BEN = '12D3KooWBen' as PeerName;

test('frames of one writer rise, or were overtaken and come once; those of another are counted apart', t => {
  const order = new FrameOrder(undefined);
  t.is(order.admit(ANN, { boot: 2, frame: 5 }), 'newer');
  t.is(order.admit(ANN, { boot: 2, frame: 5 }), 'not-newer');
  t.is(order.admit(ANN, { boot: 2, frame: 4 }), 'overtaken');
  t.is(order.admit(ANN, { boot: 2, frame: 4 }), 'not-newer');
  t.deepEqual(order.last(ANN), { boot: 2, frame: 5 });
  t.is(order.admit(ANN, { boot: 2, frame: 7 }), 'newer');
  t.is(order.admit(BEN, { boot: 1, frame: 1 }), 'newer');
});

test('a new boot starts counting anew, and frames of the old one are told apart', t => {
  const order = new FrameOrder(undefined);
  order.admit(ANN, { boot: 2, frame: 500 });
  t.is(order.admit(ANN, { boot: 3, frame: 1 }), 'newer');
  t.is(order.admit(ANN, { boot: 2, frame: 499 }), 'older-boot');
  t.is(order.admit(ANN, { boot: 2, frame: 501 }), 'older-rising');
});

test('with a memory, nothing can be replayed after a restart', t => {
  const kept = new Map<PeerName, FrameNumber>();
  const memory: FrameMemory = { load: () => kept, save: (writer, last) => void kept.set(writer, last) };
  new FrameOrder(memory).admit(ANN, { boot: 2, frame: 5 });
  const again = new FrameOrder(memory);
  t.is(again.admit(ANN, { boot: 2, frame: 5 }), 'not-newer');
  t.is(again.admit(ANN, { boot: 2, frame: 4 }), 'not-newer');
  t.is(again.admit(ANN, { boot: 2, frame: 6 }), 'newer');
});
