/**
 * Found configuration: what a configuration says that lies on a store's disk, and nobody there to vouch for it.
 *
 * A store keeps the versions that were in use while it was mounted: most often no chain up from the cluster's id, and so no
 * proof. What a version says of its own signer is checked, which finds damage; who can write to the disk can write another.
 * So it is believed as far as the disk is: for the names of hosts, for the keys by which they signed, for where stores are.
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
  /** By which it signs; also of a host that was revoked since, for what it had backed up before is wanted all the same. */
  readonly key: Uint8Array;
  /** The folders that it lends, as the policy says; none where that cannot be read. */
  readonly stores: readonly string[];
}

export interface FoundConfiguration {
  readonly version: number;
  readonly signedMs: number;
  readonly hosts: readonly FoundHost[];
}

/**
 * @param cluster undefined: of whichever, where nothing is left that says which it is
 * @throws ClusterError MALFORMED; Error for a version of another cluster, or one that its signer did not sign so
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
      key: publicKeyOf(peer),
      stores: policy?.hosts.get(name)?.stores.map(({ path }) => path) ?? [],
    })),
  };
}

function policyOf({ parts, version }: UncheckedVersion): Policy | undefined {
  const texts = parts.flatMap(({ name, text }) => (text === undefined ? [] : [{ name, text }]));
  try {
    return parsePolicy(joinPolicy(texts), { file: `configuration ${version}`, isSigned: true }).policy;
  } catch (error) {
    // Of a later release, say: names and keys are good without it.
    if (error instanceof PolicyError) return undefined;
    throw error;
  }
}
