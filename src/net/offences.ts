/**
 * Offences: counts what a peer sent that no honest build of this program sends, and decides the ban that follows.
 *
 * One malformed message may be a bug or a bad cable; after ten within ten minutes the peer gets no more tries. A ban
 * is short, in memory and reported: it keeps a broken host from costing others their time, and does not judge it.
 * Pure: time is handed in. Driven by start-net.ts, which closes the connections of banned peers.
 */
import type { PeerName } from '../core/ids.js';

/** Offences within the window that lead to a ban. */
export const OFFENCES_MAX = 10;
export const OFFENCE_WINDOW_MS = 10 * 60_000;
/** src/DESIGN.md, "Limits on peers". */
export const BAN_MS = 10 * 60_000;

export class Offences {
  readonly #counts = new Map<PeerName, { sinceMs: number; count: number }>();
  readonly #bannedUntilMs = new Map<PeerName, number>();

  /** Counts one offence. @returns true when this one leads to a ban, which starts now */
  count(peer: PeerName, nowMs: number): boolean {
    this.#forget(nowMs);
    const entry = this.#counts.get(peer) ?? { sinceMs: nowMs, count: 0 };
    entry.count += 1;
    this.#counts.set(peer, entry);
    if (entry.count < OFFENCES_MAX) return false;
    this.#counts.delete(peer);
    this.#bannedUntilMs.delete(peer);
    this.#bannedUntilMs.set(peer, nowMs + BAN_MS);
    return true;
  }

  isBanned(peer: PeerName, nowMs: number): boolean {
    const untilMs = this.#bannedUntilMs.get(peer);
    return untilMs !== undefined && nowMs < untilMs;
  }

  /** What is over goes, for a stranger may come under a new name each time. Both maps have the oldest first. */
  #forget(nowMs: number): void {
    for (const [peer, { sinceMs }] of this.#counts) {
      if (nowMs - sinceMs < OFFENCE_WINDOW_MS) break;
      this.#counts.delete(peer);
    }
    for (const [peer, untilMs] of this.#bannedUntilMs) {
      if (nowMs < untilMs) break;
      this.#bannedUntilMs.delete(peer);
    }
  }
}
