/**
 * Claimed rows: rows of the parcel table that exist only because a host has claimed a parcel which no page has
 * described yet. Usually the parcel's head is on its way, and it is useful to know who has claimed it. But rows are
 * never removed, so a host that claims unknown parcels, withdraws the claims and claims others would fill the memory.
 * So each host may cause only a limited number of them.
 *
 * Driven by listening.ts.
 */
import type { HostId } from './ids.js';
import type { ParcelTable, Row } from './parcel-table.js';

/** Four times what a host may claim at once: this is too little only for a host that is many heads behind. */
export const CLAIMED_ROWS_MAX = 16_384;

export class ClaimedRows {
  readonly #table: Pick<ParcelTable, 'source'>;
  readonly #made = new Map<HostId, Set<Row>>();

  constructor(table: Pick<ParcelTable, 'source'>) {
    this.#table = table;
  }

  /** Whether the host's claims may make another row. */
  mayMake(host: HostId): boolean {
    return (this.#made.get(host)?.size ?? 0) < CLAIMED_ROWS_MAX;
  }

  made(host: HostId, row: Row): void {
    const rows = this.#made.get(host);
    if (rows === undefined) this.#made.set(host, new Set([row]));
    else rows.add(row);
  }

  /**
   * For a host at its limit: discounts rows that pages have described since. Call it once per message, as it scans all
   * its rows.
   */
  recount(host: HostId): void {
    const rows = this.#made.get(host);
    if (rows === undefined || rows.size < CLAIMED_ROWS_MAX) return;
    for (const row of rows) if (this.#table.source(row) >= 0) rows.delete(row);
  }
}
