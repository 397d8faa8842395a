/**
 * Object folder: the catalog's immutable objects on disk, each under its own hash (`objects/ab/<id>`).
 *
 * A file is one codec byte and the object, compressed where that helps. New objects wait under `new/` until a flush:
 * their bytes are made durable there, then they are renamed, then the names are made durable. So a name under `ab/` is
 * never half an object after a power cut. What is read is hashed again all the same: an object whose bytes do not hash
 * to its id counts as absent, is reported, and is replaced by the next `put`.
 *
 * Only a sweep removes objects. It is told which objects can be reached from what is wanted, notes the others, and
 * removes an object that has been noted for `gcGrace`. Putting, reading or looking for a noted object takes its note
 * away, and a sweep checks the note in the same step in which it removes the object: so no object goes that has just
 * been found here.
 *
 * An object that another object folder of this host has on the same disk is linked, not written again
 * (shared-objects.ts).
 */
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { brotliCompress, brotliDecompress, constants as zlib } from 'node:zlib';
import type { Logger } from 'pino';
import { ClusterError } from '../core/fault.js';
import { hashHex } from '../core/hash.js';
import { type ObjectId, parseObjectId } from '../core/ids.js';
import type { ObjectReader, ObjectWriter } from '../core/objects.js';
import { link, lstat, readdir, rm, unlink } from '../platform/disk-calls.js';
import { Group } from '../platform/group.js';
import { renameFiles, writeSmallFile } from '../platform/small-files.js';
import { DiskSync } from './disk-sync.js';
import { FanFolder } from './fan-folder.js';
import { FILE_MODE, makeOwnFolder, readOwnFile, storeFull, systemCode } from './own-folder.js';
import type { SharedObjects, SharingFolder } from './shared-objects.js';
import type { UnreachedNotes } from './unreached-notes.js';

/** The largest object is a snapshot's list of pages: 1 MiB lists 30,000 pages, some 120 million files. */
export const OBJECT_BYTES_MAX = 1024 * 1024;
/** Brotli never makes more than this out of what it cannot compress; the codec byte is in it. */
const FILE_BYTES_MAX = OBJECT_BYTES_MAX + 1024;
/** At this many objects put and not flushed, `put` flushes: a large snapshot must not keep all of its own in memory. */
const WAITING_MAX = 1024;
/** Below this, brotli's own frame eats what it saves. */
const COMPRESS_FROM_BYTES = 128;
/** Quality 1: 370 MB/s at ratio 2.5, measured on real catalogs; higher qualities cost more time than disk. */
const BROTLI_OPTIONS = { params: { [zlib.BROTLI_PARAM_QUALITY]: 1 } };

const CODEC_PLAIN = 0;
const CODEC_BROTLI = 1;

const compress = promisify(brotliCompress);
const decompress = promisify(brotliDecompress);

/** A sweep of one folder. */
export interface ObjectSweep {
  /** True when something wanted leads to the object, or it is in use. Asked only when the object's turn comes. */
  readonly isReached: (id: ObjectId) => boolean;
  /** The running time now, and how long an unreached object stays. */
  readonly runMs: number;
  readonly graceMs: number;
  readonly signal: AbortSignal;
}

export interface Swept {
  /** Objects that nothing leads to but that stay for now. */
  unreached: number;
  removed: number;
}

/** Reports an object whose bytes do not hash to its id or cannot be read: it counts as absent. */
export type DamagedObject = (id: ObjectId, error: unknown) => void;

/** Only reads, so it also serves a store that is not mounted. */
export class ObjectFolderReader implements ObjectReader {
  protected readonly fan: FanFolder;
  readonly #onDamaged: DamagedObject;
  /** Found damaged since this was opened; `put` writes them again. */
  protected readonly damaged = new Set<ObjectId>();

  constructor(path: string, onDamaged: DamagedObject) {
    this.fan = new FanFolder(path);
    this.#onDamaged = onDamaged;
  }

  get(id: ObjectId): Promise<Uint8Array | undefined> {
    return this.read(id, this.fan.pathOf(id));
  }

