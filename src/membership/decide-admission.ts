/**
 * Decide admission: does this host let in a stranger with a valid invite?
 *
 * A host that has proved the key before and was let in gets the same admission again, since the answer may have got
 * lost.
 *
 * Pure, except for the signature, which also checks the proof. Driven by membership.ts.
 */
import type { Member } from '../core/cluster-config.js';
import { type Admission, isClosed, type Joiner } from './admission.js';
import { type Configuration, shutOutBy } from './configuration.js';
import { isMalformed } from './fields.js';
import type { Invite } from './invite.js';
import { type Provisional, settleAdmissions } from './roster.js';

/** Admissions kept: those not yet written down and those whose invite has not expired. Each is below 4 KiB. */
export const ADMISSIONS_MAX = 2000;

/** Why a stranger is not let in. A closed list: it crosses the wire. */
export type JoinRefusal =
  | 'not-admitting'
  | 'expired'
  | 'used-up'
  /** A host that joined by this invite was revoked, and may still have the token. */
  | 'closed'
  | 'bad-proof'
  | 'unknown-invite'
  | 'other-cluster'
  | 'already-member'
  | 'revoked'
  | 'full';

export type JoinVerdict =
  | { readonly kind: 'admitted'; readonly admission: Admission }
  | { readonly kind: 'refused'; readonly because: JoinRefusal };

export interface AdmissionView {
  /** An invite that is valid. */
  readonly invite: Invite;
  readonly joiner: Joiner;
  readonly configuration: Configuration;
  /** The members written down, provisional or revoked. */
  readonly members: readonly Member[];
  readonly provisional: readonly Provisional[];
  /** All admissions that this host keeps. */
  readonly admissions: readonly Admission[];
  /** @throws MALFORMED when the proof does not hold */
  readonly sign: () => Admission;
}

export function decideAdmission(view: AdmissionView): JoinVerdict {
  const { invite, joiner, configuration, members, admissions, sign } = view;
  if (shutOutBy(configuration).some(({ peer }) => peer === joiner.peer)) return refused('revoked');
  let admission: Admission;
  try {
    admission = sign();
  } catch (error) {
    if (isMalformed(error)) return refused('bad-proof');
    throw error;
  }
  // The joiner has proved the key. If it did so before, and the answer got lost, the first admission holds.
  const before = admissions.find(({ peer, invite: { id } }) => peer === joiner.peer && id === invite.id);
  const standing = members.find(({ peer }) => peer === joiner.peer)?.state;
  if (standing === 'revoked') return refused('revoked');
  if (standing !== undefined)
    return before === undefined ? refused('already-member') : { kind: 'admitted', admission: before };

  if (isClosed(invite.id, configuration)) return refused('closed');
  if (isTaken(view)) return refused('used-up');
  const { refused: losers } = settleAdmissions(configuration, [...admissions, admission]);
  const because = losers.find(loser => loser.admission === admission)?.because;
  if (because === 'full' || admissions.length >= ADMISSIONS_MAX) return refused('full');
  return { kind: 'admitted', admission };
}

/** True when every use of the invite is taken by a member, written down or not. */
function isTaken({ invite: { id, uses }, configuration, provisional }: AdmissionView): boolean {
  const written = configuration.members.filter(({ invite }) => invite === id).length;
  const waiting = provisional.filter(({ admission }) => admission.invite.id === id).length;
  return written + waiting >= uses;
}

const refused = (because: JoinRefusal): JoinVerdict => ({ kind: 'refused', because });
