/**
 * Torn files: files of listed snapshots that can no longer be given as the snapshot has them, because they changed or
 * vanished before anybody had a copy. Every listed snapshot that has such a file is cut again without it.
 *
 * A file leaves a snapshot only if nobody has it, nor ever may have had it: a holder that is away comes back. And it
 * leaves only if its bytes say so: that the scan cache knows other content is no reason to give up a file that lies
 * there untouched. One that only got another name stays, and is given from there (renamed-files.ts).
 *
 * The brake on mass changes looks in the next run, which knows what only got another name (mass-changes.ts).
 *
 * Driven by the parts that read live files; the cutting is driven by the origin, in the source's turn.
 */
import type { Logger } from 'pino';
import type { Entry } from '../catalog/entry.js';
import { isSystemError } from '../catalog/error-code.js';
import { pathKey } from '../catalog/path-order.js';
import { PathSearch } from '../catalog/path-search.js';
import { ifReadable, readPage, readSnapshot } from '../catalog/read-object.js';
import { decodeRecord } from '../catalog/record.js';
import { recut } from '../catalog/recut.js';
import type { ScanCache } from '../catalog/scan-cache.js';
import { isPartial } from '../catalog/snapshot.js';
import { readSourceFile } from '../catalog/source-file.js';
import type { SnapshotToList } from '../catalog/source-history.js';
import type { BlobId, ObjectId, ParcelId } from '../core/ids.js';
import type { Known } from '../core/known.js';
import type { ObjectWriter } from '../core/objects.js';
import type { Signer } from '../core/signed.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import type { OwnSource } from './live-parcels.js';
import type { OnceCopied } from './once-copied.js';
import type { OwnHeads } from './own-heads.js';
import { RenamedFiles } from './renamed-files.js';

/** Torn files that are reported within this time, in ms, are cut out together. */
const RECUT_AFTER_MS = 1_000;
/** At most this many reported files wait for a cut, for the sake of memory; others are reported again when asked for. */
const TOLD_MAX = 20_000;

export interface TornFilesOptions {
  readonly heads: OwnHeads;
  readonly catalog: CatalogKeeper;
  /** The catalog of this host; what it lacks is read from hosts that have it. */
  readonly objects: ObjectWriter;
  readonly known: Pick<Known, 'isClaimed'>;
  readonly cache: ScanCache;
  readonly onceCopied: OnceCopied;
  readonly signer: Signer;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

interface TornFile {
  readonly parcel: ParcelId;
  readonly entry: Entry;
}

/** The torn files of one source. */
export class TornFiles {
  readonly #options: TornFilesOptions;
  /** Reported and not yet looked at. Each path is keyed by its bytes as text, so that it is listed once. */
  readonly #told = new Map<ParcelId, Map<string, Buffer>>();
  #toldCount = 0;
  readonly #due: () => void;
  readonly #renamed: RenamedFiles;
  /**
   * How many files were spared last time. While their holder is away they are asked for over and over, but logged once.
   */
  #spared = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param due called when it is time to cut out what was reported */
  constructor(options: TornFilesOptions, due: () => void) {
    this.#options = options;
    this.#due = due;
    this.#renamed = new RenamedFiles(options);
  }

  /** A file under another name that had the content when it was last looked for. */
  renamed(blob: BlobId): Entry | undefined {
    return this.#renamed.at(blob);
  }

