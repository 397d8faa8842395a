/**
 * Saved snapshots: for each snapshot that the soak took, the folder as it was then, copied by `cp`. With it, what the
 * cluster has said of the snapshot.
 *
 * A snapshot is *promised* once its origin has said that it is protected. From then on no loss of one host excuses
 * that a part of it is missing. What was not protected when a disk was harmed may have had its only copy there.
 */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { contentsOf } from '../helpers/count-copies.js';
import { type House, SOURCES, type Source } from './house.js';

/** Far above what it takes on two busy cores. */
const LIST_MS_MAX = 60_000;

/** All that the faults and the looks of a run work on. */
export interface Stage {
  readonly house: House;
  readonly saved: SavedSnapshots;
}

export interface Saved {
  readonly id: string;
  readonly source: Source;
  /** The folder as it was. */
  readonly folder: string;
  /** Of its files: hash → size. */
  readonly contents: ReadonlyMap<string, number>;
  promised: boolean;
}

interface Listed {
  readonly id: string;
  readonly isProtected: boolean;
}

export class SavedSnapshots {
  readonly #house: House;
  readonly #saved = new Map<string, Saved>();

  constructor(house: House) {
    this.#house = house;
  }

  get count(): number {
    return this.#saved.size;
  }

  /** Takes a snapshot of a folder that is still. @returns why there is none */
  async take(source: Source): Promise<string | undefined> {
    const { code, out, err } = await this.#house.hostOn(SOURCES[source]).run('--json', 'backup', source);
    if (code !== 0) return `backup ${source} ended with ${code}: ${err.trim()}`;
    const { id } = JSON.parse(out.split('\n', 1)[0] ?? '') as { readonly id: string };
    if (this.#saved.has(id)) return undefined;
    const folder = this.#house.cluster.path(`saved-${source}-${id.slice(0, 16)}`);
    execFileSync('cp', ['-a', this.#house.folderOf(source), folder]);
    this.#saved.set(id, { id, source, folder, contents: await contentsOf(folder), promised: false });
    return undefined;
  }

  /** Those of a source that are listed, oldest first; what is not listed any longer is forgotten here, too. */
  async listed(source: Source): Promise<readonly (Saved & Listed)[]> {
    const listed = await this.#listOf(source);
    for (const saved of this.#saved.values()) {
      if (saved.source !== source || listed.some(({ id }) => id === saved.id)) continue;
      rmSync(saved.folder, { recursive: true, force: true });
      this.#saved.delete(saved.id);
    }
    return listed.flatMap(one => {
      const saved = this.#saved.get(one.id);
      return saved === undefined ? [] : [{ ...saved, isProtected: one.isProtected }];
    });
  }

  /** Before a disk is harmed, and at rest: what is protected now is promised. */
  async notePromises(): Promise<void> {
    for (const source of this.#house.askable) {
      for (const { id, isProtected } of await this.#listOf(source)) {
        const saved = this.#saved.get(id);
        if (saved !== undefined && isProtected) saved.promised = true;
      }
    }
  }

  async #listOf(source: Source): Promise<Listed[]> {
    const service = this.#house.hostOn(SOURCES[source]).service();
    const reports = await service.snapshots({ source }, AbortSignal.timeout(LIST_MS_MAX));
    return reports.map(({ id, protected: isProtected }) => ({ id, isProtected }));
  }
}
