/** Replacement: that one machine takes the place of another, in the content of a configuration and in what follows from it. */
import test from 'ava';
import { decode } from 'cborg';
import { parseSourceId, sourceIdOf } from '../../src/core/ids.js';
import { firstSeqAfter } from '../../src/core/own-heads.js';
import { changesBetween } from '../../src/membership/config-history.js';
import { ConfigStore } from '../../src/membership/config-store.js';
import {
  type Configuration,
  type ConfigurationMember,
  contentOf,
  isWholeFor,
  REPLACED_MAX,
  REVOKED_HEADS_MAX,
  type Revocation,
  readVersion,
  versionFor,
} from '../../src/membership/configuration.js';
import { withRevoked } from '../../src/membership/content-change.js';
import { decideAdmission } from '../../src/membership/decide-admission.js';
import { membershipAlarms } from '../../src/membership/membership-alarms.js';
import { hostIn, identityIn, type ReplacementOrder, withReplaced } from '../../src/membership/replacement.js';
import { Roll } from '../../src/membership/roll.js';
import { settleAdmissions, toClusterConfig } from '../../src/membership/roster.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { admission, found, hostOf, invitation, type Key, memberOf, NOON_MS, newKey, next } from './cast.js';

const [admin, old, fresh, nas] = [newKey(), newKey(), newKey(), newKey()];
const [OLD_INVITE, FRESH_INVITE] = ['ab'.repeat(16), 'cd'.repeat(16)];
const WORK = sourceIdOf(hostOf(old), 'work');
const HEADS = [{ source: WORK, seq: 7, hash: 'ef'.repeat(32) }];
const POLICY = `cluster: home
hosts:
  pi:
    stores: [{ path: /s }]
    sources: { work: { path: /work } }
`;

const home = found([admin], {
  members: [
    memberOf(admin, 'imac'),
    memberOf(old, 'pi', { invite: OLD_INVITE, state: 'draining', addresses: ['/ip4/192.168.1.2/tcp/4747'] }),
    memberOf(nas, 'nas'),
    memberOf(fresh, 'pi-2', { invite: FRESH_INVITE, addresses: ['/ip4/192.168.1.3/tcp/4747'] }),
  ],
  policyText: POLICY,
});

const hexOf = (key: Key): string => Buffer.from(key.publicKey).toString('hex');

function replaced(
  before: Configuration = home,
  order: Partial<ReplacementOrder> = {},
  { signer = admin, at = admin }: { readonly signer?: Key; readonly at?: Key } = {},
): Configuration {
  const content = withReplaced(
    contentOf(before),
    { host: 'pi', by: 'pi-2', heads: HEADS, hasHistory: false, ...order },
    { policy: before.policy, signer: hostOf(at), key: () => hexOf(signer) },
  );
  return next(before, signer, content);
}

const after = replaced();
const [oldPeer, freshPeer] = [memberOf(old, 'x').peer, memberOf(fresh, 'x').peer];

test('the host keeps its id, name, trust and state, and has the key and the addresses of the machine that takes its place', t => {
  t.deepEqual(
    after.members.map(({ name }) => name),
    ['imac', 'pi', 'nas'],
  );
  t.deepEqual(
    after.members[1],
    memberOf(old, 'pi', {
      peer: freshPeer,
      invite: FRESH_INVITE,
      state: 'draining',
      addresses: ['/ip4/192.168.1.3/tcp/4747'],
    }),
  );
  t.deepEqual(after.replaced, [{ host: hostOf(old), peer: oldPeer, heads: HEADS, invite: OLD_INVITE }]);
  t.deepEqual([after.revoked, after.archived, after.policyText], [[], [], POLICY]);
  t.deepEqual(changesBetween(home, after), ['pi goes on as the machine that joined as pi-2']);
  // What the machine’s decisions depend on: the same hosts and sources, and which heads nobody is to have.
  const { members, sources } = toClusterConfig(after, []);
  t.deepEqual(
    members.map(({ host }) => host),
    [hostOf(admin), hostOf(old), hostOf(nas)],
  );
  t.deepEqual(sources, [{ source: WORK, copies: 2, lastSeq: 7, goesOnSeq: firstSeqAfter(7) }]);
  const revoked = next(after, admin, withRevoked(after, [without(memberOf(fresh, 'pi', { host: hostOf(old) }))]));
  t.deepEqual(toClusterConfig(revoked, []).sources, [{ source: WORK, copies: 2, lastSeq: 7 }]);
});

