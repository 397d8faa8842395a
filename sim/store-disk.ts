/**
 * Store disk: the folder of one store on a simulated disk: files under their names, the trash, the log, the marker.
 *
 * A file is one word, its content: the parcel's id if the bytes are right, something else if not. The log's operations
 * are durable; operations on their way to it are in `underWay`, and a crash keeps some first part of them.
 */
import type { Epoch, LogOp } from '../src/core/holdings-log.js';
import type { HostId, Key, ParcelId, SourceId, StoreId } from '../src/core/ids.js';
import type { SharedPart } from './catalog-model.js';
import { StoreLog } from './store-log.js';

/** The file under a name. */
export interface StoredFile {
  /** The parcel's id if the bytes are right. */
  readonly content: string;
  readonly bytes: number;
  /** The part of these bytes that the store keeps once, however many files have it. */
  readonly shared: SharedPart | undefined;
}

/** An operation that was written but not flushed yet. */
export interface UnderWay {
  readonly op: LogOp;
  /** Called when it is durable; not after a crash. */
  readonly done: () => void;
}

export class StoreDisk {
  readonly id: StoreId;
  readonly host: HostId;
  lentBytes: number;
  /** The marker's boot counter: the start at which the store was last mounted, or made. */
  boot: number;
  log: StoreLog;
  readonly files = new Map<ParcelId, StoredFile>();
  readonly trash = new Map<ParcelId, StoredFile & { readonly untilMs: number }>();
  /**
   * By parcel: how many right bytes of an incomplete fetch are here. They give way at once and are not counted, like
   * the trash.
   */
  readonly incoming = new Map<ParcelId, number>();
  readonly underWay: UnderWay[] = [];
  /** PRESENT by the durable log, whether or not the file is right. */
  readonly present = new Set<ParcelId>();
  /** By the durable log: the highest head of each source. */
  readonly heads = new Map<SourceId, number>();
  /**
   * Bytes of all files under their names, and of parts that fetches rely on; the trash gives way at once and is not
   * counted.
   */
  usedBytes = 0;
  /**
   * Parts that running fetches rely on: they stay until the fetches end, whatever becomes of the files that had them.
   */
  readonly pinned = new Set<{ readonly shared: SharedPart }>();
  /** How many files and fetches have each shared part. */
  readonly #sharers = new Map<Key, number>();
  /** The disk gives errors instead of bytes. */
  failing = false;
  /** It is away until a person puts it back. */
  pulled = false;
  /** No write succeeds, for lack of room, whatever the accounting says. */
  full = false;
  /** The bytes that fit, whatever the store lends: a quota that the file system does not report. */
  quotaBytes = Number.POSITIVE_INFINITY;
  /** The next file is written over another one. */
  goesAstray = false;
  /** It was once reported to lend less than before, perhaps less than it held and had promised. */
  wasCut = false;
  /**
   * The log was begun again: until every file has been read, none of them counts, and nothing is removed. Kept in the
   * marker.
   */
  rescanDue = false;
  /** It is to be emptied. */
  draining = false;
  /** Files whose bytes a fault has changed. */
  readonly hasSpoiled = new Set<ParcelId>();
  /** Each write and read takes this much longer, in ms. */
  slowMs = 0;
  /** Reads do not: a stick takes time to keep what it is given, but returns it at once. */
  readsAtOnce = false;

  constructor({
    id,
    host,
    lentBytes,
    boot,
    epoch,
  }: Pick<StoreDisk, 'id' | 'host' | 'lentBytes' | 'boot'> & { readonly epoch: Epoch }) {
    this.id = id;
    this.boot = boot;
    this.host = host;
    this.lentBytes = lentBytes;
    this.log = StoreLog.begin(host, id, epoch);
  }

  /** The bytes that the store still lends, limited by the quota. */
  get freeBytes(): number {
    return this.full ? 0 : Math.min(this.lentBytes, this.quotaBytes) - this.usedBytes;
  }

