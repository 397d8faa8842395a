import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { hexOf, parseObjectId, sourceIdOf } from '../../src/core/ids.js';
import type { Signer } from '../../src/core/signed.js';
import { RELEASED_MAX } from '../../src/membership/configuration.js';
import { withRevoked } from '../../src/membership/content-change.js';
import { loadAdminKey, loadIdentity } from '../../src/membership/identity.js';
import { initCluster } from '../../src/membership/init-cluster.js';
import { parseToken } from '../../src/membership/invite.js';
import { type Membership, openMembership } from '../../src/membership/membership.js';
import { INVITES_MAX } from '../../src/membership/open-invites.js';
import { peerNameOf } from '../../src/membership/peer-key.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import {
  admission,
  found,
  fromLaterRelease,
  HOUR_MS,
  invitation,
  type Key,
  memberOf,
  NOON_MS,
  newKey,
  next,
  revocationOf,
  silent,
} from './cast.js';

interface Founded {
  readonly stateDir: string;
  readonly membership: Membership;
  /** Turns the clock, and lets the host run. */
  readonly clock: { nowMs: number; ranMs: number };
}

async function founded(t: ExecutionContext): Promise<Founded> {
  const stateDir = temporaryFolder(t);
  await initCluster({ stateDir, clusterName: 'home', hostName: 'imac', nowMs: NOON_MS });
  const clock = { nowMs: NOON_MS, ranMs: 0 };
  const times = { clock: () => clock.nowMs, runMs: () => clock.ranMs };
  return { stateDir, clock, membership: await openMembership({ stateDir, ...times, log: silent }) };
}

const again = (stateDir: string, nowMs = NOON_MS, ranMs = 0): Promise<Membership> =>
  openMembership({ stateDir, clock: () => nowMs, runMs: () => ranMs, log: silent });

const TERMS = { uses: 1, lifeMs: HOUR_MS, trust: 'trusted', addresses: ['/ip4/192.168.1.2/tcp/4747'] } as const;

const POLICY = `cluster: home # ours
defaults: { copies: 3 }
hosts:
  imac:
    stores: [{ path: /disk }]
    sources:
      docs: { path: /docs }
`;

test('init makes a cluster of one active admin host, once', async t => {
  const { stateDir, membership } = await founded(t);
  t.is(membership.configuration.version, 1);
  t.is(membership.configuration.clusterName, 'home');
  t.deepEqual(membership.self, { name: 'imac', standing: 'active', trust: 'trusted' });
  t.true(membership.isAdmin);
  t.true(membership.isMember(membership.identity.peer));
  t.false(membership.isMember(peerNameOf(newKey().publicKey)));
  await t.throwsAsync(initCluster({ stateDir, clusterName: 'home', nowMs: NOON_MS }), { code: 'ALREADY_IN_CLUSTER' });
});

test('a version from before a floor of timing is in use with the floor, and the next policy is held to it', async t => {
  const { stateDir, membership } = await founded(t);
  const admin = await loadAdminKey(stateDir);
  if (admin === undefined) return t.fail();
  const policyText = 'cluster: home\ntiming: { scrub: 0, claim: 500ms, dropBackOff: 0 }\n';
  await membership.acceptVersion(next(membership.configuration, admin, { policyText }).raw);
  for (const one of [membership, await again(stateDir)]) {
    const { timing } = one.configuration.policy;
    t.deepEqual([timing.scrubMs, timing.claimMs, timing.dropBackOffMs], [1_000, 1_000, 100]);
  }
  const reopened = await again(stateDir);
  t.is((await reopened.admin.drain('imac', false)).version, 3);
  const text = `${policyText}defaults: { copies: 3 }\n`;
  await t.throwsAsync(reopened.admin.applyPolicy({ text }), {
    code: 'POLICY_INVALID',
    message: /timing\.scrub: .*at least 1s/,
  });
  t.is(reopened.configuration.version, 3);
});

test('init refuses names that are none and takes up a try that failed', async t => {
  const stateDir = temporaryFolder(t);
  await t.throwsAsync(initCluster({ stateDir, clusterName: 'My Home', nowMs: NOON_MS }), { code: 'BAD_NAME' });
  await t.throwsAsync(initCluster({ stateDir, clusterName: 'home', hostName: '', nowMs: NOON_MS }), {
    code: 'BAD_NAME',
  });
  await mkdir(join(stateDir, 'config'));
  await writeFile(join(stateDir, 'config', 'lost'), ''); // a folder cannot be made here
  await t.throwsAsync(initCluster({ stateDir, clusterName: 'home', nowMs: NOON_MS }));
  const { host } = (await loadIdentity(stateDir)) ?? {};
  await rm(join(stateDir, 'config'), { recursive: true });
  const configuration = await initCluster({ stateDir, clusterName: 'home', nowMs: NOON_MS });
  t.is(configuration.members[0]?.host, host);
});

