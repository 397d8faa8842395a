/**
 * Store: a folder on this host that lends space, and the one writer of what it holds.
 *
 * It owns the commit order: bytes verified → flushed → renamed into `.blobs` → names flushed → `add` in the log, flushed →
 * the index → the caller is told. So what is announced is durable, and what a crash interrupts was never announced.
 * Commits that run at once share each of these flushes.
 *
 * PRESENT: a parcel whose `add` is in the log and all of whose files are there. Blobs count only through PRESENT parcels.
 *
 * Driven by the daemon, one object a mounted store. Contract: test/contracts/store-contract.ts; layout: DESIGN section 8.
 */
import { lstat, readdir, statfs } from 'node:fs/promises';
import type { Logger } from 'pino';
import { assert, ClusterError } from '../core/fault.js';
import { hashHex } from '../core/hash.js';
import type { LogOp, LogPosition } from '../core/holdings-log.js';
import {
  type BlobId,
  type ClusterId,
  type HostId,
  hexOf,
  type ParcelId,
  parseParcelId,
  parseStoreId,
  type SourceId,
  type StoreId,
} from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import { writeDurable } from '../platform/durable.js';
import type { BlobIndex } from './blob-index.js';
import { readBlob, type StoredBlob } from './blob-reader.js';
import { DiskSync } from './disk-sync.js';
import { Group } from './group.js';
import { type Arrival, Incoming, type IncomingBlob } from './incoming.js';
import type { IndexDatabase } from './index-database.js';
import { LogFile } from './log-file.js';
import { MARKER_NAME, type Marker, readMarker, writeMarker } from './marker.js';
import { ObjectFolder } from './object-folder.js';
import { FILE_MODE, readOwnFile, storeFull, systemCode } from './own-folder.js';
import { type Recovered, recover } from './recovery.js';
import { headName, headsIn, newEpoch, resolveStorePath, SIGNED_BYTES_MAX, StoreFolder } from './store-folder.js';
import { type TreeReport, type TreeView, updateTree } from './tree-view.js';

export interface StoreOpening {
  readonly path: string;
  readonly cluster: ClusterId;
  readonly host: HostId;
  /** This start's boot counter. */
  readonly boot: number;
  /** The state folder's counter before this start: the marker must have it, unless the index knows better. */
  readonly previousBoot: number;
  readonly nowMs: number;
  readonly index: IndexDatabase;
  /**
   * The non-empty blobs that a record lists, each once.
   * @throws on bytes that are no record: a store's catalog has snapshots and pages too
   */
  readonly blobsOf: (record: Uint8Array) => readonly BlobRef[];
  readonly log: Logger;
  /** At least 8 random bytes a call. */
  readonly random: () => Uint8Array;
  /** The caller's own doubt about this store's log: a peer remembers more than it has. Begins a new epoch above `counterSeen`. */
  readonly doubt?: { readonly because: string; readonly counterSeen: number };
}

export type OpenedStore =
  | { readonly kind: 'mounted'; readonly store: Store }
  /** Its folder is absent, has no marker or somebody else's, or its disk does not answer. */
  | { readonly kind: 'missing'; readonly because: string };

export interface StoreUsage {
  /** Everything under `.blobs`, `.catalog`, `.incoming` and `.trash`, as file sizes. */
  readonly usedBytes: number;
  /** What its file system has left for this user. */
  readonly freeOnDiskBytes: number;
  readonly totalOnDiskBytes: number;
}

/**
 * Makes a store in an existing folder, once.
 *
 * @param options.boot the service's present boot counter
 * @param options.random at least 8 random bytes a call
 * @throws ClusterError STORE_FOLDER_MISSING, STORE_EXISTS, STORE_HAS_REMAINS
 */
export async function createStore(
  path: string,
  options: Pick<StoreOpening, 'cluster' | 'host' | 'boot' | 'nowMs' | 'random'>,
): Promise<StoreId> {
  const { cluster, host, boot, nowMs, random } = options;
  const real = await resolveStorePath(path);
  if (real === undefined) {
    throw refusal(
      'STORE_FOLDER_MISSING',
      `${path} is not a folder: make it (or mount its disk) first; no store was made`,
    );
  }
  if ((await readMarker(real)).kind !== 'absent') {
    throw refusal('STORE_EXISTS', `${path} has a ${MARKER_NAME} already: it is a store, and was left as it is`);
  }
  const folder = new StoreFolder(real);
  if (await hasBlobs(folder)) {
    throw refusal(
      'STORE_HAS_REMAINS',
      `${path} holds blobs but no ${MARKER_NAME}: put the marker back, or move .blobs away; nothing was touched`,
    );
  }
  await folder.make();
  const store = parseStoreId(hexOf(Buffer.concat([random(), random()]).subarray(0, 16)));
  const epoch = newEpoch([nowMs], random);
  const log = await LogFile.create(folder.log, store, epoch);
  await log.close();
  // Last: until it is there, this is no store, and making one may be tried again.
  await writeMarker(real, { cluster, host, store, epoch, boot, rescan: false });
  return store;
}

