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
}

export class Claims {
  readonly #byRow = new Map<Row, Claim[]>();
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
    const claims = this.#byRow.get(row) ?? [];
    const known = claims.find(claim => claim.host === host);
    if (known === undefined && !this.mayClaim(host)) return false;
    this.#firstEndMs = Math.min(this.#firstEndMs, untilMs);
    if (known !== undefined) {
      known.untilMs = untilMs;
      return true;
    }
    this.#count.set(host, (this.#count.get(host) ?? 0) + 1);
    claims.push({ host, untilMs });
    this.#byRow.set(row, claims);
    return true;
  }

  withdraw(row: Row, host: HostId): void {
    const claims = this.#byRow.get(row);
    const index = claims?.findIndex(claim => claim.host === host) ?? -1;
    if (claims === undefined || index < 0) return;
    claims.splice(index, 1);
    if (claims.length === 0) this.#byRow.delete(row);
    this.#count.set(host, (this.#count.get(host) ?? 1) - 1);
  }

  /** The hosts that claim the row. */
  on(row: Row): readonly HostId[] {
    return (this.#byRow.get(row) ?? []).map(({ host }) => host);
  }

  /** Forgets the claims that have ended, on whatever row. @returns their rows. */
  expire(nowMs: number): readonly Row[] {
    if (nowMs < this.#firstEndMs) return [];
    const ended: { readonly row: Row; readonly host: HostId }[] = [];
    this.#firstEndMs = Number.POSITIVE_INFINITY;
    for (const [row, claims] of this.#byRow) {
      for (const { host, untilMs } of claims) {
        if (untilMs <= nowMs) ended.push({ row, host });
        else this.#firstEndMs = Math.min(this.#firstEndMs, untilMs);
      }
    }
    for (const { row, host } of ended) this.withdraw(row, host);
    return ended.map(({ row }) => row);
  }

  /** Forgets everything that a host claimed. @returns the rows. */
  forgetHost(host: HostId): readonly Row[] {
    const rows = [...this.#byRow].filter(([, claims]) => claims.some(claim => claim.host === host)).map(([row]) => row);
    for (const row of rows) this.withdraw(row, host);
    return rows;
  }

  get size(): number {
    return this.#byRow.size;
  }
}
