/**
 * Claimed rows: rows of the parcel table that are there only because somebody has claimed a parcel which no page has described
 * yet. Mostly its head is on the way, and it is as well to know who is at it; but rows stay for ever, and who claims what nobody
 * knows, takes that back and claims other such would fill the memory with them. So each host may have made so many.
 *
 * Driven by listening.ts.
 */
import type { HostId } from './ids.js';
import type { ParcelTable, Row } from './parcel-table.js';

/** Four times what a host may claim at once: many heads are behind where one is so slow that this is too little. */
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

  /** Where the host may make none: takes those off that pages have described since. To be asked once a message, as it looks at all. */
  recount(host: HostId): void {
    const rows = this.#made.get(host);
    if (rows === undefined || rows.size < CLAIMED_ROWS_MAX) return;
    for (const row of rows) if (this.#table.source(row) >= 0) rows.delete(row);
  }
}
