/**
 * Scan message: what the scan worker and the thread that started it say to each other.
 *
 * Paths, targets and attributes are sent as Latin-1 text, one character per byte: a Buffer would be copied with the
 * whole pool that it is cut from. The starting thread answers through words in shared memory, because the worker never
 * returns to its event loop: the worker looks at `CANCELLED`, waits while it is too far ahead of `TAKEN`, waits for an
 * answer at `SEAM`, where its part of a divided scan ends or begins, and waits for `ALL_WALKED` at its end.
 */
import type { ObjectId, SourceId } from '../core/ids.js';
import type { EntryKind } from './entry.js';
import type { FileSystemFound } from './file-system-print.js';
import type { ForbiddenFolder } from './forbidden-folder.js';
import type { Section } from './section.js';

export interface ScanOrder {
  readonly path: string;
  readonly source: SourceId;
  readonly cachePath: string | undefined;
  /** The `ScanCache`'s. */
  readonly settleMs: number;
  /** The snapshot whose sections (section.ts) are each reported as one item if they are unchanged. */
  readonly previous: ObjectId | undefined;
  readonly nowMs: number;
  readonly exclude: readonly string[];
  readonly crossMounts: boolean;
  readonly forbidden: readonly ForbiddenFolder[];
  /** The file that lists what is mounted; see mount-table.ts. */
  readonly mountTable: string;
  /** As Latin-1. This thread's part of the source: from this path on (undefined: all before `to`) … */
  readonly from: string | undefined;
  /**
   * … and before this one, if the thread that begins there meets the same folders on the way to it (undefined: all).
   */
  readonly to: string | undefined;
  /** When this thread asks for another one to begin in the middle of what is left to walk; undefined: never. */
  readonly divide: DivideWhen | undefined;
  /** Items that may wait to be taken. */
  readonly itemsAheadMax: number;
  /** 32-bit words: `CANCELLED`, `TAKEN`, `SEAM`, `ALL_WALKED`. */
  readonly control: SharedArrayBuffer;
}

/** When a second thread would help: the first has worked for a while and did not wait for its disk. */
export interface DivideWhen {
  readonly afterMs: number;
  /**
   * The least fraction of that time in which the thread had a processor. If it had less, it looks again after twice as
   * long, and so on.
   */
  readonly busyMin: number;
}

export const CANCELLED = 0;
/** A count of items. */
export const TAKEN = 1;
/** `JOINED` or `GO_ON` answers a thread that came to its `to`; `JOINED` answers one that began at its `from`. */
export const SEAM = 2;
/** 1: no thread of the scan has a folder left to list. */
export const ALL_WALKED = 3;
export const CONTROL_WORDS = 4;

/** The other thread's part continues from here, and both parts are used. */
export const JOINED = 1;
/** The mark of a folder on the way that changed while it was listed: it equals no other listing's. */
export const UNSETTLED_WAY = '';

/** There is no other part: this thread also walks what is behind `to`. */
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
  /** Names and values, in the order that an entry has them; undefined: none. */
  readonly xattrs: readonly (readonly [string, string])[] | undefined;
  readonly unreadXattrs: { readonly because: string; readonly names: 'all' | readonly string[] } | undefined;
  readonly mount: boolean;
  /** Not entered, because it is on another file system. */
  readonly hidden: boolean;
  /** `statPrint` of it, unless it may be in no section. */
  readonly print: string | undefined;
}

export interface UnreadMessage {
  readonly path: string;
  readonly unread: UnreadableScope;
  /** An errno code, `UNSTABLE` (changed twice while being read), `TOO_LONG` (its path or target) or `TOO_LARGE`. */
  readonly because: string;
}

/** All entries of a section of the last snapshot are unchanged. */
export interface SameMessage {
  readonly same: Omit<Section, 'opening' | 'print'> & { readonly opening: string; readonly print: string };
}

export type ItemMessage = FoundMessage | UnreadMessage | SameMessage;

/** Packed by scan-items.ts. */
export interface ItemsMessage {
  readonly kind: 'items';
  /** How many items there are in all. */
  readonly items: number;
  readonly rows: Uint8Array<ArrayBuffer>;
  /** Names of users and groups, which the rows refer to by index. */
  readonly accounts: readonly (readonly [string, string])[];
  /** The other items, each with its position among all. */
  readonly cloned: readonly (readonly [number, ItemMessage])[];
}

/** Why a source's folder was not scanned at all. */
export type ScanRefusal = 'missing-source' | 'not-a-folder' | 'unreadable-source' | 'inside-store';

export type ScanMessage =
  /**
   * Comes first, unless the scan was refused or `from` not reached. `way`: a mark of each folder from the source's own
   * to the one of `from`: which folder it is and what it lists.
   */
  | ({ readonly kind: 'root'; readonly way: readonly string[] } & FileSystemFound)
  /** Another thread may begin at this path, which is this thread's `to` from now on. */
  | { readonly kind: 'divide'; readonly at: string }
  /** The folder of `from` does not exist or may not be entered. The last message before `ended`. */
  | { readonly kind: 'unreached' }
  /** Everything before `to` has been sent. `way`: as above, for the folders on the way to `to` that were entered. */
  | { readonly kind: 'seam'; readonly way: readonly string[] }
  | ItemsMessage
  | { readonly kind: 'progress'; readonly files: number; readonly bytes: number; readonly readBytes: number }
  | { readonly kind: 'refused'; readonly because: ScanRefusal; readonly detail: string }
  /** All items have been sent. */
  | { readonly kind: 'walked' }
  /** `latecomers`: paths, as Latin-1. */
  | { readonly kind: 'done'; readonly latecomers: readonly string[] }
  | { readonly kind: 'cancelled' }
  /** The last message of each order: everything is closed, and the thread can take another order. */
  | { readonly kind: 'ended' };
