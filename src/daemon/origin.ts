/**
 * Origin: this host's own sources, and the runs that take their snapshots. Whatever is done to a source (a run, an unlisting, a re-cut,
 * a look at its folder) is done in its turn, one at a time; here is who gets the turn, and when.
 *
 * How a head comes to list a snapshot stands in own-heads.ts, what is unlisted in unlisting.ts, what becomes of a file that can no
 * longer be given to anybody in torn-files.ts.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { ForbiddenFolder } from '../catalog/forbidden-folder.js';
import type { ListedSnapshot } from '../catalog/head.js';
import { diffLive, type LiveDifference, type LiveDiffOrder } from '../catalog/live-diff.js';
import type { KeepCounts } from '../catalog/retention.js';
import type { ScanCache } from '../catalog/scan-cache.js';
import { isPartial } from '../catalog/snapshot.js';
import type { SourceHistory } from '../catalog/source-history.js';
import { type SnapshotRefusal, type SnapshotVerdict, takeSnapshot } from '../catalog/take-snapshot.js';
import { ClusterError } from '../core/fault.js';
import { HOLD_DAYS_FIRST, HOLD_DAYS_OTHER, SEEN_MAX } from '../core/hold.js';
import {
  type HostId,
  type ObjectId,
  type ParcelId,
  type PeerName,
  type SourceId,
  sourceIdOf,
  splitSourceId,
} from '../core/ids.js';
import type { Known } from '../core/known.js';
import type { ObjectReader, ObjectWriter } from '../core/objects.js';
import type { Signer } from '../core/signed.js';
import type { SourceSetting } from '../membership/policy.js';
import { scheduleText } from '../membership/schedule.js';
import { DiskHangs } from '../platform/disk.js';
import { Turns } from '../store/turns.js';
import type { AlarmCode } from './alarm-codes.js';
import type { Alarms } from './alarms.js';
import type { Brakes } from './brakes.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import type { Clock } from './clock.js';
import type { Forgotten } from './forgotten.js';
import { HANGS } from './hanging.js';
import { holdText } from './hold-text.js';
import { clearHookAlarms, runWithHooks } from './hooked-run.js';
import type { Hooks } from './hooks.js';
import type { OwnSource } from './live-parcels.js';
import { MassChanges } from './mass-changes.js';
import type { OnceCopied } from './once-copied.js';
import { OwnHeads } from './own-heads.js';
import { fromFuture, type Retainer, type Retention } from './retention.js';
import { SourceSchedule } from './source-schedule.js';
import { SourceWatch } from './source-watch.js';
import { TornFiles } from './torn-files.js';
import { tellUnentered, UNENTERED } from './unentered.js';
import { Unlisting } from './unlisting.js';

/** Between two looks at which snapshots have come to be copied, in ms. A look ends at the first parcel that nobody has. */
const COPIED_LOOK_MS = 10 * 60_000;
/** After a run that failed, in ms. */
const RETRY_MS = 5 * 60_000;
const DAY_MS = 86_400_000;

/** Of one source of ours: they end when it leaves the policy. */
const ALARMS: readonly AlarmCode[] = [
  'BACKUP_FAILED',
  'HEAD_DAMAGED',
  'HOLDS_FULL',
  'NEVER_DUE',
  'RETENTION_FAILED',
  'SELF_TEST_FAILED',
  'SNAPSHOT_FROM_FUTURE',
  'SOURCE_MISSING',
  UNENTERED,
];

export type Taken = Extract<SnapshotVerdict, { kind: 'taken' }> & {
  readonly timeMs: number;
  /** It has set the source's brake off. */
  readonly braked: boolean;
};

interface Own {
  setting: SourceSetting;
  readonly source: SourceId;
  readonly schedule: SourceSchedule;
  /** Under way or waiting: the schedule goes on from the last of them. */
  dueRuns: number;
  /** Where the policy wants it. */
  watch: SourceWatch | undefined;
  /** Why no snapshot can be taken. */
  missing: string | undefined;
  readonly torn: TornFiles;
  /** While some wanted snapshot is not known to have been copied. */
  copiedTimer: NodeJS.Timeout | undefined;
}

