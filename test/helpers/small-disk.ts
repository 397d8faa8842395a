/**
 * Small disk: a file system of few bytes of its own, that a test can fill; and one on a disk that does not take what it is given.
 * They need Linux and root.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { atProcessEnd } from './at-process-end.js';

/** Why there can be none here; `undefined` where there can. */
export function whyNoSmallDisk(): string | undefined {
  if (process.platform !== 'linux') return 'only Linux has tmpfs';
  return process.getuid?.() === 0 ? undefined : 'only root may mount';
}

/** Mounts one on an existing folder, until the test is over or calls what this returns. */
export function mountSmallDisk(t: ExecutionContext, path: string, bytes: number): () => void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=700`, 'small', path]);
  let isMounted = true;
  const unmount = (): void => {
    // Lazily: what is open there goes with its user.
    if (isMounted) execFileSync('umount', ['--lazy', path]);
    isMounted = false;
  };
  const forget = atProcessEnd(unmount);
  t.teardown(() => {
    forget();
    unmount();
  });
  return unmount;
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

/** Why there can be no failing disk here; `undefined` where there can. */
export function whyNoFailingDisk(): string | undefined {
  const why = whyNoSmallDisk();
  if (why !== undefined) return why;
  const isThere = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;
  if (!existsSync('/dev/loop-control')) return 'there are no loop devices';
  return ['losetup', 'mkfs.ext4'].every(isThere) ? undefined : 'losetup or mkfs.ext4 is missing';
}

/** ext4 on a file with holes, whose own disk can be filled: then what is written here is taken by the kernel and not by the disk. */
export class FailingDisk {
  /** Where it is mounted. */
  readonly path: string;
  readonly #filler: string;
  readonly #device: string;

  constructor(t: ExecutionContext, folder: string) {
    this.path = join(folder, 'disk');
    const below = join(folder, 'below');
    const image = join(below, 'image');
    this.#filler = join(below, 'filler');
    for (const path of [this.path, below]) mkdirSync(path);
    mountSmallDisk(t, below, 16 * 1024 * 1024);
    writeFileSync(image, '');
    truncateSync(image, 64 * 1024 * 1024);
    // Without a journal, which would be given up at the first failure.
    execFileSync('mkfs.ext4', ['-q', '-O', '^has_journal', image], { stdio: 'ignore' });
    const device = execFileSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).trim();
    this.#device = device;
    this.#mount();
    const end = (): void => {
      spawnSync('umount', ['--lazy', this.path]);
      execFileSync('losetup', ['--detach', device]);
    };
    const forget = atProcessEnd(end);
    t.teardown(() => {
      forget();
      end();
    });
  }

  fail(): void {
    fillDisk(this.#filler);
  }

  mend(): void {
    rmSync(this.#filler);
  }

  /** The kernel forgets what it has of it: what is read from now on, the disk has. */
  remount(): void {
    execFileSync('umount', [this.path]);
    this.#mount();
  }

  #mount(): void {
    execFileSync('mount', [this.#device, this.path]);
  }
}
