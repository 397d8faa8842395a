import test, { type ExecutionContext } from 'ava';
import type { PeerName } from '../../src/core/ids.js';
import { Gating, STRANGERS_MAX, STRANGERS_PER_ADDRESS_MAX } from '../../src/net/gating.js';
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

test.serial('a stranger overstays after ten seconds on the steady clock, however it was seen to come', t => {
  const at = clocks(t);
  const gating = new Gating({ isMember: () => false, strangersWelcome: () => true });
  gating.strangerCame(peer, '10.0.0.1');
  at.wallMs -= 3_600_000;
  at.ranMs += 10_000;
  gating.strangerCame(peer, '10.0.0.1');
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

test('strangers of one address have a share of the places, and all have them together', t => {
  const gating = new Gating({ isMember: other => other === peer, strangersWelcome: () => true });
  const come = (name: string, address: string): boolean => {
    const isRefused = gating.refuses(name as PeerName, address);
    if (!isRefused) gating.strangerCame(name as PeerName, address);
    return !isRefused;
  };
  for (let n = 0; n < STRANGERS_PER_ADDRESS_MAX; n += 1) t.true(come(`a ${n}`, '10.0.0.1'));
  t.false(come('one too many', '10.0.0.1'));
  t.true(come('a 0', '10.0.0.1'), 'another connection takes no place');
  for (let n = STRANGERS_PER_ADDRESS_MAX; n < STRANGERS_MAX; n += 1) t.true(come(`b ${n}`, `10.0.1.${n}`));
  t.false(come('late', '10.0.2.1'));
  t.false(gating.refuses(peer, '10.0.0.1'), 'a member comes in all the same');
  gating.isNoStranger('a 0' as PeerName);
  t.true(come('late', '10.0.2.1'));
});
