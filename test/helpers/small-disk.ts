/** Small disk: a file system of few bytes of its own, that a test can fill. It needs Linux and root. */
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { atProcessEnd } from './at-process-end.js';

/** Why there can be none here; `undefined` where there can. */
export function whyNoSmallDisk(): string | undefined {
  if (process.platform !== 'linux') return 'only Linux has tmpfs';
  return process.getuid?.() === 0 ? undefined : 'only root may mount';
}

/** Mounts one on an existing folder, until the test is over. */
export function mountSmallDisk(t: ExecutionContext, path: string, bytes: number): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=700`, 'small', path]);
  // Lazily: what is open there goes with its user.
  const unmount = (): unknown => execFileSync('umount', ['--lazy', path]);
  const forget = atProcessEnd(unmount);
  t.teardown(() => {
    forget();
    unmount();
  });
}

/** Writes to a file there until nothing more goes. */
export function fillDisk(path: string): void {
  const file = openSync(path, 'w');
  const piece = Buffer.alloc(4096, 1);
  try {
    for (;;) writeSync(file, piece);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(file);
  }
}
