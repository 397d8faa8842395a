/**
 * Object finder: finds a catalog object wherever it is: in this host's own catalog, in its stores, or at a peer that
 * should have it.
 *
 * Snapshots and pages of every head in force are on this host. A record is at its origin and with every copy of its
 * parcel, so those are asked for it. What comes from a peer is checked against its hash and not kept. A disk of this
 * host that keeps callers waiting is asked last, and one that fails is passed over, because others may have the
 * object.
 */
import type { Logger } from 'pino';
import type { ObjectId, ParcelId, PeerName } from '../core/ids.js';
import type { ObjectReader, ObjectWriter } from '../core/objects.js';
import type { Net } from '../net/net.js';
import { ObjectAsks } from './object-asks.js';
import { pause } from './pause.js';

/** How many peers are asked for one object before it is given up. */
const PEERS_ASKED_MAX = 6;
/** Wait before an object that nobody gave is asked for again, in ms: connections break and come back. */
const SECOND_ASK_MS = 2_000;
/**
 * After this many objects in a row that did not come the second time either, the first answer counts, so that restoring
 * most of a snapshot does not take hours of waiting.
 */
const SECOND_ASKS_IN_VAIN_MAX = 16;

/** For a caller that can also ask elsewhere: a place that fails is passed over, and logged. */
export async function passingOver(
  places: Iterable<ObjectReader>,
  id: ObjectId,
  log: Logger,
): Promise<Uint8Array | undefined> {
  for (const place of places) {
    try {
      const bytes = await place.get(id);
      if (bytes !== undefined) return bytes;
    } catch (error) {
      log.warn(
        { code: 'OBJECT_NOT_READ', object: id, err: error },
        'a catalog object could not be looked for on one of this host’s disks; it is looked for elsewhere',
      );
    }
  }
  return undefined;
}

/**
 * Reads from several places on this host, one after the other. `undefined` means that none of them has it.
 * @throws the error of a place that may have it
 */
export class LocalObjects implements ObjectReader {
  readonly #places: () => Iterable<ObjectReader>;

  constructor(places: () => Iterable<ObjectReader>) {
    this.#places = places;
  }

  async get(id: ObjectId): Promise<Uint8Array | undefined> {
    const failures: unknown[] = [];
    for (const place of this.#places()) {
      try {
        const bytes = await place.get(id);
        if (bytes !== undefined) return bytes;
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    return undefined;
  }
}

export class ObjectFinder implements ObjectReader {
  readonly #quick: () => Iterable<ObjectReader>;
  readonly #here: () => Iterable<ObjectReader>;
  readonly #net: Net;
  readonly #asks: ObjectAsks;
  readonly #likely: (id: ObjectId) => Iterable<PeerName>;
  readonly #log: Logger;

  constructor({
    quick,
    here,
    net,
    likely,
    log,
  }: {
    /** Places on this host that keep nobody waiting: they are asked first. */
    readonly quick: () => Iterable<ObjectReader>;
    /** All places on this host: the others are asked when no peer has the object either. */
    readonly here: () => Iterable<ObjectReader>;
    readonly net: Net;
    readonly log: Logger;
    /** Peers that should have the object, likeliest first; other peers are asked after them. */
    readonly likely: (id: ObjectId) => Iterable<PeerName>;
  }) {
    this.#quick = quick;
    this.#here = here;
    this.#net = net;
    this.#asks = new ObjectAsks(net);
    this.#likely = likely;
    this.#log = log;
  }

  /** @param except a peer that was asked already */
  async get(id: ObjectId | ParcelId, signal?: AbortSignal, except?: PeerName): Promise<Uint8Array | undefined> {
    const quick = [...this.#quick()];
    const soon = (await passingOver(quick, id, this.#log)) ?? (await this.fromOthers(id, signal, except));
    if (soon !== undefined) return soon;
    const slow = [...this.#here()].filter(place => !quick.includes(place));
    return passingOver(slow, id, this.#log);
  }

  /** From no place on this host, and not from `except` either. */
  async fromOthers(id: ObjectId | ParcelId, signal?: AbortSignal, except?: PeerName): Promise<Uint8Array | undefined> {
    const connected = new Set(this.#net.connected().filter(peer => peer !== except));
    const peers = new Set<PeerName>();
    for (const peer of this.#likely(id)) if (connected.has(peer)) peers.add(peer);
    for (const peer of connected) peers.add(peer);
    for (const peer of [...peers].slice(0, PEERS_ASKED_MAX)) {
      try {
        const bytes = await this.from(peer, signal).get(id);
        if (bytes !== undefined) return bytes;
      } catch {
        signal?.throwIfAborted();
        // Another peer may have it. The net itself counts a false answer: as one offence, however many callers waited
        // for it.
      }
    }
    return undefined;
  }

  /** Asks one peer alone. */
  from(peer: PeerName, signal?: AbortSignal): ObjectReader {
    return { get: id => this.#asks.get(peer, id, signal) };
  }
}

/** For one walk: asks once more, a little later, for what nobody gives. */
export class AskedTwice implements ObjectReader {
  readonly #reader: ObjectReader;
  readonly #signal: AbortSignal;
  #inVain = 0;

  constructor(reader: ObjectReader, signal: AbortSignal) {
    this.#reader = reader;
    this.#signal = signal;
  }

  async get(id: ObjectId): Promise<Uint8Array | undefined> {
    const first = await this.#reader.get(id);
    if (first !== undefined || this.#inVain >= SECOND_ASKS_IN_VAIN_MAX) return first;
    await pause(SECOND_ASK_MS, this.#signal);
    const second = await this.#reader.get(id);
    this.#inVain = second === undefined ? this.#inVain + 1 : 0;
    return second;
  }
}

/** This host's own catalog; what is lost or damaged in it is fetched from wherever it is, and kept. */
export class MendingObjects implements ObjectWriter {
  readonly #own: ObjectWriter;
  readonly #finder: ObjectReader;

  constructor({ own, finder }: { readonly own: ObjectWriter; readonly finder: ObjectReader }) {
    this.#own = own;
    this.#finder = finder;
  }

  async get(id: ObjectId): Promise<Uint8Array | undefined> {
    const here = await this.#own.get(id);
    if (here !== undefined) return here;
    const found = await this.#finder.get(id);
    if (found !== undefined) await this.#own.put(found);
    return found;
  }

  has(id: ObjectId): Promise<boolean> {
    return this.#own.has(id);
  }

  put(bytes: Uint8Array): Promise<ObjectId> {
    return this.#own.put(bytes);
  }

  flush(): Promise<void> {
    return this.#own.flush();
  }
}
