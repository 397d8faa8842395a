/**
 * Diff: how two snapshots of a source differ, entry by entry.
 *
 * Both come in path order, so they are read once, side by side, and nothing is kept. Pure except for its inputs.
 */
import { type Entry, sameEntry } from './entry.js';
import { comparePaths } from './path-order.js';

export type Difference =
  | { readonly kind: 'added'; readonly after: Entry }
  | { readonly kind: 'removed'; readonly before: Entry }
  /**
   * `type`: a folder has become a file, say; `content`: other bytes, or another link target; `metadata`: only other
   * fields differ.
   */
  | { readonly kind: 'type' | 'content' | 'metadata'; readonly before: Entry; readonly after: Entry };

export async function* diffEntries(
  before: AsyncIterable<Entry>,
  after: AsyncIterable<Entry>,
): AsyncGenerator<Difference> {
  const [left, right] = [before[Symbol.asyncIterator](), after[Symbol.asyncIterator]()];
  try {
    let [old, now] = await Promise.all([left.next(), right.next()]);
    while (old.done !== true || now.done !== true) {
      const order = old.done === true ? 1 : now.done === true ? -1 : comparePaths(old.value.path, now.value.path);
      if (order < 0) yield { kind: 'removed', before: old.value };
      else if (order > 0) yield { kind: 'added', after: now.value };
      else {
        const kind = changeOf(old.value, now.value);
        if (kind !== undefined) yield { kind, before: old.value, after: now.value };
      }
      if (order <= 0) old = await left.next();
      if (order >= 0) now = await right.next();
    }
  } finally {
    await Promise.all([left.return?.(), right.return?.()]);
  }
}

function changeOf(before: Entry, after: Entry): 'type' | 'content' | 'metadata' | undefined {
  if (before.kind !== after.kind) return 'type';
  const isSameTarget =
    before.target === undefined ? after.target === undefined : after.target?.equals(before.target) === true;
  if (before.blob !== after.blob || !isSameTarget) return 'content';
  // How the entry came into the snapshot says nothing about the file itself.
  const asFound = { stale: false, mount: false, link: undefined };
  return sameEntry(before, after) || sameEntry({ ...before, ...asFound }, { ...after, ...asFound })
    ? undefined
    : 'metadata';
}
