/**
 * Revocations: what stays valid of what revoked hosts have signed: for each source the heads up to the last one that
 * the revocation names, and what these list. Somebody else may have the host's key now and sign others, with any
 * number; those do not count as signed by that host.
 */
import { type HostId, type SourceId, splitSourceId } from '../core/ids.js';
import type { Configuration, Revocation } from '../membership/configuration.js';
import { publicKeyOf } from '../membership/peer-key.js';

type LastHead = Revocation['heads'][number];

export class Revocations {
  #keys: ReadonlyMap<HostId, Uint8Array> = new Map();
  #lastHeads: ReadonlyMap<SourceId, LastHead> = new Map();

  constructor(configuration: Pick<Configuration, 'revoked'>) {
    this.update(configuration);
  }

  update({ revoked }: Pick<Configuration, 'revoked'>): void {
    this.#keys = new Map(revoked.map(({ host, peer }) => [host, publicKeyOf(peer)]));
    this.#lastHeads = new Map(
      revoked.flatMap(({ host, heads }) =>
        heads.filter(({ source }) => splitSourceId(source).origin === host).map(head => [head.source, head] as const),
      ),
    );
  }

  /** The raw key with which a host signed until it was revoked; undefined for any other host. */
  keyOf(host: HostId): Uint8Array | undefined {
    return this.#keys.get(host);
  }

  /** The last head of a revoked host's source that stays valid; undefined when the admin's host knew of none. */
  lastHead(source: SourceId): LastHead | undefined {
    return this.#lastHeads.get(source);
  }
}
