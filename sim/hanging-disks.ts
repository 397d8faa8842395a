/** Hanging disks: which stores of one host keep a call waiting for too long, as its service sees it. */
import { HANGING, LOOK_EVERY_MS } from '../src/core/hanging.js';
import type { Running } from './sim-host.js';
import type { StoreDisk } from './store-disk.js';
import type { Surroundings } from './surroundings.js';

export class HangingDisks {
  readonly #of: Running;
  readonly #world: Surroundings;
  /** The number of calls per store that already take too long. */
  readonly #overdue = new Map<StoreDisk, number>();
  /** The stores that the machine believes to hang. */
  readonly #told = new Set<StoreDisk>();

  constructor(of: Running, world: Surroundings) {
    this.#of = of;
    this.#world = world;
  }

  hangs(store: StoreDisk): boolean {
    return this.#overdue.has(store);
  }

  /** A call of this kind has just begun, and will take `ms`. */
  began(store: StoreDisk, kind: 'callMs' | 'flushMs', ms: number): void {
    const patienceMs = HANGING[kind];
    if (ms <= patienceMs) return;
    this.#world.after(patienceMs, () => this.#count(store, 1));
    this.#world.after(ms, () => this.#count(store, -1));
  }

  #count(store: StoreDisk, more: 1 | -1): void {
    const calls = (this.#overdue.get(store) ?? 0) + more;
    if (calls > 0) this.#overdue.set(store, calls);
    else this.#overdue.delete(store);
    if (more > 0 ? calls === 1 : calls === 0) this.#lookSoon(store);
  }

  /** The store was mounted: the machine has not heard of any earlier hang. */
  mounted(store: StoreDisk): void {
    this.#told.delete(store);
    if (this.hangs(store)) this.#lookSoon(store);
  }

  #lookSoon(store: StoreDisk): void {
    const { nowMs } = this.#of;
    this.#world.after(LOOK_EVERY_MS - (nowMs % LOOK_EVERY_MS), () =>
      this.#of.enter(() => {
        const hangs = this.hangs(store);
        if (hangs === this.#told.has(store) || this.#of.mounted(store.id) !== store) return;
        if (hangs) this.#told.add(store);
        else this.#told.delete(store);
        if (hangs) this.#world.counts.hangingStores += 1;
        this.#of.tell({ is: 'store-hangs', store: store.id, hangs });
      }),
    );
  }
}
