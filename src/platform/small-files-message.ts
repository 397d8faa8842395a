/**
 * Small files message: what `SmallFiles` and its worker exchange: many orders, or their outcomes, in one piece of
 * memory that is handed over, because a message costs by the number of its objects.
 */

/** The metadata of a file by which two contents are told apart. */
export interface FileStat {
  readonly size: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly ino: bigint;
}

export type FileOrder =
  /** Reads the whole file, if it is a plain one of no more than `bytesMax`. */
  | {
      readonly is: 'read';
      readonly path: string | Uint8Array;
      readonly bytesMax: number;
      /**
       * The first `straightFrom` bytes of the path are a folder; no symlink below it is followed. 0: none at the end of
       * the path.
       */
      readonly straightFrom: number;
    }
  /** Writes a new file. */
  | { readonly is: 'write'; readonly path: string; readonly content: Uint8Array; readonly mode: number }
  | { readonly is: 'rename'; readonly path: string; readonly to: string };

export interface ReadFile {
  readonly content: Uint8Array;
  readonly stat: FileStat;
  /** Size, times and inode were the same after the read, and all of it was read. */
  readonly isSteady: boolean;
}

export interface FileFailure {
  readonly code: string;
  readonly message: string;
  readonly syscall?: string;
}

export type FileOutcome = { readonly done: true } | { readonly read: ReadFile } | { readonly failed: FileFailure };

/**
 * For each order: kind, bytes of its path, of its content or its second path, a number (`bytesMax`, `mode`), and
 * `straightFrom`.
 */
export interface OrderMessage {
  readonly heads: Uint32Array<ArrayBuffer>;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export interface OutcomeMessage {
  /** For each order: bytes of its content, and whether the file was steady; both 0 for one that failed. */
  readonly heads: Uint32Array<ArrayBuffer>;
  /** For each order: size, mtime, ctime, inode. */
  readonly stats: BigUint64Array<ArrayBuffer>;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly failures: readonly (readonly [number, FileFailure])[];
  /** The memory of the orders, handed back. */
  readonly spare: ArrayBuffer;
}

const KINDS = ['read', 'write', 'rename'] as const;
const HEAD = 5;

/** @param spare memory to use where it is large enough */
export function packOrders(orders: readonly FileOrder[], spare?: ArrayBuffer): OrderMessage {
  const heads = new Uint32Array(orders.length * HEAD);
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for (const [n, order] of orders.entries()) {
    const path = typeof order.path === 'string' ? Buffer.from(order.path) : order.path;
    const more = order.is === 'write' ? order.content : order.is === 'rename' ? Buffer.from(order.to) : undefined;
    const number = order.is === 'read' ? order.bytesMax : order.is === 'write' ? order.mode : 0;
    const straightFrom = order.is === 'read' ? order.straightFrom : 0;
    heads.set([KINDS.indexOf(order.is), path.length, more?.length ?? 0, number, straightFrom], n * HEAD);
    parts.push(path);
    if (more !== undefined) parts.push(more);
    bytes += path.length + (more?.length ?? 0);
  }
  return { heads, bytes: joined(parts, bytes, spare) };
}

export function* unpackOrders({ heads, bytes }: OrderMessage): Generator<{
  readonly is: FileOrder['is'];
  readonly path: Buffer;
  readonly more: Buffer;
  readonly number: number;
  readonly straightFrom: number;
}> {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  for (let n = 0; n < heads.length; n += HEAD) {
    const [kind = 0, pathBytes = 0, moreBytes = 0, number = 0, straightFrom = 0] = heads.subarray(n, n + HEAD);
    const path = all.subarray(at, at + pathBytes);
    const more = all.subarray(at + pathBytes, at + pathBytes + moreBytes);
    at += pathBytes + moreBytes;
    yield { is: KINDS[kind] as FileOrder['is'], path, more, number, straightFrom };
  }
}

/** @param spare the memory of the orders, which are all done */
export function packOutcomes(outcomes: readonly FileOutcome[], spare: ArrayBuffer): OutcomeMessage {
  const heads = new Uint32Array(outcomes.length * 2);
  const stats = new BigUint64Array(outcomes.length * 4);
  const parts: Uint8Array[] = [];
  const failures: [number, FileFailure][] = [];
  let bytes = 0;
  for (const [n, outcome] of outcomes.entries()) {
    if ('failed' in outcome) failures.push([n, outcome.failed]);
    if (!('read' in outcome)) continue;
    const { content, stat, isSteady } = outcome.read;
    heads.set([content.length, isSteady ? 1 : 0], n * 2);
    stats.set([stat.size, stat.mtimeNs, stat.ctimeNs, stat.ino], n * 4);
    parts.push(content);
    bytes += content.length;
  }
  return { heads, stats, bytes: joined(parts, bytes), failures, spare };
}

/** @param orders what was asked for: an order that did not fail was carried out */
export function unpackOutcomes(
  orders: readonly FileOrder[],
  { heads, stats, bytes, failures }: OutcomeMessage,
): FileOutcome[] {
  const failed = new Map(failures);
  let at = 0;
  return orders.map((order, n): FileOutcome => {
    const failure = failed.get(n);
    if (failure !== undefined) return { failed: failure };
    if (order.is !== 'read') return { done: true };
    const [length = 0, isSteady = 0] = heads.subarray(n * 2, n * 2 + 2);
    const [size = 0n, mtimeNs = 0n, ctimeNs = 0n, ino = 0n] = stats.subarray(n * 4, n * 4 + 4);
    const content = bytes.subarray(at, at + length);
    at += length;
    return { read: { content, stat: { size, mtimeNs, ctimeNs, ino }, isSteady: isSteady === 1 } };
  });
}

function joined(parts: readonly Uint8Array[], bytes: number, spare?: ArrayBuffer): Uint8Array<ArrayBuffer> {
  const fits = spare !== undefined && spare.byteLength >= bytes;
  const all = fits ? new Uint8Array(spare, 0, bytes) : new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
