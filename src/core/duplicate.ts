/**
 * Duplicate: do two machines run with one identity?
 *
 * A disk that was copied makes a second host that is the first: same key, same stores, same logs. Each start raises the
 * boot counter, durably, before anything is said, and draws a boot id; so two boot ids under one counter are two
 * machines. Nothing that such a host says can be believed until a person puts it right: the host is set aside, and an
 * alarm is raised.
 *
 * The copy of a disk starts under the next number while its original goes on running, though. Each of the two then finds
 * that it is not heard and raises its counter above the other's (later-starts.ts), the second time only after an hour.
 * Until then an earlier start goes on speaking in turns with the last one, which no late message does: that is two
 * machines too (`StartTurns`).
 *
 * A lower counter than before, under a new id, means a host that was restored from an old image: it goes on. It may
 * also be a late message of an earlier start that we had not heard of; then the later start speaks again, and is
 * believed.
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
  /** The host has restarted. */
  | 'restarted'
  /** A late message from before its last start. Not to be believed. */
  | 'older'
  | 'duplicate';

/** How many starts of a host are remembered. */
export const BOOTS_KEPT = 8;

/** So many turns of an earlier start make it another machine. Its last messages, overtaken by its next start, are one or two. */
export const TURNS_MIN = 3;
/** At least this long from one turn to the next, in ms, so that frames that arrive late in a bunch count as one. */
export const TURN_MS_MIN = 30_000;

/** Two starts of one host that speak in turns. */
export class StartTurns {
  #turns = 0;
  #turnMs = Number.NEGATIVE_INFINITY;
  /** The last start has spoken since the last turn. */
  #hasLastSpoken = false;

  heardLast(): void {
    this.#hasLastSpoken = true;
  }

  /**
   * An earlier start says what it had not said before.
   * @param forgetMs after so long without a turn they are counted from 1 again
   * @returns whether two machines run
   */
  heardEarlier(nowMs: number, forgetMs: number): boolean {
    const sinceMs = nowMs - this.#turnMs;
    if (sinceMs > forgetMs) this.#turns = 0;
    if (this.#hasLastSpoken && sinceMs >= TURN_MS_MIN) {
      this.#turns += 1;
      this.#turnMs = nowMs;
      this.#hasLastSpoken = false;
    }
    return this.#turns >= TURNS_MIN;
  }
}

/** @param known its starts so far, the last one last */
export function decideBoot(known: readonly Boot[], heard: Boot): BootVerdict {
  const last = known.at(-1);
  if (last === undefined) return 'restarted';
  if (heard.bootId === last.bootId) return 'same';
  // Also when the other machine of a duplicate is heard again: that restarts the alarm's time.
  if (heard.boot === last.boot) return 'duplicate';
  const isKnown = known.some(({ bootId }) => bootId === heard.bootId);
  return isKnown && heard.boot < last.boot ? 'older' : 'restarted';
}
