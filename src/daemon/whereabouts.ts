/** Whereabouts: which hosts hold what: of each file of the newest snapshots, and of each parcel that is wanted. */
import { parseSourceSpec } from '../catalog/source-spec.js';
import { walkEntries } from '../catalog/walk.js';
import type { ObjectId, SourceId } from '../core/ids.js';
import type { Machine } from '../core/machine.js';
import type { ObjectReader } from '../core/objects.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import { needHost } from './configuring.js';
import type { NamedSnapshots } from './named-snapshots.js';
import type { Roster } from './roster.js';
import type { PlacementReport, ReplicaReport, ReplicasRequest } from './service.js';
import { nameIn, type SourceNames } from './source-names.js';

export interface WhereaboutsOptions {
  readonly machine: Machine;
  readonly catalog: CatalogKeeper;
  /** Records too: from here or from whoever has them. */
  readonly objects: ObjectReader;
  readonly roster: Roster;
  readonly names: SourceNames;
  readonly snapshots: NamedSnapshots;
}

export class Whereabouts {
  readonly #options: WhereaboutsOptions;

  constructor(options: WhereaboutsOptions) {
    this.#options = options;
  }

  async *replicas({ spec, only, host }: ReplicasRequest, signal: AbortSignal): AsyncGenerator<ReplicaReport> {
    const { machine, roster, objects } = this.#options;
    if (host !== undefined) needHost(roster, host);
    const places =
      spec === undefined
        ? this.#options.names.all().flatMap(source => {
            const newest = this.#options.catalog.get(source)?.head.snapshots.at(-1);
            return newest === undefined ? [] : [{ source, snapshot: newest.id, under: Buffer.alloc(0) }];
          })
        : [await this.#newestOf(spec, signal)];
    for (const { source, snapshot, under } of places) {
      const want = machine.copiesWanted(source) ?? 0;
      for await (const { entry, parcel } of walkEntries(objects, snapshot, { under, signal })) {
        if (entry.kind !== 'file') continue;
        const have = machine.copies(parcel);
        const asked =
          only.length === 0 ||
          (only.includes('under') && have < want) ||
          (only.includes('over') && have > want) ||
          (only.includes('missing') && have === 0);
        if (!asked) continue;
        const holders = machine
          .holders(parcel)
          .map(holder => ({ host: roster.nameOf(holder.host), counts: holder.counts }));
        if (host !== undefined && !holders.some(holder => holder.host === host)) continue;
        yield {
          source: this.#options.names.nameOf(source),
          path: entry.path,
          sizeBytes: entry.size,
          want,
          have,
          holders: holders.sort((a, b) => (a.host < b.host ? -1 : 1)),
        };
      }
    }
  }

  async *placements(): AsyncGenerator<PlacementReport> {
    const { machine } = this.#options;
    for (const sourceId of this.#options.names.all()) {
      const want = machine.copiesWanted(sourceId) ?? 0;
      for (const { id, key, bytes } of machine.wanted(sourceId)) {
        const counting = machine.holders(id).filter(({ counts }) => counts);
        const holders = counting.map(({ host, store }) => ({ host, store }));
        yield { parcel: id, key, bytes, sourceId, want, holders };
      }
    }
  }

  async #newestOf(spec: string, signal: AbortSignal): Promise<{ source: SourceId; snapshot: ObjectId; under: Buffer }> {
    const parsed = parseSourceSpec(spec);
    const source = this.#options.names.named(nameIn(parsed));
    const listed =
      parsed.snapshot.kind === 'latest'
        ? this.#options.snapshots.newest(source)
        : (await this.#options.snapshots.choose(source, parsed.snapshot, signal)).listed;
    await this.#options.snapshots.needPath(source, listed.id, parsed);
    return { source, snapshot: listed.id, under: parsed.path };
  }
}
