/**
 * Read back: does what is at a place match its entry, in content, kind, time, attributes, mode and owner?
 *
 * Driven by restore-tree.ts, in the extra pass of `verify`.
 */
import { type BigIntStats, lstatSync } from 'node:fs';
import type { Entry } from './entry.js';
import { hashFile } from './restore-hash.js';
import { hasAttributesOf, hasOwnerOf, modeOf, modeToSet, ownerOf, sameTime } from './restore-metadata.js';
import type { RestorePlaces } from './restore-places.js';
import { isSymlinkTo } from './restore-symlink.js';
import { UNMAKEABLE } from './restore-tally.js';

/** @returns what differs at the place; undefined when all matches the entry. @throws what keeps it from being read */
export async function readBack(
  entry: Entry,
  {
    path,
    places,
    signal,
    onRead,
  }: {
    /** Relative to the target. */
    readonly path: Buffer;
    readonly places: RestorePlaces;
    readonly signal: AbortSignal;
    readonly onRead: (bytes: number) => void;
  },
): Promise<string | undefined> {
  const place = places.of(path);
  const there = lstatSync(place, { throwIfNoEntry: false, bigint: true });
  if (there === undefined) return 'it is not there';
  switch (entry.kind) {
    case 'directory':
      return there.isDirectory() ? metadataFault(entry, { there, place }) : 'it is not a folder';
    case 'symlink':
      if (!there.isSymbolicLink()) return 'it is not a symlink';
      if (!isSymlinkTo(entry.target, { there, place })) return 'it points elsewhere';
      if (!sameTime(there.mtimeNs, entry.mtimeNs)) return 'its time differs';
      if (!hasAttributesOf(place, entry)) return 'its attributes differ';
      return hasOwnerOf(there, entry) ? undefined : 'its owner differs';
    case 'file': {
      if (!there.isFile()) return 'it is not a file';
      if (there.size !== BigInt(entry.size)) return `it has ${there.size} bytes instead of ${entry.size}`;
      const fault = metadataFault(entry, { there, place });
      if ((await hashFile(place, signal)) !== entry.blob) return 'its bytes differ';
      onRead(entry.size);
      return fault;
    }
    default:
      return UNMAKEABLE;
  }
}

function metadataFault(
  entry: Entry,
  { there, place }: { readonly there: BigIntStats; readonly place: Buffer },
): string | undefined {
  if (!sameTime(there.mtimeNs, entry.mtimeNs)) return 'its time differs';
  if (!hasAttributesOf(place, entry)) return 'its attributes differ';
  // Bits that are left out on purpose are reported by whoever leaves them out, or keeps the file without them.
  return modeOf(there) === modeToSet(ownerOf(there), entry) && hasOwnerOf(there, entry)
    ? undefined
    : 'its mode or owner differs';
}
