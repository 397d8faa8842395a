/**
 * Boot watch: carries out what core/later-starts.ts decides. It raises STATE/boot durably to the highest start heard
 * of and ends the service; systemd starts it again, above that number. Changing the counter in every running part
 * instead would not be a start at all.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import { ClusterError } from '../core/fault.js';
import type { FrameNumber } from '../core/frame-window.js';
import type { PeerName } from '../core/ids.js';
import { LaterStarts } from '../core/later-starts.js';
import { readIfThere, writeDurable } from '../platform/durable.js';
import type { Alarms } from './alarms.js';
import { raiseBoot } from './boot-counter.js';

export interface BootWatchOptions {
  readonly stateDir: string;
  readonly boot: number;
  /** Gossip frames that this start has sent. */
  readonly framesSent: () => number;
  readonly nameOf: (peer: PeerName) => string;
  /** Trusted members besides this host. */
  readonly others: () => number;
  readonly wallMs: () => number;
  readonly alarms: Alarms;
  readonly log: Logger;
  /** Changes how long the raise is put off, for tests. Default: as decided. */
  readonly waitMs?: (inMs: number) => number;
}

export class BootWatch {
  readonly #options: BootWatchOptions;
  #end: (error: unknown) => void = () => undefined;
  /** Never fulfilled. Rejected with BOOT_BEHIND once the counter is raised: the service must then start again. */
  readonly behind = new Promise<never>((_, reject) => {
    this.#end = reject;
  });
  readonly #starts: LaterStarts;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: BootWatchOptions) {
    this.#options = options;
    this.#starts = new LaterStarts(options.boot);
    // The runner of the service awaits this only after everything has started; until then a rejection must not go
    // unhandled.
    this.behind.catch(() => undefined);
  }

  /** Takes the last frame of this host that a trusted member has heard. */
  hear(heard: FrameNumber, from: PeerName): void {
    const { boot: ours, framesSent, alarms, nameOf, others, wallMs, log, waitMs = inMs => inMs } = this.#options;
    if (this.#stopped) return;
    const { boot } = heard;
    const view = { framesSent: framesSent(), wallMs: wallMs(), raisedMs: this.#raisedMs(), others: others() };
    const verdict = this.#starts.hear(heard, from, view);
    if (verdict.act === 'refuse')
      log.warn({ code: 'BOOT_NOT_BELIEVED', from, boot }, 'a member reports a start of this host that is impossible');
    if (verdict.act !== 'raise') return;
    if (verdict.isAlone) {
      alarms.raise(
        'BOOT_BEHIND',
        '',
        `${nameOf(from)} says that it has heard start ${boot} of this host, but this is start ${ours}; no other member says so. If that stays so, the counter is raised on its word alone in ${Math.ceil(verdict.inMs / 60_000)} min and the service starts again. If this host's state was not put back from an old image and no copy of this host is running, ${nameOf(from)} does not tell the truth: look at that host`,
      );
    } else if (verdict.isAgain) {
      alarms.raise(
        'BOOT_BEHIND',
        '',
        `${nameOf(from)} has heard start ${boot} of this host, but this is start ${ours}, although the counter was raised less than an hour ago: another machine seems to run with this host's identity. Switch off the copy; other hosts ignore this host until it has started again`,
      );
    } else alarms.clear('BOOT_BEHIND', '');
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#raise(), waitMs(verdict.inMs));
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #raisedMs(): number | undefined {
    const raisedMs = Number(readIfThere(this.#raisedPath)?.toString('utf8').trim() ?? Number.NaN);
    return Number.isFinite(raisedMs) ? raisedMs : undefined;
  }

  get #raisedPath(): string {
    return join(this.#options.stateDir, 'boot-raised');
  }

  async #raise(): Promise<void> {
    const { stateDir, boot, wallMs } = this.#options;
    try {
      await writeDurable(this.#raisedPath, `${Math.floor(wallMs())}\n`, { mode: 0o600 });
      await raiseBoot(stateDir, this.#starts.highest);
    } catch (error) {
      this.#end(error);
      return;
    }
    this.#end(
      new ClusterError(
        'BOOT_BEHIND',
        `other hosts have heard start ${this.#starts.highest} of this host, but this is start ${boot}: its state folder was put back from an old image, and other hosts ignore what it says. The counter was raised and nothing else was changed; start the service again`,
        { blame: 'passing' },
      ),
    );
  }
}
