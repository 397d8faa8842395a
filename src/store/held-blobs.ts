/**
 * Held blobs: which bytes under `.blobs` may be counted on now, and which may leave it.
 *
 * The index says which blobs PRESENT parcels list. Between two looks at it things happen, and three words tell what:
 *
 *   pinned     a fetch or a commit under way counts on the blob: held or just arrived, it stays where it is until that is over
 *   leaving    a parcel that lists it is being dropped: who wants a pin waits, and looks again
 *   lingering  the last parcel that lists it was dropped while it was pinned: it leaves with its last pin, unless a commit
 *              made it held again
 *
 * Without them a commit that found a blob held, and so received nothing, could enter its `add` when the blob is in the
 * trash. A pin is taken in one turn with the look at the index, and no blob is marked as leaving later than its `del` is
 * asked for; so whoever gets a pin looks at what stays.
 *
 * A `lost` blob was held, but its file is gone or was wrong and was set aside: it is not counted on until it arrives again.
 * Not kept over a restart: the next opening sees that its file is not there.
 *
 * Driven by store.ts, commit.ts, give-up.ts and corrupt-parcels.ts.
 */
import type { BlobId } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import type { BlobIndex, HeldBlob } from './blob-index.js';
import type { Arrival, Finding, Incoming } from './incoming.js';

/** What a commit may count on. */
export type Counted =
  | { readonly is: 'held' }
  | { readonly is: 'arrived'; readonly arrival: Arrival }
  | { readonly is: 'missing' };

export class HeldBlobs {
  readonly #index: BlobIndex;
  readonly #incoming: Incoming;
  /** Blob → how many count on it. */
  readonly #pins: Map<string, number>;
  readonly #leaving = new Map<string, Promise<void>>();
  /** Blob → its size. */
  readonly #lingering = new Map<string, number>();
  readonly #lost = new Set<string>();

  /** `pins` is shared with `incoming`, which sweeps nothing that is pinned. */
  constructor(index: BlobIndex, incoming: Incoming, pins: Map<string, number>) {
    this.#index = index;
    this.#incoming = incoming;
    this.#pins = pins;
  }

  /** `undefined` when no PRESENT parcel lists it, and when it is lost. */
  lookup(blob: string): HeldBlob | undefined {
    return this.#lost.has(blob) ? undefined : this.#index.lookup(blob);
  }

