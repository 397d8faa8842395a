/**
 * Object finder: a catalog object from wherever it is: this host's own catalog, its stores, or a peer that should have it.
 *
 * Snapshots and pages of every head in force are here; a record is at its origin and with every copy of its parcel, so
 * that is where it is asked for. What comes from a peer is checked against its hash and not kept. A disk of this host that keeps whoever
 * asks it waiting is asked last, and one that fails is passed over: others may have the object.
 */
import type { Logger } from 'pino';
import type { ObjectId, ParcelId, PeerName } from '../core/ids.js';
import type { ObjectReader, ObjectWriter } from '../core/objects.js';
import type { Net } from '../net/net.js';
import { ObjectAsks } from './object-asks.js';
import { pause } from './pause.js';

/** Peers that are asked for one object before it is given up. */
const PEERS_ASKED_MAX = 6;
/** Before what nobody gave is asked for again, in ms: connections break and come back. */
const SECOND_ASK_MS = 2_000;
/** When so many in a row did not come the second time either, the first answer counts: who restores most of a snapshot waits no hours. */
const SECOND_ASKS_IN_VAIN_MAX = 16;

/** For who can ask elsewhere too: a place that fails is passed over, and the log says so. */
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
        'a catalog object could not be looked for on one of the disks of this host; it is asked for elsewhere',
      );
    }
  }
  return undefined;
}

/** Reads from several places here, one after the other. What it does not give is in none of them. @throws what a place said that may have it */
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
    /** Places here that keep nobody waiting: they are asked first. */
    readonly quick: () => Iterable<ObjectReader>;
    /** All places here: the others are asked when no peer has it either. */
    readonly here: () => Iterable<ObjectReader>;
    readonly net: Net;
    readonly log: Logger;
    /** Peers that should have the object, the likeliest first; others are asked after them. */
    readonly likely: (id: ObjectId) => Iterable<PeerName>;
  }) {
    this.#quick = quick;
    this.#here = here;
    this.#net = net;
    this.#asks = new ObjectAsks(net);
    this.#likely = likely;
    this.#log = log;
  }

  async get(id: ObjectId | ParcelId, signal?: AbortSignal): Promise<Uint8Array | undefined> {
    const quick = [...this.#quick()];
    const soon = (await passingOver(quick, id, this.#log)) ?? (await this.fromOthers(id, signal));
    if (soon !== undefined) return soon;
    const slow = [...this.#here()].filter(place => !quick.includes(place));
    return passingOver(slow, id, this.#log);
  }

  /** Not from here, and not from `except` either. */
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
        // Another peer may have it. A false answer is one offence, however many waited for it, and is counted by the net itself.
      }
    }
    return undefined;
  }

  /** One peer alone. */
  from(peer: PeerName, signal?: AbortSignal): ObjectReader {
    return { get: id => this.#asks.get(peer, id, signal) };
  }
}

/** For one walk: what nobody gives is asked for once more, a little later. */
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

/** This host's own catalog; what is lost or damaged there comes from wherever it is, and is kept. */
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
