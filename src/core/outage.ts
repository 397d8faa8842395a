/**
 * Outage: did so many hosts vanish at about the same time that a single cause is likelier than several?
 *
 * A power cut or a dead switch takes a third of the members away at once, and gives them back. Making all their copies
 * again on the remaining hosts would fill those hosts and the network for nothing; so in an outage repair waits once
 * more, and a person is told. Hosts that are away as usual do not make an outage.
 *
 * Pure. Driven by outages.ts whenever a host comes, goes, or has been away for longer than usual.
 */
export interface OutageView {
  /** Active members of the configuration, including this host. */
  readonly members: number;
  /** When the hosts vanished that are still away, and longer than usual. In any order. */
  readonly vanishedAtMs: readonly number[];
  /**
   * How long repair waits, plus the uncertainty of the last sign: hosts that vanished no further apart are one event.
   */
  readonly withinMs: number;
}

export type OutageVerdict =
  | { readonly outage: false; readonly because: 'few-absent' | 'far-apart' }
  /** A host that vanished in one of these spans, ends included, vanished in an outage. */
  | { readonly outage: true; readonly spans: readonly Span[] };

export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Fewer hosts than this may well fail one by one, however small the cluster. */
const OUTAGE_HOSTS_MIN = 3;

export function decideOutage({ members, vanishedAtMs, withinMs }: OutageView): OutageVerdict {
  // More than a third.
  const hostsMin = Math.max(OUTAGE_HOSTS_MIN, Math.floor(members / 3) + 1);
  if (vanishedAtMs.length < hostsMin) return { outage: false, because: 'few-absent' };
  const times = [...vanishedAtMs].sort((a, b) => a - b);
  const spans: { fromMs: number; toMs: number }[] = [];
  for (let last = hostsMin - 1; last < times.length; last += 1) {
    const fromMs = times[last - hostsMin + 1] as number;
    const toMs = times[last] as number;
    if (toMs - fromMs > withinMs) continue;
    const before = spans.at(-1);
    if (before !== undefined && fromMs <= before.toMs) before.toMs = toMs;
    else spans.push({ fromMs, toMs });
  }
  return spans.length === 0 ? { outage: false, because: 'far-apart' } : { outage: true, spans };
}

export function vanishedInOutage(verdict: OutageVerdict, vanishedAtMs: number): boolean {
  return verdict.outage && verdict.spans.some(({ fromMs, toMs }) => fromMs <= vanishedAtMs && vanishedAtMs <= toMs);
}
