/**
 * Scan share: which part of a source is this thread's, and what must be so where it meets the other one's.
 *
 * Of a large source two threads walk a part each (scan.ts). Where the parts meet, the first one waits to hear whether the other came
 * there through the very folders that it has entered itself, with the same names in them. What was made, moved or unmounted meanwhile
 * could be in both parts or in none: then the first thread goes on, and the other's part is not used.
 *
 * Where the source is to be divided is known before, by its last snapshot; or the first thread finds, when it has been at work for a
 * while and the disk does not keep it waiting, that another one would help (look-ahead.ts says where). A disk that is waited for gains
 * nothing by a second reader, and one whose arm has to move loses.
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

/** By what this thread did from then on. */
interface Look {
  readonly fromMs: number;
  readonly cpuMs: number;
  readonly atMs: number;
}

export class ScanShare {
  /** Where it begins; undefined: at the source's own folder. */
  readonly from: Buffer | undefined;
  readonly #places: ScanPlaces;
  readonly #sender: ScanSender;
  readonly #nowNs: () => bigint;
  /** Where it ends; undefined also when it has gone on. */
  #to: Buffer | undefined;
  /** Where it ended, if another one has the rest. */
  #end: Buffer | undefined;
  /** Marks of the folders on the way to `#to`, or to `from`, that were entered. */
  #way: string[] = [];
  /** Undefined: it is settled whether another thread would help. */
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

  /** The walk goes on in this folder, which was listed. Where the parts meet is not known yet: only the source's own is on the way. */
  entered(path: Buffer, entered: EnteredPlace): void {
    if (isOnWayTo(this.#to ?? this.from ?? path, path)) this.#way.push(this.#markOf(entered));
  }

  /** Of a folder that was listed after that stat: equal marks are of listings with the same names. */
  #markOf({ place, stat }: EnteredPlace): string {
    try {
      const isSettled = this.#places.statOf(place).ctimeNs === stat.ctimeNs && !isRacy(stat.ctimeNs, this.#nowNs());
      return isSettled ? `${identityOf(stat)}:${stat.ctimeNs}` : UNSETTLED_WAY;
    } catch {
      // Gone, or not to be looked at: no other listing is like it.
      return UNSETTLED_WAY;
    }
  }

  /** The other thread may have it from here on. */
  isPast(path: Buffer): boolean {
    return this.#to !== undefined && comparePaths(path, this.#to) >= 0;
  }

  /** Whether another thread has what is left; if not, this one goes on. All before is sent. */
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

/** Undefined: nothing says how busy this thread is. */
function lookFrom(fromMs: number, inMs: number): Look | undefined {
  const cpuMs = threadCpuMs();
  return cpuMs === undefined ? undefined : { fromMs, cpuMs, atMs: fromMs + inMs };
}