  /** A copy of the disk, with everything that is durable. */
  image(): StoreDisk {
    const { id, host, lentBytes, boot, log } = this;
    const image = new StoreDisk({ id, host, lentBytes, boot, epoch: log.epoch });
    image.log = this.log.fork();
    for (const [parcel, file] of this.files) image.put(parcel, file);
    for (const [parcel, file] of this.trash) image.trash.set(parcel, file);
    image.replay();
    image.quotaBytes = this.quotaBytes;
    image.wasCut = this.wasCut;
    image.draining = this.draining;
    image.rescanDue = this.rescanDue;
    for (const parcel of this.hasSpoiled) image.hasSpoiled.add(parcel);
    return image;
  }

  /** PRESENT with the right bytes: a true copy, for an observer that sees everything. */
  hasCopy(parcel: ParcelId): boolean {
    return this.present.has(parcel) && this.files.get(parcel)?.content === parcel;
  }

  /**
   * A true copy, or one that is about to count again: after a doubt about the log every copy is read again, over
   * restarts too, and nothing is removed until that is done.
   */
  keeps(parcel: ParcelId): boolean {
    return (this.rescanDue || this.present.has(parcel)) && this.files.get(parcel)?.content === parcel;
  }

  /** The parcels that would be lost with the disk: those in its log, and those about to be added to it again. */
  *held(): IterableIterator<ParcelId> {
    yield* this.present;
    for (const parcel of this.files.keys()) if (!this.present.has(parcel) && this.keeps(parcel)) yield parcel;
  }

  put(parcel: ParcelId, file: StoredFile): void {
    this.remove(parcel);
    this.usedBytes += this.missingBytes(file);
    this.files.set(parcel, file);
    this.#share(file.shared, 1);
  }

  remove(parcel: ParcelId): StoredFile | undefined {
    const file = this.files.get(parcel);
    if (file === undefined) return undefined;
    this.files.delete(parcel);
    this.#share(file.shared, -1);
    this.usedBytes -= this.missingBytes(file);
    return file;
  }

  /** The bytes that must be written for a file: all that are not here already. */
  missingBytes({ bytes, shared }: Pick<StoredFile, 'bytes' | 'shared'>): number {
    return shared !== undefined && this.#sharers.has(shared.key) ? bytes - shared.bytes : bytes;
  }

  /** A fetch relies on the part, if it is here. @returns how to end that */
  pin(shared: SharedPart | undefined): () => void {
    if (shared === undefined || !this.#sharers.has(shared.key)) return () => undefined;
    const pin = { shared };
    this.pinned.add(pin);
    this.#share(shared, 1);
    return () => {
      if (!this.pinned.delete(pin)) return;
      this.#share(shared, -1);
      if (!this.#sharers.has(shared.key)) this.usedBytes -= shared.bytes;
    };
  }

  #share(shared: SharedPart | undefined, more: 1 | -1): void {
    if (shared === undefined) return;
    const sharers = (this.#sharers.get(shared.key) ?? 0) + more;
    if (sharers > 0) this.#sharers.set(shared.key, sharers);
    else this.#sharers.delete(shared.key);
  }

  /** The bytes under the name go bad. */
  spoil(parcel: ParcelId, how: string): void {
    const file = this.files.get(parcel);
    if (file === undefined) return;
    this.files.set(parcel, { ...file, content: `${how} ${parcel}` });
    this.hasSpoiled.add(parcel);
  }

  /** The operation becomes durable. */
  commit(op: LogOp): void {
    this.log.append(op);
    this.#apply(op);
  }

  /** The log now stands on what is present; a crash before this changes nothing. */
  makeCheckpoint(): void {
    this.log.makeCheckpoint(this.present, this.heads);
  }

  beginEpoch(epoch: Epoch): void {
    this.log = StoreLog.begin(this.host, this.id, epoch);
    this.rescanDue = true;
    this.replay();
  }

  /** The log loses its end. */
  cutLog(seq: number): void {
    this.log = this.log.fork(seq);
    this.replay();
  }

  replay(): void {
    this.present.clear();
    this.heads.clear();
    for (const op of this.log.ops) this.#apply(op);
  }

  #apply(op: LogOp): void {
    switch (op.op) {
      case 'add':
        this.present.add(op.parcel);
        return;
      case 'del':
      case 'corrupt':
        this.present.delete(op.parcel);
        return;
      case 'head':
        this.heads.set(op.source, Math.max(op.seq, this.heads.get(op.source) ?? 0));
        return;
      default:
        op satisfies never;
    }
  }
}
