/** Foreign folder: a folder that belongs to another user. */
import { chownSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { temporaryFolder } from './temporary-folder.js';

/** `nobody`, as most systems number it. */
const NOBODY = 65_534;

/** Root makes one and gives it away; other users can only use the system's own. */
export function foreignFolder(t: ExecutionContext): { readonly path: string; readonly owner: number } {
  if (process.getuid?.() !== 0) return { path: '/', owner: statSync('/').uid };
  const path = join(temporaryFolder(t), 'foreign');
  mkdirSync(path);
  chownSync(path, NOBODY, NOBODY);
  return { path, owner: NOBODY };
}
