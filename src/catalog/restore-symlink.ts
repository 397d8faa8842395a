/**
 * Restore symlink: makes a symlink under another name, sets everything but its final name, and then renames it into its
 * place.
 *
 * Driven by restore-tree.ts.
 */
import { type BigIntStats, lstatSync, readlinkSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import type { Entry } from './entry.js';
import { type NotSet, sameTime, setAllButTimeOfSymlink, setTime } from './restore-metadata.js';
import type { RestoreParts } from './restore-parts.js';
import type { RestorePlaces } from './restore-places.js';
import type { ExistingFiles, RestoreTarget } from './restore-target.js';

export interface SymlinkOutcome {
  /** `kept`: it was there and right, or was to be left as it is. */
  readonly kind: 'made' | 'kept';
  readonly faults: readonly NotSet[];
}

export const FOLDER_IN_PLACE = 'a folder is in its place';
export const SOMETHING_IN_PLACE = 'something else already has its name in the target';

/** Whether what stands at a place is a symlink to `target`. */
export const isSymlinkTo = (
  target: Buffer | undefined,
  { there, place }: { readonly there: BigIntStats; readonly place: Buffer },
): boolean => there.isSymbolicLink() && target?.equals(readlinkSync(place, 'buffer')) === true;

/** @throws what keeps it from being made; no part of it is left then */
export function restoreSymlink(
  entry: Entry,
  {
    path,
    places,
    state,
    existing,
    parts,
  }: {
    /** Relative to the target. */
    readonly path: Buffer;
    readonly places: RestorePlaces;
    readonly state: RestoreTarget['state'];
    readonly existing: ExistingFiles;
    readonly parts: RestoreParts;
  },
): SymlinkOutcome {
  const { target } = entry;
  if (target === undefined) throw new Error('the snapshot has no target for this symlink');
  const place = places.of(path);
  const there = lstatSync(place, { throwIfNoEntry: false, bigint: true });
  if (there !== undefined) {
    if (existing === 'keep') return { kind: 'kept', faults: [] };
    if (isSymlinkTo(target, { there, place }) && state !== 'fresh') {
      // It may be somebody else's that is to be overwritten; and what an earlier run could not set is tried, and told, again.
      const faults = setAllButTimeOfSymlink(place, entry);
      if (!sameTime(there.mtimeNs, entry.mtimeNs)) faults.push(...setTime(place, entry));
      return { kind: 'kept', faults };
    }
    if (there.isDirectory()) throw new Error(FOLDER_IN_PLACE);
    if (existing !== 'overwrite') throw new Error(SOMETHING_IN_PLACE);
  }
  const part = parts.pathFor(path);
  try {
    symlinkSync(target, part);
    const faults = [...setAllButTimeOfSymlink(part, entry), ...setTime(part, entry)];
    renameSync(part, place);
    return { kind: 'made', faults };
  } finally {
    rmSync(part, { force: true });
  }
}
