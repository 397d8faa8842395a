/**
 * Origin: this host's own sources, and the runs that take their snapshots. All work on a source (a run, an unlisting,
 * a re-cut, a look at its folder) is done in its turn, one at a time; this file decides who gets the turn, and when.
 *
 * snapshot-runs.ts says what a run does, due-runs.ts when one is due, own-heads.ts how a head comes to list a snapshot,
 * unlisting.ts what is unlisted, and torn-files.ts what becomes of a file that can no longer be given to anybody.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Entry } from '../catalog/entry.js';
import type { ListedSnapshot } from '../catalog/head.js';
import { diffLive, type LiveDifference, type LiveDiffOrder } from '../catalog/live-diff.js';
import type { KeepCounts } from '../catalog/retention.js';
import { ClusterError } from '../core/fault.js';
import {
  type BlobId,
  type HostId,
  type ObjectId,
  type ParcelId,
  type PeerName,
  type SourceId,
  sourceIdOf,
  splitSourceId,
} from '../core/ids.js';
import type { Known } from '../core/known.js';
import type { ObjectReader } from '../core/objects.js';
import type { SourceSetting } from '../membership/policy.js';
import { Turns } from '../store/turns.js';
import type { AlarmCode } from './alarm-codes.js';
import type { Brakes } from './brakes.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import { CopiedLooks } from './copied-looks.js';
import { DueRuns } from './due-runs.js';
import type { Forgotten } from './forgotten.js';
import { clearHookAlarms, runWithHooks } from './hooked-run.js';
import type { Hooks } from './hooks.js';
import type { OwnSource } from './live-parcels.js';
import { MassChanges } from './mass-changes.js';
import type { OnceCopied } from './once-copied.js';
import { OwnHeads, type OwnHeadsOptions } from './own-heads.js';
import { PARTIAL } from './partial.js';
import type { Pausing } from './pausing.js';
import type { Retainer, Retention } from './retention.js';
import {
  type RunOptions,
  type RunSource,
  SnapshotRuns,
  type SnapshotRunsOptions,
  type Taken,
} from './snapshot-runs.js';
import { refusalText, unlessHanging } from './source-reading.js';
import { SourceWatch } from './source-watch.js';
import { TornFiles } from './torn-files.js';
import { UNENTERED } from './unentered.js';
import { Unlisting } from './unlisting.js';

/** The alarms about one of this host's sources; they end when the source leaves the policy. */
const ALARMS: readonly AlarmCode[] = [
  'BACKUP_FAILED',
  'HEAD_DAMAGED',
  'HEAD_FORKED',
  'HEAD_FULL',
  'HOLDS_FULL',
  'MASS_CHANGE',
  'NEVER_DUE',
  'RETENTION_FAILED',
  'SELF_TEST_FAILED',
  'SNAPSHOT_FROM_FUTURE',
  PARTIAL,
  'SOURCE_MISSING',
  UNENTERED,
];

interface Own extends RunSource {
  setting: SourceSetting;
  readonly due: DueRuns;
  /** Set if the policy wants the source watched. */
  watch: SourceWatch | undefined;
  readonly torn: TornFiles;
  readonly copied: CopiedLooks;
}

export interface OriginOptions
  extends Omit<SnapshotRunsOptions, 'heads' | 'unlisting' | 'massChanges'>,
    Pick<OwnHeadsOptions, 'owedSeq'> {
  readonly host: HostId;
  readonly catalog: CatalogKeeper;
  readonly forgotten: Pick<Forgotten, 'isVoid' | 'seqOf'>;
  readonly known: Pick<Known, 'isClaimed'>;
  readonly brakes: Brakes;
  readonly hooks: Hooks;
  readonly pausing: Pick<Pausing, 'isPaused' | 'whenOver'>;
  readonly retainer: Retainer;
  readonly onceCopied: OnceCopied;
  /** Why the source cannot be read now, if its disk does not answer. */
  readonly hanging: (source: SourceId) => string | undefined;
  /** Asks every reachable member for its state, which brings the heads of this host's sources that it has. */
  readonly askEverybody: () => Promise<void>;
}

export class Origin {
  readonly #options: OriginOptions;
  readonly #own = new Map<SourceId, Own>();
  readonly #turns = new Turns<SourceId>();
  readonly #heads: OwnHeads;
  readonly #unlisting: Unlisting;
  readonly #runs: SnapshotRuns;