test('a version in which nothing was replaced is written as before there was replacing, and one in which it was reads back', t => {
  t.is(decode(home.body).length, 11);
  t.deepEqual(home.replaced, []);
  t.is(decode(after.body).length, 14);
  t.deepEqual(readVersion(after.raw).replaced, after.replaced);
  const forgot = next(home, admin, { forgotten: [{ source: parseSourceId(`${hostOf(nas)}/old`), seq: 9 }] });
  t.is(decode(forgot.body).length, 13);
  t.like(replaced(forgot), { forgotten: forgot.forgotten, replaced: after.replaced });
});

test('a machine that is a member has no key that was replaced, and no key was replaced twice', t => {
  const members = after.members.map(member => (member.name === 'nas' ? { ...member, peer: oldPeer } : member));
  t.throws(() => next(after, admin, { members }), { code: 'MALFORMED', message: /a member with a replaced key/ });
  t.throws(() => next(after, admin, { replaced: [...after.replaced, ...after.replaced] }), { code: 'MALFORMED' });
});

test('so many machines can be replaced, and so many heads be written down, and one more is refused with what to do', t => {
  const formers = Array.from({ length: REPLACED_MAX }, () => ({ ...after.replaced[0], heads: [] }) as const).map(
    former => ({ ...former, host: hostOf(old), peer: memberOf(newKey(), 'x').peer, invite: undefined }),
  );
  const full = next(home, admin, { replaced: formers.slice(1) });
  t.is(replaced(full).replaced.length, REPLACED_MAX);
  t.throws(() => replaced(next(home, admin, { replaced: formers })), {
    code: 'REPLACED_FULL',
    message:
      /^1000 machines of this cluster were replaced.*nothing was changed, and both machines are members.*revoke the old one$/,
  });
  const heads = (count: number) =>
    Array.from({ length: count }, (_, n) => ({
      source: sourceIdOf(hostOf(old), `s${n}`),
      seq: 1,
      hash: 'cd'.repeat(32),
    }));
  t.is(replaced(home, { heads: heads(REVOKED_HEADS_MAX) }).replaced[0]?.heads.length, REVOKED_HEADS_MAX);
  t.throws(() => replaced(home, { heads: heads(REVOKED_HEADS_MAX + 1) }), {
    code: 'REPLACED_FULL',
    message: /1001 sources.*both machines are members as before\. Let go of its archived sources first/,
  });
});

test('a machine that has anything of its own, is another in trust, or is not there takes nobody’s place', t => {
  const refusals: readonly (readonly [RegExp, () => unknown])[] = [
    [/^pi cannot take its own place/, () => replaced(home, { by: 'pi' })],
    [/^imac is this host: do it on another one/, () => replaced(home, { host: 'imac' })],
    [/^pi-2 is this host: do it on another one/, () => replaced(home, {}, { at: fresh })],
    [/^pi-2 has backed up sources of its own: .*new state folder/, () => replaced(home, { hasHistory: true })],
    [
      /^pi-2 has backed up sources/,
      () => replaced(next(home, admin, { archived: [{ source: sourceIdOf(hostOf(fresh), 'x'), copies: 1 }] })),
    ],
    [
      /^pi-2 has an admin key/,
      () => replaced(next(home, admin, { admins: [...home.admins, { key: hexOf(fresh), host: hostOf(fresh) }] })),
    ],
    ...['stores: [{ path: /t }]', 'sources: { x: { path: /x } }'].map(
      part =>
        [
          /^pi-2 has stores or sources of its own in the policy: take hosts\.pi-2 out/,
          () => replaced(next(home, admin, { policyText: `${POLICY}  pi-2: { ${part} }\n` })),
        ] as const,
    ),
    [
      /^pi is trusted, and pi-2 is untrusted: .*'--trust trusted'/,
      () => {
        const members = home.members.map(member =>
          member.name === 'pi-2' ? ({ ...member, trust: 'untrusted' } as const) : member,
        );
        return replaced(next(home, admin, { members }));
      },
    ],
  ];
  for (const [message, act] of refusals) {
    const error = t.throws(act, { code: 'REPLACE_REFUSED', message });
    t.regex(error?.message ?? '', /\. Nothing was changed$/);
  }
  for (const order of [{ host: 'none' }, { by: 'none' }])
    t.throws(() => replaced(home, order), { code: 'NO_SUCH_HOST' });
  const members = home.members.map(member =>
    member.name === 'pi' ? ({ ...member, state: 'revoked' } as const) : member,
  );
  t.throws(() => replaced(next(home, admin, { members })), { code: 'NO_SUCH_HOST', message: /"pi" was revoked/ });
  t.notThrows(() => replaced(next(home, admin, { policyText: `${POLICY}  pi-2: { domain: lab }\n` })));
});

