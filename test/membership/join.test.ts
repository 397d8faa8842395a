import { getEventListeners } from 'node:events';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import type { HostId } from '../../src/core/ids.js';
import { hasCluster } from '../../src/membership/config-store.js';
import { MEMBERS_MAX } from '../../src/membership/configuration.js';
import { loadAdminKey } from '../../src/membership/identity.js';
import { parseToken, tokenText } from '../../src/membership/invite.js';
import { openMembership } from '../../src/membership/membership.js';
import { readRememberedPeers } from '../../src/membership/remembered-peers.js';
import { ADMISSIONS_PER_MESSAGE_MAX } from '../../src/net/gossip-border.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { admission, HOUR_MS, memberOf, newKey, next, silent } from './cast.js';
import { House, until } from './house.js';

test('who joins through an admin host is an active member at once, with the chain, its admission and an address to begin with', async t => {
  const house = new House(t);
  const a = await house.found();
  const joined = await house.join(await a.invite(), 'b', { addresses: ['/ip4/127.0.0.1/tcp/4747'] });
  t.like(joined, { name: 'b', standing: 'active', trust: 'trusted', admittedBy: 'a' });
  t.is(joined.configuration.hash, a.membership.configuration.hash);
  t.deepEqual([...readRememberedPeers(joined.stateDir, silent)], [[a.peer, a.net.addresses()]]);
  t.deepEqual(a.membership.doors(), [
    { peer: a.membership.configuration.members[1]?.peer, addresses: ['/ip4/127.0.0.1/tcp/4747'] },
  ]);

  const b = await house.up(joined.stateDir);
  t.deepEqual(b.membership.self, { name: 'b', standing: 'active', trust: 'trusted' });
  await until(() => b.net.connected().includes(a.peer), 'b to find a by what it remembers');
});

test('a taken host name gets -2, then -3', async t => {
  const house = new House(t);
  const a = await house.found('pi');
  const token = await a.invite({ uses: 2 });
  t.is((await house.join(token, 'pi')).name, 'pi-2');
  t.is((await house.join(token, 'pi')).name, 'pi-3');
});

test('a change on the admin host reaches all members, also one that was away', async t => {
  const house = new House(t);
  const a = await house.found();
  const b = await house.admit(a, 'b');
  const c = await house.admit(a, 'c');
  await b.meet(a);
  await c.meet(a);
  await a.membership.admin.addStore({ host: 'b', path: '/tank', limit: '3 GB' });
  const everybodyHas = (version: number) =>
    [b, c].every(({ membership }) => membership.configuration.version === version);
  await until(() => everybodyHas(a.membership.configuration.version), 'the new version to reach b and c');

  await c.down();
  await a.membership.admin.addStore({ host: 'c', path: '/tank', limit: '3 GB' });
  const back = await house.up(c.stateDir);
  await until(() => back.membership.configuration.hash === a.membership.configuration.hash, 'c to catch up');
  t.deepEqual(back.membership.configuration.policy.hosts.get('c')?.stores[0]?.path, '/tank');
});

test('while the admin is away another member admits provisionally; the admin comes back and writes it down, and it is active everywhere', async t => {
  const house = new House(t);
  const a = await house.found();
  const b = await house.admit(a, 'b');
  await b.meet(a);
  const token = await a.invite({ others: [{ peer: b.peer, addresses: b.net.addresses() }] });
  await until(() => b.membership.strangersWelcome(), 'b to hear of the invite');
  await a.down();

  const joined = await house.join(token, 'c');
  t.like(joined, { name: 'c', standing: 'provisional', admittedBy: 'b' });
  const c = await house.up(joined.stateDir);
  await c.meet(b);
  t.is(b.standingOf('c'), 'provisional');
  t.is(c.standingOf('c'), 'provisional');
  t.false(c.membership.strangersWelcome());

  const back = await house.up(a.stateDir);
  await back.meet(b);
  await until(() => [back, b, c].every(host => host.standingOf('c') === 'active'), 'c to be active everywhere');
  t.is(new Set([back, b, c].map(({ membership }) => membership.configuration.hash)).size, 1);
});