test('a policy is put in force, kept as it was written, and in force after a restart', async t => {
  const { stateDir, membership } = await founded(t);
  const told: number[] = [];
  membership.onChange(() => told.push(membership.configuration.version));
  const applied = await membership.admin.applyPolicy({ text: POLICY, file: 'p.yaml' });
  t.true(applied.changed);
  t.deepEqual(applied.warnings, []);
  t.deepEqual(told, [2]);
  t.deepEqual(membership.clusterConfig.sources, [{ source: sourceIdOf(membership.identity.host, 'docs'), copies: 3 }]);
  t.false((await membership.admin.applyPolicy({ text: POLICY })).changed);
  const reopened = await again(stateDir);
  t.is(reopened.configuration.version, 2);
  t.is(reopened.configuration.policyText, POLICY);
});

test('a policy that was made from one that is in force no more is refused; a member that came meanwhile is no other policy', async t => {
  const { membership } = await founded(t);
  await membership.admin.applyPolicy({ text: POLICY });
  await membership.admin.drain('imac', false);
  const first = POLICY.replace('# ours', '# first');
  t.true((await membership.admin.applyPolicy({ text: first, madeFrom: POLICY })).changed);
  const second = POLICY.replace('# ours', '# second');
  await t.throwsAsync(membership.admin.applyPolicy({ text: second, madeFrom: POLICY }), {
    code: 'POLICY_CHANGED',
    message: /changed meanwhile.* configuration 4 /,
  });
  t.is(membership.configuration.policyText, first);
});

test('a plan says what applying would change, take away and note, makes no version, and needs no key', async t => {
  const { stateDir, membership } = await founded(t);
  await membership.admin.applyPolicy({ text: POLICY });
  await rm(join(stateDir, 'admin.key'));
  const keyless = await again(stateDir);
  const text = POLICY.replace('copies: 3', 'copies: 2').replace('/disk', '/other');
  const planned = keyless.admin.planPolicy({ text });
  t.true(planned.changed);
  t.deepEqual(planned.changes, ['policy for all', 'imac: store /other added', 'imac: store /disk removed']);
  t.regex(planned.losses.join('\n'), /docs: copies 3 → 2\n.*the store \/disk is removed/s);
  t.deepEqual(
    planned.clusterConfig.sources.map(({ copies }) => copies),
    [2],
  );
  const refused = await t.throwsAsync(membership.admin.applyPolicy({ text }), { code: 'NEEDS_YES' });
  for (const loss of planned.losses) t.true(refused?.message.includes(loss), loss);
  t.false(keyless.admin.planPolicy({ text: POLICY }).changed);
  t.deepEqual(keyless.admin.planPolicy({ text: POLICY }).changes, []);
  const archived = keyless.admin.planPolicy({ text: 'cluster: home\n' });
  t.true(archived.changes.includes('sources archived: 1'));
  t.deepEqual(
    archived.clusterConfig.sources.map(({ copies }) => copies),
    [3],
  );
  t.throws(() => keyless.admin.planPolicy({ text: 'cluster: home\ncopeis: 3\n', file: 'p.yaml' }), {
    code: 'POLICY_INVALID',
    message: /^p\.yaml:2:1: copeis: unknown key/,
  });
  t.is(keyless.configuration.version, 2);
});

test('a host that has only a part of the policy plans none', async t => {
  const { membership } = await founded(t);
  await membership.admin.applyPolicy({ text: POLICY });
  const withheld = membership.configuration.parts.map(part => ({ ...part, text: undefined }));
  Object.assign(membership.configuration, { parts: withheld });
  t.throws(() => membership.admin.planPolicy({ text: POLICY }), { code: 'POLICY_WITHHELD' });
});

test('a policy that is wrong is refused with its place and changes nothing', async t => {
  const { membership } = await founded(t);
  await t.throwsAsync(membership.admin.applyPolicy({ text: 'cluster: home\ncopeis: 3\n', file: 'p.yaml' }), {
    code: 'POLICY_INVALID',
    message: /^p\.yaml:2:1: copeis: unknown key/,
  });
  t.is(membership.configuration.version, 1);
});

test('a section for a host that has not joined is a warning', async t => {
  const { membership } = await founded(t);
  const { warnings } = await membership.admin.addStore({ host: 'mini', path: '/tank', limit: '3 GB' });
  t.regex(warnings.join(), /hosts\.mini is no member/);
});

test('copies lowered and stores removed are listed and want a yes', async t => {
  const { membership } = await founded(t);
  await membership.admin.applyPolicy({ text: POLICY });
  const lower = POLICY.replace('copies: 3', 'copies: 2').replace('[{ path: /disk }]', '[{ path: /other }]');
  await t.throwsAsync(membership.admin.applyPolicy({ text: lower }), {
    code: 'NEEDS_YES',
    message: /imac\/docs: copies 3 → 2\n.*imac: the store \/disk is removed/,
  });
  t.is(membership.configuration.version, 2);
  t.true((await membership.admin.applyPolicy({ text: lower, yes: true })).changed);
  t.is(membership.clusterConfig.sources[0]?.copies, 2);
});

