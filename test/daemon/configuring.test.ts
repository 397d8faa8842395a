import test, { type ExecutionContext } from 'ava';
import type { KnownHead } from '../../src/catalog/source-history.js';
import { type HostId, parseHostId, type SourceId, sourceIdOf } from '../../src/core/ids.js';
import type { Signer } from '../../src/core/signed.js';
import { Configuring, type ConfiguringOptions } from '../../src/daemon/configuring.js';
import { Roster } from '../../src/daemon/roster.js';
import { loadAdminKey } from '../../src/membership/identity.js';
import { initCluster } from '../../src/membership/init-cluster.js';
import { openMembership } from '../../src/membership/membership.js';
import { publicKeyOf } from '../../src/membership/peer-key.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { hostOf, memberOf, NOON_MS, newKey, next, silent } from '../membership/cast.js';

/** The admin's host of a cluster with a laptop, which knows head 1 of the laptop's photos. */
async function household(
  t: ExecutionContext,
  options: (tell: (seq: number) => void, laptop: HostId) => Partial<ConfiguringOptions>,
) {
  const stateDir = temporaryFolder(t);
  await initCluster({ stateDir, clusterName: 'home', hostName: 'imac', nowMs: NOON_MS });
  const membership = await openMembership({ stateDir, clock: () => NOON_MS, runMs: () => 0, log: silent });
  const laptop = newKey();
  const { configuration } = membership;
  const members = [...configuration.members, memberOf(laptop, 'laptop')];
  await membership.acceptVersion(next(configuration, (await loadAdminKey(stateDir)) as Signer, { members }).raw);
  const roster = new Roster({ self: membership.identity.host, publicKeyOf });
  roster.update(membership.clusterConfig.members);
  const head = { source: sourceIdOf(hostOf(laptop), 'photos'), seq: 1 };
  const heads = () => [{ head, hash: 'ab'.repeat(32) }] as unknown as IterableIterator<KnownHead>;
  const configuring = new Configuring({
    membership,
    roster,
    catalog: { heads },
    askMembers: async () => undefined,
    ...options(seq => {
      head.seq = seq;
    }, hostOf(laptop)),
    // Nothing else is asked of by what these tests call.
  } as ConfiguringOptions);
  const lastHeads = () => membership.configuration.revoked[0]?.heads.map(({ seq }) => seq);
  const follow = () => roster.update(membership.clusterConfig.members);
  return { configuring, lastHeads, follow, laptop: hostOf(laptop) };
}

test('who revokes a host asks the other members for its heads first: the last one that anybody has heard stays valid', async t => {
  const asked: HostId[] = [];
  const { configuring, lastHeads, laptop } = await household(t, tell => ({
    askMembers: async without => {
      asked.push(without);
      tell(2);
    },
  }));
  await configuring.revoke({ host: 'laptop', yes: true });
  t.deepEqual([asked, lastHeads()], [[laptop], [2]]);
});

test('what of a host’s own sources nobody has copied wants a yes, as what it alone holds does, and what nobody knows', async t => {
  const revoke = async (
    found: { readonly under: number; readonly lost: number; readonly own: number; readonly unread?: number },
    yes = false,
  ) => {
    const { configuring, lastHeads } = await household(t, (_, laptop) => {
      const mine = sourceIdOf(laptop, 'photos');
      const theirs = sourceIdOf(parseHostId('0a'.repeat(16)), 'photos');
      return {
        known: {
          without: () => found,
          unreadStores: () => found.unread ?? 0,
          summary: (source: SourceId) => ({ without: source === mine ? found.own : 9 }),
        },
        names: { all: () => [mine, theirs] },
      } as unknown as Partial<ConfiguringOptions>;
    });
    const said = await configuring.revoke({ host: 'laptop', yes }).then(
      () => 'revoked',
      (error: Error) => error.message,
    );
    t.is(lastHeads() !== undefined, said === 'revoked');
    return said;
  };
  t.is(await revoke({ under: 0, lost: 0, own: 0 }), 'revoked');
  t.regex(
    await revoke({ under: 2, lost: 1, own: 0 }),
    /^without laptop, 2 parcels have .* 1 of them with no copy elsewhere;/,
  );
  t.regex(await revoke({ under: 0, lost: 0, own: 3 }), /^3 parcels of its own sources are not copied yet/);
  const nothing = { under: 0, lost: 0, own: 0 };
  t.regex(
    await revoke({ ...nothing, unread: 1 }),
    /^a store of laptop is being read again, and nobody knows yet what only laptop has;.*'cluster hosts' shows when/,
  );
  t.regex(await revoke({ ...nothing, unread: 2 }), /^2 stores of laptop are being read again/);
  t.is(await revoke({ under: 2, lost: 1, own: 3, unread: 1 }, true), 'revoked');
});

test('nothing is added to a host that was revoked', async t => {
  const { configuring, follow } = await household(t, () => ({}));
  await configuring.revoke({ host: 'laptop', yes: true });
  follow();
  const refused = { code: 'HOST_UNKNOWN', message: /laptop" was revoked/ };
  await t.throwsAsync(configuring.addStore({ host: 'laptop', path: '/mnt/usb' }), refused);
  await t.throwsAsync(configuring.addSource({ host: 'laptop', name: 'films', path: '/films' }), refused);
});

test('a member that does not answer keeps no host from being revoked', async t => {
  const { configuring, lastHeads } = await household(t, () => ({
    askMembers: () => new Promise(() => {}),
    askMsMax: 1,
  }));
  await configuring.revoke({ host: 'laptop', yes: true });
  t.deepEqual(lastHeads(), [1]);
});
