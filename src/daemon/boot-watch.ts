/**
 * Boot watch: has somebody heard a later start of this host than this one?
 *
 * A state folder that was put back from an old image has an old boot counter, and what we gossip is dropped as older than
 * what was heard before. Whoever answers for `state` says the last frame that it heard of us; one that we have not sent
 * yet means that our counter is behind. Then STATE/boot is raised to the highest heard, durably, and the service ends: the
 * next start is above it, and systemd makes it. The other way, a new counter in all that runs, would be no start at all.
 *
 * A peer's word is all we have, so it is believed of trusted members only, so far and so often only. Two machines with one
 * identity find each other's starts later in turn: a second time within an hour is an alarm first.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import { ClusterError } from '../core/fault.js';
import type { FrameNumber } from '../core/frame-window.js';
import type { PeerName } from '../core/ids.js';
import { readIfThere, writeDurable } from '../platform/durable.js';
import type { Alarms } from './alarms.js';
import { raiseBoot } from './boot-counter.js';

/** From the first that has heard a later start until the end of the service, in ms: others may have heard still later ones. */
const OTHERS_MS = 5_000;
/** Between two times that the counter is raised, in ms of the wall clock. */
export const RAISE_EVERY_MS = 3_600_000;
/** A start every quarter of an hour for three years. More is a lie, or a fault, and would use the counter up. */
export const BEHIND_MAX = 100_000;

export interface BootWatchOptions {
  readonly stateDir: string;
  readonly boot: number;
  /** Gossip frames that this start has sent. */
  readonly framesSent: () => number;
  readonly nameOf: (peer: PeerName) => string;
  readonly wallMs: () => number;
  readonly alarms: Alarms;
  readonly log: Logger;
  /** Default: OTHERS_MS. */
  readonly othersMs?: number;
}

export class BootWatch {
  readonly #options: BootWatchOptions;
  #end: (error: unknown) => void = () => undefined;
  /** Never fulfilled. Rejected with BOOT_BEHIND when the counter has been raised: the service is to be started again. */
  readonly behind = new Promise<never>((_, reject) => {
    this.#end = reject;
  });
  #highest = 0;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: BootWatchOptions) {
    this.#options = options;
    // Who runs the service waits for it only when all has started.
    this.behind.catch(() => undefined);
  }

  /** The last frame that a trusted member has heard of us. */
  hear({ boot, frame }: FrameNumber, from: PeerName): void {
    const { boot: ours, framesSent, alarms, nameOf, log } = this.#options;
    if (this.#stopped || boot < ours || (boot === ours && frame <= framesSent())) return;
    if (boot > ours + BEHIND_MAX) {
      log.warn({ code: 'BOOT_NOT_BELIEVED', from, boot }, 'a member says that it heard a start of ours that cannot be');
      return;
    }
    this.#highest = Math.max(this.#highest, boot);
    if (this.#timer !== undefined) return;
    const againMs = this.#mayRaiseInMs();
    if (againMs > 0) {
      alarms.raise(
        'BOOT_BEHIND',
        '',
        `${nameOf(from)} has heard start ${boot} of this host, and this is start ${ours}, though the counter was raised within the hour: another machine seems to run with this host's identity. Switch off the copy; what this host says is not heard until it has started again`,
      );
    }
    this.#timer = setTimeout(() => void this.#raise(), Math.max(againMs, this.#options.othersMs ?? OTHERS_MS));
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** A time that lies ahead is a wall clock that was put back, and holds nothing up. */
  #mayRaiseInMs(): number {
    const raisedMs = Number(readIfThere(this.#raisedPath)?.toString('utf8').trim() ?? Number.NaN);
    const sinceMs = this.#options.wallMs() - raisedMs;
    return sinceMs >= 0 && sinceMs < RAISE_EVERY_MS ? RAISE_EVERY_MS - sinceMs : 0;
  }

  get #raisedPath(): string {
    return join(this.#options.stateDir, 'boot-raised');
  }

  async #raise(): Promise<void> {
    const { stateDir, boot, wallMs } = this.#options;
    try {
      await writeDurable(this.#raisedPath, `${Math.floor(wallMs())}\n`, { mode: 0o600 });
      await raiseBoot(stateDir, this.#highest);
    } catch (error) {
      this.#end(error);
      return;
    }
    this.#end(
      new ClusterError(
        'BOOT_BEHIND',
        `other hosts have heard start ${this.#highest} of this host and this is start ${boot}: its state folder was put back from an old image, and what it says is not heard. The counter was raised and nothing else was changed; start the service again`,
        { blame: 'passing' },
      ),
    );
  }
}