test('the admin key of a machine that is replaced goes, unless it is the one that signs, which stays where it is now', t => {
  const both = next(home, admin, { admins: [...home.admins, { key: hexOf(old), host: hostOf(old) }] });
  t.deepEqual(replaced(both).admins, home.admins);
  t.deepEqual(replaced(both, {}, { signer: old, at: nas }).admins, [
    ...home.admins,
    { key: hexOf(old), host: hostOf(nas) },
  ]);
  const only = found([old], { members: home.members, policyText: POLICY });
  t.deepEqual(replaced(only, {}, { signer: old, at: nas }).admins, [{ key: hexOf(old), host: hostOf(nas) }]);
  const theirs = next(home, admin, { admins: [{ key: hexOf(old), host: hostOf(old) }] });
  const orphaned = () =>
    withReplaced(
      contentOf(theirs),
      { host: 'pi', by: 'pi-2', heads: [], hasHistory: false },
      { policy: theirs.policy, signer: hostOf(nas), key: () => hexOf(admin) },
    );
  t.throws(orphaned, { code: 'LAST_ADMIN', message: /pi is the only host with an admin key.*replace pi there/ });
});

test('a machine is the host that its key belongs to, also when that was replaced, and else the one that it was at first', t => {
  t.is(hostIn(after, freshPeer), hostOf(old));
  t.is(hostIn(home, freshPeer), hostOf(fresh));
  // A fork has undone both that it was written down and that it took that place.
  const undone = found([admin]);
  t.is(hostIn(undone, freshPeer), hostOf(fresh));
  const running = { host: hostOf(old), peer: freshPeer, seed: fresh.seed, signer: fresh };
  t.is(identityIn(undone, running).host, hostOf(fresh));
  t.is(hostIn(after, memberOf(nas, 'x').peer), hostOf(nas));
  const third = newKey();
  const joined = next(after, admin, { members: [...after.members, memberOf(third, 'pi-2')] });
  const twice = replaced(joined);
  t.is(hostIn(twice, memberOf(third, 'x').peer), hostOf(old));
  t.is(hostIn(twice, freshPeer), hostOf(old));
  t.deepEqual(
    twice.replaced.map(({ peer }) => peer),
    [oldPeer, freshPeer],
  );
});

const rollOf = (key: Key, configuration: Configuration, host = hostOf(key)) =>
  new Roll({
    identity: { host, peer: memberOf(key, 'x').peer, seed: key.seed, signer: key },
    store: { standing: configuration },
    admissions: { values: () => [].values() },
  });

