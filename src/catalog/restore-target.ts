/**
 * Restore target: may a restore begin in this folder, and what may it do with existing files?
 *
 * A restore marks its target with a folder `.scatterhoard-restore`: `mark` says which restore it is, `part-…` are
 * unfinished files, `begun-…` are those of them that the next run may continue, `links/…` holds one name of each
 * hard-linked file, `beside-…` names the folders below the target that had unfinished files in themselves, `folders` says
 * which of them are the restore's own (restore-own-folders.ts), and in `names` names are tried. The folder is removed at the end; where it stays, the same restore can be resumed. Unfinished
 * files lie in it and not beside their names, so that nothing is left behind and nobody sees half a file. It also has a
 * lock: what one restore takes for leftovers, another one beside it may be writing.
 *
 * As root, somebody else's folder is taken over while it is filled, and then given back.
 *
 * Driven by restore-tree.ts.
 */
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  rmSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { dirname, resolve } from 'node:path';
import { ClusterError } from '../core/fault.js';
import type { BlobId } from '../core/ids.js';
import { hasDescriptorPaths } from '../platform/descriptor-path.js';
import { NEW_MARK, readIfThere, writeDurable } from '../platform/durable.js';
import { type Lock, StateLocked, takeLock } from '../platform/lock.js';
import { errorCode } from './error-code.js';
import { escapePath } from './path-text.js';
import { rethrow } from './restore-failure.js';
import { isRoot } from './restore-metadata.js';
import { BESIDE_PART, MARK_FOLDER } from './restore-names.js';
import { below, type HeldFolder, holdFolder, namedFolder, openOnTheWay } from './restore-places.js';

/** What identifies a restore: two with the same fields are the same restore. */
export interface RestoreMark {
  readonly snapshot: string;
  readonly sourceId: string;
  readonly under: Buffer;
}

/** What to do with existing files: `refuse` the target, replace those that differ, or leave all as they are. */
export type ExistingFiles = 'refuse' | 'overwrite' | 'keep';

/**
 * `fresh`: the folder was absent or empty, so it is the restore's own, including its metadata. `resume`: it carries
 * this restore's mark (`ownsFolder` then says how it began). `shared`: other files are there and the caller agreed.
 */
export interface TargetLook {
  readonly state: 'fresh' | 'resume' | 'shared';
  readonly ownsFolder: boolean;
  /** For a folder that was taken over: its owner and mode before. */
  readonly was?: FolderRights | undefined;
}

export interface RestoreTarget extends TargetLook {
  readonly folder: HeldFolder;
  readonly markFolder: Buffer;
  /** Absolute, symlinks resolved. It goes by names, so it is safe only where nobody could redirect it. */
  readonly named: Buffer;
  /** This run made the folder. */
  readonly isNew: boolean;
  /** Removes everything of the restore's in the mark's folder, and releases the lock. */
  removeMark(): void;
  /** Gives a folder that was taken over its owner and mode back. */
  giveBack(): void;
  /** To be called in the end, whatever the outcome. */
  release(): void;
}

export interface FolderRights {
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
}

interface TargetRequest {
  readonly target: string;
  readonly mark: RestoreMark;
  readonly existing: ExistingFiles;
}

/** How many names are shown when a target is refused. */
const NAMES_SHOWN = 3;
const MARK = 'mark';
const LINKS_FOLDER = 'links';
const NAMES_FOLDER = 'names';
const LOCK = 'lock';
const PART = 'part-';
const BEGUN = 'begun-';
const BESIDE = 'beside-';
const FOLDERS = 'folders';

/** Checks the target and writes nothing. @throws ClusterError TARGET_NOT_FOLDER, TARGET_NOT_EMPTY */
export function lookAtTarget(request: TargetRequest): TargetLook & { readonly exists: boolean } {
  const { target } = request;
  return clearly(target, () => {
    const found = statSync(target, { throwIfNoEntry: false });
    if (found === undefined) return { state: 'fresh', ownsFolder: true, exists: false };
    if (!found.isDirectory()) throw notFolder(target, 'something else has this name');
    return { ...lookInto(realpathSync(target, 'buffer'), request), exists: true };
  });
}

