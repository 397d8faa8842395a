/**
 * Tree lists: the two text files beside a source's tree. `<source>.b3` for `b3sum -c`, `<source>.unplaced` for people.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { type OpenFile, open, rename, rm } from '../platform/disk-calls.js';
import { fsyncFolder, NEW_MARK } from '../platform/durable.js';
import { FILE_MODE } from './own-folder.js';

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
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    return new ListFile(path, beside, await open(beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, FILE_MODE));
  }

  async add(line: string): Promise<void> {
    this.#lines += 1;
    this.#waiting += line;
    if (this.#waiting.length >= WRITE_CHARS) await this.#writeOut();
  }

  /** Replaces the old file. Without any line there is no file, unless an empty one has a meaning. */
  async finish({ keepEmpty }: { readonly keepEmpty: boolean }): Promise<void> {
    await this.#writeOut();
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

  async #writeOut(): Promise<void> {
    const text = this.#waiting;
    this.#waiting = '';
    await this.#file.appendFile(text);
  }
}