test('a keep that may unlist more than the one before is told, by whatever way the source comes by it', async t => {
  const { membership } = await founded(t);
  await membership.admin.applyPolicy({ text: POLICY });
  const keeps = (where: string, keep: string): string =>
    where === 'defaults'
      ? POLICY.replace('copies: 3', `copies: 3, keep: ${keep}`)
      : POLICY.replace('path: /docs', `path: /docs, keep: ${keep}`);
  const longer = '{ last: 4, hourly: 24, daily: 7, weekly: 5, monthly: 12 }';
  const shorter = '{ last: 1, daily: 1000 }';
  const { warnings: none } = await membership.admin.applyPolicy({ text: keeps('source', longer) });
  t.deepEqual(none, [], 'more is no loss');
  for (const where of ['defaults', 'source']) {
    await membership.admin.applyPolicy({ text: keeps('source', longer) });
    const { warnings } = await membership.admin.applyPolicy({ text: keeps(where, shorter) });
    t.regex(
      warnings.join('\n'),
      /^imac\/docs: keep last 4 → 1, hourly 24 → 0, weekly 5 → 0, monthly 12 → 0; snapshots that nothing else.*'cluster forget imac\/docs --dry-run' on imac/,
    );
  }
});

test('a policy that calls the cluster otherwise is told', async t => {
  const { membership } = await founded(t);
  const text = POLICY.replace('cluster: home', 'cluster: school-b');
  const { warnings } = await membership.admin.applyPolicy({ text });
  t.deepEqual(warnings, ['cluster: its name was home, and is now school-b, on every host']);
  t.is(membership.configuration.clusterName, 'school-b');
});

test('a source that leaves wants a yes and stays in force, and does not come back with fewer copies unasked', async t => {
  const { membership } = await founded(t);
  await membership.admin.applyPolicy({ text: POLICY });
  const source = sourceIdOf(membership.identity.host, 'docs');
  const text = 'cluster: home\nhosts:\n  imac:\n    stores: [{ path: /disk }]\n';
  await t.throwsAsync(membership.admin.applyPolicy({ text }), {
    code: 'NEEDS_YES',
    message: /^ {2}imac\/docs \(\/docs\) is no longer in the policy: it is archived, and no longer backed up/m,
  });
  t.is(membership.configuration.version, 2);
  await membership.admin.applyPolicy({ text, yes: true });
  t.deepEqual(membership.clusterConfig.sources, [{ source, copies: 3 }]);
  await t.throwsAsync(membership.admin.addSource({ host: 'imac', name: 'docs', path: '/docs', copies: 1 }), {
    code: 'NEEDS_YES',
    message: /'cluster config apply' and 'rollback' do it with --yes:\n {2}imac\/docs \(archived\): copies 3 → 1$/,
  });
  await membership.admin.addSource({ host: 'imac', name: 'docs', path: '/docs', copies: 4 });
  t.deepEqual(membership.clusterConfig.sources, [{ source, copies: 4 }]);
  t.deepEqual(membership.configuration.archived, []);
});

test('a section that is left out wants a yes also where it has neither sources nor stores', async t => {
  const { membership } = await founded(t);
  const text = 'cluster: home\n';
  await membership.admin.applyPolicy({ text: `${text}hosts: { imac: { domain: attic } }\n` });
  await t.throwsAsync(membership.admin.applyPolicy({ text }), {
    code: 'NEEDS_YES',
    message: /^ {2}hosts\.imac is left out/m,
  });
  t.is(membership.configuration.version, 2);
});

test('a section of no member is left out unasked, for it gave nothing', async t => {
  const { membership } = await founded(t);
  const of = (host: string, copies: number): string =>
    `cluster: home\nhosts: { ${host}: { sources: { docs: { path: /docs, copies: ${copies} } }, stores: [{ path: /disk }] } }\n`;
  await membership.admin.applyPolicy({ text: of('imca', 3) });
  await membership.admin.applyPolicy({ text: of('imca', 2) });
  const { changed, warnings } = await membership.admin.applyPolicy({ text: of('imac', 1) });
  t.true(changed);
  t.deepEqual(warnings, []);
});

test('a source under another name is asked about with the name that it had', async t => {
  const { membership } = await founded(t);
  await membership.admin.applyPolicy({ text: POLICY });
  const renamed = POLICY.replace('docs:', 'dosc:');
  await t.throwsAsync(membership.admin.applyPolicy({ text: renamed }), {
    code: 'NEEDS_YES',
    message: /^ {2}imac\/dosc is new: did you mean imac\/docs\?$/m,
  });
  const more = POLICY.replace(/^( *)docs:/m, '$1dosc: { path: /dosc }\n$1docs:');
  t.deepEqual((await membership.admin.applyPolicy({ text: more })).warnings, [], 'nothing left, so it was meant');
});

test('an archived source is forgotten once, with its head; what is in the policy is not', async t => {
  const { membership } = await founded(t);
  await membership.admin.applyPolicy({ text: POLICY });
  const source = sourceIdOf(membership.identity.host, 'docs');
  t.false(await membership.admin.forgetArchived(source, 4));
  t.is(membership.configuration.version, 2);
  const without = 'cluster: home\nhosts:\n  imac:\n    stores: [{ path: /disk }]\n';
  await membership.admin.applyPolicy({ text: without, yes: true });
  t.true(await membership.admin.forgetArchived(source, 4));
  t.deepEqual(membership.clusterConfig.sources, []);
  t.deepEqual(membership.configuration.forgotten, [{ source, seq: 4 }]);
  // Back, and gone once more.
  await membership.admin.applyPolicy({ text: POLICY });
  t.deepEqual(membership.configuration.forgotten, [{ source, seq: 4 }]);
  await membership.admin.applyPolicy({ text: 'cluster: home\n', yes: true });
  t.true(await membership.admin.forgetArchived(source, 7));
  t.deepEqual(membership.configuration.forgotten, [{ source, seq: 7 }]);
});

