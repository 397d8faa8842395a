/**
 * Wanted: the sources that the catalog and the configuration name, their newest heads, the parcels these list, and how
 * many copies each source wants.
 *
 * A record names its source, so a parcel belongs to one source. But a page is believed without its records, and a
 * faulty origin can list a parcel of another. Then the parcel is wanted for as long as any source lists it, with the
 * highest N of those sources: no origin can take a parcel from others by wanting it too, or by no longer wanting it.
 * Any of the origins may be the one with the original files, so a copy with one of them does not count.
 */
import type { ClusterConfig } from './cluster-config.js';
import { assert } from './fault.js';
import { hashHex } from './hash.js';
import { type HostId, type SourceId, splitSourceId } from './ids.js';
import type { HeadHint } from './messages.js';
import type { ParcelRef } from './parcel.js';
import { FLAG, type ParcelTable, type Row } from './parcel-table.js';
import { signable } from './signed.js';

/**
 * A head further beyond the newest known one is ignored: nobody has missed that many, with one a minute for two years,
 * and believing it would keep everything from expiring.
 */
const HEAD_JUMP_MAX = 2 ** 20;

const NOBODY: readonly HostId[] = [];

/**
 * The numbers of heads that count for nothing, as only a machine that is shut out can have signed them: those between
 * these two. `before` is Infinity where nobody goes on as the origin.
 */
export interface VoidSeqs {
  readonly after: number;
  readonly before: number;
}

export const isVoidSeq = (gap: VoidSeqs | undefined, seq: number): boolean =>
  gap !== undefined && seq > gap.after && seq < gap.before;

export class Wanted {
  readonly #table: ParcelTable;
  readonly #sources: SourceId[] = [];
  readonly #numbers = new Map<SourceId, number>();
  /** By source number: a list of the one origin, which is the form that callers need. */
  readonly #origins: (readonly HostId[])[] = [];
  readonly #heads = new Map<SourceId, HeadHint>();
  /** For known sources, the highest head that any host has named. */
  readonly #heard = new Map<SourceId, number>();
  readonly #copies = new Map<SourceId, number>();
  readonly #void = new Map<SourceId, VoidSeqs>();
  /** `#copies` by source number. */
  #copiesOf: (number | undefined)[] = [];
  /** Wanted rows that further sources list, by the numbers of those sources. */
  readonly #alsoListed = new Map<Row, Map<number, ParcelRef>>();
  #digest: string | undefined;

  constructor(table: ParcelTable) {
    this.#table = table;
  }

  configure({ sources }: ClusterConfig): void {
    this.#copies.clear();
    this.#void.clear();
    for (const { source, copies, lastSeq, goesOnSeq = Number.POSITIVE_INFINITY } of sources) {
      this.#copies.set(source, copies);
      if (lastSeq !== undefined) this.#void.set(source, { after: lastSeq, before: goesOnSeq });
    }
    this.#digest = undefined;
    this.#copiesOf = this.#sources.map(source => this.#copies.get(source));
  }

  /** A head in force, or a hold, of the source lists the parcel. */
  list(source: SourceId, ref: ParcelRef): Row {
    const number = this.#numberOf(source);
    const row = this.#table.rowOf(ref.id);
    if (this.#table.has(row, FLAG.wanted) && this.#table.source(row) !== number) {
      const others = this.#alsoListed.get(row) ?? new Map<number, ParcelRef>();
      this.#alsoListed.set(row, others.set(number, ref));
      return row;
    }
    this.#table.describe(ref, number);
    this.#table.set(row, FLAG.wanted, true);
    return row;
  }

  /** No head in force and no hold of the source lists the parcel any longer. */
  unlist(source: SourceId, row: Row): void {
    const number = this.#numberOf(source);
    const others = this.#alsoListed.get(row);
    if (this.#table.source(row) === number) {
      const [next] = others ?? [];
      if (next === undefined) this.#table.set(row, FLAG.wanted, false);
      else {
        const [another, ref] = next;
        others?.delete(another);
        this.#table.describe(ref, another);
      }
    } else others?.delete(number);
    if (others?.size === 0) this.#alsoListed.delete(row);
  }

