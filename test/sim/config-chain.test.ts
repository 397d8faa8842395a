import test from 'ava';
import { adminsOf, areForked, goesBefore, isAdmin, revokedIn } from '../../sim/config-chain.js';
import type { SignedConfig } from '../../sim/host-disk.js';
import { DEFAULT_TIMING, type Member } from '../../src/core/cluster-config.js';
import { type HostId, parseClusterId, parseHostId, parsePeerName } from '../../src/core/ids.js';

const idOf = (n: number): HostId => parseHostId(n.toString(16).padStart(32, '0'));
const memberNumber = (n: number, changes: Partial<Member> = {}): Member => {
  const peer = parsePeerName('12D3KooWNzDUhhW2oYm2PzV5NhFpvFpgnzgYYN6Cc3TiJYAhS1Pi');
  const host = idOf(n);
  return { host, name: `h${n}`, peer, state: 'active', trust: 'trusted', domain: host, roaming: false, ...changes };
};
const members = [1, 2, 3].map(n => memberNumber(n));
const root: SignedConfig = {
  cluster: parseClusterId('c'.repeat(32)),
  version: 1,
  members,
  sources: [],
  timing: DEFAULT_TIMING,
  parent: undefined,
  hash: '0',
  signer: idOf(1),
  admins: adminsOf({ members }),
  revoked: revokedIn({ members }),
};
const next = (parent: SignedConfig, by: number, changes: Partial<SignedConfig> = {}): SignedConfig => {
  const content = { ...parent, ...changes };
  return {
    ...content,
    version: parent.version + 1,
    parent,
    signer: idOf(by),
    admins: adminsOf(content),
    revoked: revokedIn(content),
  };
};
const revoke = (of: readonly Member[], ...names: readonly string[]): readonly Member[] =>
  of.map(member => (names.includes(member.name) ? { ...member, state: 'revoked' } : member));

test('of one branch the later version goes before, of two the one whose signer comes first, however long they are', t => {
  const [low, high] = [next(root, 1), next(root, 2)];
  const long = next(next(high, 1), 1);
  t.deepEqual([goesBefore(low, root), goesBefore(root, low), goesBefore(long, high)], [true, false, true]);
  t.deepEqual([goesBefore(low, long), goesBefore(long, low)], [true, false]);
  t.false(goesBefore(low, low));
  t.deepEqual([areForked(low, long), areForked(high, long)], [true, false]);
});

test('the branch that takes a member out goes before one that does not, by whichever of its versions', t => {
  const low = next(root, 1);
  const edit = next(root, 2);
  const revoked = next(edit, 2, { members: revoke(members, 'h3') });
  for (const config of [revoked, next(revoked, 2)])
    t.deepEqual([goesBefore(config, low), goesBefore(low, config)], [true, false]);
  t.true(goesBefore(low, edit), 'up to there it does not');
  const untrusted = memberNumber(4, { trust: 'untrusted' });
  const ground = next(root, 1, { members: [...members, untrusted] });
  const shutOut = next(ground, 2, { members: revoke(ground.members, 'h4') });
  t.true(goesBefore(shutOut, next(ground, 1)), 'one that is no admin, too');
  const draining = next(root, 2, { members: members.map((member): Member => ({ ...member, state: 'draining' })) });
  t.false(goesBefore(draining, low));
});

test('what was taken out before the branches part counts for neither', t => {
  const ground = next(root, 1, { members: revoke(members, 'h3') });
  const [low, high] = [next(ground, 1), next(ground, 2)];
  t.deepEqual([goesBefore(low, high), goesBefore(high, low)], [true, false]);
});

test('whoever is revoked or not trusted is no admin', t => {
  const config = next(root, 1, { members: [...revoke(members, 'h2'), memberNumber(4, { trust: 'untrusted' })] });
  t.deepEqual(
    [1, 2, 3, 4].map(n => isAdmin(config, idOf(n))),
    [true, false, true, false],
  );
});
