/**
 * Own stores: the stores of this host, as the configuration names them: made once, mounted when their disks are there,
 * measured every minute, and their logs told to the machine in order.
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
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { recordBlobs } from '../catalog/record.js';
import { type Checkpoint, checkpointMessage, type LogBase } from '../core/checkpoint.js';
import { ClusterError } from '../core/fault.js';
import {
  type LogOp,
  type LogPosition,
  type LogSegment,
  logAfter,
  logStart,
  positionMessage,
} from '../core/holdings-log.js';
import { type ClusterId, type HostId, parseStoreId, type StoreId } from '../core/ids.js';
import type { ObjectReader } from '../core/objects.js';
import type { Signer } from '../core/signed.js';
import { DOUBT_RESTS, StoreRests } from '../core/store-rests.js';
import type { Lending, StoreSetting } from '../membership/policy.js';
import { type Disk, PATIENCE, type Patience, setApart } from '../platform/disk.js';
import { writeDurable } from '../platform/durable.js';
import { createStore } from '../store/create-store.js';
import type { IndexDatabase } from '../store/index-database.js';
import type { AppendVerdict } from '../store/log-archive.js';
import { readMarker } from '../store/marker.js';
import { openStore } from '../store/open-store.js';
import type { Store } from '../store/store.js';
import { Turns } from '../store/turns.js';
import type { Alarms } from './alarms.js';
import type { Clock } from './clock.js';
import type { Unstamped } from './driver.js';
import { END_PATIENCE, HANGING, HANGS, WATCH_EVERY_MS } from './hanging.js';
import { type LogDoubt, RememberedLogs } from './log-doubt.js';
import { makeRoom } from './store-room.js';

/** A `reserve` store looks at its disk's free room this often, in ms; a missing disk is looked for as often. */
const MEASURE_EVERY_MS = 60_000;
const GIVEN_UP = `${HANGS}; what it holds is untouched, and counts again when it answers`;
const HANGS_YET = 'a disk does not answer; nothing new is put there until it does';
const ANSWERS_AGAIN = 'a disk answers again';
/** A checkpoint that could not be made is tried again after this, in ms: it takes room, and the log can do without. */
const CHECKPOINT_AGAIN_MS = 10 * 60_000;
/** Operations told to the machine, and signed, at once when a store is mounted. */
const OPS_AT_ONCE = 4_096;

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
  /** How long a disk may take before it hangs; `endMs`: when the service ends. Default: PATIENCE, END_PATIENCE. */
  readonly patience?: Patience & { readonly endMs: number };
  /** A store is mounted and the machine has its log. */
  readonly onMount: (store: Store) => void;
}

interface Mounted {
  /** As the configuration has it. */
  readonly path: string;
  readonly store: Store;
  lends: Lending;
  lentBytes: number;
  /** Without its trash. */
  usedBytes: number;
  /** Operations that the machine has been told of. */
  toldSeq: number;
  /** No checkpoint is begun before, by `clock.nowMs()`; while one is being made, Infinity. */
  checkpointAfterMs: number;
  /** As the machine was told. */
  hangs: boolean;
}

/** A part of a store's log, as the machine is told of it. */
type LogPart = Extract<Unstamped, { readonly is: 'log' | 'checkpoint' }>;

const endOf = (part: LogPart): number => (part.is === 'log' ? part.segment.end.seq : part.piece.checkpoint.at.seq);

/** Verdicts of the archive on a part of a log of our own that leave it with that part. */
const IS_KEPT: Readonly<Record<AppendVerdict, boolean>> = {
  appended: true,
  known: true,
  collected: true,
  full: false,
  gap: false,
  'old-epoch': false,
  fork: false,
};

/** What people are told of a store that the configuration names. */
export interface OwnStoreReport {
  readonly path: string;
  readonly id: StoreId | undefined;
  readonly mounted: boolean;
  readonly lentBytes: number;
  readonly usedBytes: number;
  readonly because: string | undefined;
}

