/**
 * Store disks: keeps the disks of this host's stores apart (platform/disk.ts), and knows which of them hang, for a
 * while or for too long. own-stores.ts drives this and decides what becomes of their stores.
 */

import { HANGING } from '../core/hanging.js';
import { type Disk, PATIENCE, type Patience, setApart } from '../platform/disk.js';
import { END_PATIENCE, watchDisks } from './hanging.js';

export interface StoreDisksOptions {
  /** How long a disk may take before it hangs; `endMs`: when the service ends. Default: PATIENCE, END_PATIENCE. */
  readonly patience?: Patience & { readonly endMs: number };
  /** The disk has hung for too long and must be given up. */
  readonly onHanging: (path: string, disk: Disk) => void;
  /** The set of hanging disks may have changed. */
  readonly onLook: () => void;
}

export class StoreDisks {
  readonly #options: StoreDisksOptions;
  /** By path, of all stores that were ever configured. */
  readonly #disks = new Map<string, Disk>();
  #patience: Patience;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: StoreDisksOptions) {
    this.#options = options;
    this.#patience = options.patience ?? PATIENCE;
  }

  watch(): void {
    this.#timer = watchDisks(
      () => this.#disks.values(),
      () => this.#look(),
    );
  }

  setApart(path: string): Disk {
    const disk = setApart(path);
    this.#disks.set(path, disk);
    return disk;
  }

  paths(): readonly string[] {
    return [...this.#disks.keys()];
  }

  /** True when the disk keeps a caller waiting for longer than a merely busy disk does. */
  hangs(path: string): boolean {
    return setApart(path).hangs(HANGING);
  }

  /** The service is about to end: from now on a disk is waited for only a limited time. */
  hurry(): void {
    const endMs = this.#options.patience?.endMs;
    this.#patience = endMs === undefined ? END_PATIENCE : { callMs: endMs, flushMs: endMs };
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { onHanging, onLook } = this.#options;
    for (const [path, disk] of this.#disks) if (!disk.isGivenUp && disk.hangs(this.#patience)) onHanging(path, disk);
    onLook();
  }
}
