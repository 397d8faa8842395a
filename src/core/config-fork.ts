/**
 * Configuration fork: of two chains of configuration versions, which one stands?
 *
 * Where two admins have signed a successor of one parent while apart, every host that sees both branches takes the same one, whatever
 * it saw first. So this depends on the two branches alone, from where they part: on no clock, and on no order of hearing.
 *
 * Pure. Driven by membership's config-store.ts, which has checked that each version follows from the one before it, and by the
 * simulator.
 */

/** What decides a fork, of one version. */
export interface ForkedVersion {
  readonly hash: string;
  /** Key of the admin who signed it. */
  readonly signer: string;
  /** Never empty. Its order decides forks. */
  readonly admins: readonly { readonly key: string }[];
  /** All that were shut out up to this version. */
  readonly revoked: readonly { readonly peer: string }[];
}

/** Versions that follow from one another: the first one's parent is where it leaves another branch. */
export type Branch = readonly [ForkedVersion, ...ForkedVersion[]];

type Ground = Pick<ForkedVersion, 'admins' | 'revoked'>;

export interface TwoChains {
  /** The last version that both have. */
  readonly ground: Ground;
  /** What each has after it, oldest first; empty where the other one goes on from its end. */
  readonly ours: readonly ForkedVersion[];
  readonly rival: readonly ForkedVersion[];
}

/** Is the other chain to be taken in place of ours? What goes on from the end of ours is; of what we have already nothing is new. */
export function goesBefore({ ground, ours, rival }: TwoChains): boolean {
  if (!isBranch(rival)) return false;
  return !isBranch(ours) || decideFork(ground, ours, rival) === 'b';
}

/**
 * Which of two branches from one parent stands? The one that shuts out more: first, that takes more keys out of the admins, else the order
 * of the admins alone would let a key that was stolen undo its own revocation, by a version beside it or further back; then, that revokes
 * more members, else an admin's host that was put back from an image would let a stolen machine in again by whatever it signs. Of two that
 * shut out as much, the one whose first version's signer comes first in the parent's `admins`; of one signer the lower hash.
 *
 * Of three none can beat another in a circle: what is shut out is summed version by version, so of two branches the same one has more from
 * wherever it is looked, also from where both part from a third.
 */
export function decideFork(parent: Ground, a: Branch, b: Branch): 'a' | 'b' {
  const [byA, byB] = [shutOutBy(parent, a), shutOutBy(parent, b)];
  if (byA.admins !== byB.admins) return byA.admins > byB.admins ? 'a' : 'b';
  if (byA.members !== byB.members) return byA.members > byB.members ? 'a' : 'b';
  const rank = ([{ signer }]: Branch): number => parent.admins.findIndex(admin => admin.key === signer);
  if (rank(a) !== rank(b)) return rank(a) < rank(b) ? 'a' : 'b';
  return a[0].hash < b[0].hash ? 'a' : 'b';
}

function shutOutBy(parent: Ground, branch: Branch): { readonly admins: number; readonly members: number } {
  let [admins, members] = [0, 0];
  let before = parent;
  for (const version of branch) {
    admins += countWithout(before.admins.map(keyOf), version.admins.map(keyOf));
    members += countWithout(version.revoked.map(peerOf), before.revoked.map(peerOf));
    before = version;
  }
  return { admins, members };
}

/** How many are not among the others. */
function countWithout(some: readonly string[], others: readonly string[]): number {
  const known = new Set(others);
  return some.filter(one => !known.has(one)).length;
}

const keyOf = ({ key }: ForkedVersion['admins'][number]): string => key;
const peerOf = ({ peer }: ForkedVersion['revoked'][number]): string => peer;
const isBranch = (versions: readonly ForkedVersion[]): versions is Branch => versions.length > 0;
