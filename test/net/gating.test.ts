import test from 'ava';
import type { PeerName } from '../../src/core/ids.js';
import { Gating } from '../../src/net/gating.js';
import { BAN_MS, OFFENCES_MAX } from '../../src/net/offences.js';

const peer = '12D3Koo' as PeerName;

test.serial('a ban begins at once, and a wall clock that jumps neither ends it nor makes it longer', t => {
  const { now } = performance;
  const wall = Date.now;
  t.teardown(() => Object.assign(performance, { now }) && Object.assign(Date, { now: wall }));
  let [ranMs, wallMs] = [1_000, 1.8e12];
  performance.now = () => ranMs;
  Date.now = () => wallMs;
  const gating = new Gating({ isMember: () => true, strangersWelcome: () => true });
  for (let n = 1; n < OFFENCES_MAX; n += 1) t.false(gating.offended(peer));
  t.true(gating.admits(peer));
  t.true(gating.offended(peer));
  wallMs += 10 * BAN_MS;
  ranMs += BAN_MS - 1;
  t.false(gating.admits(peer));
  wallMs -= 1_000 * BAN_MS;
  ranMs += 1;
  t.true(gating.admits(peer));
});
