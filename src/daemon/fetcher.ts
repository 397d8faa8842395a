/**
 * Fetcher: carries out the machine's `fetch` effects: brings a parcel from one peer, or from this host's other stores,
 * into one of its stores.
 *
 * The record comes first (checked against the parcel's id), then only the blobs that the store lacks: what other stores
 * of this host have is read there (own-files.ts), the rest comes in one stream, each verified as it lands, a large one
 * chunk by chunk (chunk-fetch.ts). Then the store commits: bytes durable and in
 * place, `add` in its log. Blobs that came whole before a failure stay in the store's incoming folder for the next
 * try.
 */
import type { Logger } from 'pino';
import { MalformedObject } from '../catalog/malformed-object.js';
import { parcelRefOf, recordBlobs } from '../catalog/record.js';
import type { Effect, FetchFailure } from '../core/effects.js';
import { ClusterError } from '../core/fault.js';
import type { BlobId, ParcelId, PeerName, StoreId } from '../core/ids.js';
import type { BlobRef, ParcelRef } from '../core/parcel.js';
import { chunksOf, OLDER_BLOB_BYTES_MIN, RECIPE_BLOB_BYTES_MIN } from '../core/recipe.js';
import { askFetch, type FetchPart } from '../net/fetch-protocol.js';
import { FetchSessions } from '../net/fetch-session.js';
import type { Net } from '../net/net.js';
import { orAborted } from '../platform/or-aborted.js';
import type { Store } from '../store/store.js';
import { fetchByChunks } from './chunk-fetch.js';
import type { DoubtedBlob } from './doubted-copies.js';
import type { Unstamped } from './driver.js';
import { Landing, LandingRoom } from './landing.js';
import { bytesToWrite } from './measure.js';
import type { ObjectFinder } from './object-finder.js';
import { takeOwnFiles } from './own-files.js';
import type { OwnStores } from './own-stores.js';
import { BlobsGone, PeerBusy } from './peer-answers.js';
import { ReceivedFile } from './received-file.js';
import type { Recipes } from './recipes.js';
import type { Roster } from './roster.js';

type FetchEffect = Extract<Effect, { do: 'fetch' }>;

/** Parcels that lack no more bytes than this share a stream. */
const SHARED_STREAM_BYTES_MAX = 8 * 1024 * 1024;
/** How often the machine hears of progress, in bytes: often enough to renew a claim at 100 kB/s. */
const PROGRESS_BYTES = 4 * 1024 * 1024;
/** A peer that could not give everything is asked again after this, in ms. */
const GONE_RETRY_MS = 5_000;

/** How many (peer, parcel) pairs with wrong bytes are remembered: many times more than are fetched at once. */
const WRONG_MAX = 1_000;

/** More must be written than the machine has reserved room for: bytes that lay here when that was measured are gone. */
class Outgrown extends Error {}

/** What a store of this host lacks of a parcel, and which peer is to give it. */
interface Missing {
  readonly store: Store;
  readonly peer: PeerName;
  readonly missing: readonly BlobRef[];
  /** What came from that peer last time hashed to another name. */
  readonly doubted: boolean;
  readonly progress: FetchProgress;
}

/** To be told of bytes that have come, and of bytes that were found here. */
interface FetchProgress {
  readonly came: (bytes: number) => void;
  readonly found: (bytes: number) => void;
}

export class Fetcher {
  readonly #net: Net;
  readonly #stores: OwnStores;
  readonly #objects: ObjectFinder;
  readonly #roster: Roster;
  readonly #recipes: Recipes;
  readonly #family: (parcel: ParcelId) => Iterable<ParcelId>;
  readonly #tell: (input: Unstamped) => void;
  readonly #fits: (ref: ParcelRef) => boolean;
  readonly #doubt: (blob: DoubtedBlob) => void;
  readonly #log: Logger;
  readonly #sessions: FetchSessions;
  readonly #landingRoom = new LandingRoom();
  /** Which parcels' bytes were wrong the last time they came, and from which peer, as `wrongKey`. */
  readonly #wrong = new Set<string>();
  #stopped = false;
  readonly #running = new Map<number, { readonly abort: AbortController; readonly done: Promise<void> }>();

  constructor({
    net,
    stores,
    objects,
    roster,
    recipes,
    family,
    fits,
    doubt,
    tell,
    log,
  }: {
    readonly net: Net;
    readonly stores: OwnStores;
    readonly objects: ObjectFinder;
    readonly roster: Roster;
    readonly recipes: Recipes;
    /** The other parcels of its key, newest first. */
    readonly family: (parcel: ParcelId) => Iterable<ParcelId>;
    /** False when a page contradicts this reference to the parcel. */
    readonly fits: (ref: ParcelRef) => boolean;
    /** Called when a store of this host could not give a blob that it holds. */
    readonly doubt: (blob: DoubtedBlob) => void;
    readonly tell: (input: Unstamped) => void;
    readonly log: Logger;
  }) {
    this.#net = net;
    this.#stores = stores;
    this.#objects = objects;
    this.#roster = roster;
    this.#recipes = recipes;
    this.#family = family;
    this.#tell = tell;
    this.#fits = fits;
    this.#doubt = doubt;
    this.#log = log;
    this.#sessions = new FetchSessions(net);
  }

