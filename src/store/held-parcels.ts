/**
 * Held parcels: which parcels of a store are PRESENT, and the only way in which that changes.
 *
 * PRESENT: a parcel whose `add` is in the log and all of whose files are there. A change is an operation and goes
 * through a round, which all concurrent callers share: the log, flushed → the index → the tables here → the callers are
 * told. So no caller is told what a power cut could undo, and the index never has more than the log.
 *
 * If a round reaches the log but not the index, whose disk is another one, it is the last one of this object: the store
 * is behind. It enters nothing more, and gives what is PRESENT both with that round and without it, until it is opened
 * anew. `catchUp` tells when it can be.
 *
 * Heads are operations of the same log, so they are here too. In memory: 64 hex digits a parcel, about 20 MB for 10
 * million files.
 *
 * Driven by commit.ts, give-up.ts and corrupt-parcels.ts, which know what has to be durable before an operation is
 * entered and what may be moved after it; and by store.ts.
 */
import { contentsOf, isCheckpointDue } from '../core/checkpoint.js';
import { assert, ClusterError, messageOf } from '../core/fault.js';
import type { LogOp, LogPosition } from '../core/holdings-log.js';
import type { ParcelId, SourceId } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import { Group } from '../platform/group.js';
import type { BlobChange, BlobIndex } from './blob-index.js';
import type { LogFile } from './log-file.js';
import type { Recovered } from './recovery.js';
import type { StoreRoot } from './store-root.js';
import { Turns } from './turns.js';

export interface HeldParcelsParts {
  readonly found: Pick<Recovered, 'log' | 'present' | 'headSeqs'>;
  readonly index: Pick<BlobIndex, 'apply' | 'flush' | 'note'>;
  /** Tells whether the store's disk, too, is still where everybody looks for it (store-root.ts). */
  readonly root: Pick<StoreRoot, 'mustBeThere'>;
  /** Aborted, when the store ends, with the error for later callers. */
  readonly ending: AbortSignal;
  /** Called after each round, with the blobs that its operations list. */
  readonly onRound: (refs: readonly BlobRef[]) => void;
}

/** A parcel that is being read. */
export interface ParcelWatch {
  /** An operation on it has become durable since the watch began. */
  readonly changed: boolean;
  end(): void;
}

interface PendingOp {
  readonly op: LogOp;
  /** The blobs that the parcel lists, or no longer lists. */
  readonly refs: readonly BlobRef[];
  position?: LogPosition;
}

/** What the log has and the index has not. */
interface OwedRound {
  readonly changes: readonly BlobChange[];
  readonly position: LogPosition;
}

export class HeldParcels {
  readonly #log: LogFile;
  readonly #index: HeldParcelsParts['index'];
  readonly #present: Set<ParcelId>;
  readonly #headSeqs: Map<SourceId, number>;
  readonly #root: HeldParcelsParts['root'];
  readonly #ending: AbortSignal;
  readonly #onRound: HeldParcelsParts['onRound'];
  readonly #watched = new Set<{ readonly parcel: ParcelId; changed: boolean }>();
  /** Changes to one parcel run one after the other. */
  readonly #turns = new Turns<ParcelId>();
  readonly #ops = new Group<PendingOp>(ops => this.#rounds.take('log', () => this.#round(ops)));
  /** Rounds, and work that may run only between two of them. */
  readonly #rounds = new Turns<'log'>();
  readonly #checkpointing = new Turns<'checkpoint'>();
  #position: LogPosition;
  #owed: OwedRound | undefined;
  #behind: ClusterError | undefined;

  constructor({ found, index, root, ending, onRound }: HeldParcelsParts) {
    this.#log = found.log;
    this.#position = found.log.position;
    this.#present = found.present;
    this.#headSeqs = found.headSeqs;
    this.#index = index;
    this.#root = root;
    this.#ending = ending;
    this.#onRound = onRound;
  }

  get count(): number {
    return this.#present.size;
  }

  present(): IterableIterator<ParcelId> {
    return this.#present.values();
  }

  isPresent(parcel: ParcelId): boolean {
    return this.#present.has(parcel);
  }

  /** The parcel is PRESENT or about to be: its record is needed. */
  isKnown(parcel: ParcelId): boolean {
    return this.#present.has(parcel) || this.#turns.busy(parcel);
  }

  /** The highest `head` operation for this source; 0 when there is none in this epoch. */
  headSeq(source: SourceId): number {
    return this.#headSeqs.get(source) ?? 0;
  }

  /** The log's position after the last operation that the index, too, has. */
  get position(): LogPosition {
    return this.#position;
  }

  /** Why the log takes nothing any longer; `undefined` while it does. */
  get failure(): unknown {
    return this.#log.failure;
  }

  /** A round has reached the log and not the index. */
  get isBehind(): boolean {
    return this.#behind !== undefined;
  }

  /** @throws when the store has ended */
  mustBeOpen(): void {
    this.#ending.throwIfAborted();
  }

