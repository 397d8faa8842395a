/** Whether this process has a file open. Needs Linux's /proc. */
import { readdirSync, readlinkSync } from 'node:fs';

export function isOpenHere(path: string): boolean {
  return readdirSync('/proc/self/fd').some(name => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`) === path;
    } catch {
      // The folder itself was open while it was read.
      return false;
    }
  });
}
