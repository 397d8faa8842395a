/**
 * Corrupt parcels: finds out by reading the disk whether this store has the bytes of a PRESENT parcel, and acts when it
 * has not.
 *
 *   read      every blob, against its hash (possess.ts)
 *   again     a blob that was wrong or gone is read once more: a passing memory or cable error must not cost a copy
 *   lost      no commit counts on that blob any longer (held-blobs.ts)
 *   entered   `corrupt` in the log, flushed → the index: the parcel no longer counts, and is fetched again
 *   aside     the wrong file is moved to `.trash`, where a person finds it
 *   sharers   other parcels that list the blob no longer count either; with many parcels they are found behind the answer
 *
 * A missing file proves nothing while the disk itself is missing, so that is checked first.
 *
 * A file that the disk cannot read stays where it is: a later read may succeed, and nobody else may have it. But if a
 * parcel that lists it still counts when all have been looked at (its record is lost), it is set aside: the next opening
 * would otherwise take it for held.
 *
 * The parcel's other blobs stay where they are: whoever fetches it again finds them, and they may be the last of their
 * kind.
 *
 * Driven by store.ts, for grants, audits and scrubs.
 */
import { setImmediate, setTimeout } from 'node:timers/promises';
import type { Logger } from 'pino';
import { ClusterError } from '../core/fault.js';
import type { LogPosition } from '../core/holdings-log.js';
import { type HostId, type ParcelId, type Possession, parseBlobId } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import type { BlobIndex } from './blob-index.js';
import type { FanFolder } from './fan-folder.js';
import type { HeldBlobs } from './held-blobs.js';
import type { HeldParcels, ParcelWatch } from './held-parcels.js';
import type { Incoming } from './incoming.js';
import { isBadSector } from './own-folder.js';
import { canBeRead, isRight, type ParcelRead, type PossessionAsk, readParcel } from './possess.js';
import type { Records } from './records.js';
import { throwIfGone } from './store-root.js';

/** Whether this host has the bytes of a parcel, by a read of its disk. */
export type Possessed =
  /** Every byte was read and is right, with what each of the holders must answer. */
  | { readonly kind: 'whole'; readonly possessions: ReadonlyMap<HostId, Possession> }
  /** A file of it is gone or wrong. It no longer counts: `corrupt` is in the log, up to this position. */
  | { readonly kind: 'corrupt'; readonly position: LogPosition }
  /** Not PRESENT, or no longer PRESENT when the read was over. */
  | { readonly kind: 'absent' };

type Corrupt = Extract<Possessed, { readonly kind: 'corrupt' }>;
type WrongRead = Extract<ParcelRead, { readonly kind: 'wrong' }>;

/**
 * When a blob turns out to be wrong, other parcels may list it too, and all records are read to find them. With at most
 * this many parcels that takes about a second, and is waited for; with more, it is done behind.
 */
const SOUGHT_AT_ONCE_MAX = 10_000;
/** Behind, after so many records … */
const SLICE_PARCELS = 256;
/** … there is a rest, so that a million take some minutes and others get the disk meanwhile. */
const SLICE_REST_MS = 100;

/**
 * How many other files are tried. One must be readable before a disk that cannot read a file is believed to have lost
 * just that file.
 */
const OTHERS_TRIED_MAX = 8;

export interface CorruptParcelsParts {
  readonly parcels: HeldParcels;
  readonly blobs: HeldBlobs;
  readonly incoming: Incoming;
  readonly records: Records;
  readonly index: BlobIndex;
  readonly blobFolder: FanFolder;
  /** See `Store.whyGone`. */
  readonly whyGone: () => Promise<string | undefined>;
  readonly log: Logger;
  /** Aborted when the store ends. */
  readonly ending: AbortSignal;
  /** Default SOUGHT_AT_ONCE_MAX. */
  readonly soughtAtOnceMax: number | undefined;
}

/** A blob of which this store has lost the right bytes. `isLeft`: its file is there, and cannot be read. */
interface LostBlob {
  readonly ref: BlobRef;
  readonly isLeft: boolean;
}

export class CorruptParcels {
  readonly #parcels: HeldParcels;
  readonly #blobs: HeldBlobs;
  readonly #incoming: Incoming;
  readonly #records: Records;
  readonly #index: BlobIndex;
  readonly #blobFolder: FanFolder;
  readonly #whyGone: CorruptParcelsParts['whyGone'];
  readonly #log: Logger;
  readonly #ending: AbortSignal;
  readonly #soughtAtOnceMax: number;
  /** Whose sharers are to be found behind. */
  readonly #sought = new Map<string, LostBlob>();
  #seeking: Promise<void> | undefined;