interface RunOptions {
  readonly acceptChanges: boolean;
  /** It takes the place of listed snapshots from the future. */
  readonly unlistFuture?: boolean;
  /** That of the moment when the run was asked for. */
  readonly watch: SourceWatch | undefined;
}

export interface OriginOptions {
  readonly host: HostId;
  readonly signer: Signer;
  readonly history: SourceHistory;
  readonly catalog: CatalogKeeper;
  readonly forgotten: Pick<Forgotten, 'isVoid' | 'seqOf'>;
  /** The catalog here; what is missing of it is read from those who have it. */
  readonly objects: ObjectWriter;
  readonly known: Pick<Known, 'isClaimed'>;
  readonly cache: ScanCache;
  /** Before the cache is used for a scan. @returns is called when that has ended */
  readonly beginScan: (source: SourceId) => () => void;
  readonly clock: Clock;
  readonly alarms: Alarms;
  readonly brakes: Brakes;
  readonly hooks: Hooks;
  readonly retainer: Retainer;
  readonly onceCopied: OnceCopied;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** For a run's temporary file: on the state's disk, as the system's own folder for such may be memory. */
  readonly scratchFolder: string;
  /** Stores and state folders: never scanned. */
  readonly forbidden: () => readonly ForbiddenFolder[];
  /** Why nothing of a source can be read now: its disk does not answer. */
  readonly hanging: (source: SourceId) => string | undefined;
  /** Asks every reachable member for its state, so that their heads of our sources are here. */
  readonly askEverybody: () => Promise<void>;
}

export class Origin {
  readonly #options: OriginOptions;
  readonly #own = new Map<SourceId, Own>();
  readonly #turns = new Turns<SourceId>();
  readonly #heads: OwnHeads;
  readonly #unlisting: Unlisting;
  readonly #massChanges: MassChanges;

  constructor(options: OriginOptions) {
    this.#options = options;
    this.#heads = new OwnHeads(options);
    this.#unlisting = new Unlisting({ ...options, heads: this.#heads });
    this.#massChanges = new MassChanges(options);
  }

  /** A head of a source of ours that a peer, or a store of ours, remembers. */
  heardOwnHead(source: SourceId, sealed: Uint8Array, from: PeerName | ObjectReader): Promise<void> {
    return this.#heads.heard(source, sealed, from);
  }

  /** At the start, when the catalog is read. Never rejects. */
  putBackHeads(): Promise<void> {
    return this.#heads.putBack();
  }

