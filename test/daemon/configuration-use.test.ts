/** Configuration use: that what a configuration says reaches the parts of this host, at the start and at each change. */
import test from 'ava';
import type { Signer } from '../../src/core/signed.js';
import { ConfigurationUse, type ConfigurationUseOptions } from '../../src/daemon/configuration-use.js';
import { Roster } from '../../src/daemon/roster.js';
import { loadAdminKey } from '../../src/membership/identity.js';
import { initCluster } from '../../src/membership/init-cluster.js';
import { openMembership } from '../../src/membership/membership.js';
import { publicKeyOf } from '../../src/membership/peer-key.js';
import { PacedLine } from '../../src/net/pace.js';
import { temporaryFolder } from '../helpers/temporary-folder.js';
import { memberOf, NOON_MS, newKey, next, silent } from '../membership/cast.js';

test('the limits of this host’s own part of the policy are those that its net keeps to, until they go', async t => {
  const stateDir = temporaryFolder(t);
  await initCluster({ stateDir, clusterName: 'home', hostName: 'imac', nowMs: NOON_MS });
  const membership = await openMembership({ stateDir, clock: () => NOON_MS, runMs: () => 0, log: silent });
  const roster = new Roster({ self: membership.identity.host, publicKeyOf });
  const paces = { upload: new PacedLine(), download: new PacedLine() };
  const nothing = () => undefined;
  const later = async () => undefined;
  const use = new ConfigurationUse({
    membership,
    roster,
    net: { close: later, connected: () => [], paces },
    known: {
      forgotten: { update: nothing },
      revocations: { update: nothing },
      catalog: { reconsider: later },
    },
    stores: { stores: () => [], configure: later },
    storeHeads: {},
    sourceDisks: { configure: nothing },
    origin: { configure: nothing },
    sweeper: { start: nothing },
    tell: nothing,
    log: silent,
  } as unknown as ConfigurationUseOptions);
  const { configuration } = membership;
  const members = [...configuration.members, memberOf(newKey(), 'mini')];
  const adopt = async (hosts: string): Promise<void> => {
    const policyText = `cluster: home\nhosts:\n${hosts}`;
    const signer = (await loadAdminKey(stateDir)) as Signer;
    await membership.acceptVersion(next(membership.configuration, signer, { members, policyText }).raw);
    use.begin();
  };
  /** Which lines make whoever moves bytes to or from that host wait its turn. */
  const limited = (host: string): string[] => {
    const peer = roster.named(host)?.peer as never;
    return (['upload', 'download'] as const).filter(
      line => paces[line].take({ peer, bytes: 1, isUrgent: false }) !== undefined,
    );
  };

  await adopt('  imac: { limits: { upload: 2 MB } }\n  mini: { limits: { download: 2 MB } }\n');
  t.deepEqual(limited('mini'), ['upload'], 'the others’ own limits are theirs to keep');
  await adopt('  imac: { limits: { peers: { mini: { download: 1 MB } } } }\n  mini: {}\n');
  t.deepEqual([limited('mini'), limited('imac')], [['download'], []]);
  await adopt('  imac: {}\n  mini: {}\n');
  t.deepEqual(limited('mini'), []);
});

test('when another machine goes on as a host the connection of the former ends, which the machine is told, as it is that the other one is that host', async t => {
  const stateDir = temporaryFolder(t);
  await initCluster({ stateDir, clusterName: 'home', hostName: 'imac', nowMs: NOON_MS });
  const membership = await openMembership({ stateDir, clock: () => NOON_MS, runMs: () => 0, log: silent });
  const [old, fresh] = [newKey(), newKey()];
  const written = [memberOf(old, 'pi'), memberOf(fresh, 'pi-2')];
  const signer = (await loadAdminKey(stateDir)) as Signer;
  const members = [...membership.configuration.members, ...written];
  await membership.acceptVersion(next(membership.configuration, signer, { members }).raw);
  const roster = new Roster({ self: membership.identity.host, publicKeyOf });
  roster.update(membership.clusterConfig.members);
  const told: string[] = [];
  const nothing = () => undefined;
  const later = async () => undefined;
  const nameOf = (host: unknown): string => written.find(member => member.host === host)?.name ?? '';
  const use = new ConfigurationUse({
    membership,
    roster,
    net: {
      close: async (peer: string) => told.push(`close ${written.find(member => member.peer === peer)?.name}`),
      connected: () => written.map(({ peer }) => peer),
      paces: { upload: { set: nothing }, download: { set: nothing } },
    },
    known: { forgotten: { update: nothing }, revocations: { update: nothing }, catalog: { reconsider: later } },
    stores: { stores: () => [], configure: later },
    storeHeads: {},
    sourceDisks: { configure: nothing },
    origin: { configure: nothing },
    sweeper: { start: nothing },
    tell: (input: { readonly is: string; readonly host?: string }) => told.push(`${input.is} ${nameOf(input.host)}`),
    log: silent,
  } as unknown as ConfigurationUseOptions);
  use.begin();
  t.deepEqual(told, ['config ']);
  await membership.admin.replace({ host: 'pi', by: 'pi-2', heads: [], hasHistory: false });
  told.length = 0;
  use.begin();
  t.deepEqual(told, ['disconnected pi', 'close pi', 'config ', 'connected pi']);
  t.is(roster.peerOf(written[0]?.host as never), written[1]?.peer);
});
