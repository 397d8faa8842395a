/**
 * Home: the folders that are copied, as they are at each moment of a round. The trees are made once; they wait beside the
 * home and are moved in when their turn comes, so that all that a tool sees is a folder that has just got its content.
 */
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BELOW, type Folder } from './side.js';
import { GIB, homeSizes, KIB, makeChanged, makeTree } from './trees.js';

/** What is in the issue, of which `--size` takes a part. */
const MIXED = { files: 20_000, bytes: 2 * GIB };
const SMALL = { files: 50_000, bytes: 4 * KIB };
const LARGE_BYTES = 4 * GIB;
/** For the work that is interrupted. */
const FILM_BYTES = GIB;
/** Photos: files of some 5 MiB. */
const ALBUM = { files: 200, bytes: GIB };

/** `both` has no tree of its own: it is the folder above two others. */
export const TREES = ['mixed', 'small', 'large', 'film', 'album'] as const;
export type Tree = (typeof TREES)[number];

interface Extent {
  readonly files: number;
  readonly bytes: number;
}

export class Home {
  readonly extents: Readonly<Record<Tree, Extent>>;
  readonly #root: string;
  readonly #sizes: Readonly<Record<Tree, readonly number[]>>;

  constructor(root: string, part: number) {
    this.#root = root;
    const count = (files: number): number => Math.max(2, Math.round(files * part));
    const bytes = (all: number): number => Math.round(all * part);
    this.#sizes = {
      mixed: homeSizes({ files: count(MIXED.files), bytes: bytes(MIXED.bytes) }),
      small: Array.from({ length: count(SMALL.files) }, () => SMALL.bytes),
      large: [bytes(LARGE_BYTES)],
      film: [bytes(FILM_BYTES)],
      album: Array.from({ length: count(ALBUM.files) }, () => Math.round(ALBUM.bytes / ALBUM.files)),
    };
    const { mixed, small, large, film, album } = this.#sizes;
    this.extents = {
      mixed: extentOf(mixed),
      small: extentOf(small),
      large: extentOf(large),
      film: extentOf(film),
      album: extentOf(album),
    };
  }

  pathOf(folder: Folder): string {
    return join(this.#root, 'home', BELOW[folder]);
  }

  /** Every folder has one file from the beginning: an empty one would count as missing. */
  async make(trees: Iterable<Tree>): Promise<void> {
    for (const folder of TREES) {
      mkdirSync(this.pathOf(folder), { recursive: true });
      writeFileSync(join(this.pathOf(folder), 'about'), `${folder}\n`);
    }
    for (const tree of trees) await makeTree(this.#aside(tree), this.#sizes[tree]);
  }

  moveIn(tree: Tree): void {
    renameSync(this.#aside(tree), this.#place(tree));
  }

  /** As it was before the round. */
  moveAllOut(): void {
    for (const tree of TREES) {
      if (existsSync(this.#place(tree))) renameSync(this.#place(tree), this.#aside(tree));
    }
    if (existsSync(this.#renamed)) renameSync(this.#renamed, this.#aside('album'));
    if (existsSync(this.#before)) {
      // The changed one is kept for the next round.
      renameSync(this.#largeFile('aside'), this.#changed);
      renameSync(this.#before, this.#largeFile('aside'));
    }
  }

  /** 1 % of the large file, in 40 places. The first time it is made, which is not in anybody's time. */
  async changeLarge(): Promise<void> {
    const file = this.#largeFile('placed');
    if (!existsSync(this.#changed)) await makeChanged(file, this.#changed);
    renameSync(file, this.#before);
    renameSync(this.#changed, file);
  }

  renameAlbum(): void {
    renameSync(this.#place('album'), this.#renamed);
  }

  remove(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }

  get #renamed(): string {
    return join(this.pathOf('album'), 'renamed');
  }

  get #before(): string {
    return join(this.#root, 'large-before');
  }

  get #changed(): string {
    return join(this.#root, 'large-changed');
  }

  #largeFile(where: 'aside' | 'placed'): string {
    return join(where === 'aside' ? this.#aside('large') : this.#place('large'), 'part-0/folder-0/file-0');
  }

  #aside(tree: Tree): string {
    return join(this.#root, 'aside', tree);
  }

  #place(tree: Tree): string {
    return join(this.pathOf(tree), 'files');
  }
}

const extentOf = (sizes: readonly number[]): Extent => ({
  files: sizes.length,
  bytes: sizes.reduce((sum, size) => sum + size, 0),
});