test('the old key is a stranger’s for all others, and for the machine that has it its host is revoked', t => {
  const others = rollOf(admin, after);
  t.deepEqual([others.isMember(oldPeer), others.isMember(freshPeer)], [false, true]);
  t.is(others.readerOf(oldPeer), undefined);
  t.is(others.readerOf(freshPeer)?.host, hostOf(old));
  t.like(rollOf(fresh, after, hostOf(old)).self, { name: 'pi', standing: 'draining' });
  const gone = rollOf(old, after);
  t.like(gone.self, { name: 'pi', standing: 'revoked' });
  t.false(gone.isMember(freshPeer));
  const alarmsOf = (key: Key) =>
    membershipAlarms({
      self: { host: hostOf(old), peer: memberOf(key, 'x').peer },
      configuration: after,
      refused: [],
      lost: [],
      shutOut: [],
      hasUnreadable: false,
      unwritten: { versions: [], because: '' },
      notAbsorbed: undefined,
      clockMs: NOON_MS,
    });
  t.regex(
    alarmsOf(old).join(),
    /^another machine goes on as pi, and the key of this one is shut out.*new state folder$/,
  );
  t.deepEqual(alarmsOf(fresh), []);
});

test('nobody joins by the token of a machine that was replaced, nor with its key; a use that was taken stays taken', t => {
  const made = invitation(home, admin, { uses: 3 });
  const joined = next(home, admin, {
    members: home.members.map(member => (member.name === 'pi' ? { ...member, invite: made.invite.id } : member)),
  });
  const guest = newKey();
  t.is(settleAdmissions(joined, [admission(made, guest, admin)]).provisional.length, 1);
  t.like(settleAdmissions(replaced(joined), [admission(made, guest, admin)]).refused[0], { because: 'invite-closed' });
  const askedBy = (key: Key, invite = invitation(after, admin)) =>
    decideAdmission({
      invite: invite.invite,
      joiner: { peer: memberOf(key, 'x').peer, host: hostOf(key), wantedName: 'pi', addresses: [] },
      configuration: after,
      members: toClusterConfig(after, []).members,
      provisional: [],
      admissions: [],
      sign: () => admission(invite, key, admin),
    });
  t.deepEqual(askedBy(old), { kind: 'refused', because: 'revoked' });
  t.is(askedBy(guest).kind, 'admitted');

  // The machine that took the place of the host joined by another token, which has one use and is taken by it.
  const single = invitation(home, admin);
  const ownAdmission = admission(single, fresh, admin);
  const byToken = replaced(
    next(home, admin, {
      members: home.members.map(member => (member.name === 'pi-2' ? { ...member, invite: single.invite.id } : member)),
    }),
  );
  const third = memberOf(guest, 'pi-2');
  const twice = replaced(next(byToken, admin, { members: [...byToken.members, third] }));
  const members = byToken.members.map(member => ({ ...member, state: 'revoked' as const }));
  for (const later of [byToken, twice, next(byToken, admin, { members })])
    t.deepEqual(settleAdmissions(later, [ownAdmission]), { provisional: [], refused: [] });
  const settled = settleAdmissions(byToken, [ownAdmission, admission(single, guest, admin)]);
  t.deepEqual([settled.provisional, settled.refused.map(({ because }) => because)], [[], ['used-up']]);
});

test('an untrusted machine wants the part of the policy of the host that it becomes', t => {
  const untrusted = { trust: 'untrusted' } as const;
  const members = home.members.map(member =>
    member.name === 'pi' || member.name === 'pi-2' ? { ...member, ...untrusted } : member,
  );
  const given = replaced(next(home, admin, { members }));
  const reader = { host: hostOf(fresh), peer: freshPeer, ...untrusted };
  const part = ({ name }: { readonly name: string }) => name === 'host:pi';
  t.truthy(readVersion(versionFor(given, reader)).parts.find(part)?.text);
  const withheld = readVersion(versionFor(given, { host: hostOf(nas), ...untrusted }));
  t.is(withheld.parts.find(part)?.text, undefined);
  t.false(isWholeFor(withheld, reader));
});

const without = ({ host, peer }: ConfigurationMember): Revocation => ({ host, peer, heads: [] });

const ALL = { host: hostOf(admin), trust: 'trusted' } as const;

