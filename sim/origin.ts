/**
 * Origin: signs the heads of a host's own sources, as the daemon does: after a start it asks everybody for the highest that
 * they remember and goes on above it, for its disk may be an old image; and what it signs is durable before it is told.
 */
import type { ParcelId, SourceId } from '../src/core/ids.js';
import type { HeadModel, SnapshotModel } from './catalog-model.js';
import type { HeadKeeping } from './head-keeping.js';
import type { Running, SnapshotEdit } from './sim-host.js';
import type { Surroundings } from './surroundings.js';

/** Asking everybody takes this long at the most. */
const ASK_MS = 3_000;

export class Origin {
  readonly #of: Running;
  readonly #world: Surroundings;
  readonly #heads: HeadKeeping;
  readonly #askEverybody: () => void;
  #hasAsked = false;
  readonly #heard = new Map<SourceId, HeadModel>();

  constructor({
    of,
    world,
    heads,
    askEverybody,
  }: {
    readonly of: Running;
    readonly world: Surroundings;
    readonly heads: HeadKeeping;
    readonly askEverybody: () => void;
  }) {
    this.#of = of;
    this.#world = world;
    this.#heads = heads;
    this.#askEverybody = askEverybody;
  }

  backUp(source: SourceId, edit: SnapshotEdit): void {
    if (this.#hasAsked) {
      this.#sign(source, edit);
      return;
    }
    this.#askEverybody();
    this.#world.after(ASK_MS, () =>
      this.#of.enter(() => {
        this.#hasAsked = true;
        this.#sign(source, edit);
      }),
    );
  }

  /** What the files of our own source have of the parcel. They are those of the newest snapshot; what was before is gone. */
  liveFile(parcel: ParcelId): { readonly content: string; readonly bytes: number } | undefined {
    const model = this.#world.catalog.parcel(parcel);
    if (model?.origin !== this.#of.host.id) return undefined;
    const isLive = this.#heads.get(model.source)?.snapshots.at(-1)?.refs.has(parcel) === true;
    return isLive ? { content: parcel, bytes: model.ref.bytes } : undefined;
  }

  /** A head of our own source, as somebody remembers it. */
  hear(head: HeadModel): void {
    const heard = this.#heard.get(head.source);
    if (heard === undefined || head.seq > heard.seq) this.#heard.set(head.source, head);
    const own = this.#heads.get(head.source);
    if (own?.hash === head.hash || (own !== undefined && head.seq < own.seq)) return;
    if (own === undefined || (head.seq > own.seq && covers(head, own))) this.#heads.offer(head);
    else if (!covers(own, head) || head.seq >= own.seq)
      this.#sign(head.source, listed => union(listed, head.snapshots));
  }

  #sign(source: SourceId, edit: SnapshotEdit): void {
    const own = this.#heads.get(source);
    const heard = this.#heard.get(source);
    const base = union(heard?.snapshots ?? [], own?.snapshots ?? []);
    const seq = Math.max(own?.seq ?? 0, heard?.seq ?? 0) + 1;
    const head = this.#world.catalog.head(source, seq, edit(base));
    this.#heard.set(source, head);
    this.#heads.offer(head);
  }
}

const covers = (head: HeadModel, other: HeadModel): boolean =>
  other.snapshots.every(({ id }) => head.snapshots.some(snapshot => snapshot.id === id));

function union(first: readonly SnapshotModel[], then: readonly SnapshotModel[]): readonly SnapshotModel[] {
  const ids = new Set(then.map(({ id }) => id));
  return [...first.filter(({ id }) => !ids.has(id)), ...then];
}
