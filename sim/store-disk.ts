/**
 * Store disk: the folder of one store on a simulated disk: files under their names, the trash, the log, the marker.
 *
 * A file is one word, its content: the parcel's id where the bytes are right, and something else where they are not. What
 * the log says is durable; operations on their way to it are in `underWay`, and a crash keeps a beginning of them.
 */
import type { Epoch, LogOp } from '../src/core/holdings-log.js';
import type { HostId, Key, ParcelId, SourceId, StoreId } from '../src/core/ids.js';
import type { SharedPart } from './catalog-model.js';
import { StoreLog } from './store-log.js';

/** What lies under a name. */
export interface StoredFile {
  /** The parcel's id when the bytes are right. */
  readonly content: string;
  readonly bytes: number;
  /** Of these bytes: lies here once, however many files have it. */
  readonly shared: SharedPart | undefined;
}

/** An operation that was written and not flushed yet. */
export interface UnderWay {
  readonly op: LogOp;
  /** Told when it is durable; not after a crash. */
  readonly done: () => void;
}

export class StoreDisk {
  readonly id: StoreId;
  readonly host: HostId;
  lentBytes: number;
  /** The marker's boot counter: at which start of the service the store was mounted last, or made. */
  boot: number;
  log: StoreLog;
  readonly files = new Map<ParcelId, StoredFile>();
  readonly trash = new Map<ParcelId, StoredFile & { readonly untilMs: number }>();
  /** How much lies here of what did not come whole, all of it right; it gives way at once and is not counted, as the trash. */
  readonly incoming = new Map<ParcelId, number>();
  readonly underWay: UnderWay[] = [];
  /** PRESENT by the durable log; whether the file is right is another question. */
  readonly present = new Set<ParcelId>();
  /** By the durable log: the highest head of each source. */
  readonly heads = new Map<SourceId, number>();
  /** Of all files under their names, and what fetches count on; what lies in the trash gives way at once and is not counted. */
  usedBytes = 0;
  /** What fetches under way count on: it stays until they end, whatever becomes of the files that had it. */
  readonly pinned = new Set<{ readonly shared: SharedPart }>();
  /** How many files and fetches have each shared part. */
  readonly #sharers = new Map<Key, number>();
  /** The disk gives errors instead of bytes. */
  failing = false;
  /** It is not there, until somebody puts it back. */
  pulled = false;
  /** No write succeeds for want of room, whatever the accounts say. */
  full = false;
  /** So much fits, whatever it lends: a quota of which the file system does not tell. */
  quotaBytes = Number.POSITIVE_INFINITY;
  /** The next file is written to another's place. */
  goesAstray = false;
  /** It was once said to lend less than before, maybe less than it held and had promised. */
  wasCut = false;
  /** The log was begun anew: until every file was read nothing of what lies here counts, and nothing is taken away. As the marker says. */
  rescanDue = false;
  /** It is to be emptied. */
  draining = false;
  /** Files whose bytes a fault has changed. */
  readonly hasSpoiled = new Set<ParcelId>();
  /** Each write and read takes this much longer, in ms. */
  slowMs = 0;
  /** … but reads do not: a stick takes its time to keep what it is given, and gives it at once. */
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

  /** What the store lends beyond what lies here, as far as that fits. */
  get freeBytes(): number {
    return this.full ? 0 : Math.min(this.lentBytes, this.quotaBytes) - this.usedBytes;
  }

  /** An image of the disk as it is, with what was durable. */
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

  /** PRESENT and its bytes are right: what counts as a copy for whoever sees all. */
  hasCopy(parcel: ParcelId): boolean {
    return this.present.has(parcel) && this.files.get(parcel)?.content === parcel;
  }

  /**
   * … or right and about to count again: after doubt about the log every copy is read anew, over restarts too, and until that is
   * done nothing is taken away.
   */
  keeps(parcel: ParcelId): boolean {
    return (this.rescanDue || this.present.has(parcel)) && this.files.get(parcel)?.content === parcel;
  }

  /** What would be lost with it: by its log, or about to be in there again. */
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

  /** What is to be written for a file: all of it but what lies here already. */
  missingBytes({ bytes, shared }: Pick<StoredFile, 'bytes' | 'shared'>): number {
    return shared !== undefined && this.#sharers.has(shared.key) ? bytes - shared.bytes : bytes;
  }

  /** A fetch counts on what is here of the part, if it is. @returns how to end that */
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

  /** Bytes go bad under their name. */
  spoil(parcel: ParcelId, how: string): void {
    const file = this.files.get(parcel);
    if (file === undefined) return;
    this.files.set(parcel, { ...file, content: `${how} ${parcel}` });
    this.hasSpoiled.add(parcel);
  }

  /** The operation is durable from now on. */
  commit(op: LogOp): void {
    this.log.append(op);
    this.#apply(op);
  }

  /** The log stands on what is present from now on; a crash before this has changed nothing. */
  makeCheckpoint(): void {
    this.log.makeCheckpoint(this.present, this.heads);
  }

  beginEpoch(epoch: Epoch): void {
    this.log = StoreLog.begin(this.host, this.id, epoch);
    this.rescanDue = true;
    this.replay();
  }

  /** A log that lost its end. */
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
