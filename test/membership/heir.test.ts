import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { House, until } from './house.js';

test('a host that gets the dead founder’s admin key revokes the founder and governs on, and all others follow it', async t => {
  const house = new House(t);
  const founder = await house.found('founder');
  const heir = await house.admit(founder, 'heir');
  const other = await house.admit(founder, 'other');
  await other.meet(founder);
  await founder.down();
  await heir.down();
  await t.throwsAsync(heir.membership.admin.revoke('founder', []), { code: 'NO_ADMIN_KEY' });

  await copyFile(join(founder.stateDir, 'admin.key'), join(heir.stateDir, 'admin.key'));
  const admin = await house.up(heir.stateDir);
  await admin.membership.admin.revoke('other', []);
  const [before] = admin.membership.configuration.admins;
  t.is(before?.host, founder.membership.identity.host);
  await admin.membership.admin.revoke('founder', []);
  t.deepEqual(admin.membership.configuration.admins, [{ key: before?.key, host: heir.membership.identity.host }]);

  const next = await house.admit(admin, 'next');
  await next.meet(admin);
  await admin.membership.admin.setAddresses('next', ['/ip4/192.168.1.20/tcp/4747']);
  const { hash } = admin.membership.configuration;
  await until(() => next.membership.configuration.hash === hash, 'the heir’s version to be followed');
  await t.throwsAsync(next.membership.admin.revoke('heir', []), { code: 'NO_ADMIN_KEY', message: /Do it on: heir$/ });
});