async function storeWith(folder: string, versions: readonly Configuration[]): Promise<ConfigStore> {
  const store = await ConfigStore.begin(folder, versions[0]?.cluster ?? home.cluster);
  for (const { raw } of versions) await store.accept(raw, ALL);
  await store.commit();
  return store;
}

test('a machine that was replaced stays so, whatever is signed beside it by the same admin, and wherever that was seen first', async t => {
  for (let n = 0; n < 5; n += 1) {
    const standing = replaced();
    // By an old image of the admin's host.
    const first = next(home, admin);
    const rival = [first, next(first, admin)];
    const saw = await storeWith(temporaryFolder(t), [home, standing, ...rival]);
    const fooled = await storeWith(temporaryFolder(t), [home, ...rival, standing]);
    t.deepEqual([saw.current.hash, fooled.current.hash], [standing.hash, standing.hash]);
  }
});

test('where the branch that replaced a machine loses, its key stays shut out and the new machine is a host of its own: a person is told', async t => {
  const gone = [newKey(), newKey()].map((key, n) => memberOf(key, `gone${n}`));
  const ground = next(home, admin, { members: [...home.members, ...gone] });
  const loser = replaced(ground);
  const winner = next(ground, admin, withRevoked(ground, gone.map(without)));
  for (const order of [
    [home, ground, loser, winner],
    [home, ground, winner, loser],
  ]) {
    const store = await storeWith(temporaryFolder(t), order);
    t.is(store.current.hash, winner.hash);
    t.deepEqual(store.shutOut, [{ host: hostOf(old), peer: oldPeer, heads: HEADS }]);
    const { standing } = store;
    const stateOf = (key: Key) => standing.members.find(({ peer }) => peer === memberOf(key, 'x').peer)?.state;
    t.deepEqual([stateOf(old), stateOf(fresh)], ['revoked', 'active']);
    t.is(hostIn(store.current, freshPeer), hostOf(fresh));
    const told = membershipAlarms({
      self: { host: hostOf(admin), peer: memberOf(admin, 'x').peer },
      configuration: standing,
      refused: [],
      lost: store.lost,
      shutOut: store.shutOut,
      hasUnreadable: false,
      unwritten: { versions: [], because: '' },
      notAbsorbed: undefined,
      clockMs: NOON_MS,
    });
    t.regex(
      told.join(),
      /shut out by this host: pi\..*The machine that was to go on in the place of pi does not: .*What pi backed up stays.*sources of its own/,
    );
  }
});

test('whom a branch that lost has shut out is told by his key, not by the host that he was there', async t => {
  const third = newKey();
  const gone = [newKey(), newKey()].map((key, n) => memberOf(key, `gone${n}`));
  const ground = next(home, admin, { members: [...home.members, memberOf(third, 'pi-3'), ...gone] });
  const ours = replaced(ground);
  const winner = next(ours, admin, withRevoked(ours, gone.map(without)));
  const theirs = replaced(ground, { by: 'pi-3' });
  const itself = theirs.members.filter(({ name }) => name === 'pi');
  const loser = next(theirs, admin, withRevoked(theirs, itself.map(without)));
  const store = await storeWith(temporaryFolder(t), [home, ground, theirs, loser, ours, winner]);
  t.is(store.current.hash, winner.hash);
  const stateOf = (name: string) => store.standing.members.find(member => member.name === name)?.state;
  t.deepEqual([stateOf('pi'), stateOf('pi-3')], ['draining', 'revoked']);
});

test('who revoked the old machine in a branch that lost does not shut the new one out', async t => {
  const winner = replaced();
  // Both shut out one machine: of the same signer the lower hash stands.
  for (let n = 0; ; n += 1) {
    const loser = next(home, admin, withRevoked(home, [{ host: hostOf(old), peer: oldPeer, heads: [] }]));
    const store = await storeWith(temporaryFolder(t), [home, winner, loser]);
    if (store.current.hash !== winner.hash && n < 50) continue;
    t.is(store.current.hash, winner.hash);
    t.deepEqual(store.shutOut, []);
    t.is(store.standing.members.find(({ name }) => name === 'pi')?.state, 'draining');
    return;
  }
});
