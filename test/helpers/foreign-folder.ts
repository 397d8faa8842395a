/** Foreign folder: one that belongs to somebody else. */
import { chownSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { temporaryFolder } from './temporary-folder.js';

/** `nobody`, as most systems number it. */
const NOBODY = 65_534;

/** Root gives one away; others have none but the system's. */
export function foreignFolder(t: ExecutionContext): { readonly path: string; readonly owner: number } {
  if (process.getuid?.() !== 0) return { path: '/', owner: statSync('/').uid };
  const path = join(temporaryFolder(t), 'foreign');
  mkdirSync(path);
  chownSync(path, NOBODY, NOBODY);
  return { path, owner: NOBODY };
}
