/**
 * Log doubt: compares a store's log on its disk with what other hosts remember of it (core/remembered-logs.ts), and
 * words the result.
 */
import { unreachable } from '../core/fault.js';
import type { LogDoubt, RememberedLogs } from '../core/remembered-logs.js';
import type { Store } from '../store/store.js';

type JudgedStore = Pick<Store, 'base' | 'position' | 'positionAt'>;

export async function doubtOf(store: JudgedStore, remembered: RememberedLogs): Promise<LogDoubt | undefined> {
  const own = { end: store.position(), baseSeq: store.base?.at.seq ?? 0 };
  const digests = new Map<number, string>();
  for (const seq of remembered.compared(own)) digests.set(seq, (await store.positionAt(seq)).digest);
  return remembered.doubt(own, seq => digests.get(seq));
}

export function wordsOf({ because, theirs }: LogDoubt, store: JudgedStore): string {
  switch (because) {
    case 'later-epoch':
      return 'other hosts remember a later log of it, which this host signed';
    case 'beyond-end':
      return `other hosts remember operation ${theirs.seq} of its log, which this host signed, but the log ends at ${store.position().seq}`;
    case 'other-operation':
      return `operation ${theirs.seq} of its log is not the one that other hosts remember and that this host signed`;
    default:
      return unreachable(because);
  }
}