  /** @throws when the store has ended, and ClusterError STORE_BEHIND */
  mustWork(): void {
    this.mustBeOpen();
    if (this.#behind !== undefined) throw this.#behind;
  }

  /**
   * Puts into the index what only the log has, durably. The store stays behind all the same: who entered that round was
   * told that it failed. When this returns, the index takes the writes of an opening too.
   *
   * @throws what the disk of the index says; it may be called again
   */
  catchUp(): Promise<void> {
    return this.#rounds.take('log', async () => {
      const owed = this.#owed;
      // A refused write has not happened; if one ever had, its references must not be counted twice.
      if (owed !== undefined && this.#index.note().position?.digest !== owed.position.digest)
        await this.#index.apply(owed.changes, owed.position);
      this.#owed = undefined;
      await this.#index.flush();
    });
  }

  /** Takes a turn at the parcel, for work that changes it. */
  take<T>(parcel: ParcelId, work: () => Promise<T>): Promise<T> {
    return this.#turns.take(parcel, work);
  }

  watch(parcel: ParcelId): ParcelWatch {
    const watch = { parcel, changed: false, end: () => void this.#watched.delete(watch) };
    this.#watched.add(watch);
    return watch;
  }

  /**
   * Durable when this returns. `refs`: what its parcel lists. @throws ClusterError STORE_FULL, STORE_MISSING: then
   * nothing has changed. STORE_BEHIND: then it may be in the log
   */
  async enter(op: LogOp, refs: readonly BlobRef[]): Promise<LogPosition> {
    const pending: PendingOp = { op, refs };
    await this.#ops.join([pending]);
    assert(pending.position !== undefined, 'an operation that was appended has a position');
    return pending.position;
  }

  /** Log, index, tables, in this order and in the order of the log. */
  async #round(pending: readonly PendingOp[]): Promise<void> {
    if (this.#behind !== undefined) throw this.#behind;
    await this.#root.mustBeThere();
    const positions = await this.#log.append(pending.map(({ op }) => op));
    const { position } = this.#log;
    const changes = pending.flatMap(({ op, refs }) => {
      const by = op.op === 'add' ? 1 : -1;
      return refs.map(blob => ({ blob, by }) as const);
    });
    try {
      await this.#index.apply(changes, position);
    } catch (error) {
      throw this.#fallBehind(pending, { owed: { changes, position }, because: error });
    }
    for (const [n, entry] of pending.entries()) {
      this.#apply(entry.op);
      const after = positions[n];
      if (after !== undefined) entry.position = after;
    }
    this.#position = position;
    this.#onRound(pending.flatMap(({ refs }) => refs));
  }

  #fallBehind(
    pending: readonly PendingOp[],
    { owed, because }: { readonly owed: OwedRound; readonly because: unknown },
  ): ClusterError {
    this.#owed = owed;
    this.#behind = behind(because);
    // By the log these have left: no other host may drop its copy because this one is here. Those that were added do
    // not count until the store is opened anew.
    for (const { op } of pending) if (op.op === 'del' || op.op === 'corrupt') this.#apply(op);
    return this.#behind;
  }

  #apply(op: LogOp): void {
    if (op.op === 'head') {
      this.#headSeqs.set(op.source, Math.max(op.seq, this.headSeq(op.source)));
      return;
    }
    for (const watch of this.#watched) if (watch.parcel === op.parcel) watch.changed = true;
    if (op.op === 'add') this.#present.add(op.parcel);
    else this.#present.delete(op.parcel);
  }

  isCheckpointDue(everyOps: number): boolean {
    return isCheckpointDue({
      opsSince: this.#log.position.seq - this.#log.first.seq,
      baseOps: this.#log.base?.count ?? 0,
      held: this.#present.size + this.#headSeqs.size,
      everyOps,
    });
  }

  /** As `Store.makeCheckpoint`. @throws what `lastReading` throws, the end's error, and what the disk says */
  makeCheckpoint(lastReading: (at: LogPosition) => Promise<void>): Promise<void> {
    return this.#checkpointing.take('checkpoint', async () => {
      const contents = await this.#rounds.take('log', async () => {
        // The tables would not be what the log has at its end.
        this.mustWork();
        return {
          at: this.#log.position,
          contents: contentsOf(this.#present, this.#headSeqs),
          count: this.#present.size + this.#headSeqs.size,
        };
      });
      // The draft and the log are found by their paths, and another store's log must not be replaced.
      await this.#root.mustBeThere();
      const draft = await this.#log.draft(contents, this.#ending);
      try {
        // Otherwise a crash could leave an index from before the checkpoint, which would have to be rebuilt.
        await this.#index.flush();
        await lastReading(contents.at);
        await this.#rounds.take('log', async () => {
          await this.#root.mustBeThere();
          await this.#log.standOn(draft);
        });
      } catch (error) {
        if (this.#log.base !== draft.base) await draft.discard();
        throw error;
      }
    });
  }

  /** Resolves when those that have a turn at a parcel are done. */
  changed(): Promise<void> {
    return this.#turns.allDone();
  }

  /** Resolves when no operation is being entered any longer. */
  async settled(): Promise<void> {
    await this.#checkpointing.allDone();
    await this.#ops.join([]).catch(() => {
      // A failed round was reported to its callers.
    });
  }
}

const behind = (because: unknown): ClusterError =>
  new ClusterError(
    'STORE_BEHIND',
    `the index lacks what this store's log has last, so the store takes nothing until it is opened again, and goes on giving what it has: ${messageOf(because)}`,
    { blame: 'operator', cause: because },
  );
