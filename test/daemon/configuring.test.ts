import test, { type ExecutionContext } from 'ava';
import type { KnownHead } from '../../src/catalog/source-history.js';
import type { Member } from '../../src/core/cluster-config.js';
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
  optionsOf: (
    tell: (seq: number) => void,
    laptop: HostId,
  ) => Partial<ConfiguringOptions> & { readonly isUnsettled?: boolean },
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
  const known = [{ head, hash: 'ab'.repeat(32) }];
  const heads = () => known as unknown as IterableIterator<KnownHead>;
  /** A head of this host, too, is known. */
  const catalogOf = (host: HostId) =>
    known.push({ head: { source: sourceIdOf(host, 'photos'), seq: 1 }, hash: 'cd'.repeat(32) });
  const { isUnsettled = false, ...options } = optionsOf(seq => {
    head.seq = seq;
  }, hostOf(laptop));
  const configuring = new Configuring({
    membership,
    roster,
    catalog: { heads, isUnsettled },
    askMembers: async () => [],
    known: { heardSeq: () => 0 },
    ...options,
    // Nothing else is asked of by what these tests call.
  } as ConfiguringOptions);
  const lastHeads = () => membership.configuration.revoked[0]?.heads.map(({ seq }) => seq);
  const follow = () => roster.update(membership.clusterConfig.members);
  return { configuring, lastHeads, follow, laptop: hostOf(laptop), membership, roster, catalogOf, stateDir };
}

