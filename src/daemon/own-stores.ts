/**
 * Own stores: the stores of this host, as the configuration names them: made once, mounted when their disks are there, and measured
 * every minute (mounted-store.ts). How their logs come to be told stands in store-log.ts, how their disks are watched in store-disks.ts,
 * what people hear of those that are not there in missing-stores.ts, and how one is read again after doubt in store-rescans.ts.
 *
 * A store's marker is made once, in a folder that exists, and never again: a disk that is not plugged in looks like an
 * empty folder, and must not become a second, empty store.
 *
 * Each store is looked at in a turn of its own, for a disk that hangs must not hold up the others (platform/disk.ts). One that has
 * hung for too long is given up: the machine hears that its store is gone, nothing of it is told from then on, and the store is
 * closed without waiting for its disk. A call that was under way may still write there, and what it enters into the log nobody has
 * announced. So the store is mounted again only when the last such call has ended: its log is then read anew, and told as it is.
 */
import { randomBytes } from 'node:crypto';
import type { Logger } from 'pino';
import { type ForbiddenFolder, lookAtForbidden, unseen } from '../catalog/forbidden-folder.js';
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
import { MountedStore } from './mounted-store.js';
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
  /** For how long what an interrupted fetch verified is kept. */
  readonly partialMs: () => number;
  /** For how long dropped and expired bytes lie in the trash. */
  readonly trashMs: () => number;
  /** What the machine keeps free in a store for what it is about to fetch. */
  readonly reservedBytes: (store: StoreId) => number;
  /** See StoreOpening. */
  readonly checkpointEveryOps?: number;
  /** See StoreDisksOptions. */
  readonly patience?: Patience & { readonly endMs: number };
  /** A store is mounted and the machine has its log. */
  readonly onMount: (store: Store) => void;
}

