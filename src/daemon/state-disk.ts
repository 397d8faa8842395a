/**
 * State disk: the parts that read and write the state folder all the time: the index database, the catalog's objects, what the last
 * scans found, and this host's own heads.
 *
 * The index trial encloses them all: it begins before the index is opened and ends after it is closed, because the
 * index may be the cause of what goes wrong in between.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { ScanCache } from '../catalog/scan-cache.js';
import { type JudgeHead, SourceHistory } from '../catalog/source-history.js';
import type { HostId, SourceId } from '../core/ids.js';
import type { Signer } from '../core/signed.js';
import { namePath } from '../platform/name-path.js';
import { type IndexDatabase, openIndexDatabase } from '../store/index-database.js';
import { ObjectFolder } from '../store/object-folder.js';
import { keepIndexOf } from './index-owner.js';
import { beginIndexTrial, SCAN_CACHE_FILES } from './index-trial.js';
import type { Teardown } from './teardown.js';

/** LMDB's lock files, which it makes with the databases. */
const LOCK_FILES = ['holdings/lock.mdb', SCAN_CACHE_FILES[1]] as const;
/** What an empty index needs is 60 KiB; with less than some times that it could take nothing in. */
const NEW_INDEX_BYTES = 256 * 1024;

export interface StateDisk {
  /** What a person is told of an index that was set aside. */
  readonly damaged: string | undefined;
  readonly index: IndexDatabase;
  /** The catalog's: snapshots, pages and records. */
  readonly objects: ObjectFolder;
  readonly cache: ScanCache;
  /** Called before the cache is used for a scan of the source. @returns a function to call when that scan has ended */
  readonly beginScan: (source: SourceId) => () => void;
  readonly history: SourceHistory;
}

export interface StateDiskOptions {
  readonly stateDir: string;
  /** Signs this host's own heads. */
  readonly signer: Signer;
  /** Which heads are this host's own, and stand. */
  readonly judge: JudgeHead;
  /** The lowest number that a head of a source may be given here. */
  readonly leastSeq: (source: SourceId) => number;
  /** This host, and the one that this machine was when its key was made. */
  readonly host: HostId;
  readonly firstHost: HostId;
  readonly wallMs: number;
  readonly log: Logger;
}

/**
 * Called under the state folder's lock.
 * @throws ENOSPC or EDQUOT when there is no room for an index that must be made
 */
export async function openStateDisk(
  { stateDir, signer, judge, leastSeq, host, firstHost, wallMs, log }: StateDiskOptions,
  teardown: Teardown,
): Promise<StateDisk> {
  const trial = beginIndexTrial(stateDir);
  teardown.defer(() => trial.end());
  await keepIndexOf(host, { stateDir, firstHost });
  for (const folder of ['index', 'catalog/heads', 'catalog/own-heads', 'catalog/objects', 'hooks']) {
    await mkdir(join(stateDir, folder), { recursive: true, mode: 0o700 });
  }
  await mustHaveRoomForNew(join(stateDir, 'index'));
  const index = openIndexDatabase(join(stateDir, 'index', 'holdings'));
  teardown.defer(() => index.close());
  const objects = await ObjectFolder.open(join(stateDir, 'catalog', 'objects'), {
    log,
    notes: index.unreachedOf(),
    shared: index.objects,
  });
  teardown.defer(() => objects.close());
  const cache = new ScanCache(join(stateDir, 'index', SCAN_CACHE_FILES[0]), { nowMs: wallMs });
  teardown.defer(() => cache.close());
  const history = await SourceHistory.open({ folder: join(stateDir, 'catalog', 'own-heads'), signer, judge, leastSeq });
  return { damaged: trial.damaged, index, objects, cache, beginScan: source => trial.beginScan(source), history };
}

/**
 * LMDB maps a new lock file before it has blocks on the disk, and a page of it that gets none ends the process by a
 * signal (SIGBUS), without a message.
 */
async function mustHaveRoomForNew(indexFolder: string): Promise<void> {
  if (LOCK_FILES.every(name => existsSync(join(indexFolder, name)))) return;
  const trial = join(indexFolder, 'room-trial');
  try {
    // A file system that compresses would find room for any number of zeros.
    await writeFile(trial, randomBytes(NEW_INDEX_BYTES), { flush: true });
  } catch (error) {
    throw namePath(error, trial);
  } finally {
    await rm(trial, { force: true });
  }
}
