/**
 * Unanswered notes: copies of others that did not answer our audits, how often, and since when in this host's running time.
 * Kept over a restart, for it takes two walks through all copies to come to a verdict, and a host starts more often.
 *
 * Not flushed each time: a note that is lost is made again, later.
 */
import type { Database, RootDatabase } from 'lmdb';
import type { UnansweredAudit } from '../core/effects.js';
import { bytesOf, hexOf, parseHostId, parseParcelId, parseStoreId } from '../core/ids.js';

const HOST_BYTES = 16;
const STORE_BYTES = 16;
/** 285,000 years of running time. */
const RUN_BYTES = 6;
const QUESTIONS_MAX = 2 ** 32 - 1;

export class UnansweredNotes {
  readonly #notes: Database<Buffer, Uint8Array>;

  constructor(root: RootDatabase<Buffer, Uint8Array>) {
    this.#notes = root.openDB({ name: 'unanswered', keyEncoding: 'binary', encoding: 'binary' });
  }

  /** What was noted later than `ranMs` (the running time was lost) counts from then on: rather too late than too early. */
  all(ranMs: number): UnansweredAudit[] {
    return [...this.#notes.getRange({})].map(({ key, value }) => ({
      copy: {
        host: parseHostId(hexOf(key.subarray(0, HOST_BYTES))),
        store: parseStoreId(hexOf(key.subarray(HOST_BYTES, HOST_BYTES + STORE_BYTES))),
        parcel: parseParcelId(hexOf(key.subarray(HOST_BYTES + STORE_BYTES))),
      },
      unanswered: {
        sinceRunMs: Math.min(Buffer.from(value).readUIntBE(0, RUN_BYTES), ranMs),
        questions: Buffer.from(value).readUInt32BE(RUN_BYTES),
      },
    }));
  }

  async note({ copy, unanswered }: UnansweredAudit): Promise<void> {
    const value = Buffer.alloc(RUN_BYTES + 4);
    // Rounded up: rather a little later than too early.
    value.writeUIntBE(Math.ceil(unanswered.sinceRunMs), 0, RUN_BYTES);
    value.writeUInt32BE(Math.min(unanswered.questions, QUESTIONS_MAX), RUN_BYTES);
    await this.#notes.put(keyOf(copy), value);
  }

  async forget(copy: UnansweredAudit['copy']): Promise<void> {
    await this.#notes.remove(keyOf(copy));
  }
}

function keyOf({ host, store, parcel }: UnansweredAudit['copy']): Buffer {
  return Buffer.concat([bytesOf(host), bytesOf(store), bytesOf(parcel)]);
}
