/**
 * Judge own: which heads are this host's own, for source-history.ts: those that it has signed with its present key, and
 * those of the machines that were this host before, as far as the configuration lets them stand; and with which number
 * those of this machine begin.
 */
import type { JudgeHead } from '../catalog/source-history.js';
import { type SourceId, splitSourceId } from '../core/ids.js';
import { firstSeqAfter } from '../core/own-heads.js';
import type { Identity } from '../membership/identity.js';
import { HeadSigners } from './head-signers.js';
import { Revocations, type ShutOut } from './revocations.js';

/** Asks the membership anew each time, for it changes while the service runs. */
export function judgeOwn(membership: ShutOut & { readonly identity: Identity }): JudgeHead {
  const { host: self, signer } = membership.identity;
  const roster = { keyOf: () => signer.publicKey, nameOf: () => 'this host' };
  return sealed => {
    const revocations = new Revocations(membership);
    const signers = new HeadSigners({ roster, revocations });
    const former = revocations.wordsOf(self).map(({ key }) => key);
    const head = signers.verify(sealed, [signer.publicKey, ...former]);
    return splitSourceId(head.source).origin === self
      ? { head, stands: !signers.isVoided({ head, sealed }) }
      : undefined;
  };
}

/** The lowest number that this machine may give a head of a source of this host. */
export const leastOwnSeq =
  (membership: ShutOut & { readonly identity: Pick<Identity, 'host'> }): ((source: SourceId) => number) =>
  source => {
    const revocations = new Revocations(membership);
    if (revocations.wordsOf(membership.identity.host).length === 0) return 1;
    return firstSeqAfter(revocations.lastHead(source)?.seq ?? 0);
  };
