/**
 * Store: a folder on this host that lends space, and the one writer of what it holds.
 *
 * It owns the commit order: bytes verified → flushed → renamed into `.blobs` → names flushed → `add` in the log, flushed →
 * the index → the caller is told. So what is announced is durable, and what a crash interrupts was never announced.
 * Commits that run at once share each of these flushes. And it owns the order of giving up, which is the other way round:
 * `del` in the log, flushed → the index → what no PRESENT parcel lists is renamed into `.trash` → the caller is told.
 *
 * PRESENT: a parcel whose `add` is in the log and all of whose files are there. Blobs count only through PRESENT parcels.
 *
 * Driven by the daemon, one object a mounted store. Contract: test/contracts/store-contract.ts; layout: DESIGN section 8.
 */
import type { Logger } from 'pino';
import { CHECKPOINT_EVERY_OPS, contentsOf, isCheckpointDue, type LogBase } from '../core/checkpoint.js';
import { DropProof } from '../core/drop-proof.js';
import { ExpiryWarrant } from '../core/expiry.js';
import { assert, ClusterError } from '../core/fault.js';
import { hashHex } from '../core/hash.js';
import type { LogOp, LogPosition } from '../core/holdings-log.js';
import {
  type BlobId,
  type ClusterId,
  type HostId,
  hexOf,
  type ParcelId,
  type Possession,
  parseBlobId,
  parseParcelId,
  parseStoreId,
  type SourceId,
  type StoreId,
} from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import { isRecipe, RECIPE_BLOB_BYTES_MIN } from '../core/recipe.js';
import { abortWith } from '../platform/abort-with.js';
import { lstat, readdir, rm, statfs } from '../platform/disk-calls.js';
import { fsyncFolder, writeDurable } from '../platform/durable.js';
import { Group } from '../platform/group.js';
import { bootId } from '../platform/lock.js';
import { readSmallFiles } from '../platform/small-files.js';
import { Assemblies, type Assembly } from './assembly.js';
import type { BlobIndex } from './blob-index.js';
import { readBlob, type StoredBlob } from './blob-reader.js';
import { type DatedTree, findDatedTrees, removeTree } from './dated-trees.js';
import { DiskSync } from './disk-sync.js';
import { HeldBlobs } from './held-blobs.js';
import { type Arrival, Incoming, type IncomingBlob, type SmallBlob } from './incoming.js';
import type { IndexDatabase } from './index-database.js';
import type { LateDeletions } from './late-deletions.js';
import { LogFile } from './log-file.js';
import { MARKER_NAME, type Marker, readMarker, writeMarker } from './marker.js';
import { ObjectFolder, type ObjectSweep, type Swept } from './object-folder.js';
import { freeOpeningRoom, isDiskFull } from './opening-room.js';
import { FILE_MODE, isBadSector, readOwnFile, storeFull, systemCode } from './own-folder.js';
import { canBeRead, isRight, type ParcelRead, type PossessionAsk, readParcel } from './possess.js';
import type { RecipeIndex } from './recipe-index.js';
import { type Recovered, recover } from './recovery.js';
import { headName, headsIn, newEpoch, resolveStorePath, SIGNED_BYTES_MAX, StoreFolder } from './store-folder.js';
import type { StrayNotes } from './stray-notes.js';
import { type StraySweep, type SweptStrays, sweepStrays } from './stray-sweep.js';
import { Trash, type TrashLimit } from './trash.js';
import { type TreeName, treeNameOf } from './tree-name.js';
import { removeFromTrees } from './tree-prune.js';
import { type TreePlace, type TreeReport, type TreeView, updateTree } from './tree-view.js';
import { Turns } from './turns.js';

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
  /** The wall clock, by which the trash ages. Default: this machine's. */
  readonly wallMs?: () => number;
  /** Default CHECKPOINT_EVERY_OPS. */
  readonly checkpointEveryOps?: number;
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
  /** Of these, what `emptyTrash` can give back. */
  readonly trashBytes: number;
  /** What its file system has left for this user. */
  readonly freeOnDiskBytes: number;
  readonly totalOnDiskBytes: number;
}

/** What a fetch counts on while it runs: nothing of that leaves this store before its end. */
export interface Expected {
  /** As by `missing`. */
  readonly missing: readonly BlobRef[];
  /** However the fetch went. What came for it, and is not held now, is kept for its time from here on. Never throws. */
  end(): Promise<void>;
}

/** Whether this host has the bytes of a parcel, by a look at its disk. */
export type Possessed =
  /** Every byte was read and is right: what each of the holders must answer. */
  | { readonly kind: 'whole'; readonly possessions: ReadonlyMap<HostId, Possession> }
  /** A file of it is gone or wrong. It counts no more: `corrupt` is in the log, up to this position. */
  | { readonly kind: 'corrupt'; readonly position: LogPosition }
  /** Not PRESENT, or no longer when the read was over. */
  | { readonly kind: 'absent' };