  tell(parcel: ParcelId, path: Buffer): void {
    // A host that has a copy gives it; only a file that nobody has must leave the snapshot.
    if (this.#toldCount >= TOLD_MAX || this.#isClaimed(parcel)) return;
    const paths = this.#told.get(parcel) ?? new Map<string, Buffer>();
    if (!paths.has(pathKey(path))) this.#toldCount += 1;
    paths.set(pathKey(path), path);
    this.#told.set(parcel, paths);
    this.#timer ??= setTimeout(this.#due, RECUT_AFTER_MS);
  }

  /** What is reported from now on is due again. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /**
   * Cuts files that nobody can give any longer, and that nobody ever had, out of every listed snapshot that has them.
   *
   * Until it begins, what is reported is due no second time: holders go on asking while a long run has the source's turn,
   * and a cut a second would wait behind it.
   */
  async cutOut(own: OwnSource): Promise<void> {
    const { heads, catalog, objects, signer, log, signal } = this.#options;
    this.close();
    const told = [...this.#told].filter(([parcel]) => !this.#isClaimed(parcel));
    this.#told.clear();
    this.#toldCount = 0;
    const gone = await this.#stillGone(own, await this.#filesOf(told), { doubted: false });
    const known = catalog.get(own.source);
    const lost = await this.#notRenamed(own, known?.head.snapshots.at(-1)?.id, await this.#neverCopied(own, gone));
    // Last, because a whole file may have to be read for it.
    const torn = await this.#stillGone(own, lost, { doubted: true });
    if (torn.length === 0 || known === undefined) return;
    const replaced = new Map<ObjectId, SnapshotToList>();
    const parcels = new Set(torn.map(({ parcel }) => parcel));
    const { snapshots } = known.head;
    const pagesWithout = new Set<ObjectId>();
    for (const [index, { id, timeMs }] of snapshots.entries()) {
      const within = await this.#within(id, parcels, pagesWithout);
      if (within.size === 0) continue;
      const before = snapshots[index - 1];
      const previous = before === undefined ? undefined : (replaced.get(before.id)?.id ?? before.id);
      const tornHere = torn.filter(({ parcel }) => within.has(parcel));
      const next = await recut({
        snapshot: id,
        previous,
        torn: tornHere.map(({ parcel, entry }) => ({ parcel, path: entry.path })),
        objects,
        signer,
        signal,
      });
      replaced.set(id, { id: next.snapshot, timeMs, complete: !isPartial(await readSnapshot(objects, next.snapshot)) });
    }
    if (replaced.size === 0) return;
    await catalog.objects.flush();
    await heads.publish(own.source, listed => listed.map(snapshot => replaced.get(snapshot.id) ?? snapshot));
    log.warn(
      { code: 'SNAPSHOT_RECUT', source: own.source, parcels: parcels.size },
      'files changed or vanished before anybody had a copy: their snapshot was cut again without them',
    );
  }

  /**
   * Those of the parcels that the snapshot lists.
   * @param pagesWithout pages that list none of them, so that each is read once for all snapshots; grows
   */
  async #within(
    snapshot: ObjectId,
    parcels: ReadonlySet<ParcelId>,
    pagesWithout: Set<ObjectId>,
  ): Promise<ReadonlySet<ParcelId>> {
    const { objects, signal } = this.#options;
    const within = new Set<ParcelId>();
    for (const page of (await readSnapshot(objects, snapshot)).pages) {
      if (pagesWithout.has(page)) continue;
      signal.throwIfAborted();
      const listed = (await readPage(objects, page)).filter(({ id }) => parcels.has(id));
      for (const { id } of listed) within.add(id);
      if (listed.length === 0) pagesWithout.add(page);
    }
    return within;
  }

  async #filesOf(told: readonly (readonly [ParcelId, Map<string, Buffer>])[]): Promise<TornFile[]> {
    const files: TornFile[] = [];
    for (const [parcel, paths] of told) {
      const record = await this.#options.objects.get(parcel);
      for (const entry of record === undefined ? [] : decodeRecord(record).entries)
        if (entry.kind === 'file' && paths.has(pathKey(entry.path))) files.push({ parcel, entry });
    }
    return files;
  }

