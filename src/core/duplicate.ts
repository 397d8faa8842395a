/**
 * Duplicate: do two machines run with one identity?
 *
 * A disk that was copied makes a second host that is the first: same key, same stores, same logs. Each start raises the
 * boot counter, durably, before anything is said, and draws a boot id; so two boot ids under one counter are two machines.
 * Nothing that such a host says can be believed until a person has put it right: it is set aside, and an alarm is raised.
 *
 * A counter that is lower than before, under an id that is new, is a host that was put back from an old image: it goes on.
 * Or it is a late word of an earlier start that we had not heard of; then the later start speaks again, and is believed.
 *
 * Pure. Driven by hosts.ts at each heartbeat.
 */
export interface Boot {
  /** Rises with each start. */
  readonly boot: number;
  /** Random, drawn at each start. 16 hex digits. */
  readonly bootId: string;
}

export type BootVerdict =
  | 'same'
  /** It has started again. */
  | 'restarted'
  /** From before its last start, and late. Not to be believed. */
  | 'older'
  | 'duplicate';

/** Starts of a host that are remembered. */
export const BOOTS_KEPT = 8;

/** @param known its starts so far, the last one last */
export function decideBoot(known: readonly Boot[], heard: Boot): BootVerdict {
  const last = known.at(-1);
  if (last === undefined) return 'restarted';
  if (heard.bootId === last.bootId) return 'same';
  // Also where the other machine of a duplicate is heard again: the time of the alarm starts anew.
  if (heard.boot === last.boot) return 'duplicate';
  const isKnown = known.some(({ bootId }) => bootId === heard.bootId);
  return isKnown && heard.boot < last.boot ? 'older' : 'restarted';
}