test('released snapshots are kept up to a number, those released first go', async t => {
  const { membership } = await founded(t);
  const ids = Array.from({ length: RELEASED_MAX + 1 }, (_, n) => parseObjectId(`${n}`.padStart(64, '0')));
  const [first, ...others] = ids;
  await membership.admin.releaseSnapshots(first === undefined ? [] : [first]);
  const { version } = membership.configuration;
  await membership.admin.releaseSnapshots(ids.slice(0, 1));
  t.is(membership.configuration.version, version, 'nothing new is no new version');
  await membership.admin.releaseSnapshots(others);
  t.deepEqual(membership.configuration.released, others);
});

test('one-line changes keep the comments', async t => {
  const { membership } = await founded(t);
  await membership.admin.applyPolicy({ text: POLICY });
  await membership.admin.addStore({ host: 'imac', path: '/new', reserve: '5 GB' });
  await membership.admin.addSource({ host: 'imac', name: 'pics', path: '/pics', copies: 1, every: '30m', watch: true });
  t.true(membership.configuration.policy.hosts.get('imac')?.sources[1]?.watch);
  t.regex(membership.configuration.policyText, /^cluster: home # ours$/m);
  t.deepEqual(
    membership.configuration.policy.hosts.get('imac')?.sources.map(({ name }) => name),
    ['docs', 'pics'],
  );
  await t.throwsAsync(membership.admin.addStore({ host: 'imac', path: '/new' }), { code: 'STORE_EXISTS' });
  await t.throwsAsync(membership.admin.addStore({ host: 'imac', path: 'relative' }), { code: 'POLICY_INVALID' });
});

test('changes made at once are made one after the other', async t => {
  const { membership } = await founded(t);
  await Promise.all(
    ['a', 'b', 'c', 'd'].map(name => membership.admin.addSource({ host: 'imac', name, path: `/${name}` })),
  );
  t.is(membership.configuration.version, 5);
  t.deepEqual(
    membership.configuration.policy.hosts.get('imac')?.sources.map(({ name }) => name),
    ['a', 'b', 'c', 'd'],
  );
});

test('addresses of a member can be said anew, and the policy stands instead of them', async t => {
  const { membership } = await founded(t);
  await membership.admin.setAddresses('imac', ['/ip4/10.0.0.1/tcp/4747']);
  t.deepEqual(membership.configuration.members[0]?.addresses, ['/ip4/10.0.0.1/tcp/4747']);
  await t.throwsAsync(membership.admin.setAddresses('imac', ['nowhere']), { code: 'BAD_ADDRESS' });
  await t.throwsAsync(membership.admin.setAddresses('other', []), { code: 'NO_SUCH_HOST', message: /there are: imac/ });
});

test('an invite is open until it expires, also over a restart', async t => {
  const { stateDir, membership, clock } = await founded(t);
  t.false(membership.strangersWelcome());
  const token = parseToken(await membership.admin.createInvite(TERMS));
  t.deepEqual(token.doors, [{ peer: membership.identity.peer, addresses: TERMS.addresses }]);
  t.true(membership.strangersWelcome());
  t.true((await again(stateDir)).strangersWelcome());
  clock.nowMs = NOON_MS + HOUR_MS - 1;
  t.true(membership.strangersWelcome());
  clock.nowMs = NOON_MS + HOUR_MS;
  t.false(membership.strangersWelcome());
  t.false((await again(stateDir, NOON_MS + HOUR_MS)).strangersWelcome());
  t.deepEqual(await readdir(join(stateDir, 'invites')), []);
});

test('a clock that was set back does not open an expired invite again once an admin has signed later', async t => {
  const { membership, clock } = await founded(t);
  await membership.admin.createInvite(TERMS);
  clock.nowMs = NOON_MS + 2 * HOUR_MS;
  await membership.admin.applyPolicy({ text: POLICY });
  clock.nowMs = NOON_MS;
  t.false(membership.strangersWelcome());
});

const YEAR_MS = 365 * 24 * HOUR_MS;

test('an invite ends when this host has run for its time, though an admin’s clock was years ahead once, also over restarts', async t => {
  const { stateDir, membership, clock } = await founded(t);
  clock.nowMs += 10 * YEAR_MS;
  await membership.admin.applyPolicy({ text: POLICY });
  clock.nowMs = NOON_MS;
  clock.ranMs = 5 * HOUR_MS;
  await membership.admin.createInvite(TERMS);
  clock.ranMs += HOUR_MS - 1;
  t.true(membership.strangersWelcome());
  t.true((await again(stateDir, clock.nowMs, clock.ranMs)).strangersWelcome());
  const before = membership.nowMs();
  clock.ranMs += 1;
  t.is(membership.nowMs(), before + 1);
  t.false(membership.strangersWelcome());
  const reopened = await again(stateDir, clock.nowMs, clock.ranMs);
  t.false(reopened.strangersWelcome());
  t.is(reopened.nowMs(), before + 1, 'the invite that was dated so is gone, the time is not');
});

test('without the file of when a time was signed, or with a lost running time, time begins at that one and goes on', async t => {
  const { stateDir, membership, clock } = await founded(t);
  clock.nowMs += YEAR_MS;
  clock.ranMs = 5 * HOUR_MS;
  await membership.admin.applyPolicy({ text: POLICY });
  const file = join(stateDir, 'signed-time.json');
  t.deepEqual(JSON.parse(await readFile(file, 'utf8')), { signedMs: NOON_MS + YEAR_MS, ranMs: 5 * HOUR_MS });
  t.is((await again(stateDir, NOON_MS, 6 * HOUR_MS)).nowMs(), NOON_MS + YEAR_MS + HOUR_MS);
  t.is((await again(stateDir, NOON_MS, HOUR_MS)).nowMs(), NOON_MS + YEAR_MS);
  for (const text of ['', '{"signedMs":-1,"ranMs":0}']) {
    await writeFile(file, text);
    t.is((await again(stateDir, NOON_MS, 9 * HOUR_MS)).nowMs(), NOON_MS + YEAR_MS);
  }
});

test('a configuration that was signed more than a day ahead of this clock wants a person, until one is signed in time', async t => {
  const { membership, clock } = await founded(t);
  clock.nowMs += 24 * HOUR_MS;
  await membership.admin.applyPolicy({ text: POLICY });
  clock.nowMs -= 24 * HOUR_MS;
  t.deepEqual(membership.alarms(), []);
  clock.nowMs -= 1;
  t.deepEqual(membership.alarms().length, 1);
  t.regex(
    membership.alarms()[0] ?? '',
    /^configuration 2 was signed at 2026-11-22T12:00:00.000Z, 24 hours ahead .* set it\. If it is right, set the clock of the host with the admin key/,
  );
  await membership.admin.setAddresses('imac', []);
  t.deepEqual(membership.alarms(), []);
});

test('invites that have expired leave their places to those of other hosts, too', async t => {
  const { membership, stateDir, clock } = await founded(t);
  const admin = (await loadAdminKey(stateDir)) as Signer;
  const invites = Array.from({ length: INVITES_MAX + 1 }, (_, n) =>
    invitation(membership.configuration, admin, { expiresMs: NOON_MS + (n === 0 ? 1 : 2) * HOUR_MS }),
  );
  const last = invites.pop();
  for (const { invite } of invites) t.true(await membership.acceptInvite(invite.raw));
  t.false(await membership.acceptInvite(last?.invite.raw ?? new Uint8Array()));
  clock.nowMs = NOON_MS + HOUR_MS;
  t.true(await membership.acceptInvite(last?.invite.raw ?? new Uint8Array()));
});

test('without an admin key nothing is signed, and the hosts that have one are named', async t => {
  const { stateDir } = await founded(t);
  await rm(join(stateDir, 'admin.key'));
  const membership = await again(stateDir);
  t.false(membership.isAdmin);
  for (const wish of [
    () => membership.admin.createInvite(TERMS),
    () => membership.admin.applyPolicy({ text: POLICY }),
    () => membership.admin.setAddresses('imac', []),
  ]) {
    await t.throwsAsync(wish, { code: 'NO_ADMIN_KEY', message: /Do it on: imac/ });
  }
});

test('an admin host writes an admission down by itself, also one that it was too dead to write before', async t => {
  const { stateDir, membership } = await founded(t);
  const { invite, seed } = parseToken(await membership.admin.createInvite({ ...TERMS, uses: 2 }));
  const self = selfKey(membership);
  t.true(await membership.acceptAdmission(admission({ invite, seed }, newKey(), self).raw));
  t.like(membership.configuration.members[1], { name: 'guest', state: 'active', invite: invite.id });
  t.is(membership.configuration.version, 2);

  const late = admission({ invite, seed }, newKey(), self);
  await writeFile(join(stateDir, 'admissions', late.hash), late.raw);
  const reopened = await again(stateDir);
  t.is(reopened.configuration.version, 3);
  t.like(reopened.configuration.members[2], { name: 'guest-2', state: 'active' });
});

test('whom an admin host cannot write down is an alarm, until it can', async t => {
  const { stateDir, membership } = await founded(t);
  const made = parseToken(await membership.admin.createInvite({ ...TERMS, uses: 2 }));
  const config = join(stateDir, 'config');
  await rename(config, `${config}.away`);
  t.true(await membership.acceptAdmission(admission(made, newKey(), selfKey(membership), 'pi').raw));
  t.is(membership.clusterConfig.members[1]?.state, 'provisional');
  t.is(membership.alarms().length, 1);
  t.regex(membership.alarms()[0] ?? '', /^pi: admitted, .*cannot write it \(ENOENT.*restart the service/);

  await rename(`${config}.away`, config);
  t.true(await membership.acceptAdmission(admission(made, newKey(), selfKey(membership), 'mini').raw));
  t.deepEqual(membership.configuration.members.map(({ name, state }) => `${name} ${state}`).sort(), [
    'imac active',
    'mini active',
    'pi active',
  ]);
  t.deepEqual(membership.alarms(), []);
});

test('whose writing-down is lost in a fork is admitted all the same, also after restarts and long after his invite', async t => {
  const { stateDir, membership } = await founded(t);
  const [first, second, guest] = [(await loadAdminKey(stateDir)) as Signer, newKey(), newKey()];
  const { configuration, identity } = membership;
  const admins = [...configuration.admins, { key: hexOf(second.publicKey), host: identity.host }];
  const parent = next(configuration, first, { admins });
  await membership.acceptVersion(parent.raw);
  await rm(join(stateDir, 'admin.key'));
  const plain = await again(stateDir);
  const made = invitation(parent, first);
  t.true(await plain.acceptInvite(made.invite.raw));
  t.true(await plain.acceptAdmission(admission(made, guest, selfKey(plain)).raw));
  const written = next(parent, second, { members: [...parent.members, memberOf(guest, 'guest')] });
  await plain.acceptVersion(written.raw);

  const later = await again(stateDir, NOON_MS + 48 * HOUR_MS);
  const stateOf = () => later.clusterConfig.members.find(({ name }) => name === 'guest')?.state;
  t.is(stateOf(), 'active');
  const { kind } = await later.acceptVersion(next(parent, first, { policyText: `${POLICY}# mine\n` }).raw);
  t.is(kind, 'fork-won');
  t.is(stateOf(), 'provisional');
});

test('a machine is the host that its key belongs to from its next start on, which it says at once, and a fork takes that back, long after its invite', async t => {
  const { stateDir, membership } = await founded(t);
  const [admin, old, own, gone] = [(await loadAdminKey(stateDir)) as Signer, newKey(), selfKey(membership), newKey()];
  const { configuration, identity } = membership;
  const written = [memberOf(old, 'pi'), memberOf(gone, 'gone')];
  const parent = next(configuration, admin, { members: [...configuration.members, ...written] });
  await membership.acceptVersion(parent.raw);
  await rm(join(stateDir, 'admin.key'));
  const made = invitation(parent, admin);
  const plain = await again(stateDir);
  t.true(await plain.acceptInvite(made.invite.raw));
  const [guest, its] = [newKey(), newKey()];
  t.true(await plain.acceptAdmission(admission(made, guest, own).raw));
  const [imac, pi] = parent.members;
  if (imac === undefined || pi === undefined) return t.fail();
  const formers = [pi, memberOf(its, 'tab')].map(({ host, peer }) => ({ host, peer, heads: [], invite: undefined }));
  const given = next(parent, admin, {
    // The guest was written down, and took the place of a host, too.
    members: [
      { ...pi, peer: imac.peer },
      memberOf(its, 'tab', { peer: memberOf(guest, 'x').peer }),
      ...written.slice(1),
    ],
    replaced: formers,
  });
  await plain.acceptVersion(given.raw);
  t.deepEqual([plain.isOtherHost, plain.identity.host], [true, identity.host]);

  const later = await again(stateDir, NOON_MS + 48 * HOUR_MS);
  t.deepEqual([later.isOtherHost, later.identity.host, later.identity.peer], [false, pi.host, identity.peer]);
  t.like(later.self, { name: 'pi', standing: 'active' });
  t.deepEqual([later.predecessors, later.isMember(pi.peer), later.alarms()], [1, false, []]);
  t.true(later.revoked.some(({ peer }) => peer === pi.peer));

  const winner = next(
    parent,
    admin,
    withRevoked(parent, [revocationOf(gone), revocationOf(newKey()), revocationOf(newKey())]),
  );
  t.is((await later.acceptVersion(winner.raw)).kind, 'fork-won');
  t.true(later.isOtherHost);
  const back = await again(stateDir, NOON_MS + 48 * HOUR_MS);
  t.deepEqual([back.isOtherHost, back.identity.host, back.predecessors], [false, identity.host, 0]);
  t.like(back.self, { name: 'imac', standing: 'active' });
  const stateOf = (key: typeof old) =>
    back.clusterConfig.members.find(({ peer }) => peer === memberOf(key, 'x').peer)?.state;
  t.deepEqual([stateOf(old), stateOf(guest)], ['revoked', 'provisional']);
});

test('a third admission on an invite for two is refused, and wants a person', async t => {
  const { membership } = await founded(t);
  const made = parseToken(await membership.admin.createInvite({ ...TERMS, uses: 2 }));
  const self = selfKey(membership);
  for (const name of ['one', 'two', 'three'])
    await membership.acceptAdmission(admission(made, newKey(), self, name).raw);
  t.deepEqual(
    membership.clusterConfig.members.map(({ name }) => name),
    ['imac', 'one', 'two'],
  );
  t.is(membership.alarms().length, 1);
  t.regex(membership.alarms()[0] ?? '', /^three .*admitted by imac, is refused: its invite was used up/);
});

test('an admission or an invite that is not of this cluster is not kept', async t => {
  const { membership, stateDir } = await founded(t);
  const admin = newKey();
  const elsewhere = found([admin]);
  const foreign = invitation(elsewhere, admin);
  t.false(await membership.acceptInvite(foreign.invite.raw));
  t.false(await membership.acceptAdmission(admission(foreign, newKey(), admin).raw));
  t.false(await membership.acceptAdmission(Uint8Array.of(1, 2, 3)));
  // Signed for this cluster's id, but by somebody who is no admin of it.
  t.false(await membership.acceptInvite(invitation({ ...elsewhere, cluster: membership.cluster }, admin).invite.raw));
  t.deepEqual(await readdir(join(stateDir, 'invites')), []);
});

test('a damaged invite on disk is left where it is and counts for nothing', async t => {
  const { membership, stateDir } = await founded(t);
  const { invite } = parseToken(await membership.admin.createInvite(TERMS));
  await writeFile(join(stateDir, 'invites', invite.id), invite.raw.subarray(0, 50));
  const reopened = await again(stateDir);
  t.false(reopened.strangersWelcome());
  t.deepEqual(await readdir(join(stateDir, 'invites')), [invite.id]);
});

test('a revoked host is a member no more, and the last admin cannot be revoked', async t => {
  const { membership } = await founded(t);
  const made = parseToken(await membership.admin.createInvite(TERMS));
  const guest = newKey();
  await membership.acceptAdmission(admission(made, guest, selfKey(membership)).raw);
  const peer = membership.configuration.members[1]?.peer;
  if (peer === undefined) return t.fail();
  t.true(membership.isMember(peer));
  await membership.admin.revoke('guest', []);
  t.false(membership.isMember(peer));
  t.is(membership.readerOf(peer), undefined);
  await t.throwsAsync(membership.admin.revoke('imac', []), {
    code: 'LAST_ADMIN',
    message: /nothing was changed.*admin\.key.*another member.*revoke imac there/,
  });
  await t.throwsAsync(membership.admin.revoke('guest', []), {
    code: 'NO_SUCH_HOST',
    message: /"guest" was revoked.* are: imac\)/,
  });
  await t.throwsAsync(membership.admin.revoke('other', []), { code: 'NO_SUCH_HOST', message: /there are: imac\)/ });
});

