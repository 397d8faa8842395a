/**
 * Unanswered notes: copies of other hosts that did not answer this host's audits, how often, and since when in its
 * running time. Kept over a restart, because a verdict takes two walks through all copies, and a host restarts more
 * often.
 *
 * Not flushed each time: a lost note is made again later.
 */
import type { Database, RootDatabase } from 'lmdb';
import type { UnansweredAudit } from '../core/effects.js';
import { bytesOf, hexOf, parseHostId, parseParcelId, parseStoreId } from '../core/ids.js';
import { packRun, RUN_BYTES, runFrom } from './running-bytes.js';

const HOST_BYTES = 16;
const STORE_BYTES = 16;
const QUESTIONS_MAX = 2 ** 32 - 1;

export class UnansweredNotes {
  readonly #notes: Database<Buffer, Uint8Array>;

  constructor(root: RootDatabase<Buffer, Uint8Array>) {
    this.#notes = root.openDB({ name: 'unanswered', keyEncoding: 'binary', encoding: 'binary' });
  }

  /** @param ranMs the running time now */
  all(ranMs: number): UnansweredAudit[] {
    return [...this.#notes.getRange({})].map(({ key, value }) => ({
      copy: {
        host: parseHostId(hexOf(key.subarray(0, HOST_BYTES))),
        store: parseStoreId(hexOf(key.subarray(HOST_BYTES, HOST_BYTES + STORE_BYTES))),
        parcel: parseParcelId(hexOf(key.subarray(HOST_BYTES + STORE_BYTES))),
      },
      unanswered: {
        sinceRunMs: runFrom(value, ranMs),
        questions: Buffer.from(value).readUInt32BE(RUN_BYTES),
      },
    }));
  }

  async note({ copy, unanswered }: UnansweredAudit): Promise<void> {
    const questions = Buffer.alloc(4);
    questions.writeUInt32BE(Math.min(unanswered.questions, QUESTIONS_MAX));
    await this.#notes.put(keyOf(copy), Buffer.concat([packRun(unanswered.sinceRunMs), questions]));
  }

  async forget(copy: UnansweredAudit['copy']): Promise<void> {
    await this.#notes.remove(keyOf(copy));
  }
}

function keyOf({ host, store, parcel }: UnansweredAudit['copy']): Buffer {
  return Buffer.concat([bytesOf(host), bytesOf(store), bytesOf(parcel)]);
}
