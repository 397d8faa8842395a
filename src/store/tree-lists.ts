/**
 * Tree lists: the two text files beside a source's tree. `<source>.b3` for `b3sum -c`, `<source>.unplaced` for people.
 *
 * Whatever happens, a list that is there tells what is in the tree: before an update makes its first change, it removes
 * the old lists. So a tree that has no `.b3` is one that nobody has looked over to its end. An update that changes
 * nothing leaves both files as they are.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { lstat, type OpenFile, open, rename, rm } from '../platform/disk-calls.js';
import { fsyncFolder, NEW_MARK } from '../platform/durable.js';
import { FILE_MODE, openOwnFile } from './own-folder.js';

/**
 * One line of a b3sum check file: hash, two spaces, path. In a path with a backslash or a newline these are written
 * `\\` and `\n`, and the line begins with a backslash (b3sum's own format).
 *
 * `undefined` for paths that `b3sum -c` cannot check: it refuses U+FFFD, which stands for bytes that are not UTF-8, and
 * some of its versions take a carriage return at the end for a part of the line end. Such files are in the tree all the
 * same.
 */
export function b3Line(blob: string, path: Buffer): string | undefined {
  const text = path.toString('utf8');
  if (text.includes('\ufffd') || text.endsWith('\r')) return undefined;
  const escaped = text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
  return `${escaped === text ? '' : '\\'}${blob}  ${escaped}\n`;
}

/** The path that a line of `b3Line` names. */
export function pathOfB3Line(line: string): string {
  const path = line.slice(line.indexOf('  ') + 2);
  if (!line.startsWith('\\')) return path;
  return path.replace(/\\([\\n])/g, (_, escaped: string) => (escaped === 'n' ? '\n' : '\\'));
}

/** Bytes as one line of text: everything but printable ASCII, and the backslash, as `\xHH`. */
export function unplacedLine(blob: string, why: string, path: Buffer): string {
  const text = path.toString('latin1').replace(/[^\x20-\x5b\x5d-\x7e]/g, byte => {
    return `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
  return `${blob}  ${why}  ${text}\n`;
}

/** Written at once: some thousand lines. */
const WRITE_CHARS = 64 * 1024;
const READ_BYTES = 64 * 1024;

/** The lists of a tree that is being updated. */
export class TreeLists {
  readonly sums: ListFile;
  readonly unplaced: ListFile;
  readonly #tree: string;
  #removal: Promise<void> | undefined;

  private constructor(tree: string, sums: ListFile, unplaced: ListFile) {
    this.#tree = tree;
    this.sums = sums;
    this.unplaced = unplaced;
  }

  static async create(tree: string): Promise<TreeLists> {
    return new TreeLists(tree, await ListFile.create(`${tree}.b3`), await ListFile.create(`${tree}.unplaced`));
  }

  /** To be awaited before a file's name in the tree is made or removed: the old lists are gone for good then. */
  removeOld(): Promise<void> {
    this.#removal ??= removeLists(this.#tree);
    return this.#removal;
  }

  async finish(): Promise<void> {
    await this.unplaced.finish({ keepEmpty: false });
    // Last, because it says that the update came to its end. An empty one says that nothing of the snapshot is here.
    await this.sums.finish({ keepEmpty: true });
  }

  async discard(): Promise<void> {
    await Promise.allSettled([this.sums.discard(), this.unplaced.discard()]);
  }
}

async function removeLists(tree: string): Promise<void> {
  for (const ending of ['.b3', '.unplaced']) await rm(`${tree}${ending}`, { force: true });
  await fsyncFolder(dirname(tree));
}

/** A text file that is written line by line beside the old one and replaces it as a whole at the end. */
export class ListFile {
  readonly #path: string;
  readonly #beside: string;
  readonly #file: OpenFile;
  #waiting = '';
  #lines = 0;

  private constructor(path: string, beside: string, file: OpenFile) {
    this.#path = path;
    this.#beside = beside;
    this.#file = file;
  }

  static async create(path: string): Promise<ListFile> {
    const beside = `${path}${NEW_MARK}${randomBytes(6).toString('hex')}`;
    const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    return new ListFile(path, beside, await open(beside, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, FILE_MODE));
  }

  async add(line: string): Promise<void> {
    this.#lines += 1;
    this.#waiting += line;
    if (this.#waiting.length >= WRITE_CHARS) await this.#writeOut();
  }

  /**
   * Replaces the old file, unless that has the same lines. Without any line there is no file, unless an empty one has a
   * meaning.
   */
  async finish({ keepEmpty }: { readonly keepEmpty: boolean }): Promise<void> {
    await this.#writeOut();
    if ((this.#lines > 0 || keepEmpty) && (await this.#isAsBefore())) return this.discard();
    await this.#file.sync();
    await this.#file.close();
    if (this.#lines === 0 && !keepEmpty) {
      await rm(this.#beside, { force: true });
      await rm(this.#path, { force: true });
    } else await rename(this.#beside, this.#path);
    await fsyncFolder(dirname(this.#path));
  }

  /** Keeps the old file as it is. */
  async discard(): Promise<void> {
    await this.#file.close();
    await rm(this.#beside, { force: true });
  }

  async #isAsBefore(): Promise<boolean> {
    let old: OpenFile | undefined;
    try {
      const { size } = await this.#file.stat();
      const there = await lstat(this.#path);
      if (!there.isFile() || there.size !== size) return false;
      old = await openOwnFile(this.#path);
      const [ours, theirs] = [Buffer.alloc(READ_BYTES), Buffer.alloc(READ_BYTES)];
      for (let at = 0; old !== undefined && at < size; ) {
        const bytes = Math.min(READ_BYTES, size - at);
        const { bytesRead } = await this.#file.read(ours, 0, bytes, at);
        const { bytesRead: theirBytes } = await old.read(theirs, 0, bytesRead, at);
        if (bytesRead === 0 || !ours.subarray(0, bytesRead).equals(theirs.subarray(0, theirBytes))) return false;
        at += bytesRead;
      }
      return old !== undefined;
    } catch {
      // There is none, or one that cannot be read: it is replaced.
      return false;
    } finally {
      await old?.close();
    }
  }

  async #writeOut(): Promise<void> {
    const text = this.#waiting;
    this.#waiting = '';
    await this.#file.appendFile(text);
  }
}