function lookInto(folder: Buffer, { target, mark, existing }: TargetRequest): TargetLook {
  const names = readdirSync(folder, 'buffer').map(escapePath);
  const other = names.filter(name => name !== MARK_FOLDER);
  const hasMark = names.length > other.length;
  if (hasMark && !lstatSync(below(folder, MARK_FOLDER)).isDirectory()) throw strangeMark(target, 'is not a folder');
  const carried = hasMark ? readMark(folder) : undefined;
  if (carried?.same(mark)) return { state: 'resume', ownsFolder: carried.ownsFolder, was: carried.was };
  if (other.length === 0 && carried === undefined) return { state: 'fresh', ownsFolder: true };
  if (existing !== 'refuse') return { state: 'shared', ownsFolder: false };
  const shown =
    other.slice(0, NAMES_SHOWN).join(', ') + (other.length > NAMES_SHOWN ? `, … (${other.length} in all)` : '');
  const why =
    carried === undefined
      ? `it holds ${shown}`
      : `it carries the mark of an unfinished restore of ${carried.text}, which continues when you name that one`;
  throw new ClusterError(
    'TARGET_NOT_EMPTY',
    `the target ${target} is not empty: ${why}. Nothing was changed. Restore into an empty folder, or add --overwrite ` +
      '(replace files that differ) or --keep-existing (leave every file that is there).',
    { blame: 'operator' },
  );
}

/**
 * Makes the target where it is absent, and its mark. Removes leftovers of an interrupted run.
 *
 * @throws ClusterError TARGET_NOT_FOLDER, TARGET_NOT_EMPTY, TARGET_IN_USE, TARGET_OPEN_TO_OTHERS, RESTORE_STOPPED
 */
export async function openTarget(request: TargetRequest): Promise<RestoreTarget> {
  const { target } = request;
  const undo: (() => void)[] = [];
  try {
    const opened = clearly(target, () => open(request, undo));
    await writeMark(opened, request.mark);
    return opened;
  } catch (error) {
    for (const step of undo.reverse()) step();
    return rethrow(error);
  }
}

/** @param undo receives the steps to take, last first, if the target is not opened after all */
function open(request: TargetRequest, undo: (() => void)[]): RestoreTarget {
  const { target } = request;
  const first = lookAtTarget(request);
  const isNew = !first.exists;
  if (isNew) {
    mkdirSync(dirname(resolve(target)), { recursive: true });
    // Closed to others until the restore sets the mode of the source's folder.
    mkdirSync(target, { mode: 0o700 });
    undo.push(() => removeIfEmpty(Buffer.from(target)));
  }
  const isHeld = hasDescriptorPaths();
  const named = realpathSync(target, 'buffer');
  const folder = isHeld ? holdFolder(target, { follow: !isNew }) : namedFolder(named);
  undo.push(() => folder.release());
  const taken = isRoot() && first.ownsFolder && !isNew ? takeOver(folder) : undefined;
  // Back to `taken`, not to what the mark says: the latter is for the end of another restore, which may be running.
  const untake = (): void => giveTo(folder, taken);
  undo.push(untake);
  const open = !isHeld && isRoot() ? openOnTheWay(named) : undefined;
  if (open !== undefined) throw openToOthers(target, open);
  const mark = openMark(target, folder);
  undo.push(() => {
    mark.release();
    if (mark.isNew) removeIfEmpty(below(folder.path, MARK_FOLDER));
  });
  const lock = lockTarget(target, mark.path);
  undo.push(() => lock.release());
  // The first look was made without the lock; from here on no other restore begins here.
  const look = lookInto(folder.path, request);
  if (!look.ownsFolder) untake();
  const was = look.ownsFolder ? (look.was ?? taken) : undefined;
  return {
    ...look,
    was,
    folder,
    markFolder: mark.path,
    named,
    isNew,
    removeMark: () => {
      // The mark comes last: after a kill the next run still finds it, and removes the rest.
      clearMark(mark.path, name => isOurs(name) && name !== MARK);
      clearMark(mark.path, name => name === MARK);
      lock.release();
      removeIfEmpty(below(folder.path, MARK_FOLDER));
    },
    giveBack: () => giveTo(folder, was),
    release: () => {
      lock.release();
      mark.release();
      folder.release();
    },
  };
}

