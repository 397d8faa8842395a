/**
 * Fetcher: carries out the machine's `fetch` effects: a parcel from one peer into one of our stores.
 *
 * Record first (checked against the parcel's id), then only the blobs that the store lacks, in one stream, each verified
 * as it lands; then the store commits: bytes durable and in place, `add` in its log. Whatever came whole before a failure
 * stays in the store's incoming folder for the next try.
 */
import type { Logger } from 'pino';
import { MalformedObject } from '../catalog/malformed-object.js';
import { parcelRefOf, recordBlobs } from '../catalog/record.js';
import type { Effect, FetchFailure } from '../core/effects.js';
import { ClusterError } from '../core/fault.js';
import type { BlobId, ParcelId, PeerName } from '../core/ids.js';
import type { BlobRef, ParcelRef } from '../core/parcel.js';
import { askFetch } from '../net/fetch-protocol.js';
import type { Net } from '../net/net.js';
import type { IncomingBlob } from '../store/incoming.js';
import type { Store } from '../store/store.js';
import type { Unstamped } from './driver.js';
import type { ObjectFinder } from './object-finder.js';
import type { OwnStores } from './own-stores.js';
import type { Roster } from './roster.js';

type FetchEffect = Extract<Effect, { do: 'fetch' }>;

/** How often the machine hears of progress, in bytes: often enough to renew a claim at 100 kB/s. */
const PROGRESS_BYTES = 4 * 1024 * 1024;
/** After which a peer that could not give all is asked again, in ms. */
const GONE_RETRY_MS = 5_000;

/** The origin cannot give these bytes any more. */
class BlobsGone extends Error {}
class PeerBusy extends Error {
  readonly retryAfterMs: number;
  constructor(retryAfterMs: number) {
    super('busy');
    this.retryAfterMs = retryAfterMs;
  }
}

export class Fetcher {
  readonly #net: Net;
  readonly #stores: OwnStores;
  readonly #objects: ObjectFinder;
  readonly #roster: Roster;
  readonly #tell: (input: Unstamped) => void;
  readonly #fits: (ref: ParcelRef) => boolean;
  readonly #log: Logger;
  #stopped = false;
  readonly #running = new Map<number, { readonly abort: AbortController; readonly done: Promise<void> }>();

  constructor({
    net,
    stores,
    objects,
    roster,
    fits,
    tell,
    log,
  }: {
    readonly net: Net;
    readonly stores: OwnStores;
    readonly objects: ObjectFinder;
    readonly roster: Roster;
    /** False when a page says otherwise of the parcel. */
    readonly fits: (ref: ParcelRef) => boolean;
    readonly tell: (input: Unstamped) => void;
    readonly log: Logger;
  }) {
    this.#net = net;
    this.#stores = stores;
    this.#objects = objects;
    this.#roster = roster;
    this.#tell = tell;
    this.#fits = fits;
    this.#log = log;
  }

