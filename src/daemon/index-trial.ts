/**
 * Index trial: an index database that ends the process is set aside.
 *
 * LMDB maps its files, and a damaged page (a dying SD card, a copy made while it was written) ends the process by a signal, without
 * a word. So each start is counted until the service has run for a while or has ended by itself; when several in a row did
 * neither, the index is moved away and made anew from the stores, the peers and the sources, which loses nothing (store/index-database.ts).
 * Whatever else ended these starts, it costs that work and no more.
 *
 * A scan may come to a damaged page of the scan cache when the start has long passed. So the scans of each source are counted, too, until
 * one has ended, well or not; several in a row that did not, and the scan cache alone is moved away.
 */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type SourceId, splitSourceId } from '../core/ids.js';
import { readIfThere } from '../platform/durable.js';
import { takeLock } from '../platform/lock.js';
import { LOCK_NAME } from './state-owner.js';

/** Starts, or scans, in a row: a plug may be pulled twice, and reading large sources anew takes hours. */
const STARTS_MAX = 3;
/** A start that has lasted so long was none that the index ended. */
const TRIAL_MS = 10 * 60_000;

/** In the index: the scan cache, and LMDB's lock of it. */
export const SCAN_CACHE_FILES = ['scan', 'scan-lock'] as const;

export interface IndexTrial {
  /** What is to be told as long as the damaged index lies there. */
  readonly damaged: string | undefined;
  /** Before the scan cache is used for a scan of the source. @returns is called when that has ended */
  beginScan(source: SourceId): () => void;
  /** The service ends by itself. */
  end(): void;
}

const placesIn = (stateDir: string) => ({
  /** How many starts in a row have not passed. */
  file: join(stateDir, 'index-starts'),
  /** A file for each source: how many scans in a row have not ended. */
  scans: join(stateDir, 'scan-starts'),
  index: join(stateDir, 'index'),
  aside: join(stateDir, 'index.damaged'),
});

/** Before the index is opened, under the state folder's lock. */
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
      ? `${STARTS_MAX} starts of this service in a row, or as many scans of a source, ended without a word, as a damaged index does it: what may be damaged of it lies in ${aside} now, and is made anew in ${index}; no copy and no snapshot was in it. Look at that disk, and remove the folder`
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

/** A power cut may leave anything in the file: what is no number is no reason to read every source anew. */
const countIn = (file: string): number => Number(readIfThere(file)?.toString()) || 0;

/** Not made durable: a count that a power cut takes away is one fewer. */
const countOne = (file: string): void => writeFileSync(file, `${countIn(file) + 1}\n`, { mode: 0o600 });

/** The next start of the service makes it anew. @throws StateLocked while the service runs, which has it open */
export function removeIndex(stateDir: string): void {
  const lock = takeLock(join(stateDir, LOCK_NAME));
  try {
    for (const path of Object.values(placesIn(stateDir))) rmSync(path, { recursive: true, force: true });
  } finally {
    lock.release();
  }
}