  /** All ids here, in order. */
  async *ids(): AsyncGenerator<ObjectId> {
    for await (const { ids } of this.fan.shards()) yield* ids.map(parseObjectId);
  }

  protected async read(id: ObjectId, path: string): Promise<Uint8Array | undefined> {
    let stored: Buffer | undefined;
    try {
      // A question about the catalog reads one object after the other, and a person may wait for its answer.
      stored = await readOwnFile(path, FILE_BYTES_MAX, { isUrgent: true });
    } catch (error) {
      // Too many open files, no permission: trouble of this host, which says nothing about the object.
      const code = systemCode(error);
      if (code !== undefined && code !== 'EIO' && code !== 'STORE_TAMPERED') throw error;
      return this.#damage(id, error);
    }
    if (stored === undefined) return undefined;
    try {
      const bytes = await decodeObject(stored);
      if (hashHex(bytes) === id) return bytes;
    } catch (error) {
      return this.#damage(id, error);
    }
    return this.#damage(id, new Error('its bytes have another hash'));
  }

  #damage(id: ObjectId, error: unknown): undefined {
    this.damaged.add(id);
    this.#onDamaged(id, error);
    return undefined;
  }
}

/** A file under `new/`, and its size in bytes. */
interface NewFile {
  readonly path: string;
  readonly size: number;
}

export interface ObjectFolderOptions {
  readonly log: Logger;
  readonly sync?: DiskSync;
  /** An earlier flush failed, so what is read may not be on the disk (disk-sync.ts). Default: false. */
  readonly flushFailed?: boolean;
  /** Without notes the folder is never swept. */
  readonly notes?: UnreachedNotes;
  /** Those of this host; without them every object is written. */
  readonly shared?: SharedObjects;
}

export class ObjectFolder extends ObjectFolderReader implements ObjectWriter, SharingFolder {
  readonly device: number;
  readonly #log: Logger;
  readonly #sync: DiskSync;
  readonly #ownSync: boolean;
  readonly #flushFailed: boolean;
  /** Put, not yet durable: id → its file under `new/`. */
  readonly #waiting = new Map<ObjectId, string>();
  readonly #flushes = new Group<never>(() => this.#flush());
  readonly #notes: UnreachedNotes | undefined;
  readonly #shared: SharedObjects | undefined;
  /** Used just now: their notes are being taken back, and may still be there. */
  readonly #used = new Set<ObjectId>();
  readonly #leaving = new Map<ObjectId, Promise<void>>();
  /** Folders with names that are not durable yet, though nothing waits for them any longer. */
  readonly #unflushed = new Set<string>();
  /** Sum of the sizes of the files here. Exact after `measure`. */
  #usedBytes = 0;

  private constructor(
    path: string,
    { sync, device, ...options }: ObjectFolderOptions & { readonly sync: DiskSync; readonly device: number },
    ownsSync: boolean,
  ) {
    const { log } = options;
    super(path, (id, error) =>
      log.warn({ code: 'OBJECT_DAMAGED', object: id, err: error }, 'an object on disk is damaged and counts as absent'),
    );
    this.device = device;
    this.#log = log;
    this.#notes = options.notes;
    this.#shared = options.shared;
    this.#sync = sync;
    this.#ownSync = ownsSync;
    this.#flushFailed = options.flushFailed ?? false;
  }

  /** In an existing folder. With a `sync` of the same file system, flushes are shared with its other users. */
  static async open(path: string, options: ObjectFolderOptions): Promise<ObjectFolder> {
    const fresh = `${path}/new`;
    await makeOwnFolder(path);
    const sync = options.sync ?? (await DiskSync.open(path));
    const { dev: device } = await lstat(path);
    const folder = new ObjectFolder(path, { ...options, sync, device }, options.sync === undefined);
    await folder.fan.make();
    await makeOwnFolder(fresh);
    // Never flushed, so nobody was promised them.
    for (const name of await readdir(fresh)) await rm(`${fresh}/${name}`, { force: true });
    // A process that died between rename and flush leaves names that are seen but not durable.
    await sync.flush(folder.fan.folders());
    options.shared?.join(folder);
    return folder;
  }

