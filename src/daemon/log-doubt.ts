/**
 * Log doubt: does another host remember of a store of ours what its log does not have?
 *
 * A host and its stores that were put back from one old image agree with each other, and only others can tell. What they
 * remember is a position that we signed ourselves: later than our log's end, in a greater epoch, or with another digest
 * where we have that operation. Then they count copies that we may not have, and nothing that we add fits what they know.
 *
 * Signatures are checked before (state-exchange.ts). Driven by own-stores.ts, which judges at each mounting too: most is
 * heard just after the start, when the disks are still being looked at.
 */
import { compareEpochs, type LogPosition } from '../core/holdings-log.js';
import type { StoreId } from '../core/ids.js';
import type { Store } from '../store/store.js';

/** Positions of one store that wait to be judged: one a host. Others are heard again at the next connection. */
const HEARD_PER_STORE_MAX = 64;

export interface LogDoubt {
  readonly because: string;
  /** The greatest epoch counter of all that speaks against the log. */
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

  /** Holds all that was heard of the store against its log. What agrees is forgotten; what does not speaks up until it does. */
  async doubt(store: Pick<Store, 'id' | 'base' | 'position' | 'positionAt'>): Promise<LogDoubt | undefined> {
    let found: LogDoubt | undefined;
    const heard = this.#heard.get(store.id);
    for (const [digest, theirs] of [...(heard ?? [])]) {
      const because = await contradiction(store, theirs);
      if (because === undefined) heard?.delete(digest);
      else found = { because, counterSeen: Math.max(theirs.epoch.counter, found?.counterSeen ?? 0) };
    }
    return found;
  }
}

async function contradiction(
  store: Pick<Store, 'base' | 'position' | 'positionAt'>,
  theirs: LogPosition,
): Promise<string | undefined> {
  const ours = store.position();
  const order = compareEpochs(theirs.epoch, ours.epoch);
  if (order < 0) return undefined;
  if (order > 0) return 'other hosts remember a later log of it, which this host signed';
  if (theirs.seq > ours.seq)
    return `other hosts remember operation ${theirs.seq} of its log, which this host signed, and it ends at ${ours.seq}`;
  // Of what a checkpoint stands for nothing can be told any more; and whoever has less reads that.
  if (theirs.seq < (store.base?.at.seq ?? 0)) return undefined;
  if ((await store.positionAt(theirs.seq)).digest === theirs.digest) return undefined;
  return `other hosts remember another operation ${theirs.seq} of its log, which this host signed, than it has`;
}
