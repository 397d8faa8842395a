/**
 * Tree view: STORE/<origin>/<source>, the user's own tree of a snapshot, as hard links to the blobs that are held here;
 * and STORE/<origin>/<source>@<time>, the same for a snapshot that a person asked for (tree-name.ts).
 *
 * It is only a view: nothing in it is ever the only name of a byte, so it may be wrong or half done, and the next
 * update mends it. The snapshot's entries come in path order (`/` lowest) and are merged, folder by folder, with what
 * is there. Names that the snapshot no longer has are unlinked if they are the store's: a link to a blob, or something
 * empty. Files that somebody else put there (with no other name) are left alone.
 *
 * Paths come from peers. A path that could lead out of the tree, or that this file system cannot name, is written down
 * in `<source>.unplaced`, and its blob stays in `.blobs` alone. Every component is checked to be a folder of this user
 * before it is followed.
 *
 * In memory: the names in the folders on the way to the present entry. Driven by trees.ts.
 */
import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { constants } from 'node:fs';
import { ClusterError } from '../core/fault.js';
import { EMPTY_BLOB } from '../core/hash.js';
import type { ObjectId } from '../core/ids.js';
import { link, lstat, mkdir, open, readdir, rename, rmdir, unlink } from '../platform/disk-calls.js';
import { writeDurable } from '../platform/durable.js';
import { SLASH } from '../platform/slash.js';
import { FILE_MODE, FOLDER_MODE, isFolderOfOurs, makeOwnFolder, storeFull, systemCode } from './own-folder.js';
import { removeHalfWritten } from './store-folder.js';
import { b3Line, TreeLists, unplacedLine } from './tree-lists.js';
import { SNAPSHOT_ENDING, type TreeName, treeNameOf } from './tree-name.js';
import type { Turns } from './turns.js';

/** One path of the snapshot. Other kinds of entries have no place in a store. */
export type TreeEntry =
  | { readonly kind: 'directory'; readonly path: Buffer }
  | { readonly kind: 'file'; readonly path: Buffer; readonly blob: string; readonly bytes: number };

export interface TreeView extends TreeName {
  readonly snapshot: ObjectId;
  /** In path order, `/` lowest. */
  readonly files: AsyncIterable<TreeEntry>;
  readonly signal?: AbortSignal;
}

export interface TreeReport {
  /** Files that stand in the tree now. */
  readonly placed: number;
  /** Files held here that have no place in the tree; named in `<source>.unplaced`. */
  readonly unplaced: number;
  /** Files whose blobs are not held here. */
  readonly absent: number;
  /** Things that somebody else put there, left where they are. */
  readonly left: number;
  /** This file system has no hard links, so no file that has bytes could be placed. */
  readonly noHardLinks?: true;
}

type Unplaced =
  /** The path would lead out of the tree: absolute, `..`, `.`, an empty component, NUL. */
  | 'unsafe-path'
  /** The path does not come after its predecessor: no program that follows the format writes that. */
  | 'out-of-order'
  | 'path-too-long'
  /** The file system takes the name for one that already exists: case, Unicode form. */
  | 'name-taken'
  /** The file system does not allow this name. */
  | 'name-refused'
  /** Somebody else's file stands there, or the path lies below something that is no folder. */
  | 'in-the-way'
  /** The file system allows only so many names of one file. */
  | 'too-many-links'
  /** This file system has no hard links. */
  | 'no-hard-links';

export interface TreePlace {
  readonly storePath: string;
  /** On the same file system: a folder where a link waits before it replaces another. */
  readonly linksPath: string;
  /** `undefined` when the blob is not held here. */
  readonly blobPathOf: (blob: string) => string | undefined;
  /**
   * Turns by inode number: before a name is removed it is checked that the file has another name, and meanwhile nobody
   * else removes one.
   */
  readonly inodes: Turns<number>;
}

/** The longest path that Linux takes, and the longest name that any supported file system takes. */
const PATH_BYTES_MAX = 4096;
const NAME_BYTES_MAX = 255;
/** Files linked at once; libuv has 4 threads. */
const LINKING_MAX = 32;

/** Errors by which a file system refuses a name; any other error fails the whole update. */
const REFUSALS: ReadonlyMap<string, Unplaced> = new Map([
  ['EEXIST', 'name-taken'],
  ['ENAMETOOLONG', 'path-too-long'],
  ['EILSEQ', 'name-refused'],
  ['EINVAL', 'name-refused'],
  ['EMLINK', 'too-many-links'],
  ['EPERM', 'no-hard-links'],
  ['ENOTSUP', 'no-hard-links'],
  ['EOPNOTSUPP', 'no-hard-links'],
  ['EXDEV', 'no-hard-links'],
]);

