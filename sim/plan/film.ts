/**
 * Film: a plan's run seen from far above: how many parcels had how many copies, and how full each host was, at evenly
 * spaced times, however long the run took.
 */
import type { CopyWatch } from '../copy-watch.js';
import type { World } from '../world.js';

export interface Frame {
  readonly atMs: number;
  /** Parcels with 0, 1, 2 … copies. */
  readonly withCopies: readonly number[];
  /** Used share of the lent room, 0 to 1, per host; undefined for a host that is gone or not there yet. */
  readonly fill: readonly (number | undefined)[];
}

/** When there are more frames, every other one is dropped. */
const FRAMES_MAX = 600;
const FIRST_EVERY_MS = 1_000;

export class Film {
  readonly #world: World;
  readonly #watch: CopyWatch;
  readonly #copiesMax: number;
  #frames: Frame[] = [];
  #everyMs = FIRST_EVERY_MS;
  #nextMs = 0;

  constructor(world: World, watch: CopyWatch, { copiesMax }: { readonly copiesMax: number }) {
    this.#world = world;
    this.#watch = watch;
    this.#copiesMax = copiesMax;
  }

  get frames(): readonly Frame[] {
    return this.#frames;
  }

  /** Called after every event. */
  look(): void {
    if (this.#world.nowMs < this.#nextMs) return;
    this.take();
    this.#nextMs = this.#world.nowMs + this.#everyMs;
  }

  take(): void {
    const withCopies = Array.from({ length: this.#copiesMax + 2 }, (_, copies) => this.#watch.withCopies(copies));
    const fill = this.#world.hosts.map(({ lost, stores }) => {
      if (lost) return undefined;
      const lent = stores.reduce((sum, { lentBytes }) => sum + lentBytes, 0);
      return lent === 0 ? 0 : stores.reduce((sum, { usedBytes }) => sum + usedBytes, 0) / lent;
    });
    this.#frames.push({ atMs: this.#world.nowMs, withCopies, fill });
    if (this.#frames.length <= FRAMES_MAX) return;
    this.#frames = this.#frames.filter((_, i) => i % 2 === 0);
    this.#everyMs *= 2;
  }
}