/** What people are told of a store that the configuration names. */
export interface OwnStoreReport {
  readonly path: string;
  readonly id: StoreId | undefined;
  readonly mounted: boolean;
  readonly draining: boolean;
  /** That are there; 0 while it is not mounted. */
  readonly parcels: number;
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
  /** Of stores that were opened anew for what others remember of their logs. */
  readonly #doubts = new StoreRests(DOUBT_RESTS);
  readonly #rescans: StoreRescans;
  readonly #disks: StoreDisks;
  /** By path, as they were found last. */
  readonly #folders = new Map<string, ForbiddenFolder>();
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
    this.#timer = setInterval(() => this.#lookAgain(), MEASURE_EVERY_MS);
    this.#disks.watch();
  }

  /** Mounts, unmounts and measures as these settings say. Failures become alarms, never errors. */
  configure(settings: readonly StoreSetting[]): Promise<void> {
    this.#settings = settings;
    for (const { path } of settings) this.#disks.setApart(path);
    return this.refresh();
  }

  /** Looks at every configured store again, side by side. */
  async refresh(): Promise<void> {
    await Promise.all(this.#disks.paths().map(path => this.#inTurn(path, () => this.#lookAt(path))));
    this.#looked = true;
  }

  #inTurn(path: string, work: () => Promise<void>): Promise<void> {
    return this.#turns.take(turnOf(path), work);
  }

  /** But not at those that are being looked at: a disk may be slow. */
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
   * Closes a store and opens it again, for it is not known what its log has, or the machine could not be told: the machine
   * hears that it is gone, then its whole log. Does nothing when that was done since, or the store is unmounted.
   *
   * @param store as `mounted` gave it
   */
  reopen(id: StoreId, store: unknown): Promise<void> {
    const path = this.#mounted.get(id)?.path;
    if (path === undefined) return Promise.resolve();
    return this.#inTurn(path, async () => {
      if (this.#mounted.get(id)?.store !== store) return;
      await this.#unmount(id);
      await this.#lookAt(path);
    });
  }

  /**
   * Another host remembers this of a store's log. Where the log does not have it, it is in doubt: the store is closed, and
   * opened with a new epoch above that one, and every copy is read again before it counts.
   *
   * @param theirs a position that this host itself has signed
   */
  async hearOfOwnLog(theirs: LogPosition): Promise<void> {
    // Nearly always: the others have all that we have.
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

  /** Where it is mounted, or may be being mounted: its log may have been compared with what others remembered until then. */
  #pathsOf(id: StoreId): readonly string[] {
    const mounted = this.#mounted.get(id);
    if (mounted !== undefined) return [mounted.path];
    return this.#settings.flatMap(({ path }) => (this.#made.at(path) === id ? [path] : []));
  }

  async #isDoubted({ store }: MountedStore): Promise<boolean> {
    if (this.#options.clock.nowMs() < this.#doubts.untilMs(store.id)) return false;
    return (await doubtOf(store, this.#remembered)) !== undefined;
  }

  /** In its turn. */
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
      // Something that was under way there has not ended yet.
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
      // Whoever mounts or measures the store says why. What was found before holds.
    }
  }

  /** The stores' folders, for who walks a source: as they were found when they were looked at last, so that nobody else waits for their disks. */
  forbidden(): readonly ForbiddenFolder[] {
    return this.#settings.map(({ path }) => this.#folders.get(path) ?? unseen(path));
  }

  mounted(id: StoreId): Store | undefined {
    return this.#mounted.get(id)?.store;
  }

  *stores(): IterableIterator<Store> {
    for (const { store } of this.#mounted.values()) yield store;
  }

  /** The catalogs of the mounted stores, where the records of our copies are. */
  *catalogs(): IterableIterator<ObjectReader> {
    for (const { objects } of this.stores()) yield objects;
  }

  /** The mounted stores, but for those that would keep whoever asks waiting. */
  *answering(): IterableIterator<Store> {
    for (const { path, store } of this.#mounted.values()) if (!this.#disks.hangs(path)) yield store;
  }

  /** Every configured store has been looked for, is mounted and is not being read again: what is in none of their logs is on no disk of ours. */
  get logsTellAll(): boolean {
    const isRead = [...this.#mounted.values()].every(({ store }) => !store.rescanDue);
    return this.#looked && this.#missing.isEmpty && isRead;
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
        lentBytes: mounted?.room.lentBytes ?? 0,
        usedBytes: mounted?.room.usedBytes ?? 0,
        because: mounted === undefined ? (this.#missing.why(path) ?? 'not looked at yet') : undefined,
      };
    });
  }

  /** Those that are configured and not mounted. */
  absent(): readonly AbsentStore[] {
    return this.reports().flatMap(({ path, because }) => (because === undefined ? [] : [{ path, because }]));
  }

  /** Tells the machine, as the input that `completion` makes, what the store's log has beyond what it was told. */
  async tellOps(id: StoreId, completion: (segment: LogSegment) => Unstamped): Promise<void> {
    const mounted = this.#mounted.get(id);
    if (mounted === undefined) throw gone(id);
    await mounted.log.tellOps(completion);
  }

  /** What the store uses now, its trash apart; also for those who ask for a report. */
  async usedBytes(id: StoreId): Promise<number> {
    return (await this.#mounted.get(id)?.usedBytes()) ?? 0;
  }

  /** Before something is written that the machine has reserved room for: trash that is in its way goes. */
  async makeRoom(id: StoreId): Promise<void> {
    await this.#mounted.get(id)?.makeRoom();
  }

  /** The service is to end: from now on a disk is waited for only so long. */
  hurry(): void {
    this.#disks.hurry();
  }

  /** @throws AggregateError of what stores did not take at their end. Of a disk that hangs it is an alarm */
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
    // What was given up meanwhile is closed in a turn of its own.
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
    this.#rescans.beginIfDue(known);
    await known.measure();
    this.#missing.found(setting.path);
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
      usedBytes: () => this.usedBytes(store.id),
      mountedStores: () => new Set(this.#mounted.keys()),
    });
    this.#mounted.set(store.id, mounted);
    try {
      await mounted.log.tellAll();
      await mounted.measure();
    } catch (error) {
      // The machine would take a log of which it has heard a part for the whole.
      await this.#unmount(store.id);
      throw error;
    }
    log.info({ code: 'STORE_MOUNTED', path, store: store.id }, 'store mounted');
    mounted.log.checkpointIfDue();
    onMount(store);
    this.#rescans.mounted(mounted);
    this.#rescans.beginIfDue(mounted);
  }

  async #makeOnce(path: string, there: Awaited<ReturnType<typeof readMarker>>): Promise<void> {
    const { cluster, host, boot, clock } = this.#options;
    // One that was made just before we were killed, or lay elsewhere before, is taken as it is if it is ours.
    const isOurs = there.kind === 'found' && there.marker.cluster === cluster && there.marker.host === host;
    if (isOurs) await this.#made.remember(path, there.marker.store);
    else if (there.kind === 'absent') {
      const creating = { cluster, host, boot, nowMs: clock.wallMs(), random: () => randomBytes(16) };
      await this.#made.remember(path, await createStore(path, creating));
    }
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
