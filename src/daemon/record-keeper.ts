/**
 * Record keeper: keeps the records of every wanted parcel on hosts with a full catalog, so that anybody can list and
 * find files while their origin and holders are away. Other hosts ask when they need a record.
 *
 * A record is some 60 bytes a file; by default a host with a large state disk keeps them all.
 */
import { statfs } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { ObjectId, ParcelId, PeerName } from '../core/ids.js';
import type { ObjectWriter } from '../core/objects.js';
import type { ParcelRef } from '../core/parcel.js';
import { withDeadline } from '../net/deadline.js';
import type { Net } from '../net/net.js';
import { askObjects } from '../net/object-protocol.js';

/** A state disk of this size has room for the records of some hundred million files. */
const FULL_FROM_BYTES = 64 * 1024 ** 3;
/** Records in one ask: at most 16 MiB, usually one. */
const RECORDS_PER_ASK = 64;
/** Time for one ask, in ms: 16 MiB take 134 s at 1 Mbit/s. What came is kept; another peer is asked for the rest. */
const ASK_MS_MAX = 180_000;
/** A round that brought nothing is tried again after this, in ms. */
const AGAIN_MS = 30_000;

/** Whether a host keeps all records where its policy does not say. */
export async function keepsAllByDefault(stateDir: string): Promise<boolean> {
  const { blocks, bsize } = await statfs(stateDir);
  return blocks * bsize >= FULL_FROM_BYTES;
}

export class RecordKeeper {
  readonly #net: Net;
  readonly #objects: ObjectWriter;
  readonly #keepsAll: () => boolean;
  /** Peers that should have the record, likeliest first. */
  readonly #likely: (parcel: ParcelId) => Iterable<PeerName>;
  readonly #log: Logger;
  readonly #signal: AbortSignal;
  readonly #askMs: number;
  readonly #missing = new Set<ParcelId>();
  #running: Promise<void> | undefined;
  #rounds = 0;
  /** True when something was wanted since the round began. */
  #isFresh = false;
  /** Ends a rest. */
  #wake: () => void = () => undefined;

  constructor(options: {
    readonly net: Net;
    readonly objects: ObjectWriter;
    readonly keepsAll: () => boolean;
    readonly likely: (parcel: ParcelId) => Iterable<PeerName>;
    readonly log: Logger;
    readonly signal: AbortSignal;
    /** Default 180 s. */
    readonly askMs?: number;
  }) {
    this.#net = options.net;
    this.#objects = options.objects;
    this.#keepsAll = options.keepsAll;
    this.#likely = options.likely;
    this.#log = options.log;
    this.#signal = options.signal;
    this.#askMs = options.askMs ?? ASK_MS_MAX;
  }

  /** A head wants these from now on. */
  want(refs: readonly ParcelRef[]): void {
    if (!this.#keepsAll()) return;
    for (const { id } of refs) this.#missing.add(id);
    if (this.#missing.size === 0) return;
    this.#isFresh = true;
    this.#wake();
    this.#running ??= this.#run();
  }

  /** These are no longer wanted. */
  forget(parcels: readonly ParcelId[]): void {
    for (const parcel of parcels) this.#missing.delete(parcel);
  }

  async stop(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    try {
      while (this.#missing.size > 0 && !this.#signal.aborted) {
        this.#isFresh = false;
        const came = await this.#round();
        // Records that became wanted during the round have not been looked at yet.
        const isIdle = !came && !this.#isFresh && this.#missing.size > 0;
        if (isIdle && !this.#signal.aborted) await this.#rest();
      }
    } catch (error) {
      if (!this.#signal.aborted) {
        this.#log.error(
          { code: 'RECORDS_NOT_KEPT', err: error },
          'records could not be kept; they are asked for when they are needed',
        );
      }
    } finally {
      this.#running = undefined;
    }
  }

  /** Waits until it is time to ask again, something new is wanted, or the service stops. */
  async #rest(): Promise<void> {
    await new Promise<void>(resolve => {
      const timer = setTimeout(() => this.#wake(), AGAIN_MS);
      const onAbort = (): void => this.#wake();
      this.#signal.addEventListener('abort', onAbort, { once: true });
      this.#wake = () => {
        clearTimeout(timer);
        this.#signal.removeEventListener('abort', onAbort);
        this.#wake = () => undefined;
        resolve();
      };
    });
  }

  /** Asks each peer for the records that it is likeliest to have. @returns whether any came. */
  async #round(): Promise<boolean> {
    const byPeer = new Map<PeerName, ParcelId[]>();
    const connected = new Set(this.#net.connected());
    for (const parcel of [...this.#missing]) {
      if (await this.#objects.has(parcel)) {
        this.#missing.delete(parcel);
        continue;
      }
      const likely = [...this.#likely(parcel)].filter(candidate => connected.has(candidate));
      const peer = likely[this.#rounds % likely.length];
      if (peer === undefined) continue;
      const asked = byPeer.get(peer) ?? [];
      asked.push(parcel);
      byPeer.set(peer, asked);
    }
    let came = 0;
    for (const [peer, parcels] of byPeer) {
      for (let at = 0; at < parcels.length; at += RECORDS_PER_ASK) {
        this.#signal.throwIfAborted();
        came += await this.#ask(peer, parcels.slice(at, at + RECORDS_PER_ASK));
      }
    }
    await this.#objects.flush();
    // A peer that lacked a record is not the first one asked next time.
    if (came === 0) this.#rounds += 1;
    return came > 0;
  }

  async #ask(peer: PeerName, parcels: readonly ObjectId[]): Promise<number> {
    let came = 0;
    try {
      await withDeadline(this.#askMs, [this.#signal], async signal => {
        for await (const answer of askObjects(this.#net, peer, parcels, { signal })) {
          if (answer.missing === true) continue;
          await this.#objects.put(answer.bytes);
          this.#missing.delete(answer.id as ParcelId);
          came += 1;
        }
      });
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#log.debug(
        { code: 'RECORDS_NOT_READ', peer, err: error },
        'a peer did not give its records; they are asked for again',
      );
    }
    return came;
  }
}
