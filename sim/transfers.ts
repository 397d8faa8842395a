/**
 * Transfers: bytes on their way between hosts, at rates that depend on how many share each link.
 *
 * Every host has a link in and a link out. Rates are max-min fair, roughly like TCP's: what a slow end leaves of a
 * link, the others on it share (progressive filling, Bertsekas & Gallager, Data Networks, 6.5.2). Rates are recomputed
 * when transfers have begun or ended, or what they depend on has changed, and stay the same in between.
 *
 * Nothing moves between two ends if one is held up, or if they are cut off from each other, even while both believe the
 * link to be whole; such a transfer is given up as a daemon gives it up.
 */
import type { SimHost } from './sim-host.js';

export interface Transfer {
  readonly from: SimHost;
  readonly to: SimHost;
  readonly bytes: number;
  readonly doneBytes: number;
}

interface Moving extends Transfer {
  doneBytes: number;
  bytesPerMs: number;
  settledMs: number;
  /** Since when nothing has moved. */
  stalledSinceMs: number | undefined;
  readonly ended: () => void;
  readonly stalled: () => void;
}

/** One direction of a host's link, while rates are computed. */
interface Link {
  leftBytesPerMs: number;
  readonly moving: Moving[];
  /** How many of these have no rate yet. */
  unrated: number;
}

/** Beginnings and ends this close together, in ms, share one computation. */
const TOGETHER_MS = 5;
/**
 * A remainder that takes less than this, in ms, is due to rounding: after 100 days a clock of doubles has steps of this
 * size.
 */
const ROUNDING_MS = 1e-6;
/** A transfer in which nothing moves for this long, in ms, is given up: `STALL_MS_MAX` of net/bulk-stream.ts. */
export const STALL_MS = 60_000;

export class Transfers {
  readonly #after: (delayMs: number, run: () => void) => void;
  readonly #nowMs: () => number;
  readonly #carries: (from: SimHost, to: SimHost) => boolean;
  readonly #moving = new Set<Moving>();
  #isDue = false;
  /** Version of the rates: an end that was foreseen with earlier rates means nothing. */
  #version = 0;

  constructor({
    after,
    nowMs,
    carries,
  }: {
    readonly after: (delayMs: number, run: () => void) => void;
    readonly nowMs: () => number;
    /** Whether anything moves from one to the other. */
    readonly carries: (from: SimHost, to: SimHost) => boolean;
  }) {
    this.#after = after;
    this.#nowMs = nowMs;
    this.#carries = carries;
  }

  /**
   * `ended` is called when all bytes have arrived, `stalled` when it was given up: exactly one of them, and neither
   * after `stop`.
   */
  start({
    from,
    to,
    bytes,
    ended,
    stalled,
  }: Pick<Transfer, 'from' | 'to' | 'bytes'> & Pick<Moving, 'ended' | 'stalled'>): Transfer {
    const moving: Moving = {
      from,
      to,
      bytes,
      ended,
      stalled,
      doneBytes: 0,
      bytesPerMs: 0,
      settledMs: this.#nowMs(),
      stalledSinceMs: undefined,
    };
    this.#moving.add(moving);
    this.#rateSoon();
    return moving;
  }

