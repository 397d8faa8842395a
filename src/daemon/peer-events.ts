/** Peer events: passes on what the net notices: who comes and goes, what is gossiped, who breaks the protocol. */
import type { Net } from '../net/net.js';
import type { Alarms } from './alarms.js';
import type { Unstamped } from './driver.js';
import type { KnownAddresses } from './known-addresses.js';
import type { Roster } from './roster.js';
import type { StateExchange } from './state-exchange.js';

export interface PeerEventsOptions {
  readonly net: Net;
  readonly roster: Roster;
  readonly exchange: StateExchange;
  readonly addresses: KnownAddresses;
  readonly alarms: Alarms;
  readonly tell: (input: Unstamped) => void;
}

export function hearPeers({ net, roster, exchange, addresses, alarms, tell }: PeerEventsOptions): void {
  net.onConnect((peer, where) => {
    addresses.remember(peer, where);
    alarms.clear('PEER_BANNED', peer);
    const host = roster.hostOf(peer);
    if (host !== undefined) tell({ is: 'connected', host });
  });
  net.onDisconnect(peer => {
    const host = roster.hostOf(peer);
    if (host !== undefined) tell({ is: 'disconnected', host });
  });
  net.onGossip((from, message) => {
    const host = roster.hostOf(from);
    if (host !== undefined) exchange.hear(host, message);
  });
  net.onOlderStart((peer, isRising) => {
    const host = roster.hostOf(peer);
    if (host === undefined) return;
    if (isRising) tell({ is: 'earlier-start', from: host });
    // This host's question tells it that its frames are ignored.
    void exchange.ask(host);
  });
  net.onOffence((peer, error, banned) => {
    if (banned)
      alarms.raise(
        'PEER_BANNED',
        peer,
        `${roster.nameOf(roster.hostOf(peer) ?? roster.self)} broke the protocol repeatedly and is shut out for 10 min: ${error.message}`,
      );
  });
}

/** Reports the members that connected before anybody listened. */
export function tellConnected({ net, roster, tell }: Pick<PeerEventsOptions, 'net' | 'roster' | 'tell'>): void {
  for (const peer of net.connected()) {
    const host = roster.hostOf(peer);
    if (host !== undefined) tell({ is: 'connected', host });
  }
}
