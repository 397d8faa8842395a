/** Whether a process (default: this one) has the kernel watch a folder, as Linux tells; false where nothing tells. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export function isWatchedByKernel(
  folder: string,
  { pid = process.pid }: { readonly pid?: number | undefined } = {},
): boolean {
  const inode = `ino:${statSync(folder).ino.toString(16)} `;
  const openFiles = `/proc/${pid}/fdinfo`;
  const open = existsSync(openFiles) ? readdirSync(openFiles) : [];
  return open.some(file => {
    try {
      return readFileSync(join(openFiles, file), 'utf8').includes(inode);
    } catch {
      return false; // it was open only for the listing, or is closed by now
    }
  });
}
