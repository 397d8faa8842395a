/**
 * Scan entries: what a scan thread reports of each thing that it meets: its content, read by scan-reader.ts if the
 * cache does not have it, or its target; its attributes, owner and times; or that it could not be read. An unchanged
 * file that had no attributes is not asked for them (scan-cache.ts).
 *
 * A name that is gone when its folder is listed again is not reported at all. Driven by scan-worker.ts, which decides
 * what is met.
 */
import { readlinkSync } from 'node:fs';
import { EMPTY_BLOB, hash } from '../core/hash.js';
import { type BlobId, hexOf } from '../core/ids.js';
import type { NameStat } from '../platform/stat-calls.js';
import type { AccountNames } from './account-names.js';
import { cutMarkOf } from './cut.js';
import { type EntryKind, storableMtime, TARGET_BYTES_MAX, type Xattr } from './entry.js';
import { errorCode } from './error-code.js';
import { BARE, NO_XATTRS, type ReadXattrs, readXattrs } from './read-xattrs.js';
import { type CachedFile, isRacy, type ScanCache } from './scan-cache.js';
import type { ScanFolder } from './scan-folder.js';
import type { ScanOrder, UnreadableScope } from './scan-message.js';
import {
  below,
  ELSEWHERE_CODES,
  type EnteredPlace,
  LostFolder,
  type ScanPlace,
  type ScanPlaces,
} from './scan-places.js';
import { type Content, ScanReader } from './scan-reader.js';
import type { ScanSender } from './scan-sender.js';
import { statPrint } from './section.js';

/** A thing that was met in a folder. */
export interface Place {
  readonly name: string;
  /** Relative to the source's folder. */
  readonly path: Buffer;
  readonly stat: NameStat;
}

/** A folder that was met. */
export interface FolderPlace extends Place {
  /** Where it was entered; undefined: it was not. */
  readonly place?: ScanPlace | undefined;
  /** It is on another file system, which is not entered. */
  readonly hidden?: boolean;
  /** A mount begins there, whatever its device number. */
  readonly isMountPoint?: boolean;
}

export interface ScanEntriesParts {
  readonly sender: ScanSender;
  readonly places: ScanPlaces;
  readonly cache: ScanCache | undefined;
  readonly accounts: AccountNames;
  readonly startNs: bigint;
  /** Called when something cannot be read, before that is reported: items that are held back must come first. */
  readonly onUnread: () => void;
}

export class ScanEntries {
  /** The device of the source's own folder. */
  rootDevice = 0n;
  readonly #order: ScanOrder;
  readonly #sender: ScanSender;
  readonly #places: ScanPlaces;
  readonly #cache: ScanCache | undefined;
  readonly #accounts: AccountNames;
  readonly #startNs: bigint;
  readonly #onUnread: () => void;
  readonly #reader = new ScanReader(bytes => this.#sender.countRead(bytes));

  constructor(order: ScanOrder, { sender, places, cache, accounts, startNs, onUnread }: ScanEntriesParts) {
    this.#order = order;
    this.#sender = sender;
    this.#places = places;
    this.#cache = cache;
    this.#accounts = accounts;
    this.#startNs = startNs;
    this.#onUnread = onUnread;
  }

  /** For everything but folders. */
  give(folder: ScanFolder, place: Place): void {
    const { stat } = place;
    if (stat.isFile()) this.#file(folder, place);
    else if (stat.isSymbolicLink()) this.#symlink(folder, place);
    else if (stat.isFIFO()) this.#special(folder, place, 'fifo');
    else if (stat.isBlockDevice()) this.#special(folder, place, 'block-device');
    else if (stat.isCharacterDevice()) this.#special(folder, place, 'char-device');
  }

  /** The source's own folder; `parent`: the stat of the folder that it is in. */
  giveRoot(
    { place, stat }: EnteredPlace,
    { parent, isMountPoint }: { readonly parent: NameStat; readonly isMountPoint: boolean },
  ): void {
    const mount = isMountPoint || parent.dev !== stat.dev;
    this.#tell({ path: Buffer.alloc(0), stat, kind: 'directory', attributes: this.#places.xattrs(place), mount });
  }