/** Of one admin: three guests, then one branch that revokes the laptop and another that revokes the two others, and so stands. */
async function forked(stateDir: string, { configuration }: Membership) {
  const admin = (await loadAdminKey(stateDir)) as Signer;
  const guests = ['laptop', 'phone', 'tablet'].map(name => ({ name, key: newKey() }));
  const members = [...configuration.members, ...guests.map(({ name, key }) => memberOf(key, name))];
  const ground = next(configuration, admin, { members });
  const without = (...names: readonly string[]) =>
    next(
      ground,
      admin,
      withRevoked(
        ground,
        guests.filter(({ name }) => names.includes(name)).map(({ key }) => revocationOf(key)),
      ),
    );
  const [laptop] = guests;
  if (laptop === undefined) throw new Error('no guest');
  return {
    admin,
    ground,
    loser: without('laptop'),
    winner: without('phone', 'tablet'),
    laptop: revocationOf(laptop.key),
  };
}

test('whom a branch that lost had revoked is no member, also after a restart, until an admin host has written that down', async t => {
  const { stateDir, membership } = await founded(t);
  const { admin, ground, loser, winner, laptop } = await forked(stateDir, membership);
  await rm(join(stateDir, 'admin.key'));
  for (const order of [
    [ground, loser, winner],
    [ground, winner, loser],
  ]) {
    const elsewhere = temporaryFolder(t);
    await cp(stateDir, elsewhere, { recursive: true });
    const open = await again(elsewhere);
    let told = 0;
    open.onChange(() => (told += 1));
    for (const { raw } of order) await open.acceptVersion(raw);
    t.is(told, 3);
    for (const one of [open, await again(elsewhere)]) {
      t.is(one.configuration.hash, winner.hash);
      t.false(one.isMember(laptop.peer));
      t.is(one.readerOf(laptop.peer), undefined);
      t.is(one.clusterConfig.members.find(({ name }) => name === 'laptop')?.state, 'revoked');
      t.true(one.revoked.some(({ peer }) => peer === laptop.peer));
      t.regex(
        one.alarms().join(),
        /signed twice.*shut out by this host: laptop\. All hosts .*If it does not, revoke them there once more/,
      );
    }
    const written = next(winner, admin, withRevoked(winner, [laptop]));
    await open.acceptVersion(written.raw);
    t.is(open.revoked.length, 3);
    t.regex(open.alarms().join(), /What it revoked stays revoked: laptop\. Apply the missing changes again/);
  }
});

