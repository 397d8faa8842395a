/**
 * Own heads: signs the heads of this host's own sources, and takes in those that anybody remembers
 * (core/own-heads.ts).
 *
 * Before this host signs its first head after a start, it asks every reachable member for the highest head that it
 * knows of this host's sources. What an admin forgot is not listed again.
 *
 * Driven by the origin, and by every part that hears of a head of this host.
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
import type { Clock } from './clock.js';
import type { Forgotten } from './forgotten.js';

/** So long after the last fork a person is told of it, in ms: two machines with one key that are both on go on to make more of them. */
const FORK_TOLD_MS = 86_400_000;

export interface OwnHeadsOptions {
  readonly history: SourceHistory;
  readonly catalog: CatalogKeeper;
  readonly forgotten: Pick<Forgotten, 'seqOf'>;
  readonly brakes: Brakes;
  readonly alarms: Alarms;
  readonly clock: Pick<Clock, 'nowMs'>;
  /** The catalog of this host; what it lacks is read from hosts that have it. */
  readonly objects: ObjectReader;
  readonly log: Logger;
  /**
   * The number of the last head that a machine which was this host before has signed, by the configuration; 0 for none.
   * Default: there was no such machine.
   */
  readonly owedSeq?: (source: SourceId) => number;
  /** Asks every reachable member for its state, so that the heads that they know of this host's sources arrive here. */
  readonly askEverybody: () => Promise<void>;
}

export class OwnHeads {
  readonly #options: OwnHeadsOptions;
  #askedEverybody: Promise<void> | undefined;
  /** When the last fork was found. */
  readonly #forkedMs = new Map<SourceId, number>();

  constructor(options: OwnHeadsOptions) {
    this.#options = options;
  }

  /**
   * Once per start, and after each look at a damaged file: collects what others remember of this host's heads, before a
   * new one is signed.
   */
  knowAll(): Promise<void> {
    this.#askedEverybody ??= this.#options.askEverybody();
    return this.#askedEverybody;
  }

