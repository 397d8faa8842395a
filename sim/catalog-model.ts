/**
 * Catalog model: sources, their heads, snapshots and parcels, without pages and records: placement sees only what is
 * listed, and what that changes.
 *
 * Heads and snapshots are immutable and shared by all hosts that know them. A head lists its snapshots oldest first.
 */
import type { Input } from '../src/core/effects.js';
import { hashHex } from '../src/core/hash.js';
import {
  type HostId,
  type Key,
  type ObjectId,
  type ParcelId,
  parseKey,
  parseObjectId,
  parseParcelId,
  type SourceId,
  splitSourceId,
} from '../src/core/ids.js';
import type { ParcelRef } from '../src/core/parcel.js';

export interface SnapshotModel {
  readonly id: ObjectId;
  /** Rises with the time at which it was taken. */
  readonly number: number;
  readonly holdMs: number;
  readonly refs: ReadonlyMap<ParcelId, ParcelRef>;
}

export interface HeadModel {
  readonly source: SourceId;
  readonly seq: number;
  readonly hash: string;
  /** Oldest first; the last is the newest. */
  readonly snapshots: readonly SnapshotModel[];
}

/**
 * The part that parcels of a family have in common, like a file that no snapshot changed: a store keeps it once. It may
 * be all of a parcel.
 */
export interface SharedPart {
  readonly key: Key;
  readonly bytes: number;
}

export interface ParcelModel {
  readonly ref: ParcelRef;
  /** A part of `ref.bytes`; undefined when it has nothing in common with other parcels. */
  readonly shared: SharedPart | undefined;
  readonly source: SourceId;
  readonly origin: HostId;
}

/** The snapshots of a source that keep parcels wanted at a host, and those of them that are listed, the newest last. */
export interface WantedSnapshots {
  readonly all: readonly SnapshotModel[];
  readonly listed: readonly SnapshotModel[];
}

type WantedChange = Omit<Extract<Input, { is: 'wanted' }>, 'is' | 'nowMs' | 'source' | 'head'>;

type Refs = ReadonlyMap<ParcelId, ParcelRef>;

const NOTHING: Refs = new Map();

/** 64 hex digits, unique to the text. */
export const nameOf = (text: string): string => hashHex(Buffer.from(text));

export class CatalogModel {
  readonly #parcels = new Map<ParcelId, ParcelModel>();
  /** The last change computed: in a large cluster every host computes the same one. */
  #last: { readonly key: string; readonly change: WantedChange } | undefined;
  readonly #heads = new Map<SourceId, HeadModel[]>();
  readonly #shared = new Map<Key, SharedPart>();
  #made = 0;

  parcel(id: ParcelId): ParcelModel | undefined {
    return this.#parcels.get(id);
  }

  /** All parcels that were ever cut. */
  parcels(): IterableIterator<ParcelModel> {
    return this.#parcels.values();
  }

  /** Cuts a new parcel of a source; with the key of `successorOf`, or a key of its own. */
  cut(source: SourceId, bytes: number, successorOf?: ParcelRef): ParcelRef {
    this.#made += 1;
    const name = nameOf(`parcel ${this.#made} of ${source}`);
    const ref: ParcelRef = {
      id: parseParcelId(name),
      key: successorOf?.key ?? parseKey(nameOf(`key ${this.#made} of ${source}`).slice(0, 32)),
      bytes,
    };
    this.#add(source, ref, this.#sharedBy(ref));
    return ref;
  }

  /** Takes over a parcel that was cut elsewhere; its part in common with others is unknown. */
  adopt(source: SourceId, ref: ParcelRef): ParcelModel {
    return this.#add(source, ref, undefined);
  }

