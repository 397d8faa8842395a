/**
 * Revocations: what stays valid of what shut-out machines have signed: for each source of their host the heads up to
 * the last one that the configuration names, and what these list. Somebody else may have such a machine's key now and
 * sign others, with any number; those do not count as signed by that host.
 *
 * A machine is shut out when its host is revoked, or goes on with another machine, which may happen several times.
 */
import { type HostId, type SourceId, splitSourceId } from '../core/ids.js';
import type { Revocation } from '../membership/configuration.js';
import { publicKeyOf } from '../membership/peer-key.js';

export type LastHead = Revocation['heads'][number];

/** What one key has said for a host while it was the host's. */
export interface FormerWords {
  readonly key: Uint8Array;
  /** The last head of a source that stays valid; none for one of which the admin's host knew none. */
  readonly lastHeads: ReadonlyMap<SourceId, LastHead>;
}

/** Keys that are shut out: those of revoked and of replaced machines. */
export interface ShutOut {
  readonly revoked: readonly Revocation[];
}

const NONE: readonly FormerWords[] = [];

export class Revocations {
  #ofHost = new Map<HostId, FormerWords[]>();

  constructor(shutOut: ShutOut) {
    this.update(shutOut);
  }

  update({ revoked }: ShutOut): void {
    this.#ofHost = new Map();
    for (const { host, peer, heads } of revoked) {
      const own = heads.filter(({ source }) => splitSourceId(source).origin === host);
      const words = { key: publicKeyOf(peer), lastHeads: new Map(own.map(head => [head.source, head])) };
      this.#ofHost.set(host, [...(this.#ofHost.get(host) ?? []), words]);
    }
  }

  /** For each key that a host had and has no more, what stays valid of it; empty for nearly every host. */
  wordsOf(host: HostId): readonly FormerWords[] {
    return this.#ofHost.get(host) ?? NONE;
  }

  /** The last head of a source that stays valid of all that was signed with former keys; undefined when there is none. */
  lastHead(source: SourceId): LastHead | undefined {
    let last: LastHead | undefined;
    for (const { lastHeads } of this.wordsOf(splitSourceId(source).origin)) {
      const head = lastHeads.get(source);
      if (head !== undefined && head.seq > (last?.seq ?? 0)) last = head;
    }
    return last;
  }
}
