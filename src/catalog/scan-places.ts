/**
 * Scan places: the folders of a source that a scan is in, each reached so that nobody can lead the scan elsewhere.
 *
 * A user who may write in a source can replace one of its folders by a symlink while it is scanned, and the service may
 * read every user's files. So each folder is opened from the one above, as a folder and never through a symlink, and
 * its content is reached through the descriptor (`/proc/self/fd/7/name`): that is the folder that was listed, with what
 * had been mounted on it, whatever has become of its name. At most `HELD_MAX` folders are open. One that was closed is
 * opened again from the one above when it is needed, and is lost if a different folder is there now.
 *
 * Without /proc (macOS, FreeBSD), folders are reached by path. Then after a folder was listed, and after each of its
 * files was read, the path must still lead to the same folder; a swap that is undone in between goes unnoticed.
 *
 * A lost place is no proof that anything in it is gone. Driven by scan-worker.ts.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync } from 'node:fs';
import { descriptorPath, hasDescriptorPaths } from '../platform/descriptor-path.js';
import { posix } from '../platform/posix.js';
import { SLASH } from '../platform/slash.js';
import type { NameStat } from '../platform/stat-calls.js';
import { errorCode } from './error-code.js';
import { type ReadXattrs, readXattrs } from './read-xattrs.js';

/** Folders that each thread has open at once: some systems allow a process 1024 open files. Few trees are deeper. */
const HELD_MAX = 64;

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;

/** Another folder has this one's name now, or something that is not a folder. */
export class LostFolder extends Error {
  readonly code = 'UNSTABLE';
}

/** The error codes for something that no longer exists or is no longer a folder. */
export const ELSEWHERE_CODES: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'UNSTABLE']);

/** A folder of the source. */
export interface ScanPlace {
  /** Undefined: this is the source's own folder. */
  readonly above: ScanPlace | undefined;
  /** As Latin-1. */
  readonly name: string;
  /** The path that it was found by. */
  readonly full: Buffer;
  /** Its device and inode: another folder under its name proves nothing about this one's names. */
  readonly identity: string;
  /** Used by `ScanPlaces` alone; undefined while the folder is not open. */
  descriptor: number | undefined;
}

/** A place, with the stat of the very folder there. */
export interface EnteredPlace {
  readonly place: ScanPlace;
  readonly stat: NameStat;
}

export class ScanPlaces {
  readonly #isHeld: boolean;
  readonly #statAt = posix()?.statAt;
  /** The open folders, the most recently used one last. */
  readonly #held = new Set<ScanPlace>();
  #last: ScanPlace | undefined;

  constructor(isHeld = hasDescriptorPaths()) {
    this.#isHeld = isHeld;
  }

  /** The source's own folder; a symlink is followed. @throws as open does */
  root(full: Buffer): EnteredPlace {
    return this.#enter(full, { above: undefined, name: '', full });
  }

  /** The folder of this name, as it is now. @throws as open does; LostFolder */
  enter(above: ScanPlace, name: string): EnteredPlace {
    return this.#enter(this.of(above, name), { above, name, full: below(above.full, name) });
  }

  /** The path of a name in the folder, for one call that follows no symlink. @throws LostFolder */
  of(place: ScanPlace, name: string): Buffer {
    if (!this.#isHeld) return below(place.full, name);
    return below(Buffer.from(descriptorPath(this.#descriptorOf(place))), name);
  }

  /** The stat of a name in the folder. @throws as lstat does; LostFolder */
  stat(place: ScanPlace, name: string): NameStat {
    const found = this.#isHeld ? this.#statAt?.(this.#descriptorOf(place), name) : undefined;
    return found ?? lstatSync(this.of(place, name), { bigint: true });
  }

  /** The stat of the folder itself. @throws as lstat does; LostFolder */
  statOf(place: ScanPlace): NameStat {
    return this.#isHeld
      ? fstatSync(this.#descriptorOf(place), { bigint: true })
      : lstatSync(place.full, { bigint: true });
  }

  /** Its names, as Latin-1, in the order of their bytes. @throws as readdir does; LostFolder */
  list(place: ScanPlace): string[] {
    const names = listNames(this.#isHeld ? descriptorPath(this.#descriptorOf(place)) : place.full);
    if (!this.isStill(place)) throw new LostFolder();
    return names;
  }

  /** The attributes of the folder itself. @throws LostFolder */
  xattrs(place: ScanPlace): ReadXattrs {
    return readXattrs(this.#isHeld ? this.#descriptorOf(place) : place.full);
  }

  /** Whether what was just reached by way of the folder was really in it. */
  isStill(place: ScanPlace): boolean {
    if (this.#isHeld) return true;
    try {
      return identityOf(lstatSync(place.full, { bigint: true })) === place.identity;
    } catch {
      return false;
    }
  }

  /** Closes the folder, which is not needed soon. */
  rest(place: ScanPlace): void {
    if (place.descriptor === undefined) return;
    closeSync(place.descriptor);
    place.descriptor = undefined;
    this.#held.delete(place);
    if (this.#last === place) this.#last = undefined;
  }

  close(): void {
    for (const place of this.#held) this.rest(place);
  }

  #enter(path: Buffer, found: Pick<ScanPlace, 'above' | 'name' | 'full'>): EnteredPlace {
    if (!this.#isHeld) {
      const stat = lstatSync(path, { bigint: true });
      if (!stat.isDirectory()) throw new LostFolder();
      return { place: { ...found, identity: identityOf(stat), descriptor: undefined }, stat };
    }
    const descriptor = openFolder(path, found);
    try {
      const stat = fstatSync(descriptor, { bigint: true });
      const place = { ...found, identity: identityOf(stat), descriptor };
      this.#use(place);
      return { place, stat };
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }

  /** To be used at once: the next call may close it. */
  #descriptorOf(place: ScanPlace): number {
    const descriptor = place.descriptor ?? this.#openAgain(place);
    this.#use(place);
    return descriptor;
  }

  #openAgain(place: ScanPlace): number {
    const path = place.above === undefined ? place.full : this.of(place.above, place.name);
    let descriptor: number;
    try {
      descriptor = openFolder(path, place);
    } catch (error) {
      throw ELSEWHERE_CODES.has(errorCode(error)) ? new LostFolder() : error;
    }
    if (identityOf(fstatSync(descriptor, { bigint: true })) !== place.identity) {
      closeSync(descriptor);
      throw new LostFolder();
    }
    place.descriptor = descriptor;
    return descriptor;
  }

  #use(place: ScanPlace): void {
    if (place === this.#last) return;
    this.#last = place;
    this.#held.delete(place);
    this.#held.add(place);
    for (const oldest of this.#held) {
      if (this.#held.size <= HELD_MAX) break;
      this.rest(oldest);
    }
  }
}

const openFolder = (path: Buffer, { above }: Pick<ScanPlace, 'above'>): number =>
  openSync(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | (above === undefined ? 0 : O_NOFOLLOW));

/** Text rather than Buffers: collecting a Buffer per name as garbage took as long as listing does. */
export const listNames = (folder: string | Buffer): string[] => readdirSync(folder, { encoding: 'latin1' }).sort();

/** `name`: as Latin-1. */
export function below(folder: Buffer, name: string): Buffer {
  if (folder.length === 0) return Buffer.from(name, 'latin1');
  const path = Buffer.allocUnsafe(folder.length + 1 + name.length);
  path.set(folder);
  path[folder.length] = SLASH;
  path.write(name, folder.length + 1, 'latin1');
  return path;
}

export const identityOf = (stat: Pick<NameStat, 'dev' | 'ino'>): string => `${stat.dev}:${stat.ino}`;
