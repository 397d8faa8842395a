/**
 * Left out: tells whether the scan of a source passes this folder over, whatever lies there: because of the policy
 * (exclude.ts), or because it is a store (forbidden-folder.ts). Asked about paths that are in the snapshot but no
 * longer in the folder: only what the scan would have found is missing.
 */
import { resolve } from 'node:path';
import { SLASH } from '../platform/slash.js';
import { Exclusion } from './exclude.js';
import { type ForbiddenFolder, pathsBelow } from './forbidden-folder.js';
import { isAtOrUnder } from './path-order.js';

export function leftOutBy({
  path,
  exclude,
  forbidden,
}: {
  /** The source's folder. */
  readonly path: string;
  readonly exclude: readonly string[];
  readonly forbidden: readonly ForbiddenFolder[];
}): (folder: Buffer) => boolean {
  const exclusion = new Exclusion(exclude);
  const forbiddenBelow = pathsBelow(Buffer.from(resolve(path)), forbidden);
  return folder =>
    forbiddenBelow.some(one => isAtOrUnder(folder, one)) ||
    wayTo(folder).some(one => exclusion.excludes(one, { isDirectory: true }));
}

/** The folders above it, topmost first, and the folder itself. */
const wayTo = (folder: Buffer): Buffer[] =>
  [...folder.keys(), folder.length].flatMap(end =>
    end === folder.length || folder[end] === SLASH ? [folder.subarray(0, end)] : [],
  );
