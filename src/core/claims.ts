/**
 * Claims: who says "I am about to fetch this". Hints with an end: they save bytes, and losing all of them loses nothing else.
 */
import type { HostId } from './ids.js';
import type { Row } from './parcel-table.js';

/** A host that claims more than this is broken or hostile; what is beyond is not heard. */
export const CLAIMS_PER_HOST_MAX = 4096;

interface Claim {
  readonly host: HostId;
  untilMs: number;
}

export class Claims {
  readonly #byRow = new Map<Row, Claim[]>();
  readonly #count = new Map<HostId, number>();

  /** Writes a claim down, or renews it. @returns false when the host has too many. */
  hear(row: Row, host: HostId, untilMs: number): boolean {
    const claims = this.#byRow.get(row) ?? [];
    const known = claims.find(claim => claim.host === host);
    if (known !== undefined) {
      known.untilMs = untilMs;
      return true;
    }
    const count = this.#count.get(host) ?? 0;
    if (count >= CLAIMS_PER_HOST_MAX) return false;
    this.#count.set(host, count + 1);
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

  /** The hosts whose claims on the row still stand; those that have ended are forgotten here. */
  live(row: Row, nowMs: number): readonly HostId[] {
    const claims = this.#byRow.get(row);
    if (claims === undefined) return [];
    for (const claim of [...claims]) if (claim.untilMs <= nowMs) this.withdraw(row, claim.host);
    return claims.map(claim => claim.host);
  }

  /** When the next claim on the row ends, unless it is renewed. */
  nextEndMs(row: Row): number {
    return Math.min(...(this.#byRow.get(row) ?? []).map(claim => claim.untilMs), Number.POSITIVE_INFINITY);
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
