/**
 * Own heads: signs the heads of this host's own sources, and takes in those that anybody remembers (core/own-heads.ts).
 *
 * Before the first head since our start is signed, every reachable member is asked for the highest head that it knows of our sources.
 * What an admin forgot is not listed again.
 *
 * Driven by the origin, and by whoever hears of a head of ours.
 */
import type { Logger } from 'pino';
import { HEAD_SNAPSHOTS_MAX, type Head, headHash, type ListedSnapshot } from '../catalog/head.js';
import { MalformedObject } from '../catalog/malformed-object.js';
import { BadSignature } from '../catalog/sealed-object.js';
import type { SnapshotToList, SourceHistory } from '../catalog/source-history.js';
import { ClusterError } from '../core/fault.js';
import { SEEN_MAX } from '../core/hold.js';
import { type ObjectId, type PeerName, type SourceId, splitSourceId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { Alarms } from './alarms.js';
import type { Brakes } from './brakes.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import type { Forgotten } from './forgotten.js';

export interface OwnHeadsOptions {
  readonly history: SourceHistory;
  readonly catalog: CatalogKeeper;
  readonly forgotten: Pick<Forgotten, 'seqOf'>;
  readonly brakes: Brakes;
  readonly alarms: Alarms;
  /** The catalog here; what is missing of it is read from those who have it. */
  readonly objects: ObjectReader;
  readonly log: Logger;
  /** Asks every reachable member for its state, so that their heads of our sources are here. */
  readonly askEverybody: () => Promise<void>;
}

export class OwnHeads {
  readonly #options: OwnHeadsOptions;
  #askedEverybody: Promise<void> | undefined;

  constructor(options: OwnHeadsOptions) {
    this.#options = options;
  }

  /** Once in our life, and after each look at a damaged file: what others remember of our heads, before we sign a new one. */
  knowAll(): Promise<void> {
    this.#askedEverybody ??= this.#options.askEverybody();
    return this.#askedEverybody;
  }

  /** At the start, with nobody to ask: heads of ours that the catalog has lost are in force again. Signs nothing, and never rejects. */
  async putBack(): Promise<void> {
    const { history, catalog, log } = this.#options;
    for (const { head, sealed, hash } of history.heads()) {
      const { source, seq } = head;
      const known = catalog.get(source);
      if (known?.hash === hash || (known?.head.seq ?? 0) > seq || catalog.isForgotten(head)) continue;
      try {
        await catalog.offer(sealed, undefined);
        log.warn(
          { code: 'HEAD_PUT_BACK', source, seq },
          'the catalog had lost the head of a source of ours: it is there again',
        );
      } catch (error) {
        log.warn(
          { code: 'HEAD_NOT_PUT_BACK', source, seq, err: error },
          'the head of a source of ours is not in force; it is before the next one is signed',
        );
      }
    }
  }

  /**
   * Before anything is made of what a source lists, and before each head that is signed: its newest head is in force here, with what is
   * lost of it from whoever has it. One that is signed above a head that is not would be in force nowhere, and each attempt would put one
   * more behind it.
   * @throws ClusterError HEAD_DAMAGED, HISTORY_LOST, HEAD_BEHIND, and what else keeps it out; then nothing was signed
   */
  async bringIntoForce(source: SourceId): Promise<void> {
    const { history, catalog, objects } = this.#options;
    const damage = history.damage(source);
    if (damage !== undefined) {
      // Whoever is switched on meanwhile is asked too, before anything is signed.
      this.#askedEverybody = undefined;
      throw damage;
    }
    await this.#adoptOnDisk(source);
    const own = history.head(source);
    if (own === undefined || catalog.get(source)?.hash === own.hash) return;
    try {
      await catalog.offer(own.sealed, undefined);
    } catch (error) {
      if (!isMissing(error)) throw error;
      try {
        await catalog.offer(own.sealed, objects);
      } catch (cause) {
        throw isMissing(cause) ? historyLost(source, cause) : cause;
      }
    }
  }

  /** What the next head goes on from, oldest first. */
  listed(source: SourceId): readonly ListedSnapshot[] {
    const { snapshots = [] } = this.#options.history.head(source)?.head ?? {};
    return snapshots.filter(snapshot => !this.#isForgotten(source, snapshot));
  }

  /** Those whose parcels are wanted: what the head in force does not list (any more) before what it lists, each oldest first. */
  wanted(source: SourceId): readonly { readonly id: ObjectId; readonly timeMs: number }[] {
    const { catalog } = this.#options;
    return [...catalog.heldSnapshots(source), ...(catalog.get(source)?.head.snapshots ?? [])];
  }

  /** How many more snapshots can be listed: what is in its hold counts, for those who hold it follow no head beyond that. */
  room(source: SourceId): number {
    const { catalog, history } = this.#options;
    return catalog.roomBeside(source, history.head(source)?.head.snapshots.map(({ id }) => id) ?? []);
  }

  /** A head of ours that a peer, or a store of ours, remembers. */
  async heard(source: SourceId, sealed: Uint8Array, from: PeerName | ObjectReader): Promise<void> {
    const { history, catalog } = this.#options;
    // The catalog keeps it until our own file is understood: from there it is adopted then.
    if (history.damage(source) !== undefined) return catalog.offer(sealed, from);
    await this.#adopt(source, sealed);
    // Also when it was adopted before, and its snapshots and pages could not be read then.
    const own = history.head(source);
    if (own !== undefined && catalog.get(source)?.hash !== own.hash) await catalog.offer(own.sealed, from);
  }

  /** Signs the next head, with what `change` makes of the list, and puts it in force. @throws ClusterError HOLDS_FULL; then none is signed */
  async publish(
    source: SourceId,
    change: (snapshots: readonly SnapshotToList[]) => readonly SnapshotToList[],
  ): Promise<void> {
    const { history, catalog, brakes } = this.#options;
    await this.bringIntoForce(source);
    const { sealed } = await history.relist(source, newest => {
      const before = newest?.snapshots.filter(snapshot => !this.#isForgotten(source, snapshot)) ?? [];
      const snapshots = change(before);
      if (snapshots.length > before.length) this.#mustFit(source, snapshots);
      return {
        snapshots,
        // While the brakes cannot say since when, it stays as it was told.
        unacceptedSinceMs:
          brakes.sinceMs(source) ?? (brakes.on(source) === undefined ? undefined : newest?.unacceptedSinceMs),
      };
    });
    await catalog.offer(sealed, undefined);
  }

  /** Else the head would be signed and in force nowhere, not here either, and each attempt would put one more behind it. */
  #mustFit(source: SourceId, snapshots: readonly Pick<SnapshotToList, 'id'>[]): void {
    const ids = snapshots.map(({ id }) => id);
    if (this.#options.catalog.roomBeside(source, ids) >= 0) return;
    const why = `${source} has too many snapshots that are listed or in their hold (at most ${SEEN_MAX}); nothing was changed`;
    throw new ClusterError('HOLDS_FULL', why, { blame: 'operator' });
  }

  async #adopt(source: SourceId, sealed: Uint8Array): Promise<void> {
    const { history, alarms, log } = this.#options;
    let again: readonly ListedSnapshot[] = [];
    const adoption = await history.adopt(source, sealed, (head, unlisted) => {
      again = this.#toListAgain(head, unlisted);
      return again;
    });
    if (again.length > 0)
      log.warn(
        { code: 'SNAPSHOTS_LISTED_AGAIN', source, snapshots: again.map(({ id }) => id) },
        'a later head of ours was remembered that does not list these snapshots: they are listed again',
      );
    if (adoption.kind === 'forked') {
      alarms.raise(
        'HEAD_FORKED',
        source,
        `source ${source} had two heads with one number: two machines have used this host's key. All snapshots of both are kept; keep only one of the machines`,
      );
    }
  }

  /** What we listed, and a later head of ours does not, but for what an admin forgot; none if there is no room for it. */
  #toListAgain({ source, snapshots }: Head, unlisted: readonly ListedSnapshot[]): readonly ListedSnapshot[] {
    const again = unlisted.filter(snapshot => !this.#isForgotten(source, snapshot));
    const ids = [...snapshots, ...again].map(({ id }) => id);
    if (again.length === 0 || (ids.length <= HEAD_SNAPSHOTS_MAX && this.#options.catalog.roomBeside(source, ids) >= 0))
      return again;
    this.#options.log.error(
      { code: 'SNAPSHOTS_UNLISTED', source, snapshots: again.map(({ id }) => id) },
      'a later head of ours does not list these snapshots, and leaves no room to list them again: they are kept until their hold ends',
    );
    return [];
  }

  /** The file of our own history may be gone, or older than the head in the catalog beside it: no number is given twice. */
  async #adoptOnDisk(source: SourceId): Promise<void> {
    const { catalog, history, log } = this.#options;
    const sealed = catalog.onDisk(source);
    if (sealed === undefined || headHash(sealed) === history.head(source)?.hash) return;
    try {
      await this.#adopt(source, sealed);
    } catch (error) {
      if (!(error instanceof BadSignature || error instanceof MalformedObject)) throw error;
      log.error(
        { code: 'HEAD_UNREADABLE', source, err: error },
        'the head of a source of ours in the catalog is damaged; our own history goes on without it',
      );
    }
  }

  /** From before an admin forgot the source: its objects are let go, here too. */
  #isForgotten(source: SourceId, { firstSeq }: ListedSnapshot): boolean {
    return firstSeq <= this.#options.forgotten.seqOf(source);
  }
}

const isMissing = (error: unknown): error is ClusterError =>
  error instanceof ClusterError && error.code === 'OBJECT_MISSING';

const historyLost = (source: SourceId, cause: ClusterError): ClusterError =>
  new ClusterError(
    'HISTORY_LOST',
    `a part of the catalog is lost here and on every host that is up, so that nobody can say what the listed snapshots of ${splitSourceId(source).source} have (${cause.message}). No snapshot is taken or unlisted until it is found, and all are kept: switch on the hosts that are off, and mount the stores that are away. If no host has it any more, give the source another name in the policy: it begins anew`,
    { blame: 'passing', cause },
  );