test('an admin host writes down by itself whom a branch that lost had revoked, whatever it saw first', async t => {
  for (const isLostFirst of [true, false]) {
    const { stateDir, membership } = await founded(t);
    const { ground, loser, winner, laptop } = await forked(stateDir, membership);
    for (const { raw } of isLostFirst ? [ground, loser, winner] : [ground, winner, loser])
      await membership.acceptVersion(raw);
    t.is(membership.configuration.previous, winner.hash);
    t.true(membership.configuration.revoked.some(({ peer }) => peer === laptop.peer));
    t.is(membership.configuration.members.find(({ name }) => name === 'laptop')?.state, 'revoked');
    t.regex(membership.alarms().join(), /What it revoked stays revoked: laptop/);
  }
});

test('an admin host that a branch which lost had revoked does not sign that it is', async t => {
  const { stateDir, membership } = await founded(t);
  const { admin, ground, winner } = await forked(stateDir, membership);
  const { host, peer } = membership.identity;
  const loser = next(ground, admin, withRevoked(ground, [{ host, peer, heads: [] }]));
  for (const { raw } of [ground, winner, loser]) await membership.acceptVersion(raw);
  t.is(membership.configuration.hash, winner.hash);
  t.is(membership.self.standing, 'revoked');
});

test('a host that is drained stays a member that holds nothing more, until that is undone', async t => {
  const { membership } = await founded(t);
  const made = parseToken(await membership.admin.createInvite(TERMS));
  await membership.acceptAdmission(admission(made, newKey(), selfKey(membership)).raw);
  const stateOf = () => membership.clusterConfig.members.find(({ name }) => name === 'guest')?.state;
  const { version } = await membership.admin.drain('guest', false);
  t.is(stateOf(), 'draining');
  t.is((await membership.admin.drain('guest', false)).version, version);
  await membership.admin.drain('guest', true);
  t.is(stateOf(), 'active');
  await t.throwsAsync(membership.admin.drain('nobody', false), { code: 'NO_SUCH_HOST' });
});

