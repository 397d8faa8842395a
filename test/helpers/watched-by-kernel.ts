/** Whether this process has the kernel watch a folder, as Linux tells; false where nothing is told. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

const OPEN_FILES = '/proc/self/fdinfo';

export function isWatchedByKernel(folder: string): boolean {
  const inode = `ino:${statSync(folder).ino.toString(16)} `;
  const open = existsSync(OPEN_FILES) ? readdirSync(OPEN_FILES) : [];
  return open.some(file => {
    try {
      return readFileSync(join(OPEN_FILES, file), 'utf8').includes(inode);
    } catch {
      return false; // it was open for the listing only
    }
  });
}
