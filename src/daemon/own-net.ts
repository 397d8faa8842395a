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
  /** How many alarms a host has, by its last heartbeat; undefined while none was heard since the start. */
  readonly alarmsOf: (host: HostId) => number | undefined;
}

export async function startOwnNet(
  { listen, peers, mdns }: OwnNetOptions,
  { stateDir, membership, boot, disk, machine, roster, alarms, log }: OwnState & OwnMachine,
  teardown: Teardown,
): Promise<OwnNet> {
  const { host: self, seed } = membership.identity;
  const addresses = new KnownAddresses({ stateDir, membership, log });
  teardown.defer(() => addresses.close());
  // That there are too few hosts, each sees for itself.
  const ownAlarms = (): number => alarms.list().length + membership.alarms().length;
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
    alarms: ownAlarms,
  });
  teardown.defer(() => net.stop());
  return {
    addresses,
    net,
    isReachable: host => host === self || machine.known.host(host)?.connected === true,
    alarmsOf: host => {
      if (host === self) return ownAlarms();
      const peer = roster.peerOf(host);
      return peer === undefined ? undefined : net.alarmsOf(peer);
    },
  };
}
