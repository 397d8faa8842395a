/**
 * Scan worker: walks a source's folder in a thread of its own and reads what changed, so that the service's event loop,
 * and its heartbeats, never wait for a disk.
 *
 * Synchronous calls throughout: with one thread they are twice as fast as `fs.promises`. Names within a folder are
 * sorted by bytes and a folder's content comes right after it, which is path order (path-order.ts). Held in memory: the
 * names in the folders on the way from the source's folder to the present one; of the others, little more than which
 * inodes were met (latecomers.ts).
 *
 * Nothing leads out of the source's folder, whatever is replaced by what (scan-places.ts). A name is gone only when its
 * folder was listed without it. What fails otherwise is reported as unread, and the thread that merges (merge-scan.ts)
 * carries the last snapshot's entry over. scan-entries.ts decides what is reported of each thing that is met.
 *
 * Entries that may form an unchanged section are held back until that is known (section-trial.ts), and then reported as
 * one item.
 *
 * Two threads each walk a part of a large source (scan-share.ts).
 *
 * Sockets are left out (they are no data; restic does the same); fifos and devices are recorded and never opened.
 * Started only by scan-threads.ts; takes one order after the other.
 */
import { realpathSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { isMainThread, parentPort } from 'node:worker_threads';
import { assert } from '../core/fault.js';
import { mountPoints } from '../platform/mount-table.js';
import { SLASH } from '../platform/slash.js';
import type { NameStat } from '../platform/stat-calls.js';
import { readAccountNames } from './account-names.js';
import { PATH_BYTES_MAX } from './entry.js';
import { errorCode } from './error-code.js';
import { Exclusion } from './exclude.js';
import { fileSystemPrint } from './file-system-print.js';
import { pathsBelow } from './forbidden-folder.js';
import { Latecomers } from './latecomers.js';
import { comparePaths } from './path-order.js';
import { ScanCache } from './scan-cache.js';
import { type FolderPlace, nowNs, type Place, ScanEntries } from './scan-entries.js';
import { ScanFolder } from './scan-folder.js';
import { ALL_WALKED, type ScanMessage, type ScanOrder, SEAM } from './scan-message.js';
import { below, ELSEWHERE_CODES, type EnteredPlace, identityOf, type ScanPlace, ScanPlaces } from './scan-places.js';
import { Cancelled, ScanSender } from './scan-sender.js';
import { ScanShare } from './scan-share.js';
import { decodeSections, ownerText, type Section } from './section.js';
import { SectionTrial } from './section-trial.js';

class Scan {
  readonly #order: ScanOrder;
  readonly #sender: ScanSender;
  readonly #exclusion: Exclusion;
  readonly #accounts = readAccountNames();
  readonly #cache: ScanCache | undefined;
  readonly #startNs = nowNs();
  readonly #latecomers = new Latecomers({ startNs: this.#startNs, nowNs });
  readonly #trial: SectionTrial;
  readonly #places = new ScanPlaces();
  readonly #share: ScanShare;
  readonly #entries: ScanEntries;
  #root: Buffer = Buffer.alloc(0);
  #rootDevice = 0n;
  /** Where mounts begin at or below the source's folder, as the table of mounts said when the scan began. */
  #mountPoints: ReadonlySet<string> = new Set();
  readonly #forbidden: ReadonlySet<string | undefined>;
  /** The forbidden folders in the source's folder, relative to it. */
  #forbiddenBelow: readonly Buffer[] = [];

  constructor(order: ScanOrder, send: (message: ScanMessage) => void) {
    this.#order = order;
    this.#forbidden = new Set(order.forbidden.map(({ identity }) => identity));
    this.#sender = new ScanSender(order, send);
    this.#exclusion = new Exclusion(order.exclude);
    const { cachePath, nowMs, settleMs } = order;
    this.#cache = cachePath === undefined ? undefined : new ScanCache(cachePath, { nowMs, settleMs });
    this.#share = new ScanShare(order, { places: this.#places, sender: this.#sender, nowNs });
    this.#entries = new ScanEntries(order, {
      sender: this.#sender,
      places: this.#places,
      cache: this.#cache,
      accounts: this.#accounts,
      startNs: this.#startNs,
      onUnread: () => this.#trial.end(),
    });
    this.#trial = new SectionTrial(this.#freshSections(), {
      ownerOf: this.#ownerText(),
      onSame: section => this.#same(section),
    });
  }

  async run(): Promise<void> {
    try {
      this.#walk();
    } catch (error) {
      if (!(error instanceof Cancelled)) throw error;
      this.#sender.send({ kind: 'cancelled' });
    } finally {
      this.#places.close();
      await this.#cache?.close();
    }
  }

  #walk(): void {
    const stack = this.#open();
    const root = stack[0];
    if (root === undefined) return;
    const shared: ScanFolder[] = [];
    const isLast = this.#walkFrom(stack, shared);
    this.#trial.end();
    if (!this.#isRootStill(root)) {
      this.#refuse('missing-source', 'it went away during the scan');
      return;
    }
    this.#sender.flush();
    this.#sender.progress();
    // Until the seam, the thread before this one looks up the files of these folders at their former paths.
    if (shared.length > 0) this.#sender.hear(SEAM);
    for (const folder of shared) this.#noteFolder(folder);
    if (isLast) this.#cache?.sweep(this.#order.source);
    this.#sender.send({ kind: 'walked' });
    // Things may still be moved into this thread's folders from those that another thread has not listed yet.
    this.#sender.hear(ALL_WALKED);
    const latecomers = this.#latecomers.find({
      root: this.#root,
      isElsewhere: path => !this.#share.isOurs(path) || this.#isForbidden(path),
      isLeftOut: (path, stat) => stat.isSocket() || this.#isLeftOut(path, stat),
    });
    this.#sender.send({ kind: 'done', latecomers: latecomers.map(latin1) });
  }

  /** False when another thread has the rest. */
  #walkFrom(stack: ScanFolder[], shared: ScanFolder[]): boolean {
    for (let folder = stack.at(-1); folder !== undefined; folder = stack.at(-1)) {
      this.#sender.lookUp();
      this.#consider(stack);
      const name = folder.names[folder.next];
      if (name === undefined) {
        stack.pop();
        this.#places.rest(folder.place);
        if (folder.isShared) shared.push(folder);
        else this.#noteFolder(folder);
        continue;
      }
      const path = below(folder.path, name);
      if (this.#share.isPast(path) && this.#isJoined()) return false;
      folder.next += 1;
      const next = this.#visit(folder, { name, path });
      if (next !== undefined) stack.push(next);
    }
    return !this.#isJoined();
  }

  #noteFolder({ lastingIdentity, path }: ScanFolder): void {
    this.#cache?.noteFolder(this.#order.source, lastingIdentity, path);
  }

  // ------------------------------------------------------------------------------------------------------- divided in
  // two

  /** The folders on the way to where this thread's part begins. Undefined: it cannot be entered there. */
  #descend(root: ScanFolder, from: Buffer): ScanFolder[] | undefined {
    const way = [root];
    let folder = root;
    try {
      for (let end = from.indexOf(SLASH); end >= 0; end = from.indexOf(SLASH, end + 1)) {
        const path = from.subarray(0, end);
        if (this.#isForbidden(path)) return undefined;
        const name = path.toString('latin1', path.lastIndexOf(SLASH) + 1);
        const met = this.#places.stat(folder.place, name);
        if (!met.isDirectory() || this.#isHidden(folder, met) || this.#isLeftOut(path, met)) return undefined;
        const entered = this.#places.enter(folder.place, name);
        if (!this.#isEntered(folder, entered)) return undefined;
        const isMounted = this.#isMountPoint(path) || this.#isMounted(folder, entered.stat);
        folder = this.#folderOf(entered, { path, names: this.#places.list(entered.place), isMounted, from });
        this.#latecomers.listed(path, entered.stat);
        way.push(folder);
        this.#share.entered(path, entered);
      }
    } catch {
      // The thread that comes there on its walk reports what is wrong.
      return undefined;
    }
    return way;
  }

  /** Asks for another thread if one would help. */
  #consider(stack: readonly ScanFolder[]): void {
    const entered: ScanPlace[] = [];
    this.#share.consider(stack, {
      stat: ({ path, place }, name) => this.#lookAt(place, { name, path: below(path, name) }),
      enter: ({ path, place: above }, name) => {
        this.#sender.lookUp();
        try {
          const { place, stat } = this.#places.enter(above, name);
          entered.push(place);
          if (stat.dev !== this.#rootDevice && !this.#order.crossMounts) return undefined;
          return { path: below(path, name), place, names: this.#places.list(place) };
        } catch {
          // The walk reports what is wrong when it comes there.
          return undefined;
        }
      },
    });
    for (const place of entered) this.#places.rest(place);
  }

  /** Undefined: the walk will pass it over, or report what is wrong. */
  #lookAt(place: ScanPlace, { name, path }: Omit<Place, 'stat'>): NameStat | undefined {
    this.#sender.lookUp();
    if (this.#isForbidden(path)) return undefined;
    try {
      const stat = this.#places.stat(place, name);
      // A folder that is not entered is not opened either: opening alone could mount it.
      const isHidden = stat.isDirectory() && stat.dev !== this.#rootDevice && !this.#order.crossMounts;
      return isHidden || stat.isSocket() || this.#isLeftOut(path, stat) ? undefined : stat;
    } catch {
      return undefined;
    }
  }

  /** Whether another thread goes on from here. */
  #isJoined(): boolean {
    this.#trial.end();
    this.#sender.flush();
    return this.#share.isJoined();
  }

  /** The folders in which the walk begins, from the source's own on. Empty: the reason has been sent. */
  #open(): ScanFolder[] {
    let entered: EnteredPlace;
    let names: string[];
    let parent: NameStat;
    let print: bigint;
    try {
      this.#root = realpathSync.native(Buffer.from(this.#order.path), { encoding: 'buffer' });
      if (!statSync(this.#root).isDirectory()) return this.#refuse('not-a-folder', this.#order.path);
      entered = this.#places.root(this.#root);
      parent = statSync(parentOf(this.#root), { bigint: true });
      print = fileSystemPrint(latin1(this.#root));
      this.#mountPoints = this.#mountPointsNow();
    } catch (error) {
      const code = errorCode(error);
      const because = code === 'ENOENT' ? 'missing-source' : code === 'ENOTDIR' ? 'not-a-folder' : 'unreadable-source';
      return this.#refuse(because, code);
    }
    const { place, stat } = entered;
    this.#rootDevice = stat.dev;
    this.#entries.rootDevice = stat.dev;
    this.#forbiddenBelow = pathsBelow(this.#root, this.#order.forbidden);
    const store = this.#enclosingStore();
    if (store !== undefined) return this.#refuse('inside-store', store);
    try {
      names = this.#places.list(place);
    } catch (error) {
      return this.#refuse('unreadable-source', errorCode(error));
    }
    const { from } = this.#share;
    const root = this.#folderOf(entered, { path: Buffer.alloc(0), names, isMounted: false, from });
    this.#latecomers.listed(root.path, stat);
    this.#share.entered(root.path, entered);
    const stack = from === undefined ? [root] : this.#descend(root, from);
    if (stack === undefined) {
      this.#sender.send({ kind: 'unreached' });
      return [];
    }
    this.#sender.send({ kind: 'root', device: stat.dev, print, way: this.#share.way });
    if (from === undefined) {
      this.#entries.giveRoot(entered, { parent, isMountPoint: this.#isMountPoint(root.path) });
    }
    return stack;
  }

  /** False when a file system was mounted over the source, or unmounted from it, while it was scanned. */
  #isRootStill(root: ScanFolder): boolean {
    try {
      return identityOf(statSync(this.#order.path, { bigint: true })) === root.place.identity;
    } catch {
      return false;
    }
  }

  /** Sends the reason why there is nothing to walk. */
  #refuse(because: Extract<ScanMessage, { kind: 'refused' }>['because'], detail: string): [] {
    this.#sender.send({ kind: 'refused', because, detail });
    return [];
  }

  /** The forbidden folder that the source lies in, if any. */
  #enclosingStore(): string | undefined {
    const paths = new Set(this.#order.forbidden.map(({ path }) => path));
    for (let folder = this.#root; ; folder = parentOf(folder)) {
      if (paths.has(latin1(folder))) return folder.toString();
      if (this.#forbidden.has(identityOf(statSync(folder, { bigint: true })))) return folder.toString();
      if (folder.length <= 1) return undefined;
    }
  }

  /** Returns the folder to walk next, if this is one. */
  #visit(folder: ScanFolder, { name, path }: Omit<Place, 'stat'>): ScanFolder | undefined {
    if (this.#isForbidden(path)) return undefined;
    let stat: NameStat;
    try {
      stat = this.#places.stat(folder.place, name);
    } catch (error) {
      const code = errorCode(error);
      if (ELSEWHERE_CODES.has(code) && folder.isGone(name)) return undefined;
      if (!this.#exclusion.excludesUnknown(path)) this.#entries.unread(path, 'tree', code);
      return undefined;
    }
    this.#latecomers.meet(stat);
    if (this.#isLeftOut(path, stat)) return undefined;
    if (path.length > PATH_BYTES_MAX) {
      this.#entries.unread(path, 'tree', 'TOO_LONG');
      return undefined;
    }
    if (stat.isDirectory()) return this.#enter(folder, { name, path, stat });
    if (stat.isSocket()) return undefined;
    const isMounted = this.#isMounted(folder, stat);
    this.#trial.meet({ path, stat, isMounted, give: () => this.#entries.give(folder, { name, path, stat }) });
    return undefined;
  }

  /** Never touched, not even with a stat: its disk may hang. */
  #isForbidden(path: Buffer): boolean {
    return this.#forbiddenBelow.some(forbidden => forbidden.equals(path));
  }

  /** It is on another file system, which is not entered. */
  #isHidden(folder: ScanFolder, stat: NameStat): boolean {
    return stat.dev !== folder.device && !this.#order.crossMounts;
  }

  /**
   * To be asked when the folder was entered. The table is read again then: a bare folder from which something was
   * unmounted meanwhile must not be taken for what was mounted there.
   */
  #isMountPoint(path: Buffer): boolean {
    if (this.#mountPoints.size === 0) return false;
    const text = latin1(path);
    return this.#mountPoints.has(text) && this.#mountPointsNow().has(text);
  }

  /** Relative to the source's folder, as Latin-1. */
  #mountPointsNow(): ReadonlySet<string> {
    const points = mountPoints(this.#order.mountTable) ?? new Set();
    const below = pathsBelow(
      this.#root,
      [...points].map(path => ({ path, identity: undefined })),
    );
    return new Set([...(points.has(latin1(this.#root)) ? [''] : []), ...below.map(latin1)]);
  }

  #isLeftOut(path: Buffer, stat: NameStat): boolean {
    const isDirectory = stat.isDirectory();
    if (isDirectory && this.#forbidden.has(identityOf(stat))) return true;
    return this.#exclusion.excludes(path, { isDirectory });
  }

  // ------------------------------------------------------------------------------------------------------------
  // sections

  /** The sections that were looked up recently enough; the entries of the others are looked up, which renews them. */
  *#freshSections(): Generator<Section> {
    const { source, previous } = this.#order;
    const frames = previous === undefined ? undefined : this.#cache?.sections(source, previous);
    for (const section of decodeSections(frames ?? Buffer.alloc(0)))
      if (this.#cache?.isFresh(section) !== false) yield section;
  }

  /** Remembers the last owner, because the next entry most often has the same. */
  #ownerText(): (stat: NameStat) => string {
    let last = { uid: -1n, gid: -1n, text: '' };
    return ({ uid, gid }) => {
      if (uid !== last.uid || gid !== last.gid)
        last = { uid, gid, text: ownerText(this.#accounts.user(Number(uid)), this.#accounts.group(Number(gid))) };
      return last.text;
    };
  }

  #same({ opening, print, ...rest }: Section): void {
    this.#sender.count(rest);
    this.#sender.add({ same: { ...rest, opening: latin1(opening), print: latin1(print) } });
  }

  // -------------------------------------------------------------------------------------------------------------
  // entries

  #enter(folder: ScanFolder, met: Place): ScanFolder | undefined {
    if (this.#isHidden(folder, met.stat)) {
      this.#giveFolder(folder, { ...met, hidden: true });
      return undefined;
    }
    const { name, path } = met;
    let entered: EnteredPlace | undefined;
    let names: readonly string[] | undefined;
    try {
      entered = this.#places.enter(folder.place, name);
      // Judges the folder that was opened: something may have been mounted or unmounted since it was met.
      if (this.#isEntered(folder, entered)) names = this.#places.list(entered.place);
    } catch (error) {
      if (entered !== undefined) this.#places.rest(entered.place);
      const code = errorCode(error);
      if (!ELSEWHERE_CODES.has(code)) {
        this.#giveFolder(folder, { ...met, isMountPoint: this.#isMountPoint(path) });
        this.#entries.unread(path, 'below', code);
      } else if (!folder.isGone(name)) this.#entries.unread(path, 'tree', 'UNSTABLE'); // something else has its name now
      return undefined;
    }
    const { place, stat } = entered;
    if (names === undefined) {
      this.#places.rest(place);
      if (!this.#forbidden.has(place.identity)) this.#giveFolder(folder, { ...met, stat, hidden: true });
      return undefined;
    }
    this.#latecomers.listed(path, stat);
    const isMountPoint = this.#isMountPoint(path);
    this.#giveFolder(folder, { ...met, stat, place, isMountPoint });
    this.#share.entered(path, entered);
    return this.#folderOf(entered, { path, names, isMounted: isMountPoint || this.#isMounted(folder, stat) });
  }

  /** It is neither forbidden nor on another file system that is not entered. */
  #isEntered(folder: ScanFolder, { place, stat }: EnteredPlace): boolean {
    return !this.#isHidden(folder, stat) && !this.#forbidden.has(place.identity);
  }

  #giveFolder(folder: ScanFolder, found: FolderPlace): void {
    const { path, stat, isMountPoint = false } = found;
    const isMounted = isMountPoint || this.#isMounted(folder, stat);
    this.#trial.meet({ path, stat, isMounted, give: () => this.#entries.giveFolder(folder, found) });
  }

  /** Whether something in the folder lies in another mount than the source's folder. */
  #isMounted(folder: ScanFolder, stat: NameStat): boolean {
    return folder.isMounted || stat.dev !== this.#rootDevice;
  }

  /** `from`: where in this folder this thread begins. */
  #folderOf(
    entered: EnteredPlace,
    {
      path,
      names,
      isMounted,
      from,
    }: Pick<ScanFolder, 'path' | 'names' | 'isMounted'> & { readonly from?: Buffer | undefined },
  ): ScanFolder {
    const { stat } = entered;
    const first = from === undefined ? 0 : names.findIndex(name => comparePaths(below(path, name), from) >= 0);
    const lastingIdentity = { inode: this.#entries.inodeOf(stat), birthtimeNs: stat.birthtimeNs };
    const known = this.#cache?.folderPath(this.#order.source, lastingIdentity);
    return new ScanFolder(this.#places, entered, {
      path,
      lastingIdentity,
      formerPath: known?.equals(path) ? undefined : known,
      names,
      isMounted,
      isShared: from !== undefined,
      next: first < 0 ? names.length : first,
    });
  }
}

const latin1 = (bytes: Buffer): string => bytes.toString('latin1');

const parentOf = (path: Buffer): Buffer => Buffer.from(dirname(path.toString('latin1')), 'latin1');

assert(!isMainThread && parentPort !== null, 'scan-worker.js is a worker thread’s entry point');
const port = parentPort;
const send = (message: ScanMessage): void =>
  port.postMessage(message, message.kind === 'items' ? [message.rows.buffer] : []);
port.on('message', async (order: ScanOrder) => {
  await new Scan(order, send).run();
  send({ kind: 'ended' });
});
