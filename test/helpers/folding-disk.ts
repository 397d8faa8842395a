/**
 * Folding disk: a real file system that takes names which differ by case for one: vfat, or a folder of ext4 that is told to. They need
 * Linux, root, and a kernel that has them, which those of containers and small machines often have not.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { atProcessEnd } from './at-process-end.js';
import { whyNoSmallDisk } from './small-disk.js';

const DISK_BYTES = 64 * 1024 * 1024;

/** Where it lies, or why there is none here. */
export type MadeDisk = { readonly path: string } | { readonly why: string };

/** Has no hard links either. @param path an existing folder */
export function mountVfat(t: ExecutionContext, path: string, image: string): MadeDisk {
  if (!canRun('mkfs.vfat')) return { why: 'dosfstools is not installed' };
  // Nobody else's, as a store wants it: there are no modes.
  const isMounted = mountImage(t, { path, image, make: ['mkfs.vfat'], options: 'loop,umask=077' });
  return isMounted ? { path } : { why: whyNoMount() ?? 'this kernel has no vfat' };
}

export function mountCasefold(t: ExecutionContext, path: string, image: string): MadeDisk {
  if (!['mkfs.ext4', 'chattr'].every(canRun)) return { why: 'e2fsprogs is not installed' };
  const make = ['mkfs.ext4', '-q', '-O', 'casefold'];
  if (!mountImage(t, { path, image, make, options: 'loop' }))
    return { why: whyNoMount() ?? 'this kernel folds no names on ext4' };
  const folder = join(path, 'folding');
  mkdirSync(folder, { mode: 0o700 });
  execFileSync('chattr', ['+F', folder]);
  return { path: folder };
}

const canRun = (program: string): boolean => spawnSync(program, [], { stdio: 'ignore' }).error === undefined;

function whyNoMount(): string | undefined {
  return whyNoSmallDisk() ?? (existsSync('/dev/loop-control') ? undefined : 'no small file system can be made');
}

/** Until the test is over. @returns whether it is mounted */
function mountImage(
  t: ExecutionContext,
  {
    path,
    image,
    make: [program = '', ...words],
    options,
  }: { readonly path: string; readonly image: string; readonly make: readonly string[]; readonly options: string },
): boolean {
  if (whyNoMount() !== undefined) return false;
  writeFileSync(image, '');
  truncateSync(image, DISK_BYTES);
  execFileSync(program, [...words, image], { stdio: 'ignore' });
  if (spawnSync('mount', ['-o', options, image, path], { stdio: 'ignore' }).status !== 0) return false;
  const end = (): void => void spawnSync('umount', ['--lazy', path]);
  const forget = atProcessEnd(end);
  t.teardown(() => {
    forget();
    end();
  });
  return true;
}
