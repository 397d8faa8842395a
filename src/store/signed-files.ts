/**
 * Signed files: the newest head of each source, and the configuration versions, as a store keeps them under `.catalog`. They are
 * for a restore from this disk alone, and whoever reads them checks their signatures.
 *
 *   .catalog/heads/<host id>.<source>   .catalog/config/<version>
 *
 * A file is replaced as a whole, and durable before its writer is told. Driven by store.ts; read by bare-store.ts, too.
 */

import { assert } from '../core/fault.js';
import { MalformedId, parseSourceId, type SourceId } from '../core/ids.js';
import { lstat, readdir, rm } from '../platform/disk-calls.js';
import { fsyncFolder, writeDurable } from '../platform/durable.js';
import { FILE_MODE, isBadSector, readOwnFile, storeFull, systemCode } from './own-folder.js';
import type { StoreFolder } from './store-folder.js';
import { Turns } from './turns.js';

/** A signed head has some hundred bytes a snapshot; a configuration grows with members: both stay far below. */
const SIGNED_BYTES_MAX = 16 * 1024 * 1024;

/** Reading alone: for a store that is not mounted, too. */
export class SignedFileReader {
  protected readonly folder: StoreFolder;

  constructor(folder: StoreFolder) {
    this.folder = folder;
  }

  /** The sources whose heads are kept here. */
  async heads(): Promise<SourceId[]> {
    const sources: SourceId[] = [];
    for (const name of await readdir(this.folder.heads)) {
      try {
        sources.push(parseSourceId(name.replace('.', '/')));
      } catch (error) {
        // What a crash left beside a head while it was written.
        if (!(error instanceof MalformedId)) throw error;
      }
    }
    return sources.sort();
  }

  head(source: SourceId): Promise<Buffer | undefined> {
    return readOwnFile(this.headPath(source), SIGNED_BYTES_MAX);
  }

  /** The configuration versions kept here, in order. */
  async configVersions(): Promise<number[]> {
    const names = await readdir(this.folder.config);
    return names
      .filter(name => /^[1-9]\d*$/.test(name))
      .map(Number)
      .sort((a, b) => a - b);
  }

  config(version: number): Promise<Buffer | undefined> {
    return readOwnFile(this.configPath(version), SIGNED_BYTES_MAX);
  }

  /** A source's name has no dot. */
  protected headPath(source: SourceId): string {
    return `${this.folder.heads}/${source.replace('/', '.')}`;
  }

  protected configPath(version: number): string {
    return `${this.folder.config}/${version}`;
  }
}

export class SignedFiles extends SignedFileReader {
  #usedBytes = 0;
  /** By path: of two at once each must see what the other has left there. */
  readonly #turns = new Turns<string>();

  static async open(folder: StoreFolder): Promise<SignedFiles> {
    const files = new SignedFiles(folder);
    files.#usedBytes = (await sizesIn(folder.heads)) + (await sizesIn(folder.config));
    return files;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** One with a bad sector is damaged as one with wrong bytes is: no bytes are given of it. */
  override async head(source: SourceId): Promise<Buffer | undefined> {
    try {
      return await super.head(source);
    } catch (error) {
      if (isBadSector(error)) return Buffer.alloc(0);
      throw error;
    }
  }

  async putHead(source: SourceId, signedHead: Uint8Array): Promise<void> {
    await this.#put(this.headPath(source), signedHead);
  }

  async putConfig(version: number, raw: Uint8Array): Promise<void> {
    assert(Number.isSafeInteger(version) && version > 0, 'configuration versions count from 1');
    await this.#put(this.configPath(version), raw);
  }

  #put(path: string, bytes: Uint8Array): Promise<void> {
    return this.#turns.take(path, async () => {
      const before = await sizeOf(path);
      try {
        await writeDurable(path, bytes, { mode: FILE_MODE });
      } catch (error) {
        throw storeFull(error, path);
      }
      this.#usedBytes += bytes.length - before;
    });
  }

  removeHead(source: SourceId): Promise<void> {
    const path = this.headPath(source);
    return this.#turns.take(path, async () => {
      const before = await sizeOf(path);
      await rm(path, { force: true });
      await fsyncFolder(this.folder.heads);
      this.#usedBytes -= before;
    });
  }
}

/** Of the file that is to be replaced; 0 when there is none. It may be one that cannot be read any more. */
async function sizeOf(path: string): Promise<number> {
  try {
    return (await lstat(path)).size;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 0;
    throw error;
  }
}

async function sizesIn(path: string): Promise<number> {
  let sum = 0;
  for (const name of await readdir(path)) sum += (await lstat(`${path}/${name}`)).size;
  return sum;
}
