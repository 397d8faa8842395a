/**
 * Claims: who says "I am about to fetch this". Hints with an end: they save bytes, and losing all of them loses nothing else.
 */
import type { HostId } from './ids.js';
import type { Row } from './parcel-table.js';

/** A host that claims more than this is broken or hostile; what is beyond is not heard. */
const CLAIMS_PER_HOST_MAX = 4096;

/** No claim holds others up for longer without being renewed, in ms: a transfer that moves renews it every 20 s. */
export const CLAIM_MS_MAX = 3_600_000;

interface Claim {
  readonly host: HostId;
  untilMs: number;
  /** On the same row. */
  next: Claim | undefined;
}

const NONE: readonly HostId[] = [];

export class Claims {
  /** The first claim on each row: most rows have one or two, ever. */
  readonly #byRow = new Map<Row, Claim>();
  readonly #count = new Map<HostId, number>();
  #firstEndMs = Number.POSITIVE_INFINITY;

  /** False for a host that has as many as it may. */
  mayClaim(host: HostId): boolean {
    return (this.#count.get(host) ?? 0) < CLAIMS_PER_HOST_MAX;
  }

  /** No claim ends before this. */
  get firstEndMs(): number {
    return this.#firstEndMs;
  }

  /** Writes a claim down, or renews it. @returns false when the host has too many. */
  hear(row: Row, host: HostId, untilMs: number): boolean {
    const first = this.#byRow.get(row);
    let last = first;
    for (let claim = first; claim !== undefined; claim = claim.next) {
      if (claim.host === host) {
        this.#firstEndMs = Math.min(this.#firstEndMs, untilMs);
        claim.untilMs = untilMs;
        return true;
      }
      last = claim;
    }
    const count = this.#count.get(host) ?? 0;
    if (count >= CLAIMS_PER_HOST_MAX) return false;
    this.#firstEndMs = Math.min(this.#firstEndMs, untilMs);
    this.#count.set(host, count + 1);
    const claim = { host, untilMs, next: undefined };
    if (last === undefined) this.#byRow.set(row, claim);
    else last.next = claim;
    return true;
  }

  withdraw(row: Row, host: HostId): void {
    let before: Claim | undefined;
    for (let claim = this.#byRow.get(row); claim !== undefined; claim = claim.next) {
      if (claim.host === host) {
        if (before !== undefined) before.next = claim.next;
        else if (claim.next === undefined) this.#byRow.delete(row);
        else this.#byRow.set(row, claim.next);
        this.#count.set(host, (this.#count.get(host) ?? 1) - 1);
        return;
      }
      before = claim;
    }
  }

  /** The hosts that claim the row. */
  on(row: Row): readonly HostId[] {
    const first = this.#byRow.get(row);
    if (first === undefined) return NONE;
    const hosts: HostId[] = [];
    for (let claim: Claim | undefined = first; claim !== undefined; claim = claim.next) hosts.push(claim.host);
    return hosts;
  }

  /** Forgets the claims that have ended, on whatever row. @returns their rows. */
  expire(nowMs: number): readonly Row[] {
    if (nowMs < this.#firstEndMs) return [];
    const ended: { readonly row: Row; readonly host: HostId }[] = [];
    this.#firstEndMs = Number.POSITIVE_INFINITY;
    for (const [row, first] of this.#byRow) {
      for (let claim: Claim | undefined = first; claim !== undefined; claim = claim.next) {
        if (claim.untilMs <= nowMs) ended.push({ row, host: claim.host });
        else this.#firstEndMs = Math.min(this.#firstEndMs, claim.untilMs);
      }
    }
    for (const { row, host } of ended) this.withdraw(row, host);
    return ended.map(({ row }) => row);
  }

  /** Forgets everything that a host claimed. @returns the rows. */
  forgetHost(host: HostId): readonly Row[] {
    if ((this.#count.get(host) ?? 0) === 0) return [];
    const rows = [...this.#byRow.keys()].filter(row => this.on(row).includes(host));
    for (const row of rows) this.withdraw(row, host);
    return rows;
  }

  get size(): number {
    return this.#byRow.size;
  }
}
