/**
 * Drop: should this host try to let its copy of a parcel go?
 *
 * Only when others have enough copies without it, and have had them for a while: otherwise a host that was away a
 * minute ago would cost a copy here and a transfer back. Of several holders, the one that ranks last for the parcel
 * drops first, and each better-ranked holder waits one more turn, so that holders do not ask each other for grants that
 * none can give.
 *
 * This decides only whether to try. Whether the copy may go is shown by grants (dropping.ts), never by this view, which
 * may be stale.
 *
 * Pure: same view, same verdict. Driven by dropping.ts whenever a parcel's row changes.
 */
export interface DropView {
  readonly nowMs: number;
  /** One of our stores has it. */
  readonly held: boolean;
  /** This host is a trusted member, active or draining. */
  readonly mayDrop: boolean;
  /** Its store, or the whole host, is to be emptied. */
  readonly draining: boolean;
  /** The store that it would be dropped from is to be emptied. */
  readonly emptied: boolean;
  /** N; undefined when no listed or held snapshot of a configured source references the parcel. */
  readonly copiesWanted: number | undefined;
  /** Domains with a live holder that could give a grant; this host's own domain only if it is held twice. */
  readonly grantable: number;
  /** Holders before this one in the order of dropping: 0 when it goes first. */
  readonly place: number;
  /** The number of surplus copies. */
  readonly surplus: number;
  /** Since when the others, or another store of ours, have had enough. */
  readonly surplusSinceMs: number;
  /** How long the surplus must have lasted: `surplus`, or `return` when it comes from a host that came back. */
  readonly patienceMs: number;
  /** One holder's turn. */
  readonly turnMs: number;
  /** Another store of ours has it too and keeps it, and this host counts through that store. */
  readonly heldTwice: boolean;
  /**
   * Every other possible granter is roaming: without this copy all copies would be on roaming hosts. One of theirs must
   * go first, however long that takes.
   */
  readonly lastSteady: boolean;
  /** Another host has taken it over from this one. */
  readonly relocated: boolean;
  /** The store is over its limit, or a parcel with too few copies does not fit here. */
  readonly pressed: boolean;
  /** Not before this: an attempt failed, or the copy was taken over from a host that must drop its own copy first. */
  readonly notBeforeMs: number;
}

export type DropVerdict =
  | { readonly act: 'drop'; readonly because: 'surplus' | 'pressed' | 'draining' | 'relocated' }
  | { readonly act: 'wait'; readonly untilMs: number; readonly because: 'young' | 'turn' | 'back-off' }
  | { readonly act: 'keep'; readonly because: 'not-held' | 'may-not-drop' | 'not-placed' | 'needed' | 'last-steady' };

export function decideDrop(view: DropView): DropVerdict {
  if (!view.held) return { act: 'keep', because: 'not-held' };
  if (!view.mayDrop) return { act: 'keep', because: 'may-not-drop' };
  // An unwanted parcel expires instead (expiry.ts).
  if (view.copiesWanted === undefined) return { act: 'keep', because: 'not-placed' };
  // A host's second copy does not count, but is better than none unless something speaks against it.
  const isInTheWay = view.heldTwice && (view.pressed || view.emptied) && view.grantable > 0;
  if (view.grantable < view.copiesWanted && !isInTheWay) return { act: 'keep', because: 'needed' };

  const because = view.draining ? 'draining' : view.relocated ? 'relocated' : view.pressed ? 'pressed' : 'surplus';
  if (because === 'surplus' && view.lastSteady) return { act: 'keep', because: 'last-steady' };
  const ripeMs = because === 'surplus' ? view.surplusSinceMs + view.patienceMs : view.surplusSinceMs;
  if (view.nowMs < ripeMs) return { act: 'wait', untilMs: ripeMs, because: 'young' };
  // The copy of a draining host does not count, nor does a host's second copy, and a relocated copy is this host's to
  // drop: no other holder has to go first.
  const isOwn = view.draining || view.relocated || view.heldTwice;
  const turnMs = isOwn ? 0 : Math.max(0, view.place - (view.surplus - 1)) * view.turnMs;
  if (view.nowMs < ripeMs + turnMs) return { act: 'wait', untilMs: ripeMs + turnMs, because: 'turn' };
  if (view.nowMs < view.notBeforeMs) return { act: 'wait', untilMs: view.notBeforeMs, because: 'back-off' };
  return { act: 'drop', because };
}