/**
 * When a blob turns out to be wrong, other parcels may list it too. With no more parcels here than this, all records are
 * read to find them, about a second; with more, each is found when it is read itself.
 */
const SHARERS_SOUGHT_MAX = 10_000;

/** Of so many other files one must be read before a disk that does not give one is believed to have lost just that. */
const OTHERS_TRIED_MAX = 8;

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
  const { path, cluster, host } = opening;
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
  try {
    return { kind: 'mounted', store: await mountWithRoom(opening, new StoreFolder(real), marker) };
  } catch (error) {
    mounted.delete(marker.store);
    if (isDiskFull(error)) return missing(TOO_FULL);
    throw error;
  }
}

const TOO_FULL =
  'its disk is full, and nothing of its .trash and .incoming could go for the few blocks that opening it takes: ' +
  'free some room on the disk; what it holds is untouched';

/** On a full disk once more, when there is room for it. */
async function mountWithRoom(opening: StoreOpening, folder: StoreFolder, marker: Marker): Promise<Store> {
  try {
    return await mount(opening, folder, marker);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    const bytes = await freeOpeningRoom(folder, opening.wallMs ?? Date.now);
    opening.log.warn(
      { code: 'OPENING_ROOM_FREED', bytes, err: error },
      'the disk of a store was too full for it to be opened: the oldest of its trash went, and that is tried once more',
    );
    // It may have got as far as a new epoch.
    const again = await readMarker(folder.path);
    return mount(opening, folder, again.kind === 'found' ? again.marker : marker);
  }
}

async function mount(opening: StoreOpening, folder: StoreFolder, marker: Marker): Promise<Store> {
  const { path, log } = opening;
  const closing: { close(): Promise<void> }[] = [];
  try {
    await folder.make();
    const index = opening.index.blobsOf(marker.store);
    const { flushFailedIn } = index.note();
    const flushFailed = flushFailedIn !== undefined && flushFailedIn === bootId();
    const noteFailure = async (): Promise<void> => {
      try {
        await index.noteFlushFailed(bootId());
      } catch (error) {
        // Until the machine starts again the next opening believes what it reads.
        log.error({ code: 'FLUSH_FAILURE_NOT_NOTED', path, err: error }, 'a flush that failed could not be noted');
      }
    };
    const sync = await DiskSync.open(folder.path, noteFailure);
    closing.push(sync);
    const notes = opening.index.unreachedOf(marker.store);
    const objects = await ObjectFolder.open(folder.objects, { log, sync, notes, flushFailed });
    const trash = await Trash.open(folder.trash, { wallMs: opening.wallMs ?? Date.now });
    const recovered = await recover({ ...opening, folder, marker, objects, index, trash });
    closing.push(recovered.log);
    const pins = new Map<string, number>();
    const incoming = new Incoming({
      path: folder.incoming,
      trash,
      blobs: folder.blobs,
      log,
      blobBytes: recovered.blobBytes,
      straysPossible: recovered.straysPossible,
      pins,
      flushFailed,
    });
    await incoming.survey();
    const blobs = new HeldBlobs(index, incoming, pins);
    const recipes = opening.index.recipesOf(marker.store);
    const signedBytes = (await sizesIn(folder.heads)) + (await sizesIn(folder.config));
    return new Store({
      path,
      folder,
      sync,
      objects,
      index,
      incoming,
      trash,
      blobs,
      recipes,
      signedBytes,
      recovered,
      opening,
    });
  } catch (error) {
    for (const part of closing) await part.close();
    throw error;
  }
}

interface PendingOp {
  readonly op: LogOp;
  /** What it lists, or lists no longer. */
  readonly refs: readonly BlobRef[];
  position?: LogPosition;
}

type WrongRead = Extract<ParcelRead, { readonly kind: 'wrong' }>;

interface StoreParts {
  readonly path: string;
  readonly folder: StoreFolder;
  readonly sync: DiskSync;
  readonly objects: ObjectFolder;
  readonly index: BlobIndex;
  readonly incoming: Incoming;
  readonly trash: Trash;
  readonly blobs: HeldBlobs;
  readonly recipes: RecipeIndex;
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
  readonly #trash: Trash;
  readonly #blobs: HeldBlobs;
  readonly #recipes: RecipeIndex;
  readonly #strays: StrayNotes;
  readonly #assemblies: Assemblies;
  /** What is being tidied in the index; it never rejects. */
  #tidying = Promise.resolve();
  readonly #blobsOf: StoreOpening['blobsOf'];
  readonly #log: LogFile;
  readonly #logger: Logger;
  /** 64 hex digits a parcel in memory: about 20 MB for 10 million files. */
  readonly #present: Set<ParcelId>;
  readonly #headSeqs: Map<SourceId, number>;
  readonly #lateDeletions: LateDeletions;
  readonly #checkpointEveryOps: number;
  /** Parcels that are being read, and whether an operation on them has become durable since. */
  readonly #reads = new Set<{ readonly parcel: ParcelId; changed: boolean }>();
  /** Rounds of the log, and what may happen only between two of them. */
  readonly #rounds = new Turns<'log'>();
  readonly #checkpointing = new Turns<'checkpoint'>();
  /** What changes one parcel goes one after the other. */
  readonly #turns = new Turns<ParcelId>();
  readonly #ops = new Group<PendingOp>(ops => this.#append(ops));
  readonly #trees = new Map<string, Promise<unknown>>();
  /** Names in the trees are being removed: no update begins. */
  #pruning: Promise<void> | undefined;
  /** One at a time: of two, one would let updates begin while the other still looks through the trees. */
  readonly #emptying = new Turns<'trash'>();
  readonly #sweeping = new Turns<'strays'>();
  readonly #ending = new AbortController();
  readonly #mounted: Set<StoreId>;
  #marker: Marker;
  #signedBytes: number;
  #failure: unknown;
  #closed = false;

