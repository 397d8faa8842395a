/**
 * Audit: does another host really have a copy that its log names?
 *
 * A host that has the same bytes, as another holder or as the origin, asks for a possession computed for this one
 * question (possession.ts) and compares. A question without a result (no answer, or own bytes that cannot be read)
 * proves nothing, unless the holder has not answered for as long as two walks through all copies take: a copy that
 * nobody has seen for that long does not count. A denial may merely be ahead of the holder's log, whose news is then on
 * its way: it counts only when it is repeated while the log still names the copy.
 *
 * Pure. Driven by auditing.ts; specified by protocols/audit/audit.md.
 */
import type { Possession } from './ids.js';

export type AuditAnswer =
  | { readonly answer: 'proof'; readonly possession: Possession }
  | { readonly answer: 'deny'; readonly because: AuditDenial };

export type AuditDenial = 'busy' | 'absent' | 'corrupt';

export interface AuditView {
  /** From our own copy or files; undefined when they could not be read, or were not needed. */
  readonly expected: Possession | undefined;
  /** Undefined when there was no answer. */
  readonly answer: AuditAnswer | undefined;
  /** The holder denied it before, and its log still names it. */
  readonly deniedBefore: boolean;
  /** The unbroken run of unanswered questions before this one: how many, and over how many ms. */
  readonly unanswered: { readonly questions: number; readonly forMs: number };
  /** How long a walk through all copies takes, in ms. */
  readonly scrubMs: number;
}

export type AuditVerdict = 'passed' | 'failed' | 'denied' | 'unknown';

/** A copy must have been seen within this many walks. */
const WALKS = 2;
/** The fewest unanswered questions that count: a host that was away most of that time was hardly asked. */
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