  giveFolder(folder: ScanFolder, { name, path, stat, place, hidden = false, isMountPoint = false }: FolderPlace): void {
    const attributes =
      place === undefined ? this.#attributesOf(folder, name) : this.#attributesOfEntered(folder, place);
    // A folder that is gone by now was listed, and its content is reported: so the folder is, too.
    const mount = isMountPoint || stat.dev !== folder.device;
    this.#tell({ folder, path, stat, kind: 'directory', attributes: attributes ?? BARE, mount, hidden });
  }

  #file(folder: ScanFolder, { name, path, stat }: Place): void {
    const link = this.#linkOf(stat);
    const formerPath = folder.formerPath && below(folder.formerPath, name);
    const file = { source: this.#order.source, path, link, formerPath };
    if (stat.size === 0n) {
      const attributes = this.#attributesOf(folder, name);
      if (attributes !== undefined)
        this.#tell({ folder, path, stat, kind: 'file', attributes, blob: EMPTY_BLOB as BlobId });
      return;
    }
    const known = this.#cache?.lookup(file, stat);
    // Each name of an inode has its own mark, but all share one value in the cache.
    const mark = (link === undefined ? known?.mark : undefined) ?? cutMarkOf({ path, size: Number(stat.size) });
    if (known?.blob !== undefined) {
      const { blob } = known;
      const attributes = known.isBare ? BARE : this.#readOfKnown(folder, { name, file, stat, blob, mark });
      if (attributes !== undefined) this.#tell({ folder, path, stat, kind: 'file', attributes, blob, mark });
      return;
    }
    const readFromNs = nowNs();
    const content = this.#read(folder, { name, stat });
    if ('blob' in content) {
      const { blob, attributes } = content;
      this.#cache?.put(file, content.stat, { blob, readFromNs, mark, isBare: isBare(attributes) });
      this.#tell({ folder, path, stat: content.stat, kind: 'file', attributes, blob, mark });
      return;
    }
    if (content.vanished === true && folder.isGone(name)) return;
    this.unread(path, 'content', content.unread);
  }

