/**
 * Disk trouble: what a system call says of a disk as a whole, in words for a person: which folder, what was kept, what
 * to do.
 *
 * Whoever decides by a failed call goes by its own code (ENOSPC …), so an error becomes words only where a person is
 * told: in answers of the service, at the end of a command, in an alarm. Node names no path for a write that failed;
 * whoever writes adds it (platform/name-path.ts).
 *
 * What was there before is unchanged by whatever failed, because whatever writes to a state folder, a store or a target
 * writes beside the old file, or a new one.
 */
import { ClusterError } from './fault.js';

interface Trouble {
  readonly code: 'DISK_FULL' | 'DISK_READ_ONLY' | 'DISK_FAILED';
  readonly what: (folder: string) => string;
  readonly remedy: string;
}

const TROUBLES: Readonly<Record<string, Trouble>> = {
  ENOSPC: {
    code: 'DISK_FULL',
    what: folder => `there is no room left on the disk of ${folder}`,
    remedy: 'Make room on it, then try again',
  },
  EDQUOT: {
    code: 'DISK_FULL',
    what: folder => `this user's quota is used up on the disk of ${folder}`,
    remedy: 'Raise it, or remove something of this user there, then try again',
  },
  EROFS: {
    code: 'DISK_READ_ONLY',
    what: folder => `the file system of ${folder} is read-only`,
    remedy: "A system makes a failing disk read-only: look at the kernel's log, mount it writable, then try again",
  },
  EIO: {
    code: 'DISK_FAILED',
    what: folder => `the disk of ${folder} could not be read or written`,
    remedy: "Look at the disk and at the kernel's log, copy what you need from it, then try again",
  },
};

/** For a system's error that names nothing. */
const UNNAMED = 'a folder that is used here';

const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

/** What was found, what was kept and what to do; `undefined` for a code that says nothing of the disk as a whole. */
export function diskTroubleText(code: string | undefined, folder: string): string | undefined {
  const trouble = code === undefined ? undefined : TROUBLES[code];
  if (trouble === undefined) return undefined;
  return `${trouble.what(folder)} (${code}). What was stored before is as it was. ${trouble.remedy}.`;
}

/** The error that a person is told: one with DISK_… for trouble of a disk, any other as it is. */
export function inWords(error: unknown): unknown {
  const code = error instanceof ClusterError ? undefined : codeOf(error);
  const trouble = code === undefined ? undefined : TROUBLES[code];
  const text = diskTroubleText(code, folderOf(error));
  if (trouble === undefined || text === undefined) return error;
  return new ClusterError(trouble.code, text, { blame: 'operator', cause: error });
}

function folderOf(error: unknown): string {
  const path = error instanceof Error && 'path' in error ? String(error.path) : '';
  const end = path.lastIndexOf('/');
  return end > 0 ? path.slice(0, end) : UNNAMED;
}
