/**
 * Rules: the predicates that keep copies safe, in one object, so that the simulator can take each out in turn and must
 * then see data lost (src/DESIGN.md, "How a copy is dropped"). The service uses `RULES`; only the simulator makes others.
 */
import type { ClusterConfig, ConfigMark } from './cluster-config.js';
import { decideGrant, decideSign, type GrantAnswer } from './grant.js';
import { compareEpochs } from './holdings-log.js';

export interface Rules {
  readonly decideGrant: typeof decideGrant;
  readonly decideSign: typeof decideSign;
  /**
   * An attempt to drop ends when the configuration under which it was entered does: under another one, other copies may
   * count, or more be wanted.
   */
  readonly endsWithConfig: (entered: ClusterConfig, inUse: ClusterConfig) => boolean;
  /** It also ends with an answer that names a newer configuration, or comes from another branch of a fork. */
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
