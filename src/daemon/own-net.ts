/** Own net: this host as a peer: where it listens, whom it dials, and which peers can be reached. */
import type { HostId } from '../core/ids.js';
import type { Net } from '../net/net.js';
import { startNet } from '../net/start-net.js';
import { KnownAddresses } from './known-addresses.js';
import type { OwnMachine } from './own-machine.js';
import type { OwnState } from './own-state.js';
import type { Teardown } from './teardown.js';

export interface OwnNetOptions {
  /** Multiaddrs. */
  readonly listen: readonly string[];
  /** Addresses to dial besides the known ones. */
  readonly peers: readonly string[];
  readonly mdns: boolean;
}

export interface OwnNet {
  readonly addresses: KnownAddresses;
  readonly net: Net;
  readonly isReachable: (host: HostId) => boolean;
}

export async function startOwnNet(
  { listen, peers, mdns }: OwnNetOptions,
  { stateDir, membership, boot, disk, machine, log }: OwnState & OwnMachine,
  teardown: Teardown,
): Promise<OwnNet> {
  const { host: self, seed } = membership.identity;
  const addresses = new KnownAddresses({ stateDir, membership, log });
  teardown.defer(() => addresses.close());
  const net = await startNet({
    privateKeySeed: seed,
    boot,
    listen,
    mdns,
    cluster: membership.cluster,
    gate: membership,
    log,
    frameMemory: disk.index.frames,
    knownAddresses: () => addresses.all(),
    staticAddresses: peers,
    hosts: membership.clusterConfig.members.length,
  });
  teardown.defer(() => net.stop());
  return {
    addresses,
    net,
    isReachable: host => host === self || machine.known.host(host)?.connected === true,
  };
}
