/** Bad sector: a file that exists but cannot be read, as on a failing disk. */
import { symlinkSync } from 'node:fs';

/** Why there can be no such file on this system; `undefined` where there can. */
export const whyNoBadSector = (): string | undefined =>
  process.platform === 'linux' ? undefined : 'only Linux has a file that gives EIO';

/** A process's memory, whose beginning is not mapped. Only for what is opened through a symlink. */
export const makeUnreadable = (path: string): void => symlinkSync('/proc/self/mem', path);