export class OwnStores {
  readonly #options: OwnStoresOptions;
  readonly #mounted = new Map<StoreId, Mounted>();
  /** Path of each configured store → its id, once a marker was made there. Kept in STATE/stores.json. */
  #made = new Map<string, StoreId>();
  #settings: readonly StoreSetting[] = [];
  readonly #missing = new Map<string, string>();
  #looked = false;
  readonly #turns = new Turns<string>();
  readonly #remembered = new RememberedLogs();
  /** Of stores that were opened anew for what others remember of their logs. */
  readonly #doubts = new StoreRests(DOUBT_RESTS);
  /** By path, of all stores that were ever configured. */
  readonly #disks = new Map<string, Disk>();
  #patience: Patience;
  #isEnding = false;
  #timer: NodeJS.Timeout | undefined;
  #watch: NodeJS.Timeout | undefined;

  constructor(options: OwnStoresOptions) {
    this.#options = options;
    this.#patience = options.patience ?? PATIENCE;
  }

  async open(): Promise<void> {
    this.#made = await readMade(join(this.#options.stateDir, 'stores.json'));
    this.#timer = setInterval(() => this.#lookAgain(), MEASURE_EVERY_MS);
    this.#watch = setInterval(() => this.#watchDisks(), WATCH_EVERY_MS);
  }

  /** Mounts, unmounts and measures as these settings say. Failures become alarms, never errors. */
  configure(settings: readonly StoreSetting[]): Promise<void> {
    this.#settings = settings;
    for (const { path } of settings) this.#disks.set(path, setApart(path));
    return this.refresh();
  }