  #add(source: SourceId, ref: ParcelRef, shared: SharedPart | undefined): ParcelModel {
    const parcel = { ref, shared, source, origin: splitSourceId(source).origin };
    this.#parcels.set(ref.id, parcel);
    return parcel;
  }

  /** The same content under other paths: a successor with all of the parcel's bytes, and with no other ones if it can. */
  rename(source: SourceId, ref: ParcelRef): ParcelRef {
    return this.cut(source, ref.bytes, ref);
  }

  /**
   * The family's first parcel, or half of it, for those parcels that are at least as large as that part. A family whose
   * parcels have the whole first one in common is one that can be renamed.
   */
  #sharedBy({ key, bytes }: ParcelRef): SharedPart | undefined {
    const isWhole = Number.parseInt(key.slice(0, 1), 16) % 2 === 0;
    const part = this.#shared.get(key) ?? { key, bytes: isWhole ? bytes : Math.floor(bytes / 2) };
    this.#shared.set(key, part);
    return part.bytes <= bytes ? part : undefined;
  }

  snapshot(source: SourceId, refs: Iterable<ParcelRef>, holdMs: number): SnapshotModel {
    this.#made += 1;
    const byId = new Map<ParcelId, ParcelRef>();
    for (const ref of refs) byId.set(ref.id, ref);
    const id = parseObjectId(nameOf(`snapshot ${this.#made} of ${source}`));
    return { id, number: this.#made, holdMs, refs: byId };
  }

  /** @param listed in any order */
  head(source: SourceId, seq: number, listed: readonly SnapshotModel[]): HeadModel {
    this.#made += 1;
    const snapshots = [...listed].sort((a, b) => a.number - b.number);
    const head: HeadModel = { source, seq, hash: nameOf(`head ${this.#made} of ${source}`), snapshots };
    const heads = this.#heads.get(source) ?? [];
    heads.push(head);
    this.#heads.set(source, heads);
    return head;
  }

  /** All heads of a source that were ever signed, in the order of signing. */
  heads(source: SourceId): readonly HeadModel[] {
    return this.#heads.get(source) ?? [];
  }

  /** The head that was signed before this one, with a lower number. */
  headBefore(head: HeadModel): HeadModel | undefined {
    return this.heads(head.source).findLast(({ seq }) => seq < head.seq);
  }

  /** What changes when the snapshots of `after`, instead of those of `before`, keep parcels wanted. */
  change(before: WantedSnapshots, after: WantedSnapshots): WantedChange {
    const parts = [before.all, before.listed, after.all, after.listed];
    const key = parts.map(snapshots => snapshots.map(({ id }) => id).join()).join(';');
    if (this.#last?.key !== key) this.#last = { key, change: compare(before, after) };
    return this.#last.change;
  }
}

function compare(before: WantedSnapshots, after: WantedSnapshots): WantedChange {
  const old = union(before.all);
  const now = union(after.all);
  const among = (was: Refs, is: Refs): { readonly not: readonly ParcelId[]; readonly again: readonly ParcelId[] } => ({
    not: [...now.keys()].filter(id => !is.has(id) && (was.has(id) || !old.has(id))),
    again: [...now.keys()].filter(id => is.has(id) && !was.has(id) && old.has(id)),
  });
  const newest = among(before.listed.at(-1)?.refs ?? NOTHING, after.listed.at(-1)?.refs ?? NOTHING);
  const listed = among(union(before.listed), union(after.listed));
  return {
    add: [...now].flatMap(([id, ref]) => (old.has(id) ? [] : [ref])),
    remove: [...old.keys()].filter(id => !now.has(id)),
    notNewest: newest.not,
    newestAgain: newest.again,
    notListed: listed.not,
    listedAgain: listed.again,
  };
}

function union(snapshots: readonly SnapshotModel[]): Refs {
  const [only] = snapshots;
  if (snapshots.length === 1 && only !== undefined) return only.refs;
  const all = new Map<ParcelId, ParcelRef>();
  for (const { refs } of snapshots) for (const [id, ref] of refs) all.set(id, ref);
  return all;
}
