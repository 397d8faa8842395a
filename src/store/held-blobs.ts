/**
 * Held blobs: which bytes under `.blobs` may be counted on now, and which may leave it.
 *
 * The index says which blobs PRESENT parcels list. Three words name what happens between two looks at it:
 *
 *   pinned     a fetch or a commit under way counts on the blob: held or just arrived, it stays until that is over
 *   leaving    a parcel that lists it is being dropped: whoever wants a pin waits until that is over, and looks again
 *   lingering  the last parcel that lists it was dropped while it was pinned: it leaves with its last pin, unless a
 *              commit has made it held again
 *
 * Without them a commit could find a blob held, receive nothing, and enter its `add` when the blob is already in the
 * trash. A pin is taken in the same turn as the look at the index, and a blob is marked as leaving no later than its
 * `del` is asked for. So whoever gets a pin has seen a blob that stays.
 *
 * A `lost` blob was held, but its file is gone, or was wrong and was set aside: it is not counted on until it arrives
 * again. That is not kept over a restart: the next opening sees that its file is missing.
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
  /** Blob → how many fetches and commits count on it. */
  readonly #pins: Map<string, number>;
  readonly #leaving = new Map<string, Promise<void>>();
  /** Blob → its size. */
  readonly #lingering = new Map<string, number>();
  readonly #lost = new Set<string>();
  #losses = 0;

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

  /** Pins the blob, whatever is found: the caller must `release` it. When this fails it leaves no pin. */
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
   * Pins all of them. Returns those that are here but not held yet, and those that are missing. Puts into `pinned` what
   * the caller has to release, also when this fails.
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

  /** Those of them that cannot be counted on. */
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
      // Another drop may have discarded it meanwhile.
      await this.#discard(leave.filter(({ blob }) => this.#lingering.has(blob)));
    });
  }

  /**
   * Calls `enter`, which takes the references back in the log and the index. Then moves to the trash what no PRESENT
   * parcel lists any longer; spared blobs stay as strays. When `enter` fails, everything stays where it is.
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

  /** Nobody gets a pin on these blobs until `work` is done. Calls that share a blob run one after the other. */
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
      () => {}, // a failure is thrown to the caller
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
      if (this.#index.isBehind) {
        // An operation that only the log has may list it: it stays as a stray, and the next opening finds out.
        this.#incoming.expectStrays();
        return;
      }
      this.#lingering.delete(blob);
      if (this.#index.lookup(blob) !== undefined) continue;
      // Its file is gone already. It stays lost: a commit that took it for held may still check.
      if (this.#lost.has(blob)) continue;
      if (this.#pins.has(blob)) this.#lingering.set(blob, bytes);
      else await this.#incoming.discard(blob, bytes);
    }
  }

  /** Some PRESENT parcel lists it, whether its file is right or not. */
  isListed(blob: string): boolean {
    return this.#index.lookup(blob) !== undefined;
  }

  /** Moves a stray to the trash. False when it is counted on or cannot be moved. */
  reclaim(blob: BlobId): Promise<boolean> {
    return this.whileLeaving([{ blob }], async () => {
      const isListed = this.#index.isBehind || this.isListed(blob);
      const isCounted = this.#pins.has(blob) || this.#lingering.has(blob) || isListed;
      return !isCounted && (await this.#incoming.discardStray(blob));
    });
  }

  isLost(blob: string): boolean {
    return this.#lost.has(blob);
  }

  /** Notes that its file is gone or has other bytes than its name says. */
  lose(blob: string): void {
    this.#lost.add(blob);
    this.#losses += 1;
  }

  /** How often since the start a file was found gone or wrong. */
  get losses(): number {
    return this.#losses;
  }

  /** Notes that the right bytes are under its name again. */
  notLost(blob: string): void {
    this.#lost.delete(blob);
  }
}
