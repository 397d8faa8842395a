/**
 * Index database: what would be too slow to read each time from the files of a host's stores and its peers' logs.
 *
 * LMDB in STATE/index. Deleting the folder costs one pass over the logs; nothing in it is missed for long. The blobs
 * that each store holds (blob-index.ts) and the peers' logs (log-archive.ts), which their writers give out again, are
 * derived. Without the recipes (recipe-index.ts) more is fetched. Without the notes of what nobody wants
 * (unwanted-notes.ts), nothing leads to (unreached-notes.ts) or no copy lists (stray-notes.ts), those things stay
 * longer. Without the notes of scrubs (scrub-notes.ts), each begins its cycle anew. Without the notes of unanswered audits (unanswered-notes.ts), copies are believed longer. Without the last
 * frames (frame-notes.ts), old gossip may be heard once more.
 */
import { open, type RootDatabase } from 'lmdb';
import type { StoreId } from '../core/ids.js';
import { BlobIndex } from './blob-index.js';
import { FrameNotes } from './frame-notes.js';
import { IndexRefusals } from './index-refusals.js';
import { LogArchive } from './log-archive.js';
import { RecipeIndex } from './recipe-index.js';
import { ScrubNotes } from './scrub-notes.js';
import { SharedObjects } from './shared-objects.js';
import { StrayNotes } from './stray-notes.js';
import { UnansweredNotes } from './unanswered-notes.js';
import { UnreachedNotes } from './unreached-notes.js';
import { UnwantedNotes } from './unwanted-notes.js';

/** A host has a handful of stores, each with two tables of its own; removed ones keep theirs until the index is deleted. */
const TABLES_MAX = 128;

export interface IndexDatabase {
  readonly logs: LogArchive;
  readonly unwanted: UnwantedNotes;
  readonly unanswered: UnansweredNotes;
  readonly frames: FrameNotes;
  readonly refusals: Pick<IndexRefusals, 'count'>;
  /** Of this host's own scrubs of its stores. */
  readonly scrubs: ScrubNotes;
  /** Stores that are mounted now. Of a disk and its copy, only one can be. */
  readonly mounted: Set<StoreId>;
  /** Of the state folder's catalog and of those of the stores that are mounted. */
  readonly objects: SharedObjects;
  /** The table of one of this host's own stores. */
  blobsOf(store: StoreId): BlobIndex;
  recipesOf(store: StoreId): RecipeIndex;
  /** Of a store's catalog; without a store, of the state folder's own. */
  unreachedOf(store?: StoreId): UnreachedNotes;
  straysOf(store: StoreId): StrayNotes;
  /** Waits for writes under way. */
  close(): Promise<void>;
}

/**
 * Opens or makes the database in a folder of its own. Only one process may have it open: the state's lock sees to that.
 */
export function openIndexDatabase(path: string): IndexDatabase {
  const root: RootDatabase<Buffer, Uint8Array> = open({
    path,
    maxDbs: TABLES_MAX,
    noSubdir: false,
    keyEncoding: 'binary',
    encoding: 'binary',
  });
  const refusals = new IndexRefusals(root, path);
  const logs = new LogArchive(root);
  return {
    logs,
    unwanted: new UnwantedNotes(root),
    unanswered: new UnansweredNotes(root),
    frames: new FrameNotes(root),
    refusals,
    scrubs: new ScrubNotes(root),
    mounted: new Set(),
    objects: new SharedObjects(),
    blobsOf: store => new BlobIndex(root, store, refusals),
    recipesOf: store => new RecipeIndex(root, store),
    unreachedOf: store => new UnreachedNotes(root, store),
    straysOf: store => new StrayNotes(root, store),
    close: async () => {
      await logs.close();
      await refusals.close();
    },
  };
}
