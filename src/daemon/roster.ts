/**
 * Roster: which peer is which host, by the configuration in use. It is asked at every connection, stream and
 * signature, so it answers from memory.
 */
import type { Member } from '../core/cluster-config.js';
import type { HostId, PeerName, SourceId } from '../core/ids.js';
import { splitSourceId } from '../core/ids.js';

export class Roster {
  readonly #self: HostId;
  readonly #publicKeyOf: (peer: PeerName) => Uint8Array;
  #byHost = new Map<HostId, Member>();
  #byPeer = new Map<PeerName, Member>();
  #byName = new Map<string, Member>();

  constructor({
    self,
    publicKeyOf,
  }: {
    readonly self: HostId;
    readonly publicKeyOf: (peer: PeerName) => Uint8Array;
  }) {
    this.#self = self;
    this.#publicKeyOf = publicKeyOf;
  }

  /** @returns the peers that are no longer members: their connections must close. */
  update(members: readonly Member[]): readonly PeerName[] {
    const before = this.#byPeer;
    const admitted = members.filter(({ state }) => state !== 'revoked');
    this.#byHost = new Map(members.map(member => [member.host, member]));
    this.#byPeer = new Map(admitted.map(member => [member.peer, member]));
    this.#byName = new Map(members.map(member => [member.name, member]));
    return [...before.keys()].filter(peer => !this.#byPeer.has(peer));
  }

  get self(): HostId {
    return this.#self;
  }

  members(): IterableIterator<Member> {
    return this.#byHost.values();
  }

  isMember(peer: PeerName): boolean {
    return this.#byPeer.has(peer);
  }

  /** Trusted members see the catalog; an untrusted one sees only its own sources. */
  isTrusted(peer: PeerName): boolean {
    return this.#byPeer.get(peer)?.trust === 'trusted';
  }

  hostOf(peer: PeerName): HostId | undefined {
    return this.#byPeer.get(peer)?.host;
  }

  peerOf(host: HostId): PeerName | undefined {
    const member = this.#byHost.get(host);
    return member === undefined || member.state === 'revoked' ? undefined : member.peer;
  }

  member(host: HostId): Member | undefined {
    return this.#byHost.get(host);
  }

  named(name: string): Member | undefined {
    return this.#byName.get(name);
  }

  /** The host's name, or its id where the configuration has none (it left). */
  nameOf(host: HostId): string {
    return this.#byHost.get(host)?.name ?? host;
  }

  /** The raw key with which the host signs at present; undefined when it is not a member. */
  keyOf(host: HostId): Uint8Array | undefined {
    const peer = this.peerOf(host);
    return peer === undefined ? undefined : this.#publicKeyOf(peer);
  }

  /** A source as people name it: by its own name where that is unique among `all`, else `host/name`. */
  sourceName(source: SourceId, all: Iterable<SourceId>): string {
    const { origin, source: name } = splitSourceId(source);
    let same = 0;
    for (const other of all) if (splitSourceId(other).source === name) same += 1;
    return same > 1 ? `${this.nameOf(origin)}/${name}` : name;
  }
}

/** HOST/NAME: for where nobody knows yet which other sources there are. */
export function fullNameOf(source: SourceId, roster: Pick<Roster, 'nameOf'>): string {
  const { origin, source: name } = splitSourceId(source);
  return `${roster.nameOf(origin)}/${name}`;
}