test('more hosts are admitted while the admin is away than one hint can name, and no member takes that amiss', async t => {
  const house = new House(t);
  const a = await house.found();
  const [b, c] = [await house.admit(a, 'b'), await house.admit(a, 'c')];
  for (const host of [b, c]) await host.meet(a);
  const made = parseToken(await a.invite({ uses: 300 }));
  await until(() => [b, c].every(({ membership }) => membership.hasInvite(made.invite.id)), 'the invite');
  for (const host of [a, b, c]) await host.down();

  // As many as fit, on both before they start: one after the other they would take half a minute.
  const admitter = { ...b.membership.identity.signer, seed: b.membership.identity.seed };
  const guest = () => admission(made, newKey(), admitter, 'guest', Date.now());
  for (let n = 0; n < ADMISSIONS_PER_MESSAGE_MAX; n += 1) {
    const { hash, raw } = guest();
    for (const { stateDir } of [b, c]) await writeFile(join(stateDir, 'admissions', hash), raw);
  }
  const [b2, c2] = [await house.up(b.stateDir), await house.up(c.stateDir)];
  const named = new Set<HostId>();
  const offences: string[] = [];
  c2.net.onGossip((from, message) => {
    if (from === b.peer && message.kind === 'config') for (const host of message.admissions) named.add(host);
  });
  for (const { net } of [b2, c2]) net.onOffence((_, { code }) => offences.push(code));
  await b2.meet(c2);
  const accepted: Promise<unknown>[] = [];
  await until(() => {
    // The first words after connecting may reach no one.
    accepted.push(b2.membership.acceptAdmission(guest().raw));
    return named.size > ADMISSIONS_PER_MESSAGE_MAX;
  }, 'all of them to be named');
  await Promise.all(accepted);
  t.deepEqual(offences, []);
  t.true(b2.net.connected().includes(c2.peer));
});

test('of two hosts that two members admitted on one use, the admin keeps one and refuses the other, with an alarm', async t => {
  const house = new House(t);
  const a = await house.found();
  const b = await house.admit(a, 'b');
  const c = await house.admit(a, 'c');
  await b.meet(a);
  await c.meet(a);
  const token = parseToken(await a.invite());
  await until(
    () => b.membership.strangersWelcome() && c.membership.strangersWelcome(),
    'b and c to hear of the invite',
  );
  await Promise.all([a.down(), b.down(), c.down()]);

  // Apart from each other, each admits one.
  const through = async (stateDir: string, name: string) => {
    const door = await house.up(stateDir);
    const joined = await house.join(
      tokenText({ ...token, doors: [{ peer: door.peer, addresses: door.net.addresses() }] }),
      name,
    );
    await door.down();
    return joined;
  };
  const one = await through(b.stateDir, 'one');
  const two = await through(c.stateDir, 'two');
  t.is(one.standing, 'provisional');
  t.is(two.standing, 'provisional');

  // The admin meets both admissions before it can write either: it opens its state folder with both in it.
  const [viaB, viaC] = [await openQuietly(b.stateDir), await openQuietly(c.stateDir)];
  const admissions = [...viaB.unwritten(), ...viaC.unwritten()];
  t.is(admissions.length, 2);
  const [kept, refused] = admissions.toSorted((x, y) => (x.hash < y.hash ? -1 : 1));
  for (const { raw } of admissions) await viaB.acceptAdmission(raw);
  t.deepEqual(
    viaB.clusterConfig.members.filter(({ state }) => state === 'provisional').map(({ host }) => host),
    [kept?.host],
  );

  const admin = await house.up(a.stateDir);
  const messenger = await house.up(b.stateDir);
  await messenger.meet(admin);
  await until(() => admin.membership.configuration.members.length === 4, 'the admin to write one down');
  t.is(admin.membership.configuration.members[3]?.host, kept?.host);
  await until(() => admin.membership.alarms().length === 1, 'the admin to hear of the other');
  t.regex(
    admin.membership.alarms()[0] ?? '',
    new RegExp(`${refused?.wantedName} .*is refused: its invite was used up`),
  );
  const loser = [one, two].find(({ host }) => host === refused?.host);
  t.false(admin.membership.isMember((await openQuietly(loser?.stateDir ?? '')).identity.peer));
});

