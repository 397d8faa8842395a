/**
 * Own heads: what becomes of a head of this host's own source that somebody remembers, and what the next one lists. No number is given
 * twice, and no list is lost, even where this disk, or this host's key on another machine, is an old image.
 *
 * The newest head that is known is gone on from: one that is later than ours is taken as it is, and what we listed and it does not is
 * listed again in the next. If it is another one of the same number, this identity was used twice: the next one lists what both list.
 *
 * Pure. Driven by the daemon's own-heads.ts with the catalog's source-history.ts, and by the simulator: each keeps a head durably before
 * anybody hears of it, and takes one of a source at a time.
 */
import type { ObjectId } from './ids.js';

interface Listed {
  readonly id: ObjectId;
}

export interface OwnHead<S extends Listed> {
  readonly seq: number;
  readonly hash: string;
  readonly snapshots: readonly S[];
}

export type Adoption<S extends Listed> =
  /** It is the one that is here. */
  | { readonly kind: 'known' }
  | { readonly kind: 'older' }
  /** It is the newest from now on. `unlisted`: what ours lists and it does not, to be listed again. */
  | { readonly kind: 'adopted'; readonly unlisted: readonly S[] }
  /** `union`: what the next head lists; a person is to be told. */
  | { readonly kind: 'forked'; readonly union: readonly S[] };

export function decideAdoption<S extends Listed>(own: OwnHead<S> | undefined, found: OwnHead<S>): Adoption<S> {
  if (own === undefined || found.seq > own.seq)
    return { kind: 'adopted', unlisted: lacking(found.snapshots, own?.snapshots ?? []) };
  if (found.seq < own.seq) return { kind: 'older' };
  if (found.hash === own.hash) return { kind: 'known' };
  return { kind: 'forked', union: listAgain(own.snapshots, found.snapshots) };
}

/** The number of the head that goes on from this one. */
export const nextSeq = (own: Pick<OwnHead<Listed>, 'seq'> | undefined): number => (own?.seq ?? 0) + 1;

/** A list, and what it lacks of another one. Its order is for whoever signs it. */
export const listAgain = <S extends Listed>(listed: readonly S[], unlisted: readonly S[]): readonly S[] => [
  ...listed,
  ...lacking(listed, unlisted),
];

/** Is a head in force in place of one that is known, by whoever hears of both? Of two with one number the lower hash is, everywhere. */
export const replacesHead = (
  head: Pick<OwnHead<Listed>, 'seq' | 'hash'>,
  known: Pick<OwnHead<Listed>, 'seq' | 'hash'>,
): boolean => head.seq > known.seq || (head.seq === known.seq && head.hash < known.hash);

function lacking<S extends Listed>(listed: readonly S[], other: readonly S[]): readonly S[] {
  const ids = new Set(listed.map(({ id }) => id));
  return other.filter(({ id }) => !ids.has(id));
}
