/**
 * Merge: combines what the scan found with the last snapshot; what could not be read is carried over from the snapshot.
 *
 * Both sides come in path order, so one pass that holds one entry of each is enough. **What cannot be read is not
 * deleted**: an entry is removed only when its folder was listed without it. Carried entries are marked `stale`; what
 * could not be read and was never recorded is `missed`. The same holds for single attributes of what was read. If the
 * scan found an entry unchanged, the old entry is kept, bit for bit, so that its record need not change.
 *
 * Mount points: a folder on which something was mounted, which had content, and is now a plain folder was not emptied:
 * what was mounted there is missing. The folder and all below it is carried over, and what the bare folder holds is not
 * looked at. The same holds where the folder went with its file system, as udisks and autofs remove it, unless the scan
 * now leaves that path out or something else has its name. It also holds for a plain folder with content over which
 * something is now mounted that this scan does not enter. It ends when the earlier state is back, or by
 * `acceptMissing`.
 *
 * Driven by take-snapshot.ts.
 */

import { SLASH } from '../platform/slash.js';
import { cutMarkOf } from './cut.js';
import type { WalkedEntry } from './entries-in-order.js';
import { type Entry, sameEntry } from './entry.js';
import { comparePaths, isAtOrUnder, isUnder } from './path-order.js';
import { NO_CALLS, NO_XATTRS, type UnreadXattrs, withinLimits } from './read-xattrs.js';
import type { ScanItem } from './scan-items.js';
import type { Section } from './section.js';
import { storableBytes } from './snapshot.js';
import type { SnapshotParcels } from './snapshot-parcels.js';

export interface MergedEntry {
  readonly entry: Entry;
  readonly mark: number;
  /** The last snapshot's entry of this path. */
  readonly before: WalkedEntry | undefined;
  /** `statPrint` of the entry, unless it may be in no section. */
  readonly print?: Buffer | undefined;
}

/** A section of the last snapshot, all of whose entries are unchanged. */
export interface MergedSection {
  readonly same: Section;
}

export type Merged = MergedEntry | MergedSection;

/** Something that could not be read, as reported to a person. */
export interface Unread {
  readonly path: Buffer;
  /**
   * An errno code, or UNSTABLE (changed twice while being read), MOVED (while the folder was being scanned), TOO_LONG, TOO_LARGE,
   * NOT_MOUNTED or MOUNTED_OVER; for extended attributes alone, XATTRS_TOO_LARGE or NO_XATTR_CALLS.
   */
  readonly because: string;
  /**
   * Entries carried over from the last snapshot, whole or in their attributes; 0: the path, or some of its attributes,
   * is missed.
   */
  readonly carried: number;
}

/** The number of entries, as the tally counts them. */
export const entriesOf = ({ carried }: Pick<Unread, 'carried'>): number => Math.max(1, carried);

/** What the folder lacks because it is away, not because it was deleted. */
export interface MissingPart {
  /** Empty: the source's folder. */
  readonly path: Buffer;
  /** NOT_MOUNTED or MOUNTED_OVER; of the source's folder EMPTY, OTHER_DEVICE or HISTORY_LOST. */
  readonly because: string;
}

export interface Missing {
  readonly count: number;
  /** The first `MISSING_LISTED_MAX` in path order. */
  readonly parts: readonly MissingPart[];
}

/** Mount points that the scan did not enter: no snapshot of the source has what lies there. */
export interface Unentered {
  readonly count: number;
  /** The first `UNENTERED_LISTED_MAX` in path order. */
  readonly paths: readonly Buffer[];
}