  start(effect: FetchEffect): void {
    if (this.#stopped) return;
    const abort = new AbortController();
    const done = this.#run(effect, abort.signal).finally(() => this.#running.delete(effect.fetch));
    this.#running.set(effect.fetch, { abort, done });
  }

  cancel(fetch: number): void {
    this.#running.get(fetch)?.abort.abort(new Error('not needed any more'));
  }

  /** Ends every fetch; what came whole stays. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { abort } of this.#running.values()) abort.abort(new Error('the service stops'));
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  async #run(effect: FetchEffect, signal: AbortSignal): Promise<void> {
    const { fetch, parcel, from } = effect;
    try {
      const store = this.#stores.mounted(effect.store);
      const peer = this.#roster.peerOf(from);
      if (store === undefined || peer === undefined) {
        this.#tell({ is: 'fetch-failed', fetch, because: 'cancelled', retryAfterMs: 0 });
        return;
      }
      const record = await this.#record(parcel, peer, signal);
      const missing = await store.missing(recordBlobs(record));
      if (missing.length > 0) await this.#stores.makeRoom(effect.store);
      await this.#fill(effect, { store, peer, missing }, signal);
      signal.throwIfAborted();
      await store.commit(parcel, record);
      const usedBytes = await this.#stores.usedBytes(effect.store);
      const receivedBytes = missing.reduce((total, { bytes }) => total + bytes, 0);
      await this.#stores.tellOps(effect.store, segment => ({
        is: 'fetched',
        fetch,
        receivedBytes,
        segment,
        usedBytes,
      }));
    } catch (error) {
      const { because, retryAfterMs } = signal.aborted
        ? { because: 'cancelled' as const, retryAfterMs: 0 }
        : failureOf(error);
      if (because !== 'cancelled' && because !== 'busy') {
        this.#log.warn(
          { code: 'FETCH_FAILED', parcel, host: from, because, err: error },
          'a parcel could not be fetched',
        );
      }
      this.#tell({ is: 'fetch-failed', fetch, because, retryAfterMs });
    }
  }

  /** From the peer that we fetch from, which must have it; if it does not, from anybody. */
  async #record(parcel: ParcelId, peer: PeerName, signal: AbortSignal): Promise<Uint8Array> {
    const record = (await this.#objects.from(peer, signal).get(parcel)) ?? (await this.#objects.get(parcel, signal));
    if (record === undefined) {
      throw new ClusterError('RECORD_MISSING', `nobody reachable has the record of parcel ${parcel}`, {
        blame: 'passing',
      });
    }
    const ref = parcelRefOf(record);
    if (ref.id !== parcel) throw new MalformedObject(`not the record of parcel ${parcel}`);
    if (!this.#fits(ref)) throw new MalformedObject(`record ${parcel}: its page gives it another key or size`);
    return record;
  }

  async #fill(
    { fetch, parcel, purpose }: FetchEffect,
    { store, peer, missing }: { readonly store: Store; readonly peer: PeerName; readonly missing: readonly BlobRef[] },
    signal: AbortSignal,
  ): Promise<void> {
    if (missing.length === 0) return;
    const sizes = new Map(missing.map(({ blob, bytes }) => [blob, bytes]));
    const blobs = missing.map(({ blob }) => blob as BlobId);
    let current: { readonly incoming: IncomingBlob; leftBytes: number } | undefined;
    let doneBytes = 0;
    let toldBytes = 0;
    let gone = 0;
    // A blob that came wrong does not keep the others from coming: a live file may have changed under its reader.
    let mismatch: ClusterError | undefined;
    try {
      for await (const part of askFetch(this.#net, peer, { parcel, blobs, purpose }, { signal })) {
        switch (part.kind) {
          case 'busy':
            throw new PeerBusy(part.retryAfterMs);
          case 'blob': {
            const bytes = sizes.get(part.blob);
            if (bytes !== part.bytes) {
              throw new ClusterError(
                'BLOB_MISMATCH',
                `blob ${part.blob} is offered with ${part.bytes} bytes, its record says ${bytes}`,
                { blame: 'peer' },
              );
            }
            current = { incoming: await store.receive({ blob: part.blob, bytes }), leftBytes: bytes };
            break;
          }
          case 'data':
            if (current === undefined) break;
            await current.incoming.write(part.data);
            current.leftBytes -= part.data.length;
            doneBytes += part.data.length;
            if (doneBytes - toldBytes >= PROGRESS_BYTES) {
              toldBytes = doneBytes;
              this.#tell({ is: 'fetch-progress', fetch, doneBytes });
            }
            if (current.leftBytes === 0) {
              const { incoming } = current;
              current = undefined;
              mismatch = (await finished(incoming)) ?? mismatch;
            }
            break;
          case 'gone':
            gone += 1;
            await current?.incoming.abort();
            current = undefined;
            break;
          default:
            part satisfies never;
        }
      }
    } finally {
      await current?.incoming.abort();
    }
    if (gone === 0 && mismatch !== undefined) throw mismatch;
    if (gone > 0) throw new BlobsGone(`${gone} of ${blobs.length} blobs are gone at ${peer}`);
  }
}

/** @returns the mismatch, when the blob did not hash to its name; other failures are thrown. */
async function finished(incoming: IncomingBlob): Promise<ClusterError | undefined> {
  try {
    await incoming.finish();
    return undefined;
  } catch (error) {
    if (error instanceof ClusterError && error.code === 'BLOB_MISMATCH') return error;
    throw error;
  }
}

function failureOf(error: unknown): { readonly because: FetchFailure; readonly retryAfterMs: number } {
  if (error instanceof PeerBusy) return { because: 'busy', retryAfterMs: error.retryAfterMs };
  if (error instanceof BlobsGone) return { because: 'gone', retryAfterMs: GONE_RETRY_MS };
  const code = (error as { readonly code?: unknown }).code;
  if (code === 'STORE_FULL') return { because: 'no-room', retryAfterMs: 0 };
  if (code === 'BLOB_MISMATCH' || error instanceof MalformedObject)
    return { because: 'bad-bytes', retryAfterMs: GONE_RETRY_MS };
  const ours = typeof code === 'string' && code.startsWith('STORE_');
  if (error instanceof ClusterError && !ours) return { because: 'unreachable', retryAfterMs: 0 };
  return { because: 'disk', retryAfterMs: 0 };
}
