/**
 * Dropper: carries out what the machine decides about removing copies. It reads this host's copy before other hosts
 * are asked, reads it for other hosts that ask, drops with a proof, expires with a warrant, and finds out which source
 * a parcel is of.
 *
 * Every effect ends in exactly one input, whatever happens: a disk fails, a store is unmounted meanwhile, the service
 * stops. A log entry of a drop or an expiry reaches the machine in that input, in the order of the log. Corruption
 * that a read finds is reported first (`own-ops`), so that the machine knows of it when it hears how the read ended.
 *
 * "Not dropped" is said only of a copy that is PRESENT as before. Where a failed write leaves that open, and where
 * `del` is in the log but could not be reported, the store is first closed and opened again: its log says what is
 * true. While the disk of the state folder takes no write the store cannot be opened again, and stays mounted; then it is
 * said of a copy that may be in no log any longer. Every read finds it absent, so no host drops its own because of it.
 *
 * A read takes a whole parcel off the disk: at most two run at once in a store, and the others wait. The machine
 * limits how many wait (ATTEMPTS_MAX for this host's own, GRANT_READS_MAX for other hosts').
 */
import type { Logger } from 'pino';
import { decodeRecord } from '../catalog/record.js';
import type { DropProof } from '../core/drop-proof.js';
import type { Effect, ReadFailure } from '../core/effects.js';
import type { ExpiryWarrant } from '../core/expiry.js';
import { ClusterError } from '../core/fault.js';
import type { LogPosition, LogSegment } from '../core/holdings-log.js';
import type { HostId, Nonce, ParcelId, Possession, SourceId, StoreId } from '../core/ids.js';
import { withDeadline } from '../net/deadline.js';
import { lastingAbort } from '../platform/lasting-abort.js';
import type { UnwantedNotes } from '../store/unwanted-notes.js';
import type { Unstamped } from './driver.js';
import { Places } from './places.js';
import type { ShortBlobs } from './short-blobs.js';
import { UnwantedWriting } from './unwanted-writing.js';

/** Whole parcels read at once from one store, so that fetches and restores still get their share of its disk. */
const READS_PER_STORE_MAX = 2;
/** Records searched for at once. */
const IDENTIFIED_AT_ONCE = 8;
/** A parcel of 10 TB at 150 MB/s takes 18 h. */
const READ_MS_MAX = 24 * 3_600_000;

type EffectTo<Do extends Effect['do']> = Extract<Effect, { do: Do }>;

/** What the dropper asks of a mounted store. */
export interface RemovingStore {
  isPresent(parcel: ParcelId): boolean;
  /** Why the store takes nothing more and must be opened again; undefined while all is well. */
  whyGone(): Promise<string | undefined>;
  /** See `Store.isBehind`. */
  readonly isBehind: boolean;
  drop(proof: DropProof): Promise<LogPosition>;
  expire(warrant: ExpiryWarrant, isSpared: (blob: string) => boolean): Promise<LogPosition>;
  possess(
    parcel: ParcelId,
    options: { readonly nonce: Nonce; readonly holders: readonly HostId[]; readonly signal?: AbortSignal },
  ): Promise<
    | { readonly kind: 'whole'; readonly possessions: ReadonlyMap<HostId, Possession> }
    | { readonly kind: 'corrupt'; readonly position: LogPosition }
    | { readonly kind: 'absent' }
  >;
}

/** The part of `OwnStores` that is needed here. */
export interface RemovingStores {
  mounted(id: StoreId): RemovingStore | undefined;
  usedBytes(id: StoreId): Promise<number>;
  tellOps(id: StoreId, completion: (segment: LogSegment) => Unstamped): Promise<void>;
  /**
   * Reports that the store is gone, then its whole log; does nothing when another store, or none, is mounted now, and
   * while it could not be opened again.
   */
  reopen(id: StoreId, store: RemovingStore): Promise<void>;
}

/** A drop or an expiry. */
interface Removal {
  readonly parcel: ParcelId;
  readonly store: StoreId;
  /** The code under which a failure is logged. */
  readonly failed: string;
  readonly remove: (store: RemovingStore) => Promise<LogPosition>;
  readonly done: (segment: LogSegment, usedBytes: number) => Unstamped;
}

export interface DropperOptions {
  readonly self: HostId;
  readonly stores: RemovingStores;
  /** Finds a record in this host's catalogs, or at any host that has it. */
  readonly findRecord: (parcel: ParcelId, signal: AbortSignal) => Promise<Uint8Array | undefined>;
  /** Fires once nobody waits for the answer any longer; undefined when that is already so. */
  readonly signalOf: (ask: number) => AbortSignal | undefined;
  readonly short: Pick<ShortBlobs, 'recent'>;
  readonly notes: Pick<UnwantedNotes, 'change'>;
  /** Called when a copy in that store was found with wrong or missing bytes. */
  readonly onCorrupt: (store: StoreId) => void;
  readonly nameOf: (host: HostId) => string;
  readonly tell: (input: Unstamped) => void;
  readonly log: Logger;
}

