/**
 * Per disk: something of which each disk that was set apart has its own (disk.ts), and all others share one.
 */
import type { Disk } from './disk.js';

export class PerDisk<T> {
  readonly #make: (disk: Disk | undefined) => T;
  /**
   * For as long as the `Disk` is referenced: the daemon sets one apart, and puts it back, each time it checks where a
   * folder lies.
   */
  readonly #ofDisks = new WeakMap<Disk, T>();
  #shared: T | undefined;

  constructor(make: (disk: Disk | undefined) => T) {
    this.#make = make;
  }

  of(disk: Disk | undefined): T {
    if (disk === undefined) {
      this.#shared ??= this.#make(undefined);
      return this.#shared;
    }
    const own = this.#ofDisks.get(disk) ?? this.#make(disk);
    this.#ofDisks.set(disk, own);
    return own;
  }
}
