/**
 * Open store: mounts a store, or says why it is missing.
 *
 * A store is missing when its folder has no marker or somebody else's: its disk may not be mounted, and anything
 * written there would be lost or counted twice. So nothing is touched before the marker is read. Then the parts are put
 * together, each after those that it needs: the disk is checked against the log (recovery.ts), and only then is
 * anything counted.
 *
 * Driven by the daemon, when it starts and whenever a disk is back.
 */
import type { Logger } from 'pino';
import { CHECKPOINT_EVERY_OPS } from '../core/checkpoint.js';
import { bootId } from '../platform/lock.js';
import type { BlobIndex } from './blob-index.js';
import type { StoreCreating } from './create-store.js';
import { DiskSync } from './disk-sync.js';
import { HeldBlobs } from './held-blobs.js';
import { Incoming } from './incoming.js';
import type { IndexDatabase } from './index-database.js';
import { MARKER_NAME, type Marker, readMarker } from './marker.js';
import { ObjectFolder } from './object-folder.js';
import { freeOpeningRoom, isDiskFull } from './opening-room.js';
import { systemCode } from './own-folder.js';
import { type BlobsOf, Records } from './records.js';
import { recover } from './recovery.js';
import { SignedFiles } from './signed-files.js';
import { Store } from './store.js';
import { resolveStorePath, StoreFolder } from './store-folder.js';
import { StoreRoot } from './store-root.js';
import { Trash, type TrashClocks } from './trash.js';

export interface StoreOpening extends StoreCreating {
  readonly path: string;
  /** The state folder's boot counter before this start. The marker must have it, unless the index knows better. */
  readonly previousBoot: number;
  readonly index: IndexDatabase;
  readonly blobsOf: BlobsOf;
  readonly log: Logger;
  /** The clocks by which the trash ages. Default: this machine's. */
  readonly clocks?: TrashClocks;
  /** Default CHECKPOINT_EVERY_OPS. */
  readonly checkpointEveryOps?: number;
  /** With more parcels than this the sharers of a lost blob are sought behind (corrupt-parcels.ts). Default 10,000. */
  readonly soughtAtOnceMax?: number;
  /**
   * The caller's own reason to doubt this store's log: a peer remembers more than it has. Begins a new epoch above
   * `counterSeen`.
   */
  readonly doubt?: { readonly because: string; readonly counterSeen: number };
}

export type OpenedStore =
  | { readonly kind: 'mounted'; readonly store: Store }
  /** Its folder is absent, has no marker or somebody else's, or its disk does not answer. */
  | { readonly kind: 'missing'; readonly because: string };

/** Mounts a store and finds out what it really holds (recovery.ts). It is written to from the start. */
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
    return missing(
      `its folder has no ${MARKER_NAME}: the disk is not mounted. If it is a new one, take the store out of the policy, and add it again`,
    );
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

const CLOCKS: TrashClocks = { wallMs: () => Date.now(), steadyMs: () => performance.now() };

const TOO_FULL =
  'its disk is full, and emptying its .trash and .incoming did not free the few blocks that opening it takes: ' +
  'free some room on the disk; what it holds is untouched';

/** Mounts the store. On a full disk, frees some room and tries once more. */
async function mountWithRoom(opening: StoreOpening, folder: StoreFolder, marker: Marker): Promise<Store> {
  try {
    return await mount(opening, folder, marker);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    const bytes = await freeOpeningRoom(folder, opening.clocks ?? CLOCKS);
    opening.log.warn(
      { code: 'OPENING_ROOM_FREED', bytes, err: error },
      'the disk of a store was too full to open it; the oldest of its trash was removed, and the opening is tried again',
    );
    // The first try may have begun a new epoch.
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
    const root = await StoreRoot.open(folder.path);
    const sync = await DiskSync.open(folder.path, () => noteFlushFailed(opening, index));
    closing.push(sync);
    const notes = opening.index.unreachedOf(marker.store);
    const { objects: shared } = opening.index;
    const objects = await ObjectFolder.open(folder.objects, { log, sync, notes, flushFailed, shared });
    closing.push({ close: async () => shared.leave(objects) });
    const trash = await Trash.open(folder.trash, opening.clocks ?? CLOCKS);
    const recovered = await recover({ ...opening, folder, marker, objects, index });
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
    const signed = await SignedFiles.open(folder);
    return new Store({
      path,
      folder,
      root,
      sync,
      objects,
      index,
      incoming,
      trash,
      blobs,
      signed,
      recovered,
      records: new Records(objects, opening.blobsOf),
      recipes: opening.index.recipesOf(marker.store),
      strays: opening.index.straysOf(marker.store),
      checkpointEveryOps: opening.checkpointEveryOps ?? CHECKPOINT_EVERY_OPS,
      soughtAtOnceMax: opening.soughtAtOnceMax,
      log,
      onClosed: () => void opening.index.mounted.delete(marker.store),
    });
  } catch (error) {
    for (const part of closing) await part.close();
    throw error;
  }
}

/** Never throws. */
async function noteFlushFailed({ path, log }: StoreOpening, index: BlobIndex): Promise<void> {
  try {
    await index.noteFlushFailed(bootId());
  } catch (error) {
    // Until the machine restarts, the next opening believes what it reads.
    log.error({ code: 'FLUSH_FAILURE_NOT_NOTED', path, err: error }, 'a failed flush could not be noted');
  }
}
