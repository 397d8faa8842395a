/**
 * Parcel builder: makes parcels of merged entries, gives them their keys, and puts their records and pages.
 *
 * A run that equals a parcel of the last snapshot, entry for entry, *is* that parcel: its reference is used again, and
 * nothing is encoded or put. For unchanged stretches the scan gives whole sections (section.ts), whose entries are not
 * even seen here. All other parcels need a key, and which one is known only when the whole source has been seen,
 * because a renamed folder's parcels may be inherited by runs far away. So they wait in a spool on disk and are put in
 * a second pass. The first snapshot of a source has nothing to inherit and goes straight through.
 *
 * Memory grows with the number of parcels (files / 64), never with that of files: a bit for each parcel of the last
 * snapshot, 100 bytes for each key in use, 150 for each section, some 300 for each changed parcel, and what
 * inherit-keys.ts needs.
 */
import { decode, encode } from 'cborg';
import { assert } from '../core/fault.js';
import { EMPTY_BLOB } from '../core/hash.js';
import { bytesOf, hexOf, type Key, type ObjectId, type ParcelId, type SourceId } from '../core/ids.js';
import type { ObjectWriter } from '../core/objects.js';
import type { ParcelRef } from '../core/parcel.js';
import { Cutter, cutMarkOf } from './cut.js';
import { encodeEntry } from './entry.js';
import { FrameSpool } from './frame-spool.js';
import { fingerprintOf, inheritKeys, type Overlap, OverlapCount, openingKey, Predecessors } from './inherit-keys.js';
import { isTop, type Merged, type MergedEntry } from './merge-scan.js';
import { PageWriter } from './page-writer.js';
import { bytesOfParcel, recordFromEntries } from './record.js';
import { encodeSection, ownerText, SECTION_ENTRIES_MAX, type Section, SectionPrint } from './section.js';
import type { SnapshotParcels } from './snapshot-parcels.js';

export interface BuiltParcels {
  readonly pages: readonly ObjectId[];
  readonly parcels: number;
  /** Parcels taken over from the last snapshot. */
  readonly reused: number;
  /** Encoded, one after the other, for `decodeSections`. */
  readonly sections: Buffer;
}

/** A section that is being built. */
interface OpenSection {
  readonly opening: Buffer;
  readonly ordinal: number;
  entries: number;
  files: number;
  bytes: number;
  top: number;
  /** Set to false once an entry must be given one by one. */
  isWhole: boolean;
}

interface Place {
  readonly source: SourceId;
  readonly objects: ObjectWriter;
  /** The last snapshot. */
  readonly previous: SnapshotParcels | undefined;
  /** The day of the scan, for new sections; those of the last snapshot keep theirs. */
  readonly day: number;
  readonly scratchFolder: string;
  readonly signal: AbortSignal | undefined;
}

/** A frame: [0, id, key, bytes] of a parcel that is used again, or [1, entries, bytes, newcomers, encoded entries]. */
const REUSED = 0;
const CHANGED = 1;

export class ParcelBuilder {
  readonly #place: Place;
  readonly #pages: PageWriter;
  readonly #cutter = new Cutter<MergedEntry>();
  readonly #spool: FrameSpool | undefined;
  /** Ordinals of the last snapshot's parcels that are unchanged in the new one. */
  readonly #reused = new Set<number>();
  readonly #keys = new Set<Key>();
  readonly #changed: { readonly opening: Buffer; readonly overlaps: OverlapCount }[] = [];
  #parcels = 0;
  #newcomers = false;
  readonly #sections: Buffer[] = [];
  #section: OpenSection | undefined;
  readonly #print = new SectionPrint();

  private constructor(place: Place, spool: FrameSpool | undefined) {
    this.#place = place;
    this.#pages = new PageWriter(place.objects);
    this.#spool = spool;
  }

  static async create(place: Place): Promise<ParcelBuilder> {
    return new ParcelBuilder(
      place,
      place.previous === undefined ? undefined : await FrameSpool.create(place.scratchFolder),
    );
  }

  async add(merged: readonly Merged[]): Promise<void> {
    for (const one of merged) {
      if ('same' in one) await this.#addSection(one.same);
      else await this.#addEntry(one);
    }
  }

