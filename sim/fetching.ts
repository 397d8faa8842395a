/**
 * Fetching: carries out `fetch`: asks, receives the bytes, or reads them from our own stores, checks them, writes them
 * under their name, and then writes `add`.
 */
import type { Effect, FetchFailure } from '../src/core/effects.js';
import type { ParcelId } from '../src/core/ids.js';
import type { OwnStores } from './own-stores.js';
import type { FetchAnswer } from './questions.js';
import type { Running, SimHost } from './sim-host.js';
import type { StoreDisk, StoredFile } from './store-disk.js';
import type { Surroundings } from './surroundings.js';
import type { Transfer } from './transfers.js';

/** Interval between progress reports of a transfer, in ms. */
const PROGRESS_MS = 5_000;
/** How soon a busy host may be asked again, in ms. */
const BUSY_RETRY_MS = 2_000;
/**
 * The bytes of a failed fetch are kept in pieces of this size, because each is checked on arrival: about a chunk of a
 * recipe.
 */
const PIECE_BYTES = 1024 * 1024;

const notTaken = (answer: FetchAnswer): void => {
  if (answer.kind === 'bytes') answer.ended(false);
};

type Fetch = Extract<Effect, { do: 'fetch' }>;

interface UnderWay {
  readonly parcel: ParcelId;
  transfer: Transfer | undefined;
  ended: ((whole: boolean) => void) | undefined;
  /** Keeps what has arrived of it, before this fetch and by it. @returns the bytes that are lost all the same */
  keep: (cameBytes: number) => number;
  /** Ends the pin: from when its bytes begin to arrive until the fetch has ended, what the store has of it stays. */
  unpin: () => void;
  /** The bytes are here: the write that follows cannot be cancelled. */
  writing: boolean;
  /** Set while the copy is in the store and the machine has not been told. */
  landed: { readonly store: StoreDisk; readonly bytes: number } | undefined;
}

export class Fetching {
  readonly #of: Running;
  readonly #world: Surroundings;
  readonly #stores: OwnStores;
  readonly #underWay = new Map<number, UnderWay>();

  constructor(of: Running, world: Surroundings, stores: OwnStores) {
    this.#of = of;
    this.#world = world;
    this.#stores = stores;
  }

  start(fetch: Fetch): void {
    const underWay: UnderWay = {
      parcel: fetch.parcel,
      transfer: undefined,
      ended: undefined,
      keep: cameBytes => cameBytes,
      unpin: () => undefined,
      writing: false,
      landed: undefined,
    };
    this.#underWay.set(fetch.fetch, underWay);
    if (fetch.from === this.#of.host.id) {
      this.#world.after(0, () => this.#of.enter(() => this.#takeOwn(fetch, underWay)));
      return;
    }
    this.#world.network.ask<FetchAnswer>({
      from: this.#of,
      to: fetch.from,
      ask: (asked, reply) => reply(asked.answerFetch(fetch.parcel, fetch.purpose, this.#of.host.id)),
      answered: (answer, by) => this.#answered(fetch, underWay, answer, by),
      late: notTaken,
      unheard: notTaken,
    });
  }

  cancel(fetch: number): void {
    const underWay = this.#underWay.get(fetch);
    if (underWay === undefined || underWay.writing) return;
    this.#forget(fetch);
    this.#stop(underWay);
    this.#world.after(0, () => this.#of.enter(() => this.#failed({ fetch }, 'cancelled')));
  }

  /** Bytes of copies in a store that the machine has not been told of: it counts them as still on their way. */
  landedBytes(store: StoreDisk): number {
    let bytes = 0;
    for (const { landed } of this.#underWay.values()) if (landed?.store === store) bytes += landed.bytes;
    return bytes;
  }

  /** The service ends, and so do its fetches; nothing ensures that any of their bytes are kept. */
  end(): void {
    for (const [fetch, underWay] of this.#underWay) {
      underWay.keep = cameBytes => cameBytes;
      this.#stop(underWay);
      this.#forget(fetch);
    }
  }

  #forget(fetch: number): void {
    this.#underWay.get(fetch)?.unpin();
    this.#underWay.delete(fetch);
  }

