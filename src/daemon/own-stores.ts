/**
 * Own stores: the stores of this host, as the configuration names them. They are made once, mounted when their disks
 * are there, and measured every minute (mounted-store.ts). store-log.ts tells their logs, store-disks.ts watches their
 * disks, missing-stores.ts tells people which are missing, and store-rescans.ts reads a store again after doubt.
 *
 * A store's marker is made once, in a folder that exists, and never again: a disk that is not plugged in looks like an
 * empty folder, and must not become a second, empty store.
 *
 * Each store is looked at in a turn of its own, because a disk that hangs must not hold up the others
 * (platform/disk.ts). A disk that has hung for too long is given up: the machine hears that its store is gone, nothing
 * of the store is told from then on, and the store is closed without waiting for its disk. A call that was under way
 * may still write there, and may add log entries that nobody has announced. So the store is mounted again only when
 * the last such call has ended; its log is then read again and told as it is.
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { type ForbiddenFolder, lookAtForbidden, pathsBelow, unseen } from '../catalog/forbidden-folder.js';
import { ClusterError, messageOf } from '../core/fault.js';
import type { LogPosition, LogSegment } from '../core/holdings-log.js';
import type { ClusterId, HostId, StoreId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import { RememberedLogs } from '../core/remembered-logs.js';
import type { Signer } from '../core/signed.js';
import { DOUBT_RESTS, StoreRests } from '../core/store-rests.js';
import type { StoreSetting } from '../membership/policy.js';
import type { Disk, Patience } from '../platform/disk.js';
import { createStore } from '../store/create-store.js';
import type { IndexDatabase } from '../store/index-database.js';
import { readMarker } from '../store/marker.js';
import type { Store } from '../store/store.js';
import { Turns } from '../store/turns.js';
import type { Alarms } from './alarms.js';
import type { Clock } from './clock.js';
import type { Unstamped } from './driver.js';
import { HANGS } from './hanging.js';
import { doubtOf } from './log-doubt.js';
import { MadeStores } from './made-stores.js';
import { MissingStores } from './missing-stores.js';
import { MountedStore, type MountedStoreOptions } from './mounted-store.js';
import { openOwnStore } from './open-own-store.js';
import type { AbsentStore } from './service.js';
import { StoreDisks } from './store-disks.js';
import { gone } from './store-log.js';
import { StoreRescans } from './store-rescans.js';

/** A `reserve` store looks at its disk's free room this often, in ms; a missing disk is looked for as often. */
const MEASURE_EVERY_MS = 60_000;
const GIVEN_UP = `${HANGS}; what it holds is untouched, and counts again when it answers`;
const HANGS_YET = 'a disk does not answer; nothing new is put there until it does';
const ANSWERS_AGAIN = 'a disk answers again';

export interface OwnStoresOptions {
  readonly stateDir: string;
  readonly cluster: ClusterId;
  readonly host: HostId;
  readonly signer: Signer;
  /** This start's number, and the one before. */
  readonly boot: number;
  readonly previousBoot: number;
  readonly index: IndexDatabase;
  readonly clock: Clock;
  readonly alarms: Alarms;
  readonly tell: (input: Unstamped) => void;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** How long blobs verified by an interrupted fetch are kept, in ms. */
  readonly partialMs: () => number;
  /** How long dropped and expired bytes lie in the trash, in ms. */
  readonly trashMs: () => number;
  readonly sparing: MountedStoreOptions['sparing'];
  /** The bytes that the machine keeps free in a store for what it is about to fetch. */
  readonly reservedBytes: (store: StoreId) => number;
  /** See StoreOpening. */
  readonly checkpointEveryOps?: number;
  /** See StoreDisksOptions. */
  readonly patience?: Patience & { readonly endMs: number };
  /** Called when a store is mounted and the machine has its log. */
  readonly onMount: (store: Store) => void;
}

/** What people are told of a store that the configuration names. */
export interface OwnStoreReport {
  readonly path: string;
  readonly id: StoreId | undefined;
  readonly mounted: boolean;
  readonly draining: boolean;
  /** Parcels present in the store; 0 while it is not mounted. */
  readonly parcels: number;
  /** Mounted, and due to be read again: its parcels do not count yet. */
  readonly isUnread: boolean;
  readonly lentBytes: number;
  readonly usedBytes: number;
  readonly because: string | undefined;
}