  constructor(parts: StoreParts) {
    const { marker, log, present, headSeqs, lateDeletions } = parts.recovered;
    this.id = marker.store;
    this.path = parts.path;
    this.objects = parts.objects;
    this.#folder = parts.folder;
    this.#sync = parts.sync;
    this.#index = parts.index;
    this.#incoming = parts.incoming;
    this.#trash = parts.trash;
    this.#blobs = parts.blobs;
    this.#blobsOf = parts.opening.blobsOf;
    this.#logger = parts.opening.log;
    this.#mounted = parts.opening.index.mounted;
    this.#strays = parts.opening.index.straysOf(marker.store);
    this.#log = log;
    this.#present = present;
    this.#headSeqs = headSeqs;
    this.#lateDeletions = lateDeletions;
    this.#checkpointEveryOps = parts.opening.checkpointEveryOps ?? CHECKPOINT_EVERY_OPS;
    this.#marker = marker;
    this.#signedBytes = parts.signedBytes;
    const { recipes, incoming } = parts;
    this.#recipes = recipes;
    this.#assemblies = new Assemblies({ recipes, incoming, pathOf: blob => this.#heldPath(blob) });
    const isHeld = (blob: BlobId): boolean => parts.index.lookup(blob) !== undefined;
    this.#tidying = this.#tidied(recipes.sweep(isHeld, this.#ending.signal));
  }

  /** After the last durable operation of this store's log. */
  position(): LogPosition {
    return this.#log.position;
  }

  /** What the log stands on; `undefined` while it has all operations. */
  get base(): LogBase | undefined {
    return this.#log.base;
  }

  /** Their contents, a run at a time. */
  contents(): AsyncGenerator<LogOp[]> {
    return this.#log.contents();
  }

  get isCheckpointDue(): boolean {
    return isCheckpointDue({
      opsSince: this.#log.position.seq - this.#log.first.seq,
      baseOps: this.#log.base?.count ?? 0,
      held: this.#present.size + this.#headSeqs.size,
      everyOps: this.#checkpointEveryOps,
    });
  }

