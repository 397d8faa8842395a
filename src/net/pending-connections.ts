/**
 * Pending connections: incoming connections that have not proved a name yet. How many may one address have?
 *
 * Until then they belong to nobody, and libp2p takes only a certain number at once: a stranger that holds idle sockets
 * would keep every member out. So one address has a small share of them, and other addresses still get in.
 *
 * Driven by libp2p's connection gater (libp2p-node.ts).
 */
import type { MultiaddrConnection } from '@libp2p/interface';

/** For one address: as many hosts as may come from behind one address (tests, containers, a NAT) within a second. */
export const PENDING_PER_ADDRESS_MAX = 50;
/** For all together: ten such addresses; each connection costs a socket and some 50 KB. */
export const PENDING_MAX = 10 * PENDING_PER_ADDRESS_MAX;

export class PendingConnections {
  readonly #of = new Map<string, Set<MultiaddrConnection>>();

  /** Asked once for each connection, when it comes in; it counts until it is named or closed. */
  refuses(connection: MultiaddrConnection): boolean {
    const address = addressOf(connection);
    const pending = this.#of.get(address) ?? new Set();
    if (pending.size >= PENDING_PER_ADDRESS_MAX) return true;
    if (connection.status !== 'open') return false;
    this.#of.set(address, pending.add(connection));
    connection.addEventListener('close', () => this.named(connection), { once: true });
    return false;
  }

  /** The peer has proved who it is: its address no longer decides what it may do. */
  named(connection: MultiaddrConnection): void {
    const address = addressOf(connection);
    const pending = this.#of.get(address);
    if (pending?.delete(connection) === true && pending.size === 0) this.#of.delete(address);
  }
}

/** The address that a connection comes from, without the port. */
export const addressOf = ({ remoteAddr }: Pick<MultiaddrConnection, 'remoteAddr'>): string =>
  remoteAddr.getComponents()[0]?.value ?? '';