export interface Tally {
  /** What the scan met, readable or not, without the `lost+found` that each ext4 begins with. */
  readonly met: number;
  readonly files: number;
  readonly bytes: number;
  readonly stale: number;
  readonly missed: number;
  /** The first `UNREAD_LISTED_MAX` in path order, moved ones last. */
  readonly unread: readonly Unread[];
  readonly unentered: Unentered;
  /** Mounts whose content the scan did not meet: carried over, or let go of by `acceptMissing`. */
  readonly away: Missing;
  /** Files of the last snapshot. */
  readonly filesBefore: number;
  /** … of which the path is gone, and of which the content differs. */
  readonly filesGone: number;
  readonly filesChanged: number;
  /** Entries of the last snapshot that were carried over already, as far as it can be read. */
  readonly staleBefore: number;
  /** Entries right below the source's folder in the last snapshot, and how many of these paths are still there. */
  readonly topBefore: number;
  readonly topKept: number;
  /** The source's folder was a mount point and no longer is one. */
  readonly rootUnmounted: boolean;
}

/** Enough to act upon; the counts say how many there are. */
const UNREAD_LISTED_MAX = 100;
export const UNENTERED_LISTED_MAX = 20;
export const MISSING_LISTED_MAX = 20;
/** Entries given at once while much is carried over. */
const STRETCH = 1000;

