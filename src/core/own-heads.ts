/**
 * Own heads: what to do with a head of this host's own source that another host remembers, and what the next head
 * lists. No number is used twice, and no list is lost, even if this disk, or this host's key on another machine, is an
 * old image.
 *
 * The newest known head is continued: one later than ours is adopted as it is, and the snapshots that ours lists and it
 * does not are listed again in the next. If it is another head with the same number, this identity was used twice: the
 * next head lists what both list.
 *
 * Pure. Driven by the daemon's own-heads.ts with the catalog's source-history.ts, and by the simulator: each makes a
 * head durable before anybody hears of it, and takes one head of a source at a time.
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
  /** It is the head that is here already. */
  | { readonly kind: 'known' }
  | { readonly kind: 'older' }
  /**
   * It is the newest head from now on. `unlisted`: the snapshots that ours lists and it does not, to be listed again.
   */
  | { readonly kind: 'adopted'; readonly unlisted: readonly S[] }
  /** `union`: the snapshots for the next head to list; a person must be told. */
  | { readonly kind: 'forked'; readonly union: readonly S[] };

export function decideAdoption<S extends Listed>(own: OwnHead<S> | undefined, found: OwnHead<S>): Adoption<S> {
  if (own === undefined || found.seq > own.seq)
    return { kind: 'adopted', unlisted: lacking(found.snapshots, own?.snapshots ?? []) };
  if (found.seq < own.seq) return { kind: 'older' };
  if (found.hash === own.hash) return { kind: 'known' };
  return { kind: 'forked', union: listAgain(own.snapshots, found.snapshots) };
}

/** The number of the head that continues this one. */
export const nextSeq = (own: Pick<OwnHead<Listed>, 'seq'> | undefined): number => (own?.seq ?? 0) + 1;

/**
 * A machine that goes on as the host of another begins so far above the last head of that one which stays valid. The other
 * may have signed some that reached few hosts: nobody has missed this many, with one a minute for 45 days. A store may say
 * for ever that it holds such a head, and would seem to hold each new one of that number or a lower one. Less than others
 * believe at once (HEAD_JUMP_MAX of wanted.ts), also after several machines.
 */
const FORMER_SEQS_MAX = 2 ** 16;

/** The lowest number that a machine signs which goes on as a host, by the last valid head of the machine before it. */
export const firstSeqAfter = (lastSeq: number): number => lastSeq + FORMER_SEQS_MAX + 1;

/** A list, plus what it lacks of another one. The signer decides on the order. */
export const listAgain = <S extends Listed>(listed: readonly S[], unlisted: readonly S[]): readonly S[] => [
  ...listed,
  ...lacking(listed, unlisted),
];

/**
 * Does a head replace a known one, on any host that hears of both? Of two with the same number, the lower hash wins
 * everywhere.
 */
export const replacesHead = (
  head: Pick<OwnHead<Listed>, 'seq' | 'hash'>,
  known: Pick<OwnHead<Listed>, 'seq' | 'hash'>,
): boolean => head.seq > known.seq || (head.seq === known.seq && head.hash < known.hash);

function lacking<S extends Listed>(listed: readonly S[], other: readonly S[]): readonly S[] {
  const ids = new Set(listed.map(({ id }) => id));
  return other.filter(({ id }) => !ids.has(id));
}
