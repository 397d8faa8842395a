/**
 * Index trial: an index database that ends the process is set aside.
 *
 * LMDB maps its files, and a damaged page (a dying SD card, a copy made while it was written) ends the process by a signal, without
 * a word. So each start is counted until the service has run for a while or has ended by itself; when several in a row did
 * neither, the index is moved away and made anew from the stores, the peers and the sources, which loses nothing (store/index-database.ts).
 * Whatever else ended these starts, it costs that work and no more.
 */
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readIfThere } from '../platform/durable.js';
import { takeLock } from '../platform/lock.js';

/** Starts in a row: a plug may be pulled twice, and reading large sources anew takes hours. */
const STARTS_MAX = 3;
/** A start that has lasted so long was none that the index ended. */
const TRIAL_MS = 10 * 60_000;

export interface IndexTrial {
  /** What is to be told as long as the damaged index lies there. */
  readonly damaged: string | undefined;
  /** The service ends by itself. */
  end(): void;
}

const placesIn = (stateDir: string) => ({
  /** How many starts in a row have not passed. */
  file: join(stateDir, 'index-starts'),
  index: join(stateDir, 'index'),
  aside: join(stateDir, 'index.damaged'),
});

/** Before the index is opened, under the state folder's lock. */
export function beginIndexTrial(stateDir: string): IndexTrial {
  const { file, index, aside } = placesIn(stateDir);
  // A power cut may leave anything in the file: what is no number is no reason to read every source anew.
  let starts = Number(readIfThere(file)?.toString()) || 0;
  if (starts >= STARTS_MAX) {
    starts = 0;
    rmSync(aside, { recursive: true, force: true });
    if (existsSync(index)) renameSync(index, aside);
  }
  // Not made durable: a count that a power cut takes away is one start fewer.
  writeFileSync(file, `${starts + 1}\n`, { mode: 0o600 });
  const passed = (): void => rmSync(file, { force: true });
  const timer = setTimeout(passed, TRIAL_MS).unref();
  return {
    damaged: existsSync(aside)
      ? `${STARTS_MAX} starts of this service in a row ended without a word, as a damaged index does it: it lies in ${aside} now, and ${index} is made anew; no copy and no snapshot was in it. Look at that disk, and remove the folder`
      : undefined,
    end: () => {
      clearTimeout(timer);
      passed();
    },
  };
}

/** The next start of the service makes it anew. @throws StateLocked while the service runs, which has it open */
export function removeIndex(stateDir: string): void {
  const lock = takeLock(join(stateDir, 'lock'));
  try {
    for (const path of Object.values(placesIn(stateDir))) rmSync(path, { recursive: true, force: true });
  } finally {
    lock.release();
  }
}