  /** The source's number in the table, assigned now if it is new. */
  #numberOf(source: SourceId): number {
    const known = this.#numbers.get(source);
    if (known !== undefined) return known;
    const number = this.#sources.length;
    this.#sources.push(source);
    this.#copiesOf.push(this.#copies.get(source));
    this.#origins.push([splitSourceId(source).origin]);
    this.#numbers.set(source, number);
    return number;
  }

  /** The source of a row that a page has described. */
  sourceOf(row: Row): SourceId | undefined {
    return this.#sources[this.#table.source(row)];
  }

  originOf(row: Row): HostId | undefined {
    return this.#origins[this.#table.source(row)]?.[0];
  }

  /** The origins of all sources that list the row. */
  originsOf(row: Row): readonly HostId[] {
    const origins = this.#origins[this.#table.source(row)] ?? NOBODY;
    const others = this.#alsoListed.size === 0 ? undefined : this.#alsoListed.get(row);
    if (others === undefined) return origins;
    return [...new Set([...origins, ...[...others.keys()].flatMap(number => this.#origins[number] ?? NOBODY)])];
  }

  /** The origin of a row that is known to be described. */
  knownOriginOf(row: Row): HostId {
    const origin = this.originOf(row);
    assert(origin !== undefined, 'a wanted row without a source');
    return origin;
  }

  /** N by the configuration; undefined for a source that is not configured. */
  copiesOf(source: SourceId): number | undefined {
    return this.#copies.get(source);
  }

  /**
   * N of a row that a listed snapshot of a configured source references, the highest of several; undefined for any
   * other row.
   */
  copiesWanted(row: Row): number | undefined {
    if (!this.#table.has(row, FLAG.wanted)) return undefined;
    let most = this.#copiesOf[this.#table.source(row)];
    const others = this.#alsoListed.size === 0 ? undefined : this.#alsoListed.get(row);
    for (const other of others?.keys() ?? []) {
      const copies = this.#copiesOf[other];
      if (copies !== undefined && copies > (most ?? 0)) most = copies;
    }
    return most;
  }

  /** Every wanted row of a source. */
  *rowsOf(source: SourceId): IterableIterator<Row> {
    const number = this.#numbers.get(source);
    if (number === undefined) return;
    for (let row = 0; row < this.#table.size; row += 1) {
      if (this.#table.source(row) === number && this.#table.has(row, FLAG.wanted)) yield row;
    }
  }

  head(source: SourceId): HeadHint | undefined {
    return this.#heads.get(source);
  }

  /**
   * The valid heads. A head that has become invalid is not announced, but stays until the last valid one replaces it.
   */
  *heads(): IterableIterator<HeadHint> {
    for (const head of this.#heads.values()) if (this.#isValid(head)) yield head;
  }

  /**
   * Takes a head that has come into force. Its number may be lower than that of the one before it: then the catalog,
   * which knows the signatures, has found that one to be void.
   * @returns false when this very head was known
   */
  takeHead(head: HeadHint): boolean {
    const known = this.#heads.get(head.source);
    if (known?.seq === head.seq && known.hash === head.hash) return false;
    this.#heads.set(head.source, head);
    this.#digest = undefined;
    return true;
  }

  /** Notes that a head exists, as told by a host that is heeded. */
  hear({ source, seq }: HeadHint): void {
    if (!this.#heads.has(source) && !this.#copies.has(source)) return;
    if (seq > this.credibleSeq(source)) return;
    this.#heard.set(source, Math.max(seq, this.#heard.get(source) ?? 0));
  }

  /** The highest head of the source that was named in gossip; 0 for none. */
  heardSeq(source: SourceId): number {
    return this.#heard.get(source) ?? 0;
  }

  /** Undefined for nearly every source: no machine that was its origin is shut out. */
  voidSeqs(source: SourceId): VoidSeqs | undefined {
    return this.#void.get(source);
  }

  /** The highest head of the source that is believed to exist. */
  credibleSeq(source: SourceId): number {
    return (this.#heads.get(source)?.seq ?? 0) + HEAD_JUMP_MAX;
  }

  /** A later head than ours, or another one with the same number; or a valid one when ours has become invalid. */
  isNews(head: HeadHint): boolean {
    const { source, seq, hash } = head;
    if (!this.#isValid(head)) return false;
    const known = this.#heads.get(source);
    if (known === undefined || !this.#isValid(known)) return true;
    return seq > known.seq || (seq === known.seq && hash !== known.hash);
  }

  /**
   * BLAKE3 over the sorted (source, seq, hash) of every valid known head: two hosts with the same digest know the same
   * heads.
   */
  digest(): string {
    if (this.#digest === undefined) {
      const heads = [...this.heads()].sort((a, b) => (a.source < b.source ? -1 : 1));
      const fields = heads.flatMap(({ source, seq, hash }) => [source, seq, hash]);
      this.#digest = hashHex(signable('scatterhoard/heads/1', fields));
    }
    return this.#digest;
  }

  #isValid({ source, seq }: Pick<HeadHint, 'source' | 'seq'>): boolean {
    return !isVoidSeq(this.#void.get(source), seq);
  }
}
