/**
 * Scan: the stream of what a source's folder holds, made by one worker thread or two (scan-worker.ts).
 *
 * Gives batches in path order and takes the next one only when asked, so a slow consumer slows the walk and nothing piles
 * up. Ending the iteration early, or the signal, ends the worker's walk; its error is thrown here.
 */
import { assert } from '../core/fault.js';
import type { BlobId, SourceId } from '../core/ids.js';
import type { Entry, Xattr } from './entry.js';
import { NO_XATTRS, type UnreadXattrs } from './read-xattrs.js';
import {
  type FoundMessage,
  GO_ON,
  type ItemMessage,
  JOINED,
  type ScanRefusal,
  UNSETTLED_WAY,
  type UnreadableScope,
} from './scan-message.js';
import { type PartOrder, ScanPart, type ScanProgress } from './scan-part.js';
import type { Section } from './section.js';
import type { SnapshotId } from './snapshot.js';

export interface ScanOptions {
  /** The source's folder; a symlink to it is followed. */
  readonly path: string;
  readonly source: SourceId;
  /** The file of the `ScanCache`; undefined: every file is read. */
  readonly cachePath: string | undefined;
  /** The last snapshot. Default: none; every entry is given. */
  readonly previous?: SnapshotId | undefined;
  /** A path in the midst of a large source, there or not: a second thread begins with it. Default: one thread does it all. */
  readonly divideAt?: Buffer | undefined;
  /** The wall clock. */
  readonly nowMs: number;
  /** Patterns as in .gitignore (exclude.ts). Default: none. */
  readonly exclude?: readonly string[];
  /** Also scan file systems that are mounted below the source's folder. Default: false. */
  readonly crossMounts?: boolean;
  /** Folders that are never scanned and that no source may lie in: the stores and state folders of this host. */
  readonly forbidden?: readonly string[];
  readonly signal?: AbortSignal;
  /** Four times a second at most. */
  readonly onProgress?: (progress: ScanProgress) => void;
}

export type ScanItem =
  /** `hidden`: a folder on another file system, which this scan does not enter: nothing is known about what it had below. */
  | {
      readonly kind: 'entry';
      readonly entry: Entry;
      readonly mark: number;
      readonly hidden: boolean;
      /** Attributes that the entry lacks, and why. */
      readonly unreadXattrs?: UnreadXattrs | undefined;
      /** `statPrint` of it, unless it may be in no section. */
      readonly print?: Buffer | undefined;
    }
  /** A section of the last snapshot whose entries are all as they were. */
  | { readonly kind: 'same'; readonly section: Section }
  | { readonly kind: 'unread'; readonly path: Buffer; readonly scope: UnreadableScope; readonly because: string };

export type ScanEvent =
  /** First, unless the scan is refused. */
  | { readonly kind: 'root'; readonly device: bigint }
  | { readonly kind: 'items'; readonly items: readonly ScanItem[] }
  /** Last: the folder was not scanned, or must not be believed. */
  | { readonly kind: 'refused'; readonly because: ScanRefusal; readonly detail: string };

/** Items that a thread may be ahead of who takes them. */
const ITEMS_AHEAD_MAX = 1024;
/** … if its part is taken last: those of a million files that are as they were, or 15 MB of others. */
const ITEMS_AHEAD_MAX_BEHIND = 16 * 1024;

