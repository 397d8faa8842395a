/**
 * Scan items: how a worker hands what a scan found to the thread that started it, some hundreds of items in one
 * message.
 *
 * Most items are files and folders that a stat, a blob and a path describe in full. These are packed as rows into one
 * piece of memory, which is transferred: cloning them as objects cost the two threads a tenth of a first scan. The
 * other items are cloned, each with its position among all.
 *
 * A row is: the stat (`statPrint`), the mark, the index of its accounts in the batch's list, the length of the path,
 * the blob as text, and the path.
 */
import { assert } from '../core/fault.js';
import type { BlobId } from '../core/ids.js';
import type { NameStat } from '../platform/stat-calls.js';
import { type Entry, PATH_BYTES_MAX, type Xattr } from './entry.js';
import { NO_XATTRS, type UnreadXattrs } from './read-xattrs.js';
import type { FoundMessage, ItemMessage, ItemsMessage, UnreadableScope } from './scan-message.js';
import { type Section, STAT_BYTES, statPrint } from './section.js';

export type ScanItem =
  /** `hidden`: a folder on another file system, which this scan does not enter: nothing is known about its content. */
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
  /** A section of the last snapshot whose entries are all unchanged. */
  | { readonly kind: 'same'; readonly section: Section }
  | { readonly kind: 'unread'; readonly path: Buffer; readonly scope: UnreadableScope; readonly because: string };

/** A file or a folder that may be in a section, has only one name, and is fully described by its stat. */
export interface PlainFound {
  readonly path: Buffer;
  readonly stat: NameStat;
  readonly user: string;
  readonly group: string;
  readonly mark: number;
  /** Undefined: it is a folder. */
  readonly blob: string | undefined;
}

/** Items per message: some 5 ms of walking. */
export const BATCH_ITEMS = 256;

const MARK_AT = STAT_BYTES;
const ACCOUNTS_AT = MARK_AT + 4;
const LENGTH_AT = ACCOUNTS_AT + 2;
const BLOB_AT = LENGTH_AT + 2;
const BLOB_BYTES = 64;
const PATH_AT = BLOB_AT + BLOB_BYTES;
const ROWS_BYTES = BATCH_ITEMS * (PATH_AT + PATH_BYTES_MAX);

/** Offsets of `statPrint`'s numbers, in bytes. */
const SIZE_AT = 0;
const MTIME_AT = 8;
const MODE_AT = 40;
const UID_AT = 48;
const GID_AT = 56;
const WORD = 2 ** 32;

const FORMAT_BITS = 0o170000;
const DIRECTORY_BITS = 0o040000;
const MODE_BITS = 0o7777;

/** In the worker: collects items until they are sent. */
export class ItemBatch {
  readonly #rows = Buffer.allocUnsafe(ROWS_BYTES);
  #bytes = 0;
  #accounts: (readonly [string, string])[] = [];
  #cloned: (readonly [number, ItemMessage])[] = [];
  #items = 0;

  get items(): number {
    return this.#items;
  }

  add(item: ItemMessage): void {
    this.#cloned.push([this.#items, item]);
    this.#items += 1;
  }

