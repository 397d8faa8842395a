/**
 * Forgotten: what an admin has let go by the configuration: archived sources, and snapshots before their hold has run out.
 *
 * A forgotten source stays known: its head is still told and taken, so that all hosts agree on it, but it wants nothing. Should the
 * policy have the source again one day, it begins anew, above that head.
 */
import type { ObjectId, SourceId } from '../core/ids.js';
import type { Configuration } from '../membership/configuration.js';

export class Forgotten {
  readonly #isConfigured: (source: SourceId) => boolean;
  #seqs: ReadonlyMap<SourceId, number> = new Map();
  #released: ReadonlySet<ObjectId> = new Set();

  constructor(
    configuration: Pick<Configuration, 'forgotten' | 'released'>,
    /** The policy has it, or it is archived. */
    isConfigured: (source: SourceId) => boolean,
  ) {
    this.#isConfigured = isConfigured;
    this.update(configuration);
  }

  update({ forgotten, released }: Pick<Configuration, 'forgotten' | 'released'>): void {
    this.#seqs = new Map(forgotten.map(({ source, seq }) => [source, seq]));
    this.#released = new Set(released);
  }

  /** Heads of this source are taken: no member can make up others. */
  isSource(source: SourceId): boolean {
    return this.#isConfigured(source) || this.#seqs.has(source);
  }

  /** What this head lists is wanted by nobody. */
  isVoid(source: SourceId, seq: number): boolean {
    const forgottenSeq = this.#seqs.get(source);
    return forgottenSeq !== undefined && (seq <= forgottenSeq || !this.#isConfigured(source));
  }

  /** Snapshots that were listed first by this head or before are listed no more; 0 for none. */
  seqOf(source: SourceId): number {
    return this.#seqs.get(source) ?? 0;
  }

  /** Not held once its source's head does not list it. */
  isReleased(snapshot: ObjectId): boolean {
    return this.#released.has(snapshot);
  }
}