/** @throws ClusterError BAD_NAME, STORE_FULL; NO_HARD_LINKS for a dated tree, which is useless without them */
export async function updateTree(view: TreeView, place: TreePlace): Promise<TreeReport> {
  const { originName, snapshot, signal, datedMs } = view;
  const name = treeNameOf(view);
  const origin = `${place.storePath}/${originName}`;
  const tree = `${origin}/${name}`;
  const snapshotPath = `${tree}${SNAPSHOT_ENDING}`;
  const nameSnapshot = () => writeDurable(snapshotPath, `${snapshot}\n`, { mode: FILE_MODE });
  await makeOwnFolder(origin);
  await removeHalfWritten(origin, `${name}.`);
  // A dated tree, like any new one, is of this snapshot from its first file on; an existing tree of the newest snapshot
  // still counts as of the one before.
  const isNew = (await statIfThere(snapshotPath)) === undefined;
  if (isNew || datedMs !== undefined) await nameSnapshot();
  await makeOwnFolder(tree);
  const lists = await TreeLists.create(tree);
  const walk = new TreeWalk(Buffer.from(tree), place, {
    lists,
    prefix: Buffer.from(`${name}/`),
    needsLinks: datedMs !== undefined,
  });
  try {
    await walk.begin();
    for await (const entry of view.files) {
      signal?.throwIfAborted();
      await walk.take(entry);
    }
    await walk.end();
    await lists.finish();
    if (!isNew && datedMs === undefined) await nameSnapshot();
    return walk.report;
  } catch (error) {
    await walk.settled();
    await lists.discard();
    throw storeFull(error, origin);
  }
}

interface Level {
  /** Its components below the tree's root. */
  readonly names: readonly Buffer[];
  readonly path: Buffer;
  /** Why nothing can be placed below this folder. */
  readonly blocked?: Unplaced;
  /** The names that are there, in order; those before `at` are dealt with. */
  readonly there: Buffer[];
  at: number;
  /** The names in `there` by `foldedName`; made for the first name that is not among them. */
  byFold?: ReadonlyMap<string, readonly Buffer[]>;
}

interface Listing {
  readonly lists: TreeLists;
  /** Put before each path in the sums. */
  readonly prefix: Buffer;
  /** Fail at once without hard links: nobody wants a list of all that such a tree lacks. */
  readonly needsLinks: boolean;
}

type Outcome =
  | { readonly is: 'placed' }
  | { readonly is: 'absent' }
  | { readonly is: 'unplaced'; readonly why: Unplaced };

class TreeWalk {
  readonly #place: TreePlace;
  readonly #lists: TreeLists;
  readonly #prefix: Buffer;
  readonly #needsLinks: boolean;
  readonly #root: Buffer;
  readonly #levels: Level[] = [];
  readonly #linking: { readonly entry: TreeEntry & { kind: 'file' }; readonly outcome: Promise<Outcome> }[] = [];
  #device = Number.NaN;
  #last: readonly Buffer[] = [];
  /** The last file that came: nothing can lie below it, whatever the snapshot says. */
  #lastFile: readonly Buffer[] | undefined;
  #placed = 0;
  #unplaced = 0;
  #absent = 0;
  #left = 0;
  #noHardLinks = false;
  /** A link was made. */
  #hasLinks = false;

  constructor(root: Buffer, place: TreePlace, { lists, prefix, needsLinks }: Listing) {
    this.#root = root;
    this.#place = place;
    this.#lists = lists;
    this.#prefix = prefix;
    this.#needsLinks = needsLinks;
  }

