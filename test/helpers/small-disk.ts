/**
 * Small disk: a small file system that a test can fill; and one on a disk that fails to store what is written to it.
 * Both need Linux and root.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { atProcessEnd } from './at-process-end.js';

/** Why there can be none on this system; `undefined` where there can. */
export function whyNoSmallDisk(): string | undefined {
  if (process.platform !== 'linux') return 'only Linux has tmpfs';
  return process.getuid?.() === 0 ? undefined : 'only root may mount';
}

/** Mounts one on an existing folder, until the test is over or calls what this returns. */
export const mountSmallDisk = (t: { teardown(end: () => void): void }, path: string, bytes: number): (() => void) =>
  mount(t, path, ['-t', 'tmpfs', '-o', `size=${bytes},mode=700`, 'small']);

/** Lets a folder show another one of the same file system, or its own content, for as long. */
export const mountFolder = (t: { teardown(end: () => void): void }, path: string, shown: string): (() => void) =>
  mount(t, path, ['--bind', shown]);

function mount(t: { teardown(end: () => void): void }, path: string, words: readonly string[]): () => void {
  execFileSync('mount', [...words, path]);
  let isMounted = true;
  const unmount = (): void => {
    // Lazily: files that are open on it go with the process that uses them.
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

/** Writes to a file on it until it is full. */
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

/** Why there can be no failing disk on this system; `undefined` where there can. */
export function whyNoFailingDisk(): string | undefined {
  const why = whyNoSmallDisk();
  if (why !== undefined) return why;
  const isThere = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;
  if (!existsSync('/dev/loop-control')) return 'there are no loop devices';
  return ['losetup', 'mkfs.ext4'].every(isThere) ? undefined : 'losetup or mkfs.ext4 is missing';
}

/** ext4 on a sparse file, whose own disk can be filled: then the kernel accepts writes that never reach the disk. */
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
    // Without a journal, which ext4 would abort at the first failure.
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

  /** Makes the kernel drop its cache of the disk: everything read from now on comes from the disk. */
  remount(): void {
    execFileSync('umount', [this.path]);
    this.#mount();
  }

  #mount(): void {
    execFileSync('mount', [this.#device, this.path]);
  }
}