  /**
   * Makes the log stand on what it says now. Commits go on meanwhile, but for the moment in which it takes the old one's
   * place. Whatever fails, the log goes on as it was, unless the store fails too.
   *
   * @param lastReading called when it is known what will stand for which operations: these can be read once more
   * @throws what `lastReading` throws, ClusterError STORE_FULL, STORE_CLOSED, and what the disk says
   */
  async makeCheckpoint(lastReading: (at: LogPosition) => Promise<void>): Promise<void> {
    this.#mustWork();
    await this.#checkpointing.take('checkpoint', async () => {
      const contents = await this.#rounds.take('log', async () => ({
        at: this.#log.position,
        contents: contentsOf(this.#present, this.#headSeqs),
        count: this.#present.size + this.#headSeqs.size,
        lateDeletions: this.#lateDeletions.all(),
      }));
      try {
        const draft = await this.#log.draft(contents, this.#ending.signal);
        try {
          // Else a crash could leave an index from before it, which would have to be made anew.
          await this.#index.flush();
          await lastReading(contents.at);
          await this.#rounds.take('log', () => this.#log.standOn(draft));
        } catch (error) {
          if (this.#log.base !== draft.base) await draft.discard();
          throw error;
        }
      } catch (error) {
        throw storeFull(error, this.path);
      }
    });
  }

  /** The position after operation `seq`, so that any part of the log can be signed. */
  positionAt(seq: number): Promise<LogPosition> {
    return this.#log.positionAt(seq);
  }

  /** Operations after `fromSeq`, at most `max`. The log must not stand on a later one. */
  ops(fromSeq: number, max: number): Promise<LogOp[]> {
    return this.#log.ops(fromSeq, max);
  }

  present(): IterableIterator<ParcelId> {
    return this.#present.values();
  }

  isPresent(parcel: ParcelId): boolean {
    return this.#present.has(parcel);
  }

  /** The highest `head` operation for this source; 0 when there is none in this epoch. */
  headSeq(source: SourceId): number {
    return this.#headSeqs.get(source) ?? 0;
  }

  /** What its disk says now; one system call. */
  async usage(): Promise<StoreUsage> {
    const disk = await statfs(this.#folder.path);
    return {
      usedBytes: this.#incoming.usedBytes + this.objects.usedBytes + this.#signedBytes,
      trashBytes: this.#trash.bytes,
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

  /** Those that no PRESENT parcel lists and that did not arrive whole; leftovers and trash are hashed on the way. */
  missing(blobs: readonly BlobRef[]): Promise<readonly BlobRef[]> {
    return this.#missing(blobs, { fromTrash: true });
  }

  /**
   * As `missing`, for a fetch of the parcel that begins now, and may take hours.
   *
   * @param blobs all that the parcel lists
   */
  async expect(parcel: ParcelId, blobs: readonly BlobRef[]): Promise<Expected> {
    this.#mustWork();
    const pinned: string[] = [];
    const end = async (): Promise<void> => {
      // Another object may write to this disk by now. The next opening begins the time of what is here anew.
      if (this.#closed) return;
      await this.#turns.take(parcel, async () => {
        await this.#incoming.renew(pinned);
        await this.#blobs.release(pinned);
      });
    };
    try {
      const { missing } = await this.#pinAll(blobs, pinned);
      return { missing, end };
    } catch (error) {
      await end();
      throw error;
    }
  }

  /** False when some of these are surely missing: a look at names, which takes nothing out of the trash. */
  async mayHaveAll(blobs: readonly BlobRef[]): Promise<boolean> {
    for (const ref of blobs)
      if (this.#blobs.lookup(ref.blob) === undefined && !(await this.#incoming.mayHave(ref))) return false;
    return true;
  }

  /** How much of a missing blob is here already, as the beginning of it that a fetch has left. It is used room. */
  partialBytes(blob: BlobRef): number {
    return this.#incoming.partialBytes(blob.blob);
  }

  async #missing(blobs: readonly BlobRef[], from: { readonly fromTrash: boolean }): Promise<readonly BlobRef[]> {
    const missing: BlobRef[] = [];
    for (const ref of blobs) {
      const counted = await this.#blobs.pin(ref, from);
      if (counted.is === 'missing') missing.push(ref);
      await this.#blobs.release([ref.blob]);
    }
    return missing;
  }

  /** Begins to receive a blob. The same blob may be received twice at once; the second copy is dropped. */
  async receive(blob: BlobRef): Promise<IncomingBlob> {
    this.#mustWork();
    return this.#incoming.receive(blob);
  }

  /** As `receive` to `finish`, many small blobs at once. @returns those whose bytes are not their own: nothing of them is kept */
  async receiveSmall(blobs: readonly SmallBlob[]): Promise<readonly SmallBlob[]> {
    this.#mustWork();
    return this.#incoming.receiveSmall(blobs);
  }

  /**
   * Begins to put a large blob together from its chunks, or goes on where that was left (assembly.ts). The caller must `leave`
   * it in the end. `undefined`: somebody else has just brought it here.
   *
   * @throws ClusterError STORE_FULL, the signal's reason, and what the disk says
   */
  async assemble(blob: BlobRef, signal?: AbortSignal): Promise<Assembly | undefined> {
    this.#mustWork();
    return this.#assemblies.begin(blob, signal);
  }

  /** Packed (core/recipe.ts); `undefined` when nobody has kept one. */
  recipe(blob: BlobRef): Uint8Array | undefined {
    return this.#recipes.recipe(blob);
  }

  /** Keeps the recipe of a blob, so that its chunks are found here; nothing when it is not held. It is believed of nobody. */
  async keepRecipe(ref: BlobRef, packed: Uint8Array): Promise<void> {
    this.#mustWork();
    const { blob, bytes } = ref;
    assert(isRecipe(packed, bytes), `what is kept as the recipe of blob ${blob} is none`);
    if (this.#blobs.lookup(blob)?.bytes !== bytes || this.#recipes.recipe(ref) !== undefined) return;
    await this.#recipes.put(blob, packed);
    // It may have left meanwhile.
    if (this.#index.lookup(blob) === undefined) await this.#recipes.forget(blob);
  }

  #heldPath(blob: string): string | undefined {
    return this.#blobs.lookup(blob) === undefined ? undefined : this.#folder.blobs.pathOf(parseBlobId(blob));
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
    return this.#turns.take(parcel, () => this.#commit(parcel, record));
  }

  async #commit(parcel: ParcelId, record: Uint8Array): Promise<LogPosition> {
    if (this.#present.has(parcel)) return this.position();
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
    const pinned: string[] = [];
    let arrivals: readonly Arrival[] = [];
    let held = false;
    try {
      const counted = await this.#pinAll(refs, pinned);
      if (counted.missing.length > 0) throw lacking(parcel, refs, counted.missing);
      ({ arrivals } = counted);
      await this.objects.putReadable(record);
      const placed = async () => {
        await this.#sync.flush(arrivals.map(({ path }) => path));
        await this.#incoming.place(arrivals);
        await this.#sync.flush(new Set(arrivals.map(({ blob }) => this.#folder.blobs.folderOf(blob))));
        for (const { blob } of arrivals) this.#blobs.notLost(blob);
      };
      // Side by side, so that the record's two flushes are those of the blobs.
      await Promise.all([placed(), this.objects.flush()]);
      // A read may have found a blob wrong that we took for held.
      const lost = refs.filter(({ blob }) => this.#blobs.isLost(blob));
      if (lost.length > 0) throw lacking(parcel, refs, lost);
      const position = await this.#enter({ op: 'add', parcel }, refs);
      held = true;
      return position;
    } catch (error) {
      throw storeFull(error, this.path);
    } finally {
      this.#incoming.settle(arrivals, { held });
      await this.#blobs.release(pinned);
    }
  }

  /** The blobs that are not held yet. Notes in `pinned` what the caller has to release, also when this fails. */
  async #pinAll(
    refs: readonly BlobRef[],
    pinned: string[],
  ): Promise<{ readonly arrivals: readonly Arrival[]; readonly missing: readonly BlobRef[] }> {
    const arrivals: Arrival[] = [];
    const missing: BlobRef[] = [];
    for (const ref of refs) {
      const counted = await this.#blobs.pin(ref, { fromTrash: true });
      pinned.push(ref.blob);
      if (counted.is === 'missing') missing.push(ref);
      else if (counted.is === 'arrived') arrivals.push(counted.arrival);
    }
    return { arrivals, missing };
  }

  /**
   * Gives up a copy of which enough others were read in answer to this attempt. When this returns, `del` is durable and
   * what no other PRESENT parcel lists lies in the trash. A parcel that is not here changes nothing.
   *
   * @throws ClusterError STORE_FULL (nothing has changed), STORE_FAILED (whether `del` is durable is not known; nothing moved)
   */
  async drop(proof: DropProof): Promise<LogPosition> {
    // Not by its type alone: a value that merely has its fields has that too.
    assert(proof instanceof DropProof, 'a drop needs a proof that DropProof.from has made');
    return this.#giveUp(proof);
  }

  /** As `drop`, for a copy that nobody wants any more. */
  async expire(warrant: ExpiryWarrant): Promise<LogPosition> {
    assert(warrant instanceof ExpiryWarrant, 'an expiry needs a warrant that ExpiryWarrant.from has made');
    return this.#giveUp(warrant);
  }

  async #giveUp({ parcel, store }: { readonly parcel: ParcelId; readonly store: StoreId }): Promise<LogPosition> {
    this.#mustWork();
    assert(store === this.id, `store ${this.id} is asked to give up a copy by the word for store ${store}`);
    return this.#turns.take(parcel, async () => {
      if (!this.#present.has(parcel)) return this.position();
      const refs = await this.#refsToRelease(parcel);
      return this.#blobs.letGo(refs, () => this.#enter({ op: 'del', parcel }, refs));
    });
  }

  /** What a PRESENT parcel lists; nothing when its record is lost: then the index holds too much until it is made anew. */
  async #refsToRelease(parcel: ParcelId): Promise<readonly BlobRef[]> {
    const record = await this.objects.get(parcel);
    if (record !== undefined) return this.#blobsOf(record);
    await this.#index.distrust();
    return [];
  }

  /**
   * Reads every blob of a parcel from the disk, in this call, and says what each of these holders must answer to the nonce.
   * What turns out to be wrong or gone is written into the log as `corrupt`, and its file is set aside; so is what the disk twice
   * failed to read while it reads others.
   *
   * @throws what the disk says otherwise when it cannot be read, and the signal's reason: then nothing is known and nothing changes
   */
  async possess(parcel: ParcelId, ask: PossessionAsk): Promise<Possessed> {
    this.#mustWork();
    if (!this.#present.has(parcel)) return { kind: 'absent' };
    const watch = { parcel, changed: false };
    this.#reads.add(watch);
    try {
      const record = await this.objects.get(parcel);
      if (record === undefined) return await this.#turns.take(parcel, () => this.#foundRecordless(parcel));
      const refs = this.#blobsOf(record);
      const read = await readParcel(refs, blob => this.#folder.blobs.pathOf(blob), ask);
      if (read.kind === 'whole') return this.#present.has(parcel) ? read : { kind: 'absent' };
      return await this.#foundUnlike(refs, read, watch);
    } finally {
      this.#reads.delete(watch);
    }
  }

  async #foundUnlike(
    refs: readonly BlobRef[],
    read: WrongRead,
    watch: { readonly parcel: ParcelId; readonly changed: boolean },
  ): Promise<Possessed> {
    const { parcel } = watch;
    const found = await this.#turns.take(parcel, async () => {
      this.#mustWork();
      // Dropped meanwhile, and perhaps taken back: then its files were moved while they were read, and nothing is wrong.
      return watch.changed ? ({ kind: 'absent' } as const) : this.#foundWrong(parcel, refs, read);
    });
    if (found.kind !== 'corrupt') return found;
    return { kind: 'corrupt', position: (await this.#denounceSharers(read.blob.blob)) ?? found.position };
  }

  async #foundRecordless(parcel: ParcelId): Promise<Possessed> {
    this.#mustWork();
    if (!this.#present.has(parcel)) return { kind: 'absent' };
    if ((await this.objects.get(parcel)) !== undefined) throw unsteady(`the record of parcel ${parcel}`);
    await this.#index.distrust();
    return this.#enterCorrupt(parcel, []);
  }

  async #foundWrong(parcel: ParcelId, refs: readonly BlobRef[], { blob: wrong, error }: WrongRead): Promise<Possessed> {
    return this.#blobs.whileLeaving([wrong], async () => {
      const blob = parseBlobId(wrong.blob);
      const known = this.#blobs.isLost(blob);
      // Looked at once more, for a memory or a cable that errs must not cost a copy.
      if (!known && (await this.#isRightAfterAll(refs, wrong))) throw error ?? unsteady(`blob ${blob}`);
      // First, so that no commit enters an `add` that relies on it.
      this.#blobs.lose(blob);
      try {
        return await this.#enterCorrupt(parcel, refs);
      } catch (error) {
        if (!known) this.#blobs.notLost(blob);
        throw error;
      } finally {
        if (!known && this.#blobs.isLost(blob)) await this.#incoming.setAsideHeld(blob, wrong.bytes);
      }
    });
  }

  /** @throws what the disk says, unless it has lost just this file */
  async #isRightAfterAll(refs: readonly BlobRef[], wrong: BlobRef): Promise<boolean> {
    try {
      return await isRight(this.#folder.blobs.pathOf(wrong.blob), wrong);
    } catch (error) {
      if (isBadSector(error) && (await this.#readsOthers(refs, wrong.blob))) return false;
      throw error;
    }
  }

  /** A disk that is gone may still give what the kernel has of it; but then `corrupt` cannot be written to it either. */
  async #readsOthers(refs: readonly BlobRef[], than: string): Promise<boolean> {
    if ((await this.whyGone()) !== undefined) return false;
    let tried = 0;
    for await (const blob of this.#blobsBut(than, refs)) {
      if (await canBeRead(this.#folder.blobs.pathOf(blob))) return true;
      tried += 1;
      if (tried === OTHERS_TRIED_MAX) break;
    }
    return false;
  }

  /** Those of its parcel first. */
  async *#blobsBut(than: string, refs: readonly BlobRef[]): AsyncGenerator<string> {
    for (const { blob } of refs) if (blob !== than) yield blob;
    for await (const { ids } of this.#folder.blobs.shards()) for (const id of ids) if (id !== than) yield id;
  }

  /** Its other blobs stay where they are: whoever takes the parcel again finds them, and they may be the last of their kind. */
  async #enterCorrupt(parcel: ParcelId, refs: readonly BlobRef[]): Promise<Possessed> {
    this.#incoming.expectStrays();
    const position = await this.#enter({ op: 'corrupt', parcel }, refs);
    this.#logger.warn({ code: 'PARCEL_CORRUPT', parcel }, 'a parcel lacks right bytes here and counts no longer');
    return { kind: 'corrupt', position };
  }

  /** Other parcels that list a lost blob count no longer either. The position after the last that was found. */
  async #denounceSharers(blob: string): Promise<LogPosition | undefined> {
    let position: LogPosition | undefined;
    if (this.#present.size > SHARERS_SOUGHT_MAX) return position;
    try {
      for (const parcel of [...this.#present]) {
        // Found all, or it has arrived again and they are whole.
        if (this.#index.lookup(blob) === undefined || !this.#blobs.isLost(blob)) break;
        const record = await this.objects.get(parcel);
        const refs = record === undefined ? [] : this.#blobsOf(record);
        if (!refs.some(ref => ref.blob === blob)) continue;
        const found = await this.#turns.take(parcel, async () => {
          this.#mustWork();
          const still = this.#present.has(parcel) && this.#blobs.isLost(blob);
          return still ? this.#enterCorrupt(parcel, refs) : undefined;
        });
        if (found?.kind === 'corrupt') ({ position } = found);
      }
    } catch (error) {
      // What was asked about is answered; the others are found when they are read.
      this.#logger.warn(
        { code: 'SHARERS_NOT_SOUGHT', blob, err: error },
        'parcels that share a lost blob were not found',
      );
    }
    return position;
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

  #append(pending: readonly PendingOp[]): Promise<void> {
    return this.#rounds.take('log', () => this.#round(pending));
  }

  /** One round: log, index, tables, in this order and in the order of the log. */
  async #round(pending: readonly PendingOp[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const positions = await this.#log.append(pending.map(({ op }) => op));
    try {
      const changes = pending.flatMap(({ op, refs }) => {
        const by = op.op === 'add' ? 1 : -1;
        return refs.map(blob => ({ blob, by }) as const);
      });
      await this.#index.apply(changes, this.#log.position);
    } catch (error) {
      // The log has it and the index has not: the next opening brings the index up.
      this.#failure = error;
      throw error;
    }
    for (const [n, { op }] of pending.entries()) {
      this.#lateDeletions.take(op);
      if (op.op !== 'head') for (const read of this.#reads) if (read.parcel === op.parcel) read.changed = true;
      if (op.op === 'head') this.#headSeqs.set(op.source, Math.max(op.seq, this.headSeq(op.source)));
      else if (op.op === 'add') this.#present.add(op.parcel);
      else this.#present.delete(op.parcel);
      const position = positions[n];
      const entry = pending[n];
      if (entry !== undefined && position !== undefined) entry.position = position;
    }
    const left = pending.flatMap(({ refs }) => refs.filter(({ bytes }) => bytes >= RECIPE_BLOB_BYTES_MIN));
    for (const { blob } of left) {
      if (this.#index.lookup(blob) === undefined) this.#tidying = this.#tidied(this.#recipes.forget(blob));
    }
  }

  /** Behind what is being tidied already. What fails costs room in the index until the next opening. */
  #tidied(work: Promise<void>): Promise<void> {
    const failed = (error: unknown): void =>
      this.#logger.warn({ code: 'INDEX_NOT_TIDIED', err: error }, 'recipes of blobs that left could not be removed');
    return Promise.all([this.#tidying, work.catch(failed)]).then(() => {});
  }

  /** True for blobs of PRESENT parcels. */
  holds(blob: BlobId): boolean {
    return this.#blobs.lookup(blob) !== undefined;
  }

  /** A blob of a PRESENT parcel; `undefined` for all others. */
  async openBlob(blob: BlobId): Promise<StoredBlob | undefined> {
    const held = this.#blobs.lookup(blob);
    return held === undefined ? undefined : readBlob(this.#folder.blobs.pathOf(blob), blob, held.bytes);
  }

  /**
   * What lies under the blob's name and counts for nothing: the right blobs of a corrupt parcel, and copies that are not read again
   * yet. They may be the last of their kind; nobody has hashed them, so whoever reads them must.
   */
  async openStray(blob: BlobId): Promise<StoredBlob | undefined> {
    const stray = this.holds(blob) ? undefined : await this.#incoming.stray(blob);
    return stray === undefined ? undefined : readBlob(stray.path, blob, stray.bytes);
  }

  /** Small blobs, whole, all read at once; undefined for what no PRESENT parcel lists, and what is not there in full. */
  async readSmall(blobs: readonly BlobId[]): Promise<readonly (Uint8Array | undefined)[]> {
    const held = blobs.flatMap(blob => {
      const found = this.#blobs.lookup(blob);
      return found === undefined ? [] : [{ blob, path: this.#folder.blobs.pathOf(blob), bytesMax: found.bytes }];
    });
    const read = await readSmallFiles(held);
    const contents = new Map(
      held.map(({ blob, bytesMax }, n) => {
        const one = read[n];
        const isWhole = one !== undefined && !(one instanceof Error) && one.content.length === bytesMax;
        return [blob, isWhole ? one.content : undefined];
      }),
    );
    return blobs.map(blob => contents.get(blob));
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
      if (record === undefined || refs === undefined) continue;
      // Not from the trash: what was dropped stays dropped.
      if ((await this.#missing(refs, { fromTrash: false })).length > 0) continue;
      yield { parcel, position: await this.commit(parcel, record) };
    }
    this.#marker = { ...this.#marker, rescan: false };
    await writeMarker(this.#folder.path, this.#marker);
    this.#logger.info(
      { code: 'STORE_RESCANNED', parcels: this.#present.size },
      'all that lies in this store was hashed',
    );
  }

  /**
   * Takes records out of `.catalog` whose parcels left long ago, and whatever else `isReached` does not know. Nothing while
   * `rescan` is due, for it goes by the records. @throws as `ObjectFolder.sweep`
   */
  async sweepObjects(sweep: ObjectSweep): Promise<Swept> {
    this.#mustWork();
    if (this.rescanDue) return { unreached: 0, removed: 0 };
    const ended = new AbortController();
    const undo = abortWith(ended, [sweep.signal, this.#ending.signal]);
    try {
      return await this.objects.sweep({
        ...sweep,
        isReached: id => {
          const parcel = parseParcelId(id);
          const isOfParcel = this.#present.has(parcel) || this.#turns.busy(parcel) || this.#lateDeletions.has(parcel);
          return isOfParcel || sweep.isReached(id);
        },
        signal: ended.signal,
      });
    } finally {
      undo();
    }
  }

  /**
   * Moves to the trash what has been under `.blobs` for long and is of no PRESENT parcel. Nothing while `rescan` is due, for then
   * nothing is PRESENT yet. @throws as `sweepStrays`
   */
  async sweepStrays(sweep: StraySweep): Promise<SweptStrays> {
    this.#mustWork();
    if (this.rescanDue) return { strays: 0, trashed: 0 };
    const parts = { blobs: this.#folder.blobs, held: this.#blobs, notes: this.#strays };
    const ended = new AbortController();
    const undo = abortWith(ended, [sweep.signal, this.#ending.signal]);
    try {
      return await this.#sweeping.take('strays', () => sweepStrays(parts, { ...sweep, signal: ended.signal }));
    } finally {
      undo();
    }
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

  /** Of a source that was forgotten: then its snapshots and pages have nothing left that leads to them. */
  async removeHead(source: SourceId): Promise<void> {
    this.#mustWork();
    const path = this.#headPath(source);
    const before = await readOwnFile(path, SIGNED_BYTES_MAX);
    await rm(path, { force: true });
    await fsyncFolder(this.#folder.heads);
    this.#signedBytes -= before?.length ?? 0;
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

  /** Makes a tree look like its snapshot, as far as its blobs are held here (tree-view.ts). One at a time a tree. */
  updateTree(view: TreeView): Promise<TreeReport> {
    return this.#atTree(view, place => updateTree(view, place));
  }

  /** The trees of single snapshots that somebody asked for. */
  datedTrees(): Promise<DatedTree[]> {
    this.#mustWork();
    return findDatedTrees(this.#folder.path);
  }

  /** How many things in it are not ours, and stayed. */
  removeTree(tree: TreeName): Promise<number> {
    return this.#atTree(tree, place => removeTree(tree, place));
  }

  async #atTree<Result>(named: TreeName, work: (place: TreePlace) => Promise<Result>): Promise<Result> {
    this.#mustWork();
    const tree = `${named.originName}/${treeNameOf(named)}`;
    while (this.#pruning !== undefined) await this.#pruning;
    assert(!this.#trees.has(tree), `the tree ${tree} is being updated already`);
    const update = work({
      storePath: this.#folder.path,
      linksPath: this.#folder.incoming,
      blobPathOf: blob => this.#heldPath(blob),
    });
    this.#trees.set(tree, update);
    try {
      return await update;
    } finally {
      this.#trees.delete(tree);
    }
  }

  /**
   * Removes what lies in the trash for so long, or the oldest of it until so many bytes were freed. How many that freed.
   *
   * @param limit.olderThanMs an age, since the file came into the trash; 0 empties it
   */
  async emptyTrash(limit: TrashLimit): Promise<number> {
    this.#mustWork();
    const { signal } = this.#ending;
    return this.#emptying.take('trash', () => this.#trash.empty(limit, inodes => this.#prune(inodes), signal));
  }

  async #prune(inodes: ReadonlySet<number>): Promise<void> {
    const updates = [...this.#trees.values()];
    // Failures of the updates, and ours for those who wait, are their own callers'.
    const pruning = Promise.allSettled(updates).then(() =>
      removeFromTrees(this.#folder.path, inodes, this.#ending.signal),
    );
    this.#pruning = pruning.catch(() => {});
    try {
      await pruning;
    } finally {
      this.#pruning = undefined;
    }
  }

  /** Waits for commits and drops that are under way, and lets go of the disk. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#ending.abort(closed(this.path));
    await this.#turns.allDone();
    await this.#emptying.allDone();
    await this.#sweeping.allDone();
    await this.#assemblies.end();
    await this.#checkpointing.allDone();
    await this.#ops.join([]).catch(() => {
      // A failed round was reported to those who were in it.
    });
    await this.#tidying;
    await this.#recipes.settled();
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
    if (this.#closed) throw closed(this.path);
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

const closed = (path: string) =>
  new ClusterError('STORE_CLOSED', `the store ${path} was unmounted`, { blame: 'passing' });

function lacking(parcel: ParcelId, refs: readonly BlobRef[], missing: readonly BlobRef[]): ClusterError {
  const [first] = missing;
  return new ClusterError(
    'BLOBS_MISSING',
    `parcel ${parcel} lacks ${missing.length} of its ${refs.length} blobs here, the first ${first?.blob} (${first?.bytes} bytes)`,
    { blame: 'passing' },
  );
}

const unsteady = (what: string) =>
  new ClusterError(
    'STORE_UNSTEADY',
    `${what} was wrong when it was read and right when it was read again: check this host's memory, disk and cables; nothing was changed`,
    { blame: 'operator' },
  );

const refusal = (code: string, message: string) => new ClusterError(code, message, { blame: 'operator' });