  configure(settings: readonly SourceSetting[]): void {
    const wanted = new Map(settings.map(setting => [sourceIdOf(this.#options.host, setting.name), setting]));
    for (const [source, own] of this.#own) {
      if (wanted.has(source)) continue;
      this.#end(own);
      this.#own.delete(source);
      for (const code of ALARMS) this.#options.alarms.clear(code, source);
      clearHookAlarms(this.#options.alarms, source);
    }
    const { brakes, forgotten, catalog } = this.#options;
    brakes.configure(new Set(wanted.keys()), {
      isForgotten: source => forgotten.isVoid(source, catalog.get(source)?.head.seq ?? 0),
    });
    for (const [source, setting] of wanted) {
      const known = this.#own.get(source);
      const own = known ?? this.#begin(source, setting);
      const isWatchedAsBefore =
        known !== undefined && isDeepStrictEqual(watchingOf(known.setting), watchingOf(setting));
      own.setting = setting;
      this.#own.set(source, own);
      if (!isWatchedAsBefore) this.#watch(own);
      this.#tellDamage(own);
      this.#unlisting.tellFuture(source, setting.name);
      this.#schedule(source);
      this.#lookForCopies(own);
    }
  }

  /** Configured, of this host. */
  sources(): IterableIterator<SourceId> {
    return this.#own.keys();
  }

  ownSource(source: SourceId): OwnSource | undefined {
    const own = this.#own.get(source);
    return own === undefined ? undefined : { source, path: own.setting.path };
  }

  missing(source: SourceId): string | undefined {
    return this.#options.hanging(source) ?? this.#own.get(source)?.missing;
  }

  /** A snapshot is being taken, or snapshots are being unlisted. */
  get isBusy(): boolean {
    return !this.#turns.isIdle;
  }

  /** Takes a snapshot now, after any run of the same source that is under way. What it makes one too many is unlisted behind. */
  async backup(source: SourceId, options: Omit<RunOptions, 'watch'>): Promise<Taken> {
    const watch = this.#own.get(source)?.watch;
    watch?.runComes();
    const run = () => this.#runWithHooks(source, { ...options, watch });
    const taken = await this.#turns.take(source, () => (watch === undefined ? run() : watch.run(run)));
    const own = this.#own.get(source);
    if (own !== undefined) this.#lookForCopies(own);
    this.#retain(source);
    return taken;
  }

  /** A run of the source is under way, or waits for its turn. */
  isRunning(source: SourceId): boolean {
    return this.#turns.busy(source);
  }

  /**
   * How the source's folder differs from a snapshot, which is chosen after any run that is under way; the next run waits.
   * @throws ClusterError SOURCE_MISSING, PATH_UNKNOWN; then what was told before does not hold
   */
  compare(
    source: SourceId,
    { choose, under, signal }: Pick<LiveDiffOrder, 'under' | 'signal'> & { readonly choose: () => Promise<ObjectId> },
    tell: (difference: LiveDifference) => Promise<void>,
  ): Promise<void> {
    const compareNow = async (): Promise<void> => {
      const { objects, cache, clock, forbidden } = this.#options;
      const { path, exclude, crossMounts, name } = this.#ownOf(source).setting;
      const folder = { path, source, exclude, crossMounts, forbidden: forbidden(), nowMs: clock.wallMs() };
      signal.throwIfAborted();
      const snapshot = await choose();
      for await (const difference of diffLive({ ...folder, snapshot, under, objects, cache, signal })) {
        if (difference.kind !== 'refused') {
          await tell(difference);
          continue;
        }
        const text = `nothing of source ${name} was compared: ${refusalText(difference, path)}; its snapshots are kept`;
        throw new ClusterError('SOURCE_MISSING', text, { blame: 'operator' });
      }
    };
    return this.#turns.take(source, () => {
      const { setting } = this.#ownOf(source);
      const scanEnds = this.#options.beginScan(source);
      return unlessHanging(setting, compareNow().finally(scanEnds));
    });
  }

  /** What `keep` (default: the policy's) makes of the source's snapshots now. Nothing is changed. */
  retention(source: SourceId, keep: KeepCounts | undefined, signal: AbortSignal): Promise<Retention> {
    const { setting } = this.#ownOf(source);
    return this.#unlisting.judge(source, keep ?? setting.keep, signal);
  }

  /** Unlists what `keep` (default: the policy's) does not keep. @throws ClusterError RETENTION_STOPPED, HEAD_DAMAGED, HISTORY_LOST; then nothing was changed */
  forget(source: SourceId, keep: KeepCounts | undefined, signal: AbortSignal): Promise<Retention> {
    return this.#turns.take(source, async () => {
      const { setting } = this.#ownOf(source);
      await this.#heads.knowAll();
      await this.#heads.bringIntoForce(source);
      return this.#unlisting.byPerson(source, { ...setting, keep: keep ?? setting.keep }, signal);
    });
  }

  /** Listed snapshots that are from the future by this host's clock, oldest first. */
  fromFuture(source: SourceId): readonly ListedSnapshot[] {
    return this.#unlisting.fromFuture(source);
  }

  /**
   * Takes a snapshot in place of those from the future, which have the newest of the source: they are listed until it is.
   * @throws ClusterError RETENTION_STOPPED, and what `backup` throws; then nothing was changed
   */
  async forgetFuture(source: SourceId): Promise<void> {
    this.#unlisting.mayReplaceFuture(source, this.#ownOf(source).setting);
    await this.backup(source, { acceptChanges: false, unlistFuture: true });
  }

  /** A file of a listed snapshot cannot be given any more as the snapshot has it. */
  torn({
    source,
    parcel,
    path,
  }: {
    readonly source: SourceId;
    readonly parcel: ParcelId;
    readonly path: Buffer;
  }): void {
    this.#own.get(source)?.torn.tell(parcel, path);
  }

  /** Cuts the source's snapshots anew without what was told to be torn and is; now, after any run that is under way. */
  async cutOutTorn(source: SourceId): Promise<void> {
    const own = this.#own.get(source);
    if (own === undefined) return;
    own.torn.close();
    await this.#turns.take(source, () => own.torn.cutOut({ source, path: own.setting.path }));
  }

  /** Notes which of the source's snapshots are copied by now, after any run that is under way. @returns whether all are, or were */
  noteCopied(source: SourceId): Promise<boolean> {
    const { catalog, onceCopied, signal } = this.#options;
    return this.#turns.take(source, () =>
      onceCopied.look(source, this.#heads.wanted(source), { areAll: catalog.isKnownInFull(source), signal }),
    );
  }

  async stop(): Promise<void> {
    for (const own of this.#own.values()) this.#end(own);
    // Runs under way end by the signal; their turns are waited for, so that nothing writes after us: also those of sources that the
    // policy has no more.
    await this.#turns.allDone();
  }

  #begin(source: SourceId, setting: SourceSetting): Own {
    const { catalog, clock, log } = this.#options;
    const torn = new TornFiles({ ...this.#options, heads: this.#heads }, () => {
      this.cutOutTorn(source).catch((error: unknown) => {
        log.error(
          { code: 'RECUT_FAILED', source, err: error },
          'a snapshot could not be cut anew; the next one replaces it',
        );
      });
    });
    const schedule = new SourceSchedule({
      source,
      lastMs: () => catalog.get(source)?.head.snapshots.at(-1)?.timeMs,
      wallMs: () => clock.wallMs(),
      onDue: () => this.#takeDue(source),
    });
    return {
      setting,
      source,
      schedule,
      dueRuns: 0,
      watch: undefined,
      missing: undefined,
      torn,
      copiedTimer: undefined,
    };
  }

  #end({ schedule, torn, copiedTimer, watch }: Own): void {
    schedule.rest();
    torn.close();
    clearTimeout(copiedTimer);
    watch?.close();
  }