test('who revokes a host asks the other members for its heads first: the last one that anybody has heard stays valid', async t => {
  const asked: HostId[] = [];
  const { configuring, lastHeads, laptop } = await household(t, tell => ({
    askMembers: async without => {
      asked.push(without);
      tell(2);
      return [];
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
          heardSeq: () => 1,
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

/** … and with a machine that has joined, and is to take the place of the laptop. */
async function withSuccessor(
  t: ExecutionContext,
  found: {
    readonly under?: number;
    readonly lost?: number;
    readonly own?: number;
    readonly liveness?: string;
    /** Who does not answer. */
    readonly silent?: readonly string[];
    readonly heardSeq?: number;
    readonly isUnsettled?: boolean;
  } = {},
) {
  const { under = 0, lost = 0, own = 0, liveness = 'dead', silent = [], heardSeq = 2, isUnsettled = false } = found;
  const asked: HostId[] = [];
  const house = await household(t, (tell, laptop) => ({
    known: {
      without: () => ({ under, lost }),
      unreadStores: () => 0,
      host: () => ({ liveness }),
      summary: () => ({ without: own }),
      heardSeq: () => heardSeq,
    } as unknown as ConfiguringOptions['known'],
    names: { all: () => [sourceIdOf(laptop, 'photos')] } as unknown as ConfiguringOptions['names'],
    askMembers: async without => {
      asked.push(without);
      tell(2);
      return silent.map(name => ({ name }) as Member);
    },
    isUnsettled,
  }));
  const { membership, follow, stateDir } = house;
  const machine = newKey();
  const { configuration } = membership;
  const members = [...configuration.members, memberOf(machine, 'laptop-2')];
  await membership.acceptVersion(next(configuration, (await loadAdminKey(stateDir)) as Signer, { members }).raw);
  follow();
  const replace = (yes = false, by = 'laptop-2') =>
    house.configuring.replace({ host: 'laptop', by, yes }).then(
      () => 'replaced',
      (error: Error) => error.message,
    );
  return { ...house, asked, replace, machine };
}

test('who lets a machine take the place of another asks the members for its heads first, and a yes is wanted for nothing that is elsewhere', async t => {
  const { membership, asked, replace, laptop, machine } = await withSuccessor(t);
  t.is(await replace(), 'replaced');
  const [former] = membership.configuration.replaced;
  t.deepEqual([asked, former?.heads.map(({ seq }) => seq)], [[laptop], [2]]);
  t.deepEqual(
    membership.configuration.members.map(({ name, host, peer }) => [
      name,
      name === 'imac' ? '' : host,
      name === 'imac' ? '' : peer,
    ]),
    [
      ['imac', '', ''],
      ['laptop', laptop, memberOf(machine, 'x').peer],
    ],
  );
  t.true(membership.revoked.some(({ host }) => host === laptop));
});

test('a yes is wanted to cut off a host that is heard, and for what nobody else has', async t => {
  const told = async (found: Parameters<typeof withSuccessor>[1]) => {
    const { membership, replace } = await withSuccessor(t, found);
    const why = await replace();
    t.deepEqual(membership.configuration.replaced, []);
    t.is(await replace(true), 'replaced');
    return why;
  };
  t.regex(
    await told({ liveness: 'live' }),
    /^laptop is heard: the machine that is laptop now is cut off.*Nothing was changed; --yes/,
  );
  t.regex(
    await told({ under: 3, lost: 1 }),
    /^without the stores of laptop, 3 parcels .*, 1 of them with no copy elsewhere: attach/,
  );
  t.regex(await told({ own: 2 }), /^2 parcels of its own sources are not copied yet: .*if the new machine has these/);
});

test('a machine that is not written down yet, has backed up something, or is no member takes nobody’s place', async t => {
  const { membership, roster, replace, catalogOf } = await withSuccessor(t);
  t.regex(await replace(true, 'nobody'), /no host "nobody"/);
  const real = roster.named.bind(roster);
  roster.named = name => {
    const found = real(name);
    return found !== undefined && name === 'laptop-2' ? { ...found, state: 'provisional' } : found;
  };
  t.regex(await replace(true), /^laptop-2 is admitted, and not yet in the configuration: wait until/);
  roster.named = real;
  catalogOf(real('laptop-2')?.host as HostId);
  t.regex(await replace(true), /^laptop-2 has backed up sources of its own/);
  t.deepEqual(membership.configuration.replaced, []);
});

test('nothing is added to a host that was revoked', async t => {
  const { configuring, follow } = await household(t, () => ({}));
  await configuring.revoke({ host: 'laptop', yes: true });
  follow();
  const refused = { code: 'HOST_UNKNOWN', message: /laptop" was revoked/ };
  await t.throwsAsync(configuring.addStore({ host: 'laptop', path: '/mnt/usb' }), refused);
  await t.throwsAsync(configuring.addSource({ host: 'laptop', name: 'films', path: '/films' }), refused);
});

test('whether the folder of a store is there is told to be known on its own host alone', async t => {
  const { configuring } = await household(t, () => ({}));
  const { warnings } = await configuring.addStore({ host: 'laptop', path: '/mnt/usb' });
  t.deepEqual(warnings, [
    "laptop alone can tell whether /mnt/usb is there and can be used: run 'cluster status' on laptop",
  ]);
  t.deepEqual((await configuring.addStore({ host: 'imac', path: '/mnt/usb' })).warnings, []);
});

test('a yes is wanted where this host may lack the newest heads of a host that is replaced or revoked, and says why', async t => {
  const found: readonly [NonNullable<Parameters<typeof withSuccessor>[1]>, RegExp][] = [
    [
      { silent: ['nas', 'attic'] },
      /^attic, nas cannot be asked, and may have heard of later snapshots of laptop than this host has: those would be listed no more/,
    ],
    [{ heardSeq: 3 }, /^a later list of the snapshots of laptop\/photos was heard of, and is not here/],
    [{ isUnsettled: true }, /^a list of snapshots cannot be read here, or is being read just now/],
  ];
  t.is(await (await withSuccessor(t)).replace(), 'replaced');
  for (const [doubt, why] of found) {
    const { membership, configuring, replace, lastHeads } = await withSuccessor(t, doubt);
    t.regex(await replace(), why);
    await t.throwsAsync(configuring.revoke({ host: 'laptop', yes: false }), { code: 'NEEDS_YES', message: why });
    t.deepEqual([membership.configuration.replaced, lastHeads()], [[], undefined]);
    t.is(await replace(true), 'replaced');
  }
});

test('a yes is wanted where no head is here of a source that the policy has, or had', async t => {
  const { membership, configuring, replace } = await withSuccessor(t);
  const policyOf = (sources: string) =>
    `cluster: home\nhosts: { laptop: { sources: { ${sources} } }, imac: { sources: { own: { path: /o } } } }\n`;
  const all = { text: policyOf('photos: { path: /p }, notes: { path: /n }'), file: 'p', yes: true };
  await membership.admin.applyPolicy(all);
  const why = /^no list of the snapshots of laptop\/notes is here: if there are any, none would be listed any more/;
  t.regex(await replace(), why);
  await membership.admin.applyPolicy({ ...all, text: policyOf('photos: { path: /p }') });
  t.deepEqual(membership.configuration.archived.length, 1);
  await t.throwsAsync(configuring.revoke({ host: 'laptop', yes: false }), { code: 'NEEDS_YES', message: why });
  t.is(await replace(true), 'replaced');
});

test('nobody is asked about a host that never had a source', async t => {
  const { configuring, membership, asked, follow, laptop } = await withSuccessor(t);
  await configuring.revoke({ host: 'laptop-2', yes: false });
  follow();
  t.deepEqual([asked, membership.configuration.revoked.length], [[], 1]);
  await configuring.revoke({ host: 'laptop', yes: false });
  t.deepEqual(asked, [laptop]);
});
