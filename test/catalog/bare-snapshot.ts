/** What a snapshot says besides its source and its pages, when nothing of it matters. */
import type { Snapshot } from '../../src/catalog/snapshot.js';

export const BARE_SNAPSHOT: Omit<Snapshot, 'source' | 'pages'> = {
  timeMs: 0,
  holdDays: 0,
  stale: 0,
  missed: 0,
  files: 0,
  bytes: 0,
  device: 0n,
  recutOf: undefined,
};