  addPlain({ path, stat, user, group, mark, blob }: PlainFound): void {
    const rows = this.#rows;
    const at = this.#bytes;
    rows.set(statPrint(stat), at);
    rows.writeUInt32LE(mark, at + MARK_AT);
    rows.writeUInt16LE(this.#placeOf(user, group), at + ACCOUNTS_AT);
    rows.writeUInt16LE(path.length, at + LENGTH_AT);
    if (blob !== undefined) rows.write(blob, at + BLOB_AT, 'latin1');
    rows.set(path, at + PATH_AT);
    this.#bytes = at + PATH_AT + path.length;
    this.#items += 1;
  }

  /** Takes all items; the batch is empty afterwards. */
  take(): ItemsMessage {
    const rows = new Uint8Array(this.#rows.subarray(0, this.#bytes));
    const message = {
      kind: 'items',
      items: this.#items,
      rows,
      accounts: this.#accounts,
      cloned: this.#cloned,
    } as const;
    this.#bytes = 0;
    this.#items = 0;
    this.#accounts = [];
    this.#cloned = [];
    return message;
  }

  #placeOf(user: string, group: string): number {
    const place = this.#accounts.findIndex(([knownUser, knownGroup]) => knownUser === user && knownGroup === group);
    return place >= 0 ? place : this.#accounts.push([user, group]) - 1;
  }
}

export function* unpackItems({ items, rows, accounts, cloned }: ItemsMessage): Generator<ScanItem> {
  const all = Buffer.from(rows.buffer, rows.byteOffset, rows.length);
  const others = cloned[Symbol.iterator]();
  let other = others.next();
  let at = 0;
  for (let n = 0; n < items; n += 1) {
    if (other.done !== true && other.value[0] === n) {
      yield itemFrom(other.value[1]);
      other = others.next();
      continue;
    }
    const end = at + PATH_AT + all.readUInt16LE(at + LENGTH_AT);
    yield itemFromRow(all.subarray(at, end), accounts);
    at = end;
  }
}

function itemFromRow(row: Buffer, accounts: ItemsMessage['accounts']): ScanItem {
  const owner = accounts[row.readUInt16LE(ACCOUNTS_AT)];
  assert(owner !== undefined, 'a row of the scan has no accounts');
  const [user, group] = owner;
  const mode = row.readUInt32LE(MODE_AT);
  const isFolder = (mode & FORMAT_BITS) === DIRECTORY_BITS;
  return {
    kind: 'entry',
    entry: {
      // A copy, so that keeping a path does not keep the whole message in memory.
      path: Buffer.from(row.subarray(PATH_AT)),
      kind: isFolder ? 'directory' : 'file',
      mode: mode & MODE_BITS,
      uid: row.readUInt32LE(UID_AT),
      gid: row.readUInt32LE(GID_AT),
      user,
      group,
      mtimeNs: row.readBigInt64LE(MTIME_AT),
      size: isFolder ? 0 : row.readUInt32LE(SIZE_AT) + row.readUInt32LE(SIZE_AT + 4) * WORD,
      // The worker made it with its own hasher: 64 hex digits.
      blob: isFolder ? undefined : (row.toString('latin1', BLOB_AT, PATH_AT) as BlobId),
      target: undefined,
      link: undefined,
      device: 0n,
      xattrs: NO_XATTRS,
      stale: false,
      mount: false,
    },
    mark: row.readUInt32LE(MARK_AT),
    hidden: false,
    print: row.subarray(0, STAT_BYTES),
  };
}

function itemFrom(message: ItemMessage): ScanItem {
  if ('same' in message) {
    const { opening, print, ...rest } = message.same;
    return { kind: 'same', section: { ...rest, opening: bytesOf(opening), print: bytesOf(print) } };
  }
  const path = bytesOf(message.path);
  if ('unread' in message) return { kind: 'unread', path, scope: message.unread, because: message.because };
  return {
    kind: 'entry',
    entry: entryFromMessage(message, path),
    mark: message.mark,
    hidden: message.hidden,
    unreadXattrs: unreadFrom(message.unreadXattrs),
    print: message.print === undefined ? undefined : bytesOf(message.print),
  };
}

function entryFromMessage(message: FoundMessage, path: Buffer): Entry {
  const { kind, mode, uid, gid, user, group, mtimeNs, size, blob, target, link, device, xattrs, mount } = message;
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
    // The worker made it with its own hasher, as in `itemFromRow`.
    blob: blob as BlobId | undefined,
    target: target === undefined ? undefined : bytesOf(target),
    link,
    device,
    xattrs: xattrs === undefined ? NO_XATTRS : xattrs.map(xattrFrom),
    stale: false,
    mount,
  };
}

const bytesOf = (text: string): Buffer => Buffer.from(text, 'latin1');

const xattrFrom = ([name, value]: readonly [string, string]): Xattr => ({ name: bytesOf(name), value: bytesOf(value) });

function unreadFrom(unread: FoundMessage['unreadXattrs']): UnreadXattrs | undefined {
  if (unread === undefined) return undefined;
  const { because, names } = unread;
  return { because, names: names === 'all' ? names : names.map(bytesOf) };
}
