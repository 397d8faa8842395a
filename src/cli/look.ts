/**
 * Look: what the doctor sees of a folder, the disk of which may not answer.
 *
 * A call to a disk that hangs cannot be ended. So each folder waits apart from all others (platform/disk.ts), which also
 * lets this process end, and after a limited time it counts as not seen.
 */
import { messageOf } from '../core/fault.js';
import { setApart } from '../platform/disk.js';
import { readdir, stat } from '../platform/disk-calls.js';
import { orAborted } from '../platform/or-aborted.js';
import { systemCode } from '../store/own-folder.js';

/**
 * How long one look at a disk, or one question to the service, may take, in ms. A disk that wakes up needs some 10 s
 * at the worst; one on a server that is away never answers.
 */
export const LOOK_MS_MAX = 15_000;

/** What a look that took too long has found. */
export const LATE = 'late';

/** Why a folder was not seen. */
export type Unseen =
  | { readonly kind: 'absent' }
  /** This user may not look into it, or its disk fails: the system's code, or else what was wrong. */
  | { readonly kind: 'closed'; readonly because: string }
  | { readonly kind: typeof LATE };

/** What is said of a disk that was late. */
export const LATE_TEXT = `its disk has not answered for ${LOOK_MS_MAX / 1000} s: look whether it is plugged in, and its server reachable`;

/** Nothing that is wrong with the folder is thrown. */
export async function lookApart<Seen>(
  folder: string,
  look: (folder: string) => Promise<Seen | Unseen>,
): Promise<Seen | Unseen> {
  setApart(folder);
  const seen = await inTime(look(folder).catch(unseen));
  return seen === LATE ? { kind: LATE } : seen;
}

/**
 * The first of some folders that is there, if its disk does not answer: whoever looks into it in another way then waits
 * for ever, and hears no signal.
 */
export async function lateAmong(folders: readonly string[], signal: AbortSignal): Promise<string | undefined> {
  for (const folder of folders) {
    const looking = lookApart(folder, async () => [await stat(folder), await readdir(folder)]);
    const seen = await orAborted(looking, signal);
    const kind = 'kind' in seen ? seen.kind : 'seen';
    if (kind !== 'absent') return kind === LATE ? folder : undefined;
  }
  return undefined;
}

function unseen(error: unknown): Unseen {
  const code = systemCode(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'absent' };
  return { kind: 'closed', because: code ?? messageOf(error) };
}

export async function inTime<T>(looking: Promise<T>, limitMs = LOOK_MS_MAX): Promise<T | typeof LATE> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<typeof LATE>(resolve => {
    timer = setTimeout(() => resolve(LATE), limitMs);
  });
  try {
    return await Promise.race([looking, late]);
  } finally {
    clearTimeout(timer);
  }
}