  override async get(id: ObjectId): Promise<Uint8Array | undefined> {
    this.#use(id);
    const waiting = this.#waiting.get(id);
    // A flush may rename the file before it is opened; then it is under its final name.
    return (waiting === undefined ? undefined : await this.read(id, waiting)) ?? super.get(id);
  }

  async has(id: ObjectId): Promise<boolean> {
    this.#use(id);
    await this.#leaving.get(id);
    if (this.#waiting.has(id)) return true;
    if (this.damaged.has(id)) return false;
    try {
      return (await lstat(this.fan.pathOf(id))).isFile();
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return false;
      throw error;
    }
  }

  async put(bytes: Uint8Array): Promise<ObjectId> {
    if (bytes.length > OBJECT_BYTES_MAX) {
      throw new ClusterError(
        'OBJECT_TOO_LARGE',
        `an object of ${bytes.length} bytes; at most ${OBJECT_BYTES_MAX} are kept`,
        {
          blame: 'peer',
        },
      );
    }
    const id = parseObjectId(hashHex(bytes));
    if (await this.has(id)) return id;
    const { path, size } = (await this.#linked(id)) ?? (await this.#written(id, bytes));
    if (this.#waiting.has(id)) {
      // Another `put` of the same object was faster.
      await rm(path, { force: true });
      return id;
    }
    this.#waiting.set(id, path);
    this.#usedBytes += size;
    if (this.#waiting.size >= WAITING_MAX) await this.flush();
    return id;
  }

  /** Undefined where no other folder of this host has the object on this disk. */
  async #linked(id: ObjectId): Promise<NewFile | undefined> {
    // A damaged file may be the very one that would be linked: renaming a link onto its own file changes nothing.
    if (this.#shared === undefined || this.damaged.has(id)) return undefined;
    const path = this.#newPath(id);
    const size = await this.#shared.link(this, id, {
      path,
      onLate: () => {
        rm(path, { force: true }).catch(() => {}); // the next opening removes it
      },
    });
    return size === undefined ? undefined : { path, size };
  }

  async #written(id: ObjectId, bytes: Uint8Array): Promise<NewFile> {
    const path = this.#newPath(id);
    const stored = await encodeObject(bytes);
    try {
      await writeSmallFile(path, stored, FILE_MODE);
    } catch (error) {
      throw storeFull(error, path);
    }
    return { path, size: stored.length };
  }

