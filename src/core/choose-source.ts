/**
 * Choose source: from which host should a parcel be fetched? Of the connected hosts among its origins and holders, the
 * one from which the highest rate can be expected beside what we already fetch from it; on a tie rather a holder,
 * because only the origin can give what nobody else has.
 *
 * Pure: same view, same choice. Driven by the machine, when a parcel may be claimed and each time a fetch may start.
 */
export interface SourceView<Host extends string> {
  /** More than one where several sources list the parcel; perhaps only one of them has it. */
  readonly origins: readonly Host[];
  readonly holders: readonly Host[];
  readonly isConnected: (host: Host) => boolean;
  /** Bytes a second; 0 when unknown, which is treated as the highest rate. */
  readonly hopedOf: (host: Host) => number;
  /** Our running fetches from it. */
  readonly load: ReadonlyMap<Host, number>;
  /** Hosts that were busy, gone or wrong, and until when they are not asked. */
  readonly avoidUntilMs: ReadonlyMap<Host, number>;
  /** Any number that differs from parcel to parcel: it spreads the parcels over equally good sources. */
  readonly turn: number;
  readonly nowMs: number;
}

export type SourceChoice<Host> =
  | { readonly from: Host }
  /** Nobody can be asked now. `nextMs`: when somebody may be asked again; Infinity when only a new connection helps. */
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