const openQuietly = (stateDir: string) => openMembership({ stateDir, clock: Date.now, runMs: () => 0, log: silent });

test('a used-up token is refused as used up, and nothing is left but a host key', async t => {
  const house = new House(t);
  const a = await house.found();
  const token = await a.invite();
  await house.join(token, 'b');
  const stateDir = temporaryFolder(t);
  await t.throwsAsync(house.join(token, 'c', { stateDir }), { code: 'TOKEN_USED_UP', message: /cluster invite/ });
  t.deepEqual(await readdir(stateDir), ['identity.key']);
  t.is(a.membership.configuration.members.length, 2);
});

test('the token of a host that was revoked lets nobody in any more, at no member; who came by it before stays', async t => {
  const house = new House(t);
  const a = await house.found();
  const token = await a.invite({ uses: 5 });
  const { stateDir } = await house.join(token, 'b');
  await house.join(token, 'laptop');
  const b = await house.up(stateDir);
  await b.meet(a);
  await a.membership.admin.revoke('laptop', []);
  await until(() => b.standingOf('laptop') === 'revoked', 'the revocation to be known');
  const refused = { code: 'TOKEN_CLOSED', message: /was revoked. Make a new one with `cluster invite`/ };
  await t.throwsAsync(house.join(token, 'laptop'), refused);
  await a.down();
  const atB = tokenText({ ...parseToken(token), doors: [{ peer: b.peer, addresses: b.net.addresses() }] });
  await t.throwsAsync(house.join(atB, 'laptop'), refused);
  t.is(b.membership.self.standing, 'active');
});

test.serial('a cluster that is full says so, and that whoever was revoked keeps its place', async t => {
  const house = new House(t);
  const a = await house.found();
  const admin = await loadAdminKey(a.stateDir);
  if (admin === undefined) return t.fail();
  const { configuration } = a.membership;
  const others = Array.from({ length: MEMBERS_MAX - 2 }, (_, n) => memberOf(newKey(), `h${n}`, { state: 'revoked' }));
  await a.membership.acceptVersion(next(configuration, admin, { members: [...configuration.members, ...others] }).raw);
  const refused = { code: 'CLUSTER_FULL', message: /\(1000\); revoked members keep their places/ };
  t.is((await house.join(await a.invite(), 'last')).name, 'last');
  await t.throwsAsync(house.join(await a.invite(), 'late'), refused);
});

test('an expired token is refused by the joiner, and by the member when the joiner has another clock', async t => {
  const house = new House(t);
  const a = await house.found();
  const token = await a.invite({ lifeMs: HOUR_MS });
  await t.throwsAsync(house.join(token, 'c', { clock: () => Date.now() + HOUR_MS }), { code: 'TOKEN_EXPIRED' });
  await a.down();

  let nowMs = Date.now();
  const door = await house.up(a.stateDir, { clock: () => nowMs });
  const later = await door.invite({ lifeMs: 3 * HOUR_MS }); // keeps the door open for strangers
  const here = (text: string) =>
    tokenText({ ...parseToken(text), doors: [{ peer: door.peer, addresses: door.net.addresses() }] });
  nowMs += 2 * HOUR_MS;
  await t.throwsAsync(house.join(here(token), 'c'), { code: 'TOKEN_EXPIRED', message: /expired at .*clock/ });
  t.is((await house.join(later, 'c')).name, 'c');
});

test('a damaged token is told at once, before anything is made', async t => {
  const house = new House(t);
  const a = await house.found();
  const token = await a.invite();
  const stateDir = temporaryFolder(t);
  await t.throwsAsync(house.join(`${token.slice(0, 40)}x${token.slice(41)}`, 'c', { stateDir }), {
    code: 'TOKEN_DAMAGED',
  });
  t.deepEqual(await readdir(stateDir), []);
});

test('a token of another cluster is told as that', async t => {
  const house = new House(t);
  const [a, b] = [await house.found(), await house.found()];
  const token = parseToken(await a.invite());
  await b.invite();
  const crossed = tokenText({ ...token, doors: [{ peer: b.peer, addresses: b.net.addresses() }] });
  await t.throwsAsync(house.join(crossed, 'c'), { code: 'TOKEN_OTHER_CLUSTER' });
});

