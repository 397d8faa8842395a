/** A second admin: how its key comes into the configuration, what it may then do, and that two of them do not write over each other. */
import { copyFileSync, existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { hexOf } from '../../src/core/ids.js';
import type { Signer } from '../../src/core/signed.js';
import { adminRequestLine, readAdminRequest } from '../../src/membership/admin-request.js';
import { ADMINS_MAX } from '../../src/membership/configuration.js';
import { withAdmin } from '../../src/membership/content-change.js';
import { type Identity, loadAdminKey } from '../../src/membership/identity.js';
import { initCluster } from '../../src/membership/init-cluster.js';
import { type Membership, openMembership } from '../../src/membership/membership.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { admission, found, hostOf, invitation, type Key, memberOf, NOON_MS, newKey, next, silent } from './cast.js';
import { House, until } from './house.js';

const identityOf = (key: Key): Identity => ({
  host: hostOf(key),
  peer: memberOf(key, 'x').peer,
  seed: key.seed,
  signer: key,
});

test('a line makes its own host an admin, behind those that there are, and only that host', t => {
  const [first, mini, pi, fresh] = [newKey(), newKey(), newKey(), newKey()];
  const members = [memberOf(first, 'a1'), memberOf(mini, 'mini'), memberOf(pi, 'pi', { trust: 'untrusted' })];
  const configuration = found([first], { members });
  const line = adminRequestLine(configuration.cluster, identityOf(mini), fresh);
  t.regex(line, /^[\w-]{100,600}$/);
  const broken = `${line.slice(0, 60)}\n  ${line.slice(60)} `;
  const added = withAdmin(configuration, 'mini', readAdminRequest(broken));
  t.deepEqual(added.admins.slice(1), [{ key: hexOf(fresh.publicKey), host: hostOf(mini) }]);
  t.is(withAdmin(added, 'mini', readAdminRequest(line)), added);

  const request = readAdminRequest(line);
  const wrong = { code: 'BAD_ADMIN_REQUEST' };
  t.throws(() => withAdmin(configuration, 'a1', request), { ...wrong, message: /not a line of a1/ });
  t.throws(() => withAdmin(configuration, 'nas', request), { code: 'NO_SUCH_HOST' });
  const forged = adminRequestLine(configuration.cluster, { ...identityOf(mini), signer: pi }, fresh);
  t.throws(() => withAdmin(configuration, 'mini', readAdminRequest(forged)), wrong);
  const untrusted = adminRequestLine(configuration.cluster, identityOf(pi), fresh);
  t.throws(() => withAdmin(configuration, 'pi', readAdminRequest(untrusted)), { ...wrong, message: /untrusted/ });
});

test('a line that is not whole, or whose maker does not have the key, is refused', t => {
  const [mini, fresh, other] = [newKey(), newKey(), newKey()];
  const { cluster } = found([mini]);
  const line = adminRequestLine(cluster, identityOf(mini), fresh);
  const wrong = { code: 'BAD_ADMIN_REQUEST' };
  for (const text of ['', 'hello', line.slice(0, -1), `${line}A`, line.replace('admin1', 'admin2'), line.repeat(20)])
    t.throws(() => readAdminRequest(text), wrong, text);
  for (let at = 24; at < line.length; at += 7)
    t.throws(() => readAdminRequest(`${line.slice(0, at)}${line[at] === 'A' ? 'B' : 'A'}${line.slice(at + 1)}`), wrong);
  const borrowed: Signer = { publicKey: fresh.publicKey, sign: body => other.sign(body) };
  t.throws(() => readAdminRequest(adminRequestLine(cluster, identityOf(mini), borrowed)), {
    ...wrong,
    message: /does not have the key/,
  });
});

test('there are at most so many admin keys', t => {
  const keys = Array.from({ length: ADMINS_MAX }, newKey);
  const mini = newKey();
  const full = found(keys);
  const content = { ...full, members: [...full.members, memberOf(mini, 'mini')] };
  const request = readAdminRequest(adminRequestLine(full.cluster, identityOf(mini), newKey()));
  t.throws(() => withAdmin(content, 'mini', request), { code: 'TOO_MANY_ADMINS' });
  t.is(withAdmin({ ...content, admins: full.admins.slice(1) }, 'mini', request).admins.length, ADMINS_MAX);
  const last = { key: hexOf(newKey().publicKey), host: hostOf(mini) };
  const withLost = { ...content, admins: [last, ...full.admins.slice(1)] };
  t.deepEqual(withAdmin(withLost, 'mini', request).admins.at(-1), { key: request.key, host: hostOf(mini) });
});

/** The first is the founder, and each hears the others. */
async function threeMembers(t: ExecutionContext) {
  const house = new House(t);
  const first = await house.found('first');
  const second = await house.admit(first, 'second');
  const third = await house.admit(first, 'third');
  await second.meet(first);
  await third.meet(first);
  await third.meet(second);
  await until(() => second.standingOf('third') === 'active', 'all to be members');
  return { first, second, third };
}

test('the second admin governs at once, also when the first is stolen and shut out, whose key is worth nothing then', async t => {
  const { first, second, third } = await threeMembers(t);
  const line = await second.membership.adminRequest();
  t.is(await second.membership.adminRequest(), line);
  t.true(existsSync(join(second.stateDir, 'admin.key')));
  await t.throwsAsync(second.membership.admin.drain('third', false), { code: 'NO_ADMIN_KEY' });
  await t.throwsAsync(third.membership.admin.add('second', line), { code: 'NO_ADMIN_KEY' });

  const elsewhere = adminRequestLine(found([newKey()]).cluster, second.membership.identity, newKey());
  await t.throwsAsync(first.membership.admin.add('second', elsewhere), { message: /a host of another cluster/ });

  const { configuration } = await first.membership.admin.add('second', line);
  await until(() => second.membership.isAdmin, 'the second to hear of it');
  t.is(second.membership.admin.place, 1);
  await second.membership.admin.revoke('first', []);
  t.deepEqual(second.membership.configuration.admins, configuration.admins.slice(1));
  t.is(second.membership.admin.place, 0);
  await until(() => third.standingOf('first') === 'revoked', 'the third to follow');

  const stolen = (await loadAdminKey(first.stateDir)) as Signer;
  t.throws(() => next(third.membership.configuration, stolen), { code: 'NOT_AN_ADMIN' });
  const fork = next(configuration, stolen, { policyText: 'cluster: thief\n' });
  await third.membership.acceptVersion(fork.raw);
  t.is(third.standingOf('first'), 'revoked');
});

test('an admin that has lost its key gets another, and the lost one counts no more', async t => {
  const { first, second, third } = await threeMembers(t);
  await first.membership.admin.add('second', await second.membership.adminRequest());
  await until(() => second.membership.isAdmin, 'the second to hear of it');
  const lost = (await loadAdminKey(second.stateDir)) as Signer;
  renameSync(join(second.stateDir, 'admin.key'), join(second.stateDir, 'lost.key'));
  const { changed, replaced } = await first.membership.admin.add('second', await second.membership.adminRequest());
  t.true(changed && replaced);
  const { admins } = first.membership.configuration;
  t.deepEqual(
    admins.map(({ host }) => host),
    [first, second].map(({ membership }) => membership.identity.host),
  );
  t.not(admins[1]?.key, hexOf(lost.publicKey));
  await until(() => third.membership.configuration.admins[1]?.key === admins[1]?.key, 'the third to follow');
  t.throws(() => next(third.membership.configuration, lost), { code: 'NOT_AN_ADMIN' });
  await until(() => second.membership.configuration.admins[1]?.key === admins[1]?.key, 'the second to hear of it');
  t.true(second.membership.isAdmin);
  await second.membership.admin.drain('third', false);
});

test('a copy of another admin’s key makes no second admin, also when that one was shut out with its key', async t => {
  const { first, second, third } = await threeMembers(t);
  const fileOf = ({ stateDir }: { readonly stateDir: string }) => join(stateDir, 'admin.key');
  copyFileSync(fileOf(first), fileOf(third));
  const refused = { code: 'KEY_OF_ANOTHER_HOST', message: /a copy of that of first/ };
  await t.throwsAsync(third.membership.adminRequest(), refused);
  const key = (await loadAdminKey(first.stateDir)) as Signer;
  const copied = adminRequestLine(first.membership.cluster, third.membership.identity, key);
  await t.throwsAsync(first.membership.admin.add('third', copied), { code: 'BAD_ADMIN_REQUEST', message: /a copy/ });

  await first.membership.admin.add('second', await second.membership.adminRequest());
  await until(() => second.membership.isAdmin, 'the second to hear of it');
  await second.membership.admin.revoke('first', []);
  await until(() => third.standingOf('first') === 'revoked', 'the third to follow');
  await t.throwsAsync(third.membership.adminRequest(), refused);

  renameSync(fileOf(third), `${fileOf(third)}.of-first`);
  const { changed } = await second.membership.admin.add('third', await third.membership.adminRequest());
  t.true(changed);
  t.not(second.membership.configuration.admins[1]?.key, hexOf(key.publicKey));
});

/** A founder, its key, and a host whose key stands behind the founder's. */
async function twoAdmins(t: ExecutionContext) {
  const founderDir = temporaryFolder(t);
  const base = { clock: () => NOON_MS, runMs: () => 0, log: silent };
  await initCluster({ stateDir: founderDir, clusterName: 'home', hostName: 'first', nowMs: NOON_MS });
  const founder = await openMembership({ stateDir: founderDir, ...base });
  const key = (await loadAdminKey(founderDir)) as Signer;
  return { founder, founderDir, key, base };
}

/** Lets a host in by the first admin's invite, as any member may. */
async function letIn(to: Membership, admitter: Key, admin: Signer, name: string): Promise<void> {
  const invited = invitation(to.configuration, admin);
  await to.acceptInvite(invited.invite.raw);
  await to.acceptAdmission(admission(invited, newKey(), admitter, name).raw);
}

test('who stands behind another admin waits for his turn before he writes down a new member, and then does it', async t => {
  const { founder, founderDir, key, base } = await twoAdmins(t);
  // The founder's folder with another key: it stands behind the founder's own.
  const mine = newKey();
  const admins = [{ key: hexOf(mine.publicKey), host: founder.identity.host }, ...founder.configuration.admins];
  await founder.acceptVersion(next(founder.configuration, key, { admins }).raw);
  await founder.stop();
  const admitter: Key = { ...founder.identity.signer, seed: founder.identity.seed };
  const waiting = await openMembership({ stateDir: founderDir, absorbTurnMs: 3_600_000, ...base });
  t.is(waiting.admin.place, 1);
  await letIn(waiting, admitter, key, 'guest');
  const stateOf = (of: Membership) => of.clusterConfig.members.find(({ name }) => name === 'guest')?.state;
  t.is(stateOf(waiting), 'provisional');
  await waiting.stop();

  const inTurn = await openMembership({ stateDir: founderDir, absorbTurnMs: 20, ...base });
  t.is(stateOf(inTurn), 'provisional');
  await until(() => stateOf(inTurn) === 'active', 'its turn');
  await inTurn.stop();
});
