/**
 * Signed time: the earliest time that it can be now, by what admins have signed. Without it, a clock that was set back
 * would reopen expired invites.
 *
 * From the latest signed time on, it advances as this host runs, over all starts: so an invite lasts no longer than it
 * should, even when an admin's clock was years ahead at the signing. The moment at which that time was heard of is
 * durable, in `STATE/signed-time.json`; without that file it counts as heard of only now.
 *
 * Driven by membership.ts.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { readIfThere, writeDurable } from '../platform/durable.js';

const markFile = z.strictObject({ signedMs: z.int().min(0), ranMs: z.int().min(0) });

/** The latest signed time, and this host's running time when it was first heard of. */
type Mark = z.output<typeof markFile>;

export interface SignedTimeOptions {
  readonly stateDir: string;
  /** This host's running time, over all starts, ms. */
  readonly runMs: () => number;
  readonly log: Logger;
}

export class SignedTime {
  readonly #path: string;
  readonly #runMs: () => number;
  readonly #log: Logger;
  #mark: Mark;

  constructor({ stateDir, runMs, log }: SignedTimeOptions) {
    this.#path = join(stateDir, 'signed-time.json');
    this.#runMs = runMs;
    this.#log = log;
    const { signedMs, ranMs } = this.#read() ?? { signedMs: 0, ranMs: 0 };
    // If the running time was lost and starts again, so does the time counted since.
    this.#mark = { signedMs, ranMs: Math.min(ranMs, Math.floor(runMs())) };
  }

  /**
   * Whole ms since 1970. Never goes back while the service runs; after a crash it may, by as much as the running time
   * does.
   */
  leastMs(): number {
    return this.#mark.signedMs + Math.floor(this.#runMs()) - this.#mark.ranMs;
  }

  /** Takes in a signed time. If it is later than `leastMs`, it is durable when this returns. */
  async hear(signedMs: number): Promise<void> {
    if (signedMs <= this.leastMs()) return;
    this.#mark = { signedMs, ranMs: Math.floor(this.#runMs()) };
    try {
      await writeDurable(this.#path, `${JSON.stringify(this.#mark)}\n`, { mode: 0o600 });
    } catch (error) {
      // The signed version itself is durable; only how long this host has run since is lost.
      this.#log.warn(
        { code: 'SIGNED_TIME_NOT_KEPT', err: error },
        'the time at which a signed time was heard of could not be written down; after a restart invites may last longer',
      );
    }
  }

  #read(): Mark | undefined {
    const text = readIfThere(this.#path)?.toString('utf8');
    if (text === undefined) return undefined;
    try {
      return markFile.parse(JSON.parse(text));
    } catch (error) {
      this.#log.warn({ err: error, file: this.#path }, 'a damaged file was ignored; invites may last longer');
      return undefined;
    }
  }
}
