/**
 * Restore own folders: which folders below a target with other files are the restore's own, and what the others were
 * before it let itself in?
 *
 * Only its own get the metadata of the snapshot's folders; the others belong to somebody else. Several runs may make up
 * one restore, so both are noted in the mark's folder, before anything is changed. What lies below a folder of the
 * restore's own is its own too: so only the topmost is noted, and remembered.
 *
 * Driven by restore-folders.ts.
 */
import { appendFileSync, closeSync, constants, fchmodSync, openSync, readFileSync } from 'node:fs';
import { SLASH } from '../platform/slash.js';
import { errorCode } from './error-code.js';
import { setTime } from './restore-metadata.js';
import type { RestorePlaces } from './restore-places.js';
import { foldersNote, type RestoreTarget } from './restore-target.js';

/** A folder's mode and time. */
interface Before {
  readonly mode: number;
  readonly mtimeNs: bigint;
}

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;

export class OwnFolders {
  readonly #places: RestorePlaces;
  /** `undefined`: the target had nothing else in it, so all are the restore's own. */
  readonly #note: Buffer | undefined;
  /** Paths relative to the target, as latin1. */
  readonly #made = new Set<string>();
  /** By the same: those to be given back. */
  readonly #opened = new Map<string, Before>();

  /** Knows what earlier runs of the same restore have noted. */
  constructor({ markFolder, ownsFolder }: Pick<RestoreTarget, 'markFolder' | 'ownsFolder'>, places: RestorePlaces) {
    this.#places = places;
    this.#note = ownsFolder ? undefined : foldersNote(markFolder);
    if (this.#note === undefined) return;
    for (const line of linesIfThere(this.#note)) {
      const [what, hex = '', mode, mtimeNs] = line.split(' ');
      const path = Buffer.from(hex, 'hex').toString('latin1');
      if (what === 'made') this.#made.add(path);
      else if (mode !== undefined && mtimeNs !== undefined)
        this.#opened.set(path, { mode: Number(mode), mtimeNs: BigInt(mtimeNs) });
    }
  }

  /** Whether this restore made the folder, or one above it. */
  has(path: Buffer): boolean {
    if (this.#note === undefined) return true;
    for (let slash = path.indexOf(SLASH); slash >= 0; slash = path.indexOf(SLASH, slash + 1))
      if (this.#made.has(path.toString('latin1', 0, slash))) return true;
    return this.#made.has(path.toString('latin1'));
  }

  /** To be called before the folder is made. */
  makes(path: Buffer): void {
    if (this.#note === undefined || this.has(path)) return;
    appendFileSync(this.#note, `made ${path.toString('hex')}\n`);
    this.#made.add(path.toString('latin1'));
  }

  /** To be called before the restore lets itself into a folder that is there. */
  opens(path: Buffer, { mode, mtimeNs }: { readonly mode: bigint; readonly mtimeNs: bigint }): void {
    const key = path.toString('latin1');
    if (this.#note === undefined || (mode & 0o700n) === 0o700n || this.#opened.has(key) || this.has(path)) return;
    const before = { mode: Number(mode & 0o7777n), mtimeNs };
    appendFileSync(this.#note, `was ${path.toString('hex')} ${before.mode} ${mtimeNs}\n`);
    this.#opened.set(key, before);
  }

  /** To be called once the folder has the snapshot's metadata: there is nothing to give back. */
  isSet(path: Buffer): void {
    this.#opened.delete(path.toString('latin1'));
  }

  /** Gives a folder that was opened its mode and time back, when nothing more is written into it. */
  giveBack(path: Buffer): void {
    const key = path.toString('latin1');
    const before = this.#opened.get(key);
    if (before === undefined) return;
    const place = this.#places.folder(path);
    const fd = openSync(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    try {
      setTime(place, before);
      fchmodSync(fd, before.mode);
    } finally {
      closeSync(fd);
    }
    this.#opened.delete(key);
  }

  /** As `giveBack`, for all that are left, also when the restore has failed. */
  giveAllBack(): void {
    // Behind each folder come those below it, which may be out of reach once it is closed.
    for (const key of [...this.#opened.keys()].sort().reverse())
      try {
        this.giveBack(Buffer.from(key, 'latin1'));
      } catch {
        // Somebody has moved or taken it since. The caller is told of what failed before.
      }
  }
}

/** No lines if there is no note. What a kill cut short is a line of which a part is missing. */
function linesIfThere(note: Buffer): readonly string[] {
  try {
    return readFileSync(note, 'latin1').split('\n').slice(0, -1);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
}