  /** Pins it, whatever is found: `release` is the caller's to call. Failing, it leaves no pin. */
  async pin(ref: BlobRef, finding: Finding): Promise<Counted> {
    const { blob } = ref;
    for (let left = this.#leaving.get(blob); left !== undefined; left = this.#leaving.get(blob)) await left;
    this.#pins.set(blob, (this.#pins.get(blob) ?? 0) + 1);
    const bytes = this.lookup(blob)?.bytes ?? this.#lingering.get(blob);
    if (bytes !== undefined) return { is: bytes === ref.bytes ? 'held' : 'missing' };
    try {
      const arrival = await this.#incoming.find(ref, finding);
      return arrival === undefined ? { is: 'missing' } : { is: 'arrived', arrival };
    } catch (error) {
      await this.release([blob]);
      throw error;
    }
  }

  /**
   * Pins them all; what is here and not held yet, and what is missing. Notes in `pinned` what the caller has to release, also when
   * this fails.
   */
  async pinAll(
    refs: readonly BlobRef[],
    pinned: string[],
    signal?: AbortSignal,
  ): Promise<{ readonly arrivals: readonly Arrival[]; readonly missing: readonly BlobRef[] }> {
    const arrivals: Arrival[] = [];
    const missing: BlobRef[] = [];
    for (const ref of refs) {
      const counted = await this.pin(ref, { fromTrash: true, signal });
      pinned.push(ref.blob);
      if (counted.is === 'missing') missing.push(ref);
      else if (counted.is === 'arrived') arrivals.push(counted.arrival);
    }
    return { arrivals, missing };
  }

  /** Those of them that nobody could count on. */
  async missing(refs: readonly BlobRef[], options: { readonly fromTrash: boolean }): Promise<readonly BlobRef[]> {
    const missing: BlobRef[] = [];
    for (const ref of refs) {
      const counted = await this.pin(ref, options);
      if (counted.is === 'missing') missing.push(ref);
      await this.release([ref.blob]);
    }
    return missing;
  }

  async release(blobs: Iterable<string>): Promise<void> {
    const leave: BlobRef[] = [];
    for (const blob of blobs) {
      const pins = (this.#pins.get(blob) ?? 0) - 1;
      if (pins > 0) this.#pins.set(blob, pins);
      else {
        this.#pins.delete(blob);
        const bytes = this.#lingering.get(blob);
        if (bytes !== undefined) leave.push({ blob, bytes });
      }
    }
    if (leave.length === 0) return;
    await this.whileLeaving(leave, async () => {
      // Somebody else's drop may have seen to it meanwhile.
      await this.#discard(leave.filter(({ blob }) => this.#lingering.has(blob)));
    });
  }

  /**
   * Takes references back by `enter`, which writes them off in the log and the index; then moves to the trash what no
   * PRESENT parcel lists any more, and leaves as a stray what of it is spared. When `enter` fails, everything stays where it is.
   */
  letGo<T>(
    refs: readonly BlobRef[],
    { enter, isSpared }: { readonly enter: () => Promise<T>; readonly isSpared: (blob: string) => boolean },
  ): Promise<T> {
    return this.whileLeaving(refs, async () => {
      const entered = await enter();
      const spared = refs.filter(({ blob }) => isSpared(blob));
      if (spared.length > 0) this.#incoming.expectStrays();
      await this.#discard(spared.length > 0 ? refs.filter(({ blob }) => !isSpared(blob)) : refs);
      return entered;
    });
  }

  /** Nobody gets a pin on these until `work` is done. Of those who want the same blobs, one after the other. */
  async whileLeaving<T>(refs: readonly Pick<BlobRef, 'blob'>[], work: () => Promise<T>): Promise<T> {
    // All or none, so that no two wait for each other.
    for (;;) {
      const other = refs.find(({ blob }) => this.#leaving.has(blob));
      if (other === undefined) break;
      await this.#leaving.get(other.blob);
    }
    const working = work();
    const end = working.then(
      () => {},
      () => {}, // its caller gets it
    );
    for (const { blob } of refs) this.#leaving.set(blob, end);
    try {
      return await working;
    } finally {
      for (const { blob } of refs) this.#leaving.delete(blob);
    }
  }

  async #discard(refs: readonly BlobRef[]): Promise<void> {
    for (const { blob, bytes } of refs) {
      this.#lingering.delete(blob);
      if (this.#index.lookup(blob) !== undefined) continue;
      // Its file is gone already. It stays lost: a commit that took it for held may look.
      if (this.#lost.has(blob)) continue;
      if (this.#pins.has(blob)) this.#lingering.set(blob, bytes);
      else await this.#incoming.discard(blob, bytes);
    }
  }

  /** Some PRESENT parcel lists it, whether its file is right or not. */
  isListed(blob: string): boolean {
    return this.#index.lookup(blob) !== undefined;
  }

  /** Moves a stray to the trash. False when somebody counts on it, and when it cannot be moved. */
  reclaim(blob: BlobId): Promise<boolean> {
    return this.whileLeaving([{ blob }], async () => {
      const isCounted = this.#pins.has(blob) || this.#lingering.has(blob) || this.isListed(blob);
      return !isCounted && (await this.#incoming.discardStray(blob));
    });
  }

  isLost(blob: string): boolean {
    return this.#lost.has(blob);
  }

  /** Its file is gone, or has other bytes than its name says. */
  lose(blob: string): void {
    this.#lost.add(blob);
  }

  /** Right bytes are under its name again. */
  notLost(blob: string): void {
    this.#lost.delete(blob);
  }
}