  /** Looks at every configured store again, side by side. */
  async refresh(): Promise<void> {
    await Promise.all([...this.#disks.keys()].map(path => this.#inTurn(path, () => this.#lookAt(path))));
    this.#looked = true;
  }

  #inTurn(path: string, work: () => Promise<void>): Promise<void> {
    return this.#turns.take(turnOf(path), work);
  }

  /** But not at those that are being looked at: a disk may be slow. */
  #lookAgain(): void {
    for (const path of this.#disks.keys())
      if (!this.#turns.busy(turnOf(path))) void this.#inTurn(path, () => this.#lookAt(path));
  }

  #watchDisks(): void {
    for (const [path, disk] of this.#disks) if (!disk.isGivenUp && disk.hangs(this.#patience)) this.#giveUp(path, disk);
    for (const mounted of this.#mounted.values()) this.#tellWhetherItHangs(mounted);
  }

  #tellWhetherItHangs(mounted: Mounted): void {
    const { path, store } = mounted;
    const hangs = setApart(path).hangs(HANGING);
    if (hangs === mounted.hangs) return;
    mounted.hangs = hangs;
    const { log, tell } = this.#options;
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
    this.#isMissing(path, GIVEN_UP);
    const closed = this.#inTurn(path, async () => {
      if (mounted !== undefined) await this.#closedOrWarn(mounted.store);
    });
    void closed.then(() => disk.settled()).then(() => this.#inTurn(path, () => this.#lookAt(path)));
  }

  #mountedAt(path: string): Mounted | undefined {
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
    // Also while it is being mounted, and its log may have been compared with what others remembered until then.
    const [path] = [...this.#made].find(([, id]) => id === theirs.store) ?? [];
    if (path === undefined) return;
    await this.#inTurn(path, async () => {
      const mounted = this.#mounted.get(theirs.store);
      if (mounted !== undefined && (await this.#isDoubted(mounted))) await this.#lookAt(path);
    });
  }

  async #isDoubted({ store }: Mounted): Promise<boolean> {
    if (this.#options.clock.nowMs() < this.#doubts.untilMs(store.id)) return false;
    return (await this.#remembered.doubt(store)) !== undefined;
  }

  /** In its turn. */
  async #lookAt(path: string): Promise<void> {
    if (this.#isEnding) return;
    const setting = this.#settings.find(wanted => wanted.path === path);
    if (setting === undefined) {
      const mounted = this.#mountedAt(path);
      if (mounted !== undefined) await this.#unmount(mounted.store.id);
      this.#options.alarms.clear('STORE_DOUBT', path);
      this.#found(path);
      return;
    }
    const disk = setApart(path);
    if (disk.isGivenUp) {
      // Something that was under way there has not ended yet.
      if (disk.isBusy) return this.#isMissing(path, GIVEN_UP);
      disk.takeUp();
    }
    try {
      await this.#mountOrMeasure(setting);
    } catch (error) {
      if (disk.isGivenUp) return;
      const because = error instanceof Error ? error.message : String(error);
      this.#isMissing(path, because, error);
    }
  }

  #isMissing(path: string, because: string, error?: unknown): void {
    const { alarms, log } = this.#options;
    if (this.#missing.get(path) !== because)
      log.error({ code: 'STORE_NOT_MOUNTED', path, because, err: error }, 'a store is not mounted');
    this.#missing.set(path, because);
    alarms.raise('STORE_MISSING', path, `store ${path} is not mounted: ${because}`);
  }

  mounted(id: StoreId): Store | undefined {
    return this.#mounted.get(id)?.store;
  }

  *stores(): IterableIterator<Store> {
    for (const { store } of this.#mounted.values()) yield store;
  }

  /** The catalogs of the mounted stores, where the records of our copies are; but for those that would keep whoever asks waiting. */
  *catalogs(): IterableIterator<ObjectReader> {
    for (const { objects } of this.answering()) yield objects;
  }

  /** The mounted stores, but for those that would keep whoever asks waiting. */
  *answering(): IterableIterator<Store> {
    for (const { path, store } of this.#mounted.values()) if (!setApart(path).hangs(HANGING)) yield store;
  }

  /** Every configured store has been looked for, is mounted and is not being read again: what is in none of their logs is on no disk of ours. */
  get logsTellAll(): boolean {
    const isRead = [...this.#mounted.values()].every(({ store }) => !store.rescanDue);
    return this.#looked && this.#missing.size === 0 && isRead;
  }

  positions(): readonly LogPosition[] {
    return [...this.#mounted.values()].map(({ store }) => store.position());
  }

  reports(): readonly OwnStoreReport[] {
    const byPath = new Map([...this.#mounted.values()].map(mounted => [mounted.path, mounted]));
    return this.#settings.map(({ path }) => {
      const mounted = byPath.get(path);
      return {
        path,
        id: mounted?.store.id ?? this.#made.get(path),
        mounted: mounted !== undefined,
        lentBytes: mounted?.lentBytes ?? 0,
        usedBytes: mounted?.usedBytes ?? 0,
        because: mounted === undefined ? (this.#missing.get(path) ?? 'not looked at yet') : undefined,
      };
    });
  }

  /**
   * Tells the machine, as the input that `completion` makes, what the store's log has beyond what it was told. Told in the
   * turn in which it is read, for a segment that overtakes another leaves a gap that nobody can fill. Several commits may
   * share one segment; the machine takes each operation once.
   */
  tellOps(id: StoreId, completion: (segment: LogSegment) => Unstamped): Promise<void> {
    return this.#turns.take(`log ${id}`, async () => {
      const mounted = this.#mounted.get(id);
      if (mounted === undefined) throw gone(id);
      const end = mounted.store.position();
      const ops = await mounted.store.ops(mounted.toldSeq, end.seq - mounted.toldSeq);
      const segment = this.#signed(end, ops);
      await this.#keep(mounted.store, { is: 'log', segment });
      // The machine may have heard meanwhile that it is gone. It hears of this with the whole log, when it is mounted again.
      if (this.#mounted.get(id) !== mounted) throw gone(id);
      this.#options.tell(completion(segment));
      mounted.toldSeq = end.seq;
      this.#checkpointIfDue(mounted);
    });
  }

  /** Not waited for: it runs beside everything else. */
  #checkpointIfDue(mounted: Mounted): void {
    const { clock, log } = this.#options;
    const { store } = mounted;
    if (!store.isCheckpointDue || clock.nowMs() < mounted.checkpointAfterMs) return;
    mounted.checkpointAfterMs = Number.POSITIVE_INFINITY;
    const make = async (): Promise<void> => {
      try {
        await this.#makeCheckpoint(mounted);
        mounted.checkpointAfterMs = Number.NEGATIVE_INFINITY;
      } catch (error) {
        mounted.checkpointAfterMs = clock.nowMs() + CHECKPOINT_AGAIN_MS;
        if (this.#mounted.get(store.id) !== mounted) return;
        log.warn(
          { code: 'CHECKPOINT_NOT_MADE', store: store.id, err: error },
          'the log of a store could not be made shorter; it goes on as it is, and that is tried again later',
        );
      }
    };
    void make();
  }

  async #makeCheckpoint({ store }: Mounted): Promise<void> {
    const { index, log } = this.#options;
    const { id } = store;
    // What it will stand for cannot be read any more: the machine must have been told of each operation.
    await store.makeCheckpoint(async () => {
      const usedBytes = await this.usedBytes(id);
      await this.tellOps(id, segment => ({ is: 'own-ops', segment, usedBytes }));
    });
    const { base } = store;
    if (base === undefined) return;
    await index.logs.takePiece({ checkpoint: this.#signedBase(base), first: 0, ops: [] });
    log.info(
      { code: 'CHECKPOINT_MADE', store: id, seq: base.at.seq, held: base.count },
      'the log of a store was made shorter',
    );
  }

  /** What it lends beyond what it uses, its trash apart, and what is kept free for the machine. */
  roomBytes(id: StoreId): number {
    const mounted = this.#mounted.get(id);
    if (mounted === undefined) return 0;
    return mounted.lentBytes - mounted.usedBytes - this.#options.reservedBytes(id);
  }

  /** What the store uses now, its trash apart; also for those who ask for a report. */
  async usedBytes(id: StoreId): Promise<number> {
    const mounted = this.#mounted.get(id);
    if (mounted === undefined) return 0;
    const { usedBytes, trashBytes } = await mounted.store.usage();
    mounted.usedBytes = usedBytes - trashBytes;
    return mounted.usedBytes;
  }

  /** Before something is written that the machine has reserved room for: trash that is in its way goes. */
  async makeRoom(id: StoreId): Promise<void> {
    const mounted = this.#mounted.get(id);
    if (mounted !== undefined) await this.#makeRoom(mounted);
  }

  /** One look at a time, or two would remove twice what is in the way. */
  #makeRoom(mounted: Mounted): Promise<void> {
    const { store, lends } = mounted;
    return this.#turns.take(`room ${store.id}`, async () => {
      const reservedBytes = (): number => this.#options.reservedBytes(store.id);
      Object.assign(mounted, await makeRoom(store, { lends, reservedBytes }));
    });
  }

  /** The service is to end: from now on a disk is waited for only so long. */
  hurry(): void {
    const endMs = this.#options.patience?.endMs;
    this.#patience = endMs === undefined ? END_PATIENCE : { callMs: endMs, flushMs: endMs };
  }

  /** @throws AggregateError of what stores did not take at their end. Of a disk that hangs it is an alarm */
  async close(): Promise<void> {
    this.#isEnding = true;
    this.hurry();
    clearInterval(this.#timer);
    const closed = [...this.#disks.keys()].map(path =>
      this.#inTurn(path, async () => {
        const mounted = this.#mountedAt(path);
        if (mounted === undefined) return;
        this.#mounted.delete(mounted.store.id);
        await this.#closed(mounted.store);
      }),
    );
    const failures = (await Promise.allSettled(closed)).flatMap(end => (end.status === 'rejected' ? [end.reason] : []));
    // What was given up meanwhile is closed in a turn of its own.
    await this.#turns.allDone();
    clearInterval(this.#watch);
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
      this.#found(setting.path);
      return;
    }
    known.lends = setting.lends;
    const gone = await known.store.whyGone();
    if (gone !== undefined) {
      await this.#unmount(known.store.id);
      throw new ClusterError('STORE_MISSING', gone, { blame: 'operator' });
    }
    await this.#measure(known);
  }

  /** Nothing is missing there (any more). */
  #found(path: string): void {
    this.#missing.delete(path);
    this.#options.alarms.clear('STORE_MISSING', path);
  }

  async #mount(setting: StoreSetting): Promise<void> {
    const { cluster, host, boot, clock, log } = this.#options;
    const { path } = setting;
    const there = await readMarker(path);
    if (there.kind === 'found' && this.#mounted.has(there.marker.store)) {
      throw new ClusterError(
        'STORE_TWICE',
        `${path} is the store that is mounted as ${this.#mounted.get(there.marker.store)?.path}; name it once`,
        { blame: 'operator' },
      );
    }
    if (!this.#made.has(path)) {
      // One that was made just before we were killed, or lay elsewhere before, is taken as it is if it is ours.
      const isOurs = there.kind === 'found' && there.marker.cluster === cluster && there.marker.host === host;
      if (isOurs) await this.#remember(path, there.marker.store);
      else if (there.kind === 'absent') {
        const creating = { cluster, host, boot, nowMs: clock.wallMs(), random: () => randomBytes(16) };
        await this.#remember(path, await createStore(path, creating));
      }
    }
    const store = await this.#open(path);
    if (this.#made.get(path) !== store.id) await this.#remember(path, store.id);
    const mounted: Mounted = {
      path,
      store,
      lends: setting.lends,
      lentBytes: 0,
      usedBytes: 0,
      toldSeq: 0,
      checkpointAfterMs: Number.NEGATIVE_INFINITY,
      hangs: false,
    };
    this.#mounted.set(store.id, mounted);
    try {
      // In its turn: an operation that comes meanwhile and is told of between two pieces would be told of twice, or never.
      await this.#turns.take(`log ${store.id}`, () => this.#tellLog(mounted));
      await this.#measure(mounted);
    } catch (error) {
      // The machine would take a log of which it has heard a part for the whole.
      await this.#unmount(store.id);
      throw error;
    }
    log.info({ code: 'STORE_MOUNTED', path, store: store.id }, 'store mounted');
    this.#checkpointIfDue(mounted);
    this.#options.onMount(store);
    if (store.rescanDue) this.#rescan(mounted);
  }

  /** With a new epoch if what others remember speaks against its log. */
  async #open(path: string): Promise<Store> {
    const { alarms, clock } = this.#options;
    const store = await this.#openWith(path);
    let doubt: LogDoubt | undefined;
    try {
      doubt = await this.#remembered.doubt(store);
    } catch (error) {
      await store.close();
      throw error;
    }
    if (doubt === undefined) return store;
    await store.close();
    this.#doubts.begin(store.id, clock.nowMs());
    alarms.raise(
      'STORE_DOUBT',
      path,
      `store ${path}: ${doubt.because}. It was put back from an old image, or a copy of this host runs elsewhere. A new log is begun, and a copy counts again when all of it has been read`,
    );
    return this.#openWith(path, doubt);
  }

  async #openWith(path: string, doubt?: LogDoubt): Promise<Store> {
    const { cluster, host, boot, previousBoot, index, clock, log, checkpointEveryOps } = this.#options;
    const opened = await openStore({
      path,
      cluster,
      host,
      boot,
      previousBoot,
      nowMs: clock.wallMs(),
      wallMs: () => clock.wallMs(),
      index,
      blobsOf: recordBlobs,
      log,
      random: () => randomBytes(8),
      ...(checkpointEveryOps === undefined ? {} : { checkpointEveryOps }),
      ...(doubt === undefined ? {} : { doubt }),
    });
    if (opened.kind === 'missing') throw new ClusterError('STORE_MISSING', opened.because, { blame: 'operator' });
    return opened.store;
  }

