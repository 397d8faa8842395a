/**
 * Configuration chain: which of two configurations wins, found from where their chains part; and who may sign the next
 * one. The daemon reads chains from its disk and checks signatures; here the chains are at hand, and honest.
 */
import type { ClusterConfig } from '../src/core/cluster-config.js';
import { goesBefore as branchGoesBefore } from '../src/core/config-fork.js';
import { assert } from '../src/core/fault.js';
import type { HostId } from '../src/core/ids.js';
import type { SignedConfig } from './host-disk.js';

export function goesBefore(config: SignedConfig, other: SignedConfig): boolean {
  const rival: SignedConfig[] = [];
  const ours: SignedConfig[] = [];
  let [a, b]: [SignedConfig, SignedConfig] = [config, other];
  while (a !== b) {
    const { version } = b;
    if (version >= a.version) b = below(b, ours);
    if (a.version >= version) a = below(a, rival);
  }
  return branchGoesBefore({ ground: a, ours: ours.reverse(), rival: rival.reverse() });
}

function below(config: SignedConfig, after: SignedConfig[]): SignedConfig {
  const { parent } = config;
  assert(parent !== undefined, 'all configurations of a cluster follow from its first one');
  after.push(config);
  return parent;
}

/** Each trusted member has an admin key until it is revoked; its host id stands for the key. */
export const adminsOf = ({ members }: Pick<ClusterConfig, 'members'>): SignedConfig['admins'] =>
  members.flatMap(({ host, state, trust }) => (state !== 'revoked' && trust === 'trusted' ? [{ key: host }] : []));

/** Revoked members are named by their host ids too. */
export const revokedIn = ({ members }: Pick<ClusterConfig, 'members'>): SignedConfig['revoked'] =>
  members.flatMap(({ host, state }) => (state === 'revoked' ? [{ peer: host }] : []));

export const isAdmin = ({ admins }: SignedConfig, host: HostId): boolean => admins.some(({ key }) => key === host);

/** True when neither is an ancestor of the other. */
export function areForked(a: SignedConfig, b: SignedConfig): boolean {
  const [longer, shorter] = a.version >= b.version ? [a, b] : [b, a];
  let at: SignedConfig | undefined = longer;
  while (at !== undefined && at.version > shorter.version) at = at.parent;
  return at !== shorter;
}
