/** Heeding: whose word of a source's newest head keeps what the head in force does not list. */
import { mayHoldCopies } from './cluster-config.js';
import type { Holdings } from './holdings.js';
import type { Hosts } from './hosts.js';
import { type HostId, type SourceId, splitSourceId } from './ids.js';
import type { Wanted } from './wanted.js';

export interface HeedingContext {
  readonly self: HostId;
  readonly hosts: Pick<Hosts, 'believed' | 'get'>;
  readonly wanted: Pick<Wanted, 'lastSeq' | 'head' | 'heardSeq' | 'credibleSeq'>;
  readonly holdings: Pick<Holdings, 'highestHead'>;
}

export class Heeding {
  readonly #of: HeedingContext;

  constructor(context: HeedingContext) {
    this.#of = context;
  }

  /** Else any member could have everything kept for ever. Of its own sources an origin may say what it likes. */
  isHeeded(host: HostId, source: SourceId): boolean {
    const { self, hosts } = this.#of;
    if (host === self) return true;
    const member = hosts.believed(host);
    return member !== undefined && (mayHoldCopies(member) || splitSourceId(source).origin === host);
  }

  /**
   * The highest head of a source that a member spoke of who is heeded. Of a revoked origin the configuration says it; and by a later head
   * that is in force here still nothing goes. Where it does not, only what members hold durably counts: what it signed after it was revoked
   * nobody may ever get to see, and its copies would be kept for ever.
   */
  heardSeq(source: SourceId): number {
    const { self, hosts, wanted, holdings } = this.#of;
    const last = wanted.lastSeq(source);
    if (last !== undefined) return (wanted.head(source)?.seq ?? 0) > last ? Number.POSITIVE_INFINITY : last;
    const { origin } = splitSourceId(source);
    const isMember = origin === self || hosts.get(origin) !== undefined;
    const said = isMember ? wanted.heardSeq(source) : 0;
    const held = holdings.highestHead(source, wanted.credibleSeq(source), by => this.isHeeded(by, source));
    return Math.max(said, held);
  }
}
