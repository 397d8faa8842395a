/**
 * Pending connections: those that came in and have not proved a name yet. How many may one address have?
 *
 * Until then they are nobody's, and libp2p takes only so many at once: a stranger that holds idle sockets would keep every
 * member out. So one address has a small share of them, and the others come in past it.
 *
 * Driven by libp2p's connection gater (libp2p-node.ts).
 */
import type { MultiaddrConnection } from '@libp2p/interface';

/** Of one address: as many hosts behind one (tests, containers, a NAT) as may come within a second. */
export const PENDING_PER_ADDRESS_MAX = 50;
/** Of all together: ten such addresses, a socket and some 50 KB each. */
export const PENDING_MAX = 10 * PENDING_PER_ADDRESS_MAX;

export class PendingConnections {
  readonly #of = new Map<string, Set<MultiaddrConnection>>();

  /** Asked once of each, when it comes in; it counts until it is named or closed. */
  refuses(connection: MultiaddrConnection): boolean {
    const address = addressOf(connection);
    const pending = this.#of.get(address) ?? new Set();
    if (pending.size >= PENDING_PER_ADDRESS_MAX) return true;
    if (connection.status !== 'open') return false;
    this.#of.set(address, pending.add(connection));
    connection.addEventListener('close', () => this.named(connection), { once: true });
    return false;
  }

  /** Who it is has been proved: what it may do from now on is no longer decided by its address. */
  named(connection: MultiaddrConnection): void {
    const address = addressOf(connection);
    const pending = this.#of.get(address);
    if (pending?.delete(connection) === true && pending.size === 0) this.#of.delete(address);
  }
}

/** Without the port. */
const addressOf = ({ remoteAddr }: MultiaddrConnection): string => remoteAddr.getComponents()[0]?.value ?? '';
