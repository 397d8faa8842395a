/**
 * Store: a folder on this host that lends space. This object is the only writer of what it holds.
 *
 * Everything that may be asked of a mounted store; each part of the work has a file of its own:
 *
 *   commit.ts           how a parcel becomes PRESENT          held-parcels.ts   which are, by log and index
 *   give-up.ts          how it leaves                         held-blobs.ts     which blobs may be counted on now
 *   corrupt-parcels.ts  whether its bytes are right           held-reader.ts    gives blobs out
 *   incoming.ts, assembly.ts, expected.ts  blobs on their way in          trash.ts    bytes on their way out
 *   object-folder.ts, signed-files.ts      what a restore needs besides   trees.ts    the view for people
 *   rescan.ts           all of it again, after a doubt        kept-recipes.ts   where chunks lie
 *
 * Driven by the daemon, one object a mounted store. Made by open-store.ts. Contract: test/contracts/store-contract.ts; layout:
 * src/DESIGN.md, "On disk: a store".
 */
import type { Logger } from 'pino';
import type { LogBase } from '../core/checkpoint.js';
import type { DropProof } from '../core/drop-proof.js';
import type { ExpiryWarrant } from '../core/expiry.js';
import { ClusterError, messageOf } from '../core/fault.js';
import type { LogOp, LogPosition } from '../core/holdings-log.js';
import { type BlobId, type ObjectId, type ParcelId, parseParcelId, type SourceId, type StoreId } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import { abortWith } from '../platform/abort-with.js';
import type { Urgency } from '../platform/urgent-first.js';
import { Assemblies, type Assembly } from './assembly.js';
import type { BlobIndex } from './blob-index.js';
import type { StoredBlob } from './blob-reader.js';
import { type CommitParts, commit } from './commit.js';
import { CorruptParcels, type Possessed } from './corrupt-parcels.js';
import type { DatedTree } from './dated-trees.js';
import type { DiskSync } from './disk-sync.js';
import { type Expected, type ExpectParts, expect } from './expected.js';
import { drop, expire, type GiveUpParts, type Spares } from './give-up.js';
import type { HeldBlobs } from './held-blobs.js';
import { HeldParcels } from './held-parcels.js';
import { HeldReader } from './held-reader.js';
import type { Incoming, SmallBlob } from './incoming.js';
import { KeptRecipes } from './kept-recipes.js';
import type { LogFile } from './log-file.js';
import { whyNotOf } from './marker.js';
import type { ObjectFolder, ObjectSweep, Swept } from './object-folder.js';
import { storeFull } from './own-folder.js';
import type { PossessionAsk } from './possess.js';
import type { IncomingBlob } from './receiving.js';
import type { RecipeIndex } from './recipe-index.js';
import type { Records } from './records.js';
import type { Recovered } from './recovery.js';
import { Rescan, type Rescanned } from './rescan.js';
import type { SignedFiles } from './signed-files.js';
import type { StoreFolder } from './store-folder.js';
import type { StoreRoot } from './store-root.js';
import { type LendingLimit, lentBytesOf, type StoreUsage, usageOf } from './store-usage.js';
import type { StrayNotes } from './stray-notes.js';
import { type StraySweep, type SweptStrays, sweepStrays } from './stray-sweep.js';
import type { AgeLimit, Trash, TrashLimit } from './trash.js';
import type { TreeName } from './tree-name.js';
import type { TreeReport, TreeView } from './tree-view.js';
import { Trees } from './trees.js';
import { Turns } from './turns.js';

export interface StoreParts {
  /** The store's path, as the operator wrote it. */
  readonly path: string;
  readonly folder: StoreFolder;
  readonly root: StoreRoot;
  readonly sync: DiskSync;
  readonly objects: ObjectFolder;
  readonly index: BlobIndex;
  readonly incoming: Incoming;
  readonly trash: Trash;
  readonly blobs: HeldBlobs;
  readonly signed: SignedFiles;
  readonly recovered: Recovered;
  readonly records: Records;
  readonly recipes: RecipeIndex;
  readonly strays: StrayNotes;
  readonly checkpointEveryOps: number;
  readonly soughtAtOnceMax: number | undefined;
  readonly log: Logger;
  readonly onClosed: () => void;
}