  /** After a while, and until all are. */
  #lookForCopies(own: Own): void {
    const { log, signal } = this.#options;
    if (signal.aborted) return;
    own.copiedTimer ??= setTimeout(() => {
      own.copiedTimer = undefined;
      this.noteCopied(own.source)
        .catch((error: unknown) => {
          if (signal.aborted) return true;
          log.warn(
            { code: 'COPIED_NOT_NOTED', source: own.source, err: error },
            'which snapshots are copied could not be noted; it is tried again',
          );
          return false;
        })
        .then(areAllCopied => {
          if (!areAllCopied && this.#own.get(own.source) === own) this.#lookForCopies(own);
        });
    }, COPIED_LOOK_MS).unref();
  }

  #schedule(source: SourceId, notBeforeMs = 0): void {
    const own = this.#own.get(source);
    if (own === undefined || own.dueRuns > 0 || this.#options.signal.aborted) return;
    const { alarms } = this.#options;
    const { name } = own.setting;
    if (own.schedule.arm(own.setting, notBeforeMs)) alarms.clear('NEVER_DUE', source);
    else
      alarms.raise(
        'NEVER_DUE',
        source,
        `source ${name}: none of its times in the policy (\`at\`) ever comes, so that no snapshot is taken by itself; write them in another way, or \`every\` in their place`,
      );
  }

