/** Peer events: passes on what the net notices: who comes and goes, what is gossiped, who breaks the protocol. */
import type { PeerName } from '../core/ids.js';
import type { Net } from '../net/net.js';
import { BAN_MS } from '../net/offences.js';
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
  /** How long a peer is shut out, in ms. Default: `BAN_MS`. */
  readonly banMs?: number;
}

export function hearPeers({ net, roster, exchange, addresses, alarms, tell, banMs = BAN_MS }: PeerEventsOptions): void {
  net.onConnect((peer, where) => {
    addresses.remember(peer, where);
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
  const banEnds = new Map<PeerName, NodeJS.Timeout>();
  net.onOffence((peer, error, banned) => {
    const host = roster.hostOf(peer);
    // Strangers, who take a new key for each try, are in the log alone.
    if (!banned || host === undefined) return;
    const text = `${roster.nameOf(host)} broke the protocol repeatedly and is shut out for 10 min: ${error.message}`;
    alarms.raise('PEER_BANNED', peer, text);
    clearTimeout(banEnds.get(peer));
    const end = (): void => {
      banEnds.delete(peer);
      alarms.clear('PEER_BANNED', peer);
    };
    banEnds.set(peer, setTimeout(end, banMs).unref());
  });
}

/** Reports the members that connected before anybody listened. */
export function tellConnected({ net, roster, tell }: Pick<PeerEventsOptions, 'net' | 'roster' | 'tell'>): void {
  for (const peer of net.connected()) {
    const host = roster.hostOf(peer);
    if (host !== undefined) tell({ is: 'connected', host });
  }
}