  /** Puts the parcels that wait. Nothing is flushed. */
  async end(): Promise<BuiltParcels> {
    for (const parcel of this.#cutter.end()) await this.#cut(parcel);
    if (this.#spool !== undefined) await this.#settle(this.#spool);
    return {
      pages: await this.#pages.end(),
      parcels: this.#parcels,
      reused: this.#reused.size,
      sections: Buffer.concat(this.#sections),
    };
  }

  async close(): Promise<void> {
    this.#print.clear();
    await this.#spool?.close();
  }

  async #addEntry(merged: MergedEntry): Promise<void> {
    const section = this.#note(merged);
    for (const parcel of this.#cutter.push(merged)) await this.#cut(parcel);
    if (!this.#cutter.isEmpty) return;
    this.#section = undefined;
    if (!section.isWhole) return;
    const print = this.#print.digest();
    this.#sections.push(
      encodeSection({ ...section, print, day: this.#place.day, parcels: this.#parcels - section.ordinal }),
    );
  }

  #note({ entry, print }: MergedEntry): OpenSection {
    const isFirst = this.#section === undefined;
    const ordinal = this.#parcels;
    this.#section ??= { opening: entry.path, ordinal, entries: 0, files: 0, bytes: 0, top: 0, isWhole: true };
    const section = this.#section;
    if (isFirst) this.#print.clear();
    section.entries += 1;
    if (entry.kind === 'file') section.files += 1;
    section.bytes += entry.size;
    if (isTop(entry.path)) section.top += 1;
    section.isWhole &&= print !== undefined && !entry.stale && section.entries <= SECTION_ENTRIES_MAX;
    if (section.isWhole && print !== undefined)
      this.#print.add({ path: entry.path, stat: print, owner: ownerText(entry.user, entry.group) });
    return section;
  }

  /**
   * Takes over its parcels if they are cut alike here too. They are not where the run before continues into the
   * section.
   */
  async #addSection(section: Section): Promise<void> {
    const { previous } = this.#place;
    assert(previous !== undefined && this.#spool !== undefined, 'a section of no snapshot');
    const { ordinal, parcels, entries } = section;
    if (!this.#cutter.isEmpty) {
      let left = entries;
      for await (const stretch of previous.stretchesFrom(ordinal)) {
        for (const before of stretch.slice(0, left)) {
          const { entry } = before;
          await this.#addEntry({ entry, mark: cutMarkOf(entry), before });
        }
        left -= stretch.length;
        if (left <= 0) break;
      }
      return;
    }
    this.#sections.push(encodeSection({ ...section, ordinal: this.#parcels }));
    for (const [index, ref] of (await previous.refs({ ordinal, count: parcels })).entries())
      await this.#reuse(this.#spool, { ordinal: ordinal + index, ref });
    this.#parcels += parcels;
  }

  async #reuse(spool: FrameSpool, { ordinal, ref: { id, key, bytes } }: Reusable): Promise<void> {
    this.#reused.add(ordinal);
    this.#keys.add(key);
    await spool.add(encode([REUSED, bytesOf(id), bytesOf(key), bytes]));
  }

  async #cut(parcel: readonly MergedEntry[]): Promise<void> {
    this.#parcels += 1;
    const spool = this.#spool;
    if (spool === undefined) {
      await this.#put({
        key: this.#freshKey(openingOf(parcel)),
        count: parcel.length,
        bytes: bytesOfParcel(entriesOf(parcel)),
        encoded: parcel.map(({ entry }) => encodeEntry(entry)),
      });
      return;
    }
    const same = unchanged(parcel);
    if (same !== undefined) {
      await this.#reuse(spool, same);
      return;
    }
    const overlaps = new OverlapCount();
    const newcomers: number[] = [];
    for (const { entry, before } of parcel) {
      const stayed = before !== undefined && before.entry.blob === entry.blob;
      if (before !== undefined) {
        const { ordinal, ref } = before.of;
        overlaps.add({ ordinal, key: ref.key, bytes: stayed ? entry.size : 0, paths: 1 });
      }
      if (!stayed && entry.blob !== undefined && entry.blob !== EMPTY_BLOB)
        newcomers.push(fingerprintOf(entry.blob), entry.size);
    }
    this.#newcomers ||= newcomers.length > 0;
    this.#changed.push({ opening: openingOf(parcel), overlaps });
    const numbers = Float64Array.from(newcomers);
    await spool.add(
      encode([
        CHANGED,
        parcel.length,
        bytesOfParcel(entriesOf(parcel)),
        new Uint8Array(numbers.buffer),
        Buffer.concat(parcel.map(({ entry }) => encodeEntry(entry))),
      ]),
    );
  }