  /** @returns how many bytes had arrived. */
  stop(transfer: Transfer): number {
    const moving = transfer as Moving;
    if (!this.#moving.delete(moving)) return moving.doneBytes;
    this.#settle(moving);
    this.#rateSoon();
    return moving.doneBytes;
  }

  /** How many bytes have arrived by now. */
  doneBytes(transfer: Transfer): number {
    if (this.#moving.has(transfer as Moving)) this.#settle(transfer as Moving);
    return transfer.doneBytes;
  }

  /** Whether bytes come in any of them. */
  get isMoving(): boolean {
    for (const { bytesPerMs } of this.#moving) if (bytesPerMs > 0) return true;
    return false;
  }

  /** Links or their rates have changed. */
  review(): void {
    if (this.#moving.size > 0) this.#rateSoon();
  }

  #rateSoon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#after(TOGETHER_MS, () => {
      this.#isDue = false;
      const carried: Moving[] = [];
      for (const moving of this.#moving) {
        this.#settle(moving);
        if (this.#carries(moving.from, moving.to)) {
          moving.stalledSinceMs = undefined;
          carried.push(moving);
        } else this.#stall(moving);
      }
      rate(carried);
      this.#awaitNextEnd();
    });
  }

  #stall(moving: Moving): void {
    moving.bytesPerMs = 0;
    if (moving.stalledSinceMs !== undefined) return;
    const sinceMs = this.#nowMs();
    moving.stalledSinceMs = sinceMs;
    this.#after(STALL_MS, () => {
      if (moving.stalledSinceMs === sinceMs && this.#moving.delete(moving)) moving.stalled();
    });
  }

  #awaitNextEnd(): void {
    this.#version += 1;
    const version = this.#version;
    let soonestMs = Number.POSITIVE_INFINITY;
    for (const { bytes, doneBytes, bytesPerMs } of this.#moving)
      if (bytesPerMs > 0) soonestMs = Math.min(soonestMs, Math.max(0, bytes - doneBytes) / bytesPerMs);
    if (soonestMs === Number.POSITIVE_INFINITY) return;
    this.#after(soonestMs, () => {
      if (version === this.#version) this.#endThoseDone();
    });
  }

  #endThoseDone(): void {
    const done: Moving[] = [];
    for (const moving of this.#moving) {
      this.#settle(moving);
      const { bytes, doneBytes, bytesPerMs } = moving;
      if (bytesPerMs > 0 && bytes - doneBytes <= ROUNDING_MS * bytesPerMs) done.push(moving);
    }
    for (const moving of done) {
      moving.doneBytes = moving.bytes;
      // Another one that ended just before may have cancelled it.
      if (this.#moving.delete(moving)) moving.ended();
    }
    if (done.length > 0) this.#rateSoon();
    // Until then the others go on as they are.
    this.#awaitNextEnd();
  }

  #settle(moving: Moving): void {
    const nowMs = this.#nowMs();
    moving.doneBytes = Math.min(moving.bytes, moving.doneBytes + (nowMs - moving.settledMs) * moving.bytesPerMs);
    moving.settledMs = nowMs;
  }
}

/**
 * The link with the least share per transfer sets the rate of its transfers; what they leave on other links is for the
 * others; and so on.
 */
function rate(all: readonly Moving[]): void {
  const out = new Map<SimHost, Link>();
  const into = new Map<SimHost, Link>();
  for (const moving of all) {
    moving.bytesPerMs = Number.NaN;
    join(out, moving.from, { moving, bytesPerS: moving.from.uploadBytesPerS });
    join(into, moving.to, { moving, bytesPerS: moving.to.downloadBytesPerS });
  }
  const links = [...out.values(), ...into.values()];
  for (let left = all.length; left > 0; ) {
    let narrowest: Link | undefined;
    let share = Number.POSITIVE_INFINITY;
    for (const link of links) {
      if (link.unrated === 0 || link.leftBytesPerMs / link.unrated >= share) continue;
      narrowest = link;
      share = link.leftBytesPerMs / link.unrated;
    }
    if (narrowest === undefined) return;
    for (const moving of narrowest.moving) {
      if (!Number.isNaN(moving.bytesPerMs)) continue;
      moving.bytesPerMs = share;
      left -= 1;
      for (const link of [out.get(moving.from), into.get(moving.to)]) {
        if (link === undefined) continue;
        link.leftBytesPerMs = Math.max(0, link.leftBytesPerMs - share);
        link.unrated -= 1;
      }
    }
  }
}

function join(
  links: Map<SimHost, Link>,
  host: SimHost,
  { moving, bytesPerS }: { readonly moving: Moving; readonly bytesPerS: number },
): void {
  const link = links.get(host) ?? { leftBytesPerMs: bytesPerS / 1000, moving: [], unrated: 0 };
  links.set(host, link);
  link.moving.push(moving);
  link.unrated += 1;
}
