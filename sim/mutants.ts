/**
 * Mutants: each takes out one of the rules that keep copies safe (src/DESIGN.md, "How a copy is dropped"), in the
 * machine through its `Rules`, or in the simulator's substitute for the daemon. Without the rule a run must lose data, and a checker must
 * report that by name; a mutant that lives shows that the simulator cannot see the rule's purpose.
 */
import { decideGrant, decideSign } from '../src/core/grant.js';
import { RULES, type Rules } from '../src/core/rules.js';
import type { FaultKind } from './fault.js';
import type { Invariant } from './violation.js';

export type MutantName =
  | 'grant-from-index'
  | 'ask-before-dropping'
  | 'nonce-repeats'
  | 'grants-survive-abort'
  | 'committed-dropper-grants'
  | 'deletion-outlives-restart'
  | 'forgets-newest-head'
  | 'counts-without-head-op'
  | 'lower-epoch-believed'
  | 'older-config-drops'
  | 'another-branch-grants';

export interface Mutant {
  readonly name: MutantName;
  /** The rule that is missing. */
  readonly lacks: string;
  readonly rules: Rules;
  /** Faults that come more often than by chance, so that few runs are enough. */
  readonly favours: readonly FaultKind[];
}

/** The invariants a mutant may die by. Other failures do not count: it must be caught where data is lost. */
export const LETHAL: ReadonlySet<Invariant> = new Set(['I1', 'I2', 'I7', 'I13']);

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'grant-from-index',
    lacks: 'a grant is made from the bytes on the disk, read in that request',
    rules: RULES,
    favours: ['bit-rot', 'copies', 'crash'],
  },
  {
    name: 'ask-before-dropping',
    lacks: 'a host that asks for grants gives none',
    rules: {
      ...RULES,
      decideGrant: view =>
        decideGrant({ ...view, ownRemoval: view.ownRemoval === 'asking' ? 'none' : view.ownRemoval }),
      decideSign: view => decideSign({ ...view, ownRemoval: view.ownRemoval === 'asking' ? 'none' : view.ownRemoval }),
    },
    favours: ['copies', 'lag', 'slow-disk'],
  },
  {
    name: 'nonce-repeats',
    lacks: 'a nonce is never used again',
    rules: RULES,
    favours: ['crash', 'boundary-crash', 'copies'],
  },
  {
    name: 'grants-survive-abort',
    lacks: 'the grants of an attempt that was given up are void',
    rules: RULES,
    favours: ['copies', 'lag', 'slow-disk'],
  },
  {
    name: 'committed-dropper-grants',
    lacks: 'a host that has committed to a drop gives no grant',
    rules: {
      ...RULES,
      decideGrant: view =>
        decideGrant({ ...view, ownRemoval: view.ownRemoval === 'committing' ? 'none' : view.ownRemoval }),
      decideSign: view =>
        decideSign({ ...view, ownRemoval: view.ownRemoval === 'committing' ? 'none' : view.ownRemoval }),
    },
    favours: ['copies', 'slow-disk'],
  },
  {
    name: 'deletion-outlives-restart',
    lacks: 'no deletion is carried out after a restart',
    rules: RULES,
    favours: ['crash', 'copies', 'slow-disk'],
  },
  {
    name: 'forgets-newest-head',
    lacks: 'the newest head is durable before it is acted on',
    rules: RULES,
    favours: ['crash'],
  },
  {
    name: 'counts-without-head-op',
    lacks: 'a copy counts for a head only if its holder says that it holds that head',
    rules: { ...RULES, countsForHead: () => true },
    favours: ['lag', 'partition'],
  },
  {
    name: 'lower-epoch-believed',
    lacks: 'only a greater epoch replaces a log',
    rules: {
      ...RULES,
      // Any other epoch than ours is taken for a greater one.
      compareEpochs: (a, b) => (RULES.compareEpochs(a, b) === 0 ? 0 : -1),
    },
    favours: ['lost-write', 'old-image', 'lag', 'crash'],
  },
  {
    name: 'older-config-drops',
    lacks: 'no copy is dropped under a configuration older than that of the dropper or a granter',
    rules: {
      ...RULES,
      decideGrant: view => decideGrant({ ...view, askerConfig: view.config }),
      decideSign: view => decideSign({ ...view, askerConfig: view.config }),
      endsWithConfig: () => false,
      endsWithAnswer: () => false,
    },
    favours: ['copies', 'copies', 'drain', 'revoke', 'lag', 'slow-disk'],
  },
  {
    name: 'another-branch-grants',
    lacks: 'a granter uses the very configuration of the dropper, not another branch of a fork with the same version',
    rules: {
      ...RULES,
      decideGrant: view => decideGrant({ ...view, askerConfig: { ...view.askerConfig, hash: view.config.hash } }),
      decideSign: view => decideSign({ ...view, askerConfig: { ...view.askerConfig, hash: view.config.hash } }),
    },
    favours: ['fork', 'fork', 'copies', 'lag', 'partition'],
  },
];

export const mutantOf = (name: string): Mutant | undefined => MUTANTS.find(mutant => mutant.name === name);