  /**
   * The files that still cannot be read as they were: a file that was only touched during the read is the same. One of
   * which that cannot be said now is asked for again, and holds up no other.
   */
  async #stillGone(
    { path, source }: OwnSource,
    files: readonly TornFile[],
    { doubted }: { readonly doubted: boolean },
  ): Promise<TornFile[]> {
    const { cache, signal } = this.#options;
    const gone: TornFile[] = [];
    // The same content of a file may be in several parcels; it is read once.
    const looked = new Map<string, boolean>();
    for (const file of files) {
      const { entry } = file;
      const content = contentKey(entry);
      const isGone = looked.get(content) ?? (await isUnreadable({ root: path, source, entry, cache, doubted, signal }));
      looked.set(content, isGone);
      if (isGone) gone.push(file);
    }
    return gone;
  }

  /**
   * The files whose bytes no host has or may have, in each parcel that has them: a file that could not be read was
   * carried over from one parcel to the next.
   */
  async #neverCopied({ source }: OwnSource, torn: readonly TornFile[]): Promise<readonly TornFile[]> {
    if (torn.length === 0) return torn;
    const { heads, objects, onceCopied, log, signal } = this.#options;
    const wanted = heads.wanted(source);
    const mayHaveCopies = onceCopied.mayHaveCopies(source, wanted);
    const newestFirst = wanted.map(({ id }) => id).reverse();
    // The snapshots that spare the most files come first.
    const snapshots = [...mayHaveCopies, ...newestFirst.filter(id => !mayHaveCopies.has(id))];
    /** By path and content: all parcels that have the file. */
    const never = new Map<string, { readonly file: TornFile; readonly parcels: Set<ParcelId> }>();
    for (const file of torn) {
      const same = never.get(contentKey(file.entry)) ?? { file, parcels: new Set() };
      same.parcels.add(file.parcel);
      never.set(contentKey(file.entry), same);
    }
    const files = never.size;
    const paths = torn.map(({ entry }) => entry.path);
    const search = new PathSearch(objects, paths, { signal });
    for (const snapshot of snapshots) {
      const found = await ifReadable(search.look(snapshot));
      // Nobody knows what else is in it.
      if (found === undefined) never.clear();
      for (const { entry, parcel } of found ?? [])
        if (mayHaveCopies.has(snapshot) || this.#isClaimed(parcel)) never.delete(contentKey(entry));
        else never.get(contentKey(entry))?.parcels.add(parcel);
      if (never.size === 0) break;
    }
    const spared = files - never.size;
    if (spared > 0 && spared !== this.#spared)
      log.warn(
        { code: 'RECUT_SPARED', source, files: spared },
        'files are gone of which somebody has the bytes, or may have: no snapshot was cut anew without them',
      );
    this.#spared = spared;
    // Cut out of all parcels at once, so that each snapshot carries over an older content of the file, and not the
    // torn one from the snapshot before.
    return [...never.values()].flatMap(({ file, parcels }) => [...parcels].map(parcel => ({ ...file, parcel })));
  }

  /** The files whose content the newest snapshot does not have under another name. */
  async #notRenamed(
    own: OwnSource,
    newest: ObjectId | undefined,
    files: readonly TornFile[],
  ): Promise<readonly TornFile[]> {
    if (newest === undefined || files.length === 0) return files;
    const entries = files.map(({ entry }) => entry);
    const found = await this.#renamed.find(own, newest, entries);
    if (found.size === 0) return files;
    this.#options.log.info(
      { code: 'RENAMED_GIVEN', source: own.source, files: found.size },
      'files got another name before anybody had a copy: they are given from there, and stay in their snapshots',
    );
    return files.filter(({ entry }) => entry.blob === undefined || !found.has(entry.blob));
  }

  /** True even if the copy failed an audit: another host's word that a copy is bad cuts nothing out. */
  #isClaimed(parcel: ParcelId): boolean {
    return this.#options.known.isClaimed(parcel);
  }
}

async function isUnreadable(order: Parameters<typeof readSourceFile>[0]): Promise<boolean> {
  try {
    return (await readSourceFile(order)) === 'gone';
  } catch (error) {
    if (!order.signal?.aborted && isSystemError(error)) return false;
    throw error;
  }
}

const contentKey = ({ path, blob }: Entry): string => `${blob} ${pathKey(path)}`;
