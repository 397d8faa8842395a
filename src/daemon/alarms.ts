/**
 * Alarms: what wants a person. Each stands until what raised it is over; one (code, subject) stands once.
 */
import type { Logger } from 'pino';
import type { AlarmCode } from './alarm-codes.js';
import type { Alarm } from './service.js';

/** More than these are not told one by one: the oldest stand, and the log has the rest. */
const ALARMS_MAX = 200;

export class Alarms {
  readonly #log: Logger;
  readonly #wallMs: () => number;
  readonly #standing = new Map<string, Alarm>();

  constructor({ log, wallMs }: { readonly log: Logger; readonly wallMs: () => number }) {
    this.#log = log;
    this.#wallMs = wallMs;
  }

  raise(code: AlarmCode, subject: string, text: string): void {
    const id = `${code} ${subject}`;
    const standing = this.#standing.get(id);
    if (standing?.text === text) return;
    this.#log.warn({ code, subject }, text);
    if (standing === undefined && this.#standing.size >= ALARMS_MAX) return;
    this.#standing.set(id, { code, text, sinceMs: standing?.sinceMs ?? this.#wallMs() });
  }

  clear(code: AlarmCode, subject: string): void {
    if (this.#standing.delete(`${code} ${subject}`)) this.#log.info({ code, subject }, 'alarm over');
  }

  list(): readonly Alarm[] {
    return [...this.#standing.values()];
  }
}
