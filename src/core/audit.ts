/**
 * Audit: does another host really have a copy that its log tells of?
 *
 * Who has the same bytes asks for a possession made for this one question (possession.ts) and compares. What it cannot tell
 * (no answer, own bytes that cannot be read) says nothing. A denial may only be ahead of its log, which is then on its way:
 * it counts when it is said a second time while the log still has the copy.
 *
 * Pure. Driven by auditing.ts; specified by protocols/audit/audit.md.
 */
import type { Possession } from './ids.js';

export type AuditAnswer =
  | { readonly answer: 'proof'; readonly possession: Possession }
  | { readonly answer: 'deny'; readonly because: AuditDenial };

export type AuditDenial = 'busy' | 'absent' | 'corrupt';

export interface AuditView {
  /** By our own copy; undefined when it could not be read, or was not needed. */
  readonly expected: Possession | undefined;
  /** Undefined when none could be had. */
  readonly answer: AuditAnswer | undefined;
  /** It was denied before, and its log still tells of it. */
  readonly deniedBefore: boolean;
}

export type AuditVerdict = 'passed' | 'failed' | 'denied' | 'unknown';

export function decideAudit({ expected, answer, deniedBefore }: AuditView): AuditVerdict {
  if (answer === undefined) return 'unknown';
  if (answer.answer === 'deny') {
    if (answer.because === 'busy') return 'unknown';
    return deniedBefore ? 'failed' : 'denied';
  }
  if (expected === undefined) return 'unknown';
  return answer.possession === expected ? 'passed' : 'failed';
}
