/**
 * Rules: the predicates that keep copies safe, in one object, so that the simulator can take each out in turn and must
 * then see data lost (DESIGN section 7). The service runs by `RULES`; nothing else makes another.
 */
import type { ClusterConfig, ConfigMark } from './cluster-config.js';
import { decideGrant, decideSign, type GrantAnswer } from './grant.js';
import { compareEpochs } from './holdings-log.js';

export interface Rules {
  readonly decideGrant: typeof decideGrant;
  readonly decideSign: typeof decideSign;
  /** An attempt to drop was entered by one configuration, and ends with it: by another, other copies may count, or more be wanted. */
  readonly endsWithConfig: (entered: ClusterConfig, inUse: ClusterConfig) => boolean;
  /** … or with an answer that names a newer one, or comes from another branch of a fork. */
  readonly endsWithAnswer: (entered: ConfigMark, answer: GrantAnswer) => boolean;
  /** A copy counts for a head only if its holder says that it durably holds that head or a later one. */
  readonly countsForHead: (holdersSeq: number, seq: number) => boolean;
  /** Only a greater epoch replaces a log. */
  readonly compareEpochs: typeof compareEpochs;
}

export const RULES: Rules = {
  decideGrant,
  decideSign,
  endsWithConfig: (entered, inUse) => entered !== inUse,
  endsWithAnswer: (entered, answer) =>
    answer.configVersion > entered.version || (answer.answer === 'deny' && answer.because === 'config-differs'),
  countsForHead: (holdersSeq, seq) => holdersSeq >= seq,
  compareEpochs,
};