/** @throws ClusterError SCAN_FAILED when a worker fails; the signal's reason when it is aborted. */
export async function* scan(options: ScanOptions): AsyncGenerator<ScanEvent> {
  const { signal, onProgress } = options;
  signal?.throwIfAborted();
  const parts: ScanPart[] = [];
  const report = (): void => onProgress?.(parts.map(({ progress }) => progress).reduce(sumOf));
  const abort = (): void => {
    for (const part of parts) part.fail(signal?.reason);
  };
  signal?.addEventListener('abort', abort, { once: true });
  try {
    for (const order of ordersOf(options)) parts.push(new ScanPart(order, report));
    for (const part of parts) {
      for (let message = await part.take(); message.kind !== 'done'; message = await part.take()) {
        switch (message.kind) {
          case 'refused':
            yield message;
            return;
          case 'root':
            if (part === parts[0]) yield { kind: 'root', device: message.device };
            break;
          case 'items':
            yield { kind: 'items', items: message.items.map(itemFrom) };
            part.took(message.items.length);
            break;
          case 'seam':
            await join(parts, message.way);
            break;
          case 'unreached':
          case 'cancelled':
            throw new Error(`bug: a scan was given what ended as ${message.kind}`);
        }
      }
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    await Promise.all(parts.map(part => part.close()));
  }
}

function* ordersOf(options: ScanOptions): Generator<PartOrder> {
  const order: PartOrder = {
    path: options.path,
    source: options.source,
    cachePath: options.cachePath,
    previous: options.previous,
    nowMs: options.nowMs,
    exclude: options.exclude ?? [],
    crossMounts: options.crossMounts ?? false,
    forbidden: options.forbidden ?? [],
    from: undefined,
    to: options.divideAt?.toString('latin1'),
    itemsAheadMax: ITEMS_AHEAD_MAX,
  };
  yield order;
  if (order.to !== undefined) yield { ...order, from: order.to, to: undefined, itemsAheadMax: ITEMS_AHEAD_MAX_BEHIND };
}

/** The first thread has come to where the other began. If that was not by the same folders, the first one goes on alone. */
async function join(parts: ScanPart[], way: readonly string[]): Promise<void> {
  const [first, behind] = parts;
  assert(first !== undefined && behind !== undefined, 'a seam without two parts');
  const began = await behind.peek();
  const isSame =
    began.kind === 'root' &&
    began.way.length === way.length &&
    way.every((mark, at) => mark !== UNSETTLED_WAY && mark === began.way[at]);
  if (!isSame) {
    parts.pop();
    await behind.close();
  }
  for (const part of parts) part.answer(isSame ? JOINED : GO_ON);
}

const sumOf = (a: ScanProgress, b: ScanProgress): ScanProgress => ({
  files: a.files + b.files,
  bytes: a.bytes + b.bytes,
  readBytes: a.readBytes + b.readBytes,
});

function itemFrom(message: ItemMessage): ScanItem {
  if ('same' in message) {
    const { opening, print, ...rest } = message.same;
    return {
      kind: 'same',
      section: { ...rest, opening: Buffer.from(opening, 'latin1'), print: Buffer.from(print, 'latin1') },
    };
  }
  const path = Buffer.from(message.path, 'latin1');
  if ('unread' in message) return { kind: 'unread', path, scope: message.unread, because: message.because };
  return {
    kind: 'entry',
    entry: entryFromMessage(message, path),
    mark: message.mark,
    hidden: message.hidden,
    unreadXattrs: unreadFrom(message.unreadXattrs),
    print: message.print === undefined ? undefined : Buffer.from(message.print, 'latin1'),
  };
}

/** Field by field: a copy of the rest of the message took a third of what a scan of an unchanged source costs this thread. */
function entryFromMessage(message: FoundMessage, path: Buffer): Entry {
  const { kind, mode, uid, gid, user, group, mtimeNs, size, target, link, device, xattrs, mount } = message;
  return {
    path,
    kind,
    mode,
    uid,
    gid,
    user,
    group,
    mtimeNs,
    size,
    // The worker made it with its own hasher: 64 hex digits.
    blob: message.blob as BlobId | undefined,
    target: target === undefined ? undefined : Buffer.from(target, 'latin1'),
    link,
    device,
    xattrs: xattrs === undefined ? NO_XATTRS : xattrs.map(xattrFrom),
    stale: false,
    mount,
  };
}

const xattrFrom = ([name, value]: readonly [string, string]): Xattr => ({
  name: Buffer.from(name, 'latin1'),
  value: Buffer.from(value, 'latin1'),
});

function unreadFrom(unread: FoundMessage['unreadXattrs']): UnreadXattrs | undefined {
  if (unread === undefined) return undefined;
  const { because, names } = unread;
  return { because, names: names === 'all' ? names : names.map(name => Buffer.from(name, 'latin1')) };
}
