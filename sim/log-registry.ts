/** Log registry: which log a chain's digest belongs to, so that an archive can point into it instead of copying it. */
import type { StoreLog } from './store-log.js';

export interface PlaceInLog {
  readonly log: StoreLog;
  readonly seq: number;
}

export class LogRegistry {
  readonly #places = new Map<string, PlaceInLog>();

  /** The log's last operation has just been appended, or the log has just begun. */
  note(log: StoreLog): void {
    this.#places.set(log.digestAt(log.seq), { log, seq: log.seq });
  }

  placeOf(digest: string): PlaceInLog | undefined {
    return this.#places.get(digest);
  }
}