async function writeMark(
  { markFolder, named, state, ownsFolder, was }: RestoreTarget,
  { snapshot, sourceId, under }: RestoreMark,
): Promise<void> {
  removeBeside(markFolder, named);
  const isLeftover = (name: string): boolean =>
    name.startsWith(PART) ||
    isUnfinishedMark(name) ||
    name.startsWith(`${LOCK}.`) ||
    (name.startsWith(BEGUN) && state !== 'resume');
  clearMark(
    markFolder,
    name =>
      isLeftover(name) ||
      name.startsWith(NAMES_FOLDER) ||
      ((name === LINKS_FOLDER || name === FOLDERS) && state !== 'resume'),
  );
  mkdirSync(below(markFolder, LINKS_FOLDER), { recursive: true, mode: 0o700 });
  const fields = { restore: 1, snapshot, source: sourceId, under: escapePath(under), ownsFolder, ...(was && { was }) };
  await writeDurable(`${markFolder}/${MARK}`, `${JSON.stringify(fields, null, 2)}\n`);
}

/** What a kill leaves of a mark that was being written. */
const isUnfinishedMark = (name: string): boolean => name.startsWith(`${MARK}${NEW_MARK}`);

const isOurs = (name: string): boolean =>
  name === MARK ||
  isUnfinishedMark(name) ||
  name === LINKS_FOLDER ||
  name === FOLDERS ||
  [PART, BEGUN, BESIDE, NAMES_FOLDER, `${LOCK}.`].some(begin => name.startsWith(begin));

/** Removes what a restore has made there, and nothing that others have moved there, who may still be using it. */
function clearMark(markFolder: Buffer, isToGo: (name: string) => boolean): void {
  for (const name of readdirSync(markFolder)) {
    if (!isToGo(name)) continue;
    const place = below(markFolder, name);
    const isFolder = lstatSync(place).isDirectory();
    if (!isFolder) unlinkSync(place);
    else if (name === LINKS_FOLDER || name.startsWith(NAMES_FOLDER)) rmSync(place, { recursive: true, force: true });
  }
}

/** Removes what earlier runs, and only these, left beside names on other file systems. */
function removeBeside(markFolder: Buffer, named: Buffer): void {
  for (const note of readdirSync(markFolder)) {
    if (!note.startsWith(BESIDE)) continue;
    const run = note.slice(BESIDE.length);
    for (const hex of readFileSync(below(markFolder, note), 'latin1').split('\n')) {
      if (hex === '') continue; // behind the last line
      const folder = below(named, Buffer.from(hex, 'hex'));
      for (const name of namesIfThere(folder))
        if (name.startsWith(`${BESIDE_PART}${run}-`)) rmSync(below(folder, name), { recursive: true, force: true });
    }
    unlinkSync(below(markFolder, note));
  }
}

function namesIfThere(folder: Buffer): readonly string[] {
  try {
    // As where they were made: others could lead root elsewhere.
    return isRoot() && openOnTheWay(folder) !== undefined ? [] : readdirSync(folder);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(errorCode(error))) return [];
    throw error;
  }
}