  constructor(parts: CorruptParcelsParts) {
    this.#parcels = parts.parcels;
    this.#blobs = parts.blobs;
    this.#incoming = parts.incoming;
    this.#records = parts.records;
    this.#index = parts.index;
    this.#blobFolder = parts.blobFolder;
    this.#whyGone = parts.whyGone;
    this.#log = parts.log;
    this.#ending = parts.ending;
    this.#soughtAtOnceMax = parts.soughtAtOnceMax ?? SOUGHT_AT_ONCE_MAX;
  }

  /** As `Store.possess`. */
  async possess(parcel: ParcelId, ask: PossessionAsk): Promise<Possessed> {
    if (!this.#parcels.isPresent(parcel)) return { kind: 'absent' };
    const watch = this.#parcels.watch(parcel);
    try {
      const refs = await this.#records.refsOf(parcel);
      if (refs === undefined) return await this.#parcels.take(parcel, () => this.#foundRecordless(parcel));
      const read = await readParcel(refs, blob => this.#blobFolder.pathOf(blob), ask);
      if (read.kind === 'whole') return this.#parcels.isPresent(parcel) ? read : { kind: 'absent' };
      return await this.#foundUnlike(parcel, refs, { read, watch });
    } finally {
      watch.end();
    }
  }

  /** As `Store.listerOf`. */
  async listerOf(blob: string, likely: Iterable<ParcelId>, signal: AbortSignal): Promise<ParcelId | undefined> {
    const lists = async (parcel: ParcelId): Promise<boolean> => {
      signal.throwIfAborted();
      return (
        this.#parcels.isPresent(parcel) && ((await this.#records.refsOf(parcel)) ?? []).some(ref => ref.blob === blob)
      );
    };
    for (const parcel of likely) if (await lists(parcel)) return parcel;
    if (this.#parcels.count > this.#soughtAtOnceMax) return undefined;
    for (const parcel of [...this.#parcels.present()]) if (await lists(parcel)) return parcel;
    return undefined;
  }

  async #foundRecordless(parcel: ParcelId): Promise<Possessed> {
    this.#parcels.mustWork();
    if (!this.#parcels.isPresent(parcel)) return { kind: 'absent' };
    throwIfGone(await this.#whyGone());
    if ((await this.#records.refsOf(parcel)) !== undefined) throw unsteady(`the record of parcel ${parcel}`);
    await this.#index.distrust();
    return this.#enter(parcel, []);
  }

  async #foundUnlike(
    parcel: ParcelId,
    refs: readonly BlobRef[],
    { read, watch }: { readonly read: WrongRead; readonly watch: ParcelWatch },
  ): Promise<Possessed> {
    const found = await this.#parcels.take(parcel, async () => {
      this.#parcels.mustWork();
      // Dropped meanwhile, and perhaps fetched again: its files were moved while they were read, and nothing is wrong.
      return watch.changed ? ({ kind: 'absent' } as const) : this.#foundWrong(parcel, refs, read);
    });
    if (found.kind !== 'corrupt') return found;
    const lost: LostBlob = { ref: read.blob, isLeft: found.isLeft };
    if (this.#parcels.count > this.#soughtAtOnceMax) {
      this.#sought.set(read.blob.blob, lost);
      this.#seeking ??= this.#seekBehind();
      return { kind: 'corrupt', position: found.position };
    }
    const last = await this.#foundLost([lost]);
    return { kind: 'corrupt', position: last ?? found.position };
  }

  /** Resolves when nothing is sought behind any longer, which after the store's end is soon. */
  async settled(): Promise<void> {
    await this.#seeking;
  }

  /** Those that turn up meanwhile are sought together, in the next pass. */
  async #seekBehind(): Promise<void> {
    // Not before `#seeking` is set.
    await setImmediate();
    while (this.#sought.size > 0 && !this.#ending.aborted) {
      const all = [...this.#sought.values()];
      this.#sought.clear();
      try {
        await this.#foundLost(all, () => setTimeout(SLICE_REST_MS, undefined, { signal: this.#ending }));
      } catch (error) {
        this.#log.warn({ code: 'BLOB_DAMAGED', err: error }, 'a file that cannot be read could not be set aside');
      }
    }
    this.#seeking = undefined;
  }

  /** Returns the position after the last operation that was entered. */
  async #foundLost(lost: readonly LostBlob[], rest = async () => {}): Promise<LogPosition | undefined> {
    const sought = await this.#denounceSharers(new Set(lost.map(({ ref }) => ref.blob)), rest);
    if (!sought.isOver) return sought.position;
    for (const { ref, isLeft } of lost) {
      if (!isLeft || !this.#blobs.isListed(ref.blob)) continue;
      await this.#blobs.whileLeaving([ref], async () => {
        if (this.#blobs.isLost(ref.blob)) await this.#incoming.setAsideHeld(parseBlobId(ref.blob), ref.bytes);
      });
    }
    return sought.position;
  }

  async #foundWrong(
    parcel: ParcelId,
    refs: readonly BlobRef[],
    { blob: wrong, error }: WrongRead,
  ): Promise<Corrupt & { readonly isLeft: boolean }> {
    throwIfGone(await this.#whyGone());
    return this.#blobs.whileLeaving([wrong], async () => {
      const blob = parseBlobId(wrong.blob);
      const known = this.#blobs.isLost(blob);
      const again = known ? 'wrong' : await this.#lookAgain(refs, wrong);
      if (again === 'right') throw error ?? unsteady(`blob ${blob}`);
      // Before `corrupt` is entered, so that no commit enters an `add` that relies on the blob.
      this.#blobs.lose(blob);
      try {
        return { ...(await this.#enter(parcel, refs)), isLeft: again === 'unreadable' };
      } catch (error) {
        if (!known) this.#blobs.notLost(blob);
        throw error;
      } finally {
        const isSetAside = !known && again === 'wrong' && this.#blobs.isLost(blob);
        if (isSetAside) await this.#incoming.setAsideHeld(blob, wrong.bytes);
      }
    });
  }

  /** @throws what the disk says, unless it has lost just this file */
  async #lookAgain(refs: readonly BlobRef[], wrong: BlobRef): Promise<'right' | 'wrong' | 'unreadable'> {
    try {
      return (await isRight(this.#blobFolder.pathOf(wrong.blob), wrong)) ? 'right' : 'wrong';
    } catch (error) {
      if (isBadSector(error) && (await this.#readsOthers(refs, wrong.blob))) return 'unreadable';
      throw error;
    }
  }

  /** Files of a disk that is gone may still be in the kernel's cache; but then `corrupt` cannot be written either. */
  async #readsOthers(refs: readonly BlobRef[], than: string): Promise<boolean> {
    let tried = 0;
    for await (const blob of this.#blobsBut(than, refs)) {
      if (await canBeRead(this.#blobFolder.pathOf(blob))) return true;
      tried += 1;
      if (tried === OTHERS_TRIED_MAX) break;
    }
    return false;
  }

  /** All other blobs, those of its parcel first. */
  async *#blobsBut(than: string, refs: readonly BlobRef[]): AsyncGenerator<string> {
    for (const { blob } of refs) if (blob !== than) yield blob;
    for await (const { ids } of this.#blobFolder.shards()) for (const id of ids) if (id !== than) yield id;
  }

  async #enter(parcel: ParcelId, refs: readonly BlobRef[]): Promise<Corrupt> {
    this.#incoming.expectStrays();
    const position = await this.#parcels.enter({ op: 'corrupt', parcel }, refs);
    this.#log.warn({ code: 'PARCEL_CORRUPT', parcel }, 'a parcel lacks correct bytes here and no longer counts');
    return { kind: 'corrupt', position };
  }

  /** Enters `corrupt` for the other parcels that list one of these blobs. `isOver`: all were looked at. */
  async #denounceSharers(
    lost: ReadonlySet<string>,
    rest: () => Promise<void>,
  ): Promise<{ readonly position: LogPosition | undefined; readonly isOver: boolean }> {
    let position: LogPosition | undefined;
    try {
      for (const [n, parcel] of [...this.#parcels.present()].entries()) {
        if ((n + 1) % SLICE_PARCELS === 0) await rest();
        // All are found; or the blobs have arrived again, and the other parcels are whole.
        if (![...lost].some(blob => this.#blobs.isListed(blob) && this.#blobs.isLost(blob))) break;
        const refs = (await this.#records.refsOf(parcel)) ?? [];
        const isSharer = () => refs.some(({ blob }) => lost.has(blob) && this.#blobs.isLost(blob));
        if (!isSharer()) continue;
        const found = await this.#parcels.take(parcel, async () => {
          this.#parcels.mustWork();
          return this.#parcels.isPresent(parcel) && isSharer() ? this.#enter(parcel, refs) : undefined;
        });
        if (found?.kind === 'corrupt') ({ position } = found);
      }
      return { position, isOver: true };
    } catch (error) {
      // The parcel that was asked about is dealt with; the others are found when they are read themselves.
      if (!this.#ending.aborted)
        this.#log.warn(
          { code: 'SHARERS_NOT_SOUGHT', blobs: lost.size, err: error },
          'parcels that share a lost blob were not found',
        );
      return { position, isOver: false };
    }
  }
}

const unsteady = (what: string) =>
  new ClusterError(
    'STORE_UNSTEADY',
    `${what} was wrong when it was read and right when it was read again: check this host's memory, disk and cables; nothing was changed`,
    { blame: 'operator' },
  );