  start(effect: FetchEffect): void {
    if (this.#stopped) return;
    const abort = new AbortController();
    const done = this.#run(effect, abort.signal).finally(() => this.#running.delete(effect.fetch));
    this.#running.set(effect.fetch, { abort, done });
  }

  cancel(fetch: number): void {
    this.#running.get(fetch)?.abort.abort(new Error('no longer needed'));
  }

  /** Ends every fetch; blobs that came whole stay. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { abort } of this.#running.values()) abort.abort(new Error('the service stops'));
    await Promise.all([...this.#running.values()].map(({ done }) => done));
    this.#sessions.stop();
  }

  async #run(effect: FetchEffect, signal: AbortSignal): Promise<void> {
    const { fetch, parcel, from } = effect;
    try {
      const store = this.#stores.mounted(effect.store);
      const isOurs = from === this.#roster.self;
      const peer = isOurs ? undefined : this.#roster.peerOf(from);
      if (store === undefined || (peer === undefined && !isOurs)) {
        this.#tell({ is: 'fetch-failed', fetch, because: 'cancelled', retryAfterMs: 0 });
        return;
      }
      const record = await this.#record(parcel, peer, signal);
      const receivedBytes = await this.#bring(effect, { store, peer, record }, signal);
      this.#wrong.delete(wrongKey(effect));
      const usedBytes = await this.#stores.usedBytes(effect.store);
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
      this.#noteWrong(effect, because);
      if (because !== 'cancelled' && because !== 'busy') {
        this.#log.warn(
          { code: 'FETCH_FAILED', parcel, host: from, because, err: error },
          'a parcel could not be fetched',
        );
      }
      this.#tell({ is: 'fetch-failed', fetch, because, retryAfterMs });
    }
  }

  #noteWrong(effect: FetchEffect, because: FetchFailure): void {
    const key = wrongKey(effect);
    if (because === 'gone') this.#wrong.delete(key);
    if (because !== 'bad-bytes') return;
    this.#wrong.add(key);
    const [first] = this.#wrong;
    if (first !== undefined && this.#wrong.size > WRONG_MAX) this.#wrong.delete(first);
  }

  /** Fetches what is missing, and commits. @returns how many bytes came over the wire */
  async #bring(
    effect: FetchEffect,
    {
      store,
      peer,
      record,
    }: { readonly store: Store; readonly peer: PeerName | undefined; readonly record: Uint8Array },
    signal: AbortSignal,
  ): Promise<number> {
    const { fetch, parcel, roomBytes } = effect;
    const { missing: lacking, end } = await store.expect(parcel, recordBlobs(record), signal);
    try {
      const bytes = bytesToWrite(store, lacking);
      if (bytes > roomBytes)
        throw new Outgrown(`${bytes} bytes of parcel ${parcel} must be written, but room is reserved for ${roomBytes}`);
      if (lacking.length > 0) await this.#stores.makeRoom(effect.store);
      const progress = this.#progressOf(fetch);
      const missing = await takeOwnFiles(
        {
          into: store,
          stores: this.#stores.answering(),
          missing: lacking,
          onFound: progress.found,
          onUnread: (giver, blob, error) => this.#unread({ parcel, blob, giver }, error),
        },
        signal,
      );
      if (peer === undefined) {
        if (missing.length > 0)
          throw new BlobsGone(
            `${missing.length} blobs of parcel ${parcel} are not in the stores of this host any longer`,
          );
        signal.throwIfAborted();
        await store.commit(parcel, record);
        return 0;
      }
      const doubted = this.#wrong.has(wrongKey(effect));
      const large = await this.#fillLarge(effect, { store, peer, missing, doubted, progress }, signal);
      await this.#fill(effect, { store, peer, missing: large.missing, doubted, progress }, signal);
      signal.throwIfAborted();
      await store.commit(parcel, record);
      for (const [ref, recipe] of large.recipes) await this.#keepRecipe(store, ref, recipe);
      return large.missing.reduce((total, { bytes }) => total + bytes, large.receivedBytes);
    } finally {
      await end();
    }
  }

