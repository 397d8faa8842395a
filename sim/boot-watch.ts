/**
 * Boot watch: raises a host's boot counter when others have heard a later start of it (core/later-starts.ts), and
 * restarts its service.
 */
import type { FrameNumber } from '../src/core/frame-window.js';
import type { HostId } from '../src/core/ids.js';
import { LaterStarts } from '../src/core/later-starts.js';
import type { Running } from './sim-host.js';
import type { StateWrites } from './state-writes.js';
import type { Surroundings } from './surroundings.js';

export class BootWatch {
  readonly #of: Running;
  readonly #world: Surroundings;
  readonly #state: StateWrites;
  readonly #laterStarts: LaterStarts;

  constructor({
    of,
    world,
    state,
  }: { readonly of: Running; readonly world: Surroundings; readonly state: StateWrites }) {
    this.#of = of;
    this.#world = world;
    this.#state = state;
    this.#laterStarts = new LaterStarts(of.boot);
  }

  /**
   * Takes what a trusted member has last heard of us. The service ends and restarts even if the counter cannot be
   * raised.
   */
  hear(heard: FrameNumber | undefined, from: HostId): void {
    if (heard === undefined) return;
    const { host } = this.#of;
    const { disk } = host;
    const verdict = this.#laterStarts.hear(heard, from, {
      framesSent: this.#world.network.framesSent(this.#of),
      wallMs: this.#wallMs,
      raisedMs: disk.bootRaisedMs,
      others: this.#others,
    });
    if (verdict.act !== 'raise') return;
    this.#world.after(verdict.inMs, () =>
      this.#of.enter(() => {
        if (!this.#state.refuses()) {
          disk.bootRaisedMs = this.#wallMs;
          disk.boot = Math.max(disk.boot, this.#laterStarts.highest);
        }
        this.#world.counts.bootsRaised += 1;
        this.#world.restart(host);
      }),
    );
  }

  get #others(): number {
    const { id, disk } = this.#of.host;
    return disk.config.members.filter(
      ({ host, trust, state }) => host !== id && trust === 'trusted' && state !== 'revoked',
    ).length;
  }

  get #wallMs(): number {
    return this.#world.nowMs + this.#of.host.wallOffsetMs;
  }
}
