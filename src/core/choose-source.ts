/**
 * Choose source: whom to fetch a parcel from? Of its origin and its holders that are connected, the one that can be hoped to
 * give most beside what we fetch from it already; among equals rather a holder, as only the origin can give what nobody else
 * has.
 *
 * Pure: same view, same choice. Driven by the machine, when a parcel may be claimed and each time a fetch may start.
 */
export interface SourceView<Host extends string> {
  /** More than one where several sources list it, of which one alone need have it. */
  readonly origins: readonly Host[];
  readonly holders: readonly Host[];
  readonly isConnected: (host: Host) => boolean;
  /** Bytes a second; 0 when nothing is known of it, which is taken for as much as anybody gives. */
  readonly hopedOf: (host: Host) => number;
  /** Fetches of ours that run from it now. */
  readonly load: ReadonlyMap<Host, number>;
  /** Those that were busy, gone or wrong: not to be asked before. */
  readonly avoidUntilMs: ReadonlyMap<Host, number>;
  /** Any number that differs from parcel to parcel: of equal sources, each is asked in turn. */
  readonly turn: number;
  readonly nowMs: number;
}

export type SourceChoice<Host> =
  | { readonly from: Host }
  /** Nobody now. `nextMs`: when somebody may be asked again; Infinity when only a new connection helps. */
  | { readonly from: undefined; readonly nextMs: number };

export function chooseSource<Host extends string>(view: SourceView<Host>): SourceChoice<Host> {
  const { origins, holders, nowMs } = view;
  let from: Host | undefined;
  let most = Number.NEGATIVE_INFINITY;
  let leastLoad = Number.POSITIVE_INFINITY;
  let nextMs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < holders.length + origins.length; i += 1) {
    const source = (
      i < holders.length ? holders[(i + view.turn) % holders.length] : origins[i - holders.length]
    ) as Host;
    if (!view.isConnected(source)) continue;
    const avoidMs = view.avoidUntilMs.get(source) ?? Number.NEGATIVE_INFINITY;
    if (avoidMs > nowMs) {
      nextMs = Math.min(nextMs, avoidMs);
      continue;
    }
    const load = view.load.get(source) ?? 0;
    const hoped = (view.hopedOf(source) || Number.POSITIVE_INFINITY) / (load + 1);
    if (hoped < most || (hoped === most && load >= leastLoad)) continue;
    from = source;
    most = hoped;
    leastLoad = load;
  }
  return from === undefined ? { from, nextMs } : { from };
}