  async #settle(spool: FrameSpool): Promise<void> {
    if (this.#newcomers) await this.#findMoved(spool);
    const overlaps: (readonly Overlap[])[] = this.#changed.map(changed => changed.overlaps.list());
    const inherited = inheritKeys(overlaps);
    for (const key of inherited) if (key !== undefined) this.#keys.add(key);
    let index = 0;
    for await (const frame of spool.frames()) {
      this.#place.signal?.throwIfAborted();
      const fields = decode(frame) as FrameFields;
      if (fields[0] === REUSED) {
        const [, id, key, bytes] = fields;
        await this.#pages.add({ id: hexOf(id) as ParcelId, key: hexOf(key) as Key, bytes });
        continue;
      }
      const [, count, bytes, , encoded] = fields;
      const changed = this.#changed[index];
      assert(changed !== undefined, 'the spool has more changed parcels than were put into it');
      await this.#put({ key: inherited[index] ?? this.#freshKey(changed.opening), count, bytes, encoded: [encoded] });
      index += 1;
    }
  }

  /** Adds to the overlaps the blobs that had another path in the last snapshot. */
  async #findMoved(spool: FrameSpool): Promise<void> {
    const { previous } = this.#place;
    assert(previous !== undefined, 'a spool without a last snapshot');
    const predecessors = new Predecessors();
    for await (const { ordinal, ref, entries } of previous.records(ordinal => !this.#reused.has(ordinal)))
      predecessors.add({ ordinal, key: ref.key, entries });
    let index = 0;
    for await (const frame of spool.frames()) {
      const fields = decode(frame) as FrameFields;
      if (fields[0] === REUSED) continue;
      const packed = fields[3];
      const numbers = new Float64Array(packed.slice().buffer);
      for (let at = 0; at + 1 < numbers.length; at += 2) {
        const parcel = predecessors.of(numbers[at] ?? 0);
        if (parcel !== undefined) this.#changed[index]?.overlaps.add({ ...parcel, bytes: numbers[at + 1] ?? 0 });
      }
      index += 1;
    }
  }

  async #put({
    key,
    count,
    bytes,
    encoded,
  }: {
    readonly key: Key;
    readonly count: number;
    readonly bytes: number;
    readonly encoded: readonly Uint8Array[];
  }): Promise<void> {
    this.#place.signal?.throwIfAborted();
    const record = recordFromEntries({ source: this.#place.source, key, count, encoded });
    const id = (await this.#place.objects.put(record)) as ParcelId;
    await this.#pages.add({ id, key, bytes });
  }

  /** A key that no other parcel of this snapshot has. */
  #freshKey(opening: Buffer): Key {
    for (let turn = 0; ; turn += 1) {
      const key = openingKey(this.#place.source, opening, turn);
      if (this.#keys.has(key)) continue;
      this.#keys.add(key);
      return key;
    }
  }
}

/** What `encode` calls of this file made; the bytes never leave this process. */
type FrameFields =
  | readonly [typeof REUSED, Uint8Array, Uint8Array, number]
  | readonly [typeof CHANGED, number, number, Uint8Array, Uint8Array];

const openingOf = (parcel: readonly MergedEntry[]): Buffer => parcel[0]?.entry.path ?? Buffer.alloc(0);

function* entriesOf(parcel: readonly MergedEntry[]): Generator<MergedEntry['entry']> {
  for (const { entry } of parcel) yield entry;
}

/** A parcel of the last snapshot, at its place there. */
interface Reusable {
  readonly ordinal: number;
  readonly ref: ParcelRef;
}

/** The last snapshot's parcel that has exactly these entries. */
function unchanged(parcel: readonly MergedEntry[]): Reusable | undefined {
  const of = parcel[0]?.before?.of;
  if (of === undefined || of.entries.length !== parcel.length) return undefined;
  for (const { entry, before } of parcel)
    if (before === undefined || before.of !== of || before.entry !== entry) return undefined;
  return of;
}
