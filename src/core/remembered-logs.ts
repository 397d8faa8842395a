/**
 * Remembered logs: does another host remember of a store of ours what its log does not have?
 *
 * A host and its stores that were put back from one old image agree with each other, and only others can tell. What they
 * remember is a position that we signed ourselves: later than our log's end, in a greater epoch, or with another digest
 * where we have that operation. Then they count copies that we may not have, and nothing that we add fits what they know.
 *
 * Pure but for what it remembers. Driven by the daemon's open-own-store.ts and own-stores.ts, and by the simulator: at each mounting
 * too, for most is heard just after the start, when the disks are still being looked at. Signatures are checked before.
 */
import { compareEpochs, type LogPosition } from './holdings-log.js';
import type { StoreId } from './ids.js';

/** Positions of one store that wait to be judged: one a host. Others are heard again at the next connection. */
const HEARD_PER_STORE_MAX = 64;

export interface OwnLog {
  /** Its last operation. */
  readonly end: LogPosition;
  /** Where its checkpoint stands; 0 without one. */
  readonly baseSeq: number;
}

export interface LogDoubt {
  readonly because: 'later-epoch' | 'beyond-end' | 'other-operation';
  /** What speaks against the log, and was judged last. */
  readonly theirs: LogPosition;
  /** The greatest epoch counter of all that does. */
  readonly counterSeen: number;
}

export class RememberedLogs {
  /** By store and digest, which commits to epoch and number too. */
  readonly #heard = new Map<StoreId, Map<string, LogPosition>>();

  /** @returns false when it waits to be judged already, or there is no room for it. */
  hear(position: LogPosition): boolean {
    const heard = this.#heard.get(position.store) ?? new Map<string, LogPosition>();
    if (heard.has(position.digest) || heard.size >= HEARD_PER_STORE_MAX) return false;
    this.#heard.set(position.store, heard.set(position.digest, position));
    return true;
  }

  /** Operations of our log whose digests decide, and are to be read for it. */
  compared(own: OwnLog): readonly number[] {
    const heard = [...(this.#heard.get(own.end.store)?.values() ?? [])];
    return heard.flatMap(theirs => (judge(own, theirs) === 'compare' ? [theirs.seq] : []));
  }

  /**
   * Holds all that was heard of the store against its log. What agrees is forgotten; what does not speaks up until it does.
   *
   * @param digestAt of those that `compared` names; undefined for what was heard since, which waits
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
  // Of what a checkpoint stands for nothing can be told any more; and whoever has less reads that.
  return theirs.seq < baseSeq ? 'agrees' : 'compare';
}