  /** The schedule goes on from this snapshot. */
  #takeDue(source: SourceId): void {
    const own = this.#own.get(source);
    if (own === undefined) return;
    own.schedule.rest();
    own.dueRuns += 1;
    this.backup(source, { acceptChanges: false }).then(
      () => {
        own.dueRuns -= 1;
        this.#schedule(source);
      },
      (error: unknown) => {
        own.dueRuns -= 1;
        this.#options.log.warn({ code: 'BACKUP_FAILED', source, err: error }, 'a snapshot that was due was not taken');
        this.#schedule(source, this.#options.clock.wallMs() + RETRY_MS);
      },
    );
  }

  /** As its setting has it. */
  #watch(own: Own): void {
    const { source, setting } = own;
    const { catalog, forbidden, clock, alarms } = this.#options;
    own.watch?.close();
    own.watch = undefined;
    if (!setting.watch) return;
    own.watch = new SourceWatch({
      source,
      setting,
      forbidden,
      clock,
      alarms,
      listed: () => catalog.get(source)?.head.snapshots.length ?? 0,
      room: () => this.#heads.room(source),
      onDue: () => this.#takeDue(source),
    });
  }

  #runWithHooks(source: SourceId, options: RunOptions): Promise<Taken> {
    const { watch } = options;
    const { hooks, alarms, log, signal } = this.#options;
    const { setting } = this.#ownOf(source);
    const unheard: Pick<Hooks, 'run'> =
      watch === undefined ? hooks : { run: (call, until) => watch.deafDuring(() => hooks.run(call, until)) };
    return runWithHooks({ source, setting, hooks: unheard, alarms, log, signal }, () => this.#run(source, options));
  }

  async #run(source: SourceId, { acceptChanges, unlistFuture = false, watch }: RunOptions): Promise<Taken> {
    const { cache, clock, alarms, signer, signal, log } = this.#options;
    const own = this.#ownOf(source);
    await this.#heads.knowAll();
    this.#tellDamage(own);
    await this.#heads.bringIntoForce(source);
    this.#mustHaveRoom(own);
    await watch?.scanBegins();
    const { setting } = own;
    const listed = this.#heads.listed(source);
    const wallMs = clock.wallMs();
    const leaving = new Set(unlistFuture ? fromFuture(listed, wallMs).map(({ id }) => id) : []);
    const lastStaying = listed.findLast(({ id }) => !leaving.has(id));
    const timeMs = Math.max(wallMs, (lastStaying?.timeMs ?? 0) + 1);
    const scanEnds = this.#options.beginScan(source);
    const taking = takeSnapshot({
      path: setting.path,
      source,
      previous: listed.at(-1)?.id,
      objects: this.#options.objects,
      cache,
      exclude: setting.exclude,
      crossMounts: setting.crossMounts,
      forbidden: this.#options.forbidden(),
      nowMs: timeMs,
      holdDays: setting.holdDays ?? holdDaysOf(wallMs, listed),
      signer,
      acceptChanges,
      scratchFolder: this.#options.scratchFolder,
      signal,
    }).finally(scanEnds);
    const verdict = await unlessHanging(setting, taking);
    if (verdict.kind === 'refused') {
      const why = refusalText(verdict, setting.path);
      own.missing = why;
      alarms.raise('SOURCE_MISSING', source, `source ${setting.name}: ${why}; its earlier snapshots are kept`);
      throw new ClusterError(
        'SOURCE_MISSING',
        `source ${setting.name} was not backed up: ${why}; its earlier snapshots are kept`,
        { blame: 'operator' },
      );
    }
    own.missing = undefined;
    alarms.clear('SOURCE_MISSING', source);
    tellUnentered(alarms, source, { name: setting.name, unentered: verdict.unentered });
    if (verdict.lastUnread !== undefined)
      log.warn(
        { code: 'LAST_SNAPSHOT_UNREAD', source, why: verdict.lastUnread },
        'not all that the last snapshot lists could be read, here or from others: what is in the folder was listed anew',
      );
    const complete = !isPartial(verdict);
    const { snapshot, filesBefore, filesGone, filesChanged } = verdict;
    const { brakePercent } = setting;
    const wanted = this.#heads.wanted(source);
    const change = { snapshot, timeMs, filesBefore, filesGone, filesChanged, brakePercent, wanted };
    if (acceptChanges) await this.#massChanges.accept(source, timeMs);
    const braked = !acceptChanges && (await this.#massChanges.look(source, change, signal));
    if (leaving.size > 0) await this.#unlisting.readyToReplace(source, setting, leaving);
    await this.#heads.publish(source, snapshots => [
      ...snapshots.filter(({ id }) => !leaving.has(id)),
      { id: snapshot, timeMs, complete },
    ]);
    log.info(
      { code: 'SNAPSHOT_TAKEN', source, snapshot: verdict.snapshot, files: verdict.files, bytes: verdict.bytes },
      'snapshot taken',
    );
    return { ...verdict, timeMs, braked };
  }

  /** Whether the file of its last head is understood. */
  #tellDamage({ source, setting }: Own): void {
    const { history, alarms } = this.#options;
    const damage = history.damage(source);
    if (damage === undefined) alarms.clear('HEAD_DAMAGED', source);
    else alarms.raise('HEAD_DAMAGED', source, `source ${setting.name}: ${damage.message}`);
  }

  /**
   * Before anything is read: what cannot be listed is not to be taken, again and again.
   * @throws ClusterError HOLDS_FULL
   */
  #mustHaveRoom({ source, setting }: Own): void {
    const { alarms } = this.#options;
    if (this.#heads.room(source) > 0) {
      alarms.clear('HOLDS_FULL', source);
      return;
    }
    const { name, schedule, watch, holdDays } = setting;
    const how = `${scheduleText(schedule)}${watch ? ' and at each change' : ''}`;
    const text = `source ${name} was not backed up: ${SEEN_MAX} snapshots of it are listed or in their hold, and more cannot be. They are taken ${how}, and each is held for ${holdText(holdDays)}: take them less often, or with a shorter \`hold\`. The next is taken when a hold has run out; 'cluster forget ${name} --now --yes' ends holds of what is unlisted. All snapshots are kept`;
    alarms.raise('HOLDS_FULL', source, text);
    throw new ClusterError('HOLDS_FULL', text, { blame: 'operator' });
  }

  /** Behind the run that asks for it. */
  #retain(source: SourceId): void {
    const settingNow = () => this.#own.get(source)?.setting;
    const unlisted = this.#turns.take(source, async () => {
      const setting = settingNow();
      if (setting !== undefined) await this.#unlisting.byPolicy(source, setting);
    });
    unlisted.then(
      () => this.#unlisting.told(source, settingNow(), undefined),
      (error: unknown) => this.#unlisting.told(source, settingNow(), { error }),
    );
  }

  #ownOf(source: SourceId): Own {
    const own = this.#own.get(source);
    if (own !== undefined) return own;
    const { source: name } = splitSourceId(source);
    throw new ClusterError('SOURCE_UNKNOWN', `${name} is no source of this host any more`, { blame: 'operator' });
  }
}

