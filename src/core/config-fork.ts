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
}

/** Versions that follow from one another: the first one's parent is where it leaves another branch. */
export type Branch = readonly [ForkedVersion, ...ForkedVersion[]];

export interface TwoChains {
  /** The last version that both have. */
  readonly ground: Pick<ForkedVersion, 'admins'>;
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
 * Which of two branches from one parent stands? One that takes a key out of the admins goes before one that does not: else
 * the order of the admins alone would let a key that was stolen undo its own revocation, by a version beside it or further
 * back. Otherwise the one whose first version's signer comes first in the parent's `admins`; of one signer the lower hash.
 *
 * Of three none can beat another in a circle, as they could if a branch only beat those whose own signer it takes out.
 */
export function decideFork(parent: TwoChains['ground'], a: Branch, b: Branch): 'a' | 'b' {
  const takesOut = takesAdminOut(parent, a);
  if (takesOut !== takesAdminOut(parent, b)) return takesOut ? 'a' : 'b';
  const rank = ([{ signer }]: Branch): number => parent.admins.findIndex(admin => admin.key === signer);
  if (rank(a) !== rank(b)) return rank(a) < rank(b) ? 'a' : 'b';
  return a[0].hash < b[0].hash ? 'a' : 'b';
}

function takesAdminOut(parent: TwoChains['ground'], branch: Branch): boolean {
  return branch.some(({ admins }, n) => {
    const left = new Set(admins.map(({ key }) => key));
    return (branch[n - 1] ?? parent).admins.some(({ key }) => !left.has(key));
  });
}

const isBranch = (versions: readonly ForkedVersion[]): versions is Branch => versions.length > 0;