export class OwnStores {
  readonly #options: OwnStoresOptions;
  readonly #mounted = new Map<StoreId, MountedStore>();
  readonly #made: MadeStores;
  #settings: readonly StoreSetting[] = [];
  readonly #missing: MissingStores;
  #looked = false;
  readonly #turns = new Turns<string>();
  readonly #remembered = new RememberedLogs();
  /** Rests of stores that were opened again because of what others remember of their logs. */
  readonly #doubts = new StoreRests(DOUBT_RESTS);
  readonly #rescans: StoreRescans;
  readonly #disks: StoreDisks;
  /** Each store's folder as it was last found, by path. */
  readonly #folders = new Map<string, ForbiddenFolder>();
  #stateFolder: ForbiddenFolder | undefined;
  #isEnding = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: OwnStoresOptions) {
    this.#options = options;
    this.#made = new MadeStores(options.stateDir);
    this.#missing = new MissingStores(options);
    this.#rescans = new StoreRescans({ ...options, tellOps: (id, completion) => this.tellOps(id, completion) });
    this.#disks = new StoreDisks({
      ...options,
      onHanging: (path, disk) => this.#giveUp(path, disk),
      onLook: () => this.#tellWhoHangs(),
    });
  }

  async open(): Promise<void> {
    this.#made.recall();
    this.#stateFolder = await lookAtForbidden(this.#options.stateDir);
    this.#timer = setInterval(() => this.#lookAgain(), MEASURE_EVERY_MS);
    this.#disks.watch();
  }

  /**
   * Mounts, unmounts and measures as these settings say. Failures become alarms.
   * @throws what the state disk says, on which it is noted that a path is named no more
   */
  async configure(settings: readonly StoreSetting[]): Promise<void> {
    this.#settings = settings;
    for (const { path } of settings) this.#disks.setApart(path);
    await this.refresh();
    const isNamed = (path: string): boolean => this.#settings.some(setting => setting.path === path);
    for (const path of this.#made.paths().filter(made => !isNamed(made)))
      await this.#inTurn(path, () => (isNamed(path) ? Promise.resolve() : this.#made.forget(path)));
  }

  /** Looks at every configured store again, side by side. */
  async refresh(): Promise<void> {
    await Promise.all(this.#disks.paths().map(path => this.#inTurn(path, () => this.#lookAt(path))));
    this.#looked = true;
  }

  #inTurn(path: string, work: () => Promise<void>): Promise<void> {
    return this.#turns.take(turnOf(path), work);
  }

  /** Skips stores that are being looked at: a disk may be slow. */
  #lookAgain(): void {
    for (const path of this.#disks.paths())
      if (!this.#turns.busy(turnOf(path))) void this.#inTurn(path, () => this.#lookAt(path));
  }

  #tellWhoHangs(): void {
    for (const mounted of this.#mounted.values()) {
      const hangs = this.#disks.hangs(mounted.path);
      if (hangs !== mounted.hangs) this.#tellWhetherItHangs(mounted, hangs);
    }
  }

  #tellWhetherItHangs(mounted: MountedStore, hangs: boolean): void {
    const { path, store } = mounted;
    const { log, tell } = this.#options;
    mounted.hangs = hangs;
    log.warn(
      { code: hangs ? 'STORE_HANGS' : 'STORE_ANSWERS', path, store: store.id },
      hangs ? HANGS_YET : ANSWERS_AGAIN,
    );
    tell({ is: 'store-hangs', store: store.id, hangs });
  }

  #giveUp(path: string, disk: Disk): void {
    disk.giveUp();
    const mounted = this.#mountedAt(path);
    if (mounted !== undefined) this.#forget(mounted);
    this.#missing.isMissing(path, GIVEN_UP);
    const closed = this.#inTurn(path, async () => {
      await mounted?.closeOrWarn();
    });
    void closed.then(() => disk.settled()).then(() => this.#inTurn(path, () => this.#lookAt(path)));
  }

  #mountedAt(path: string): MountedStore | undefined {
    return [...this.#mounted.values()].find(mounted => mounted.path === path);
  }

  /**
   * Closes a store and opens it again, because the state of its log is unknown or could not be told: the machine hears
   * that the store is gone, and then its whole log. Does nothing if the store has been reopened since or is unmounted,
   * and while the index takes no writes: the store would be gone until it does.
   *
   * @param store as `mounted` gave it
   */
  reopen(id: StoreId, store: unknown): Promise<void> {
    const path = this.#mounted.get(id)?.path;
    if (path === undefined) return Promise.resolve();
    return this.#inTurn(path, async () => {
      const mounted = this.#mounted.get(id);
      if (mounted === undefined || mounted.store !== store) return;
      if ((await mounted.store.whyGone()) === undefined && !(await this.#canBeOpenedAgain(mounted))) return;
      await this.#unmount(id);
      await this.#lookAt(path);
    });
  }

  /**
   * Another host remembers this position of a store's log. If the log does not have it, the log is in doubt: the store
   * is closed and opened with a new epoch above that one, and every copy is read again before it counts.
   *
   * @param theirs a position that this host itself has signed
   */
  async hearOfOwnLog(theirs: LogPosition): Promise<void> {
    // Nearly always: the others know all that this log has.
    if (this.#mounted.get(theirs.store)?.store.position().digest === theirs.digest) return;
    if (!this.#remembered.hear(theirs)) return;
    const compared = this.#pathsOf(theirs.store).map(path =>
      this.#inTurn(path, async () => {
        const mounted = this.#mountedAt(path);
        if (mounted?.store.id === theirs.store && (await this.#isDoubted(mounted))) await this.#lookAt(path);
      }),
    );
    await Promise.all(compared);
  }

  /**
   * Where the store is mounted, or may just be being mounted: the mount may have compared its log only with what
   * others had reported before.
   */
  #pathsOf(id: StoreId): readonly string[] {
    const mounted = this.#mounted.get(id);
    if (mounted !== undefined) return [mounted.path];
    return this.#settings.flatMap(({ path }) => (this.#made.at(path) === id ? [path] : []));
  }

  async #isDoubted({ store }: MountedStore): Promise<boolean> {
    if (this.#options.clock.nowMs() < this.#doubts.untilMs(store.id)) return false;
    return (await doubtOf(store, this.#remembered)) !== undefined;
  }

  /** Runs in the path's turn. */
  async #lookAt(path: string): Promise<void> {
    if (this.#isEnding) return;
    const setting = this.#settings.find(wanted => wanted.path === path);
    if (setting === undefined) {
      const mounted = this.#mountedAt(path);
      if (mounted !== undefined) await this.#unmount(mounted.store.id);
      this.#options.alarms.clear('STORE_DOUBT', path);
      this.#missing.found(path);
      return;
    }
    const disk = this.#disks.setApart(path);
    if (disk.isGivenUp) {
      // A call that was under way there has not ended yet.
      if (disk.isBusy) return this.#missing.isMissing(path, GIVEN_UP);
      disk.takeUp();
    }
    await this.#lookAtFolder(path);
    try {
      await this.#mountOrMeasure(setting);
    } catch (error) {
      if (disk.isGivenUp) return;
      const because = messageOf(error);
      if (this.#mountedAt(path) === undefined) this.#missing.isMissing(path, because, error);
      else this.#missing.isUnmeasured(path, because);
    }
  }

  async #lookAtFolder(path: string): Promise<void> {
    try {
      this.#folders.set(path, await lookAtForbidden(path));
    } catch {
      // Mounting or measuring the store reports why. The folder as last found still holds.
    }
  }

  /**
   * The stores' folders as last found, for code that walks a source: nobody else has to wait for the stores' disks.
   */
  forbidden(): readonly ForbiddenFolder[] {
    return this.#settings.map(({ path }) => this.#folders.get(path) ?? unseen(path));
  }

  mounted(id: StoreId): Store | undefined {
    return this.#mounted.get(id)?.store;
  }

  *stores(): IterableIterator<Store> {
    for (const { store } of this.#mounted.values()) yield store;
  }

  /** The catalogs of the mounted stores, which have the records of this host's copies. */
  *catalogs(): IterableIterator<ObjectReader> {
    for (const { objects } of this.stores()) yield objects;
  }

  /** The mounted stores, except those whose disks hang and would keep the caller waiting. */
  *answering(): IterableIterator<Store> {
    for (const { path, store } of this.#mounted.values()) if (!this.#disks.hangs(path)) yield store;
  }

  /**
   * Every configured store has been looked for, is mounted, is not being read again and is not behind: a parcel that is
   * in none of their logs, as told, is on no disk of this host.
   */
  get logsTellAll(): boolean {
    const isTold = [...this.#mounted.values()].every(({ store }) => !store.rescanDue && !store.isBehind);
    return this.#looked && this.#missing.isEmpty && isTold;
  }

  positions(): readonly LogPosition[] {
    return [...this.#mounted.values()].map(({ store }) => store.position());
  }

  reports(): readonly OwnStoreReport[] {
    const byPath = new Map([...this.#mounted.values()].map(mounted => [mounted.path, mounted]));
    return this.#settings.map(({ path, draining }) => {
      const mounted = byPath.get(path);
      return {
        path,
        draining,
        id: mounted?.store.id ?? this.#made.at(path),
        mounted: mounted !== undefined,
        parcels: mounted?.store.presentCount ?? 0,
        isUnread: mounted?.store.rescanDue === true,
        lentBytes: mounted?.room.lentBytes ?? 0,
        usedBytes: mounted?.room.usedBytes ?? 0,
        because: mounted === undefined ? (this.#missing.why(path) ?? 'not looked at yet') : undefined,
      };
    });
  }

  /** The stores that are configured and not mounted. */
  absent(): readonly AbsentStore[] {
    return this.reports().flatMap(({ path, because }) => (because === undefined ? [] : [{ path, because }]));
  }

  /** Tells the machine the part of the store's log that it has not heard yet, as the input that `completion` makes. */
  async tellOps(id: StoreId, completion: (segment: LogSegment) => Unstamped): Promise<void> {
    const mounted = this.#mounted.get(id);
    if (mounted === undefined) throw gone(id);
    await mounted.log.tellOps(completion);
  }

  /** What the store uses now, without its trash; later reports show it too. */
  async usedBytes(id: StoreId): Promise<number> {
    return (await this.#mounted.get(id)?.usedBytes()) ?? 0;
  }

  /** Called before a write for which the machine has reserved room: removes trash that is in its way. */
  async makeRoom(id: StoreId): Promise<void> {
    await this.#mounted.get(id)?.makeRoom();
  }

  /** The service is ending: from now on a disk is waited for only for a limited time. */
  hurry(): void {
    this.#disks.hurry();
  }

  /** @throws AggregateError of the stores that did not close cleanly. A disk that hangs is an alarm instead */
  async close(): Promise<void> {
    this.#isEnding = true;
    this.hurry();
    clearInterval(this.#timer);
    const closed = this.#disks.paths().map(path =>
      this.#inTurn(path, async () => {
        const mounted = this.#mountedAt(path);
        if (mounted === undefined) return;
        this.#mounted.delete(mounted.store.id);
        await mounted.close();
      }),
    );
    const failures = (await Promise.allSettled(closed)).flatMap(end => (end.status === 'rejected' ? [end.reason] : []));
    // A store that was given up meanwhile is closed in a turn of its own.
    await this.#turns.allDone();
    this.#disks.close();
    if (failures.length > 0) throw new AggregateError(failures, `${failures.length} stores did not close cleanly`);
  }

  async #mountOrMeasure(setting: StoreSetting): Promise<void> {
    let known = this.#mountedAt(setting.path);
    if (known !== undefined && (await this.#isDoubted(known))) {
      await this.#unmount(known.store.id);
      known = undefined;
    }
    if (known === undefined) {
      await this.#mount(setting);
      this.#missing.found(setting.path);
      return;
    }
    known.configure(setting);
    const whyGone = await known.store.whyGone();
    if (whyGone !== undefined) {
      await this.#unmount(known.store.id);
      throw new ClusterError('STORE_MISSING', whyGone, { blame: 'operator' });
    }
    if (known.store.isBehind) {
      if (await this.#canBeOpenedAgain(known)) {
        await this.#unmount(known.store.id);
        await this.#mount(setting);
      }
      this.#missing.found(setting.path);
      return;
    }
    this.#rescans.beginIfDue(known);
    await known.measure();
    this.#missing.found(setting.path);
  }

  /** True also where something but the disk keeps the index from catching up: opening the store anew finds out what. */
  async #canBeOpenedAgain({ path, store }: MountedStore): Promise<boolean> {
    try {
      await store.catchUp();
      return true;
    } catch (error) {
      if (!(error instanceof ClusterError && error.code === 'INDEX_REFUSED')) return true;
      this.#options.log.warn(
        { code: 'STORE_BEHIND', path, store: store.id, err: error },
        'the index of a store takes no writes: the store takes none either, and goes on giving what it has',
      );
      return false;
    }
  }

  async #mount(setting: StoreSetting): Promise<void> {
    const { log, onMount } = this.#options;
    const { path } = setting;
    const there = await readMarker(path);
    if (there.kind === 'found' && this.#mounted.has(there.marker.store)) {
      throw new ClusterError(
        'STORE_TWICE',
        `${path} is the store that is mounted as ${this.#mounted.get(there.marker.store)?.path}; name it once`,
        { blame: 'operator' },
      );
    }
    if (this.#made.at(path) === undefined) await this.#makeOnce(path, there);
    const store = await openOwnStore(path, {
      ...this.#options,
      remembered: this.#remembered,
      doubts: this.#doubts,
    });
    if (this.#made.at(path) !== store.id) await this.#made.remember(path, store.id);
    const mounted = new MountedStore(store, setting, {
      ...this.#options,
      turns: this.#turns,
      isMounted: asked => this.#mounted.get(store.id) === asked,
      besides: asked => this.#besides(asked),
      usedBytes: () => this.usedBytes(store.id),
      mountedStores: () => new Set(this.#mounted.keys()),
    });
    this.#mounted.set(store.id, mounted);
    try {
      await mounted.log.tellAll();
      await mounted.measure();
    } catch (error) {
      // The machine would take the part of a log that it has heard for the whole.
      await this.#unmount(store.id);
      throw error;
    }
    log.info({ code: 'STORE_MOUNTED', path, store: store.id }, 'store mounted');
    const keys = this.#whereKeysLie(path);
    // Its copies count, and may be the last ones: that keys lie there is no reason to do without them.
    if (keys !== undefined)
      log.warn({ code: 'STORE_HAS_KEYS', path }, `${keys}: give this disk to nobody, and move the state folder`);
    mounted.log.checkpointIfDue();
    onMount(store);
    this.#rescans.mounted(mounted);
    // They have lent what is this one's share now.
    for (const other of this.#besides(mounted)) void this.#inTurn(other.path, () => this.#lookAt(other.path));
    this.#rescans.beginIfDue(mounted);
  }

  /** Undefined: not in the folder of this store. A disk with a store may be given away, and no key with it. */
  #whereKeysLie(path: string): string | undefined {
    const [state, folder] = [this.#stateFolder, this.#folders.get(path)];
    if (state === undefined || folder === undefined) return undefined;
    const isState = folder.path === state.path || folder.identity === state.identity;
    if (!isState && pathsBelow(Buffer.from(folder.path, 'latin1'), [state]).length === 0) return undefined;
    return `the state folder of this host, where its keys lie, ${isState ? 'is that folder' : 'is below it'}`;
  }

  /** @throws ClusterError STORE_HAS_KEYS */
  async #makeOnce(path: string, there: Awaited<ReturnType<typeof readMarker>>): Promise<void> {
    const { cluster, host, boot, clock } = this.#options;
    // A store made just before this service was killed, or moved here, is taken as it is if it is this host's own.
    const isOurs = there.kind === 'found' && there.marker.cluster === cluster && there.marker.host === host;
    if (isOurs) await this.#made.remember(path, there.marker.store);
    else if (there.kind === 'absent') {
      const keys = this.#whereKeysLie(path);
      if (keys !== undefined) {
        throw new ClusterError(
          'STORE_HAS_KEYS',
          `${keys}, and no key may lie in a store. Nothing was written there. Name another folder in the policy`,
          { blame: 'operator' },
        );
      }
      const creating = { cluster, host, boot, nowMs: clock.wallMs(), random: () => randomBytes(16) };
      await this.#made.remember(path, await createStore(path, creating));
    }
  }

  #besides(mounted: MountedStore): readonly MountedStore[] {
    const device = this.#folders.get(mounted.path)?.device;
    if (device === undefined) return [];
    return [...this.#mounted.values()].filter(
      other => other !== mounted && this.#folders.get(other.path)?.device === device,
    );
  }

  async #unmount(id: StoreId): Promise<void> {
    const mounted = this.#mounted.get(id);
    if (mounted === undefined) return;
    this.#forget(mounted);
    await mounted.closeOrWarn();
  }

  #forget({ store }: MountedStore): void {
    this.#mounted.delete(store.id);
    this.#options.tell({ is: 'store-gone', store: store.id });
  }
}

const turnOf = (path: string): string => `store ${path}`;
