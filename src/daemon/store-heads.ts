/**
 * Store heads: keeps heads in each store, with what they list, so that one disk alone is enough to restore from.
 *
 * A store gets the head in force when the machine says so, and again where the store's is damaged or gone. If a store
 * has a later head than the state folder, the state folder is an old image, and the store's head is taken. A head that
 * an admin has forgotten goes. A head that is no longer valid, because the key that signed it was shut out, is replaced
 * by the one in force.
 */
import type { Logger } from 'pino';
import { decodeHead, type Head } from '../catalog/head.js';
import { MalformedObject } from '../catalog/malformed-object.js';
import { BadSignature } from '../catalog/sealed-object.js';
import type { Effect } from '../core/effects.js';
import { ClusterError } from '../core/fault.js';
import { type SourceId, type StoreId, splitSourceId } from '../core/ids.js';
import type { Store } from '../store/store.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import type { Unstamped } from './driver.js';
import { HeadSigners } from './head-signers.js';
import type { Origin } from './origin.js';
import type { OwnStores } from './own-stores.js';
import type { Revocations } from './revocations.js';
import type { Roster } from './roster.js';

export interface StoreHeadsOptions {
  readonly stores: Pick<OwnStores, 'mounted' | 'stores' | 'tellOps'>;
  readonly catalog: CatalogKeeper;
  /** Takes in a later head of this host's own source. */
  readonly origin: Pick<Origin, 'heardOwnHead'>;
  readonly roster: Roster;
  readonly revocations: Revocations;
  readonly tell: (input: Unstamped) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export class StoreHeads {
  readonly #options: StoreHeadsOptions;
  readonly #signers: HeadSigners;

  constructor(options: StoreHeadsOptions) {
    this.#options = options;
    this.#signers = new HeadSigners(options);
    options.catalog.onHead(source => this.#renewVoided(source));
  }

  /** Puts the head in force into a store, notes it in the store's log, and tells the machine how it went. */
  async keep({ store: id, source, seq }: Extract<Effect, { do: 'keep-head' }>): Promise<void> {
    const { stores, catalog, tell, log, signal } = this.#options;
    try {
      const store = stores.mounted(id);
      if (store === undefined) throw notMounted(id);
      // For a forgotten source only the note that the head was heard is kept.
      await store.appendHead(source, catalog.isForgotten({ source, seq }) ? seq : await this.#copy(store, source));
      await stores.tellOps(id, segment => ({ is: 'head-kept', store: id, source, segment }));
    } catch (error) {
      if (!signal.aborted)
        log.warn(
          { code: 'HEAD_NOT_KEPT', store: id, source, err: error },
          'a store could not take a head; it is tried again',
        );
      tell({ is: 'head-not-kept', store: id, source });
    }
  }

  /** Rewrites the damaged parts of a head in a store. Never rejects. */
  async renew(store: Store, source: SourceId): Promise<void> {
    try {
      await this.#copy(store, source);
    } catch (error) {
      this.#options.log.warn(
        { code: 'HEAD_NOT_KEPT', store: store.id, source, err: error },
        'the damaged parts of a head in a store could not be rewritten; the next head of the source will do that',
      );
    }
  }

  /**
   * Takes a store's later heads, and removes those that an admin has forgotten with what only they lead to. A head
   * that the store's log claims, but that is missing there or no longer valid, is put there again. Never rejects.
   */
  async learn(store: Store): Promise<void> {
    await this.#try(store, undefined, async () => {
      for (const source of await store.heads()) await this.#try(store, source, () => this.#learn(store, source));
    });
    for (const source of [...this.#options.catalog.sources()])
      await this.#try(store, source, () => this.#putBack(store, source));
  }

  /** `undefined` for bytes that the origin, revoked or not, has not signed; for an unknown origin, what can be read. */
  signed(source: SourceId, sealed: Uint8Array | undefined): Head | undefined {
    const keys = this.#signers.keysOf(source);
    return keys.length === 0 ? headFrom(sealed) : headFrom(sealed, bytes => this.#signers.verify(bytes, keys));
  }

  /** True when the head is no longer valid. */
  #isVoided(sealed: Uint8Array): boolean {
    const head = headFrom(sealed);
    return head !== undefined && this.#signers.isVoided({ head, sealed });
  }

  /**
   * The machine never asks for a head earlier than the one that a store's log claims, which may be one that was signed
   * with a key that is shut out now.
   */
  #renewVoided(source: SourceId): void {
    const { stores, catalog, revocations } = this.#options;
    const seq = catalog.get(source)?.head.seq;
    if (seq === undefined || revocations.wordsOf(splitSourceId(source).origin).length === 0) return;
    for (const store of stores.stores()) if (store.headSeq(source) > seq) void this.renew(store, source);
  }

  /** Copies the head in force, with what it lists. @returns its seq */
  async #copy(store: Store, source: SourceId): Promise<number> {
    const sealed = await store.head(source);
    const kept = sealed === undefined || this.#isVoided(sealed) ? undefined : this.signed(source, sealed);
    const complete = new Set(kept?.snapshots.map(({ id }) => id));
    const known = await this.#options.catalog.copyTo(source, store.objects, complete);
    if (known === undefined)
      throw new ClusterError('HEAD_UNKNOWN', `no head of ${source} is in force`, { blame: 'passing' });
    if ((kept?.seq ?? 0) <= known.head.seq) await store.putHead(source, known.sealed);
    return known.head.seq;
  }

  /** One source's unusable head must not keep the others' heads from the store, or from this host. */
  async #try(store: Store, source: SourceId | undefined, use: () => Promise<void>): Promise<void> {
    try {
      await use();
    } catch (error) {
      const { log, signal } = this.#options;
      if (signal.aborted) return;
      log.warn({ code: 'HEAD_NOT_TAKEN', source, store: store.id, err: error }, 'heads of a store cannot be used');
    }
  }

  async #putBack(store: Store, source: SourceId): Promise<void> {
    if (store.headSeq(source) === 0) return;
    const sealed = await store.head(source);
    const known = this.#options.catalog.get(source);
    if (sealed !== undefined && (known === undefined || this.#isVoided(known.sealed))) return;
    if (sealed === undefined || this.#isVoided(sealed)) await this.#copy(store, source);
  }

  async #learn(store: Store, source: SourceId): Promise<void> {
    const { catalog, origin, roster, log, signal } = this.#options;
    const sealed = await store.head(source);
    const head = headFrom(sealed);
    if (head !== undefined && catalog.isForgotten(head)) {
      await store.removeHead(source);
      return;
    }
    if (sealed === undefined || (head?.seq ?? 0) <= (catalog.get(source)?.head.seq ?? 0)) return;
    if (splitSourceId(source).origin === roster.self) await origin.heardOwnHead(source, sealed, store.objects);
    else await catalog.offer(sealed, store.objects, signal);
    log.warn({ code: 'HEAD_FROM_STORE', source, store: store.id }, 'a store had a later head than the state folder');
  }
}

/** Undefined when there is no head, or none that can be read. */
function headFrom(sealed: Uint8Array | undefined, read: (sealed: Uint8Array) => Head = decodeHead): Head | undefined {
  try {
    return sealed && read(sealed);
  } catch (error) {
    if (error instanceof MalformedObject || error instanceof BadSignature) return undefined;
    throw error;
  }
}

const notMounted = (store: StoreId): ClusterError =>
  new ClusterError('STORE_MISSING', `store ${store} is not mounted`, { blame: 'passing' });
