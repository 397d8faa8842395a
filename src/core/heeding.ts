/** Heeding: whose word about a source's newest head keeps parcels that the head in force does not list. */
import { mayHoldCopies } from './cluster-config.js';
import type { Holdings } from './holdings.js';
import type { Hosts } from './hosts.js';
import { type HostId, type SourceId, splitSourceId } from './ids.js';
import { isVoidSeq, type Wanted } from './wanted.js';

export interface HeedingContext {
  readonly self: HostId;
  readonly hosts: Pick<Hosts, 'believed' | 'get'>;
  readonly wanted: Pick<Wanted, 'voidSeqs' | 'head' | 'heardSeq' | 'credibleSeq'>;
  readonly holdings: Pick<Holdings, 'highestHead'>;
}

export class Heeding {
  readonly #of: HeedingContext;

  constructor(context: HeedingContext) {
    this.#of = context;
  }

  /**
   * True for this host, for hosts that may hold copies, and for the source's own origin. If every member were heeded,
   * any of them could have everything kept for ever.
   */
  isHeeded(host: HostId, source: SourceId): boolean {
    const { self, hosts } = this.#of;
    if (host === self) return true;
    const member = hosts.believed(host);
    return member !== undefined && (mayHoldCopies(member) || splitSourceId(source).origin === host);
  }

  /**
   * The highest head of a source that a heeded host has named. For a revoked origin it is the last head that the
   * configuration names; but while a later one is in force here it is Infinity, so nothing expires. Where the
   * configuration names none and the origin is no member, only heads that members hold durably count: nobody may ever
   * see what the origin signed after it was revoked, and its copies would be kept for ever. For the same reason a void
   * head of an origin that goes on as another machine counts as the last valid one: a store's log names it for ever.
   */
  heardSeq(source: SourceId): number {
    const { self, hosts, wanted, holdings } = this.#of;
    const gap = wanted.voidSeqs(source);
    if (isVoidSeq(gap, wanted.head(source)?.seq ?? 0)) return Number.POSITIVE_INFINITY;
    if (gap?.before === Number.POSITIVE_INFINITY) return gap.after;
    const { origin } = splitSourceId(source);
    const isMember = origin === self || hosts.get(origin) !== undefined;
    const said = isMember ? wanted.heardSeq(source) : 0;
    const held = holdings.highestHead(source, wanted.credibleSeq(source), by => this.isHeeded(by, source));
    const heard = Math.max(said, held);
    return gap !== undefined && isVoidSeq(gap, heard) ? gap.after : heard;
  }
}