  get report(): TreeReport {
    const counts = { placed: this.#placed, unplaced: this.#unplaced, absent: this.#absent, left: this.#left };
    return { ...counts, ...(this.#noHardLinks && { noHardLinks: true }) };
  }

  async begin(): Promise<void> {
    this.#device = (await lstat(this.#root)).dev;
    this.#levels.push({ names: [], path: this.#root, there: await namesIn(this.#root), at: 0 });
  }

  async take(entry: TreeEntry): Promise<void> {
    // The source's own folder, which is this tree's root.
    if (entry.kind === 'directory' && entry.path.length === 0) return;
    const names = componentsOf(entry.path);
    if (typeof names === 'string') return this.#note(entry, names);
    if (compareNames(this.#last, names) >= 0) return this.#note(entry, 'out-of-order');
    this.#last = names;
    if (this.#lastFile !== undefined && startsWith(names, this.#lastFile)) return this.#note(entry, 'in-the-way');
    if (entry.kind === 'file') this.#lastFile = names;

    const parents = names.slice(0, -1);
    while (!startsWith(parents, this.#top.names)) await this.#leave();
    while (this.#top.names.length < parents.length) {
      const name = parents[this.#top.names.length];
      if (name !== undefined) await this.#enter(name);
    }
    const name = names.at(-1);
    if (name === undefined) return;
    if (entry.kind === 'directory') {
      await this.#enter(name);
      return;
    }
    const { blocked } = this.#top;
    if (blocked !== undefined) return this.#note(entry, blocked);
    const path = below(this.#top.path, name);
    const wasThere = await this.#passTo(name);
    const outcome = this.#placeFile(entry, path, wasThere);
    outcome.catch(() => {
      // Thrown in #settleOne, when its turn comes.
    });
    this.#linking.push({ entry, outcome });
    if (this.#linking.length >= LINKING_MAX) await this.#settleOne();
  }

  async end(): Promise<void> {
    while (this.#levels.length > 0) await this.#leave();
    while (this.#linking.length > 0) await this.#settleOne();
  }

  /** Resolves when nothing is being placed any longer. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#linking.map(({ outcome }) => outcome));
  }

  get #top(): Level {
    const top = this.#levels.at(-1);
    if (top === undefined) throw new Error('bug: a tree walk without a level');
    return top;
  }

  async #note(entry: TreeEntry, why: Unplaced): Promise<void> {
    if (entry.kind === 'directory') return; // its files are noted
    if (entry.blob !== EMPTY_BLOB && this.#place.blobPathOf(entry.blob) === undefined) {
      this.#absent += 1;
      return;
    }
    this.#unplaced += 1;
    await this.#lists.unplaced.add(unplacedLine(entry.blob, why, entry.path));
  }

  /** In the order of the snapshot, so that the lists are in that order too. */
  async #settleOne(): Promise<void> {
    const first = this.#linking.shift();
    if (first === undefined) return;
    const outcome = await first.outcome;
    switch (outcome.is) {
      case 'placed': {
        this.#placed += 1;
        const line = b3Line(first.entry.blob, Buffer.concat([this.#prefix, first.entry.path]));
        if (line !== undefined) await this.#lists.sums.add(line);
        return;
      }
      case 'absent':
        this.#absent += 1;
        return;
      case 'unplaced':
        if (this.#needsLinks && outcome.why === 'no-hard-links') throw noHardLinks(this.#place.storePath);
        this.#unplaced += 1;
        this.#noHardLinks ||= outcome.why === 'no-hard-links';
        await this.#lists.unplaced.add(unplacedLine(first.entry.blob, outcome.why, first.entry.path));
        return;
    }
  }

  /** Goes down into a folder of the tree, making it if need be. */
  async #enter(name: Buffer): Promise<void> {
    const top = this.#top;
    const names = [...top.names, name];
    const path = below(top.path, name);
    const blocked = top.blocked ?? (await this.#makeFolder(path, await this.#passTo(name)));
    const level = { names, path, at: 0 };
    this.#levels.push(
      blocked === undefined ? { ...level, there: await namesIn(path) } : { ...level, blocked, there: [] },
    );
  }

  /** Why the folder cannot be made; `undefined` when it is there. */
  async #makeFolder(path: Buffer, wasThere: boolean): Promise<Unplaced | undefined> {
    if (wasThere) {
      const found = await statIfThere(path);
      if (found?.isDirectory()) return isFolderOfOurs(found, this.#device) ? undefined : 'in-the-way';
      if (found !== undefined && !(await this.#remove(path, found))) return 'in-the-way';
    }
    return refusable(() => mkdir(path, { mode: FOLDER_MODE }));
  }

  async #leave(): Promise<void> {
    const level = this.#levels.pop();
    if (level === undefined) return;
    for (const name of level.there.slice(level.at)) await this.#prune(below(level.path, name));
  }

  /** Removes what stands before this name in the present folder; true when the name itself is there. */
  async #passTo(name: Buffer): Promise<boolean> {
    const top = this.#top;
    for (let there = top.there[top.at]; there !== undefined; there = top.there[top.at]) {
      const order = there.compare(name);
      if (order > 0) break;
      top.at += 1;
      if (order === 0) return true;
      await this.#prune(below(top.path, there));
    }
    await this.#pruneTwins(top, name);
    return false;
  }

  /**
   * Removes later names in the folder that its file system takes for this one: `photos` was there, and `Photos` is to
   * be. They are in the way of the new name; pruned in their turn, they would take its file with them.
   */
  async #pruneTwins(level: Level, name: Buffer): Promise<void> {
    if (level.at === level.there.length) return;
    level.byFold ??= namesByFold(level.there);
    for (const twin of level.byFold.get(foldedName(name)) ?? []) {
      const index = level.there.indexOf(twin, level.at);
      const [asThis, asTwin] = [below(level.path, name), below(level.path, twin)];
      const [found, twinFound] = [await statIfThere(asThis), await statIfThere(asTwin)];
      if (index < 0 || found === undefined || found.ino !== twinFound?.ino) continue;
      level.there.splice(index, 1);
      await this.#remove(asTwin, twinFound);
    }
  }

  async #prune(path: Buffer): Promise<void> {
    const found = await statIfThere(path);
    if (found !== undefined) await this.#remove(path, found);
  }

  /** True when nothing is left at the path. Never removes the only name of a byte. */
  async #remove(path: Buffer, found: Stats): Promise<boolean> {
    if (isFolderOfOurs(found, this.#device)) {
      for (const name of await namesIn(path)) await this.#prune(below(path, name));
      try {
        await rmdir(path);
        return true;
      } catch (error) {
        const code = systemCode(error);
        if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
        return false; // its content was counted when it was left in place
      }
    }
    const take = async (): Promise<true> => {
      await this.#lists.removeOld();
      await unlink(path);
      return true;
    };
    return this.#ifOurs(path, found, { take, otherwise: false });
  }

  /**
   * Two names of one file are checked one after the other: once the first is removed, the second may be the only one.
   * Files are placed side by side, and trees are updated side by side.
   */
  #ifOurs<T>(
    path: Buffer,
    found: Stats,
    { take, otherwise }: { readonly take: () => Promise<T>; readonly otherwise: T },
  ): Promise<T> {
    return this.#place.inodes.take(found.ino, async () => {
      const now = await statIfThere(path);
      if (now?.ino === found.ino && isOurs(now)) return take();
      this.#left += 1;
      return otherwise;
    });
  }

  async #placeFile(entry: TreeEntry & { kind: 'file' }, path: Buffer, wasThere: boolean): Promise<Outcome> {
    const there = wasThere ? await statIfThere(path) : undefined;
    const empty = entry.blob === EMPTY_BLOB;
    const blobPath = empty ? undefined : this.#place.blobPathOf(entry.blob);
    if (!empty && blobPath === undefined) {
      // The path holds another version of the file.
      if (there !== undefined) await this.#remove(path, there);
      return { is: 'absent' };
    }
    const make = (at: Buffer | string) => (blobPath === undefined ? makeEmpty(at) : linkIfThere(blobPath, at));
    const blob = blobPath === undefined ? undefined : await statIfThere(blobPath);
    if (!empty && blob === undefined) return { is: 'absent' }; // its file was lost; a scrub will say so
    const inTheWay = { is: 'unplaced', why: 'in-the-way' } as const;
    if (there !== undefined) {
      if (empty ? there.isFile() && there.size === 0 && there.nlink === 1 : isSameFile(there, blob)) {
        return { is: 'placed' };
      }
      if (isOurs(there))
        return this.#ifOurs(path, there, { take: () => this.#replace(path, make), otherwise: inTheWay });
      if (!(await this.#remove(path, there))) return inTheWay;
    }
    const refusal = blobPath === undefined ? undefined : await refusable(() => this.#tryLink(blobPath));
    if (refusal !== undefined) return { is: 'unplaced', why: refusal };
    await this.#lists.removeOld();
    return outcomeOf(() => make(path));
  }

  /** Outside the tree: where no link can be made nothing in the tree changes, and its lists stay. */
  async #tryLink(blobPath: string): Promise<void> {
    if (this.#hasLinks) return;
    const beside = this.#besideTree();
    if (!(await linkIfThere(blobPath, beside))) return;
    await unlink(beside);
    this.#hasLinks = true;
  }

  #besideTree(): string {
    return `${this.#place.linksPath}/tree.${randomBytes(6).toString('hex')}`;
  }

  async #replace(path: Buffer, make: (at: string) => Promise<boolean>): Promise<Outcome> {
    // So that the path exists at every moment, as the old file or the new one.
    const beside = this.#besideTree();
    const made = await outcomeOf(() => make(beside));
    if (made.is === 'unplaced') return made;
    await this.#lists.removeOld();
    if (made.is === 'placed') return outcomeOf(() => rename(beside, path).then(() => true));
    // The blob was dropped meanwhile. The path holds another version of the file.
    await unlink(path);
    return made;
  }
}

function noHardLinks(storePath: string): ClusterError {
  return new ClusterError(
    'NO_HARD_LINKS',
    `the file system of the store ${storePath} has no hard links: a tree would need a second copy of every byte there, so none was made; ` +
      "the blobs held here are untouched. 'cluster restore' writes the snapshot to another disk",
    { blame: 'operator' },
  );
}

/**
 * A link to a blob has another name; an empty file has nothing to lose. Anything else was put there by somebody else.
 */
function isOurs(found: Stats): boolean {
  return found.isFile() && (found.nlink > 1 || found.size === 0);
}

function isSameFile(there: Stats, blob: Stats | undefined): boolean {
  return there.isFile() && blob?.ino === there.ino && blob.dev === there.dev;
}

/** False when the blob is no longer there. */
async function linkIfThere(blobPath: string, at: Buffer | string): Promise<boolean> {
  try {
    await link(blobPath, at);
    return true;
  } catch (error) {
    // It is the blob that is missing: the folder of the new name has just been read.
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}

async function makeEmpty(path: Buffer | string): Promise<true> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const file = await open(path, flags, FILE_MODE);
  await file.close();
  return true;
}

/** @param make returns false when the blob is no longer there */
async function outcomeOf(make: () => Promise<boolean>): Promise<Outcome> {
  let made = true;
  const why = await refusable(async () => {
    made = await make();
  });
  if (why !== undefined) return { is: 'unplaced', why };
  return { is: made ? 'placed' : 'absent' };
}

async function refusable(work: () => Promise<void>): Promise<Unplaced | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    const why = REFUSALS.get(systemCode(error) ?? '');
    if (why === undefined) throw error;
    return why;
  }
}

async function statIfThere(path: Buffer | string): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function namesIn(path: Buffer): Promise<Buffer[]> {
  const names = await readdir(path, { encoding: 'buffer' });
  return names.sort(Buffer.compare);
}

/** Folds as file systems do that fold names at all: by case, and by the Unicode form of letters. */
const foldedName = (name: Buffer): string => name.toString().normalize('NFD').toUpperCase().toLowerCase();

function namesByFold(names: readonly Buffer[]): ReadonlyMap<string, readonly Buffer[]> {
  const byFold = new Map<string, Buffer[]>();
  for (const name of names) {
    const folded = foldedName(name);
    byFold.set(folded, [...(byFold.get(folded) ?? []), name]);
  }
  return byFold;
}

const below = (path: Buffer, name: Buffer): Buffer => Buffer.concat([path, Buffer.of(SLASH), name]);

/** The components of a path that stays below the tree; otherwise the reason why it does not. */
function componentsOf(path: Buffer): readonly Buffer[] | Unplaced {
  if (path.length === 0 || path.includes(0)) return 'unsafe-path';
  if (path.length > PATH_BYTES_MAX) return 'path-too-long';
  const names: Buffer[] = [];
  for (let from = 0; from <= path.length; ) {
    const slash = path.indexOf(SLASH, from);
    const to = slash < 0 ? path.length : slash;
    const name = path.subarray(from, to);
    if (name.length === 0 || name.equals(DOT) || name.equals(DOT_DOT)) return 'unsafe-path';
    if (name.length > NAME_BYTES_MAX) return 'path-too-long';
    names.push(name);
    from = to + 1;
  }
  return names;
}

const DOT = Buffer.from('.');
const DOT_DOT = Buffer.from('..');

/** Component by component: the order of paths in which `/` is the lowest byte. */
function compareNames(a: readonly Buffer[], b: readonly Buffer[]): number {
  for (const [n, name] of a.entries()) {
    const other = b[n];
    if (other === undefined) return 1;
    const order = name.compare(other);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function startsWith(names: readonly Buffer[], start: readonly Buffer[]): boolean {
  return start.length <= names.length && start.every((name, n) => names[n]?.equals(name));
}
