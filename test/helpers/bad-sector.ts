/** Bad sector: a file that is there and cannot be read, as on a disk that fails. */
import { symlinkSync } from 'node:fs';

/** Why there can be none here; `undefined` where there can. */
export const whyNoBadSector = (): string | undefined =>
  process.platform === 'linux' ? undefined : 'only Linux has a file that gives EIO';

/** A process's memory, of which nothing is at its begin. Only for what is opened through a symlink. */
export const makeUnreadable = (path: string): void => symlinkSync('/proc/self/mem', path);
