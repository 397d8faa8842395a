/**
 * Forgotten: what an admin has let go through the configuration: archived sources, and snapshots before their hold has
 * ended.
 *
 * A forgotten source stays known: its head is still passed on and taken, so that all hosts agree on it, but it wants
 * nothing. If the policy names the source again one day, it starts afresh, above that head.
 */
import type { ObjectId, SourceId } from '../core/ids.js';
import type { Configuration } from '../membership/configuration.js';

export class Forgotten {
  readonly #isConfigured: (source: SourceId) => boolean;
  #seqs: ReadonlyMap<SourceId, number> = new Map();
  #released: ReadonlySet<ObjectId> = new Set();

  constructor(
    configuration: Pick<Configuration, 'forgotten' | 'released'>,
    /** The source is in the policy, or it is archived. */
    isConfigured: (source: SourceId) => boolean,
  ) {
    this.#isConfigured = isConfigured;
    this.update(configuration);
  }

  update({ forgotten, released }: Pick<Configuration, 'forgotten' | 'released'>): void {
    this.#seqs = new Map(forgotten.map(({ source, seq }) => [source, seq]));
    this.#released = new Set(released);
  }

  /** Heads of this source are taken: no member can invent others. */
  isSource(source: SourceId): boolean {
    return this.#isConfigured(source) || this.#seqs.has(source);
  }

  /** Nobody wants what this head lists. */
  isVoid(source: SourceId, seq: number): boolean {
    const forgottenSeq = this.#seqs.get(source);
    return forgottenSeq !== undefined && (seq <= forgottenSeq || !this.#isConfigured(source));
  }

  /** Snapshots first listed by this head or an earlier one are void; 0 for none. */
  seqOf(source: SourceId): number {
    return this.#seqs.get(source) ?? 0;
  }

  /** The snapshot is not held once its source's head does not list it. */
  isReleased(snapshot: ObjectId): boolean {
    return this.#released.has(snapshot);
  }
}
