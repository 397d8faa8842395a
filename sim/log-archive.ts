/**
 * Log archive: how far a host has read the logs of others, kept over a restart, and how its machine is told what was
 * read.
 */
import type { CheckpointPiece } from '../src/core/checkpoint.js';
import { compareEpochs } from '../src/core/holdings-log.js';
import type { StoreId } from '../src/core/ids.js';
import type { Running } from './sim-host.js';
import type { StateWrites } from './state-writes.js';
import type { LogTelling } from './store-log.js';
import type { Surroundings } from './surroundings.js';

export class LogArchive {
  readonly #of: Running;
  readonly #world: Surroundings;
  readonly #state: StateWrites;

  constructor({
    of,
    world,
    state,
  }: { readonly of: Running; readonly world: Surroundings; readonly state: StateWrites }) {
    this.#of = of;
    this.#world = world;
    this.#state = state;
  }

  /** After a start, tells the machine what was read before. */
  tellAll(): void {
    const { disk, id } = this.#of.host;
    for (const [, { log, seq }] of disk.archive) if (log.host !== id) this.tell(log.telling(0, seq));
  }

  tell({ pieces, segment }: LogTelling, relayed = false): void {
    for (const piece of pieces) this.#of.tell({ is: 'checkpoint', piece, relayed });
    this.#of.tell({ is: 'log', segment, relayed });
  }

  /**
   * Takes a checkpoint that the writer announces for a part that we have read past: only here it shows if we read
   * another log.
   */
  compare({ checkpoint: { host, at } }: CheckpointPiece): void {
    const { archive } = this.#of.host.disk;
    const known = archive.get(at.store);
    if (known === undefined || compareEpochs(known.log.epoch, at.epoch) !== 0 || at.seq > known.seq) return;
    if (known.log.digestAt(at.seq) === at.digest) return;
    this.#world.counts.logForks += 1;
    this.#of.tell({ is: 'log-forked', host, store: at.store });
    archive.delete(at.store);
  }

  /** @param digest of the last operation that was read */
  keep(store: StoreId, digest: string, relayed: boolean): void {
    const place = this.#world.logs.placeOf(digest);
    if (place === undefined || place.log.host === this.#of.host.id) return;
    const { log, seq } = place;
    const { archive } = this.#of.host.disk;
    const known = archive.get(store);
    const order = known === undefined ? 1 : compareEpochs(log.epoch, known.log.epoch);
    if (order < 0) return;
    if (known !== undefined && order === 0) {
      if (seq < known.seq) return;
      const carriesOn = log.continues(known.log, known.seq);
      if (carriesOn ? seq === known.seq : relayed) return;
    }
    if (this.#state.refuses()) return;
    archive.set(store, place);
  }
}