  /** The attributes of an unchanged file; undefined: it is gone by now. Notes it in the cache if there are none. */
  #readOfKnown(
    folder: ScanFolder,
    {
      name,
      file,
      stat,
      blob,
      mark,
    }: Pick<Place, 'name' | 'stat'> & {
      readonly file: CachedFile;
      readonly blob: BlobId;
      readonly mark: number;
    },
  ): ReadXattrs | undefined {
    const readFromNs = nowNs();
    const attributes = this.#attributesOf(folder, name);
    if (attributes !== undefined && isBare(attributes))
      this.#cache?.put(file, stat, { blob, readFromNs, mark, isBare: true });
    return attributes;
  }

  #read(folder: ScanFolder, { name, stat }: Pick<Place, 'name' | 'stat'>): Content {
    let path: Buffer;
    try {
      path = this.#places.of(folder.place, name);
    } catch (error) {
      return { unread: errorCode(error) };
    }
    const content = this.#reader.read(path, stat);
    return this.#places.isStill(folder.place) ? content : LOST;
  }

  /** Undefined: the name is gone by now. */
  #attributesOf(folder: ScanFolder, name: string): ReadXattrs | undefined {
    const attributes = attributesOr(() => readXattrs(this.#places.of(folder.place, name)));
    return isElsewhere(attributes) && folder.isGone(name) ? undefined : attributes;
  }

  /** As `#attributesOf`, for a folder in this one that was entered. */
  #attributesOfEntered(folder: ScanFolder, place: ScanPlace): ReadXattrs | undefined {
    const attributes = attributesOr(() => this.#places.xattrs(place));
    return isElsewhere(attributes) && folder.isGone(place.name) ? undefined : attributes;
  }

  /** For things that have no content and are never opened. */
  #special(folder: ScanFolder, { name, path, stat }: Place, kind: EntryKind): void {
    const attributes = this.#attributesOf(folder, name);
    if (attributes !== undefined) this.#tell({ folder, path, stat, kind, attributes });
  }

  #symlink(folder: ScanFolder, { name, path, stat }: Place): void {
    try {
      const target = readlinkSync(this.#places.of(folder.place, name), { encoding: 'buffer' });
      if (!this.#places.isStill(folder.place)) throw new LostFolder();
      const attributes = this.#attributesOf(folder, name);
      if (target.length === 0 || target.length > TARGET_BYTES_MAX) this.unread(path, 'content', 'TOO_LONG');
      else if (attributes !== undefined) this.#tell({ folder, path, stat, kind: 'symlink', attributes, target });
    } catch (error) {
      const code = errorCode(error);
      if (ELSEWHERE_CODES.has(code) && folder.isGone(name)) return;
      this.unread(path, 'content', code === 'EINVAL' || ELSEWHERE_CODES.has(code) ? 'UNSTABLE' : code);
    }
  }

  #linkOf(stat: NameStat): string | undefined {
    return stat.nlink < 2n || stat.isDirectory() ? undefined : this.inodeOf(stat);
  }

  inodeOf(stat: NameStat): string {
    // The device number of the source's own file system may change at each boot; that must not change the link.
    const device = stat.dev === this.rootDevice ? 0n : stat.dev;
    return hexOf(hash(Buffer.from(`${this.#order.source}\0${device}\0${stat.ino}`)).subarray(0, 8));
  }

  #tell({
    folder,
    path,
    stat,
    kind,
    attributes: { xattrs, unread },
    blob,
    target,
    mark,
    mount = false,
    hidden = false,
  }: {
    /** That it is in; undefined: it is the source's own. */
    readonly folder?: ScanFolder;
    readonly path: Buffer;
    readonly stat: NameStat;
    readonly kind: EntryKind;
    readonly attributes: ReadXattrs;
    readonly blob?: BlobId;
    readonly target?: Buffer;
    /** Default: the mark of its present path. */
    readonly mark?: number;
    readonly mount?: boolean;
    readonly hidden?: boolean;
  }): void {
    const uid = Number(stat.uid);
    const gid = Number(stat.gid);
    const size = kind === 'file' ? Number(stat.size) : 0;
    this.#sender.count({ files: kind === 'file' ? 1 : 0, bytes: size });
    const ownMark = cutMarkOf({ path, size });
    const isSectionable =
      (mark ?? ownMark) === ownMark &&
      isBare({ xattrs, unread }) &&
      stat.dev === this.rootDevice &&
      folder?.isMounted !== true &&
      !mount &&
      !hidden &&
      !isRacy(stat.ctimeNs, this.#startNs, kind === 'file' ? this.#order.settleMs : 0);
    const user = this.#accounts.user(uid);
    const group = this.#accounts.group(gid);
    const link = this.#linkOf(stat);
    const mtimeNs = storableMtime(stat.mtimeNs);
    // A row has the time as in the stat.
    if (isSectionable && mtimeNs === stat.mtimeNs && link === undefined && (kind === 'file' || kind === 'directory')) {
      this.#sender.addPlain({ path, stat, user, group, mark: ownMark, blob });
      return;
    }
    this.#sender.add({
      path: path.toString('latin1'),
      mark: mark ?? ownMark,
      kind,
      mode: Number(stat.mode) & 0o7777,
      uid,
      gid,
      user,
      group,
      mtimeNs,
      size,
      blob,
      target: target?.toString('latin1'),
      link,
      device: kind === 'block-device' || kind === 'char-device' ? stat.rdev : 0n,
      xattrs: xattrs.length === 0 ? undefined : xattrs.map(toText),
      unreadXattrs: unread && {
        because: unread.because,
        names: unread.names === 'all' ? 'all' : unread.names.map(latin1),
      },
      mount,
      hidden,
      print: isSectionable ? latin1(statPrint(stat)) : undefined,
    });
  }

  unread(path: Buffer, unread: UnreadableScope, because: string): void {
    this.#onUnread();
    this.#sender.add({ path: path.toString('latin1'), unread, because });
  }
}

/** The wall clock, which files are dated by. */
export const nowNs = (): bigint => BigInt(Date.now()) * 1_000_000n;

const isBare = ({ xattrs, unread }: ReadXattrs): boolean => xattrs.length === 0 && unread === undefined;

const latin1 = (bytes: Buffer): string => bytes.toString('latin1');

const toText = ({ name, value }: Xattr): readonly [string, string] => [latin1(name), latin1(value)];

/** The result when the folder has been replaced by another one. */
const LOST: Content = { unread: 'UNSTABLE' };

const isElsewhere = ({ unread }: ReadXattrs): boolean => unread !== undefined && ELSEWHERE_CODES.has(unread.because);

function attributesOr(read: () => ReadXattrs): ReadXattrs {
  try {
    return read();
  } catch (error) {
    // The place itself is lost.
    return { xattrs: NO_XATTRS, unread: { because: errorCode(error), names: 'all' } };
  }
}
