/**
 * Scan: the stream of what a source's folder holds, made by one worker thread or two (scan-worker.ts).
 *
 * Gives batches in path order and takes the next one only when asked, so a slow consumer slows the walk and nothing piles
 * up. Ending the iteration early, or the signal, ends the worker's walk; its error is thrown here.
 */
import { assert } from '../core/fault.js';
import type { SourceId } from '../core/ids.js';
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
  /** Its own. Default: `SETTLE_MS`. */
  readonly settleMs?: number | undefined;
  /** The last snapshot. Default: none; every entry is given. */
  readonly previous?: SnapshotId | undefined;
  /**
   * A path in the midst of a large source, there or not: a second thread begins with it. Or when the first thread asks for a second
   * one, where it says. Default: one thread does it all.
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
  readonly signal?: AbortSignal;
  /** Four times a second at most. */
  readonly onProgress?: (progress: ScanProgress) => void;
}

export type ScanEvent =
  /** First, unless the scan is refused. */
  | { readonly kind: 'root'; readonly device: bigint }
  | { readonly kind: 'items'; readonly items: readonly ScanItem[] }
  /** After all items: what is in the folder and may be among none of them, for it was moved meanwhile. */
  | { readonly kind: 'latecomers'; readonly paths: readonly Buffer[] }
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
    const whole = orderOf(options);
    const begin = (order: PartOrder): void => void parts.push(new ScanPart(order, report));
    begin(whole);
    if (whole.to !== undefined) begin(partFrom(whole.to, whole));
    // The second one may come while the first is read.
    for (const part of parts) {
      for (let message = await part.take(); message.kind !== 'walked'; message = await part.take()) {
        switch (message.kind) {
          case 'refused':
            yield message;
            return;
          case 'root':
            if (part === parts[0]) yield { kind: 'root', device: message.device };
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
    from: undefined,
    to: isKnown ? divide.toString('latin1') : undefined,
    divide: isKnown ? undefined : divide,
    itemsAheadMax: ITEMS_AHEAD_MAX,
  };
}

/** For the other thread, which begins there. */
const partFrom = (from: string, whole: PartOrder): PartOrder => ({
  ...whole,
  from,
  to: undefined,
  divide: undefined,
  itemsAheadMax: ITEMS_AHEAD_MAX_BEHIND,
});

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