/** Mounts a store and finds out what it really holds (recovery.ts). Writes to it from the start. */
export async function openStore(opening: StoreOpening): Promise<OpenedStore> {
  try {
    return await open(opening);
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined || (error instanceof Error && !('syscall' in error) && code !== 'STORE_TAMPERED'))
      throw error;
    const message = error instanceof Error ? error.message : code;
    return { kind: 'missing', because: `it cannot be used: ${message}` };
  }
}

async function open(opening: StoreOpening): Promise<OpenedStore> {
  const { path, cluster, host, log } = opening;
  const missing = (because: string): OpenedStore => ({ kind: 'missing', because });
  const real = await resolveStorePath(path);
  if (real === undefined) return missing('its folder is not there');
  const read = await readMarker(real);
  if (read.kind === 'absent')
    return missing(`its folder has no ${MARKER_NAME}: the disk is not mounted, or this is no store`);
  if (read.kind === 'unreadable') return missing(`its ${MARKER_NAME} cannot be read: ${read.because}`);
  const { marker } = read;
  if (marker.cluster !== cluster) return missing(`it belongs to another cluster, ${marker.cluster}`);
  if (marker.host !== host) return missing(`it belongs to another host, ${marker.host}`);
  const { mounted } = opening.index;
  if (mounted.has(marker.store)) return missing(`store ${marker.store} is mounted already: this is a copy of its disk`);
  mounted.add(marker.store);
  const closing: { close(): Promise<void> }[] = [{ close: async () => void mounted.delete(marker.store) }];

  try {
    const folder = new StoreFolder(real);
    await folder.make();
    const sync = await DiskSync.open(real);
    closing.push(sync);
    const objects = await ObjectFolder.open(folder.objects, { log, sync });
    const index = opening.index.blobsOf(marker.store);
    const recovered = await recover({ ...opening, folder, marker, objects, index });
    closing.push(recovered.log);
    const incoming = new Incoming({
      path: folder.incoming,
      trash: folder.trash,
      blobs: folder.blobs,
      log,
      blobBytes: recovered.blobBytes,
      straysPossible: recovered.straysPossible,
    });
    await incoming.survey();
    const signedBytes = (await sizesIn(folder.heads)) + (await sizesIn(folder.config));
    return {
      kind: 'mounted',
      store: new Store({ path, folder, sync, objects, index, incoming, signedBytes, recovered, opening }),
    };
  } catch (error) {
    for (const part of closing) await part.close();
    throw error;
  }
}

interface PendingOp {
  readonly op: LogOp;
  readonly refs: readonly BlobRef[];
  position?: LogPosition;
}

interface StoreParts {
  readonly path: string;
  readonly folder: StoreFolder;
  readonly sync: DiskSync;
  readonly objects: ObjectFolder;
  readonly index: BlobIndex;
  readonly incoming: Incoming;
  readonly signedBytes: number;
  readonly recovered: Recovered;
  readonly opening: StoreOpening;
}

export class Store {
  readonly id: StoreId;
  /** As the operator wrote it. */
  readonly path: string;
  /** `.catalog/objects`: what is needed to restore from this disk alone. */
  readonly objects: ObjectFolder;
  readonly #folder: StoreFolder;
  readonly #sync: DiskSync;
  readonly #index: BlobIndex;
  readonly #incoming: Incoming;
  readonly #blobsOf: StoreOpening['blobsOf'];
  readonly #log: LogFile;
  readonly #logger: Logger;
  /** 64 hex digits a parcel in memory: about 20 MB for 10 million files. */
  readonly #present: Set<ParcelId>;
  readonly #headSeqs: Map<SourceId, number>;
  readonly #committing = new Map<ParcelId, Promise<LogPosition>>();
  readonly #ops = new Group<PendingOp>(ops => this.#append(ops));
  readonly #trees = new Set<string>();
  readonly #mounted: Set<StoreId>;
  #marker: Marker;
  #signedBytes: number;
  #failure: unknown;
  #closed = false;