  /** A store here holds a blob, and could not give it: the copy that lists the blob there is looked at. */
  #unread(
    { parcel, blob, giver }: { readonly parcel: ParcelId; readonly blob: BlobId; readonly giver: StoreId },
    error: unknown,
  ): void {
    this.#log.warn(
      { code: 'OWN_FILE_UNREAD', parcel, store: giver, err: error },
      'a store of this host could not give a file to another one; it is fetched from elsewhere, and the copy is read again',
    );
    this.#doubt({ blob, store: giver, likely: [parcel, ...this.#family(parcel)] });
  }

  /**
   * Takes the number of bytes that have come or were found here; reports now and then, because a claim lasts as long as
   * bytes come.
   */
  #progressOf(fetch: number): FetchProgress {
    let doneBytes = 0;
    let foundBytes = 0;
    let toldBytes = 0;
    const tell = (): void => {
      if (doneBytes + foundBytes - toldBytes < PROGRESS_BYTES) return;
      toldBytes = doneBytes + foundBytes;
      this.#tell({ is: 'fetch-progress', fetch, doneBytes, foundBytes });
    };
    return {
      came: bytes => {
        doneBytes += bytes;
        tell();
      },
      found: bytes => {
        foundBytes += bytes;
        tell();
      },
    };
  }

  /**
   * Reads the record from the peer that the parcel is fetched from, which must have it; failing that, or where there is
   * no such peer, from any host, this one first.
   */
  async #record(parcel: ParcelId, peer: PeerName | undefined, signal: AbortSignal): Promise<Uint8Array> {
    let record: Uint8Array | undefined;
    let failure: unknown;
    try {
      if (peer !== undefined) record = await this.#objects.from(peer, signal).get(parcel);
    } catch (error) {
      signal.throwIfAborted();
      failure = error;
    }
    record ??= await this.#objects.get(parcel, signal, peer);
    if (record === undefined) {
      if (failure !== undefined) throw failure;
      throw new ClusterError('RECORD_MISSING', `nobody reachable has the record of parcel ${parcel}`, {
        blame: 'passing',
      });
    }
    const ref = parcelRefOf(record);
    if (ref.id !== parcel) throw new MalformedObject(`this is not the record of parcel ${parcel}`);
    if (!this.#fits(ref)) throw new MalformedObject(`record ${parcel}: its page gives it another key or size`);
    return record;
  }

  #ask(
    peer: PeerName,
    {
      parcel,
      purpose,
      missing,
      doubted,
    }: Pick<FetchEffect, 'parcel' | 'purpose'> & Pick<Missing, 'missing' | 'doubted'>,
    signal: AbortSignal,
  ): AsyncGenerator<FetchPart, void, undefined> {
    const request = { parcel, blobs: missing.map(({ blob }) => blob as BlobId), purpose, doubted };
    const bytes = missing.reduce((sum, blob) => sum + blob.bytes, 0);
    return bytes <= SHARED_STREAM_BYTES_MAX
      ? this.#sessions.ask(peer, request, signal)
      : askFetch(this.#net, peer, request, { signal });
  }

  /** Fetches by its recipe each blob that has one. What is still missing after that must come whole. */
  async #fillLarge(
    { parcel, purpose }: FetchEffect,
    { store, peer, missing, doubted, progress }: Missing,
    signal: AbortSignal,
  ): Promise<{
    readonly missing: readonly BlobRef[];
    readonly recipes: ReadonlyMap<BlobRef, Uint8Array>;
    readonly receivedBytes: number;
  }> {
    const recipes = new Map<BlobRef, Uint8Array>();
    const whole: BlobRef[] = [];
    let receivedBytes = 0;
    const { found: onFound } = progress;
    const onReceived = (bytes: number): void => {
      receivedBytes += bytes;
      progress.came(bytes);
    };
    for (const ref of missing) {
      if (ref.bytes < RECIPE_BLOB_BYTES_MIN) {
        whole.push(ref);
        continue;
      }
      const blob = { ...ref, blob: ref.blob as BlobId };
      await this.#readyLastVersion(parcel, { store, onFound }, signal);
      const from = { net: this.#net, recipes: this.#recipes, peer, store, doubted };
      const fetched = await fetchByChunks({ ...from, parcel, blob, purpose, onReceived, onFound }, signal);
      if (fetched.is === 'no-recipe') whole.push(ref);
      else {
        if (fetched.recipe !== undefined) recipes.set(ref, fetched.recipe);
        this.#log.info({ code: 'LARGE_FETCHED', parcel, bytes: ref.bytes, receivedBytes }, 'a large file is here');
      }
    }
    return { missing: whole, recipes, receivedBytes };
  }

  /** Readies the newest version held here if its recipe was lost or never made: reading it costs less than fetching. */
  async #readyLastVersion(
    parcel: ParcelId,
    { store, onFound }: { readonly store: Store; readonly onFound: (bytes: number) => void },
    signal: AbortSignal,
  ): Promise<void> {
    for (const other of this.#family(parcel)) {
      if (!store.isPresent(other)) continue;
      try {
        const record = await store.objects.get(other);
        for (const ref of record === undefined ? [] : recordBlobs(record)) {
          if (ref.bytes < OLDER_BLOB_BYTES_MIN) continue;
          const pages = this.#recipes.ofHeld(store, { ...ref, blob: ref.blob as BlobId }, signal);
          for await (const page of pages) for (const { bytes } of chunksOf(page)) onFound(bytes);
        }
      } catch (error) {
        signal.throwIfAborted();
        this.#log.warn({ code: 'RECIPE_NOT_MADE', parcel: other, err: error }, 'more is fetched than what changed');
      }
      return;
    }
  }

  async #keepRecipe(store: Store, ref: BlobRef, recipe: Uint8Array): Promise<void> {
    try {
      await store.keepRecipe(ref, recipe);
    } catch (error) {
      // The copy is made. Only more bytes of its next version will come over the wire.
      this.#log.warn({ code: 'RECIPE_NOT_KEPT', blob: ref.blob, err: error }, 'a recipe could not be kept');
    }
  }

  async #fill(
    { parcel, purpose }: FetchEffect,
    { store, peer, missing, doubted, progress: { came } }: Missing,
    signal: AbortSignal,
  ): Promise<void> {
    if (missing.length === 0) return;
    const sizes = new Map(missing.map(({ blob, bytes }) => [blob, bytes]));
    const landing = new Landing(this.#landingRoom);
    const file = new ReceivedFile(store);
    // Waiting for a disk that hangs would keep the stream from the next fetch, and from those that share it.
    const untilAborted = <T>(work: Promise<T>): Promise<T> => orAborted(work, signal);
    let gone = 0;
    let coming: BlobRef | undefined;
    try {
      for await (const part of this.#ask(peer, { parcel, purpose, missing, doubted }, signal)) {
        switch (part.kind) {
          case 'busy':
            throw new PeerBusy(part.retryAfterMs);
          case 'blob': {
            const { blob, bytes } = part;
            mustHave(sizes, blob, bytes);
            coming = { blob, bytes };
            await untilAborted(file.begin({ blob, bytes }));
            break;
          }
          case 'data': {
            // Not before: whoever offers it may find that it cannot give it, and another peer may have its recipe.
            if (coming !== undefined && store.partialBytes(coming) > 0) await store.discardPartial(coming, signal);
            await untilAborted(file.write(part.data));
            came(part.data.length);
            const whole = file.takeWhole();
            if (whole !== undefined) await untilAborted(landing.add(whole.incoming, whole.bytes));
            break;
          }
          case 'pack':
            for (const { blob, content } of part.blobs) {
              mustHave(sizes, blob, content.length);
              came(content.length);
            }
            await untilAborted(landing.addSmall(store, part.blobs));
            break;
          case 'gone':
            gone += 1;
            await untilAborted(file.leave());
            break;
          default:
            part satisfies never;
        }
      }
      await landing.all();
    } finally {
      await file.leave();
      await landing.settled();
    }
    if (gone === 0 && landing.mismatch !== undefined) throw landing.mismatch;
    if (gone > 0) throw new BlobsGone(`${gone} of ${missing.length} blobs are gone at ${peer}`);
  }
}

