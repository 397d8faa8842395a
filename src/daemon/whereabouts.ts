/** Whereabouts: which hosts hold which parts, and why: of each file of the newest snapshots, and of each wanted parcel. */
import { lackingIn } from '../catalog/gap-text.js';
import type { LackingEntries } from '../catalog/restore-content.js';
import { parseSourceSpec } from '../catalog/source-spec.js';
import { walkReadable } from '../catalog/walk-readable.js';
import { ClusterError } from '../core/fault.js';
import type { ObjectId, ParcelId, SourceId } from '../core/ids.js';
import type { Known } from '../core/known.js';
import type { ObjectReader } from '../core/objects.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import { needHost } from './configuring.js';
import type { NamedSnapshots } from './named-snapshots.js';
import { AskedTwice } from './object-finder.js';
import type { Origin } from './origin.js';
import type { Roster } from './roster.js';
import type { ExplainReport, Holder, PlacementReport, ReplicaReport, ReplicasRequest } from './service.js';
import { nameIn, type SourceNames } from './source-names.js';

export interface WhereaboutsOptions {
  readonly known: Pick<
    Known,
    'bytesOf' | 'copies' | 'copiesWanted' | 'explain' | 'holders' | 'wanted' | 'wantedCopies'
  >;
  readonly catalog: CatalogKeeper;
  /** Also reads records: from this host or from any host that has them. */
  readonly objects: ObjectReader;
  readonly roster: Roster;
  readonly origin: Pick<Origin, 'missing'>;
  readonly names: SourceNames;
  readonly snapshots: NamedSnapshots;
}

export class Whereabouts {
  readonly #options: WhereaboutsOptions;

  constructor(options: WhereaboutsOptions) {
    this.#options = options;
  }

  async *replicas(
    { spec, only, host }: ReplicasRequest,
    signal: AbortSignal,
  ): AsyncGenerator<ReplicaReport | LackingEntries> {
    const { known, roster } = this.#options;
    if (host !== undefined) needHost(roster, host);
    const places =
      spec === undefined
        ? this.#options.names.all().flatMap(source => {
            const newest = this.#options.catalog.get(source)?.head.snapshots.at(-1);
            return newest === undefined ? [] : [{ source, snapshot: newest.id, under: Buffer.alloc(0) }];
          })
        : [await this.#newestOf(spec, signal)];
    const objects = new AskedTwice(this.#options.objects, signal);
    for (const { source, snapshot, under } of places) {
      const want = known.copiesWanted(source) ?? 0;
      for await (const item of walkReadable(objects, snapshot, { under, signal })) {
        if (item.is === 'gap') yield lackingIn(item.gap, 'the hosts that are up have');
        if (item.is !== 'entry' || item.entry.kind !== 'file') continue;
        const { entry, parcel } = item;
        const have = known.copies(parcel);
        const asked =
          only.length === 0 ||
          (only.includes('under') && have < want) ||
          (only.includes('over') && have > want) ||
          (only.includes('missing') && have === 0);
        if (!asked) continue;
        const holders = this.#holders(parcel);
        if (host !== undefined && !holders.some(holder => holder.host === host)) continue;
        yield {
          source: this.#options.names.nameOf(source),
          path: entry.path,
          sizeBytes: entry.size,
          want,
          have,
          holders,
        };
      }
    }
  }

  /** By name. A host that has the parcel in several stores counts once. */
  #holders(parcel: ParcelId): Holder[] {
    const counting = new Map<string, boolean>();
    for (const { host, counts } of this.#options.known.holders(parcel)) {
      const name = this.#options.roster.nameOf(host);
      counting.set(name, counts || counting.get(name) === true);
    }
    return Array.from(counting, ([host, counts]) => ({ host, counts })).sort((a, b) => (a.host < b.host ? -1 : 1));
  }

  explain(parcel: ParcelId): ExplainReport {
    const { known, roster } = this.#options;
    this.#mustSeeCopies();
    const explained = known.explain(parcel);
    if (explained === undefined) {
      const why = 'its snapshot is listed no more, or its source is not configured';
      throw new ClusterError('SNAPSHOT_GONE', `no host is to have copies of parcel ${parcel}: ${why}`, {
        blame: 'operator',
      });
    }
    return {
      bytes: known.bytesOf(parcel) ?? 0,
      want: known.wantedCopies(parcel) ?? 0,
      have: known.copies(parcel),
      hosts: explained.map(({ host, why }) => ({
        host: roster.nameOf(host),
        why: why.has,
        ...('because' in why && { because: why.because }),
        ...('with' in why && why.with !== undefined && { with: roster.nameOf(why.with) }),
      })),
    };
  }

  async *placements(): AsyncGenerator<PlacementReport> {
    const { known, names, origin, roster } = this.#options;
    this.#mustSeeCopies();
    for (const sourceId of names.all()) {
      const source = names.nameOf(sourceId);
      const want = known.copiesWanted(sourceId) ?? 0;
      // Nobody looks after the folder of a source that left the policy: it may be long gone.
      const isAtOrigin = !names.isArchived(sourceId) && origin.missing(sourceId) === undefined;
      for (const { id, key, bytes, listed, newest } of known.wanted(sourceId)) {
        // What a draining host has counts no more, and may be all that copies can be made of.
        const holders = known.holders(id).flatMap(({ host, store, counts, liveness }) => {
          const drains = roster.member(host)?.state === 'draining' && liveness !== 'dead';
          return counts || drains ? [{ host, store }] : [];
        });
        yield { parcel: id, key, bytes, source, sourceId, listed, atOrigin: newest && isAtOrigin, want, holders };
      }
    }
  }

  /**
   * An untrusted host is told of copies by chance alone: after a start it would say that all is lost with this host.
   * @throws ClusterError HOST_UNTRUSTED
   */
  #mustSeeCopies(): void {
    const { roster } = this.#options;
    if (roster.member(roster.self)?.trust !== 'untrusted') return;
    throw new ClusterError(
      'HOST_UNTRUSTED',
      'this host is untrusted, and is not told which hosts have copies: ask on a trusted one',
      { blame: 'operator' },
    );
  }

  async #newestOf(spec: string, signal: AbortSignal): Promise<{ source: SourceId; snapshot: ObjectId; under: Buffer }> {
    const parsed = parseSourceSpec(spec);
    const source = this.#options.names.named(nameIn(parsed));
    const { listed } = await this.#options.snapshots.chooseThoughAway(source, parsed.snapshot, signal);
    await this.#options.snapshots.needPath(source, listed.id, parsed);
    return { source, snapshot: listed.id, under: parsed.path };
  }
}
