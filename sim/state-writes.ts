/** State writes: what one service writes to its host's state disk, one write after another, for as long as it runs. */
import { between } from './draw.js';
import type { Running } from './sim-host.js';
import type { Surroundings } from './surroundings.js';

/** The time of a flushed write, in ms, on a disk that is not slow. */
const WRITE_MS = { least: 2, most: 30 };

export class StateWrites {
  readonly #of: Running;
  readonly #world: Surroundings;
  #readyMs = 0;

  constructor(of: Running, world: Surroundings) {
    this.#of = of;
    this.#world = world;
  }

  /**
   * Writes run one after another. Exactly one of the two callbacks is called, and neither once the service has ended.
   */
  write(done: () => void, refused: () => void = (): undefined => undefined): void {
    const { nowMs, chance } = this.#world;
    const { disk, number } = this.#of.host;
    const ms = between(chance.of(`state/${number}`), WRITE_MS.least, WRITE_MS.most) + disk.state.slowMs;
    this.#readyMs = Math.max(this.#readyMs, nowMs + ms);
    this.#world.after(this.#readyMs - nowMs, () => this.#of.enter(() => (this.refuses() ? refused() : done())));
  }

  /** For a write that takes no time here. @returns whether the disk refuses it */
  refuses(): boolean {
    const { refuses } = this.#of.host.disk.state;
    if (refuses) this.#world.counts.stateRefused += 1;
    return refuses;
  }
}
