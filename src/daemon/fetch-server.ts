/**
 * Fetch server: gives blobs of a parcel to members: from this host's stores or, at the origin, from the live file.
 *
 * The origin keeps no second copy, so it may find that a blob is gone (live-parcels.ts). If nobody holds the parcel
 * yet, the snapshot is cut again without that file. A blob that this host's disk cannot read counts as gone too: the
 * peer gets everything that comes after it, and the copy is looked at (doubted-copies.ts). Blobs that lie here but
 * count for nothing are given too, as the last resort; the receiver hashes them. core/serve.ts decides who is served
 * at all, from what this host alone can see: the fetchers themselves.
 *
 * A large blob is fetched by one ask for its recipe and many for its ranges, several at once: to all rules here they
 * are one fetch. A peer that has begun a fetch is served to its end, unless it hardly moves while others wait
 * (served-rates.ts).
 *
 * While this host is paused it gives nobody what he can get from another holder: that is for another day's link. What is
 * to be repaired or restored, and what only this host has, it gives as ever.
 */
import type { Logger } from 'pino';
import { NoRecipe } from '../catalog/recipe-maker.js';
import { SourceGone } from '../catalog/source-file.js';
import { type ByteRange, sumOf } from '../core/byte-range.js';
import { ClusterError } from '../core/fault.js';
import type { BlobId, ParcelId, PeerName, StoreId } from '../core/ids.js';
import type { Known } from '../core/known.js';
import { decideServe, SERVED_MAX } from '../core/serve.js';
import {
  BUSY_RETRY_MS,
  type FetchAnswer,
  type FetchedBlob,
  type FetchRequest,
  type PackedBlob,
  type Providing,
  serveFetch,
} from '../net/fetch-protocol.js';
import { malformed } from '../net/malformed.js';
import type { Net } from '../net/net.js';
import { readAhead } from '../platform/read-ahead.js';
import type { StoredBlob } from '../store/blob-reader.js';
import type { Store } from '../store/store.js';
import type { Clock } from './clock.js';
import type { DoubtedCopies } from './doubted-copies.js';
import type { LiveParcel, LiveParcels } from './live-parcels.js';
import type { OwnStores } from './own-stores.js';
import type { Pausing } from './pausing.js';
import { heldPlace, type Recipes } from './recipes.js';
import type { Roster } from './roster.js';
import { endSlowest, ServedRate } from './served-rates.js';
import { type Located, type Run, runsOf } from './serving-runs.js';

/** A peer that fetches a parcel: by `streams` streams now, and counted as one of its fetchers until `untilMs`. */
interface Fetching {
  readonly peer: PeerName;
  readonly rate: ServedRate;
  streams: number;
  /** Infinity while the fetch goes on. */
  untilMs: number;
}

/**
 * How long a peer that got all it asked for still counts as a fetcher of the parcel, in ms: its copy, or its next ask,
 * comes sooner.
 */
const HEARD_MS = 10_000;
/** Runs of blobs that are read ahead of their turn: a pack is at most 256 KiB. */
const RUNS_AHEAD = 3;

/** A disk of this host does not give a blob that this host holds. */
class HeldUnreadable extends Error {}

export class FetchServer {
  readonly #net: Net;
  readonly #known: Pick<Known, 'copies' | 'holders' | 'wantedCopies'>;
  readonly #stores: OwnStores;
  readonly #roster: Roster;
  readonly #live: LiveParcels;
  readonly #recipes: Recipes;
  readonly #doubted: Pick<DoubtedCopies, 'look'>;
  readonly #pausing: Pick<Pausing, 'isPaused'>;
  readonly #clock: Clock;
  readonly #log: Logger;
  /** Which peers are being served which parcel. */
  readonly #fetchers = new Map<ParcelId, Map<PeerName, Fetching>>();
  /** Fetches being served now; one with several streams counts once. */
  #served = 0;

  constructor({
    net,
    known,
    stores,
    roster,
    live,
    recipes,
    doubted,
    pausing,
    clock,
    log,
  }: {
    readonly net: Net;
    readonly known: Pick<Known, 'copies' | 'holders' | 'wantedCopies'>;
    readonly stores: OwnStores;
    readonly roster: Roster;
    readonly live: LiveParcels;
    readonly recipes: Recipes;
    readonly doubted: Pick<DoubtedCopies, 'look'>;
    readonly pausing: Pick<Pausing, 'isPaused'>;
    readonly clock: Clock;
    readonly log: Logger;
  }) {
    this.#net = net;
    this.#known = known;
    this.#stores = stores;
    this.#roster = roster;
    this.#live = live;
    this.#recipes = recipes;
    this.#doubted = doubted;
    this.#pausing = pausing;
    this.#clock = clock;
    this.#log = log;
  }

