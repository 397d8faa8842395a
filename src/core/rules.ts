/**
 * Rules: the predicates that keep copies safe, in one object, so that the simulator can take each out in turn and must
 * then see data lost (DESIGN section 7). The service runs by `RULES`; nothing else makes another.
 */
import { decideGrant, decideSign } from './grant.js';
import { compareEpochs } from './holdings-log.js';

export interface Rules {
  readonly decideGrant: typeof decideGrant;
  readonly decideSign: typeof decideSign;
  /** A copy counts for a head only if its holder says that it durably holds that head or a later one. */
  readonly countsForHead: (holdersSeq: number, seq: number) => boolean;
  /** Only a greater epoch replaces a log. */
  readonly compareEpochs: typeof compareEpochs;
}

export const RULES: Rules = {
  decideGrant,
  decideSign,
  countsForHead: (holdersSeq, seq) => holdersSeq >= seq,
  compareEpochs,
};
