/**
 * Scan: the stream of what a source's folder holds, made by a worker thread (scan-worker.ts).
 *
 * Gives batches in path order and takes the next one only when asked, so a slow consumer slows the walk and nothing piles
 * up. Ending the iteration early, or the signal, ends the worker's walk; its error is thrown here.
 */
import type { Worker } from 'node:worker_threads';
import { ClusterError } from '../core/fault.js';
import type { BlobId, SourceId } from '../core/ids.js';
import type { Entry, Xattr } from './entry.js';
import { NO_XATTRS, type UnreadXattrs } from './read-xattrs.js';
import {
  CANCELLED,
  type FoundMessage,
  type ItemMessage,
  type ScanMessage,
  type ScanOrder,
  type ScanRefusal,
  TAKEN,
  type UnreadableScope,
} from './scan-message.js';
import { startScan } from './scan-threads.js';
import type { Section } from './section.js';
import type { SnapshotId } from './snapshot.js';

export interface ScanProgress {
  /** Files met so far and the sum of their sizes. */
  readonly files: number;
  readonly bytes: number;
  /** Of these bytes, how many had to be read. */
  readonly readBytes: number;
}

export interface ScanOptions {
  /** The source's folder; a symlink to it is followed. */
  readonly path: string;
  readonly source: SourceId;
  /** The file of the `ScanCache`; undefined: every file is read. */
  readonly cachePath: string | undefined;
  /** The last snapshot. Default: none; every entry is given. */
  readonly previous?: SnapshotId | undefined;
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

/** How long a cancelled scan may take to end; a worker that hangs in a system call is left behind. */
const WORKER_END_MS = 2_000;

/** @throws ClusterError SCAN_FAILED when the worker fails; the signal's reason when it is aborted. */
export async function* scan(options: ScanOptions): AsyncGenerator<ScanEvent> {
  const { signal, onProgress } = options;
  signal?.throwIfAborted();
  const shared = new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT);
  const control = new Int32Array(shared);
  const order: ScanOrder = {
    path: options.path,
    source: options.source,
    cachePath: options.cachePath,
    previous: options.previous,
    nowMs: options.nowMs,
    exclude: options.exclude ?? [],
    crossMounts: options.crossMounts ?? false,
    forbidden: options.forbidden ?? [],
    control: shared,
  };
  const worker = startWorker(order);
  const waiting: ScanMessage[] = [];
  let failure: unknown;
  let ended = false;
  let wake = (): void => {};
  let settle = (): void => {};
  const settled = new Promise<void>(resolve => {
    settle = resolve;
  });
  const end = (): void => {
    // From here on it may be another scan's.
    for (const [event, listener] of Object.entries(listeners)) worker.off(event, listener);
    ended = true;
    wake();
    settle();
  };
  const take = (message: ScanMessage): void => {
    if (message.kind === 'ended') end();
    else if (message.kind === 'progress') {
      onProgress?.({ files: message.files, bytes: message.bytes, readBytes: message.readBytes });
    } else {
      waiting.push(message);
      wake();
    }
  };
  const fail = (error: unknown): void => {
    failure = error;
    wake();
  };
  const listeners = { exit: end, message: take, error: fail, messageerror: fail };
  for (const [event, listener] of Object.entries(listeners)) worker.on(event, listener);
  const abort = (): void => fail(signal?.reason);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    for (;;) {
      signal?.throwIfAborted();
      const message = waiting.shift();
      if (message === undefined) {
        if (failure !== undefined) throw scanFailed(options.path, failure);
        if (ended) throw scanFailed(options.path, new Error('the scan worker ended before the scan did'));
        await new Promise<void>(resolve => {
          wake = resolve;
          if (waiting.length > 0 || failure !== undefined || ended) resolve();
        });
        continue;
      }
      switch (message.kind) {
        case 'done':
        case 'cancelled':
          return;
        case 'refused':
          yield message;
          return;
        case 'root':
          yield message;
          break;
        case 'items':
          yield { kind: 'items', items: message.items.map(itemFrom) };
          Atomics.add(control, TAKEN, 1);
          Atomics.notify(control, TAKEN);
          break;
        case 'progress':
        case 'ended':
          break;
      }
    }
  } finally {
    signal?.removeEventListener('abort', abort);
    Atomics.store(control, CANCELLED, 1);
    Atomics.notify(control, TAKEN);
    await endsWithin(settled, WORKER_END_MS);
    // Still at it: it hangs in a system call, on a dead disk say, and must not keep the process alive.
    if (!ended) worker.unref();
  }
}

function startWorker(order: ScanOrder): Worker {
  try {
    return startScan(order);
  } catch (error) {
    throw scanFailed(order.path, error);
  }
}

function scanFailed(path: string, cause: unknown): ClusterError {
  return new ClusterError(
    'SCAN_FAILED',
    `the scan of ${path} failed: ${cause instanceof Error ? cause.message : String(cause)}; earlier snapshots are as they were`,
    { blame: 'passing', cause },
  );
}

async function endsWithin(ending: Promise<void>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([
    ending,
    new Promise<void>(resolve => {
      timer = setTimeout(resolve, limitMs);
    }),
  ]);
  clearTimeout(timer);
}

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
