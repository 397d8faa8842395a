/** Counting domains: the domain of each host whose copies count by a configuration: of each active, trusted member. */
import type { ClusterConfig, Member } from '../src/core/cluster-config.js';
import type { HostId } from '../src/core/ids.js';

const made = new WeakMap<readonly Member[], ReadonlyMap<HostId, string>>();

/** Made once per list of members, which never changes. */
export function countingDomains({ members }: Pick<ClusterConfig, 'members'>): ReadonlyMap<HostId, string> {
  const known = made.get(members);
  if (known !== undefined) return known;
  const counting = members.filter(({ state, trust }) => state === 'active' && trust === 'trusted');
  const domains = new Map(counting.map(({ host, domain }) => [host, domain]));
  made.set(members, domains);
  return domains;
}
