import test from 'ava';
import { goesBefore } from '../../sim/config-chain.js';
import type { SignedConfig } from '../../sim/host-disk.js';
import { DEFAULT_TIMING, type Member } from '../../src/core/cluster-config.js';
import { parseClusterId, parseHostId, parsePeerName } from '../../src/core/ids.js';

const memberNumber = (n: number): Member => {
  const host = parseHostId(n.toString(16).padStart(32, '0'));
  const peer = parsePeerName('12D3KooWNzDUhhW2oYm2PzV5NhFpvFpgnzgYYN6Cc3TiJYAhS1Pi');
  return { host, name: `h${n}`, peer, state: 'active', trust: 'trusted', domain: host, roaming: false };
};
const root: SignedConfig = {
  cluster: parseClusterId('c'.repeat(32)),
  version: 1,
  hash: 'a'.repeat(64),
  members: [1, 2, 3].map(memberNumber),
  sources: [],
  timing: DEFAULT_TIMING,
  parent: undefined,
  precedence: 0,
};
const next = (parent: SignedConfig, precedence: number, members = parent.members): SignedConfig => ({
  ...parent,
  version: parent.version + 1,
  members,
  parent,
  precedence,
});
const revoke = (members: readonly Member[], ...names: readonly string[]): readonly Member[] =>
  members.map(member => (names.includes(member.name) ? { ...member, state: 'revoked' } : member));

test('of one branch the later version goes before, of two the one with the lower precedence, however long they are', t => {
  const [low, high] = [next(root, 1), next(root, 2)];
  const long = next(next(high, 0), 0);
  t.true(goesBefore(low, root));
  t.deepEqual([goesBefore(low, long), goesBefore(long, low)], [true, false]);
  t.false(goesBefore(low, low));
});

test('the branch that takes a member out goes before one that does not, by whichever of its versions', t => {
  const low = next(root, 1);
  const edit = next(root, 2);
  const revoked = next(edit, 0, revoke(root.members, 'h3'));
  for (const config of [revoked, next(revoked, 0)])
    t.deepEqual([goesBefore(config, low), goesBefore(low, config)], [true, false]);
  t.true(goesBefore(low, edit), 'up to there it does not');
  const both = next(low, 0, low.members.slice(1));
  t.deepEqual([goesBefore(both, revoked), goesBefore(revoked, both)], [true, false]);
  const draining = next(
    root,
    3,
    root.members.map((member): Member => ({ ...member, state: 'draining' })),
  );
  t.false(goesBefore(draining, low));
});

test('what was taken out before the branches part counts for neither', t => {
  const ground = next(root, 0, revoke(root.members, 'h3'));
  const [low, high] = [next(ground, 1), next(ground, 2)];
  t.deepEqual([goesBefore(low, high), goesBefore(high, low)], [true, false]);
  t.true(goesBefore(next(high, 0, revoke(high.members, 'h2')), low));
});
