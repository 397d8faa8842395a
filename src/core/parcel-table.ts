/**
 * Parcel table: every parcel that the machine has heard of, as rows of typed arrays: some 100 bytes a parcel however
 * many hosts there are, where objects would take a kilobyte.
 *
 * A row has what a page says of the parcel (id, key, bytes), whether the catalog wants it, and which stores say that
 * they hold it. The table decides nothing. Rows are never removed; a parcel that is no longer wanted is only marked so.
 */
import { ByteIndex } from './byte-index.js';
import { grown } from './grown.js';
import { bytesOf, hexOf, type Key, type ParcelId } from './ids.js';
import type { ParcelRef } from './parcel.js';
import type { IdWords } from './rendezvous.js';
import { RowNumbers } from './row-numbers.js';
import type { RowSet } from './row-set.js';

/** A row of the table. */
export type Row = number;
/** A store's number, usually in the order in which stores were first heard of. */
export type StoreSlot = number;

/** The key of a row that is known only from a holdings log: key and size come with the catalog. */
const NO_KEY = -1;
const NO_ROW = -1;

export const FLAG = {
  /** Referenced by a snapshot that its source's newest head lists, or by one in its hold. */
  wanted: 1,
  /** Referenced by a listed snapshot. */
  listed: 8,
  /** Referenced by the newest listed snapshot. */
  newest: 2,
  /** It once had all its copies: any that are missing now were lost, and repairs are quicker than first copies. */
  hadCopies: 4,
} as const;

export class ParcelTable {
  readonly #ids: ByteIndex;
  readonly #keys: ByteIndex;
  #bytes = new Float64Array(64);
  #key = new Int32Array(64).fill(NO_KEY);
  #nextOfFamily = new Int32Array(64).fill(NO_ROW);
  #source = new Int32Array(64).fill(-1);
  #flags = new Uint8Array(64);
  /** A map, because only this host's own copies can be surplus here, and few are at a time. */
  readonly #surplusSinceMs = new Map<Row, number>();
  #lookAtMs = new Float64Array(64).fill(Number.NaN);
  /** One word array for each 32 stores; bit s % 32 of word s / 32 is set when store s holds the row. */
  readonly #holders: Uint32Array[] = [new Uint32Array(64)];
  /** The first row of each family; the others follow by `nextOfFamily`. */
  #family = new Int32Array(64).fill(NO_ROW);
  readonly #shortSinceMs = new RowNumbers();
  #shortBytes = 0;

  /** `secret`: of the indexes of ids and keys (byte-index.ts). */
  constructor(secret?: Int32Array) {
    this.#ids = new ByteIndex(32, { secret });
    this.#keys = new ByteIndex(16, { secret });
  }

  get size(): number {
    return this.#ids.size;
  }

  find(id: ParcelId): Row | undefined {
    const row = this.#ids.find(idBytes(id));
    return row < 0 ? undefined : row;
  }

