/**
 * Drop: should this host try to let its copy of a parcel go?
 *
 * Only when others have enough without it, and have had for a while: a host that was away a minute ago would otherwise cost
 * a copy here and a transfer back. Of several holders the one that ranks last for the parcel goes first, and each holder
 * before it waits one more turn, so that they do not ask each other for grants that none can give.
 *
 * To try is all that is decided here. Whether the copy may go is shown by grants (dropping.ts), never by this view, which
 * may be stale.
 *
 * Pure: same view, same verdict. Driven by dropping.ts whenever a parcel's row changes.
 */
export interface DropView {
  readonly nowMs: number;
  /** In a store of ours. */
  readonly held: boolean;
  /** This host is a trusted member, active or draining. */
  readonly mayDrop: boolean;
  /** Its store, or the host, is to be emptied. */
  readonly draining: boolean;
  /** The store that it would go from is to be emptied. */
  readonly emptied: boolean;
  /** N; undefined for what no listed or held snapshot of a configured source references. */
  readonly copiesWanted: number | undefined;
  /** Domains with a live holder that could give a grant; this host's own only where it is held twice. */
  readonly grantable: number;
  /** Holders before this one in the order of dropping: 0 when it goes first. */
  readonly place: number;
  /** How many copies are too many. */
  readonly surplus: number;
  /** Since when others, or another store of ours, have been enough. */
  readonly surplusSinceMs: number;
  /** How long that must have lasted: `surplus`, or `return` where a host that came back makes the surplus. */
  readonly patienceMs: number;
  /** One holder's turn. */
  readonly turnMs: number;
  /** Another store of ours has it, too, and keeps it, and this host counts by that. */
  readonly heldTwice: boolean;
  /**
   * Nobody else who could grant is always on: without this copy all would be on roaming hosts. One of theirs goes first, however
   * long that takes.
   */
  readonly lastSteady: boolean;
  /** Another host has taken it over from this one. */
  readonly relocated: boolean;
  /** The store is over its limit, or what has too few copies does not fit here. */
  readonly pressed: boolean;
  /** Not before this: an attempt was in vain, or the copy was taken over from a host that is to drop its own first. */
  readonly notBeforeMs: number;
}

export type DropVerdict =
  | { readonly act: 'drop'; readonly because: 'surplus' | 'pressed' | 'draining' | 'relocated' }
  | { readonly act: 'wait'; readonly untilMs: number; readonly because: 'young' | 'turn' | 'back-off' }
  | { readonly act: 'keep'; readonly because: 'not-held' | 'may-not-drop' | 'not-placed' | 'needed' | 'last-steady' };

export function decideDrop(view: DropView): DropVerdict {
  if (!view.held) return { act: 'keep', because: 'not-held' };
  if (!view.mayDrop) return { act: 'keep', because: 'may-not-drop' };
  // What nobody wants expires instead (expiry.ts).
  if (view.copiesWanted === undefined) return { act: 'keep', because: 'not-placed' };
  // A second copy of a host counts for nothing, and is better than none as long as nothing speaks against it.
  const isInTheWay = view.heldTwice && (view.pressed || view.emptied) && view.grantable > 0;
  if (view.grantable < view.copiesWanted && !isInTheWay) return { act: 'keep', because: 'needed' };

  const because = view.draining ? 'draining' : view.relocated ? 'relocated' : view.pressed ? 'pressed' : 'surplus';
  if (because === 'surplus' && view.lastSteady) return { act: 'keep', because: 'last-steady' };
  const ripeMs = because === 'surplus' ? view.surplusSinceMs + view.patienceMs : view.surplusSinceMs;
  if (view.nowMs < ripeMs) return { act: 'wait', untilMs: ripeMs, because: 'young' };
  // A draining host's copy is in nobody's count, nor is a second one of a host, and a relocated one is this host's to drop:
  // nobody else need go first.
  const isOwn = view.draining || view.relocated || view.heldTwice;
  const turnMs = isOwn ? 0 : Math.max(0, view.place - (view.surplus - 1)) * view.turnMs;
  if (view.nowMs < ripeMs + turnMs) return { act: 'wait', untilMs: ripeMs + turnMs, because: 'turn' };
  if (view.nowMs < view.notBeforeMs) return { act: 'wait', untilMs: view.notBeforeMs, because: 'back-off' };
  return { act: 'drop', because };
}
