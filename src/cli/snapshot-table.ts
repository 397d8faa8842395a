/** Snapshot table: restore points as people read them, from the service or from bare stores. */
import { shortId, sizeText, tableText, timeText } from './text.js';

export interface SnapshotRow {
  readonly id: string;
  readonly timeMs: number;
  readonly source: string;
  readonly origin: string;
  /** Undefined where the snapshot cannot be read. */
  readonly files: number | undefined;
  readonly bytes: number | undefined;
  readonly state: string;
}

export function snapshotTable(isTerminal: boolean, rows: readonly SnapshotRow[]): string {
  return tableText(
    isTerminal,
    [
      { head: 'id' },
      { head: 'time' },
      { head: 'source' },
      { head: 'origin' },
      { head: 'files', align: 'right' },
      { head: 'size', align: 'right' },
      { head: 'state' },
    ],
    rows.map(({ id, timeMs, source, origin, files, bytes, state }) => [
      shortId(id),
      timeText(timeMs),
      source,
      origin,
      files === undefined ? '' : String(files),
      bytes === undefined ? '' : sizeText(bytes),
      state,
    ]),
  );
}