/** @throws ClusterError SOURCE_MISSING when the source's disk is given up, or was before */
async function unlessHanging<T>({ name }: SourceSetting, reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (cause) {
    if (!(cause instanceof DiskHangs)) throw cause;
    const text = `source ${name} could not be read: ${HANGS}; its snapshots are kept, and more are taken when it answers`;
    throw new ClusterError('SOURCE_MISSING', text, { blame: 'operator', cause });
  }
}

/** What of a setting the watching depends on. */
const watchingOf = ({ watch, path, exclude, crossMounts, schedule, holdDays }: SourceSetting): object => ({
  watch,
  path,
  exclude,
  crossMounts,
  schedule,
  holdDays,
});

/** By the wall clock: those that are dated after one from the future are of no day. */
function holdDaysOf(wallMs: number, listed: readonly ListedSnapshot[]): number {
  const day = Math.floor(wallMs / DAY_MS);
  return listed.some(snapshot => Math.floor(snapshot.timeMs / DAY_MS) === day) ? HOLD_DAYS_OTHER : HOLD_DAYS_FIRST;
}

/** For people, who know their folders better than their errno. */
function refusalText(
  { because, detail }: { readonly because: SnapshotRefusal; readonly detail: string },
  path: string,
): string {
  switch (because) {
    case 'missing-source':
      return `${path} is missing (${detail})`;
    case 'unreadable-source':
      return `${path} cannot be read (${detail})`;
    case 'not-a-folder':
      return `${path} is not a folder`;
    case 'inside-store':
      return `${path} lies in the store ${detail}`;
    default:
      return `${path}: ${detail}`;
  }
}
