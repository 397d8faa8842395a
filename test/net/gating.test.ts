import test, { type ExecutionContext } from 'ava';
import type { PeerName } from '../../src/core/ids.js';
import { Gating } from '../../src/net/gating.js';
import { BAN_MS, OFFENCES_MAX } from '../../src/net/offences.js';

const peer = '12D3Koo' as PeerName;

/** The two clocks of this machine, moved by the test. */
function clocks(t: ExecutionContext): { ranMs: number; wallMs: number } {
  const { now } = performance;
  const wall = Date.now;
  t.teardown(() => Object.assign(performance, { now }) && Object.assign(Date, { now: wall }));
  const at = { ranMs: 1_000, wallMs: 1.8e12 };
  performance.now = () => at.ranMs;
  Date.now = () => at.wallMs;
  return at;
}

test.serial('a stranger overstays after a minute on the steady clock, however it was seen to come', t => {
  const at = clocks(t);
  const gating = new Gating({ isMember: () => false, strangersWelcome: () => true });
  gating.strangerCame(peer);
  at.wallMs -= 3_600_000;
  at.ranMs += 60_000;
  gating.strangerCame(peer);
  t.false(gating.overstays(peer));
  at.ranMs += 1;
  t.true(gating.overstays(peer));
  gating.isNoStranger(peer);
  t.false(gating.overstays(peer));
});

test.serial('a ban begins at once, and a wall clock that jumps neither ends it nor makes it longer', t => {
  const at = clocks(t);
  const gating = new Gating({ isMember: () => true, strangersWelcome: () => true });
  for (let n = 1; n < OFFENCES_MAX; n += 1) t.false(gating.offended(peer));
  t.true(gating.admits(peer));
  t.true(gating.offended(peer));
  at.wallMs += 10 * BAN_MS;
  at.ranMs += BAN_MS - 1;
  t.false(gating.admits(peer));
  at.wallMs -= 1_000 * BAN_MS;
  at.ranMs += 1;
  t.true(gating.admits(peer));
});