  constructor(parts: StoreParts) {
    const { marker, log, present, headSeqs } = parts.recovered;
    this.id = marker.store;
    this.path = parts.path;
    this.objects = parts.objects;
    this.#folder = parts.folder;
    this.#sync = parts.sync;
    this.#index = parts.index;
    this.#incoming = parts.incoming;
    this.#blobsOf = parts.opening.blobsOf;
    this.#logger = parts.opening.log;
    this.#mounted = parts.opening.index.mounted;
    this.#log = log;
    this.#present = present;
    this.#headSeqs = headSeqs;
    this.#marker = marker;
    this.#signedBytes = parts.signedBytes;
  }

  /** After the last durable operation of this store's log. */
  position(): LogPosition {
    return this.#log.position;
  }

  /** The position after operation `seq`, so that any part of the log can be signed. */
  positionAt(seq: number): Promise<LogPosition> {
    return this.#log.positionAt(seq);
  }

  /** Operations after `fromSeq`, at most `max`. */
  ops(fromSeq: number, max: number): Promise<LogOp[]> {
    return this.#log.ops(fromSeq, max);
  }

  present(): IterableIterator<ParcelId> {
    return this.#present.values();
  }

  isPresent(parcel: ParcelId): boolean {
    return this.#present.has(parcel);
  }

  /** The last `head` operation for this source; 0 when there is none in this epoch. */
  headSeq(source: SourceId): number {
    return this.#headSeqs.get(source) ?? 0;
  }

