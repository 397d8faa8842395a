/**
 * Alarms: what wants a person. Each stands until what raised it is over; one (code, subject) stands once.
 *
 * Whoever raises a (code, subject) is the only one who clears it: where two parts have alarms of one code about one thing, the subject of one
 * says whose it is.
 */
import type { Logger } from 'pino';
import type { AlarmCode } from './alarm-codes.js';
import type { Alarm } from './service.js';

/** More than these are not told one by one: the oldest stand, and the log has the rest. */
export const ALARMS_MAX = 200;
/** Of those that are not told, so many are remembered, so that the log has them once and not at each look. */
const UNTOLD_MAX = 10_000;

export class Alarms {
  readonly #log: Logger;
  readonly #wallMs: () => number;
  readonly #standing = new Map<string, Alarm>();
  /** The texts of those for which there was no room. */
  readonly #untold = new Map<string, string>();

  constructor({ log, wallMs }: { readonly log: Logger; readonly wallMs: () => number }) {
    this.#log = log;
    this.#wallMs = wallMs;
  }

  raise(code: AlarmCode, subject: string, text: string): void {
    const id = `${code} ${subject}`;
    const standing = this.#standing.get(id);
    if (standing?.text === text) return;
    if (this.#untold.get(id) !== text) this.#log.warn({ code, subject }, text);
    this.#untold.delete(id);
    if (standing === undefined && this.#standing.size >= ALARMS_MAX) {
      if (this.#untold.size < UNTOLD_MAX) this.#untold.set(id, text);
      return;
    }
    this.#standing.set(id, { code, text, sinceMs: standing?.sinceMs ?? this.#wallMs() });
  }

  clear(code: AlarmCode, subject: string): void {
    const id = `${code} ${subject}`;
    const wasUntold = this.#untold.delete(id);
    if (this.#standing.delete(id) || wasUntold) this.#log.info({ code, subject }, 'alarm over');
  }

  list(): readonly Alarm[] {
    return [...this.#standing.values()];
  }
}