  async serve(): Promise<void> {
    await serveFetch(
      this.#net,
      (request, from, how) => this.#answer(request, from, how),
      error => error instanceof SourceGone || error instanceof HeldUnreadable || error instanceof NoRecipe,
    );
  }

  async #answer(request: FetchRequest, from: PeerName, how: Providing): Promise<FetchAnswer> {
    const busy: FetchAnswer = { kind: 'busy', retryAfterMs: BUSY_RETRY_MS };
    const { parcel, purpose, ranges, recipe } = request;
    if (!this.#roster.isTrusted(from)) {
      return recipe ? { kind: 'recipe', pages: noRecipe() } : { kind: 'blobs', parts: gone(request.blobs) };
    }
    const goesOn = ranges !== undefined && this.#isFetching(parcel, from);
    if (!goesOn && this.#isLeftToOthers(request, from)) return busy;
    const verdict = goesOn
      ? 'serve'
      : decideServe({
          purpose,
          copiesWanted: this.#known.wantedCopies(parcel),
          copies: this.#known.copies(parcel),
          othersFetching: this.#othersFetching(parcel, from),
          served: this.#served,
          servedToAsker: this.#servedTo(from),
        });
    if (verdict === 'busy') {
      this.#endSlowest(parcel, from);
      return busy;
    }
    const counted = <T>(parts: AsyncIterable<T>, metered: Metered<T>): AsyncIterable<T> =>
      purpose === 'restore' ? parts : this.#counted(parcel, from, moves => metered(parts, moves));
    const ending = purpose === 'restore' ? {} : { ended: this.#fetchingOf(parcel, from).rate.ended };
    return recipe
      ? { kind: 'recipe', pages: counted(this.#pages(request, how.signal), meteredPages), ...ending }
      : { kind: 'blobs', parts: counted(this.#parts(request, how), meteredParts), ...ending };
  }

  /** The host is paused, and another one that is up has the same to give. */
  #isLeftToOthers({ parcel, purpose }: FetchRequest, asker: PeerName): boolean {
    if (!this.#pausing.isPaused || purpose !== 'grab') return false;
    const askers = this.#roster.hostOf(asker);
    return this.#known
      .holders(parcel)
      .some(
        ({ host, counts, liveness }) => counts && liveness === 'live' && host !== this.#roster.self && host !== askers,
      );
  }

  #servedTo(peer: PeerName): number {
    let served = 0;
    for (const fetchers of this.#fetchers.values()) if ((fetchers.get(peer)?.streams ?? 0) > 0) served += 1;
    return served;
  }

  /** Somebody waits for the place of a fetcher of this parcel; where the limit for all fetches is reached, of any. */
  #endSlowest(parcel: ParcelId, asker: PeerName): void {
    const isServed = ({ streams }: Fetching): boolean => streams > 0;
    const served = [...this.#fetchers.values()].flatMap(fetchers => [...fetchers.values()].filter(isServed));
    const ofParcel = [...(this.#fetchers.get(parcel)?.values() ?? [])].filter(isServed);
    const places = this.#served >= SERVED_MAX ? served : ofParcel.filter(({ peer }) => peer !== asker);
    const ended = endSlowest(places, served, this.#clock.nowMs());
    if (ended === undefined) return;
    const host = this.#roster.hostOf(ended.peer);
    this.#log.info(
      { code: 'FETCHER_GAVE_WAY', host },
      'a fetch that hardly moves was ended, because others wait for its place',
    );
  }

  #isFetching(parcel: ParcelId, peer: PeerName): boolean {
    const fetching = this.#fetchers.get(parcel)?.get(peer);
    return fetching !== undefined && fetching.untilMs > this.#clock.nowMs();
  }

  /** Other peers that are being served the parcel, or were just now and are not yet known to hold it. */
  #othersFetching(parcel: ParcelId, asker: PeerName): number {
    const holders = new Set(this.#known.holders(parcel).map(({ host }) => host));
    const nowMs = this.#clock.nowMs();
    let others = 0;
    for (const [peer, { untilMs }] of this.#fetchers.get(parcel) ?? []) {
      const host = this.#roster.hostOf(peer);
      if (peer !== asker && untilMs > nowMs && (host === undefined || !holders.has(host))) others += 1;
    }
    return others;
  }

  async *#counted<T>(
    parcel: ParcelId,
    from: PeerName,
    parts: (moves: (bytes: number) => void) => AsyncIterable<T>,
  ): AsyncGenerator<T> {
    const fetching = this.#fetchingOf(parcel, from);
    if (fetching.streams === 0) {
      this.#served += 1;
      fetching.rate.goesOn(this.#clock.nowMs());
    }
    fetching.streams += 1;
    fetching.untilMs = Number.POSITIVE_INFINITY;
    let whole = false;
    try {
      yield* parts(bytes => fetching.rate.moves(bytes, this.#clock.nowMs()));
      whole = true;
    } finally {
      fetching.streams -= 1;
      if (fetching.streams === 0) {
        this.#served -= 1;
        fetching.rate.rests(this.#clock.nowMs());
        this.#ended(parcel, from, whole);
      }
    }
  }

  #fetchingOf(parcel: ParcelId, peer: PeerName): Fetching {
    const fetchers = this.#fetchers.get(parcel) ?? new Map<PeerName, Fetching>();
    this.#fetchers.set(parcel, fetchers);
    const begun = (): Fetching => ({ peer, rate: new ServedRate(this.#clock.nowMs()), streams: 0, untilMs: 0 });
    const fetching = fetchers.get(peer) ?? begun();
    fetchers.set(peer, fetching);
    return fetching;
  }

  /** A peer that got all of it will soon say that it holds it, or ask for more; one that did not asks again. */
  #ended(parcel: ParcelId, from: PeerName, whole: boolean): void {
    const fetching = this.#fetchingOf(parcel, from);
    const untilMs = whole ? this.#clock.nowMs() + HEARD_MS : 0;
    fetching.untilMs = untilMs;
    const forget = (): void => {
      const fetchers = this.#fetchers.get(parcel);
      if (fetchers?.get(from) !== fetching || fetching.untilMs !== untilMs) return;
      fetchers.delete(from);
      if (fetchers.size === 0) this.#fetchers.delete(parcel);
    };
    if (whole) setTimeout(forget, HEARD_MS).unref();
    else forget();
  }

  async *#parts({ parcel, blobs, ranges, doubted = false }: FetchRequest, how: Providing): AsyncGenerator<FetchedBlob> {
    const places: Located<Place>[] = [];
    let live: LiveParcel | undefined | 'not looked for' = 'not looked for';
    for (const blob of blobs) {
      let at = locate(await this.#inStores(store => store.openBlob(blob)));
      if (at === undefined) {
        if (live === 'not looked for') live = await this.#live.find(parcel);
        const size = live?.files.get(blob)?.[0]?.size;
        if (live !== undefined && size !== undefined) at = { place: live, bytes: size };
      }
      at ??= locate(await this.#inStores(store => store.openStray(blob)));
      places.push({ blob, at });
    }
    if (ranges !== undefined) {
      for (const { blob, at } of places) yield await this.#openOne({ parcel, blob, ranges, doubted }, at?.place, how);
      return;
    }
    const runs = readAhead(runsOf(places), run => this.#open({ parcel, doubted }, run, how), RUNS_AHEAD);
    for await (const run of runs) yield* run;
  }

  /** In the first of this host's stores that can open it. */
  async #inStores(open: (store: Store) => Promise<StoredBlob | undefined>): Promise<InStore | undefined> {
    for (const store of this.#stores.stores()) {
      const blob = await open(store);
      if (blob !== undefined) return { store, blob };
    }
    return undefined;
  }

  async #open(
    { parcel, doubted }: Pick<WantedBlob, 'parcel' | 'doubted'>,
    run: Run<Place>,
    how: Providing,
  ): Promise<FetchedBlob[]> {
    if (run.is === 'one') return [await this.#openOne({ parcel, blob: run.blob, doubted }, run.place, how)];
    const { place } = run;
    if (doubted && 'files' in place) {
      const opened: FetchedBlob[] = [];
      for (const blob of run.blobs) opened.push(await this.#openOne({ parcel, blob, doubted }, place, how));
      return opened;
    }
    const contents = await ('files' in place
      ? this.#live.readSmall(place, run.blobs, how)
      : place.readSmall(run.blobs, how));
    const pack: PackedBlob[] = [];
    const others: FetchedBlob[] = [];
    for (const [n, blob] of run.blobs.entries()) {
      const content = contents[n];
      if (content !== undefined) pack.push({ blob, content });
      else others.push(await this.#openOne({ parcel, blob, doubted }, place, how));
    }
    return pack.length === 0 ? others : [{ pack }, ...others];
  }

  async #openOne(wanted: WantedBlob, place: Place | undefined, how: Providing): Promise<FetchedBlob> {
    const { blob, ranges, doubted } = wanted;
    if (place === undefined) return { blob, gone: true };
    if (!('files' in place)) {
      const held = (await place.openBlob(blob)) ?? (await place.openStray(blob));
      if (held === undefined) return { blob, gone: true };
      return { blob, bytes: bytesOf(held.bytes, ranges), content: this.#read(held, wanted, place.id, how) };
    }
    const { signal, isUrgent } = how;
    const opened = await this.#live.open(place, blob, signal, { ranges, doubted, isUrgent });
    if (opened === undefined) return { blob, gone: true };
    return { blob, bytes: bytesOf(opened.bytes, ranges), content: opened.content };
  }

  /** @throws HeldUnreadable for whatever error the disk gives */
  async *#read(
    held: StoredBlob,
    { parcel, blob, ranges }: WantedBlob,
    store: StoreId,
    { signal, isUrgent }: Providing,
  ): AsyncGenerator<Uint8Array> {
    try {
      yield* held.read(signal, ranges, { isUrgent });
    } catch (error) {
      signal.throwIfAborted();
      this.#log.warn(
        { code: 'BLOB_UNREADABLE', parcel, blob, store, err: error },
        'a blob cannot be read here; the peer that asked for it is told so, and its whole parcel is read',
      );
      this.#doubted.look({ parcel, store });
      throw new HeldUnreadable(`blob ${blob}`, { cause: error });
    }
  }

  /** @throws NoRecipe, whatever the reason: the bytes can still be asked for */
  async *#pages(
    { parcel, blobs, ranges, doubted = false }: FetchRequest,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const [blob] = blobs as [BlobId];
    try {
      const held = await this.#inStores(store => store.openBlob(blob));
      if (held !== undefined) {
        const { store } = held;
        const { bytes } = held.blob;
        bytesOf(bytes, ranges);
        if (ranges === undefined) return yield* this.#recipes.ofHeld(store, { blob, bytes }, signal, doubted);
        return yield* this.#recipes.pieces(heldPlace(store, held.blob), ranges, signal);
      }
      const live = await this.#live.find(parcel);
      const opened = live === undefined ? undefined : await this.#live.open(live, blob, signal, { doubted });
      if (live === undefined || opened?.file === undefined) throw new NoRecipe(`blob ${blob} is not here`);
      bytesOf(opened.bytes, ranges);
      const place = { file: opened.file, disk: live.own.source };
      yield* ranges === undefined
        ? this.#recipes.pages(blob, place, signal, doubted)
        : this.#recipes.pieces(place, ranges, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof NoRecipe || isOffence(error)) throw error;
      this.#log.warn({ code: 'RECIPE_NOT_MADE', parcel, blob, err: error }, 'a recipe could not be made');
      throw new NoRecipe('it could not be made', { cause: error });
    }
  }
}

/** Reports the bytes of each part before the part goes out. */
type Metered<T> = (parts: AsyncIterable<T>, moves: (bytes: number) => void) => AsyncIterable<T>;

const meteredPages: Metered<Uint8Array> = async function* (pages, moves) {
  for await (const page of pages) {
    moves(page.length);
    yield page;
  }
};

const meteredParts: Metered<FetchedBlob> = async function* (parts, moves) {
  for await (const part of parts) {
    if ('pack' in part) moves(part.pack.reduce((sum, { content }) => sum + content.length, 0));
    yield 'content' in part ? { ...part, content: meteredPages(part.content, moves) } : part;
  }
};

const isOffence = (error: unknown): boolean => error instanceof ClusterError && error.blame === 'peer';

/** How many bytes of a blob of this size are asked for. @throws ClusterError MALFORMED_MESSAGE (peer) */
function bytesOf(blobBytes: number, ranges: readonly ByteRange[] | undefined): number {
  const last = ranges?.at(-1);
  if (ranges === undefined || last === undefined) return blobBytes;
  if (last.offset + last.bytes > blobBytes) throw malformed('fetch request: a range beyond the end of its blob');
  return sumOf(ranges);
}

async function* noRecipe(): AsyncGenerator<never> {
  yield* [];
  throw new NoRecipe('not for a host that is not trusted');
}

/** A blob of the parcel that is asked for, whole or in ranges. */
interface WantedBlob {
  readonly parcel: ParcelId;
  readonly blob: BlobId;
  readonly ranges?: readonly ByteRange[];
  /** What this host gave of the parcel last time hashed to another name. */
  readonly doubted: boolean;
}

/** Where a blob is read from: a store of this host, or the files of one of its sources. */
type Place = Store | LiveParcel;

interface InStore {
  readonly store: Store;
  readonly blob: StoredBlob;
}

const locate = (found: InStore | undefined): Located<Place>['at'] =>
  found === undefined ? undefined : { place: found.store, bytes: found.blob.bytes };

async function* gone(blobs: readonly BlobId[]): AsyncGenerator<FetchedBlob> {
  for (const blob of blobs) yield { blob, gone: true };
}