const wrongKey = ({ parcel, from }: FetchEffect): string => `${from} ${parcel}`;

function mustHave(sizes: ReadonlyMap<string, number>, blob: BlobId, bytes: number): void {
  if (sizes.get(blob) === bytes) return;
  throw new ClusterError(
    'BLOB_MISMATCH',
    `blob ${blob} is offered with ${bytes} bytes, but its record says ${sizes.get(blob)}`,
    { blame: 'peer' },
  );
}

function failureOf(error: unknown): { readonly because: FetchFailure; readonly retryAfterMs: number } {
  if (error instanceof PeerBusy) return { because: 'busy', retryAfterMs: error.retryAfterMs };
  if (error instanceof Outgrown) return { because: 'outgrown', retryAfterMs: 0 };
  if (error instanceof BlobsGone) return { because: 'gone', retryAfterMs: GONE_RETRY_MS };
  const code = (error as { readonly code?: unknown }).code;
  if (code === 'STORE_FULL') return { because: 'no-room', retryAfterMs: 0 };
  if (code === 'BLOB_MISMATCH' || error instanceof MalformedObject)
    return { because: 'bad-bytes', retryAfterMs: GONE_RETRY_MS };
  const ours = typeof code === 'string' && OF_OUR_DISK.test(code);
  return { because: ours ? 'disk' : 'unreachable', retryAfterMs: 0 };
}

/** What our stores and their disks say. All else, a bug of ours too, is tried from somebody else, and says nothing of a disk. */
const OF_OUR_DISK = /^(STORE_[A-Z_]+|INDEX_REFUSED|DISK_HANGS|E[A-Z0-9]+)$/;
