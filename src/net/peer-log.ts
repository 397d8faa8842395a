/**
 * Peer log: warnings that a peer's own doing causes. A member's are all in the log. Strangers cost nothing but a new key
 * each, so all of them together have a few lines: the others are there for who looks for them (level debug).
 */
import type { Logger } from 'pino';
import type { PeerName } from '../core/ids.js';
import { TokenBucket } from './token-bucket.js';

/** Lines about strangers at once: enough to see what is going on. */
export const STRANGER_LINES_BURST = 20;
/** … and then one a minute. */
const STRANGER_LINES_PER_SECOND = 1 / 60;

export class PeerLog {
  readonly #log: Logger;
  readonly #isMember: (peer: PeerName) => boolean;
  readonly #strangers: TokenBucket;

  constructor(log: Logger, isMember: (peer: PeerName) => boolean) {
    this.#log = log;
    this.#isMember = isMember;
    const nowMs = performance.now();
    this.#strangers = new TokenBucket({ perSecond: STRANGER_LINES_PER_SECOND, burst: STRANGER_LINES_BURST, nowMs });
  }

  warn(peer: PeerName, fields: Readonly<Record<string, unknown>>, text: string): void {
    const isTold = this.#isMember(peer) || this.#strangers.take(1, performance.now());
    this.#log[isTold ? 'warn' : 'debug']({ ...fields, peer }, text);
  }

  debug(peer: PeerName, fields: Readonly<Record<string, unknown>>, text: string): void {
    this.#log.debug({ ...fields, peer }, text);
  }
}
