/**
 * Signed notes: the invites and admissions that this host keeps, one file each, in `STATE/invites` and
 * `STATE/admissions`. They are small, signed and never changed. Their content is checked again at each start; a damaged
 * file is ignored and reported by name, since other members have the note too.
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { fsyncFolder, writeDurable } from '../platform/durable.js';
import { isMalformed } from './fields.js';

const FOLDER_MODE = 0o700;

export interface Note {
  readonly raw: Uint8Array;
}

export class Notes<T extends Note> {
  readonly #folder: string;
  readonly #idOf: (note: T) => string;
  readonly #notes = new Map<string, T>();

  private constructor(folder: string, idOf: (note: T) => string) {
    this.#folder = folder;
    this.#idOf = idOf;
  }

  /** @param read checks the bytes; its MALFORMED leaves the file out, with a warning. */
  static async open<T extends Note>(
    folder: string,
    {
      read,
      idOf,
      log,
    }: { readonly read: (raw: Uint8Array) => T; readonly idOf: (note: T) => string; readonly log: Logger },
  ): Promise<Notes<T>> {
    await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
    const notes = new Notes(folder, idOf);
    for (const name of await readdir(folder)) {
      if (!/^[0-9a-f]{32,64}$/.test(name)) continue; // left by a write that a crash interrupted
      try {
        const note = read(await readFile(join(folder, name)));
        notes.#notes.set(idOf(note), note);
      } catch (error) {
        if (!isMalformed(error)) throw error;
        log.warn({ err: error, file: join(folder, name) }, 'a damaged file was ignored and left as it is');
      }
    }
    return notes;
  }

  get size(): number {
    return this.#notes.size;
  }

  has(id: string): boolean {
    return this.#notes.has(id);
  }

  values(): IterableIterator<T> {
    return this.#notes.values();
  }

  /** Durable when it returns. */
  async add(note: T): Promise<void> {
    const id = this.#idOf(note);
    if (this.#notes.has(id)) return;
    await writeDurable(join(this.#folder, id), note.raw);
    this.#notes.set(id, note);
  }

  /** Forgets the notes for which `isStale` is true. */
  async prune(isStale: (note: T) => boolean): Promise<void> {
    const stale = [...this.#notes.values()].filter(isStale).map(this.#idOf);
    for (const id of stale) {
      await rm(join(this.#folder, id), { force: true });
      this.#notes.delete(id);
    }
    if (stale.length > 0) await fsyncFolder(this.#folder);
  }
}
