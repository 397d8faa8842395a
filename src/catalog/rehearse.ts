/**
 * Rehearse: what would a restore make of one entry, in the target as it is? It looks, and writes nothing.
 *
 * It goes by what a look tells: no content is read, so a file of the right size and time counts as right. Names that the
 * target takes for one are found out by the restore alone.
 *
 * Driven by restore-tree.ts, for `--dry-run`.
 */
import { type BigIntStats, lstatSync } from 'node:fs';
import type { Entry } from './entry.js';
import { errorCode } from './error-code.js';
import { sameTime } from './restore-files.js';
import { NO_FOLDER_IN_PLACE } from './restore-folders.js';
import { FOLDER_IN_PLACE, isSymlinkTo } from './restore-symlink.js';
import { UNMAKEABLE } from './restore-tally.js';
import type { ExistingFiles } from './restore-target.js';

export type Rehearsal =
  | { readonly act: 'write' }
  /** It is there and right, or is to be kept. */
  | { readonly act: 'keep' }
  /** A folder that is there. */
  | { readonly act: 'enter' }
  | { readonly act: 'fail'; readonly because: string };

export function rehearse(
  entry: Entry,
  { place, existing }: { readonly place: Buffer; readonly existing: ExistingFiles },
): Rehearsal {
  const there = found(place);
  switch (entry.kind) {
    case 'directory':
      if (there?.isDirectory()) return { act: 'enter' };
      if (there === undefined || existing === 'overwrite') return { act: 'write' };
      return { act: 'fail', because: NO_FOLDER_IN_PLACE };
    case 'file':
    case 'symlink':
      if (there === undefined) return { act: 'write' };
      if (existing === 'keep' || looksRight(entry, { there, place })) return { act: 'keep' };
      return there.isDirectory() ? { act: 'fail', because: FOLDER_IN_PLACE } : { act: 'write' };
    default:
      return { act: 'fail', because: UNMAKEABLE };
  }
}

function looksRight(
  { kind, size, mtimeNs, target }: Entry,
  { there, place }: { readonly there: BigIntStats; readonly place: Buffer },
): boolean {
  if (kind === 'symlink') return isSymlinkTo(target, { there, place });
  return there.isFile() && there.size === BigInt(size) && sameTime(there.mtimeNs, mtimeNs);
}

/** Below what is no folder yet, nothing is. */
function found(place: Buffer): BigIntStats | undefined {
  try {
    return lstatSync(place, { throwIfNoEntry: false, bigint: true });
  } catch (error) {
    if (errorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