  /**
   * At the start, with nobody to ask: puts heads of this host that the catalog has lost in force again. Signs nothing,
   * and never rejects.
   */
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
          'the catalog had lost the head of a source of this host; the head was put back',
        );
      } catch (error) {
        log.warn(
          { code: 'HEAD_NOT_PUT_BACK', source, seq, err: error },
          'the head of a source of this host is not in force; it will be before the next one is signed',
        );
      }
    }
  }

  /**
   * Called before anything relies on what a source lists, and before each head that is signed. Brings the source's
   * newest head into force here; what is lost of it is fetched from a host that has it. A head signed above one that
   * is not in force would be in force nowhere, and each attempt would put one more behind it.
   * @throws ClusterError HEAD_DAMAGED, HISTORY_LOST, HISTORY_AWAY, HEAD_BEHIND, and whatever else keeps it out of force; then
   * nothing was signed
   */
  async bringIntoForce(source: SourceId): Promise<void> {
    const { history, catalog, objects } = this.#options;
    const damage = history.damage(source);
    if (damage !== undefined) {
      // A host that is switched on meanwhile is asked too, before anything is signed.
      this.#askedEverybody = undefined;
      throw damage;
    }
    await this.#adoptOnDisk(source);
    const own = history.head(source);
    this.#mustHaveOwed(source, own?.head.seq ?? 0);
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

  /**
   * What this host signs takes the place of all that the machine before it has listed, so that list must be here: the
   * folder may be empty after a machine was reinstalled, and a head that begins anew would unlist all.
   */
  #mustHaveOwed(source: SourceId, seq: number): void {
    const owed = this.#options.owedSeq?.(source) ?? 0;
    if (seq >= owed || owed <= this.#options.forgotten.seqOf(source)) return;
    // A host that is switched on meanwhile is asked too.
    this.#askedEverybody = undefined;
    throw historyAway(source, owed);
  }

  /** The list that the next head goes on from, oldest first. */
  listed(source: SourceId): readonly ListedSnapshot[] {
    const { snapshots = [] } = this.#options.history.head(source)?.head ?? {};
    return snapshots.filter(snapshot => !this.#isForgotten(source, snapshot));
  }

  /**
   * Snapshots whose parcels are wanted: those that the head in force does not list (or no longer lists), then those
   * that it lists; each oldest first.
   */
  wanted(source: SourceId): readonly { readonly id: ObjectId; readonly timeMs: number }[] {
    const { catalog } = this.#options;
    return [...catalog.heldSnapshots(source), ...(catalog.get(source)?.head.snapshots ?? [])];
  }

  /** No more snapshots can be listed unless some are unlisted. */
  isFull(source: SourceId): boolean {
    return this.listed(source).length >= HEAD_SNAPSHOTS_MAX;
  }

  /** How many more can be listed. Those in their hold count too: their holders follow no head beyond that limit. */
  room(source: SourceId): number {
    const { catalog, history } = this.#options;
    return catalog.roomBeside(source, history.head(source)?.head.snapshots.map(({ id }) => id) ?? []);
  }

  /** Takes a head of this host that a peer, or a store of this host, remembers. */
  async heard(source: SourceId, sealed: Uint8Array, from: PeerName | ObjectReader): Promise<void> {
    const { history, catalog } = this.#options;
    // The catalog keeps it until this host's own file is understood; it is then adopted from there.
    if (history.damage(source) !== undefined) return catalog.offer(sealed, from);
    await this.#adopt(source, sealed);
    // Also when it was adopted before but its snapshots and pages could not be read then.
    const own = history.head(source);
    if (own !== undefined && catalog.get(source)?.hash !== own.hash) await catalog.offer(own.sealed, from);
  }

  /**
   * Signs the next head, with the list that `change` makes, and puts it in force.
   * @throws ClusterError HOLDS_FULL; then none is signed
   */
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
        // While the brakes cannot say since when, the last known time stays.
        unacceptedSinceMs:
          brakes.sinceMs(source) ?? (brakes.on(source) === undefined ? undefined : newest?.unacceptedSinceMs),
      };
    });
    await catalog.offer(sealed, undefined);
    this.#endFork(source);
  }

  #endFork(source: SourceId): void {
    const { clock, alarms } = this.#options;
    const forkedMs = this.#forkedMs.get(source);
    if (forkedMs === undefined || clock.nowMs() < forkedMs + FORK_TOLD_MS) return;
    this.#forkedMs.delete(source);
    alarms.clear('HEAD_FORKED', source);
  }

  /** Otherwise the head would be signed but in force nowhere, not even here, and each attempt would add one more. */
  #mustFit(source: SourceId, snapshots: readonly Pick<SnapshotToList, 'id'>[]): void {
    const ids = snapshots.map(({ id }) => id);
    if (this.#options.catalog.roomBeside(source, ids) >= 0) return;
    const why = `source ${splitSourceId(source).source} has too many snapshots that are listed or in their hold (at most ${SEEN_MAX}); nothing was changed`;
    throw new ClusterError('HOLDS_FULL', why, { blame: 'operator' });
  }

  async #adopt(source: SourceId, sealed: Uint8Array): Promise<void> {
    const { history, alarms, clock, log } = this.#options;
    let again: readonly ListedSnapshot[] = [];
    const adoption = await history.adopt(source, sealed, (head, unlisted) => {
      again = this.#toListAgain(head, unlisted);
      return again;
    });
    if (again.length > 0)
      log.warn(
        { code: 'SNAPSHOTS_LISTED_AGAIN', source, snapshots: again.map(({ id }) => id) },
        'another host or a store remembers a later head of this host that does not list these snapshots: they are listed again',
      );
    if (adoption.kind === 'forked') {
      this.#forkedMs.set(source, clock.nowMs());
      alarms.raise(
        'HEAD_FORKED',
        source,
        `source ${splitSourceId(source).source} had two heads with one number: two machines have used this host's key. All snapshots of both are kept; keep only one of the machines`,
      );
    }
  }

  /** What this host listed and a later head of it does not, except what an admin forgot; none without room for it. */
  #toListAgain({ source, snapshots }: Head, unlisted: readonly ListedSnapshot[]): readonly ListedSnapshot[] {
    const again = unlisted.filter(snapshot => !this.#isForgotten(source, snapshot));
    const ids = [...snapshots, ...again].map(({ id }) => id);
    if (again.length === 0 || (ids.length <= HEAD_SNAPSHOTS_MAX && this.#options.catalog.roomBeside(source, ids) >= 0))
      return again;
    this.#options.log.error(
      { code: 'SNAPSHOTS_UNLISTED', source, snapshots: again.map(({ id }) => id) },
      'a later head of this host does not list these snapshots, and leaves no room to list them again: they are kept until their hold ends',
    );
    return [];
  }

  /** This host's own history may be gone, or older than the head in the catalog: no number is given twice. */
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
        'the head of a source of this host in the catalog is damaged; the history of its own heads goes on without it',
      );
    }
  }

  /** True for a snapshot from before an admin forgot the source: its objects are let go, here too. */
  #isForgotten(source: SourceId, { firstSeq }: ListedSnapshot): boolean {
    return firstSeq <= this.#options.forgotten.seqOf(source);
  }
}

const isMissing = (error: unknown): error is ClusterError =>
  error instanceof ClusterError && error.code === 'OBJECT_MISSING';

const historyAway = (source: SourceId, seq: number): ClusterError =>
  new ClusterError(
    'HISTORY_AWAY',
    `head ${seq} of ${splitSourceId(source).source}, the list of the snapshots from before this machine took the place of another, is not here yet. No snapshot is taken or unlisted until it is, and all are kept: switch on the other hosts, and mount the stores that are away. If no host has it any longer, give the source another name in the policy: it then starts afresh`,
    { blame: 'passing' },
  );

const historyLost = (source: SourceId, cause: ClusterError): ClusterError =>
  new ClusterError(
    'HISTORY_LOST',
    `a part of the catalog is lost here and on every host that is up, so that nobody can say what the listed snapshots of ${splitSourceId(source).source} contain (${cause.message}). No snapshot is taken or unlisted until it is found, and all are kept: switch on the hosts that are off, and mount the stores that are away. If no host has it any longer, give the source another name in the policy: it then starts afresh`,
    { blame: 'passing', cause },
  );