  #newPath(id: ObjectId): string {
    return `${this.fan.path}/new/${id}.${randomBytes(6).toString('hex')}`;
  }

  async linkTo(id: ObjectId, path: string): Promise<number | undefined> {
    // A waiting object is not durable, and may yet be taken back.
    if (this.#flushFailed || this.#waiting.has(id)) return undefined;
    this.#use(id);
    await this.#leaving.get(id);
    try {
      if ((await super.get(id)) === undefined) return undefined;
      await link(this.fan.pathOf(id), path);
      return (await lstat(path)).size;
    } catch {
      // Whatever failed, the caller can write the object, and that write reports a failing disk.
      return undefined;
    }
  }

  /** As `put`, for an object about to be announced: one already here is read first, and written again if damaged. */
  async putReadable(bytes: Uint8Array): Promise<ObjectId> {
    const id = parseObjectId(hashHex(bytes));
    // `put` treats an object that `get` finds damaged as absent.
    await this.get(id);
    if (this.#flushFailed) this.damaged.add(id);
    return this.put(bytes);
  }

  flush(): Promise<void> {
    return this.#flushes.join([]);
  }

  async #flush(): Promise<void> {
    const batch = [...this.#waiting];
    // With nothing waiting this still throws when an earlier flush has failed.
    await this.#sync.flush(batch.map(([, path]) => path));
    const failures = await renameFiles(batch.map(([id, path]) => ({ path, to: this.fan.pathOf(id) })));
    for (const [n, [id]] of batch.entries()) {
      if (failures[n] !== undefined) continue;
      this.#waiting.delete(id);
      this.damaged.delete(id);
      // From now on `put` finds it there. Whatever fails below, the next flush owes it this one.
      this.#unflushed.add(this.fan.folderOf(id));
    }
    const folders = [...this.#unflushed];
    await this.#sync.flush(folders);
    for (const folder of folders) this.#unflushed.delete(folder);
    const failure = failures.find(one => one !== undefined);
    if (failure !== undefined) throw failure;
  }

  /** Bytes of the files here. Cheap: kept up to date since `measure`. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Walks the folder, summing sizes and handing out the ids of each shard. */
  async measure(onShard?: (shard: string, ids: readonly string[]) => void): Promise<void> {
    let sum = 0;
    for await (const { shard, ids } of this.fan.shards()) {
      for (const { size } of await Promise.all(ids.map(id => lstat(this.fan.pathOf(id))))) sum += size;
      onShard?.(shard, ids);
    }
    this.#usedBytes = sum;
  }

  /** Notes what is not reached, and removes what has been noted long enough. @throws the signal's reason, part way */
  async sweep({ isReached, runMs, graceMs, signal }: ObjectSweep): Promise<Swept> {
    const notes = this.#notes;
    const swept: Swept = { unreached: 0, removed: 0 };
    if (notes === undefined) return swept;
    for await (const { ids } of this.fan.shards()) {
      signal.throwIfAborted();
      // Written when the shard is done: a note that the disk refuses must be awaited before anything else is.
      const settled: ObjectId[] = [];
      const fresh: ObjectId[] = [];
      for (const id of ids.map(parseObjectId)) {
        const sinceRunMs = notes.sinceRunMs(id, runMs);
        if (isReached(id) || this.#used.has(id)) {
          if (sinceRunMs !== undefined) settled.push(id);
        } else if (sinceRunMs !== undefined && runMs - sinceRunMs >= graceMs) {
          await this.#takeOut(id);
          settled.push(id);
          swept.removed += 1;
        } else {
          if (sinceRunMs === undefined) fresh.push(id);
          swept.unreached += 1;
        }
      }
      await Promise.all([...settled.map(id => notes.forget(id)), ...fresh.map(id => notes.note(id, runMs))]);
    }
    return swept;
  }

  #use(id: ObjectId): void {
    if (this.#notes?.sinceRunMs(id, 0) === undefined || this.#used.has(id)) return;
    this.#used.add(id);
    const failed = (error: unknown): void =>
      this.#log.warn(
        { code: 'INDEX_NOT_TIDIED', object: id, err: error },
        'a note of the index could not be taken back',
      );
    this.#notes
      .forget(id)
      .catch(failed)
      .finally(() => this.#used.delete(id));
  }

  /** Removes an object. Whoever looks for it from now on waits, and finds it absent. */
  async #takeOut(id: ObjectId): Promise<void> {
    const path = this.fan.pathOf(id);
    const leaving = (async () => {
      const { size } = await lstat(path);
      await unlink(path);
      this.#usedBytes -= size;
      this.damaged.delete(id);
    })();
    this.#leaving.set(
      id,
      leaving.catch(() => {}),
    ); // the error is thrown to the sweep; whoever waits looks at the disk
    try {
      await leaving;
    } finally {
      this.#leaving.delete(id);
    }
  }

  /** Flushes, and lets go of the folder. */
  async close(): Promise<void> {
    this.#shared?.leave(this);
    try {
      await this.flush();
    } finally {
      if (this.#ownSync) await this.#sync.close();
    }
  }
}

async function encodeObject(bytes: Uint8Array): Promise<Buffer> {
  if (bytes.length >= COMPRESS_FROM_BYTES) {
    const small = await compress(bytes, BROTLI_OPTIONS);
    if (small.length < bytes.length) return Buffer.concat([Buffer.of(CODEC_BROTLI), small]);
  }
  return Buffer.concat([Buffer.of(CODEC_PLAIN), bytes]);
}

async function decodeObject(stored: Buffer): Promise<Uint8Array> {
  switch (stored[0]) {
    case CODEC_PLAIN:
      return stored.subarray(1);
    case CODEC_BROTLI:
      // The limit is needed because a few bytes can decompress to a gigabyte.
      return await decompress(stored.subarray(1), { maxOutputLength: OBJECT_BYTES_MAX });
    default:
      throw new Error(`unknown codec ${String(stored[0])}`);
  }
}