  /** The row of a parcel, made if it is new; `key` and `bytes` may come later, through `describe`. */
  rowOf(id: ParcelId): Row {
    const row = this.#ids.add(idBytes(id));
    if (row >= this.#bytes.length) this.#grow();
    return row;
  }

  /**
   * Notes what a page says of a parcel. A parcel's id fixes its key and size, so only the first call has an effect on
   * these.
   */
  describe({ id, key, bytes }: ParcelRef, source: number): Row {
    const row = this.rowOf(id);
    if (this.#shortSinceMs.rows.has(row)) this.#shortBytes += bytes - this.bytes(row);
    this.#bytes[row] = bytes;
    this.#source[row] = source;
    if (this.#key[row] === NO_KEY) {
      const family = this.#keys.add(bytesOf(key));
      this.#key[row] = family;
      if (family >= this.#family.length) this.#family = grown(this.#family, family + 1, NO_ROW);
      this.#nextOfFamily[row] = this.#family[family] as Row;
      this.#family[family] = row;
    }
    return row;
  }

  id(row: Row): ParcelId {
    return hexOf(this.#ids.at(row)) as ParcelId;
  }

  key(row: Row): Key {
    return hexOf(this.#keys.at(this.#key[row] ?? 0)) as Key;
  }

  /** A number shared by the rows of one key; −1 for a row that no page has described. */
  familyNumber(row: Row): number {
    return this.#key[row] ?? NO_KEY;
  }

  /** `into`: an array to reuse. */
  keyWords(row: Row, into?: Int32Array<ArrayBuffer>): IdWords {
    return this.#keys.words(this.#key[row] ?? 0, into);
  }

  bytes(row: Row): number {
    return this.#bytes[row] ?? 0;
  }

  /** The number of the source, as the machine counts sources; −1 when no page has described the row. */
  source(row: Row): number {
    return this.#source[row] ?? -1;
  }

  has(row: Row, flag: number): boolean {
    return ((this.#flags[row] ?? 0) & flag) !== 0;
  }

  set(row: Row, flag: number, on: boolean): void {
    const flags = this.#flags[row] ?? 0;
    this.#flags[row] = on ? flags | flag : flags & ~flag;
  }

  /** Rows whose copies are short. */
  get short(): Pick<RowSet, 'size' | 'has' | 'at'> {
    return this.#shortSinceMs.rows;
  }

  /** Since when copies have been short, NaN when they are not. */
  shortSinceMs(row: Row): number {
    return this.#shortSinceMs.get(row);
  }

  setShortSince(row: Row, sinceMs: number): void {
    const wasShort = this.short.has(row);
    const isShort = !Number.isNaN(sinceMs);
    if (isShort) this.#shortSinceMs.set(row, sinceMs);
    else this.#shortSinceMs.delete(row);
    if (isShort !== wasShort) this.#shortBytes += isShort ? this.bytes(row) : -this.bytes(row);
  }

  /** The sum of the sizes of all short rows, each counted once. */
  get shortBytes(): number {
    return this.#shortBytes;
  }

  /** Since when others have had enough copies without this host's own; NaN when they have not. */
  surplusSinceMs(row: Row): number {
    return this.#surplusSinceMs.get(row) ?? Number.NaN;
  }

  get surplusCount(): number {
    return this.#surplusSinceMs.size;
  }

  /** The rows of which our own copy is surplus. */
  surplus(): IterableIterator<Row> {
    return this.#surplusSinceMs.keys();
  }

  setSurplusSince(row: Row, sinceMs: number): void {
    if (Number.isNaN(sinceMs)) this.#surplusSinceMs.delete(row);
    else this.#surplusSinceMs.set(row, sinceMs);
  }

  /** When the machine will look at the row by itself, or last did; NaN for never. */
  lookAtMs(row: Row): number {
    return this.#lookAtMs[row] ?? Number.NaN;
  }

  setLookAt(row: Row, atMs: number): void {
    this.#lookAtMs[row] = atMs;
  }

  /** The other described rows of the same key. */
  *familyOf(row: Row): IterableIterator<Row> {
    for (let other = this.firstOfFamily(row); other !== NO_ROW; other = this.nextOfFamily(other)) {
      if (other !== row) yield other;
    }
  }

  /**
   * The family's first row, perhaps the row itself; −1 when the row is not described. With `nextOfFamily` a faster
   * `familyOf`.
   */
  firstOfFamily(row: Row): Row {
    const family = this.#key[row] ?? NO_KEY;
    return family === NO_KEY ? NO_ROW : (this.#family[family] ?? NO_ROW);
  }

  /** −1 after the last. */
  nextOfFamily(row: Row): Row {
    return this.#nextOfFamily[row] ?? NO_ROW;
  }

  isHeldBy(row: Row, store: StoreSlot): boolean {
    return (((this.#holders[store >>> 5]?.[row] ?? 0) >>> (store & 31)) & 1) === 1;
  }

  setHeld(row: Row, store: StoreSlot, held: boolean): void {
    while (this.#holders.length <= store >>> 5) this.#holders.push(new Uint32Array(this.#bytes.length));
    const words = this.#holders[store >>> 5] as Uint32Array;
    const bit = 1 << (store & 31);
    words[row] = held ? (words[row] ?? 0) | bit : (words[row] ?? 0) & ~bit;
  }

  /** The stores that say they hold the row, in order of their numbers, into `into` (reused by the caller). */
  holders(row: Row, into: StoreSlot[]): StoreSlot[] {
    into.length = 0;
    for (let word = 0; word < this.#holders.length; word += 1) {
      for (let bits = this.#holders[word]?.[row] ?? 0; bits !== 0; bits &= bits - 1) {
        into.push(word * 32 + (31 - Math.clz32(bits & -bits)));
      }
    }
    return into;
  }

  /** How many stores say that they hold the row. */
  holderCount(row: Row): number {
    let count = 0;
    for (const words of this.#holders) for (let bits = words[row] ?? 0; bits !== 0; bits &= bits - 1) count += 1;
    return count;
  }

  /** As `holders`, into an array with room for every store. @returns how many there are. */
  putHolders(row: Row, into: Int32Array): number {
    let count = 0;
    for (let word = 0; word < this.#holders.length; word += 1) {
      for (let bits = this.#holders[word]?.[row] ?? 0; bits !== 0; bits &= bits - 1) {
        into[count] = word * 32 + (31 - Math.clz32(bits & -bits));
        count += 1;
      }
    }
    return count;
  }

  /** Every row that a store says it holds. */
  *heldBy(store: StoreSlot): IterableIterator<Row> {
    const words = this.#holders[store >>> 5];
    if (words === undefined) return;
    const bit = 1 << (store & 31);
    // The caller can make the table grow meanwhile: then this goes on over the rows that existed at the start.
    const end = Math.min(this.size, words.length);
    for (let row = 0; row < end; row += 1) if (((words[row] ?? 0) & bit) !== 0) yield row;
  }

  #grow(): void {
    const least = this.#bytes.length + 1;
    this.#bytes = grown(this.#bytes, least, 0);
    this.#key = grown(this.#key, least, NO_KEY);
    this.#nextOfFamily = grown(this.#nextOfFamily, least, NO_ROW);
    this.#source = grown(this.#source, least, -1);
    this.#flags = grown(this.#flags, least, 0);
    this.#lookAtMs = grown(this.#lookAtMs, least, Number.NaN);
    for (let word = 0; word < this.#holders.length; word += 1) {
      this.#holders[word] = grown(this.#holders[word] as Uint32Array, least, 0);
    }
  }
}

const ID_BYTES = Buffer.alloc(32);

/** Returns a buffer that the next call reuses. */
function idBytes(id: ParcelId): Uint8Array {
  ID_BYTES.write(id, 'hex');
  return ID_BYTES;
}
