/**
 * Choose source: whom to fetch a parcel from? The least loaded of its origin and its holders that are connected, as far as
 * our own fetches tell.
 *
 * Pure: same view, same choice. Driven by the machine, each time a fetch may start.
 */
export interface SourceView<Host extends string> {
  /** The origin first, then the holders. */
  readonly sources: readonly Host[];
  readonly isConnected: (host: Host) => boolean;
  /** Fetches of ours that run from it now. */
  readonly load: ReadonlyMap<Host, number>;
  /** Those that were busy, gone or wrong: not to be asked before. */
  readonly avoidUntilMs: ReadonlyMap<Host, number>;
  /** Any number that differs from parcel to parcel: of equally loaded sources, each is asked in turn. */
  readonly turn: number;
  readonly nowMs: number;
}

export type SourceChoice<Host> =
  | { readonly from: Host }
  /** Nobody now. `nextMs`: when somebody may be asked again; Infinity when only a new connection helps. */
  | { readonly from: undefined; readonly nextMs: number };

export function chooseSource<Host extends string>(view: SourceView<Host>): SourceChoice<Host> {
  const { sources, load, nowMs } = view;
  let from: Host | undefined;
  let nextMs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < sources.length; i += 1) {
    const source = sources[(i + view.turn) % sources.length] as Host;
    if (!view.isConnected(source)) continue;
    const avoidMs = view.avoidUntilMs.get(source) ?? Number.NEGATIVE_INFINITY;
    if (avoidMs > nowMs) nextMs = Math.min(nextMs, avoidMs);
    else if (from === undefined || (load.get(source) ?? 0) < (load.get(from) ?? 0)) from = source;
  }
  return from === undefined ? { from, nextMs } : { from };
}