export class ScanMerge {
  readonly #previous: Pick<SnapshotParcels, 'stretchesFrom'> | undefined;
  readonly #acceptMissing: boolean;
  readonly #isLeftOut: (folder: Buffer) => boolean;
  /** The last snapshot's entries from here on; not begun while all is unchanged. */
  #before: AsyncIterator<readonly WalkedEntry[]> | undefined;
  /** The parcel at which `#before` begins. */
  #from = 0;
  #stretch: readonly WalkedEntry[] = [];
  #at = 0;
  #ended: boolean;
  /** Whatever the scan finds below this folder is ignored. */
  #shut: Buffer | undefined;
  /**
   * This was a folder, and the scan no longer looks below it, or what was mounted on it is let go: former mount points
   * below it are not carried over.
   */
  #letGo: Buffer | undefined;
  /** Folders that are gone, each inside the one before; the last was dropped last. */
  #goneFolders: WalkedEntry[] = [];
  #merged: Merged[] = [];
  #unread: Unread[] = [];
  readonly #away: { count: number; readonly parts: MissingPart[] } = { count: 0, parts: [] };
  readonly #unentered: { count: number; readonly paths: Buffer[] } = { count: 0, paths: [] };
  #tally = {
    met: 0,
    files: 0,
    bytes: 0,
    stale: 0,
    missed: 0,
    filesBefore: 0,
    filesGone: 0,
    filesChanged: 0,
    staleBefore: 0,
    topBefore: 0,
    topKept: 0,
    rootUnmounted: false,
  };

  constructor({
    previous,
    acceptMissing,
    isLeftOut,
  }: {
    readonly previous: Pick<SnapshotParcels, 'stretchesFrom'> | undefined;
    /** True: mount points that are gone were removed on purpose. */
    readonly acceptMissing: boolean;
    /** Whether the scan passes this folder over (left-out.ts). */
    readonly isLeftOut: (folder: Buffer) => boolean;
  }) {
    this.#previous = previous;
    this.#ended = previous === undefined;
    this.#acceptMissing = acceptMissing;
    this.#isLeftOut = isLeftOut;
  }

  get tally(): Tally {
    return { ...this.#tally, unread: this.#unread, unentered: this.#unentered, away: this.#away };
  }

  /** The merged entries up to and with these items of the scan. */
  async *merge(items: readonly ScanItem[]): AsyncGenerator<readonly Merged[]> {
    for (const item of items) {
      if (item.kind === 'same') {
        yield* this.#same(item.section);
        continue;
      }
      const path = item.kind === 'entry' ? item.entry.path : item.path;
      if (this.#shut !== undefined) {
        if (isUnder(path, this.#shut)) continue;
        this.#shut = undefined;
      }
      if (!isLostAndFound(path)) this.#tally.met += 1;
      yield* this.#dropUpTo(path);
      if (item.kind === 'unread') yield* this.#unreadItem(item);
      else yield* this.#found(item);
      if (this.#merged.length >= STRETCH) yield this.#take();
    }
    yield this.#take();
  }

  /** The rest of the last snapshot is gone, except what was mounted. */
  async *end(): AsyncGenerator<readonly Merged[]> {
    yield* this.#dropUpTo(undefined);
    yield this.#take();
  }

  /** Releases the last snapshot's records. */
  async close(): Promise<void> {
    await this.#before?.return?.();
    this.#before = undefined;
  }

  /**
   * What comes before the section is gone. (Nothing below a mount point is in a section, so `#shut` does not apply.)
   */
  async *#same(section: Section): AsyncGenerator<readonly Merged[]> {
    const { opening, ordinal, parcels, entries, files, bytes, top } = section;
    if (this.#before !== undefined || this.#from < ordinal) yield* this.#dropUpTo(opening);
    await this.close();
    this.#stretch = [];
    this.#at = 0;
    this.#ended = false;
    this.#from = ordinal + parcels;
    this.#shut = undefined;
    this.#tally.met += entries;
    this.#tally.files += files;
    this.#tally.filesBefore += files;
    this.#tally.bytes = storableBytes(this.#tally.bytes + bytes);
    this.#tally.topBefore += top;
    this.#tally.topKept += top;
    this.#merged.push({ same: section });
  }

  async *#found(item: Extract<ScanItem, { kind: 'entry' }>): AsyncGenerator<readonly Merged[]> {
    const { mark, hidden, unreadXattrs, print } = item;
    if (hidden) this.#noteUnentered(item.entry.path);
    const old = await this.#peek();
    const before = old !== undefined && comparePaths(old.entry.path, item.entry.path) === 0 ? old : undefined;
    const entry =
      unreadXattrs === undefined ? item.entry : this.#withUnreadXattrs(item.entry, unreadXattrs, before?.entry);
    if (before === undefined) {
      this.#push({ entry, mark, before, print });
      return;
    }
    if (before.entry.kind === 'directory' && (entry.kind !== 'directory' || hidden)) this.#letGo = entry.path;
    if (entry.path.length === 0) this.#tally.rootUnmounted = before.entry.mount && !entry.mount;
    const because = entry.path.length === 0 ? undefined : whyShut({ before: before.entry, now: entry, hidden });
    if (because !== undefined && (await this.#isOfContent(before.entry))) {
      this.#noteAway({ path: entry.path, because });
      if (!this.#acceptMissing) {
        // The folder's own entry is carried too: it tells the next scan what kind of folder this was.
        this.#shut = entry.path;
        yield* this.#carry(entry.path, { because, isWanted: isAtOrUnder });
        return;
      }
      this.#letGo = entry.path;
    }
    this.#pass(before);
    if (before.entry.kind === 'file' && entry.kind === 'file' && before.entry.blob !== entry.blob)
      this.#tally.filesChanged += 1;
    if (before.entry.kind === 'file' && entry.kind !== 'file') this.#tally.filesGone += 1;
    this.#push({ entry: sameEntry(before.entry, entry) ? before.entry : entry, mark, before, print });
  }

  async *#unreadItem(item: Extract<ScanItem, { kind: 'unread' }>): AsyncGenerator<readonly Merged[]> {
    const { path, scope, because } = item;
    switch (scope) {
      case 'tree':
        yield* this.#carry(path, { because, isWanted: isAtOrUnder });
        break;
      case 'below':
        yield* this.#carry(path, { because, isWanted: isUnder });
        break;
      case 'content': {
        // Only an entry that could have been this file or symlink: if a folder stood here, the name is now something
        // else.
        const isWanted = (old: Buffer, wanted: Buffer): boolean => comparePaths(old, wanted) === 0;
        const old = await this.#peek();
        const fits = old !== undefined && (old.entry.kind === 'file' || old.entry.kind === 'symlink');
        if (old !== undefined && !fits && isWanted(old.entry.path, path)) {
          this.#letGo = path;
          this.#drop(old);
        }
        yield* this.#carry(path, { because, isWanted });
        break;
      }
    }
  }

  async *#carry(
    path: Buffer,
    { because, isWanted }: { readonly because: string; readonly isWanted: (old: Buffer, path: Buffer) => boolean },
  ): AsyncGenerator<readonly Merged[]> {
    let carried = 0;
    for (let old = await this.#peek(); old !== undefined && isWanted(old.entry.path, path); old = await this.#peek()) {
      const entry = old.entry.stale ? old.entry : { ...old.entry, stale: true };
      this.#pass(old);
      this.#push({ entry, mark: cutMarkOf(entry), before: old });
      carried += 1;
      if (this.#merged.length >= STRETCH) yield this.#take();
    }
    this.#tally.stale += carried;
    if (carried === 0) this.#tally.missed += 1;
    this.#note({ path, because, carried });
  }

  /** The entry, with the last snapshot's values for those attributes that could not be read now. */
  #withUnreadXattrs(entry: Entry, { because, names }: UnreadXattrs, before: Entry | undefined): Entry {
    const old = before?.kind === entry.kind ? before.xattrs : NO_XATTRS;
    const unread = old.filter(({ name }) => names === 'all' || names.some(one => one.equals(name)));
    const xattrs = withinLimits([...entry.xattrs, ...unread]);
    // This concerns all paths: it is reported once, for the source's folder.
    if (because === NO_CALLS && entry.path.length > 0) return { ...entry, xattrs };
    const carried = unread.length > 0 ? 1 : 0;
    if (carried > 0) this.#tally.stale += 1;
    else this.#tally.missed += 1;
    this.#note({ path: entry.path, because, carried });
    return { ...entry, xattrs, stale: carried > 0 };
  }

  /** Notes the latecomers (latecomers.ts), after all items. */
  miss(paths: readonly Buffer[]): void {
    this.#tally.missed += paths.length;
    for (const path of paths) this.#note({ path, because: 'MOVED', carried: 0 });
  }

  #note(unread: Unread): void {
    if (this.#unread.length < UNREAD_LISTED_MAX) this.#unread.push(unread);
  }

  #noteAway(part: MissingPart): void {
    this.#away.count += 1;
    if (this.#away.parts.length < MISSING_LISTED_MAX) this.#away.parts.push(part);
  }

  #noteUnentered(path: Buffer): void {
    this.#unentered.count += 1;
    if (this.#unentered.paths.length < UNENTERED_LISTED_MAX) this.#unentered.paths.push(path);
  }

  #push(merged: MergedEntry): void {
    if (merged.entry.kind === 'file') this.#tally.files += 1;
    this.#tally.bytes = storableBytes(this.#tally.bytes + merged.entry.size);
    this.#merged.push(merged);
  }

  #take(): readonly Merged[] {
    const merged = this.#merged;
    this.#merged = [];
    return merged;
  }

  /**
   * The last snapshot's entries before the path, or all that remain, are gone: their folders were listed without them.
   */
  async *#dropUpTo(path: Buffer | undefined): AsyncGenerator<readonly Merged[]> {
    const isBefore = ({ entry }: WalkedEntry): boolean => path === undefined || comparePaths(entry.path, path) < 0;
    for (let old = await this.#peek(); old !== undefined && isBefore(old); old = await this.#peek()) {
      const isAway = await this.#wasUnmounted(old.entry);
      if (isAway) this.#noteAway({ path: old.entry.path, because: 'NOT_MOUNTED' });
      if (isAway && !this.#acceptMissing) {
        this.#carryWayTo(old.entry.path);
        yield* this.#carry(old.entry.path, { because: 'NOT_MOUNTED', isWanted: isAtOrUnder });
        continue;
      }
      if (isAway) this.#letGo = old.entry.path;
      this.#drop(old);
    }
  }

  /** For the entry in hand, which the scan did not find. */
  async #wasUnmounted(old: Entry): Promise<boolean> {
    const { path, kind, mount } = old;
    if (!mount || kind !== 'directory') return false;
    if (this.#letGo !== undefined && isUnder(path, this.#letGo)) return false;
    return !this.#isLeftOut(path) && (await this.#isOfContent(old));
  }

  /** Carries over the folders above it that are gone as well: nothing can lie in a folder that is not there. */
  #carryWayTo(path: Buffer): void {
    const above = this.#goneFolders.filter(({ entry }) => isUnder(path, entry.path));
    for (const old of above) {
      const entry = { ...old.entry, stale: true };
      if (isTop(entry.path)) this.#tally.topKept += 1;
      this.#tally.stale += 1;
      this.#push({ entry, mark: cutMarkOf(entry), before: old });
    }
    this.#goneFolders = [];
  }

  #drop(old: WalkedEntry): void {
    this.#count(old.entry);
    if (old.entry.kind === 'file') this.#tally.filesGone += 1;
    if (old.entry.kind === 'directory')
      this.#goneFolders = [...this.#goneFolders.filter(({ entry }) => isUnder(old.entry.path, entry.path)), old];
    this.#at += 1;
  }

  #pass(old: WalkedEntry): void {
    this.#count(old.entry);
    if (isTop(old.entry.path)) this.#tally.topKept += 1;
    this.#at += 1;
  }

  #count({ kind, path, stale }: Entry): void {
    if (kind === 'file') this.#tally.filesBefore += 1;
    if (stale) this.#tally.staleBefore += 1;
    if (isTop(path)) this.#tally.topBefore += 1;
  }

  /**
   * Whether there was something in the folder in hand, as far as anybody knows. A carried-over folder had something in
   * it. If a re-cut has taken all of it out because nobody had a copy yet, the folder is still missing.
   */
  async #isOfContent({ path, stale }: Entry): Promise<boolean> {
    return stale || (await this.#hasBelow(path));
  }

  /** True when the last snapshot has something below the path, which must be that of the entry in hand. */
  async #hasBelow(path: Buffer): Promise<boolean> {
    const next = this.#stretch[this.#at + 1];
    if (next !== undefined) return isUnder(next.entry.path, path);
    // The entry in hand is the last of its stretch: bring the next one up behind it.
    const current = this.#stretch[this.#at];
    const more = await this.#before?.next();
    if (more === undefined || more.done === true || current === undefined) {
      this.#ended = true;
      return false;
    }
    this.#stretch = [current, ...more.value];
    this.#at = 0;
    return this.#hasBelow(path);
  }

  async #peek(): Promise<WalkedEntry | undefined> {
    while (this.#at >= this.#stretch.length && !this.#ended) {
      this.#before ??= this.#previous?.stretchesFrom(this.#from);
      const next = await this.#before?.next();
      if (next === undefined || next.done === true) this.#ended = true;
      else {
        this.#stretch = next.value;
        this.#at = 0;
      }
    }
    return this.#stretch[this.#at];
  }
}

function whyShut({
  before,
  now,
  hidden,
}: {
  readonly before: Entry;
  readonly now: Entry;
  readonly hidden: boolean;
}): string | undefined {
  if (before.kind !== 'directory' || now.kind !== 'directory') return undefined;
  if (before.mount && !now.mount) return 'NOT_MOUNTED';
  if (!before.mount && hidden) return 'MOUNTED_OVER';
  return undefined;
}

/** Whether the path is a name in the source's own folder that tells it from another one. */
export const isTop = (path: Buffer): boolean => path.length > 0 && !path.includes(SLASH) && !isLostAndFound(path);

/** Made by mkfs: a disk that has nothing else is empty. */
const LOST_AND_FOUND = Buffer.from('lost+found');
const isLostAndFound = (path: Buffer): boolean => path.equals(LOST_AND_FOUND);
