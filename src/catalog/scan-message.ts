/**
 * Scan message: what the scan worker and the thread that started it say to each other.
 *
 * Paths, targets and attributes cross as Latin-1 text, one character a byte: a Buffer would be copied with the whole pool that
 * it is cut from. Words in shared memory go the other way, since the worker's loop never turns: it looks at `CANCELLED`, waits
 * while it is too far ahead of `TAKEN`, and waits for an answer at `SEAM`, where its part of a divided scan ends or begins, and for
 * `ALL_WALKED` at its end.
 */
import type { ObjectId, SourceId } from '../core/ids.js';
import type { EntryKind } from './entry.js';
import type { ForbiddenFolder } from './forbidden-folder.js';
import type { Section } from './section.js';

export interface ScanOrder {
  readonly path: string;
  readonly source: SourceId;
  readonly cachePath: string | undefined;
  /** Of the `ScanCache`. */
  readonly settleMs: number;
  /** The snapshot whose sections (section.ts) are told of as a whole where they are as they were. */
  readonly previous: ObjectId | undefined;
  readonly nowMs: number;
  readonly exclude: readonly string[];
  readonly crossMounts: boolean;
  readonly forbidden: readonly ForbiddenFolder[];
  /** As Latin-1. This thread's part of the source: from this path on (undefined: all before `to`) … */
  readonly from: string | undefined;
  /** … and before this one, if the thread that begins there meets the same folders on the way to it (undefined: all). */
  readonly to: string | undefined;
  /** When this thread asks for another one to begin in the midst of what is before it; undefined: never. */
  readonly divide: DivideWhen | undefined;
  /** Items that may wait to be taken. */
  readonly itemsAheadMax: number;
  /** 32-bit words: `CANCELLED`, `TAKEN`, `SEAM`, `ALL_WALKED`. */
  readonly control: SharedArrayBuffer;
}

/** When a second thread would help: the first one has been at it for a while and did not wait for its disk. */
export interface DivideWhen {
  readonly afterMs: number;
  /** The least part of that time in which it had a processor. If it had less, it looks again after twice as long, and so on. */
  readonly busyMin: number;
}

export const CANCELLED = 0;
/** A count of items. */
export const TAKEN = 1;
/** `JOINED` or `GO_ON` to a thread that came to its `to`, `JOINED` to one that began at its `from`. */
export const SEAM = 2;
/** 1: no thread of the scan has a folder to list any more. */
export const ALL_WALKED = 3;
export const CONTROL_WORDS = 4;

/** The other thread's part goes on from here, and both are believed. */
export const JOINED = 1;
/** A folder on the way that changed while it was listed: it is like no other listing. */
export const UNSETTLED_WAY = '';

/** There is no other part: what is behind `to` is this thread's, too. */
export const GO_ON = 2;

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

/** Packed by scan-items.ts. */
export interface ItemsMessage {
  readonly kind: 'items';
  /** How many. */
  readonly items: number;
  readonly rows: Uint8Array<ArrayBuffer>;
  /** Names of users and groups. */
  readonly accounts: readonly (readonly [string, string])[];
  /** With their places among all. */
  readonly cloned: readonly (readonly [number, ItemMessage])[];
}

/** Why a source's folder was not scanned at all. */
export type ScanRefusal = 'missing-source' | 'not-a-folder' | 'unreadable-source' | 'inside-store';

export type ScanMessage =
  /** First, unless it was refused or not reached. `way`: of each folder from the source's to the one of `from`, which it is and what it lists. */
  | { readonly kind: 'root'; readonly device: bigint; readonly way: readonly string[] }
  /** Another thread may begin at this path: from now on it is this one's `to`. */
  | { readonly kind: 'divide'; readonly at: string }
  /** The folder of `from` is not there, or not to be entered. The last but `ended`. */
  | { readonly kind: 'unreached' }
  /** All before `to` is sent. `way`: as above, of the folders on the way to `to` that were entered. */
  | { readonly kind: 'seam'; readonly way: readonly string[] }
  | ItemsMessage
  | { readonly kind: 'progress'; readonly files: number; readonly bytes: number; readonly readBytes: number }
  | { readonly kind: 'refused'; readonly because: ScanRefusal; readonly detail: string }
  /** All items are sent. */
  | { readonly kind: 'walked' }
  /** `latecomers`: paths, as Latin-1. */
  | { readonly kind: 'done'; readonly latecomers: readonly string[] }
  | { readonly kind: 'cancelled' }
  /** The last of each order: all is closed, and the thread takes another one. */
  | { readonly kind: 'ended' };
