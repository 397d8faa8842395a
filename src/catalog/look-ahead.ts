/**
 * Look ahead: finds a path in the middle of what a walk still has before it, so that another thread can begin there
 * (scan.ts).
 *
 * It guesses from a few folders: the nearest ones are listed, and in each some names are looked at, which stand for the
 * others. A folder that was not listed counts as much as the average of those that were. A wrong guess costs time and
 * nothing else.
 *
 * Driven by scan-worker.ts.
 */
import type { NameStat } from '../platform/stat-calls.js';
import { below } from './scan-places.js';

/** Folders that are listed; a home of 20,000 files has some hundreds. */
const FOLDERS_MAX = 64;
/** Names looked at in one folder: at 4 µs each, all of them take 60 ms. */
const NAMES_MAX = 256;
/** A file takes some 50 µs besides its bytes: as long as reading and hashing this many bytes. */
const FILE_BYTES = 64 * 1024;
/** With less before it, a thread is done before another one has started, which takes some 100 ms. */
const REST_BYTES_MIN = 256 * 1024 * 1024;

/** A folder, or what is left of it, with its names in path order. */
export interface AheadFolder<Place> {
  /** Relative to the source's folder. */
  readonly path: Buffer;
  readonly place: Place;
  /** As Latin-1. */
  readonly names: readonly string[];
}

export interface Looks<Place> {
  /** Undefined: the walk passes it over. */
  readonly stat: (folder: AheadFolder<Place>, name: string) => NameStat | undefined;
  /** Undefined: the walk does not enter it. */
  readonly enter: (folder: AheadFolder<Place>, name: string) => AheadFolder<Place> | undefined;
}

/** Consecutive names of a folder, the first of which was looked at. */
interface Stretch<Place> {
  readonly folder: AheadFolder<Place>;
  readonly first: string;
  readonly names: number;
  /** The bytes of each of them, if they are files. */
  readonly bytes: number;
  /** Whether they are folders; `inside` has what is in the first, once it is listed. */
  readonly isFolder: boolean;
  inside: readonly Stretch<Place>[] | undefined;
}

/**
 * @param rest what is before the walk, in path order: the folder that it is in, then that folder's parent, and so on
 * @returns undefined when there is little left, or all of it is in one file
 */
export function middleOf<Place>(rest: readonly AheadFolder<Place>[], looks: Looks<Place>): Buffer | undefined {
  const folders: Stretch<Place>[] = [];
  let listed = 0;
  let listedBytes = 0;
  const sample = (folder: AheadFolder<Place>): readonly Stretch<Place>[] => {
    const stretches = samplesOf(folder, looks);
    listed += 1;
    for (const stretch of stretches) {
      listedBytes += stretch.names * stretch.bytes;
      if (stretch.isFolder) folders.push(stretch);
    }
    return stretches;
  };
  const ahead = rest.flatMap(sample);
  // Grows during the loop: the nearest come first.
  for (const stretch of folders) {
    if (listed >= FOLDERS_MAX) break;
    const entered = looks.enter(stretch.folder, stretch.first);
    stretch.inside = entered === undefined ? [] : sample(entered);
  }
  return middleBy(ahead, listedBytes / listed);
}

function samplesOf<Place>(folder: AheadFolder<Place>, { stat }: Looks<Place>): Stretch<Place>[] {
  const each = Math.ceil(folder.names.length / NAMES_MAX);
  return folder.names
    .filter((_, at) => at % each === 0)
    .map((first, n) => {
      const found = stat(folder, first);
      const isFolder = found?.isDirectory() === true;
      const bytes = found === undefined || isFolder ? 0 : FILE_BYTES + Number(found.size);
      const names = Math.min(each, folder.names.length - n * each);
      return { folder, first, names, bytes, isFolder, inside: undefined };
    });
}

/** `folderBytes`: counted for each folder that was not listed. */
function middleBy<Place>(ahead: readonly Stretch<Place>[], folderBytes: number): Buffer | undefined {
  const weigh = ({ names, bytes, isFolder, inside }: Stretch<Place>): number =>
    names * (isFolder ? (inside?.reduce((sum, one) => sum + weigh(one), 0) ?? folderBytes) : bytes);
  const bytes = ahead.reduce((sum, stretch) => sum + weigh(stretch), 0);
  if (bytes < REST_BYTES_MIN) return undefined;
  let bytesBefore = 0;
  for (const leaf of leavesOf(ahead)) {
    const weight = weigh(leaf);
    // The stretch's beginning is nearer to the half than its end; and the first thread keeps something to do.
    if (bytesBefore > 0 && bytesBefore + weight / 2 >= bytes / 2) return below(leaf.folder.path, leaf.first);
    bytesBefore += weight;
  }
  return undefined;
}

/** In path order. */
function* leavesOf<Place>(stretches: readonly Stretch<Place>[]): Generator<Stretch<Place>> {
  for (const stretch of stretches)
    if (stretch.names === 1 && stretch.inside !== undefined) yield* leavesOf(stretch.inside);
    else yield stretch;
}