test('a configuration of a peer takes effect, a forged one does not', async t => {
  const { membership } = await founded(t);
  const copy = { ...membership.configuration };
  await membership.admin.applyPolicy({ text: POLICY });
  const forger = newKey();
  t.like(await membership.acceptVersion(found([forger]).raw), { kind: 'refused', because: 'other-cluster' });
  t.is((await membership.acceptVersion(copy.raw)).kind, 'known');
});

test('a configuration that this release cannot read wants a person, until one comes that it can', async t => {
  const { stateDir, membership } = await founded(t);
  const admin = (await loadAdminKey(stateDir)) as Signer;
  const before = membership.configuration;
  const readable = next(before, admin, { policyText: 'cluster: home\n' });
  let news = 0;
  membership.onChange(() => (news += 1));
  for (let times = 0; times < 3; times += 1)
    t.like(await membership.acceptVersion(fromLaterRelease(readable, admin)), {
      kind: 'refused',
      because: 'policy-unreadable',
    });
  t.is(news, 1, 'else the others would be asked for it again, without an end');
  t.deepEqual(membership.alarms(), [
    'there is a configuration after 1 that this release cannot read; update this host',
  ]);
  t.is(membership.configuration.version, 1);
  await membership.acceptVersion(readable.raw);
  t.deepEqual(membership.alarms(), []);
});

