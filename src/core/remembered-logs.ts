/**
 * Remembered logs: does another host remember more of a store of ours than the store's log has?
 *
 * A host and its stores that were restored from the same old image agree with each other; only other hosts can tell.
 * They remember a position that we signed ourselves: later than our log's end, in a greater epoch, or with another
 * digest at an operation that we have. Then they count copies that we may not have, and nothing that we add fits what
 * they know.
 *
 * Pure apart from what it remembers. Driven by the daemon's open-own-store.ts and own-stores.ts, and by the simulator.
 * It is asked at each mounting too, because most is heard just after the start, when the disks are still being
 * examined. Signatures are checked before.
 */
import { compareEpochs, type LogPosition } from './holdings-log.js';
import type { StoreId } from './ids.js';

/** Positions per store that wait to be judged: one per host. Others are heard again at the next connection. */
const HEARD_PER_STORE_MAX = 64;

export interface OwnLog {
  /** The position of its last operation. */
  readonly end: LogPosition;
  /** The position of its checkpoint; 0 without one. */
  readonly baseSeq: number;
}

export interface LogDoubt {
  readonly because: 'later-epoch' | 'beyond-end' | 'other-operation';
  /** The position that contradicts the log; of several, the last that was judged. */
  readonly theirs: LogPosition;
  /** The greatest epoch counter of all contradicting positions. */
  readonly counterSeen: number;
}

export class RememberedLogs {
  /** By store and digest; the digest commits to epoch and number too. */
  readonly #heard = new Map<StoreId, Map<string, LogPosition>>();

  /** @returns false when the position is waiting already, or there is no room for it */
  hear(position: LogPosition): boolean {
    const heard = this.#heard.get(position.store) ?? new Map<string, LogPosition>();
    if (heard.has(position.digest) || heard.size >= HEARD_PER_STORE_MAX) return false;
    this.#heard.set(position.store, heard.set(position.digest, position));
    return true;
  }

  /** Numbers of the operations of our log whose digests must be read for `doubt`. */
  compared(own: OwnLog): readonly number[] {
    const heard = [...(this.#heard.get(own.end.store)?.values() ?? [])];
    return heard.flatMap(theirs => (judge(own, theirs) === 'compare' ? [theirs.seq] : []));
  }

  /**
   * Compares everything heard of the store with its log. A position that agrees is forgotten; one that does not is
   * found each time, until it agrees.
   *
   * @param digestAt our digest at a number that `compared` named; undefined for one that was heard since, which waits
   */
  doubt(own: OwnLog, digestAt: (seq: number) => string | undefined): LogDoubt | undefined {
    let found: LogDoubt | undefined;
    const heard = this.#heard.get(own.end.store);
    for (const [digest, theirs] of [...(heard ?? [])]) {
      let verdict = judge(own, theirs);
      if (verdict === 'compare') {
        const ours = digestAt(theirs.seq);
        if (ours === undefined) continue;
        verdict = ours === digest ? 'agrees' : 'other-operation';
      }
      if (verdict === 'agrees') heard?.delete(digest);
      else found = { because: verdict, theirs, counterSeen: Math.max(theirs.epoch.counter, found?.counterSeen ?? 0) };
    }
    return found;
  }
}

function judge({ end, baseSeq }: OwnLog, theirs: LogPosition): LogDoubt['because'] | 'agrees' | 'compare' {
  const order = compareEpochs(theirs.epoch, end.epoch);
  if (order !== 0) return order > 0 ? 'later-epoch' : 'agrees';
  if (theirs.seq > end.seq) return 'beyond-end';
  // Nobody can check any more what a checkpoint stands for; and a host that has less reads the checkpoint.
  return theirs.seq < baseSeq ? 'agrees' : 'compare';
}
