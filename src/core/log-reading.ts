/**
 * Log reading: what the logs of all stores, our own included, say is held, and what follows from their news.
 *
 * Only the writer itself can settle what it holds: operations that do not follow from what was read are asked for, and
 * a log that contradicts what was read counts for nothing until it is read again from the start.
 *
 * Driven by the machine, and by listening.ts for logs that come by gossip.
 */
import type { Auditing } from './auditing.js';
import type { CheckpointPiece } from './checkpoint.js';
import type { Claims } from './claims.js';
import { mayHoldCopies } from './cluster-config.js';
import { unreachable } from './fault.js';
import type { Applied, Holdings } from './holdings.js';
import type { LogSegment } from './holdings-log.js';
import type { HostView } from './host-view.js';
import type { Hosts } from './hosts.js';
import type { HostId, StoreId } from './ids.js';
import type { Marks } from './marks.js';
import type { Row, StoreSlot } from './parcel-table.js';
import type { Placement } from './placement.js';
import type { Pursuing } from './pursuing.js';

/** What reading logs must know of its machine. */
export interface LogReadingContext {
  readonly self: HostId;
  readonly holdings: Holdings;
  readonly hosts: Hosts;
  readonly placement: Pick<Placement, 'storeCounts'>;
  readonly claims: Claims;
  readonly auditing: Pick<Auditing, 'told' | 'retold' | 'restarted'>;
  readonly nowMs: () => number;
  readonly askState: (writer: HostView) => void;
  readonly pursuing: Pick<Pursuing, 'noteTaken'>;
  /** A copy of our own has come or gone. */
  readonly ownChanged: (row: Row) => void;
  readonly marks: Pick<Marks, 'mark'>;
}

export class LogReading {
  readonly #of: LogReadingContext;

  constructor(context: LogReadingContext) {
    this.#of = context;
  }

  /**
   * False for members that may hold no copies: their logs would be kept for nothing. The driver does not read
   * strangers' logs.
   */
  #readsLogsOf(host: HostId): boolean {
    const writer = this.#of.hosts.get(host);
    return writer === undefined || mayHoldCopies(writer.member);
  }

  /** @param relayed another host passed it on */
  apply(segment: LogSegment, relayed = false): void {
    if (!this.#readsLogsOf(segment.host)) return;
    this.#applied(this.#of.holdings.apply(segment), {
      host: segment.host,
      store: segment.end.store,
      relayed,
      learn: (slot, rows) => this.#of.auditing.told(slot, rows),
    });
  }

  takeCheckpoint(piece: CheckpointPiece, relayed: boolean): void {
    const { host, at } = piece.checkpoint;
    if (!this.#readsLogsOf(host)) return;
    this.#applied(this.#of.holdings.take(piece), {
      host,
      store: at.store,
      relayed,
      learn: slot => this.#of.auditing.retold(slot),
    });
  }

  #applied(
    applied: Applied,
    {
      host,
      store,
      relayed,
      learn,
    }: {
      readonly host: HostId;
      readonly store: StoreId;
      readonly relayed: boolean;
      readonly learn: (slot: StoreSlot, rows: readonly Row[]) => void;
    },
  ): void {
    switch (applied.outcome) {
      case 'known':
      case 'collected':
      case 'stale':
      case 'too-many':
        return;
      case 'ask': {
        if (applied.because === 'mismatch' && !relayed) {
          this.readAnew(host, store);
          return;
        }
        const writer = this.#of.hosts.get(host);
        if (writer !== undefined) this.#of.askState(writer);
        return;
      }
      case 'extended': {
        // A copy in a store that no heartbeat has named yet does not count: until one does, or the claim ends, the
        // claim stands for the copy.
        const slot = this.#of.holdings.slotOf(host, store);
        const counts = slot !== undefined && this.#of.placement.storeCounts(slot);
        if (slot !== undefined) learn(slot, applied.rows);
        for (const row of applied.rows) {
          if (counts) {
            this.#of.claims.withdraw(row, host);
            this.#of.pursuing.noteTaken(host, row);
          }
          if (host === this.#of.self) this.#of.ownChanged(row);
          this.#of.marks.mark(row);
        }
        return;
      }
      default:
        unreachable(applied);
    }
  }

  /** Discards a log that is not what we took it for, and reads it again. */
  readAnew(host: HostId, store: StoreId): void {
    for (const row of this.#of.holdings.restart(host, store)) this.#of.marks.mark(row);
    const restarted = this.#of.holdings.slotOf(host, store);
    if (restarted !== undefined) this.#of.auditing.restarted(restarted);
    const writer = this.#of.hosts.get(host);
    if (writer === undefined) return;
    // What it held looks lost until then.
    this.#of.hosts.awaitLogs(writer, this.#of.nowMs());
    this.#of.askState(writer);
  }
}
