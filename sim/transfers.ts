/**
 * Transfers: bytes under way between hosts, at rates that follow from how many share each end.
 *
 * A transfer runs at the smaller of its sender's share and its receiver's. Whenever one begins or ends, those that share
 * an end with it are rated anew; nothing is computed in between.
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
  ratedMs: number;
  /** Events of an earlier rate mean nothing. */
  version: number;
  readonly ended: () => void;
}

export class Transfers {
  readonly #after: (delayMs: number, run: () => void) => void;
  readonly #nowMs: () => number;
  readonly #out = new Map<SimHost, Set<Moving>>();
  readonly #in = new Map<SimHost, Set<Moving>>();

  constructor({
    after,
    nowMs,
  }: { readonly after: (delayMs: number, run: () => void) => void; readonly nowMs: () => number }) {
    this.#after = after;
    this.#nowMs = nowMs;
  }

  /** `ended` is called when all bytes have come; never after `stop`. */
  start({
    from,
    to,
    bytes,
    ended,
  }: Pick<Transfer, 'from' | 'to' | 'bytes'> & { readonly ended: () => void }): Transfer {
    const moving: Moving = { from, to, bytes, ended, doneBytes: 0, bytesPerMs: 0, ratedMs: this.#nowMs(), version: 0 };
    setOf(this.#out, from).add(moving);
    setOf(this.#in, to).add(moving);
    this.#rateAnew(from, to);
    return moving;
  }

  /** @returns how many bytes had come. */
  stop(transfer: Transfer): number {
    const moving = transfer as Moving;
    const known = this.#out.get(moving.from)?.delete(moving) === true;
    this.#in.get(moving.to)?.delete(moving);
    if (!known) return moving.doneBytes;
    this.#settle(moving);
    moving.version += 1;
    this.#rateAnew(moving.from, moving.to);
    return moving.doneBytes;
  }

  /** How many bytes have come by now. */
  doneBytes(transfer: Transfer): number {
    this.#settle(transfer as Moving);
    return transfer.doneBytes;
  }

  #rateAnew(from: SimHost, to: SimHost): void {
    const out = setOf(this.#out, from);
    for (const moving of out) this.#rate(moving);
    for (const moving of setOf(this.#in, to)) if (!out.has(moving)) this.#rate(moving);
  }

  #rate(moving: Moving): void {
    const upload = moving.from.uploadBytesPerS / setOf(this.#out, moving.from).size;
    const download = moving.to.downloadBytesPerS / setOf(this.#in, moving.to).size;
    const bytesPerMs = Math.min(upload, download) / 1000;
    if (bytesPerMs === moving.bytesPerMs) return;
    this.#settle(moving);
    moving.bytesPerMs = bytesPerMs;
    moving.version += 1;
    const { version } = moving;
    this.#after((moving.bytes - moving.doneBytes) / bytesPerMs, () => {
      if (moving.version !== version) return;
      moving.doneBytes = moving.bytes;
      this.stop(moving);
      moving.ended();
    });
  }

  #settle(moving: Moving): void {
    const nowMs = this.#nowMs();
    moving.doneBytes = Math.min(moving.bytes, moving.doneBytes + (nowMs - moving.ratedMs) * moving.bytesPerMs);
    moving.ratedMs = nowMs;
  }
}

function setOf(sets: Map<SimHost, Set<Moving>>, host: SimHost): Set<Moving> {
  const known = sets.get(host);
  if (known !== undefined) return known;
  const made = new Set<Moving>();
  sets.set(host, made);
  return made;
}
