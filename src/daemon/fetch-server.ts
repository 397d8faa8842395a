/**
 * Fetch server: gives blobs of a parcel to members: from our stores, or, at the origin, from the live file.
 *
 * The origin keeps no second copy, so it can find that a blob is gone (live-parcels.ts). If nobody holds the parcel yet,
 * the snapshot is cut anew without that file. Who is served at all is decided by
 * core/serve.ts, from what this host alone can see: the fetchers themselves.
 */

import { SourceGone } from '../catalog/source-file.js';
import type { BlobId, ParcelId, PeerName } from '../core/ids.js';
import type { Machine } from '../core/machine.js';
import { decideServe } from '../core/serve.js';
import {
  type FetchAnswer,
  type FetchedBlob,
  type FetchRequest,
  type PackedBlob,
  serveFetch,
} from '../net/fetch-protocol.js';
import type { Net } from '../net/net.js';
import { readAhead } from '../platform/read-ahead.js';
import type { Store } from '../store/store.js';
import type { Clock } from './clock.js';
import type { LiveParcel, LiveParcels } from './live-parcels.js';
import type { OwnStores } from './own-stores.js';
import type { Roster } from './roster.js';
import { type Located, type Run, runsOf } from './serving-runs.js';

/** How long whoever has had all of a parcel counts as one of its fetchers: its copy is heard of sooner, in ms. */
const HEARD_MS = 10_000;
/** Runs of blobs that are read before their turn: a pack is at most 256 KiB. */
const RUNS_AHEAD = 3;
/** When a fetcher that is one too many may ask again, in ms. */
const BUSY_RETRY_MS = 2_000;

export class FetchServer {
  readonly #net: Net;
  readonly #machine: Machine;
  readonly #stores: OwnStores;
  readonly #roster: Roster;
  readonly #live: LiveParcels;
  readonly #clock: Clock;
  /** Who is being served what, until when: Infinity while it goes on. */
  readonly #fetchers = new Map<ParcelId, Map<PeerName, number>>();
  #served = 0;

  constructor({
    net,
    machine,
    stores,
    roster,
    live,
    clock,
  }: {
    readonly net: Net;
    readonly machine: Machine;
    readonly stores: OwnStores;
    readonly roster: Roster;
    readonly live: LiveParcels;
    readonly clock: Clock;
  }) {
    this.#net = net;
    this.#machine = machine;
    this.#stores = stores;
    this.#roster = roster;
    this.#live = live;
    this.#clock = clock;
  }

  async serve(): Promise<void> {
    await serveFetch(
      this.#net,
      (request, from, signal) => this.#answer(request, from, signal),
      error => error instanceof SourceGone,
    );
  }

  async #answer(request: FetchRequest, from: PeerName, signal: AbortSignal): Promise<FetchAnswer> {
    const busy: FetchAnswer = { kind: 'busy', retryAfterMs: BUSY_RETRY_MS };
    if (!this.#roster.isTrusted(from)) return { kind: 'blobs', parts: gone(request.blobs) };
    const { parcel, purpose } = request;
    const verdict = decideServe({
      purpose,
      copiesWanted: this.#machine.wantedCopies(parcel),
      copies: this.#machine.copies(parcel),
      othersFetching: this.#othersFetching(parcel, from),
      served: this.#served,
    });
    if (verdict === 'busy') return busy;
    const parts = this.#parts(request, signal);
    return { kind: 'blobs', parts: purpose === 'restore' ? parts : this.#counted(parcel, from, parts) };
  }

  /** Other peers that are being served the parcel, or were just now and are not known to hold it yet. */
  #othersFetching(parcel: ParcelId, asker: PeerName): number {
    const holders = new Set(this.#machine.holders(parcel).map(({ host }) => host));
    const nowMs = this.#clock.nowMs();
    let others = 0;
    for (const [peer, untilMs] of this.#fetchers.get(parcel) ?? []) {
      const host = this.#roster.hostOf(peer);
      if (peer !== asker && untilMs > nowMs && (host === undefined || !holders.has(host))) others += 1;
    }
    return others;
  }

  async *#counted(parcel: ParcelId, from: PeerName, parts: AsyncIterable<FetchedBlob>): AsyncGenerator<FetchedBlob> {
    this.#served += 1;
    this.#fetchersOf(parcel).set(from, Number.POSITIVE_INFINITY);
    let whole = false;
    try {
      yield* parts;
      whole = true;
    } finally {
      this.#served -= 1;
      this.#ended(parcel, from, whole);
    }
  }