  constructor(options: OriginOptions) {
    this.#options = options;
    this.#heads = new OwnHeads(options);
    this.#unlisting = new Unlisting({ ...options, heads: this.#heads });
    this.#runs = new SnapshotRuns({
      ...options,
      heads: this.#heads,
      unlisting: this.#unlisting,
      massChanges: new MassChanges(options),
    });
  }

  /** A peer, or a store of this host, remembers a head of one of this host's sources. */
  heardOwnHead(source: SourceId, sealed: Uint8Array, from: PeerName | ObjectReader): Promise<void> {
    return this.#heads.heard(source, sealed, from);
  }

  /** Called at the start, once the catalog is read. Never rejects. */
  putBackHeads(): Promise<void> {
    return this.#heads.putBack();
  }

  configure(settings: readonly SourceSetting[]): void {
    const wanted = new Map(settings.map(setting => [sourceIdOf(this.#options.host, setting.name), setting]));
    for (const [source, own] of this.#own) {
      if (wanted.has(source)) continue;
      this.#end(own);
      this.#own.delete(source);
      this.#clearAlarms(source);
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
      this.#runs.tellDamage(own);
      this.#unlisting.tellFuture(source);
      if (known === undefined) this.#tellPartialLater(source);
      own.due.configure(setting);
      own.copied.begin();
    }
  }

  /** The configured sources of this host. */
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

  /**
   * Takes a snapshot now, after any run of the same source that is under way. Snapshots that are then one too many are
   * unlisted after it.
   */
  async backup(source: SourceId, options: Omit<RunOptions, 'watch'>): Promise<Taken> {
    const watch = this.#own.get(source)?.watch;
    watch?.runComes();
    const run = () => this.#runWithHooks(source, { ...options, watch });
    const taken = await this.#take(source, () => (watch === undefined ? run() : watch.run(run)));
    this.#own.get(source)?.copied.begin();
    this.#retain(source);
    return taken;
  }

  /** A run of the source is under way, or is waiting for its turn. */
  isRunning(source: SourceId): boolean {
    return this.#turns.busy(source);
  }

  /**
   * How the source's folder differs from a snapshot, which is chosen after any run that is under way; the next run
   * waits.
   * @throws ClusterError SOURCE_MISSING, PATH_UNKNOWN; then whatever was reported before is not valid
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
    return this.#take(source, () => {
      const { setting } = this.#ownOf(source);
      const scanEnds = this.#options.beginScan(source);
      return unlessHanging(setting, compareNow().finally(scanEnds));
    });
  }

  /** How `keep` (default: the policy's) judges the source's snapshots now. Changes nothing. */
  retention(source: SourceId, keep: KeepCounts | undefined, signal: AbortSignal): Promise<Retention> {
    const { setting } = this.#ownOf(source);
    return this.#unlisting.judge(source, keep ?? setting.keep, signal);
  }

  /**
   * Unlists what `keep` (default: the policy's) does not keep.
   * @throws ClusterError RETENTION_STOPPED, HEAD_DAMAGED, HISTORY_LOST; then nothing was changed
   */
  forget(source: SourceId, keep: KeepCounts | undefined, signal: AbortSignal): Promise<Retention> {
    return this.#take(source, async () => {
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
   * Takes a snapshot in place of the listed ones from the future. They are the newest of the source, and stay listed
   * until the new one is.
   * @throws ClusterError RETENTION_STOPPED, and what `backup` throws; then nothing was changed
   */
  async forgetFuture(source: SourceId): Promise<void> {
    this.#unlisting.mayReplaceFuture(source, this.#ownOf(source).setting);
    await this.backup(source, { acceptChanges: false, unlistFuture: true });
  }

  /** A file of a listed snapshot can no longer be given as the snapshot has it. */
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

  /** A file of the source that has the content, though a snapshot that lists it has it under another name. */
  renamed(source: SourceId, blob: BlobId): Entry | undefined {
    return this.#own.get(source)?.torn.renamed(blob);
  }

  /** Cuts files reported as torn, if they are, out of the source's snapshots; now, after any run that is under way. */
  async cutOutTorn(source: SourceId): Promise<void> {
    const own = this.#own.get(source);
    if (own === undefined) return;
    await this.#take(source, () => own.torn.cutOut({ source, path: own.setting.path }));
  }

  /**
   * Notes which of the source's snapshots are copied by now, after any run that is under way.
   * @returns whether all are, or were
   */
  noteCopied(source: SourceId): Promise<boolean> {
    const { catalog, onceCopied, signal } = this.#options;
    return this.#take(source, () =>
      onceCopied.look(source, this.#heads.wanted(source), { areAll: catalog.isKnownInFull(source), signal }),
    );
  }

  async stop(): Promise<void> {
    for (const own of this.#own.values()) this.#end(own);
    // The signal ends runs under way. All turns are waited for, even of sources that have left the policy, so that
    // nothing is written after this.
    await this.#turns.allDone();
  }

  #begin(source: SourceId, setting: SourceSetting): Own {
    const { log, signal } = this.#options;
    const torn = new TornFiles({ ...this.#options, heads: this.#heads }, () => {
      this.cutOutTorn(source).catch((error: unknown) => {
        log.error(
          { code: 'RECUT_FAILED', source, err: error },
          'a snapshot could not be cut anew; the next one replaces it',
        );
      });
    });
    const due = new DueRuns({ ...this.#options, source, run: () => this.backup(source, { acceptChanges: false }) });
    const copied = new CopiedLooks({ source, look: () => this.noteCopied(source), log, signal });
    return { setting, source, due, watch: undefined, missing: undefined, unread: [], torn, copied };
  }

  /** At the start: alarms are kept in memory alone. */
  #tellPartialLater(source: SourceId): void {
    if (this.#heads.listed(source).at(-1)?.complete !== false) return;
    this.#take(source, async () => {
      // It may have left the policy meanwhile, and then has no alarms.
      const own = this.#own.get(source);
      if (own !== undefined) await this.#runs.tellPartial(own);
    }).catch((error: unknown) => {
      const text = 'what the newest snapshot lacks could not be looked up; the next run tells of it';
      this.#options.log.warn({ code: 'PARTIAL_UNTOLD', source, err: error }, text);
    });
  }

  #end({ due, torn, copied, watch }: Own): void {
    due.close();
    torn.close();
    copied.close();
    watch?.close();
  }

  /** Watches the source as its setting says. */
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
      onDue: () => own.due.take(),
    });
  }

  #runWithHooks(source: SourceId, options: RunOptions): Promise<Taken> {
    const { watch } = options;
    const { hooks, alarms, log, signal } = this.#options;
    const own = this.#ownOf(source);
    const { setting } = own;
    const unheard: Pick<Hooks, 'run'> =
      watch === undefined ? hooks : { run: (call, until) => watch.deafDuring(() => hooks.run(call, until)) };
    const ready = () => this.#runs.ready(own, options);
    return runWithHooks({ source, setting, hooks: unheard, alarms, log, ready, signal }, () =>
      this.#runs.run(own, options),
    );
  }

  /** Queued behind the run that asks for it. */
  #retain(source: SourceId): void {
    const settingNow = () => this.#own.get(source)?.setting;
    const unlisted = this.#take(source, async () => {
      const setting = settingNow();
      if (setting !== undefined) await this.#unlisting.byPolicy(source, setting);
    });
    unlisted.then(
      () => this.#unlisting.told(source, settingNow(), undefined),
      (error: unknown) => this.#unlisting.told(source, settingNow(), { error }),
    );
  }

  /** In the source's turn. If the source has left the policy meanwhile, the alarms that were raised since then end. */
  async #take<T>(source: SourceId, work: () => Promise<T>): Promise<T> {
    try {
      return await this.#turns.take(source, work);
    } finally {
      if (!this.#own.has(source)) this.#clearAlarms(source);
    }
  }

  #clearAlarms(source: SourceId): void {
    const { alarms } = this.#options;
    for (const code of ALARMS) alarms.clear(code, source);
    clearHookAlarms(alarms, source);
  }

  #ownOf(source: SourceId): Own {
    const own = this.#own.get(source);
    if (own !== undefined) return own;
    const { source: name } = splitSourceId(source);
    throw new ClusterError('SOURCE_UNKNOWN', `${name} is no source of this host any more`, { blame: 'operator' });
  }
}

/** The parts of a setting that the watching depends on. */
const watchingOf = ({ watch, path, exclude, crossMounts, schedule, holdDays }: SourceSetting): object => ({
  watch,
  path,
  exclude,
  crossMounts,
  schedule,
  holdDays,
});
