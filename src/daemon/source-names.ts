/**
 * Source names: the names by which a person knows the sources that this host knows of.
 */
import type { SourceSpec } from '../catalog/source-spec.js';
import { ClusterError } from '../core/fault.js';
import { type SourceId, splitSourceId } from '../core/ids.js';
import type { Membership } from '../membership/membership.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import type { Roster } from './roster.js';

export class SourceNames {
  readonly #catalog: CatalogKeeper;
  readonly #membership: Membership;
  readonly #roster: Roster;

  constructor({
    catalog,
    membership,
    roster,
  }: {
    readonly catalog: CatalogKeeper;
    readonly membership: Membership;
    readonly roster: Roster;
  }) {
    this.#catalog = catalog;
    this.#membership = membership;
    this.#roster = roster;
  }

  /** Configured sources, and those with a known head. */
  all(): SourceId[] {
    const ids = new Set<SourceId>(this.#catalog.sources());
    for (const { source } of this.#membership.clusterConfig.sources) ids.add(source);
    return [...ids].sort();
  }

  /**
   * The source left the policy, or its origin was revoked, before this host heard of any head of it. It has nothing
   * that could be late or short, and nobody could ever mend that.
   */
  isVoid(source: SourceId): boolean {
    return this.#catalog.get(source) === undefined && (this.isArchived(source) || this.isOriginRevoked(source));
  }

  /** No snapshot of it comes any more, though it may be in the policy. */
  isOriginRevoked(source: SourceId): boolean {
    return this.#roster.member(splitSourceId(source).origin)?.state === 'revoked';
  }

  /** The source has left the policy, and stays in force as it was. */
  isArchived(source: SourceId): boolean {
    return this.#membership.configuration.archived.some(other => other.source === source);
  }

  /** NAME, or HOST/NAME where two hosts have a source of that name. */
  nameOf(source: SourceId): string {
    return this.#roster.sourceName(source, this.all());
  }

  /** @throws ClusterError SOURCE_UNKNOWN, SOURCE_AMBIGUOUS */
  named(name: string): SourceId {
    const all = this.all();
    const found = all.filter(source => {
      const { origin, source: own } = splitSourceId(source);
      return name === own || name === `${this.#roster.nameOf(origin)}/${own}`;
    });
    const [only] = found;
    if (only !== undefined && found.length === 1) return only;
    const names = (found.length > 1 ? found : all).map(source => this.nameOf(source)).sort();
    const known = names.length === 0 ? 'there is none yet' : `there are: ${names.join(', ')}`;
    const what = found.length > 1 ? 'several hosts have a source' : 'no source';
    throw new ClusterError(
      found.length > 1 ? 'SOURCE_AMBIGUOUS' : 'SOURCE_UNKNOWN',
      `${what} ${JSON.stringify(name)}; ${known}`,
      { blame: 'operator' },
    );
  }
}

/** A name that `named` accepts. */
export const nameIn = ({ host, source }: Pick<SourceSpec, 'host' | 'source'>): string =>
  host === undefined ? source : `${host}/${source}`;