  /** What its disk says now; one system call. */
  async usage(): Promise<StoreUsage> {
    const disk = await statfs(this.#folder.path);
    return {
      usedBytes: this.#incoming.usedBytes + this.objects.usedBytes + this.#signedBytes,
      freeOnDiskBytes: disk.bavail * disk.bsize,
      totalOnDiskBytes: disk.blocks * disk.bsize,
    };
  }

  /** What the store lends in all, used room included: never more than its disk can give now. */
  async lentBytes(limit: { readonly limitBytes: number } | { readonly reserveBytes: number }): Promise<number> {
    const { usedBytes, freeOnDiskBytes } = await this.usage();
    return 'limitBytes' in limit
      ? Math.min(limit.limitBytes, usedBytes + freeOnDiskBytes)
      : usedBytes + Math.max(0, freeOnDiskBytes - limit.reserveBytes);
  }

  /**
   * Why this is no usable store any more: its disk was pulled, its marker is gone, or a write failed of which nobody knows
   * what became, and then it must be opened again. `undefined` while all is well.
   */
  async whyGone(): Promise<string | undefined> {
    const failure = this.#failure ?? this.#log.failure ?? this.#sync.failure;
    if (failure !== undefined) return failure instanceof Error ? failure.message : String(failure);
    try {
      const read = await readMarker(this.#folder.path);
      if (read.kind === 'absent') return `its folder has no ${MARKER_NAME} any more: the disk is not mounted`;
      if (read.kind === 'unreadable') return `its ${MARKER_NAME} cannot be read any more: ${read.because}`;
      return read.marker.store === this.id ? undefined : `another store, ${read.marker.store}, is in its place`;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  /** Those that no PRESENT parcel lists and that did not arrive whole; found leftovers are hashed on the way. */
  async missing(blobs: readonly BlobRef[]): Promise<readonly BlobRef[]> {
    const missing: BlobRef[] = [];
    for (const ref of blobs) {
      const held = this.#index.lookup(ref.blob);
      if (held?.bytes === ref.bytes) continue;
      if (held !== undefined || (await this.#incoming.find(ref)) === undefined) missing.push(ref);
    }
    return missing;
  }

  /** Begins to receive a blob. The same blob may be received twice at once; the second copy is dropped. */
  async receive(blob: BlobRef): Promise<IncomingBlob> {
    this.#mustWork();
    return this.#incoming.receive(blob);
  }

  /** Removes blobs that arrived before `beforeMs` (wall clock) and that no commit has used. */
  async sweepIncoming(beforeMs: number): Promise<void> {
    await this.#incoming.sweep(beforeMs);
  }

  /**
   * Makes a parcel PRESENT whose blobs are all here. When this returns, all of it survives a power cut.
   *
   * @throws ClusterError RECORD_MISMATCH (the record has another hash), BLOBS_MISSING, STORE_FULL, STORE_FAILED
   */
  async commit(parcel: ParcelId, record: Uint8Array): Promise<LogPosition> {
    this.#mustWork();
    if (this.#present.has(parcel)) return this.position();
    let committing = this.#committing.get(parcel);
    if (committing === undefined) {
      committing = this.#commit(parcel, record).finally(() => this.#committing.delete(parcel));
      this.#committing.set(parcel, committing);
    }
    return committing;
  }

  async #commit(parcel: ParcelId, record: Uint8Array): Promise<LogPosition> {
    if (hashHex(record) !== parcel) {
      throw new ClusterError(
        'RECORD_MISMATCH',
        `the record that came for parcel ${parcel} has another hash; nothing was kept`,
        {
          blame: 'peer',
        },
      );
    }
    const refs = this.#blobsOf(record);
    const arrivals = await this.#arrivalsOf(parcel, refs);
    let held = false;
    try {
      await this.objects.put(record);
      const placed = async () => {
        await this.#sync.flush(arrivals.map(({ path }) => path));
        await Promise.all(arrivals.map(arrival => this.#incoming.place(arrival)));
        await this.#sync.flush(new Set(arrivals.map(({ blob }) => this.#folder.blobs.folderOf(blob))));
      };
      // Side by side, so that the record's two flushes are those of the blobs.
      await Promise.all([placed(), this.objects.flush()]);
      const position = await this.#enter({ op: 'add', parcel }, refs);
      held = true;
      return position;
    } catch (error) {
      throw storeFull(error, this.path);
    } finally {
      this.#incoming.unpin(arrivals, { held });
    }
  }

  /** The blobs that are not held yet, pinned; none may be missing. */
  async #arrivalsOf(parcel: ParcelId, refs: readonly BlobRef[]): Promise<readonly Arrival[]> {
    const arrivals: Arrival[] = [];
    const missing: BlobRef[] = [];
    try {
      for (const ref of refs) {
        const held = this.#index.lookup(ref.blob);
        if (held?.bytes === ref.bytes) continue;
        const arrival = held === undefined ? await this.#incoming.find(ref) : undefined;
        if (arrival === undefined) missing.push(ref);
        else {
          this.#incoming.pin([arrival]);
          arrivals.push(arrival);
        }
      }
    } catch (error) {
      this.#incoming.unpin(arrivals, { held: false });
      throw error;
    }
    const [first] = missing;
    if (first === undefined) return arrivals;
    this.#incoming.unpin(arrivals, { held: false });
    throw new ClusterError(
      'BLOBS_MISSING',
      `parcel ${parcel} lacks ${missing.length} of its ${refs.length} blobs here, the first ${first.blob} (${first.bytes} bytes)`,
      { blame: 'passing' },
    );
  }

  /** Says in the log that this head, its snapshots and pages are durable here. The caller has flushed `objects` first. */
  async appendHead(source: SourceId, seq: number): Promise<LogPosition> {
    this.#mustWork();
    if (this.headSeq(source) >= seq) return this.position();
    return this.#enter({ op: 'head', source, seq }, []);
  }

  async #enter(op: LogOp, refs: readonly BlobRef[]): Promise<LogPosition> {
    const pending: PendingOp = { op, refs };
    await this.#ops.join([pending]);
    assert(pending.position !== undefined, 'an operation that was appended has a position');
    return pending.position;
  }

  /** One round: log, index, tables, in this order and in the order of the log. */
  async #append(pending: readonly PendingOp[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const positions = await this.#log.append(pending.map(({ op }) => op));
    try {
      const changes = pending.flatMap(({ refs }) => refs.map(blob => ({ blob, by: 1 as const })));
      await this.#index.apply(changes, this.#log.position);
    } catch (error) {
      // The log has it and the index has not: the next opening brings the index up.
      this.#failure = error;
      throw error;
    }
    for (const [n, { op }] of pending.entries()) {
      if (op.op === 'head') this.#headSeqs.set(op.source, op.seq);
      else this.#present.add(op.parcel);
      const position = positions[n];
      const entry = pending[n];
      if (entry !== undefined && position !== undefined) entry.position = position;
    }
  }

  /** True for blobs of PRESENT parcels. */
  holds(blob: BlobId): boolean {
    return this.#index.lookup(blob) !== undefined;
  }

  /** A blob of a PRESENT parcel; `undefined` for all others. */
  async openBlob(blob: BlobId): Promise<StoredBlob | undefined> {
    const held = this.#index.lookup(blob);
    return held === undefined ? undefined : readBlob(this.#folder.blobs.pathOf(blob), blob, held.bytes);
  }

  /** True after the log was begun anew: `rescan` brings back what lies here. Until it is done nothing of that counts. */
  get rescanDue(): boolean {
    return this.#marker.rescan;
  }

  /**
   * Hashes every parcel whose record is in `.catalog` and makes it PRESENT again if all of it is right, one at a time,
   * each handed out as it is done. Ends at the first `throw` or `break` of its caller; the next call goes on.
   */
  async *rescan(signal?: AbortSignal): AsyncGenerator<{ readonly parcel: ParcelId; readonly position: LogPosition }> {
    if (!this.rescanDue) return;
    for await (const id of this.objects.ids()) {
      signal?.throwIfAborted();
      const parcel = parseParcelId(id);
      if (this.#present.has(parcel)) continue;
      const record = await this.objects.get(id);
      const refs = record === undefined ? undefined : this.#refsIfRecord(record);
      if (record === undefined || refs === undefined || (await this.missing(refs)).length > 0) continue;
      yield { parcel, position: await this.commit(parcel, record) };
    }
    this.#marker = { ...this.#marker, rescan: false };
    await writeMarker(this.#folder.path, this.#marker);
    this.#logger.info(
      { code: 'STORE_RESCANNED', parcels: this.#present.size },
      'all that lies in this store was hashed',
    );
  }

  #refsIfRecord(bytes: Uint8Array): readonly BlobRef[] | undefined {
    try {
      return this.#blobsOf(bytes);
    } catch {
      // A snapshot or a page: only records list blobs.
      return undefined;
    }
  }

  /** Keeps a signed head for restores from this disk alone; durable when this returns. */
  async putHead(source: SourceId, signedHead: Uint8Array): Promise<void> {
    await this.#putSigned(this.#headPath(source), signedHead);
  }

  head(source: SourceId): Promise<Buffer | undefined> {
    return readOwnFile(this.#headPath(source), SIGNED_BYTES_MAX);
  }

  /** The sources whose heads are kept here. */
  heads(): Promise<SourceId[]> {
    return headsIn(this.#folder);
  }

  /** Keeps a signed configuration version; durable when this returns. */
  async putConfig(version: number, raw: Uint8Array): Promise<void> {
    assert(Number.isSafeInteger(version) && version > 0, 'configuration versions count from 1');
    await this.#putSigned(`${this.#folder.config}/${version}`, raw);
  }

  #headPath(source: SourceId): string {
    return `${this.#folder.heads}/${headName(source)}`;
  }

  async #putSigned(path: string, bytes: Uint8Array): Promise<void> {
    this.#mustWork();
    const before = await readOwnFile(path, SIGNED_BYTES_MAX);
    try {
      await writeDurable(path, bytes, { mode: FILE_MODE });
    } catch (error) {
      throw storeFull(error, path);
    }
    this.#signedBytes += bytes.length - (before?.length ?? 0);
  }

  /** Makes STORE/<origin>/<source> look like this snapshot, as far as its blobs are held here (tree-view.ts). One at a time a source. */
  async updateTree(view: TreeView): Promise<TreeReport> {
    this.#mustWork();
    const tree = `${view.originName}/${view.source}`;
    assert(!this.#trees.has(tree), `the tree ${tree} is being updated already`);
    this.#trees.add(tree);
    try {
      return await updateTree(view, {
        storePath: this.#folder.path,
        linksPath: this.#folder.incoming,
        blobPathOf: blob => (this.#index.lookup(blob) === undefined ? undefined : this.#folder.blobs.pathOf(blob)),
      });
    } finally {
      this.#trees.delete(tree);
    }
  }

  /** Waits for commits that are under way, and lets go of the disk. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled(this.#committing.values());
    await this.#ops.join([]).catch(() => {
      // A failed round was reported to those who were in it.
    });
    try {
      await this.objects.close();
    } finally {
      // Whatever its disk says to this: else it would count as mounted, and could not be opened again.
      try {
        await this.#log.close();
      } finally {
        this.#mounted.delete(this.id);
        await this.#sync.close();
      }
    }
  }

  #mustWork(): void {
    if (this.#closed) {
      throw new ClusterError('STORE_CLOSED', `the store ${this.path} was unmounted`, { blame: 'passing' });
    }
    if (this.#failure !== undefined) throw this.#failure;
  }
}

async function hasBlobs(folder: StoreFolder): Promise<boolean> {
  try {
    for await (const { ids } of folder.blobs.shards()) if (ids.length > 0) return true;
    return false;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}

async function sizesIn(path: string): Promise<number> {
  let sum = 0;
  for (const name of await readdir(path)) sum += (await lstat(`${path}/${name}`)).size;
  return sum;
}

const refusal = (code: string, message: string) => new ClusterError(code, message, { blame: 'operator' });
