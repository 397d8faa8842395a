/**
 * Configuration fork: of two chains of configuration versions, which one stands?
 *
 * When two admins, while apart, have each signed a successor of the same parent, every host that sees both branches
 * chooses the same one, whichever it saw first. So the decision depends only on the two branches from where they part:
 * not on any clock, nor on the order in which they were heard.
 *
 * Pure. Driven by membership's config-store.ts, which has checked that each version follows from the one before it, and
 * by the simulator.
 */

/** What decides a fork, for one version. */
export interface ForkedVersion {
  readonly hash: string;
  /** Key of the admin who signed it. */
  readonly signer: string;
  /** Never empty. Its order decides forks. */
  readonly admins: readonly { readonly key: string }[];
  /** All that were revoked up to this version. */
  readonly revoked: readonly { readonly peer: string }[];
}

/** Versions that each follow from the one before; the first one's parent is where the branch leaves the other. */
export type Branch = readonly [ForkedVersion, ...ForkedVersion[]];

type Ground = Pick<ForkedVersion, 'admins' | 'revoked'>;

export interface TwoChains {
  /** The last version that both have. */
  readonly ground: Ground;
  /** What each has after it, oldest first; empty where the other one goes on from its end. */
  readonly ours: readonly ForkedVersion[];
  readonly rival: readonly ForkedVersion[];
}

/** Should the other chain replace ours? Yes if it only extends ours; no if we have all of it already. */
export function goesBefore({ ground, ours, rival }: TwoChains): boolean {
  if (!isBranch(rival)) return false;
  return !isBranch(ours) || decideFork(ground, ours, rival) === 'b';
}

/**
 * Which of two branches from one parent wins? The one that shuts out more. First, the one that removes more keys from
 * the admins: otherwise, by the order of the admins alone, a stolen key could undo its own revocation with any version
 * beside it or further back. It still can with one that shuts out as many: which of two admins that shut each other out
 * is the thief, the branches do not tell, and hosts that trusted the one of which they heard first would not agree.
 * Second, the one that revokes more members: otherwise an admin's host restored from an
 * image would readmit a stolen machine with whatever it signs. If both shut out equally much, the one whose first
 * version's signer comes first in the parent's `admins` wins; with the same signer, the lower hash.
 *
 * Three branches cannot beat each other in a circle: shut-outs are summed version by version, so of two branches the
 * same one has more from whatever earlier version they are compared, including the one where both part from a third.
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
