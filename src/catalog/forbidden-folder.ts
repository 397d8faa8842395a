/**
 * Forbidden folder: a store or a state folder of this host. No scan and no watch enters it, and no source may lie in it.
 *
 * It is known by its identity, since a folder reached over a symlink or a bind mount is the same one. It is also known
 * by its path, which can be compared without touching its disk: a walk of a source must not wait for the disk of a
 * store. So its owner looks at it, and passes on what it saw.
 *
 * Made by own-stores.ts and own-sources.ts.
 */
import { resolve } from 'node:path';
import { realpath, stat } from '../platform/disk-calls.js';
import { errorCode } from './error-code.js';
import { identityOf } from './scan-places.js';

export interface ForbiddenFolder {
  /** As Latin-1; with symlinks resolved, if that is known. */
  readonly path: string;
  /** Undefined: no folder is known to be there. */
  readonly identity: string | undefined;
  /** Of its file system. */
  readonly device?: bigint;
}

/** Errors that mean that the path leads nowhere. */
const NOTHING_THERE = ['ENOENT', 'ENOTDIR', 'ELOOP'];

/** A folder that has not been looked at. */
export const unseen = (path: string): ForbiddenFolder => ({
  path: Buffer.from(resolve(path)).toString('latin1'),
  identity: undefined,
});

/** @throws what its disk says */
export async function lookAtForbidden(path: string): Promise<ForbiddenFolder> {
  try {
    const found = await stat(path, { bigint: true });
    const real = await realpath(Buffer.from(path), { encoding: 'buffer' });
    return { path: real.toString('latin1'), identity: identityOf(found), device: found.dev };
  } catch (error) {
    if (NOTHING_THERE.includes(errorCode(error))) return unseen(path);
    throw error;
  }
}

/** The paths of those that lie in the folder, relative to it. */
export function pathsBelow(folder: Buffer, forbidden: readonly ForbiddenFolder[]): Buffer[] {
  const text = folder.toString('latin1');
  const beginning = folder.length === 1 ? text : `${text}/`;
  return forbidden.flatMap(({ path }) =>
    path.startsWith(beginning) ? [Buffer.from(path.slice(beginning.length), 'latin1')] : [],
  );
}