/** The mark's folder: made, or found and recognised as this user's. */
function openMark(target: string, folder: HeldFolder): HeldFolder & { readonly isNew: boolean } {
  const place = below(folder.path, MARK_FOLDER);
  const isNew = madeFolder(place);
  // A symlink to a folder would redirect the writes.
  if (!lstatSync(place).isDirectory()) throw strangeMark(target, 'is not a folder');
  const mark = hasDescriptorPaths() ? holdFolder(place, { follow: false }) : namedFolder(place);
  // With a name of its own: another restore may be running here and trying names.
  const probe = below(mark.path, `${NAMES_FOLDER}-${randomBytes(6).toString('hex')}`);
  mkdirSync(probe, { mode: 0o700 });
  // Compared with a folder made just now: many file systems of sticks and shares have no owners and no modes.
  const [there, own] = [lstatSync(mark.path), lstatSync(probe)];
  rmdirSync(probe);
  if (there.uid === own.uid && (there.mode & 0o777) === (own.mode & 0o777)) return { ...mark, isNew };
  mark.release();
  throw strangeMark(target, 'belongs to another user, or is open to other users');
}

const strangeMark = (target: string, why: string): ClusterError =>
  notFolder(target, `${MARK_FOLDER} in it, where a restore keeps unfinished files, ${why}; remove it`);

