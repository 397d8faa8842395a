/**
 * Spread: keeps the membership of this host and of those connected to it the same.
 *
 * A host that connects is asked; a host with news asks everybody, which makes them ask back (config-protocol.ts). Asks
 * to one peer never overlap: news that comes during one causes one more. Gossip carries a hint of each change to hosts
 * that are connected only to others. Strangers are served while an invite is open.
 *
 * Started and stopped by src/daemon.
 */

import type { Logger } from 'pino';
import { ClusterError } from '../core/fault.js';
import type { PeerName } from '../core/ids.js';
import { splitForFrames } from '../net/gossip-border.js';
import type { Net } from '../net/net.js';
import { lastingAbort } from '../platform/lasting-abort.js';
import { askConfig, serveConfig } from './config-protocol.js';
import { serveJoin } from './join-protocol.js';
import type { Membership } from './membership.js';

export interface Spread {
  /** Asks a member for what this host lacks; returns at once. For a hint for which `membership.lacks` is true. */
  ask(peer: PeerName): void;
  /** Ends the asking; resolves when no ask is under way. The handlers end with the net. */
  stop(): Promise<void>;
}

/** What is still to be asked of one peer. */
interface Errand {
  again: boolean;
  answering: boolean;
  done: Promise<void>;
}

export async function spreadMembership({
  net,
  membership,
  log,
}: {
  readonly net: Net;
  readonly membership: Membership;
  readonly log: Logger;
}): Promise<Spread> {
  const stopping = lastingAbort();
  const errands = new Map<PeerName, Errand>();

  const run = async (peer: PeerName, errand: Errand): Promise<void> => {
    do {
      const { answering } = errand;
      errand.again = false;
      errand.answering = true;
      try {
        await askConfig(net, peer, membership, { answering, signal: stopping.signal });
      } catch (error) {
        if (stopping.signal.aborted) break;
        const blame = error instanceof ClusterError ? error.blame : undefined;
        // Out of reach: it will be asked again when it connects.
        log[blame === 'passing' ? 'debug' : 'warn'](
          { err: error, peer },
          'a member could not be asked for its configuration',
        );
        if (blame === undefined) log.error({ err: error }, 'asking for the configuration failed on this host');
      }
    } while (errand.again && !stopping.signal.aborted);
    errands.delete(peer);
  };

  const ask = (peer: PeerName, { answering }: { readonly answering: boolean }): void => {
    if (stopping.signal.aborted || !membership.isMember(peer) || peer === membership.identity.peer) return;
    const under = errands.get(peer);
    if (under !== undefined) {
      under.again = true;
      under.answering &&= answering;
      return;
    }
    const errand: Errand = { again: false, answering, done: Promise.resolve() };
    errands.set(peer, errand);
    errand.done = run(peer, errand);
  };

  await serveConfig(net, membership, from => ask(from, { answering: true }));
  await serveJoin(net, membership);
  const endings = [
    net.onConnect(peer => ask(peer, { answering: false })),
    net.onGossip((from, message) => {
      if (message.kind === 'config' && membership.lacks(message)) ask(from, { answering: false });
    }),
    membership.onChange(() => {
      for (const peer of net.connected()) {
        if (membership.isMember(peer)) ask(peer, { answering: false });
        else void net.close(peer); // revoked or refused: it gets no further bytes
      }
      for (const hint of splitForFrames(membership.hint())) {
        net.publish(hint).catch((error: unknown) => {
          log.warn(
            { err: error },
            'a change of the configuration could not be gossiped; other hosts get it when they ask',
          );
        });
      }
    }),
  ];
  for (const peer of net.connected()) ask(peer, { answering: false });

  return {
    ask: peer => ask(peer, { answering: false }),
    async stop() {
      stopping.abort(new Error('this host is stopping'));
      for (const end of endings) end();
      await Promise.all([...errands.values()].map(({ done }) => done));
    },
  };
}
