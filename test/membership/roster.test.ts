import test from 'ava';
import fc from 'fast-check';
import { sourceIdOf } from '../../src/core/ids.js';
import { withRevoked } from '../../src/membership/content-change.js';
import { freeName, hostNameFrom, memberFrom, settleAdmissions, toClusterConfig } from '../../src/membership/roster.js';
import { law } from '../helpers/law.js';
import { admission, found, hostOf, invitation, memberOf, newKey, next, revocationOf } from './cast.js';

test('a machine name is made fit for the cluster', t => {
  t.is(hostNameFrom("Ann's iMac.local"), 'ann-s-imac');
  t.is(hostNameFrom('RASPBERRYPI'), 'raspberrypi');
  t.is(hostNameFrom('--x--'), 'x');
  t.is(hostNameFrom('日本'), 'host');
  t.is(hostNameFrom(''), 'host');
  t.is(hostNameFrom(`${'x'.repeat(62)}-y`), 'x'.repeat(62));
});

test('a taken name gets -2, then -3, and stays within 63 characters', t => {
  t.is(freeName('pi', new Set()), 'pi');
  t.is(freeName('pi', new Set(['pi'])), 'pi-2');
  t.is(freeName('pi', new Set(['pi', 'pi-2'])), 'pi-3');
  const long = 'x'.repeat(63);
  t.is(freeName(long, new Set([long])), `${'x'.repeat(61)}-2`);
});

test('an admitted host is provisional until an admin has written it, and then active under the same name', t => {
  const admin = newKey();
  const guest = newKey();
  const home = found([admin]);
  const admitted = admission(invitation(home, admin), guest, admin, 'a1');
  const before = toClusterConfig(home, [admitted]);
  t.like(before.members[1], { host: hostOf(guest), name: 'a1-2', state: 'provisional', trust: 'trusted' });
  const [waiting] = settleAdmissions(home, [admitted]).provisional;
  if (waiting === undefined) return t.fail();
  const written = next(home, admin, { members: [...home.members, memberFrom(waiting)] });
  const after = toClusterConfig(written, [admitted]);
  t.like(after.members[1], { host: hostOf(guest), name: 'a1-2', state: 'active' });
  t.is(after.members.length, 2);
});

test('of two hosts admitted on one use, the one with the lower hash has it, whoever is asked and in any order', t => {
  const admin = newKey();
  const home = found([admin]);
  const single = invitation(home, admin);
  const both = [admission(single, newKey(), admin), admission(single, newKey(), admin)];
  const [low, high] = both.toSorted((a, b) => (a.hash < b.hash ? -1 : 1));
  for (const order of [both, both.toReversed()]) {
    const { provisional, refused } = settleAdmissions(home, order);
    t.deepEqual(
      provisional.map(({ admission: { hash } }) => hash),
      [low?.hash ?? ''],
    );
    t.deepEqual(
      refused.map(({ admission: { hash }, because }) => ({ hash, because })),
      [{ hash: high?.hash ?? '', because: 'used-up' }],
    );
  }
});

test('a use that was written down is taken, even from a lower hash that comes later', t => {
  const admin = newKey();
  const home = found([admin]);
  const single = invitation(home, admin);
  const both = [admission(single, newKey(), admin), admission(single, newKey(), admin)];
  const [low, high] = both.toSorted((a, b) => (a.hash < b.hash ? -1 : 1));
  if (low === undefined || high === undefined) return t.fail();
  const written = next(home, admin, { members: [...home.members, memberFrom({ admission: high, name: 'guest' })] });
  const { provisional, refused } = settleAdmissions(written, [low, high]);
  t.deepEqual(provisional, []);
  t.like(refused[0], { because: 'used-up' });
});

test('never more hosts than an invite has uses, never two of one name, and the order of hearing does not matter', t => {
  const admin = newKey();
  const home = found([admin]);
  law(
    t,
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.constantFrom('pi', 'mac', 'a1'), { maxLength: 6 }),
      fc.nat(),
      (uses, wanted, turn) => {
        const made = invitation(home, admin, { uses });
        const admissions = wanted.map(name => admission(made, newKey(), admin, name));
        const at = admissions.length === 0 ? 0 : turn % admissions.length;
        const one = settleAdmissions(home, admissions);
        const other = settleAdmissions(home, [...admissions.slice(at), ...admissions.slice(0, at)]);
        const names = ['a1', ...one.provisional.map(({ name }) => name)];
        return (
          one.provisional.length === Math.min(uses, wanted.length) &&
          one.provisional.length + one.refused.length === wanted.length &&
          new Set(names).size === names.length &&
          JSON.stringify(one.provisional.map(({ name, admission: { hash } }) => [name, hash])) ===
            JSON.stringify(other.provisional.map(({ name, admission: { hash } }) => [name, hash]))
        );
      },
    ),
    { numRuns: 30 },
  );
});