test('whom a version revokes is shut out at once though the disk refuses the version, and it is written when it can be', async t => {
  const { stateDir, membership: first } = await founded(t);
  await first.stop();
  const membership = await openMembership({
    stateDir,
    clock: () => NOON_MS,
    runMs: () => 0,
    writeAgainMs: 20,
    log: silent,
  });
  t.teardown(() => membership.stop());
  const admin = (await loadAdminKey(stateDir)) as Signer;
  const key = newKey();
  const laptop = memberOf(key, 'laptop');
  const start = membership.configuration;
  const ground = next(start, admin, { members: [...start.members, laptop] });
  await membership.acceptVersion(ground.raw);
  const changed = next(ground, admin, { policyText: 'cluster: home\n' });
  const revoking = next(changed, admin, withRevoked(changed, [revocationOf(key)]));
  let news = 0;
  membership.onChange(() => (news += 1));

  await rename(join(stateDir, 'config'), join(stateDir, 'away'));
  for (let times = 0; times < 2; times += 1)
    for (const { raw } of [changed, revoking]) t.is((await membership.acceptVersion(raw)).kind, 'unwritten');
  t.is(news, 2, 'else the others would be asked for it again, without an end');
  t.false(membership.isMember(laptop.peer));
  t.true(membership.revoked.some(({ peer }) => peer === laptop.peer));
  t.is(membership.configuration.hash, ground.hash);
  t.regex(membership.alarms().join(), /^configuration 3, 4 cannot be written \(.*Whom it revokes is shut out/);
  // It would be a rival of them.
  await t.throwsAsync(membership.admin.applyPolicy({ text: POLICY }));
  t.deepEqual(membership.hint().hash, ground.hash);

  const written = new Promise<void>(resolve => {
    membership.onChange(() => {
      if (membership.configuration.hash === revoking.hash) resolve();
    });
  });
  await rename(join(stateDir, 'away'), join(stateDir, 'config'));
  await written;
  t.deepEqual(membership.alarms(), []);
  t.false(membership.isMember(laptop.peer));
  await membership.stop();
  t.is((await again(stateDir)).configuration.hash, revoking.hash);
});

test('a hint tells whether its writer is worth asking', async t => {
  const { membership } = await founded(t);
  const hint = membership.hint();
  t.false(membership.lacks(hint));
  await membership.admin.applyPolicy({ text: POLICY });
  t.false(membership.lacks(hint));
  t.true(membership.lacks({ ...membership.hint(), version: 3 }));
  t.true(membership.lacks({ ...membership.hint(), hash: 'ab'.repeat(32) }));
  t.true(
    membership.lacks({
      ...membership.hint(),
      admissions: [found([newKey()]).members[0]?.host ?? membership.identity.host],
    }),
  );
});

/** The host's own key, as the cast wants one. */
const selfKey = ({ identity }: Membership): Key => ({
  ...identity.signer,
  publicKey: identity.signer.publicKey,
  sign: message => identity.signer.sign(message),
  seed: identity.seed,
});
