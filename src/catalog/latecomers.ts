/**
 * Latecomers: files moved during a scan from a folder not listed yet into one that was: the scan meets them in neither
 * place.
 *
 * So after the walk each folder that has changed since it was listed is listed again. A latecomer is in it, is older
 * than the scan, beyond doubt of a kernel's coarse clock, and was met nowhere. What was made during the scan is no latecomer: a snapshot need not have it. Nor
 * is a file that was met under another name.
 *
 * In a divided scan each thread knows only what it has met itself: a file moved from one thread's part to another's is
 * reported although it was met.
 *
 * In memory: 4 bytes for each name that was met, and some 150 for each folder.
 *
 * Driven by scan-worker.ts.
 */
import { lstatSync } from 'node:fs';
import type { NameStat } from '../platform/stat-calls.js';
import { isRacy, RACY_NS } from './scan-cache.js';
import { below, listNames } from './scan-places.js';

/** One is enough to make a snapshot partial; the others help the person who looks. */
const TOLD_MAX = 100;
const MET_MIN = 1024;
/**
 * A ctime that no folder has: a folder that changed within the clock's grain before it was listed may have changed
 * after that, too.
 */
const UNSETTLED = -1n;

export class Latecomers {
  readonly #startNs: bigint;
  readonly #nowNs: () => bigint;
  /** As Latin-1. */
  readonly #paths: string[] = [];
  readonly #ctimesNs: bigint[] = [];
  /** Inode numbers, cut to 32 bits: of two files, one is taken for the other in one case of four thousand million. */
  #met = new Uint32Array(MET_MIN);
  #count = 0;

  constructor({ startNs, nowNs }: { readonly startNs: bigint; readonly nowNs: () => bigint }) {
    this.#startNs = startNs;
    this.#nowNs = nowNs;
  }

  meet(stat: NameStat): void {
    if (this.#count === this.#met.length) {
      const more = new Uint32Array(this.#count * 2);
      more.set(this.#met);
      this.#met = more;
    }
    this.#met[this.#count] = cut(stat);
    this.#count += 1;
  }

  /** `stat` was taken before the folder was listed. */
  listed(path: Buffer, { ctimeNs }: NameStat): void {
    this.#paths.push(path.toString('latin1'));
    this.#ctimesNs.push(isRacy(ctimeNs, this.#nowNs()) ? UNSETTLED : ctimeNs);
  }

  /**
   * The latecomers' paths, at most a hundred. `isElsewhere`: another thread meets it, or it must not be touched.
   * `isLeftOut`: the walk would have passed it over.
   */
  find({
    root,
    isElsewhere,
    isLeftOut,
  }: {
    readonly root: Buffer;
    readonly isElsewhere: (path: Buffer) => boolean;
    readonly isLeftOut: (path: Buffer, stat: NameStat) => boolean;
  }): readonly Buffer[] {
    const found: Buffer[] = [];
    const met = this.#met.subarray(0, this.#count).sort();
    const look = (path: Buffer, device: bigint): void => {
      for (const name of listNames(fullOf(root, path))) {
        if (found.length === TOLD_MAX) return;
        const at = below(path, name);
        const stat = isElsewhere(at) ? undefined : statOf(fullOf(root, at));
        if (stat === undefined || stat.dev !== device || isWithin(met, cut(stat)) || isLeftOut(at, stat)) continue;
        if (bornNs(stat) < this.#startNs - RACY_NS) found.push(at);
        else if (stat.isDirectory()) look(at, device);
      }
    };
    for (const [n, text] of this.#paths.entries()) {
      const path = Buffer.from(text, 'latin1');
      const stat = statOf(fullOf(root, path));
      if (stat === undefined || stat.ctimeNs === this.#ctimesNs[n]) continue;
      try {
        look(path, stat.dev);
      } catch {
        // The folder is gone, or cannot be read any longer: what was met in it stays, and the next scan reports the
        // problem.
      }
    }
    return found;
  }
}

const cut = ({ ino }: NameStat): number => Number(BigInt.asUintN(32, ino));

/** Some file systems do not record when a file was made; a moved file keeps its mtime. */
const bornNs = ({ birthtimeNs, mtimeNs }: NameStat): bigint => (birthtimeNs === 0n ? mtimeNs : birthtimeNs);

const fullOf = (root: Buffer, path: Buffer): Buffer =>
  path.length === 0 ? root : Buffer.concat([root, Buffer.from('/'), path]);

function statOf(full: Buffer): NameStat | undefined {
  try {
    return lstatSync(full, { bigint: true });
  } catch {
    return undefined;
  }
}

/** `sorted`: ascending. */
function isWithin(sorted: Uint32Array, wanted: number): boolean {
  let from = 0;
  let to = sorted.length;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((sorted[middle] ?? 0) < wanted) from = middle + 1;
    else to = middle;
  }
  return sorted[from] === wanted;
}