  async #tellLog(mounted: Mounted): Promise<void> {
    const { store } = mounted;
    for await (const part of this.#wholeLog(store)) {
      if (this.#mounted.get(store.id) !== mounted) throw gone(store.id);
      mounted.toldSeq = endOf(part);
      this.#options.tell(part);
      await this.#keep(store, part);
    }
  }

  /** What a store's log stands on, and then its operations up to now: as the machine is told, in that order. */
  async *#wholeLog(store: Store): AsyncGenerator<LogPart> {
    const { base } = store;
    const end = store.position();
    if (base !== undefined) {
      const checkpoint = this.#signedBase(base);
      let first = 0;
      for await (const ops of store.contents()) {
        yield { is: 'checkpoint', piece: { checkpoint, first, ops } };
        first += ops.length;
      }
      if (base.count === 0) yield { is: 'checkpoint', piece: { checkpoint, first, ops: [] } };
    }
    let position = base?.at ?? logStart(store.id, end.epoch);
    do {
      const ops = await store.ops(position.seq, Math.min(OPS_AT_ONCE, end.seq - position.seq));
      position = ops.reduce(logAfter, position);
      yield { is: 'log', segment: this.#signed(position, ops) };
    } while (position.seq < end.seq);
  }

  /** Into the archive, from which every log is served. */
  async #keep(store: Store, part: LogPart): Promise<void> {
    const { host, index, log } = this.#options;
    let verdict = await this.#archived(part);
    if (IS_KEPT[verdict]) return;
    // The index was lost, or is from before a doubt that it did not hear of: others would read nothing of this log, or another one.
    log.warn(
      { code: 'OWN_LOG_NOT_KEPT', store: store.id, because: verdict },
      'the index has another log of a store; it is told anew',
    );
    await index.logs.drop(host, store.id);
    if (verdict === 'full') await index.logs.keepOnly(host, new Set(this.#mounted.keys()));
    for await (const again of this.#wholeLog(store)) verdict = await this.#archived(again);
    if (IS_KEPT[verdict]) return;
    log.error(
      { code: 'OWN_LOG_NOT_KEPT', store: store.id, because: verdict },
      'the index does not take the log of a store; others will not hear of its copies until it is mounted anew',
    );
  }

  #archived(part: LogPart): Promise<AppendVerdict> {
    const { logs } = this.#options.index;
    return part.is === 'log' ? logs.append(part.segment) : logs.takePiece(part.piece);
  }

  #signedBase(base: LogBase): Checkpoint {
    const { host, signer } = this.#options;
    return { host, ...base, signature: signer.sign(checkpointMessage(host, base)) };
  }

