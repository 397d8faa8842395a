/**
 * Audit: does another host really have a copy that its log tells of?
 *
 * Who has the same bytes, as another holder or as the origin, asks for a possession made for this one question
 * (possession.ts) and compares. What it cannot tell (no answer, own bytes that cannot be read) says nothing, unless the
 * holder has no answer for as long as two walks through all copies take: a copy that nobody ever saw counts no longer. A
 * denial may only be ahead of its log, which is then on its way: it counts when it is said a second time while the log
 * still has the copy.
 *
 * Pure. Driven by auditing.ts; specified by protocols/audit/audit.md.
 */
import type { Possession } from './ids.js';

export type AuditAnswer =
  | { readonly answer: 'proof'; readonly possession: Possession }
  | { readonly answer: 'deny'; readonly because: AuditDenial };

export type AuditDenial = 'busy' | 'absent' | 'corrupt';

export interface AuditView {
  /** By our own copy or files; undefined when they could not be read, or were not needed. */
  readonly expected: Possession | undefined;
  /** Undefined when none could be had. */
  readonly answer: AuditAnswer | undefined;
  /** It was denied before, and its log still tells of it. */
  readonly deniedBefore: boolean;
  /** Questions before this one that it had no answer to, one after the other; and for how long, in ms. */
  readonly unanswered: { readonly questions: number; readonly forMs: number };
  /** How long a walk through all copies takes, in ms. */
  readonly scrubMs: number;
}

export type AuditVerdict = 'passed' | 'failed' | 'denied' | 'unknown';

/** Walks in which a copy must have been seen. */
const WALKS = 2;
/** So often it must have been asked for in vain: a host that was away most of that time was hardly asked. */
const UNANSWERED_LEAST = 10;

export function decideAudit(view: AuditView): AuditVerdict {
  const { expected, answer, deniedBefore, unanswered, scrubMs } = view;
  if (answer === undefined || (answer.answer === 'deny' && answer.because === 'busy')) {
    const isLong = unanswered.questions >= UNANSWERED_LEAST && unanswered.forMs >= WALKS * scrubMs;
    return isLong ? 'failed' : 'unknown';
  }
  if (answer.answer === 'deny') return deniedBefore ? 'failed' : 'denied';
  if (expected === undefined) return 'unknown';
  return answer.possession === expected ? 'passed' : 'failed';
}
