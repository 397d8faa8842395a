import test from 'ava';
import type { PeerName } from '../../src/core/ids.js';
import { PeerClocks } from '../../src/net/peer-clocks.js';

const WALL_MS = 1_800_000_000_000;
const peer = (name: string): PeerName => name as PeerName;

test('our clock is held against the median of the others', t => {
  const clocks = new PeerClocks();
  t.is(clocks.aheadMs(WALL_MS, 0), undefined);
  clocks.hear(peer('a'), WALL_MS - 5_000, 0);
  t.is(clocks.aheadMs(WALL_MS, 0), 5_000);
  clocks.hear(peer('b'), WALL_MS + 1_000, 0);
  t.is(clocks.aheadMs(WALL_MS, 0), 2_000);
  clocks.hear(peer('c'), WALL_MS + 1e12, 0);
  t.is(clocks.aheadMs(WALL_MS, 0), -1_000, 'one that is mad decides nothing');
});

test('a jump of our own clock shows before anybody is heard again', t => {
  const clocks = new PeerClocks();
  clocks.hear(peer('a'), WALL_MS, 1_000);
  t.is(clocks.aheadMs(WALL_MS + 60_000, 61_000), 0);
  t.is(clocks.aheadMs(WALL_MS + 60_000 - 7_200_000, 61_000), -7_200_000);
});

test('who was not heard of for an hour says nothing', t => {
  const clocks = new PeerClocks();
  clocks.hear(peer('a'), WALL_MS, 0);
  t.is(clocks.aheadMs(WALL_MS + 3_600_001, 3_600_001), undefined);
});