export class Store {
  readonly id: StoreId;
  /** The store's path, as the operator wrote it. */
  readonly path: string;
  /** `.catalog/objects`: the objects needed for a restore from this disk alone. */
  readonly objects: ObjectFolder;
  readonly #parts: StoreParts & ExpectParts & CommitParts & GiveUpParts;
  /** The log of the holdings; `HeldParcels` appends to it. */
  readonly #log: LogFile;
  readonly #parcels: HeldParcels;
  readonly #corrupt: CorruptParcels;
  readonly #reader: HeldReader;
  readonly #recipes: KeptRecipes;
  readonly #assemblies: Assemblies;
  readonly #trees: Trees;
  readonly #rescan: Rescan;
  /**
   * One at a time: if two ran at once, the first to end would let updates begin while the other still walks the trees.
   */
  readonly #emptying = new Turns<'trash'>();
  readonly #sweeping = new Turns<'strays' | 'incoming'>();
  readonly #ending = new AbortController();

  constructor(parts: StoreParts) {
    const { folder, root, objects, index, incoming, blobs, records, recovered, log } = parts;
    const { marker } = recovered;
    const { signal: ending } = this.#ending;
    this.id = marker.store;
    this.path = parts.path;
    this.objects = objects;
    this.#log = recovered.log;
    this.#recipes = new KeptRecipes({ recipes: parts.recipes, blobs, log });
    const onRound = (refs: readonly BlobRef[]) => this.#recipes.look(refs);
    const parcels = new HeldParcels({ found: recovered, index, root, ending, onRound });
    this.#parcels = parcels;
    this.#parts = { ...parts, store: marker.store, parcels, ending };
    const blobFolder = folder.blobs;
    this.#reader = new HeldReader({ blobs, incoming, blobFolder });
    const pathOf = (blob: string) => this.#reader.pathOf(blob);
    this.#assemblies = new Assemblies({ recipes: parts.recipes, incoming, pathOf });
    this.#trees = new Trees(folder, pathOf, ending);
    const whyGone = () => this.whyGone();
    this.#corrupt = new CorruptParcels({
      parcels,
      blobs,
      incoming,
      records,
      index,
      blobFolder,
      whyGone,
      log,
      ending,
      soughtAtOnceMax: parts.soughtAtOnceMax,
    });
    this.#rescan = new Rescan({
      storePath: folder.path,
      root,
      marker,
      parcels,
      blobs,
      objects,
      records,
      commit: (parcel, record) => this.commit(parcel, record),
      whyGone,
      log,
    });
    this.#recipes.sweep(ending);
  }

  /** The position after the last durable operation of this store's log that the index, too, has. */
  position(): LogPosition {
    return this.#parcels.position;
  }

  /** The checkpoint that the log stands on; `undefined` while it has all operations. */
  get base(): LogBase | undefined {
    return this.#log.base;
  }

  /** The contents of that checkpoint, a run at a time. */
  contents(): AsyncGenerator<LogOp[]> {
    return this.#log.contents();
  }

  /** The position after operation `seq`, so that any part of the log can be signed. */
  positionAt(seq: number): Promise<LogPosition> {
    return this.#log.positionAt(seq);
  }

  /** Operations after `fromSeq`, at most `max`. The log must not stand on a checkpoint after `fromSeq`. */
  ops(fromSeq: number, max: number): Promise<LogOp[]> {
    return this.#log.ops(fromSeq, max);
  }

  get isCheckpointDue(): boolean {
    return this.#parcels.isCheckpointDue(this.#parts.checkpointEveryOps);
  }

  /**
   * Makes the log stand on its present contents. Commits go on meanwhile, except for the moment in which the new log
   * takes the place of the old one. If this fails the log goes on as it was, unless the store fails too.
   *
   * @param lastReading called when it is known which operations the checkpoint will replace: they can still be read
   * once more
   * @throws what `lastReading` throws, ClusterError STORE_FULL, STORE_CLOSED, and what the disk says
   */
  async makeCheckpoint(lastReading: (at: LogPosition) => Promise<void>): Promise<void> {
    this.#parcels.mustWork();
    try {
      await this.#parcels.makeCheckpoint(lastReading);
    } catch (error) {
      throw storeFull(error, this.path);
    }
  }

  /** How often, since it was opened, a blob's file was found gone or wrong. Trees may show such a file. */
  get losses(): number {
    return this.#parts.blobs.losses;
  }

  get presentCount(): number {
    return this.#parcels.count;
  }

  present(): IterableIterator<ParcelId> {
    return this.#parcels.present();
  }

  isPresent(parcel: ParcelId): boolean {
    return this.#parcels.isPresent(parcel);
  }

  /** The highest `head` operation for this source; 0 when there is none in this epoch. */
  headSeq(source: SourceId): number {
    return this.#parcels.headSeq(source);
  }

  /**
   * Records in the log that this head, its snapshots and pages are durable here. The caller has flushed `objects`
   * first.
   */
  async appendHead(source: SourceId, seq: number): Promise<LogPosition> {
    this.#parcels.mustWork();
    if (this.headSeq(source) >= seq) return this.position();
    return this.#parcels.enter({ op: 'head', source, seq }, []);
  }

  /** Asks the disk; one system call. */
  async usage(): Promise<StoreUsage> {
    const { folder, incoming, signed, trash } = this.#parts;
    const usedBytes = incoming.usedBytes + this.objects.usedBytes + signed.usedBytes;
    return usageOf(folder.path, { usedBytes, trashBytes: trash.bytes });
  }

  async lentBytes(limit: LendingLimit): Promise<number> {
    return lentBytesOf(await this.usage(), limit);
  }

  /**
   * Why this store can no longer be used: its disk was pulled or is hidden, its marker is gone, or a write to it failed
   * whose outcome nobody knows, so that it must be opened again. `undefined` while all is well, and while it is behind.
   */
  async whyGone(): Promise<string | undefined> {
    const failure = this.#parcels.failure ?? this.#parts.sync.failure;
    if (failure === undefined)
      return (await whyNotOf(this.#parts.folder.path, this.id)) ?? (await this.#parts.root.whyHidden());
    return messageOf(failure);
  }

  /**
   * Its log has operations that the index has not, because the disk of the state folder refused them. It takes nothing
   * more until it is opened again, and gives what is PRESENT with those operations and without them.
   */
  get isBehind(): boolean {
    return this.#parcels.isBehind;
  }

  /**
   * Brings the index up, and finds out whether the disk of the state folder takes what opening this store again writes
   * there. @throws what that disk says: then the store is better left as it is
   */
  async catchUp(): Promise<void> {
    this.#parcels.mustBeOpen();
    await this.#parcels.catchUp();
  }

  /**
   * Those blobs that no PRESENT parcel lists and that did not arrive whole; leftovers and trash are hashed on the way.
   */
  missing(blobs: readonly BlobRef[]): Promise<readonly BlobRef[]> {
    return this.#parts.blobs.missing(blobs, { fromTrash: true });
  }

  /**
   * As `missing`, for a fetch of the parcel that begins now and may take hours.
   *
   * @param blobs all that the parcel lists
   * @throws the signal's reason: unhashed bytes that lie here are hashed first
   */
  async expect(parcel: ParcelId, blobs: readonly BlobRef[], signal?: AbortSignal): Promise<Expected> {
    this.#parcels.mustWork();
    return expect(this.#parts, parcel, blobs, signal);
  }

  /** False when some of these are surely missing. Only names are checked, and nothing is taken out of the trash. */
  async mayHaveAll(blobs: readonly BlobRef[]): Promise<boolean> {
    for (const ref of blobs) if (!this.holds(ref.blob) && !(await this.#parts.incoming.mayHave(ref))) return false;
    return true;
  }

  /** How much of a missing blob an earlier fetch has left here, as its beginning. It is used room. */
  partialBytes(blob: BlobRef): number {
    return this.#parts.incoming.partialBytes(blob.blob);
  }

  /** Begins to receive a blob. The same blob may be received twice at once; the second copy is then removed. */
  async receive(blob: BlobRef): Promise<IncomingBlob> {
    this.#parcels.mustWork();
    return this.#parts.incoming.receive(blob);
  }

  /**
   * As `receive` to `finish`, for many small blobs at once. @returns those whose bytes do not match their ids: nothing
   * of them is kept
   */
  async receiveSmall(blobs: readonly SmallBlob[]): Promise<readonly SmallBlob[]> {
    this.#parcels.mustWork();
    return this.#parts.incoming.receiveSmall(blobs);
  }

  /**
   * Begins to put a large blob together from its chunks, or continues an earlier assembly (assembly.ts). The caller
   * must `leave` it in the end. `undefined`: another fetch has just brought the blob here.
   *
   * @throws ClusterError STORE_FULL, the signal's reason, and what the disk says
   */
  async assemble(blob: BlobRef, signal?: AbortSignal): Promise<Assembly | undefined> {
    this.#parcels.mustWork();
    return this.#assemblies.begin(blob, signal);
  }

  /**
   * Discards what is there of a blob that comes whole after all, into a file of its own: no room is reserved for both.
   * @throws as `assemble`
   */
  async discardPartial(blob: BlobRef, signal?: AbortSignal): Promise<void> {
    if (this.partialBytes(blob) > 0) await this.#assemblies.discard(blob, signal);
  }

  /** The packed recipe (core/recipe.ts); `undefined` when none is kept. */
  recipe(blob: BlobRef): Uint8Array | undefined {
    return this.#recipes.recipe(blob);
  }

  /**
   * Keeps the recipe of a blob, so that its chunks are found here; does nothing when the blob is not held. Recipes are
   * never believed.
   */
  async keepRecipe(blob: BlobRef, packed: Uint8Array): Promise<void> {
    this.#parcels.mustWork();
    await this.#recipes.keep(blob, packed);
  }

  /** It may be wrong, and is to be made anew. */
  async forgetRecipe(blob: BlobRef): Promise<void> {
    this.#parcels.mustWork();
    await this.#recipes.forget(blob);
  }

  /** Removes blobs that arrived before `beforeMs` (wall clock) and that no commit has used. */
  async sweepIncoming(beforeMs: number): Promise<void> {
    this.#parcels.mustWork();
    await this.#sweeping.take('incoming', () => this.#parts.incoming.sweep(beforeMs));
  }

  /**
   * Makes a parcel PRESENT whose blobs are all here. When this returns, all of it survives a power cut.
   *
   * @throws ClusterError RECORD_MISMATCH (the record has another hash), BLOBS_MISSING, STORE_FULL, STORE_FAILED,
   * STORE_BEHIND
   */
  async commit(parcel: ParcelId, record: Uint8Array): Promise<LogPosition> {
    this.#parcels.mustWork();
    return commit(this.#parts, parcel, record);
  }

  /**
   * Gives up a copy; enough other copies were read in answer to this attempt. When this returns, `del` is durable and
   * blobs that no other PRESENT parcel lists lie in the trash. A parcel that is not here changes nothing.
   *
   * @throws ClusterError STORE_FULL (nothing has changed), STORE_FAILED and STORE_BEHIND (whether `del` is durable is not
   * known; nothing moved)
   */
  async drop(proof: DropProof): Promise<LogPosition> {
    this.#parcels.mustWork();
    return drop(this.#parts, proof);
  }

  /**
   * As `drop`, for a copy that nobody wants any longer; but spared blobs stay under `.blobs`, where whoever wants them
   * finds them.
   */
  async expire(warrant: ExpiryWarrant, isSpared: Spares): Promise<LogPosition> {
    this.#parcels.mustWork();
    return expire(this.#parts, warrant, isSpared);
  }

  /**
   * Reads every blob of a parcel from the disk, in this call, and returns what each of these holders must answer to the
   * nonce. If a blob is wrong or gone, `corrupt` is entered into the log and the file is set aside. The same happens
   * with a file that the disk twice failed to read while it can read others.
   *
   * @throws what the disk says when it cannot be read otherwise, ClusterError STORE_MISSING when the store is not
   * there, STORE_BEHIND when something is wrong and cannot be entered, and the signal's reason: then nothing is known
   * and nothing changes
   */
  async possess(parcel: ParcelId, ask: PossessionAsk): Promise<Possessed> {
    this.#parcels.mustBeOpen();
    return this.#corrupt.possess(parcel, ask);
  }

  /**
   * A PRESENT parcel that lists the blob: one of the likely ones, else any. Undefined when there is none, and when none
   * of the likely ones does and all would be too many to read. @throws what the disk says, or the signal's reason
   */
  listerOf(blob: BlobId, likely: Iterable<ParcelId>, signal: AbortSignal): Promise<ParcelId | undefined> {
    return this.#corrupt.listerOf(blob, likely, signal);
  }

  /** True for blobs of PRESENT parcels. */
  holds(blob: string): boolean {
    return this.#parts.blobs.lookup(blob) !== undefined;
  }

  /** A blob of a PRESENT parcel; `undefined` for all others. */
  async openBlob(blob: BlobId): Promise<StoredBlob | undefined> {
    return this.#reader.open(blob);
  }

  /**
   * A file under the blob's name that counts for nothing: a right blob of a corrupt parcel, or a copy that has not been
   * read again yet. It may be the last of its kind. Nobody has hashed it, so its reader must.
   */
  openStray(blob: BlobId): Promise<StoredBlob | undefined> {
    return this.#reader.openStray(blob);
  }

  /**
   * Small blobs, whole, all read at once; undefined for a blob that no PRESENT parcel lists or that is not there in
   * full.
   */
  readSmall(blobs: readonly BlobId[], urgency?: Urgency): Promise<readonly (Uint8Array | undefined)[]> {
    return this.#reader.readSmall(blobs, urgency);
  }

  /** True after a new log was begun: a copy that lies here counts again only after `rescan` has hashed it. */
  get rescanDue(): boolean {
    return this.#rescan.isDue;
  }

  /**
   * Hashes every parcel whose record is in `.catalog` and makes it PRESENT again if all of it is right, one at a time;
   * yields each as it is done. Ends at the first `throw` or `break` of its caller; the next call continues. A next call
   * is also needed if the rescan is still due at the end, because some parcels could not be read yet.
   */
  rescan(signal?: AbortSignal): AsyncGenerator<Rescanned> {
    return this.#rescan.run(signal);
  }

  /**
   * Takes out of `.catalog` the records of parcels that have left, and everything else that `isReached` does not know.
   * Does nothing while `rescan` is due, which goes by the records. @throws as `ObjectFolder.sweep`
   */
  async sweepObjects(sweep: ObjectSweep): Promise<Swept> {
    this.#parcels.mustWork();
    if (this.rescanDue) return { unreached: 0, removed: 0 };
    // Of a store that falls behind meanwhile, the log may have a parcel that is not PRESENT here.
    const isReached: ObjectSweep['isReached'] = id =>
      this.isBehind || this.#parcels.isKnown(parseParcelId(id)) || sweep.isReached(id);
    return this.#untilClosed(sweep.signal, signal => this.objects.sweep({ ...sweep, isReached, signal }));
  }

  /**
   * Moves to the trash what has been under `.blobs` for long and belongs to no PRESENT parcel. Does nothing while
   * `rescan` is due, when nothing is PRESENT yet. @throws as `sweepStrays`
   */
  async sweepStrays(sweep: StraySweep): Promise<SweptStrays> {
    this.#parcels.mustWork();
    if (this.rescanDue) return { strays: 0, trashed: 0 };
    const { folder, blobs, strays } = this.#parts;
    const parts = { blobs: folder.blobs, held: blobs, notes: strays };
    return this.#untilClosed(sweep.signal, signal =>
      this.#sweeping.take('strays', () => sweepStrays(parts, { ...sweep, signal })),
    );
  }

  async #untilClosed<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const ended = new AbortController();
    const undo = abortWith(ended, [signal, this.#ending.signal]);
    try {
      return await work(ended.signal);
    } finally {
      undo();
    }
  }

  /** Keeps a signed head for restores from this disk alone; durable when this returns. */
  async putHead(source: SourceId, signedHead: Uint8Array): Promise<void> {
    this.#parcels.mustWork();
    await this.#parts.signed.putHead(source, signedHead);
  }

  /**
   * Removes the head of a source that was forgotten: its snapshots and pages then have nothing left that leads to them.
   */
  async removeHead(source: SourceId): Promise<void> {
    this.#parcels.mustWork();
    await this.#parts.signed.removeHead(source);
  }

  head(source: SourceId): Promise<Buffer | undefined> {
    return this.#parts.signed.head(source);
  }

  /** The sources whose heads are kept here. */
  heads(): Promise<SourceId[]> {
    return this.#parts.signed.heads();
  }

  /** Keeps a signed configuration version; durable when this returns. */
  async putConfig(version: number, raw: Uint8Array): Promise<void> {
    this.#parcels.mustWork();
    await this.#parts.signed.putConfig(version, raw);
  }

  /**
   * Makes a tree match its snapshot, as far as its blobs are held here (tree-view.ts). One at a time for each tree.
   * @throws ClusterError STORE_MISSING
   */
  async updateTree(view: TreeView): Promise<TreeReport> {
    this.#parcels.mustWork();
    await this.#parts.root.mustBeThere();
    return this.#trees.update(view);
  }

  /** The trees of single snapshots that somebody asked for. */
  async datedTrees(): Promise<DatedTree[]> {
    this.#parcels.mustWork();
    return this.#trees.dated();
  }

  /** The snapshot of a tree whose last update was broken off; `undefined` also where there is no such tree. */
  async unfinishedTree(tree: TreeName): Promise<ObjectId | undefined> {
    this.#parcels.mustWork();
    return this.#trees.unfinished(tree);
  }

  /** Returns how many foreign things are in it, which stayed. */
  async removeTree(tree: TreeName): Promise<number> {
    this.#parcels.mustWork();
    await this.#parts.root.mustBeThere();
    return this.#trees.remove(tree);
  }

  /**
   * Removes files of at least that age from the trash, or the oldest files until enough bytes are freed. Returns how
   * many bytes it freed.
   *
   * @param limit.olderThanMs an age, counted since the file came into the trash; 0 empties it
   * @param limit.sparing of these blobs, if no PRESENT parcel has them either, what was set aside stays
   */
  async emptyTrash(limit: TrashLimit): Promise<number> {
    this.#parcels.mustWork();
    const { signal } = this.#ending;
    const prune = (inodes: ReadonlySet<number>) => this.#trees.prune(inodes, signal);
    const { trash } = this.#parts;
    const spared = 'freeBytes' in limit ? limit : this.#sparingLacking(limit);
    return this.#emptying.take('trash', () => trash.empty(spared, prune, signal));
  }

  /** Where right bytes of a blob lie here, nobody needs the wrong ones. */
  #sparingLacking({ olderThanMs, sparing }: AgeLimit): AgeLimit {
    if (sparing === undefined) return { olderThanMs };
    const { blobs } = this.#parts;
    const isLacking = (blob: string) => !blobs.isListed(blob) || blobs.isLost(blob);
    return {
      olderThanMs,
      sparing: async () => {
        const isSpared = await sparing();
        return blob => isLacking(blob) && isSpared(blob);
      },
    };
  }

  /** Waits for work under way, and closes the disk's files. A tree that is being updated stays as far as it got. */
  async close(): Promise<void> {
    if (this.#ending.signal.aborted) return;
    this.#ending.abort(new ClusterError('STORE_CLOSED', `the store ${this.path} was unmounted`, { blame: 'passing' }));
    const endings = [
      () => this.#corrupt.settled(),
      () => this.#parcels.changed(),
      () => this.#trees.settled(),
      () => this.#emptying.allDone(),
      () => this.#sweeping.allDone(),
      () => this.#assemblies.end(),
      () => this.#parcels.settled(),
      () => this.#recipes.settled(),
      () => this.objects.close(),
      () => this.#log.close(),
      async () => this.#parts.onClosed(),
      () => this.#parts.sync.close(),
    ];
    const failures: unknown[] = [];
    // All endings run, whatever errors the others meet: otherwise the store would count as mounted and could not be
    // opened again.
    for (const end of endings) await end().catch((error: unknown) => void failures.push(error));
    if (failures.length > 0) throw failures[0];
  }
}
