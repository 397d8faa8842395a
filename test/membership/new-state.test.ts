import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { hexOf } from '../../src/core/ids.js';
import { ConfigStore } from '../../src/membership/config-store.js';
import { loadAdminKey, loadIdentity } from '../../src/membership/identity.js';
import { initCluster } from '../../src/membership/init-cluster.js';
import { tokenText } from '../../src/membership/invite.js';
import { joinCluster } from '../../src/membership/join-cluster.js';
import { peerNameOf } from '../../src/membership/peer-key.js';
import { takeLock } from '../../src/platform/lock.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { found, invitation, NOON_MS, newKey, silent } from './cast.js';

test('of two that found a cluster in one state folder at once one is refused, and the other has the keys that are there', async t => {
  const stateDir = join(temporaryFolder(t), 'state');
  const begin = (hostName: string) => initCluster({ stateDir, clusterName: 'home', hostName, nowMs: NOON_MS });
  const ended = await Promise.allSettled([begin('imac'), begin('mini')]);
  t.deepEqual(ended.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  t.like(
    ended.find(({ status }) => status === 'rejected'),
    { reason: { code: 'STATE_LOCKED' } },
  );
  const { members, admins } = (await ConfigStore.look(stateDir)).current;
  const [identity, admin] = [await loadIdentity(stateDir), await loadAdminKey(stateDir)];
  t.is(members[0]?.peer, identity?.peer);
  t.is(admins[0]?.key, admin && hexOf(admin.publicKey));
  await t.throwsAsync(begin('mini'), { code: 'ALREADY_IN_CLUSTER' });
});

test('a join leaves a state folder alone in which another one is under way', async t => {
  const stateDir = temporaryFolder(t);
  const lock = takeLock(join(stateDir, 'lock'));
  const admin = newKey();
  const doors = [{ peer: peerNameOf(newKey().publicKey), addresses: [] }];
  const token = tokenText({ ...invitation(found([admin]), admin), doors });
  const joining = joinCluster({ token, stateDir, mdns: false, findMs: 0, clock: () => NOON_MS, log: silent });
  await t.throwsAsync(joining, { code: 'STATE_LOCKED' });
  lock.release();
  t.deepEqual(await readdir(stateDir), []);
});