  #stop({ parcel, transfer, ended, keep }: UnderWay): void {
    if (transfer !== undefined) {
      const bytes = this.#world.transfers.stop(transfer);
      this.#received(parcel, bytes);
      this.#world.counts.wastedBytes += keep(bytes);
    }
    ended?.(false);
  }

  #received(parcel: ParcelId, bytes: number): void {
    this.#world.counts.receivedBytes += bytes;
    this.#world.happened({ is: 'received', host: this.#of.host, parcel, bytes });
  }

  #answered(fetch: Fetch, underWay: UnderWay, answer: FetchAnswer | undefined, by: SimHost | undefined): void {
    if (this.#underWay.get(fetch.fetch) !== underWay) {
      if (answer?.kind === 'bytes') answer.ended(false);
      return;
    }
    if (answer === undefined || by === undefined) this.#failed(fetch, 'unreachable');
    else if (answer.kind === 'busy') this.#failed(fetch, 'busy', BUSY_RETRY_MS);
    else if (answer.kind === 'gone') this.#failed(fetch, 'gone');
    else if (this.#stores.mounted(fetch.store)?.full === true) {
      // Already the first bytes find no room; the rest is not asked for.
      this.#world.counts.noRoom += 1;
      answer.ended(false);
      this.#failed(fetch, 'no-room');
    } else if (this.#isOutgrown(fetch, underWay, answer)) {
      answer.ended(false);
      this.#failed(fetch, 'outgrown');
    } else this.#takeIn(fetch, underWay, { answer, by });
  }

  /**
   * What another store has is read from there, and checked as if it had come. What the same store has as files of another
   * parcel is not read: where it has spoiled, the new copy has spoiled with it.
   */
  #takeOwn(fetch: Fetch, underWay: UnderWay): void {
    if (this.#underWay.get(fetch.fetch) !== underWay) return;
    const { parcel } = fetch;
    const model = this.#world.catalog.parcel(parcel);
    const into = this.#stores.mounted(fetch.store);
    const found = model === undefined ? undefined : this.#stores.findAll(model, fetch.store);
    if (model === undefined || into === undefined || found === undefined) {
      this.#failed(fetch, 'gone');
      return;
    }
    const { store, copy } = found;
    const { bytes } = model.ref;
    if (this.#isOutgrown(fetch, underWay, { bytes })) {
      this.#failed(fetch, 'outgrown');
      return;
    }
    const isRead = store !== into;
    this.#world.after(isRead ? this.#stores.readMs(store, bytes) : 0, () =>
      this.#of.enter(() => {
        if (this.#underWay.get(fetch.fetch) !== underWay) return;
        const file = this.#stores.mounted(store.id) === store ? store.files.get(copy) : undefined;
        if (file === undefined || store.failing) {
          this.#failed(fetch, 'gone');
          return;
        }
        const isRight = file.content === copy;
        if (isRead && !isRight) {
          this.#stores.foundCorrupt(store, copy);
          this.#failed(fetch, 'gone');
          return;
        }
        this.#world.counts.takenHere += 1;
        underWay.writing = true;
        this.#write(fetch, underWay, { content: parcel, bytes, receivedBytes: 0, isRight });
      }),
    );
  }

  /**
   * What the store has of the parcel is relied on from now on. @returns whether more must be written than room was kept
   * for
   */
  #isOutgrown(
    { store: id, parcel, roomBytes }: Fetch,
    underWay: UnderWay,
    { bytes }: { readonly bytes: number },
  ): boolean {
    const store = this.#stores.mounted(id);
    if (store === undefined) return false;
    const shared = this.#world.catalog.parcel(parcel)?.shared;
    underWay.unpin = store.pin(shared);
    return store.missingBytes({ bytes, shared }) > roomBytes;
  }

  #takeIn(
    fetch: Fetch,
    underWay: UnderWay,
    { answer, by }: { readonly answer: Extract<FetchAnswer, { kind: 'bytes' }>; readonly by: SimHost },
  ): void {
    const { parcel } = fetch;
    const store = this.#stores.mounted(fetch.store);
    const keptBytes = Math.min(answer.bytes, store?.incoming.get(parcel) ?? 0);
    if (keptBytes > 0) this.#world.counts.resumed += 1;
    const bytes = answer.bytes - keptBytes;
    underWay.ended = answer.ended;
    underWay.keep = cameBytes => {
      if (store === undefined || answer.content !== parcel) return cameBytes;
      const wholeBytes = Math.floor((keptBytes + cameBytes) / PIECE_BYTES) * PIECE_BYTES;
      if (wholeBytes > 0) store.incoming.set(parcel, wholeBytes);
      return keptBytes + cameBytes - wholeBytes;
    };
    this.#world.happened({ is: 'taking-in', by: this.#of, fetch: fetch.fetch, parcel });
    const isOver = (): boolean => this.#underWay.get(fetch.fetch) !== underWay;
    const giveUp = (): void =>
      this.#of.enter(() => {
        if (isOver() || underWay.writing) return;
        this.#stop(underWay);
        this.#failed(fetch, 'unreachable');
      });
    const offDown = this.#world.network.whenDown(this.#of.host, by, giveUp);
    underWay.transfer = this.#world.transfers.start({
      from: by,
      to: this.#of.host,
      bytes,
      stalled: () => {
        offDown();
        this.#world.counts.stalls += 1;
        // The server has waited as long.
        answer.ended(false);
        giveUp();
      },
      ended: () => {
        offDown();
        answer.ended(true);
        this.#of.enter(() => {
          if (isOver()) return;
          underWay.writing = true;
          this.#received(parcel, bytes);
          this.#write(fetch, underWay, { ...answer, receivedBytes: bytes });
        });
      },
    });
    this.#tellProgress(fetch, underWay);
  }

  /** Nothing is reported while nothing moves: hosts that respect the claim must not wait for ever. */
  #tellProgress(fetch: Fetch, underWay: UnderWay, toldBytes = 0): void {
    this.#world.after(PROGRESS_MS, () =>
      this.#of.enter(() => {
        if (this.#underWay.get(fetch.fetch) !== underWay || underWay.writing || underWay.transfer === undefined) return;
        const doneBytes = this.#world.transfers.doneBytes(underWay.transfer);
        if (doneBytes > toldBytes) this.#of.tell({ is: 'fetch-progress', fetch: fetch.fetch, doneBytes });
        this.#tellProgress(fetch, underWay, doneBytes);
      }),
    );
  }

  #write(
    fetch: Fetch,
    underWay: UnderWay,
    {
      content,
      bytes,
      receivedBytes,
      isRight = true,
    }: {
      readonly content: string;
      readonly bytes: number;
      readonly receivedBytes: number;
      /** False for bytes that have spoiled unseen. */
      readonly isRight?: boolean;
    },
  ): void {
    const { parcel } = fetch;
    const cameBytes = receivedBytes > 0 ? bytes : 0;
    const store = this.#stores.mounted(fetch.store);
    store?.incoming.delete(parcel);
    if (store === undefined || store.failing) {
      this.#wasted(fetch, cameBytes, 'disk');
      return;
    }
    // Bytes that do not hash to their name are never written under it.
    if (content !== parcel) {
      this.#wasted(fetch, cameBytes, 'bad-bytes');
      return;
    }
    const isStillMounted = this.#stores.whileMounted(fetch.store);
    const file = { content, bytes, shared: this.#world.catalog.parcel(parcel)?.shared };
    if (!this.#fits(store, file)) {
      this.#world.counts.noRoom += 1;
      this.#wasted(fetch, cameBytes, 'no-room');
      return;
    }
    this.#world.after(this.#stores.writeMs(store), () =>
      this.#of.enter(() => {
        if (this.#of.dies('fetch', 'begun')) return;
        if (!isStillMounted()) {
          this.#wasted(fetch, cameBytes, 'disk');
          return;
        }
        // Other files were written meanwhile.
        if (!this.#fits(store, file)) {
          this.#world.counts.noRoom += 1;
          this.#wasted(fetch, cameBytes, 'no-room');
          return;
        }
        store.trash.delete(parcel);
        if (!this.#stores.writeAstray(store)) {
          const beforeBytes = store.usedBytes;
          store.put(parcel, file);
          underWay.landed = { store, bytes: store.usedBytes - beforeBytes };
        }
        const isTaken = this.#stores.append(store, { op: 'add', parcel }, () => {
          this.#forget(fetch.fetch);
          if (!isRight) this.#spoiled(store, parcel);
          if (this.#of.dies('fetch', 'done')) return;
          this.#stores.tellOps(store, segment =>
            this.#of.tell({
              is: 'fetched',
              fetch: fetch.fetch,
              receivedBytes,
              segment,
              usedBytes: store.usedBytes,
            }),
          );
        });
        if (isTaken) return;
        store.remove(parcel);
        this.#wasted(fetch, cameBytes, 'no-room');
      }),
    );
  }

  #spoiled(store: StoreDisk, parcel: ParcelId): void {
    this.#world.happened({ is: 'injected-loss', host: this.#of.host, parcel });
    store.spoil(parcel, 'spoiled');
  }

  /**
   * Whether the disk has room for it. The machine keeps to what the store lends (I6), unless it was told of room that
   * does not exist.
   */
  #fits(store: StoreDisk, file: StoredFile): boolean {
    const { full, lentBytes, quotaBytes, usedBytes } = store;
    const takesBytes = this.#of.host.lies?.room === true ? Math.min(lentBytes, quotaBytes) : quotaBytes;
    return !full && usedBytes + store.missingBytes(file) <= takesBytes;
  }

  #wasted(fetch: Fetch, bytes: number, because: FetchFailure): void {
    this.#world.counts.wastedBytes += bytes;
    this.#failed(fetch, because);
  }

  #failed({ fetch }: Pick<Fetch, 'fetch'>, because: FetchFailure, retryAfterMs = 0): void {
    this.#forget(fetch);
    this.#of.tell({ is: 'fetch-failed', fetch, because, retryAfterMs });
  }
}
