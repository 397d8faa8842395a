/**
 * Signed files: the newest head of each source and the configuration versions, kept under `.catalog` for a restore from
 * this disk alone. Their readers check the signatures.
 *
 *   .catalog/heads/<host id>.<source>   .catalog/config/<version>
 *
 * A file is replaced as a whole, and is durable before its writer is told. Driven by store.ts; also read by
 * bare-store.ts.
 */

import { assert } from '../core/fault.js';
import { MalformedId, parseSourceId, type SourceId } from '../core/ids.js';
import { lstat, readdir, rm } from '../platform/disk-calls.js';
import { fsyncFolder, writeDurable } from '../platform/durable.js';
import { FILE_MODE, isBadSector, readOwnFile, storeFull, systemCode } from './own-folder.js';
import type { StoreFolder } from './store-folder.js';
import { Turns } from './turns.js';

/**
 * A signed head has some hundred bytes a snapshot, and a configuration grows with its members: both stay far below
 * this.
 */
const SIGNED_BYTES_MAX = 16 * 1024 * 1024;

/** Only reads, and so also works for a store that is not mounted. */
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
        // Left beside a head by a crash while it was being written.
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
  /** By path: each of two concurrent writers must see what the other has written. */
  readonly #turns = new Turns<string>();

  static async open(folder: StoreFolder): Promise<SignedFiles> {
    const files = new SignedFiles(folder);
    files.#usedBytes = (await sizesIn(folder.heads)) + (await sizesIn(folder.config));
    return files;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** A head with a bad sector counts as damaged, like one with wrong bytes: no bytes of it are returned. */
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

/** The size of the file to be replaced; 0 when there is none. The file may be unreadable. */
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