  #fetchersOf(parcel: ParcelId): Map<PeerName, number> {
    const fetchers = this.#fetchers.get(parcel) ?? new Map<PeerName, number>();
    this.#fetchers.set(parcel, fetchers);
    return fetchers;
  }

  /** Who has had all of it is about to say that it holds it; who has not, asks again. */
  #ended(parcel: ParcelId, from: PeerName, whole: boolean): void {
    const fetchers = this.#fetchers.get(parcel);
    if (fetchers?.has(from) !== true) return;
    const untilMs = this.#clock.nowMs() + HEARD_MS;
    if (whole) fetchers.set(from, untilMs);
    const forget = (): void => {
      if (fetchers.get(from) !== (whole ? untilMs : Number.POSITIVE_INFINITY)) return;
      fetchers.delete(from);
      if (fetchers.size === 0) this.#fetchers.delete(parcel);
    };
    if (whole) setTimeout(forget, HEARD_MS).unref();
    else forget();
  }

  async *#parts({ parcel, blobs }: FetchRequest, signal: AbortSignal): AsyncGenerator<FetchedBlob> {
    const places: Located<Place>[] = [];
    let live: LiveParcel | undefined | 'not looked for' = 'not looked for';
    for (const blob of blobs) {
      let at: Located<Place>['at'] = await this.#heldAt(blob);
      if (at === undefined) {
        if (live === 'not looked for') live = await this.#live.find(parcel);
        const size = live?.files.get(blob)?.[0]?.size;
        if (live !== undefined && size !== undefined) at = { place: live, bytes: size };
      }
      places.push({ blob, at });
    }
    const runs = readAhead(runsOf(places), run => this.#open(run, signal), RUNS_AHEAD);
    for await (const run of runs) yield* run;
  }

  async #heldAt(blob: BlobId): Promise<{ readonly place: Store; readonly bytes: number } | undefined> {
    for (const store of this.#stores.stores()) {
      const opened = await store.openBlob(blob);
      if (opened !== undefined) return { place: store, bytes: opened.bytes };
    }
    return undefined;
  }

  async #open(run: Run<Place>, signal: AbortSignal): Promise<FetchedBlob[]> {
    if (run.is === 'one') return [await this.#openOne(run.blob, run.place, signal)];
    const { place } = run;
    const contents = await ('files' in place ? this.#live.readSmall(place, run.blobs) : place.readSmall(run.blobs));
    const pack: PackedBlob[] = [];
    const others: FetchedBlob[] = [];
    for (const [n, blob] of run.blobs.entries()) {
      const content = contents[n];
      if (content !== undefined) pack.push({ blob, content });
      else others.push(await this.#openOne(blob, place, signal));
    }
    return pack.length === 0 ? others : [{ pack }, ...others];
  }

  async #openOne(blob: BlobId, place: Place | undefined, signal: AbortSignal): Promise<FetchedBlob> {
    if (place === undefined) return { blob, gone: true };
    if (!('files' in place)) {
      const held = await place.openBlob(blob);
      return held === undefined ? { blob, gone: true } : { blob, bytes: held.bytes, content: held.read(signal) };
    }
    const opened = await this.#live.open(place, blob, signal);
    return opened === undefined ? { blob, gone: true } : { blob, ...opened };
  }
}

/** Where a blob is read from: a store of ours, or the files of a source of ours. */
type Place = Store | LiveParcel;

async function* gone(blobs: readonly BlobId[]): AsyncGenerator<FetchedBlob> {
  for (const blob of blobs) yield { blob, gone: true };
}
