/**
 * Known addresses: where each member may be dialled: as configured, as remembered, and as the member last said itself.
 */
import type { Logger } from 'pino';
import type { PeerName } from '../core/ids.js';
import type { Membership } from '../membership/membership.js';
import { readRememberedPeers, writeRememberedPeers } from '../membership/remembered-peers.js';
import type { KnownPeer } from '../net/net.js';
import { Turns } from '../store/turns.js';

export class KnownAddresses {
  readonly #stateDir: string;
  readonly #membership: Membership;
  readonly #log: Logger;
  readonly #remembered: Map<PeerName, readonly string[]>;
  readonly #turns = new Turns<'write'>();

  constructor({
    stateDir,
    membership,
    log,
  }: {
    readonly stateDir: string;
    readonly membership: Membership;
    readonly log: Logger;
  }) {
    this.#stateDir = stateDir;
    this.#membership = membership;
    this.#log = log;
    this.#remembered = new Map(readRememberedPeers(stateDir, log));
  }

  *all(): IterableIterator<KnownPeer> {
    for (const [peer, addresses] of this.#remembered) if (this.#membership.isMember(peer)) yield { peer, addresses };
    yield* this.#membership.doors();
  }

  /** A member is connected, and says that it listens at these addresses. */
  remember(peer: PeerName, addresses: readonly string[]): void {
    if (addresses.length === 0 || this.#remembered.get(peer)?.join() === addresses.join()) return;
    this.#remembered.set(peer, addresses);
    void this.#turns
      .take('write', () => {
        const doors = [...this.#remembered].map(([name, where]) => ({ peer: name, addresses: [...where] }));
        return writeRememberedPeers(
          this.#stateDir,
          doors.filter(door => this.#membership.isMember(door.peer)),
        );
      })
      .catch((error: unknown) => {
        this.#log.warn(
          { code: 'PEERS_NOT_KEPT', err: error },
          'peers.json could not be written; after a restart peers are found in other ways',
        );
      });
  }

  /** Waits for the write that is under way. */
  async close(): Promise<void> {
    await this.#turns.take('write', async () => undefined);
  }
}
