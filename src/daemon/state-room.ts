/**
 * State room: tells a person when the disk of the state folder is nearly full. Then no head is taken in and no snapshot
 * is made, and a host that only holds copies has no failed backup that would say so. Tells too when the index there
 * refuses writes, for whatever reason.
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

interface StateRoomOptions {
  readonly stateDir: string;
  /** How many writes of the index the disk has refused so far. */
  readonly indexRefusals: () => number;
  /** Some store takes nothing because of such a refusal (`Store.isBehind`). */
  readonly isBehind: () => boolean;
  readonly alarms: Pick<Alarms, 'raise' | 'clear'>;
}

export class StateRoom {
  readonly #stateDir: string;
  readonly #indexRefusals: () => number;
  readonly #isBehind: () => boolean;
  readonly #alarms: Pick<Alarms, 'raise' | 'clear'>;
  #isTold = false;
  #refusalsBefore = 0;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor({ stateDir, indexRefusals, isBehind, alarms }: StateRoomOptions) {
    this.#stateDir = stateDir;
    this.#indexRefusals = indexRefusals;
    this.#isBehind = isBehind;
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
    this.#lookAtIndex();
    const { bavail, bsize, files, ffree } = await statfs(this.#stateDir);
    const room: StateDiskRoom = { freeBytes: bavail * bsize, freeFiles: files > 0 ? ffree : undefined };
    this.#isTold = isNearlyFull(room, this.#isTold);
    if (this.#isTold) this.#alarms.raise('STATE_DISK_FULL', this.#stateDir, textOf(this.#stateDir, room));
    else this.#alarms.clear('STATE_DISK_FULL', this.#stateDir);
  }

  /** Of a full disk small writes are taken now and then, so one that is taken does not yet end it. */
  #lookAtIndex(): void {
    const refusals = this.#indexRefusals();
    if (refusals === this.#refusalsBefore && !this.#isBehind()) this.#alarms.clear('INDEX_REFUSED', this.#stateDir);
    else this.#alarms.raise('INDEX_REFUSED', this.#stateDir, refusedText(this.#stateDir));
    this.#refusalsBefore = refusals;
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

/** Without LMDB's words, which are others for each write. */
const refusedText = (stateDir: string): string =>
  `the disk of the state folder ${stateDir} refuses writes of the index: while it does, this host takes few copies, or none, and goes on serving what it has. Make room on that disk, or look at why it fails`;

/** Without the number of bytes: each change of an alarm's text is a line in the log. */
function textOf(stateDir: string, { freeBytes, freeFiles }: StateDiskRoom): string {
  const left =
    freeBytes < LEAST_BYTES * ENOUGH || freeFiles === undefined
      ? `less than ${prettyBytes(LEAST_BYTES * ENOUGH, { maximumFractionDigits: 0 })} are left`
      : `fewer than ${LEAST_FILES * ENOUGH} more files can be made`;
  return `the disk of the state folder ${stateDir} is nearly full: ${left}. While it is full this host takes no snapshot, and no copies of new ones; what it has stays as it is, and is given. Make room on that disk before this service is restarted: while it is wholly full, the service does not come up`;
}
