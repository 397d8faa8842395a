import { chmod, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { createIdentity, loadAdminKey, loadIdentity, loadOrCreateAdminKey } from '../../src/membership/identity.js';
import { hostIdOf, peerNameOf, publicKeyOf } from '../../src/membership/peer-key.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';

test('an identity is made once, owned by its user alone, and reads back', async t => {
  const stateDir = join(temporaryFolder(t), 'state');
  t.is(await loadIdentity(stateDir), undefined);
  const made = await createIdentity(stateDir);
  t.is((await stat(stateDir)).mode & 0o777, 0o700);
  t.is((await stat(join(stateDir, 'identity.key'))).mode & 0o777, 0o600);
  const loaded = await loadIdentity(stateDir);
  t.is(loaded?.host, made.host);
  t.is(loaded?.peer, made.peer);
  t.is(made.host, hostIdOf(made.signer.publicKey));
  t.deepEqual(publicKeyOf(made.peer), made.signer.publicKey);
  t.is(peerNameOf(made.signer.publicKey), made.peer);
  await t.throwsAsync(createIdentity(stateDir), { code: 'IDENTITY_EXISTS' });
});

test('a key file that others can read is refused', async t => {
  const stateDir = temporaryFolder(t);
  await createIdentity(stateDir);
  await chmod(join(stateDir, 'identity.key'), 0o640);
  await t.throwsAsync(loadIdentity(stateDir), { code: 'KEY_EXPOSED', message: /mode 640/ });
  t.truthy(await loadIdentity(stateDir, { evenExposed: true }), 'but read by whoever only looks');
});

test('a damaged key is told of, never taken for another one', async t => {
  const stateDir = temporaryFolder(t);
  const { host } = await createIdentity(stateDir);
  await loadOrCreateAdminKey(stateDir, host);
  const path = join(stateDir, 'identity.key');
  const text = await readFile(path, 'utf8');
  const seed = /"seed": "(.)/.exec(text)?.[1] === '0' ? '1' : '0';
  await writeFile(path, text.replace(/"seed": "./, `"seed": "${seed}`));
  await t.throwsAsync(loadIdentity(stateDir), { code: 'KEY_DAMAGED', message: /do not belong together/ });
  await writeFile(path, await readFile(join(stateDir, 'admin.key')));
  await t.throwsAsync(loadIdentity(stateDir), { code: 'KEY_DAMAGED', message: /not a scatterhoard host key/ });
  await truncate(path, 30);
  await t.throwsAsync(loadIdentity(stateDir), { code: 'KEY_DAMAGED' });
  t.not(await loadAdminKey(stateDir), undefined);
});
