/**
 * Forbidden folder: a store or a state folder of this host. No scan and no watch enters it, and no source may lie in it.
 *
 * By its identity, for one that is reached over a symlink or a bind mount is the same; and by its path, before anything is asked of
 * it: who walks a source must not wait for the disk of a store. So it is looked at by whoever owns it, and handed on as it was then.
 *
 * Made by own-stores.ts and own-sources.ts.
 */
import { resolve } from 'node:path';
import { realpath, stat } from '../platform/disk-calls.js';
import { errorCode } from './error-code.js';
import { identityOf } from './scan-places.js';

export interface ForbiddenFolder {
  /** As Latin-1, without symlinks on the way if that is known. */
  readonly path: string;
  /** Undefined: nothing is known to be there. */
  readonly identity: string | undefined;
}

/** There is no way there. */
const NOTHING_THERE = ['ENOENT', 'ENOTDIR', 'ELOOP'];

/** One that was not looked at. */
export const unseen = (path: string): ForbiddenFolder => ({
  path: Buffer.from(resolve(path)).toString('latin1'),
  identity: undefined,
});

/** @throws what its disk says */
export async function lookAtForbidden(path: string): Promise<ForbiddenFolder> {
  try {
    const identity = identityOf(await stat(path, { bigint: true }));
    const real = await realpath(Buffer.from(path), { encoding: 'buffer' });
    return { path: real.toString('latin1'), identity };
  } catch (error) {
    if (NOTHING_THERE.includes(errorCode(error))) return unseen(path);
    throw error;
  }
}

/** Relative to the folder, of those that lie in it. */
export function pathsBelow(folder: Buffer, forbidden: readonly ForbiddenFolder[]): Buffer[] {
  const text = folder.toString('latin1');
  const beginning = folder.length === 1 ? text : `${text}/`;
  return forbidden.flatMap(({ path }) =>
    path.startsWith(beginning) ? [Buffer.from(path.slice(beginning.length), 'latin1')] : [],
  );
}
