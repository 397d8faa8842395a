/**
 * Frame notes: the last gossip frame heard of each member, kept over a restart, so that old frames cannot be replayed
 * as new.
 *
 * Written behind, not flushed each time: a crash loses only the last moments, and a replayed frame of those says what
 * was true a moment ago.
 */
import type { Database, RootDatabase } from 'lmdb';
import type { PeerName } from '../core/ids.js';

interface Frame {
  /** The writer's start counter. */
  readonly boot: number;
  /** The frame's number within that start. */
  readonly frame: number;
}

/** The size of each of the two counters: up to 281 billion. */
const COUNTER_BYTES = 6;

export class FrameNotes {
  readonly #notes: Database<Buffer, Uint8Array>;

  constructor(root: RootDatabase<Buffer, Uint8Array>) {
    this.#notes = root.openDB({ name: 'frames', keyEncoding: 'binary', encoding: 'binary' });
  }

  *load(): IterableIterator<readonly [PeerName, Frame]> {
    for (const { key, value } of this.#notes.getRange({})) {
      const bytes = Buffer.from(value);
      if (bytes.length !== 2 * COUNTER_BYTES) continue;
      const frame = bytes.readUIntBE(COUNTER_BYTES, COUNTER_BYTES);
      yield [Buffer.from(key).toString('latin1') as PeerName, { boot: bytes.readUIntBE(0, COUNTER_BYTES), frame }];
    }
  }

  save(writer: PeerName, { boot, frame }: Frame): void {
    const value = Buffer.alloc(2 * COUNTER_BYTES);
    value.writeUIntBE(boot, 0, COUNTER_BYTES);
    value.writeUIntBE(frame, COUNTER_BYTES, COUNTER_BYTES);
    // lmdb joins puts of the same moment into one transaction.
    this.#notes.put(Buffer.from(writer, 'latin1'), value).catch(() => {
      // A disk that refuses what is written is told of once for all (index-refusals.ts).
    });
  }
}
