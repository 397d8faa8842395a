/**
 * Index trial: sets aside an index database that ends the process.
 *
 * LMDB maps its files, and a damaged page (a dying SD card, a copy made while it was written) ends the process by a
 * signal, without a message. So each start is counted until the service has run for a while or has ended by itself.
 * When several starts in a row did neither, the index is moved away and rebuilt from the stores, the peers and the
 * sources, which loses nothing (store/index-database.ts). If something else ended these starts, the rebuilding is all
 * that it costs.
 *
 * A scan may reach a damaged page of the scan cache long after the start. So the scans of each source are counted too,
 * until one has ended, well or not. After several in a row that did not end, the scan cache alone is moved away.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ClusterError } from '../core/fault.js';
import { type SourceId, splitSourceId } from '../core/ids.js';
import { hasCluster } from '../membership/config-store.js';
import { readIfThere } from '../platform/durable.js';
import { LOCK_NAME, takeLock } from '../platform/lock.js';
import { namePath } from '../platform/name-path.js';

/** Starts, or scans, in a row: a plug may be pulled twice, and reading large sources again takes hours. */
const STARTS_MAX = 3;
/** A start that has lasted this long was not ended by the index. */
const TRIAL_MS = 10 * 60_000;

/** In the index folder: the scan cache, and LMDB's lock file for it. */
export const SCAN_CACHE_FILES = ['scan', 'scan-lock'] as const;

export interface IndexTrial {
  /** What a person is told as long as the damaged index lies there. */
  readonly damaged: string | undefined;
  /**
   * Called before the scan cache is used for a scan of the source.
   * @returns a function to call when that scan has ended
   */
  beginScan(source: SourceId): () => void;
  /** Called when the service ends by itself. */
  end(): void;
}

const placesIn = (stateDir: string) => ({
  /** How many starts in a row have not passed the trial. */
  file: join(stateDir, 'index-starts'),
  /** One file for each source: how many scans in a row have not ended. */
  scans: join(stateDir, 'scan-starts'),
  index: join(stateDir, 'index'),
  aside: join(stateDir, 'index.damaged'),
});

/** Called before the index is opened, under the state folder's lock. */
export function beginIndexTrial(stateDir: string): IndexTrial {
  const { file, scans, index, aside } = placesIn(stateDir);
  mkdirSync(scans, { recursive: true, mode: 0o700 });
  if (countIn(file) >= STARTS_MAX) {
    rmSync(file);
    clearAside(aside, scans);
    if (existsSync(index)) renameSync(index, aside);
  } else if (readdirSync(scans).some(name => countIn(join(scans, name)) >= STARTS_MAX)) {
    clearAside(aside, scans);
    mkdirSync(aside, { mode: 0o700 });
    for (const name of SCAN_CACHE_FILES)
      if (existsSync(join(index, name))) renameSync(join(index, name), join(aside, name));
  }
  countOne(file);
  const passed = (): void => rmSync(file, { force: true });
  const timer = setTimeout(passed, TRIAL_MS).unref();
  return {
    damaged: existsSync(aside)
      ? `${STARTS_MAX} starts of this service in a row, or as many scans of a source, ended without a message, which a damaged index can cause: the part that may be damaged was moved to ${aside} and is rebuilt in ${index}; no copy and no snapshot was in it. Look at that disk, and remove the folder`
      : undefined,
    beginScan: source => {
      const scan = join(scans, splitSourceId(source).source);
      countOne(scan);
      return () => rmSync(scan, { force: true });
    },
    end: () => {
      clearTimeout(timer);
      passed();
    },
  };
}

function clearAside(aside: string, scans: string): void {
  rmSync(aside, { recursive: true, force: true });
  for (const name of readdirSync(scans)) rmSync(join(scans, name));
}

/** A power cut may leave anything in the file: text that is not a number is no reason to read every source again. */
const countIn = (file: string): number => Number(readIfThere(file)?.toString()) || 0;

/** Not made durable: a count lost in a power cut is only one too few. */
function countOne(file: string): void {
  try {
    writeFileSync(file, `${countIn(file) + 1}\n`, { mode: 0o600 });
  } catch (error) {
    throw namePath(error, file);
  }
}

/**
 * The next start of the service rebuilds it.
 * @throws StateLocked while the service runs, which has it open; ClusterError NO_CLUSTER: any other folder may have one
 *   named `index`, too
 */
export function removeIndex(stateDir: string): void {
  if (!hasCluster(stateDir)) {
    throw new ClusterError(
      'NO_CLUSTER',
      `no cluster in ${stateDir}; nothing was removed. Name the state folder with --state DIR or $CLUSTER_STATE`,
      { blame: 'operator' },
    );
  }
  const lock = takeLock(join(stateDir, LOCK_NAME));
  try {
    for (const path of Object.values(placesIn(stateDir))) rmSync(path, { recursive: true, force: true });
  } finally {
    lock.release();
  }
}