export class Dropper {
  readonly #options: DropperOptions;
  readonly #reads = new Places<StoreId>(READS_PER_STORE_MAX);
  readonly #looks = new Places<'records'>(IDENTIFIED_AT_ONCE);
  readonly #unwanted: UnwantedWriting;
  readonly #running = new Set<Promise<void>>();
  /** Reads of this host's own copies, by the attempt that each is for. */
  readonly #proving = new Map<Nonce, AbortController>();
  readonly #ended = lastingAbort();

  constructor(options: DropperOptions) {
    this.#options = options;
    this.#unwanted = new UnwantedWriting(options);
  }

  carryOut(effect: EffectTo<'prove-own' | 'read-possession' | 'drop' | 'expire' | 'identify' | 'note-unwanted'>): void {
    if (effect.do === 'note-unwanted') {
      this.#unwanted.note(effect.parcel, effect.sinceRunMs);
      return;
    }
    const running = this.#run(effect).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Carries out `cancel-attempt` for a read on this host's disk. */
  cancel(attempt: Nonce): void {
    this.#proving.get(attempt)?.abort(new Error('the attempt is over'));
  }

  /** Ends every read, begins nothing new, and waits for the writes that stores are about to make. */
  async stop(): Promise<void> {
    this.#ended.abort(new Error('the service stops'));
    await Promise.all(this.#running);
    await this.#unwanted.done();
  }

  #run(effect: EffectTo<'prove-own' | 'read-possession' | 'drop' | 'expire' | 'identify'>): Promise<void> {
    switch (effect.do) {
      case 'prove-own':
        return this.#prove(effect);
      case 'read-possession':
        return this.#readForAsker(effect);
      case 'drop':
        return this.#drop(effect.proof);
      case 'expire':
        return this.#expire(effect.warrant);
      case 'identify':
        return this.#identify(effect.parcel);
      default:
        return effect satisfies never;
    }
  }

  // ------------------------------------------------------------------------------------------------------------- reads

  async #prove({ attempt, parcel, store, holders }: EffectTo<'prove-own'>): Promise<void> {
    const needed = new AbortController();
    this.#proving.set(attempt, needed);
    const read = await this.possess({ parcel, store, nonce: attempt, holders }, needed.signal);
    this.#proving.delete(attempt);
    this.#options.tell(
      typeof read === 'string'
        ? { is: 'own-not-proved', attempt, because: read }
        : { is: 'own-proved', attempt, expected: read },
    );
  }

  async #readForAsker({ ask, parcel, store, nonce }: EffectTo<'read-possession'>): Promise<void> {
    const { self, signalOf, tell } = this.#options;
    const asker = signalOf(ask);
    const read =
      asker === undefined ? 'unreadable' : await this.possess({ parcel, store, nonce, holders: [self] }, asker);
    tell(
      typeof read === 'string'
        ? { is: 'possession-read', ask, possession: undefined, because: read }
        : { is: 'possession-read', ask, possession: read.get(self) },
    );
  }

  /**
   * Reads a copy of this host whole, and makes the possession of each of these holders for the nonce. Corruption is
   * reported first.
   *
   * @param needed fires when nobody waits for the result any longer
   */
  async possess(
    {
      parcel,
      store: id,
      nonce,
      holders,
    }: {
      readonly parcel: ParcelId;
      readonly store: StoreId;
      readonly nonce: Nonce;
      readonly holders: readonly HostId[];
    },
    needed: AbortSignal,
  ): Promise<ReadonlyMap<HostId, Possession> | ReadFailure> {
    const { stores, onCorrupt, log } = this.#options;
    try {
      return await withDeadline(READ_MS_MAX, [this.#ended.signal, needed], signal =>
        this.#reads.take(
          id,
          async () => {
            const read = await this.#mounted(id).possess(parcel, { nonce, holders, signal });
            if (read.kind === 'whole') return read.possessions;
            if (read.kind === 'absent') return 'unreadable';
            log.error({ code: 'PARCEL_CORRUPT', parcel, store: id }, 'a copy is damaged and no longer counts');
            onCorrupt(id);
            const usedBytes = await stores.usedBytes(id);
            await stores.tellOps(id, segment => ({ is: 'own-ops', segment, usedBytes }));
            return 'corrupt';
          },
          signal,
        ),
      );
    } catch (error) {
      if (!this.#ended.signal.aborted && !needed.aborted)
        log.warn({ code: 'PARCEL_NOT_READ', parcel, store: id, err: error }, 'a copy could not be read');
      return 'unreadable';
    }
  }

  // ---------------------------------------------------------------------------------------------------------- removals

  async #drop(proof: DropProof): Promise<void> {
    const { parcel, store, nonce: attempt, granters } = proof;
    const { log, nameOf, tell } = this.#options;
    const removed = await this.#remove({
      parcel,
      store,
      failed: 'DROP_FAILED',
      remove: mounted => mounted.drop(proof),
      done: (segment, usedBytes) => ({ is: 'dropped', attempt, segment, usedBytes }),
    });
    if (removed)
      log.info({ code: 'PARCEL_DROPPED', parcel, store, granters: granters.map(nameOf) }, 'a surplus copy was dropped');
    else tell({ is: 'not-dropped', attempt });
  }

  async #expire(warrant: ExpiryWarrant): Promise<void> {
    const { parcel, store, source, headSeq } = warrant;
    const { short, log, tell } = this.#options;
    const removed = await this.#remove({
      parcel,
      store,
      failed: 'EXPIRY_FAILED',
      remove: async mounted => mounted.expire(warrant, (await short.recent()).has),
      done: (segment, usedBytes) => ({ is: 'expired', parcel, segment, usedBytes }),
    });
    if (removed)
      log.info(
        { code: 'PARCEL_EXPIRED', parcel, store, source, headSeq },
        'a copy that nobody wants any longer was removed',
      );
    else tell({ is: 'not-expired', parcel });
  }

  /**
   * @returns whether the machine heard that it is done. If not, the copy is still there, or its store has reported what
   * it has.
   */
  async #remove(removal: Removal): Promise<boolean> {
    const store = this.#beginRemoval(removal);
    if (store === undefined) return false;
    const entered = await this.#enter(store, removal);
    if (entered === 'no') return false;
    if (entered === 'yes' && (await this.#toldRemoval(removal))) return true;
    if (!this.#ended.signal.aborted) await this.#options.stores.reopen(removal.store, store);
    return false;
  }

  /** A removal belongs to its attempt: none begins after the stop, and none is put off past a restart. */
  #beginRemoval({ parcel, store: id, failed }: Removal): RemovingStore | undefined {
    if (this.#ended.signal.aborted) return undefined;
    const store = this.#options.stores.mounted(id);
    if (store === undefined)
      this.#options.log.warn({ code: failed, parcel, store: id }, 'a copy was not removed: its store is not mounted');
    return store;
  }

  /** Whether `del` is in the log, durably. */
  async #enter(
    store: RemovingStore,
    { parcel, store: id, failed, remove }: Removal,
  ): Promise<'yes' | 'no' | 'unknown'> {
    const { log } = this.#options;
    try {
      await remove(store);
      return 'yes';
    } catch (error) {
      const because = await store.whyGone();
      const isPresent = store.isPresent(parcel);
      if (because !== undefined || (store.isBehind && !isPresent)) {
        log.error(
          { code: failed, parcel, store: id, err: error },
          'a copy may or may not have been removed; its store is opened again to find out',
        );
        return 'unknown';
      }
      log.error(
        { code: failed, parcel, store: id, err: error },
        isPresent
          ? 'a copy could not be removed; it is kept'
          : 'a copy was removed, but something went wrong after that',
      );
      return isPresent ? 'no' : 'yes';
    }
  }

  async #toldRemoval({ parcel, store: id, done }: Removal): Promise<boolean> {
    const { stores, log } = this.#options;
    try {
      const usedBytes = await stores.usedBytes(id);
      await stores.tellOps(id, segment => done(segment, usedBytes));
      return true;
    } catch (error) {
      log.error(
        { code: 'REMOVAL_NOT_TOLD', parcel, store: id, err: error },
        'a copy was removed, but its store’s log could not be passed on; the store is opened again',
      );
      return false;
    }
  }

  // ------------------------------------------------------------------------------------------------- whose, since when

  async #identify(parcel: ParcelId): Promise<void> {
    const { signal } = this.#ended;
    let source: SourceId | undefined;
    try {
      const record = await this.#looks.take('records', () => this.#options.findRecord(parcel, signal), signal);
      if (record !== undefined) ({ source } = decodeRecord(record));
    } catch (error) {
      if (!signal.aborted)
        this.#options.log.warn(
          { code: 'NOT_IDENTIFIED', parcel, err: error },
          'the source of a parcel could not be found out; the parcel is kept',
        );
    }
    this.#options.tell({ is: 'identified', parcel, source });
  }

  #mounted(id: StoreId): RemovingStore {
    const store = this.#options.stores.mounted(id);
    if (store === undefined)
      throw new ClusterError('STORE_MISSING', `store ${id} is not mounted`, { blame: 'passing' });
    return store;
  }
}
