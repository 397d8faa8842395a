/**
 * Hanging disk: disks that do not answer, and then do. They need Linux and root.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { atProcessEnd } from './at-process-end.js';
import { whyNoFailingDisk } from './small-disk.js';

/** Why there can be no frozen disk on this system; `undefined` where there can. */
export function whyNoFrozenDisk(): string | undefined {
  const why = whyNoFailingDisk();
  if (why !== undefined) return why;
  return spawnSync('fsfreeze', ['--version']).error === undefined ? undefined : 'fsfreeze is missing';
}

/** Why no folder can be away on this system; `undefined` where one can. */
export function whyNoFolderAway(): string | undefined {
  if (process.platform !== 'linux') return 'only Linux has FUSE as it is used here';
  if (process.getuid?.() !== 0) return 'only root may mount';
  return existsSync('/dev/fuse') ? undefined : 'there is no FUSE';
}

/** An ext4 file system on a file. While it is frozen every write waits, and is done when it thaws. */
export class FrozenDisk {
  /** Where it is mounted. */
  readonly path: string;

  constructor(t: ExecutionContext, folder: string) {
    this.path = join(folder, 'frozen');
    const image = join(folder, 'frozen.image');
    mkdirSync(this.path);
    writeFileSync(image, '');
    truncateSync(image, 64 * 1024 * 1024);
    execFileSync('mkfs.ext4', ['-q', image], { stdio: 'ignore' });
    const device = execFileSync('losetup', ['--find', '--show', image], { encoding: 'utf8' }).trim();
    execFileSync('mount', [device, this.path]);
    undoneInTheEnd(t, () => {
      this.thaw();
      spawnSync('umount', ['--lazy', this.path]);
      execFileSync('losetup', ['--detach', device]);
    });
  }

  freeze(): void {
    execFileSync('fsfreeze', ['--freeze', this.path]);
  }

  /** Harmless when it is not frozen. */
  thaw(): void {
    spawnSync('fsfreeze', ['--unfreeze', this.path]);
  }
}

/** A folder whose server is away: every access below it by name waits, and fails in the end. */
export class FolderAway {
  readonly #path: string;
  #fuse: number | undefined;

  constructor(t: ExecutionContext, path: string) {
    this.#path = path;
    undoneInTheEnd(t, () => this.comeBack());
  }

  goAway(): void {
    // Nobody reads the kernel's requests from it.
    this.#fuse = openSync('/dev/fuse', 'r+');
    const options = 'fd=3,rootmode=40000,user_id=0,group_id=0';
    const stdio = ['ignore', 'ignore', 'inherit', this.#fuse] as const;
    execFileSync('mount', ['-i', '-t', 'fuse', '-o', options, 'away', this.#path], { stdio: [...stdio] });
  }

  /** Makes the folder's former content visible again. Harmless when it already is. */
  comeBack(): void {
    if (this.#fuse === undefined) return;
    closeSync(this.#fuse);
    this.#fuse = undefined;
    execFileSync('umount', ['--lazy', this.#path]);
  }
}

function undoneInTheEnd(t: ExecutionContext, undo: () => void): void {
  const forget = atProcessEnd(undo);
  t.teardown(() => {
    forget();
    undo();
  });
}