function madeFolder(place: Buffer): boolean {
  try {
    mkdirSync(place, { mode: 0o700 });
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Leaves the folder if it is not empty: another restore may have begun there, or left something of its own. */
function removeIfEmpty(place: Buffer): void {
  try {
    rmdirSync(place);
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT', 'ENOTDIR'].includes(errorCode(error))) throw error;
  }
}

function lockTarget(target: string, markFolder: Buffer): Lock {
  try {
    return takeLock(`${markFolder}/${LOCK}`);
  } catch (error) {
    // The mark's folder disappeared just now, when the other restore ended.
    const isGone = errorCode(error) === 'ENOENT';
    if (!(error instanceof StateLocked) && !isGone) throw error;
    const who = isGone
      ? 'another restore has just ended'
      : `another restore is running, as process ${(error as StateLocked).pid}`;
    throw new ClusterError(
      'TARGET_IN_USE',
      `in the target ${target} ${who}. Nothing was changed: wait until it has ended, or stop it, and run the command again, ` +
        'or restore into another folder.',
      { blame: 'operator', cause: error },
    );
  }
}

/** Locks out everybody else. @returns the owner and mode before; `undefined` when they cannot be changed */
function takeOver({ path, self }: HeldFolder): FolderRights | undefined {
  const { uid, gid, mode } = lstatSync(path);
  try {
    if (uid !== 0) chownSync(self, 0, 0);
    chmodSync(self, 0o700);
  } catch (error) {
    // A file system without owners: the folder stays as it is.
    if (errorCode(error) === 'EPERM' || errorCode(error) === 'ENOTSUP') return undefined;
    throw error;
  }
  return { uid, gid, mode: mode & 0o7777 };
}

function giveTo({ path, self }: HeldFolder, rights: FolderRights | undefined): void {
  if (rights === undefined) return;
  const { uid, gid, mode } = rights;
  const there = lstatSync(path);
  if (there.uid !== uid || there.gid !== gid) chownSync(self, uid, gid);
  chmodSync(self, mode);
}

/** Why what a person named is not a folder, or not one that the caller may use. */
const NO_TARGET: Readonly<Record<string, string>> = {
  ENOTDIR: 'a path above it is not a folder',
  ENOENT: 'a folder above it is gone, or a symlink above it points nowhere',
  EEXIST: 'it is a symlink that points nowhere',
  EACCES: 'you have no permission',
  EROFS: 'its file system is read-only',
  ELOOP: 'its symlinks form a loop',
  ENAMETOOLONG: 'its name is too long',
};

function clearly<T>(target: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const why = error instanceof ClusterError ? undefined : NO_TARGET[errorCode(error)];
    throw why === undefined ? error : notFolder(target, why, error);
  }
}

const notFolder = (target: string, why: string, cause?: unknown): ClusterError =>
  new ClusterError(
    'TARGET_NOT_FOLDER',
    `the target ${target} is not a folder that can be restored to: ${why}. Nothing was changed.`,
    { blame: 'operator', cause },
  );

const openToOthers = (target: string, open: Buffer): ClusterError =>
  new ClusterError(
    'TARGET_OPEN_TO_OTHERS',
    `the target ${target} is not used by root: other users may write into ${escapePath(open)}, and on this system could redirect root ` +
      'elsewhere. Nothing was changed: restore into a folder that only root may write, and move the result.',
    { blame: 'operator' },
  );

/** The path of an unfinished file; `name` must be unique. */
export const partPath = (markFolder: Buffer, name: string): Buffer => below(markFolder, `${PART}${name}`);

/** Names the folders, relative to the target, in hex and by lines, into which a run puts unfinished files. */
export const besideNote = (markFolder: Buffer, run: string): Buffer => below(markFolder, `${BESIDE}${run}`);

/** Says which folders the restore made and which it only opened: a line each, with their paths in hex. */
export const foldersNote = (markFolder: Buffer): Buffer => below(markFolder, FOLDERS);

/** The path of the bytes that have come of a large blob, also between two runs. */
export const begunPath = (markFolder: Buffer, blob: BlobId): Buffer => below(markFolder, `${BEGUN}${blob}`);

/** The folder in which names are tried; it exists only meanwhile. */
export const namesFolder = (markFolder: Buffer): Buffer => below(markFolder, NAMES_FOLDER);

/** The path of one name of a hard-linked file, by its group and its content: only equal content may be linked. */
export const linkAnchor = (markFolder: Buffer, link: string, blob: string): Buffer =>
  below(markFolder, `${LINKS_FOLDER}/${link}-${blob.slice(0, 32)}`);

/**
 * The unfinished restore whose mark a folder carries, as strings for which its writer vouches, if the mark is this
 * user's.
 */
export function unfinishedIn(target: string): Omit<FoundMark, 'same'> | undefined {
  return clearly(target, () =>
    statSync(target, { throwIfNoEntry: false })?.isDirectory() ? readMark(Buffer.from(target)) : undefined,
  );
}

interface FoundMark {
  /** In the form in which a person names it, without the host. */
  readonly text: string;
  readonly snapshot: string;
  readonly sourceId: string;
  /** Escaped. */
  readonly under: string;
  readonly ownsFolder: boolean;
  readonly was: FolderRights | undefined;
  same(mark: RestoreMark): boolean;
}

/** `undefined`: no mark, or none that a restore has finished writing. */
function readMark(folder: Buffer): FoundMark | undefined {
  const bytes = readIfThere(`${folder}/${MARK_FOLDER}/${MARK}`);
  if (bytes === undefined) return undefined;
  const fields = parseMark(bytes.toString());
  const snapshot = String(fields.snapshot);
  const sourceId = String(fields.source);
  const under = String(fields.under);
  const name = sourceId.slice(sourceId.indexOf('/') + 1);
  return {
    text: `${name}@${snapshot.slice(0, 8)}${under === '' ? '' : `:${under}`}`,
    snapshot,
    sourceId,
    under,
    ownsFolder: fields.ownsFolder === true,
    was: rightsFrom(fields.was),
    same: mark => snapshot === mark.snapshot && sourceId === mark.sourceId && under === escapePath(mark.under),
  };
}

function parseMark(text: string): Record<string, unknown> {
  try {
    const fields: unknown = JSON.parse(text);
    return typeof fields === 'object' && fields !== null ? (fields as Record<string, unknown>) : {};
  } catch {
    // Not JSON: nobody's valid mark, so it counts as that of another restore.
    return {};
  }
}

function rightsFrom(value: unknown): FolderRights | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { uid, gid, mode } = value as Partial<FolderRights>;
  if (uid === undefined || gid === undefined || mode === undefined) return undefined;
  return [uid, gid, mode].every(number => Number.isSafeInteger(number) && number >= 0) ? { uid, gid, mode } : undefined;
}
