/**
 * Scan message: what the scan worker and the thread that started it say to each other.
 *
 * Paths, targets and attributes cross as Latin-1 text, one character a byte: a Buffer would be copied with the whole pool that
 * it is cut from. Two counters in shared memory go the other way, since the worker's loop never turns: it looks at `CANCELLED`,
 * and waits while it is too far ahead of `TAKEN`.
 */
import type { ObjectId, SourceId } from '../core/ids.js';
import type { EntryKind } from './entry.js';
import type { Section } from './section.js';

export interface ScanOrder {
  readonly path: string;
  readonly source: SourceId;
  readonly cachePath: string | undefined;
  /** The snapshot whose sections (section.ts) are told of as a whole where they are as they were. */
  readonly previous: ObjectId | undefined;
  readonly nowMs: number;
  readonly exclude: readonly string[];
  readonly crossMounts: boolean;
  readonly forbidden: readonly string[];
  /** Two 32-bit counters, `CANCELLED` and `TAKEN`. */
  readonly control: SharedArrayBuffer;
}

export const CANCELLED = 0;
export const TAKEN = 1;
/** Batches that may wait to be taken. */
export const BATCHES_AHEAD_MAX = 4;

/** What could not be read: the path and all below it, only what is below it, or the content of the file there. */
export type UnreadableScope = 'tree' | 'below' | 'content';

export interface FoundMessage {
  readonly path: string;
  readonly mark: number;
  readonly kind: EntryKind;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly user: string;
  readonly group: string;
  readonly mtimeNs: bigint;
  readonly size: number;
  readonly blob: string | undefined;
  readonly target: string | undefined;
  readonly link: string | undefined;
  readonly device: bigint;
  /** Names and values in the order of an entry; undefined: none. */
  readonly xattrs: readonly (readonly [string, string])[] | undefined;
  readonly unreadXattrs: { readonly because: string; readonly names: 'all' | readonly string[] } | undefined;
  readonly mount: boolean;
  /** Not entered, because it is another file system's. */
  readonly hidden: boolean;
  /** `statPrint` of it, unless it may be in no section. */
  readonly print: string | undefined;
}

export interface UnreadMessage {
  readonly path: string;
  readonly unread: UnreadableScope;
  /** An errno code, `UNSTABLE` (changed twice while being read) or `TOO_LONG`. */
  readonly because: string;
}

/** All entries of a section of the last snapshot are as they were. */
export interface SameMessage {
  readonly same: Omit<Section, 'opening' | 'print'> & { readonly opening: string; readonly print: string };
}

export type ItemMessage = FoundMessage | UnreadMessage | SameMessage;

/** Why a source's folder was not scanned at all. */
export type ScanRefusal = 'missing-source' | 'not-a-folder' | 'unreadable-source' | 'inside-store';

export type ScanMessage =
  | { readonly kind: 'root'; readonly device: bigint }
  | { readonly kind: 'items'; readonly items: readonly ItemMessage[] }
  | { readonly kind: 'progress'; readonly files: number; readonly bytes: number; readonly readBytes: number }
  | { readonly kind: 'refused'; readonly because: ScanRefusal; readonly detail: string }
  | { readonly kind: 'done' }
  | { readonly kind: 'cancelled' }
  /** The last of each order: all is closed, and the thread takes another one. */
  | { readonly kind: 'ended' };
