/**
 * Signed time: what time it is at the least, by what admins have signed. Else a clock that was set back would open invites again that
 * have expired.
 *
 * From the latest signed time on it goes on as this host runs, over all starts: an invite lasts no longer than it should, also where an
 * admin's clock was years ahead when it signed. When it was heard of is durable, in `STATE/signed-time.json`; without that file it is
 * as if it were heard of only now.
 *
 * Driven by membership.ts.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { readIfThere, writeDurable } from '../platform/durable.js';

const markFile = z.strictObject({ signedMs: z.int().min(0), ranMs: z.int().min(0) });

/** A signed time, and the running time of this host when it was later than any before. */
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
    // Where the running time was lost it begins anew: then so does what has run since.
    this.#mark = { signedMs, ranMs: Math.min(ranMs, Math.floor(runMs())) };
  }

  /** Whole ms since 1970. Never goes back while the service runs; over a crash by as much as the running time does. */
  leastMs(): number {
    return this.#mark.signedMs + Math.floor(this.#runMs()) - this.#mark.ranMs;
  }

  /** Takes in a time that was signed; durable when this returns, if it is later than what it is at the least. */
  async hear(signedMs: number): Promise<void> {
    if (signedMs <= this.leastMs()) return;
    this.#mark = { signedMs, ranMs: Math.floor(this.#runMs()) };
    try {
      await writeDurable(this.#path, `${JSON.stringify(this.#mark)}\n`, { mode: 0o600 });
    } catch (error) {
      // What was signed is durable itself; only for how long this host has run since is not.
      this.#log.warn(
        { code: 'SIGNED_TIME_NOT_KEPT', err: error },
        'when a signed time was heard of could not be written down; after a restart invites may last longer',
      );
    }
  }

  #read(): Mark | undefined {
    const text = readIfThere(this.#path)?.toString('utf8');
    if (text === undefined) return undefined;
    try {
      return markFile.parse(JSON.parse(text));
    } catch (error) {
      this.#log.warn({ err: error, file: this.#path }, 'a damaged file counts for nothing; invites may last longer');
      return undefined;
    }
  }
}
