/**
 * Object finder: a catalog object from wherever it is: this host's own catalog, its stores, or a peer that should have it.
 *
 * Snapshots and pages of every head in force are here; a record is at its origin and with every copy of its parcel, so
 * that is where it is asked for. What comes from a peer is checked against its hash and not kept.
 */
import { ClusterError } from '../core/fault.js';
import type { ObjectId, ParcelId, PeerName } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import { withDeadline } from '../net/deadline.js';
import type { Net } from '../net/net.js';
import { askObjects } from '../net/object-protocol.js';
import { Places } from './places.js';

/** Peers that are asked for one object before it is given up. */
const PEERS_ASKED_MAX = 6;
/** For one object from one peer, in ms: it is at most 1 MiB. */
const ASK_MS_MAX = 15_000;
/** Asks of one peer at once: it serves eight, and refuses what is beyond. */
const ASKS_PER_PEER_MAX = 6;

/** Places for asks, some a peer. */
export class PeerPlaces extends Places<PeerName> {
  constructor() {
    super(ASKS_PER_PEER_MAX);
  }
}

/** Reads from one peer alone. */
class PeerObjects implements ObjectReader {
  readonly #net: Net;
  readonly #peer: PeerName;
  readonly #places: PeerPlaces;
  readonly #signal: AbortSignal | undefined;

  constructor(net: Net, peer: PeerName, places: PeerPlaces, signal?: AbortSignal) {
    this.#net = net;
    this.#peer = peer;
    this.#places = places;
    this.#signal = signal;
  }

  get(id: ObjectId): Promise<Uint8Array | undefined> {
    return this.#places.take(this.#peer, () =>
      withDeadline(ASK_MS_MAX, [this.#signal], async signal => {
        for await (const answer of askObjects(this.#net, this.#peer, [id], { signal })) {
          if (answer.missing !== true) return answer.bytes;
        }
        return undefined;
      }),
    );
  }
}

/** Reads from several places here, one after the other. */
export class LocalObjects implements ObjectReader {
  readonly #places: () => Iterable<ObjectReader>;

  constructor(places: () => Iterable<ObjectReader>) {
    this.#places = places;
  }

  async get(id: ObjectId): Promise<Uint8Array | undefined> {
    for (const place of this.#places()) {
      const bytes = await place.get(id);
      if (bytes !== undefined) return bytes;
    }
    return undefined;
  }
}

export class ObjectFinder implements ObjectReader {
  readonly #local: ObjectReader;
  readonly #net: Net;
  readonly #places: PeerPlaces;
  readonly #likely: (id: ObjectId) => Iterable<PeerName>;

  constructor({
    local,
    net,
    places,
    likely,
  }: {
    readonly local: ObjectReader;
    readonly net: Net;
    readonly places: PeerPlaces;
    /** Peers that should have the object, the likeliest first; others are asked after them. */
    readonly likely: (id: ObjectId) => Iterable<PeerName>;
  }) {
    this.#local = local;
    this.#net = net;
    this.#places = places;
    this.#likely = likely;
  }

  async get(id: ObjectId | ParcelId, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    const here = await this.#local.get(id);
    if (here !== undefined) return here;
    const connected = new Set(this.#net.connected());
    const peers = new Set<PeerName>();
    for (const peer of this.#likely(id)) if (connected.has(peer)) peers.add(peer);
    for (const peer of connected) peers.add(peer);
    for (const peer of [...peers].slice(0, PEERS_ASKED_MAX)) {
      try {
        const bytes = await this.from(peer, signal).get(id);
        if (bytes !== undefined) return bytes;
      } catch (error) {
        signal?.throwIfAborted();
        // Another peer may have it; a peer that answers falsely is counted by the net itself.
        if (error instanceof ClusterError && error.blame === 'peer') this.#net.reportOffence(peer, error);
      }
    }
    return undefined;
  }

  /** One peer alone. */
  from(peer: PeerName, signal?: AbortSignal): ObjectReader {
    return new PeerObjects(this.#net, peer, this.#places, signal);
  }
}
