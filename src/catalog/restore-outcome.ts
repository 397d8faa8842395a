/**
 * Restore outcome: a regular file that a restore is to write, and what became of it.
 */
import type { Entry } from './entry.js';

/** A regular file of the snapshot and its place, relative to the target. */
export interface WantedFile {
  readonly entry: Entry;
  readonly path: Buffer;
}

/** What became of one entry. `retry`: running the same restore again may succeed. */
export type Outcome =
  | { readonly kind: 'restored'; readonly bytes: number }
  | { readonly kind: 'kept' }
  | { readonly kind: 'failed'; readonly because: string; readonly retry: boolean };