test('one host admitted twice, by two members, takes one use', t => {
  const [admin, second] = [newKey(), newKey()];
  const home = found([admin], { members: [memberOf(admin, 'a1'), memberOf(second, 'b')] });
  const made = invitation(home, admin);
  const guest = newKey();
  const { provisional, refused } = settleAdmissions(home, [
    admission(made, guest, admin),
    admission(made, guest, second),
  ]);
  t.is(provisional.length, 1);
  t.deepEqual(refused, []);
});

test('who is admitted by a stranger, a provisional, an untrusted or a revoked member, or on the word of no admin, is refused', t => {
  const [admin, pupil, gone, guest] = [newKey(), newKey(), newKey(), newKey()];
  const home = found([admin], {
    members: [
      memberOf(admin, 'a1'),
      memberOf(pupil, 'pupil', { trust: 'untrusted' }),
      memberOf(gone, 'gone', { state: 'revoked' }),
    ],
  });
  const made = invitation(home, admin, { uses: 9 });
  for (const admitter of [newKey(), pupil, gone]) {
    t.like(settleAdmissions(home, [admission(made, guest, admitter)]).refused[0], { because: 'not-valid-here' });
  }
  const provisional = newKey();
  const chain = [admission(made, provisional, admin), admission(made, guest, provisional)];
  t.deepEqual(
    settleAdmissions(home, chain).provisional.map(({ admission: { host } }) => host),
    [hostOf(provisional)],
  );
  t.like(settleAdmissions(home, [admission(invitation(home, pupil), guest, admin)]).refused[0], {
    because: 'not-valid-here',
  });
});

test('the machine sees the last valid head of each source of a revoked host, and of those of which none is valid', t => {
  const [admin, laptop] = [newKey(), newKey()];
  const sections =
    'laptop: { sources: { pics: { path: /pics }, docs: { path: /docs } } }, a1: { sources: { s: { path: /s } } }';
  const home = found([admin], {
    members: [memberOf(admin, 'a1'), memberOf(laptop, 'laptop')],
    policyText: `cluster: home\nhosts: { ${sections} }\n`,
  });
  const heads = [{ source: sourceIdOf(hostOf(laptop), 'pics'), seq: 7, hash: 'ab'.repeat(32) }];
  const revoked = next(home, admin, withRevoked(home, [{ ...revocationOf(laptop), heads }]));
  const lastOf = (of: typeof home) => toClusterConfig(of, []).sources.map(({ lastSeq }) => lastSeq);
  t.deepEqual(
    [lastOf(home), lastOf(revoked)],
    [
      [undefined, undefined, undefined],
      [undefined, 7, 0],
    ],
  );
});

test('once a host is revoked nobody comes by its invite who is not written down, and by another one as before', t => {
  const [admin, laptop, pi, late] = [newKey(), newKey(), newKey(), newKey()];
  const home = found([admin]);
  const [five, other] = [invitation(home, admin, { uses: 5 }), invitation(home, admin)];
  const came = [laptop, pi].map((key, n) => memberOf(key, `h${n}`, { invite: five.invite.id }));
  const written = next(home, admin, { members: [...home.members, ...came] });
  const waiting = [admission(five, late, admin), admission(other, newKey(), admin)];
  t.is(settleAdmissions(written, waiting).provisional.length, 2);
  const revoked = next(written, admin, withRevoked(written, [revocationOf(laptop)]));
  const { provisional, refused } = settleAdmissions(revoked, waiting);
  t.deepEqual(
    [provisional.map(({ admission: { invite } }) => invite.id), refused.map(({ because }) => because)],
    [[other.invite.id], ['invite-closed']],
  );
  t.is(toClusterConfig(revoked, waiting).members.find(({ host }) => host === hostOf(pi))?.state, 'active');
});

test('a key that was revoked does not come back by a new invite', t => {
  const [admin, gone] = [newKey(), newKey()];
  const { host, peer } = memberOf(gone, 'gone');
  const home = found([admin], { revoked: [{ host, peer, heads: [] }] });
  t.like(settleAdmissions(home, [admission(invitation(home, admin), gone, admin)]).refused[0], {
    because: 'key-taken',
  });
});

test('the machine sees domains, roaming, sources of members, archived sources and timing', t => {
  const [admin, guest] = [newKey(), newKey()];
  const archived = { source: sourceIdOf(hostOf(admin), 'old'), copies: 4 };
  const home = found([admin], {
    archived: [archived],
    policyText: `cluster: home
defaults: { copies: 3 }
hosts:
  a1: { domain: attic, roaming: true, sources: { docs: { path: /d }, pics: { path: /p, copies: 1 } } }
  guest: { sources: { later: { path: /l } } }
timing: { heartbeat: 2s }
`,
  });
  const { members, sources, timing } = toClusterConfig(home, [admission(invitation(home, admin), guest, admin)]);
  t.like(members[0], { domain: 'attic', roaming: true });
  t.like(members[1], { domain: hostOf(guest), roaming: false });
  t.deepEqual(sources, [
    archived,
    { source: sourceIdOf(hostOf(admin), 'docs'), copies: 3 },
    { source: sourceIdOf(hostOf(admin), 'pics'), copies: 1 },
  ]);
  t.is(timing.heartbeatMs, 2000);
});
