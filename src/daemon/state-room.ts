/**
 * State room: tells a person when the disk of the state folder is nearly full. Then no head is taken in and no snapshot
 * is made, and a host that only holds copies has no failed backup that would say so.
 */
import prettyBytes from 'pretty-bytes';
import { statfs } from '../platform/disk-calls.js';
import type { Alarms } from './alarms.js';

/** How often to look, in ms: a disk that fills at 1 MB/s leaves half a minute to act. */
const LOOK_EVERY_MS = 30_000;
/** A snapshot of some thousand changed files writes some MB, and is refused when they do not fit. */
const LEAST_BYTES = 32 * 1024 * 1024;
/** … and the least files and folders that may still be made: an object is one. */
const LEAST_FILES = 1_000;
/** Only with that much more is it over, so that it does not come and go with each snapshot. */
const ENOUGH = 2;

export interface StateDiskRoom {
  readonly freeBytes: number;
  /** Undefined: this file system has no such limit. */
  readonly freeFiles: number | undefined;
}

/** Whether to tell of it. @param isTold of an earlier look */
export function isNearlyFull(
  { freeBytes, freeFiles = Number.POSITIVE_INFINITY }: StateDiskRoom,
  isTold: boolean,
): boolean {
  const factor = isTold ? ENOUGH : 1;
  return freeBytes < LEAST_BYTES * factor || freeFiles < LEAST_FILES * factor;
}

export class StateRoom {
  readonly #stateDir: string;
  readonly #alarms: Pick<Alarms, 'raise' | 'clear'>;
  #isTold = false;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor({ stateDir, alarms }: { readonly stateDir: string; readonly alarms: Pick<Alarms, 'raise' | 'clear'> }) {
    this.#stateDir = stateDir;
    this.#alarms = alarms;
  }

  start(): void {
    void this.#lookAndGoOn();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  async look(): Promise<void> {
    const { bavail, bsize, files, ffree } = await statfs(this.#stateDir);
    const room: StateDiskRoom = { freeBytes: bavail * bsize, freeFiles: files > 0 ? ffree : undefined };
    this.#isTold = isNearlyFull(room, this.#isTold);
    if (this.#isTold) this.#alarms.raise('STATE_DISK_FULL', this.#stateDir, textOf(this.#stateDir, room));
    else this.#alarms.clear('STATE_DISK_FULL', this.#stateDir);
  }

  async #lookAndGoOn(): Promise<void> {
    try {
      await this.look();
    } catch {
      // A disk that cannot even be asked fails whatever is written to it, and that is told.
    }
    if (!this.#isStopped) this.#timer = setTimeout(() => void this.#lookAndGoOn(), LOOK_EVERY_MS).unref();
  }
}

/** Without the number of bytes: each change of an alarm's text is a line in the log. */
function textOf(stateDir: string, { freeBytes, freeFiles }: StateDiskRoom): string {
  const left =
    freeBytes < LEAST_BYTES * ENOUGH || freeFiles === undefined
      ? `less than ${prettyBytes(LEAST_BYTES * ENOUGH, { maximumFractionDigits: 0 })} are left`
      : `fewer than ${LEAST_FILES * ENOUGH} more files can be made`;
  return `the disk of the state folder ${stateDir} is nearly full: ${left}. While it is full this host takes no snapshot, and no copies of new ones; what it has stays as it is. Make room on that disk`;
}
