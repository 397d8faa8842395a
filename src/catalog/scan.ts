/**
 * Scan: streams what a source's folder holds, as found by one or two worker threads (scan-worker.ts).
 *
 * Gives batches in path order and takes the next one only when asked, so a slow consumer slows the walk and nothing
 * piles up. Ending the iteration early, or the signal, ends the worker's walk; its error is thrown here.
 */
import { assert } from '../core/fault.js';
import type { SourceId } from '../core/ids.js';
import { MOUNT_TABLE } from '../platform/mount-table.js';
import type { FileSystemFound } from './file-system-print.js';
import type { ForbiddenFolder } from './forbidden-folder.js';
import { SETTLE_MS } from './scan-cache.js';
import { type ScanItem, unpackItems } from './scan-items.js';
import { type DivideWhen, GO_ON, JOINED, type ScanRefusal, UNSETTLED_WAY } from './scan-message.js';
import { type PartOrder, ScanPart, type ScanProgress } from './scan-part.js';
import type { SnapshotId } from './snapshot.js';

export interface ScanOptions {
  /** The source's folder; a symlink to it is followed. */
  readonly path: string;
  readonly source: SourceId;
  /** The file of the `ScanCache`; undefined: every file is read. */
  readonly cachePath: string | undefined;
  /** The scan cache's. Default: `SETTLE_MS`. */
  readonly settleMs?: number | undefined;
  /** The last snapshot. Default: none; every entry is given. */
  readonly previous?: SnapshotId | undefined;
  /**
   * A path in the middle of a large source, whether it exists or not: a second thread begins there. Or when the first
   * thread may ask for a second one, which begins where the first says. Default: one thread walks all of it.
   */
  readonly divide?: Buffer | DivideWhen | undefined;
  /** The wall clock. */
  readonly nowMs: number;
  /** Patterns as in .gitignore (exclude.ts). Default: none. */
  readonly exclude?: readonly string[];
  /** Also scan file systems that are mounted below the source's folder. Default: false. */
  readonly crossMounts?: boolean;
  /** Folders that are never scanned and that no source may lie in: the stores and state folders of this host. */
  readonly forbidden?: readonly ForbiddenFolder[];
  /** Set only in tests: the file that lists what is mounted. Default: `MOUNT_TABLE`. */
  readonly mountTable?: string | undefined;
  readonly signal?: AbortSignal;
  /** Called at most four times a second for each thread. */
  readonly onProgress?: (progress: ScanProgress) => void;
}

export type ScanEvent =
  /** First, unless the scan is refused. */
  | ({ readonly kind: 'root' } & FileSystemFound)
  | { readonly kind: 'items'; readonly items: readonly ScanItem[] }
  /** After all items: paths in the folder that the items may lack, because they were moved there during the scan. */
  | { readonly kind: 'latecomers'; readonly paths: readonly Buffer[] }
  /** Last: the folder was not scanned, or the items must not be believed. */
  | { readonly kind: 'refused'; readonly because: ScanRefusal; readonly detail: string };

/** How many items a thread may be ahead of the consumer. */
const ITEMS_AHEAD_MAX = 1024;
/** … if its part is taken last: the items of a million unchanged files, or 15 MB of others. */
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
    const whole = orderOf(options);
    const begin = (order: PartOrder): void => void parts.push(new ScanPart(order, report));
    begin(whole);
    if (whole.to !== undefined) begin(partFrom(whole.to, whole));
    // The second part may be added while the first is read.
    for (const part of parts) {
      for (let message = await part.take(); message.kind !== 'walked'; message = await part.take()) {
        switch (message.kind) {
          case 'refused':
            yield message;
            return;
          case 'root':
            if (part === parts[0]) yield { kind: 'root', device: message.device, print: message.print };
            break;
          case 'items':
            yield { kind: 'items', items: [...unpackItems(message)] };
            part.took(message.items);
            break;
          case 'divide':
            begin(partFrom(message.at, whole));
            break;
          case 'seam':
            await join(parts, message.way);
            break;
          case 'unreached':
          case 'cancelled':
          case 'done':
            throw new Error(`bug: a scan was given what ended as ${message.kind}`);
        }
      }
    }
    const paths = await latecomersOf(parts);
    if (paths.length > 0) yield { kind: 'latecomers', paths };
  } finally {
    signal?.removeEventListener('abort', abort);
    await Promise.all(parts.map(part => part.close()));
  }
}

function orderOf(options: ScanOptions): PartOrder {
  const { divide } = options;
  const isKnown = divide instanceof Uint8Array;
  return {
    path: options.path,
    source: options.source,
    cachePath: options.cachePath,
    settleMs: options.settleMs ?? SETTLE_MS,
    previous: options.previous,
    nowMs: options.nowMs,
    exclude: options.exclude ?? [],
    crossMounts: options.crossMounts ?? false,
    forbidden: options.forbidden ?? [],
    mountTable: options.mountTable ?? MOUNT_TABLE,
    from: undefined,
    to: isKnown ? divide.toString('latin1') : undefined,
    divide: isKnown ? undefined : divide,
    itemsAheadMax: ITEMS_AHEAD_MAX,
  };
}

/** The order for the second thread, which begins at `from`. */
const partFrom = (from: string, whole: PartOrder): PartOrder => ({
  ...whole,
  from,
  to: undefined,
  divide: undefined,
  itemsAheadMax: ITEMS_AHEAD_MAX_BEHIND,
});

/** The first thread has come to where the other began. If they came by different folders, the first goes on alone. */
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

async function latecomersOf(parts: readonly ScanPart[]): Promise<readonly Buffer[]> {
  for (const part of parts) part.allWalked();
  const found: Buffer[] = [];
  for (const part of parts) {
    const message = await part.take();
    assert(message.kind === 'done', `a scan that was walked goes on with ${message.kind}`);
    found.push(...message.latecomers.map(path => Buffer.from(path, 'latin1')));
  }
  return found;
}

const sumOf = (a: ScanProgress, b: ScanProgress): ScanProgress => ({
  files: a.files + b.files,
  bytes: a.bytes + b.bytes,
  readBytes: a.readBytes + b.readBytes,
});
