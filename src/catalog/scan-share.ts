/**
 * Scan share: which part of a source this thread walks, and what must hold where that part meets the other thread's.
 *
 * Two threads each walk a part of a large source (scan.ts). Where the parts meet, the first thread waits to hear
 * whether the other came there through the very folders that the first has entered, with the same names in them. If
 * not, what was made, moved or unmounted meanwhile could be in both parts or in neither: then the first thread goes on,
 * and the other's part is not used.
 *
 * Where to divide the source is known beforehand from its last snapshot. Or the first thread finds that another one
 * would help, when it has worked for a while without waiting for the disk (look-ahead.ts says where). A second reader
 * gains nothing on a disk that is waited for, and loses time on one whose arm has to move.
 *
 * Driven by scan-worker.ts.
 */
import { threadCpuMs } from '../platform/thread-cpu.js';
import { type Looks, middleOf } from './look-ahead.js';
import { comparePaths, isUnder } from './path-order.js';
import { isRacy } from './scan-cache.js';
import type { ScanFolder } from './scan-folder.js';
import { JOINED, type ScanOrder, SEAM, UNSETTLED_WAY } from './scan-message.js';
import { type EnteredPlace, identityOf, type ScanPlace, type ScanPlaces } from './scan-places.js';
import type { ScanSender } from './scan-sender.js';

/** When to look whether another thread would help, judged by this thread's processor time from `fromMs` on. */
interface Look {
  readonly fromMs: number;
  readonly cpuMs: number;
  readonly atMs: number;
}

export class ScanShare {
  /** Where this part begins; undefined: at the source's own folder. */
  readonly from: Buffer | undefined;
  readonly #places: ScanPlaces;
  readonly #sender: ScanSender;
  readonly #nowNs: () => bigint;
  /** Where this part is to end; undefined: at the source's end, or this thread has come there. */
  #to: Buffer | undefined;
  /** Where this part ended, if another thread has the rest. */
  #end: Buffer | undefined;
  /** Marks of the folders on the way to `#to`, or to `from`, that were entered. */
  #way: string[] = [];
  /** Undefined: this thread no longer considers asking for another. */
  #look: Look | undefined;
  readonly #busyMin: number;

  constructor(
    { from, to, divide }: Pick<ScanOrder, 'from' | 'to' | 'divide'>,
    {
      places,
      sender,
      nowNs,
    }: { readonly places: ScanPlaces; readonly sender: ScanSender; readonly nowNs: () => bigint },
  ) {
    this.from = from === undefined ? undefined : Buffer.from(from, 'latin1');
    this.#to = to === undefined ? undefined : Buffer.from(to, 'latin1');
    this.#look = divide && lookFrom(performance.now(), divide.afterMs);
    this.#busyMin = divide?.busyMin ?? 1;
    this.#places = places;
    this.#sender = sender;
    this.#nowNs = nowNs;
  }

  get way(): readonly string[] {
    return this.#way;
  }

  /**
   * Notes that the walk goes on in this folder, which was listed. While it is not known where the parts meet, only the
   * source's own folder is on the way.
   */
  entered(path: Buffer, entered: EnteredPlace): void {
    if (isOnWayTo(this.#to ?? this.from ?? path, path)) this.#way.push(this.#markOf(entered));
  }

  /** The mark of a folder that was listed after `stat`: equal marks mean listings with the same names. */
  #markOf({ place, stat }: EnteredPlace): string {
    try {
      const isSettled = this.#places.statOf(place).ctimeNs === stat.ctimeNs && !isRacy(stat.ctimeNs, this.#nowNs());
      return isSettled ? `${identityOf(stat)}:${stat.ctimeNs}` : UNSETTLED_WAY;
    } catch {
      // Gone, or cannot be looked at: its mark must equal no other.
      return UNSETTLED_WAY;
    }
  }

  /** True when the path belongs to the other thread, if that one's part is used. */
  isPast(path: Buffer): boolean {
    return this.#to !== undefined && comparePaths(path, this.#to) >= 0;
  }

  /** Whether another thread has the rest; if not, this one goes on. Everything before must have been sent. */
  isJoined(): boolean {
    const end = this.#to;
    if (end === undefined) return false;
    this.#to = undefined;
    this.#sender.send({ kind: 'seam', way: this.#way });
    if (this.#sender.hear(SEAM) !== JOINED) return false;
    this.#end = end;
    return true;
  }

  isOurs(path: Buffer): boolean {
    return (
      (this.from === undefined || comparePaths(path, this.from) >= 0) &&
      (this.#end === undefined || comparePaths(path, this.#end) < 0)
    );
  }

  /** Asks for another thread if one would help. `stack`: the folders that the walk is in. */
  consider(stack: readonly ScanFolder[], looks: Looks<ScanPlace>): void {
    const look = this.#look;
    if (look === undefined) return;
    const nowMs = performance.now();
    if (nowMs < look.atMs) return;
    const busyMs = (threadCpuMs() ?? look.cpuMs) - look.cpuMs;
    if (busyMs < this.#busyMin * (nowMs - look.fromMs)) {
      this.#look = lookFrom(nowMs, 2 * (nowMs - look.fromMs));
      return;
    }
    this.#look = undefined;
    const rest = stack.toReversed().map(({ path, place, names, next }) => ({ path, place, names: names.slice(next) }));
    const to = middleOf(rest, looks);
    if (to === undefined) return;
    this.#to = to;
    this.#way = stack.filter(({ path }) => isOnWayTo(to, path)).map(folder => this.#markOf(folder));
    this.#sender.send({ kind: 'divide', at: to.toString('latin1') });
  }
}

const isOnWayTo = (to: Buffer, path: Buffer): boolean => path.length === 0 || isUnder(to, path);

/** Undefined: this system does not say how busy a thread is. */
function lookFrom(fromMs: number, inMs: number): Look | undefined {
  const cpuMs = threadCpuMs();
  return cpuMs === undefined ? undefined : { fromMs, cpuMs, atMs: fromMs + inMs };
}
