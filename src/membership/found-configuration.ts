/**
 * Found configuration: what a configuration on a store's disk says, when nobody can vouch for it.
 *
 * A store keeps the versions that were in use while it was mounted: usually not a whole chain up from the cluster's id,
 * and so no proof. Each version's own signature is checked, which finds damage; but whoever can write to the disk can
 * write another version. So it is believed as far as the disk is: for the names of hosts, for the keys by which they
 * signed, and for where stores are.
 */
import { bytesOf, type ClusterId, type HostId } from '../core/ids.js';
import { verify } from '../platform/ed25519.js';
import { clusterIdOf, readVersion, type UncheckedVersion } from './configuration.js';
import { parsePolicy } from './parse-policy.js';
import { publicKeyOf } from './peer-key.js';
import type { Policy } from './policy.js';
import { joinPolicy } from './policy-parts.js';
import { PolicyError } from './policy-report.js';

export interface FoundHost {
  readonly host: HostId;
  readonly name: string;
  /**
   * The key by which it signs, and those that the machines had which were this host before. Also given for a host that
   * was revoked since: what it backed up before is wanted all the same.
   */
  readonly keys: readonly Uint8Array[];
  /** The folders that it lends, by the policy; none where the policy cannot be read. */
  readonly stores: readonly string[];
}

export interface FoundConfiguration {
  readonly version: number;
  readonly signedMs: number;
  readonly hosts: readonly FoundHost[];
}

/**
 * @param cluster undefined: any cluster, when nothing is left that says which it is
 * @throws ClusterError MALFORMED; Error for a version of another cluster, or one whose signature is wrong
 */
export function readFoundVersion(raw: Uint8Array, cluster: ClusterId | undefined): FoundConfiguration {
  const found = readVersion(raw);
  const claimed = found.version === 1 ? clusterIdOf(found) : found.cluster;
  if (cluster !== undefined && claimed !== cluster) throw new Error(`it is of another cluster, ${claimed}`);
  if (!verify(bytesOf(found.signer), found.body, found.signature)) throw new Error('its signature is wrong');
  const policy = policyOf(found);
  return {
    version: found.version,
    signedMs: found.signedMs,
    hosts: found.members.map(({ host, name, peer }) => ({
      host,
      name,
      keys: [peer, ...found.replaced.filter(former => former.host === host).map(former => former.peer)].map(
        publicKeyOf,
      ),
      stores: policy?.hosts.get(name)?.stores.map(({ path }) => path) ?? [],
    })),
  };
}

function policyOf({ parts, version }: UncheckedVersion): Policy | undefined {
  const texts = parts.flatMap(({ name, text }) => (text === undefined ? [] : [{ name, text }]));
  try {
    return parsePolicy(joinPolicy(texts), { file: `configuration ${version}`, isSigned: true }).policy;
  } catch (error) {
    // A policy of a later release, for example: names and keys are usable without it.
    if (error instanceof PolicyError) return undefined;
    throw error;
  }
}
