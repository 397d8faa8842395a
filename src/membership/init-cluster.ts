/**
 * Init cluster: founds a cluster in a state folder: host key, admin key, and the first configuration, which has this
 * host as its only member.
 */
import { hostname } from 'node:os';
import { hexOf } from '../core/ids.js';
import { checkName } from './check-name.js';
import { ConfigStore } from './config-store.js';
import { type Configuration, clusterIdOf, MEMBER_ADDRESSES_MAX, signVersion } from './configuration.js';
import { loadOrCreateAdminKey, loadOrCreateIdentity } from './identity.js';
import { inNewState } from './new-state.js';
import { hostNameFrom } from './roster.js';

/** Continues an earlier try that failed half-way. @throws ClusterError ALREADY_IN_CLUSTER, BAD_NAME; StateLocked */
export async function initCluster({
  stateDir,
  clusterName,
  hostName = hostNameFrom(hostname()),
  addresses = [],
  nowMs,
}: Omit<Founding, 'addresses' | 'hostName'> & {
  /** Default: this machine's name. */
  readonly hostName?: string;
  readonly addresses?: readonly string[];
}): Promise<Configuration> {
  checkName('cluster name', clusterName);
  checkName('host name', hostName);
  return await inNewState(stateDir, () => found({ stateDir, clusterName, hostName, addresses, nowMs }));
}

interface Founding {
  readonly stateDir: string;
  readonly clusterName: string;
  readonly hostName: string;
  readonly addresses: readonly string[];
  readonly nowMs: number;
}

async function found({ stateDir, clusterName, hostName, addresses, nowMs }: Founding): Promise<Configuration> {
  const identity = await loadOrCreateIdentity(stateDir);
  const { signer: admin } = await loadOrCreateAdminKey(stateDir, identity.host);
  const founder = {
    host: identity.host,
    name: hostName,
    peer: identity.peer,
    trust: 'trusted',
    state: 'active',
    addresses: addresses.slice(0, MEMBER_ADDRESSES_MAX),
    invite: undefined,
  } as const;
  const first = signVersion(
    {
      members: [founder],
      admins: [{ key: hexOf(admin.publicKey), host: identity.host }],
      revoked: [],
      archived: [],
      forgotten: [],
      released: [],
      replaced: [],
      policyText: `cluster: ${clusterName}\ndefaults:\n  copies: 2\n`,
    },
    { parent: undefined, signer: admin, nowMs },
  );
  const store = await ConfigStore.begin(stateDir, clusterIdOf(first));
  await store.accept(first.raw, { host: identity.host, trust: 'trusted' });
  await store.commit();
  return store.current;
}