test('a token whose one-time key is another is refused, and takes no use', async t => {
  const house = new House(t);
  const a = await house.found();
  const token = parseToken(await a.invite());
  await t.throwsAsync(house.join(tokenText({ ...token, seed: newKey().seed }), 'c'), { code: 'TOKEN_REFUSED' });
  t.is((await house.join(tokenText(token), 'c')).name, 'c');
});

test('when nobody answers, or nobody welcomes strangers, the addresses that were tried are told', async t => {
  const house = new House(t);
  const a = await house.found();
  const token = await a.invite();
  await a.down();
  const { signal } = new AbortController();
  await t.throwsAsync(house.join(token, 'c', { signal }), { code: 'JOIN_UNREACHABLE', message: /127\.0\.0\.1/ });
  t.deepEqual(getEventListeners(signal, 'abort'), [], 'each try stops listening, for there are many');

  const closed = await house.up(a.stateDir, { clock: () => Date.now() + 2 * HOUR_MS });
  const here = tokenText({ ...parseToken(token), doors: [{ peer: closed.peer, addresses: closed.net.addresses() }] });
  await t.throwsAsync(house.join(here, 'c'), { code: 'JOIN_UNREACHABLE' });
});

test('a state folder that has a cluster is not joined to another', async t => {
  const house = new House(t);
  const a = await house.found();
  const b = await house.found();
  await t.throwsAsync(house.join(await a.invite(), 'c', { stateDir: b.stateDir }), { code: 'ALREADY_IN_CLUSTER' });
  t.true(hasCluster(b.stateDir));
});

test('a join that is tried again after its answer was lost takes no second use', async t => {
  const house = new House(t);
  const a = await house.found();
  const token = await a.invite();
  const { stateDir } = await house.join(token, 'c');
  const { rm } = await import('node:fs/promises');
  await rm(`${stateDir}/config`, { recursive: true });
  const again = await house.join(token, 'c', { stateDir });
  t.like(again, { name: 'c', standing: 'active' });
  t.is(a.membership.configuration.members.length, 2);
});

test('an untrusted host gets the members and its own section, no others, and no invite; later versions too', async t => {
  const house = new House(t);
  const a = await house.found();
  await a.membership.admin.applyPolicy({
    text: 'cluster: home\nhosts:\n  a:\n    stores: [{ path: /secret-place }]\n  pupil:\n    sources: { work: { path: /work } }\n',
  });
  const joined = await house.join(await a.invite({ trust: 'untrusted' }), 'pupil');
  t.is(joined.trust, 'untrusted');
  const pupil = await house.up(joined.stateDir);
  await pupil.meet(a);
  t.deepEqual([...pupil.membership.configuration.policy.hosts.keys()], ['pupil']);

  await a.invite();
  await a.membership.admin.addSource({ host: 'pupil', name: 'more', path: '/more' });
  await until(
    () => pupil.membership.configuration.hash === a.membership.configuration.hash,
    'the new version to reach the pupil',
  );
  t.false(pupil.membership.configuration.policyText.includes('secret-place'));
  t.deepEqual(
    pupil.membership.configuration.policy.hosts.get('pupil')?.sources.map(({ name }) => name),
    ['work', 'more'],
  );
  t.deepEqual(pupil.membership.openInvites(), []);
  t.false(pupil.membership.strangersWelcome());
  t.is(pupil.membership.clusterConfig.members.length, 2);
  // What it has, it can open again.
  t.is((await openQuietly(pupil.stateDir)).configuration.hash, a.membership.configuration.hash);
});

test('a revoked host is cut off', async t => {
  const house = new House(t);
  const a = await house.found();
  const b = await house.admit(a, 'b');
  await b.meet(a);
  await a.membership.admin.revoke('b', []);
  await until(() => a.net.connected().length === 0, 'the connection to close');
  await t.throwsAsync(house.join(await a.invite(), 'b', { stateDir: b.stateDir }), { code: 'ALREADY_IN_CLUSTER' });
  t.false(a.membership.isMember(b.peer));
});