  /** After doubt about a log: every copy is read again before it counts. Runs beside everything else. */
  #rescan({ store, path }: Mounted): void {
    const { alarms, log, signal } = this.#options;
    const run = async (): Promise<void> => {
      for await (const _ of store.rescan(signal)) await this.tellOps(store.id, segment => ({ is: 'log', segment }));
      log.info({ code: 'STORE_RESCANNED', store: store.id }, 'every copy of the store has been read again');
      alarms.clear('STORE_DOUBT', path);
    };
    run().catch((error: unknown) => {
      if (!signal.aborted)
        log.error(
          { code: 'RESCAN_FAILED', store: store.id, err: error },
          'a store could not be read again to its end; it goes on at the next start',
        );
    });
  }

  async #measure(mounted: Mounted): Promise<void> {
    const { store } = mounted;
    await store.sweepIncoming(this.#options.clock.wallMs() - this.#options.partialMs());
    await store.emptyTrash({ olderThanMs: this.#options.trashMs() });
    await this.#makeRoom(mounted);
    this.#options.tell({
      is: 'store',
      store: store.id,
      lentBytes: mounted.lentBytes,
      usedBytes: mounted.usedBytes,
      draining: false,
    });
  }

  async #unmount(id: StoreId): Promise<void> {
    const mounted = this.#mounted.get(id);
    if (mounted === undefined) return;
    this.#forget(mounted);
    await this.#closedOrWarn(mounted.store);
  }

  #forget({ store }: Mounted): void {
    this.#mounted.delete(store.id);
    this.#options.tell({ is: 'store-gone', store: store.id });
  }

  async #closedOrWarn(store: Store): Promise<void> {
    try {
      await this.#closed(store);
    } catch (error) {
      // Its disk may be gone already, and nothing of it is used any more.
      this.#options.log.warn(
        { code: 'STORE_NOT_CLOSED', store: store.id, err: error },
        'a store did not close cleanly',
      );
    }
  }

  /** Also what is being told of it has ended. */
  async #closed(store: Store): Promise<void> {
    await store.close();
    await this.#turns.take(`log ${store.id}`, async () => undefined);
  }

  #signed(end: LogPosition, ops: readonly LogOp[]): LogSegment {
    const { host, signer } = this.#options;
    return { host, end, ops, signature: signer.sign(positionMessage(host, end)) };
  }

  #remember(path: string, id: StoreId): Promise<void> {
    this.#made.set(path, id);
    // One after the other, or an older list would take the place of a newer one.
    return this.#turns.take('made', async () => {
      await mkdir(this.#options.stateDir, { recursive: true });
      const text = `${JSON.stringify(Object.fromEntries(this.#made), null, 2)}\n`;
      await writeDurable(join(this.#options.stateDir, 'stores.json'), Buffer.from(text), { mode: 0o600 });
    });
  }
}

const turnOf = (path: string): string => `store ${path}`;

const gone = (id: StoreId): ClusterError =>
  new ClusterError('STORE_MISSING', `store ${id} is not mounted any more`, { blame: 'passing' });

async function readMade(path: string): Promise<Map<string, StoreId>> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Map();
    throw error;
  }
  const entries = Object.entries(JSON.parse(text) as Record<string, string>);
  return new Map(entries.map(([storePath, id]) => [storePath, parseStoreId(id)]));
}
