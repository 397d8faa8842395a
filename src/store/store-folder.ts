/**
 * Store folder: the layout of a store on its disk.
 */
import type { Epoch } from '../core/holdings-log.js';
import { hexOf } from '../core/ids.js';
import { diskOf } from '../platform/disk.js';
import { lstat, readdir, realpath, rm } from '../platform/disk-calls.js';
import { fsyncFolder, NEW_MARK } from '../platform/durable.js';
import { FanFolder } from './fan-folder.js';
import { makeOwnFolder, systemCode } from './own-folder.js';

export class StoreFolder {
  /** Absolute, with no symlink in it. */
  readonly path: string;
  readonly blobs: FanFolder;

  constructor(path: string) {
    this.path = path;
    this.blobs = new FanFolder(`${path}/.blobs`);
  }

  get catalog(): string {
    return `${this.path}/.catalog`;
  }
  get objects(): string {
    return `${this.path}/.catalog/objects`;
  }
  get heads(): string {
    return `${this.path}/.catalog/heads`;
  }
  get config(): string {
    return `${this.path}/.catalog/config`;
  }
  get log(): string {
    return `${this.path}/.catalog/log`;
  }
  get incoming(): string {
    return `${this.path}/.incoming`;
  }
  get trash(): string {
    return `${this.path}/.trash`;
  }

  /** Makes what is missing and checks what is there. object-folder.ts makes `.catalog/objects`. */
  async make(): Promise<void> {
    await makeOwnFolder(this.catalog);
    for (const folder of [this.heads, this.config, this.incoming, this.trash]) await makeOwnFolder(folder);
    for (const folder of [this.path, this.heads, this.config]) await removeHalfWritten(folder, '');
    await this.blobs.make();
    await fsyncFolder(this.catalog);
    await fsyncFolder(this.path);
  }
}

/** The folder that an operator named, with all symlinks resolved once and for all; `undefined` when absent. */
export async function resolveStorePath(path: string): Promise<string | undefined> {
  try {
    const real = await realpath(path);
    diskOf(path)?.alsoAt(real);
    return (await lstat(real)).isDirectory() ? real : undefined;
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}

const EPOCH_RANDOM_BYTES = 8;

/** @param counter as decided in core/mounting.ts */
export const newEpoch = (counter: number, random: () => Uint8Array): Epoch => ({
  counter,
  random: hexOf(random().subarray(0, EPOCH_RANDOM_BYTES)),
});

/** Removes what a crash left beside files with names that begin like this while they were being replaced. */
export async function removeHalfWritten(folder: string, nameStart: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (name.startsWith(nameStart) && HALF_WRITTEN.test(name)) await rm(`${folder}/${name}`, { force: true });
  }
}

/** As named by platform/durable.ts and tree-lists.ts. */
const HALF_WRITTEN = new RegExp(`\\${NEW_MARK}[0-9a-f]{12}$`);
