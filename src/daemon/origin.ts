/**
 * Origin: this host's own sources: when their snapshots are taken, how a head comes to list them, and what happens when a
 * file that a snapshot lists can no longer be given to anybody.
 *
 * One run of a source at a time. Before the first head since our start is signed, every reachable member is asked for the
 * highest head that it knows of our sources: this disk may be an old image, and a seq must never be used twice.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import type { Entry } from '../catalog/entry.js';
import { headHash, type ListedSnapshot } from '../catalog/head.js';
import { diffLive, type LiveDifference, type LiveDiffOrder } from '../catalog/live-diff.js';
import { MalformedObject } from '../catalog/malformed-object.js';
import { readPage, readSnapshot } from '../catalog/read-object.js';
import { decodeRecord } from '../catalog/record.js';
import { recut } from '../catalog/recut.js';
import { isMassChange, type KeepCounts } from '../catalog/retention.js';
import type { ScanCache } from '../catalog/scan-cache.js';
import { BadSignature } from '../catalog/sealed-object.js';
import { isPartial } from '../catalog/snapshot.js';
import { readSourceFile } from '../catalog/source-file.js';
import type { Adoption, SnapshotToList, SourceHistory } from '../catalog/source-history.js';
import { type SnapshotRefusal, type SnapshotVerdict, takeSnapshot } from '../catalog/take-snapshot.js';
import { findEntry, walkParcels } from '../catalog/walk.js';
import { ClusterError } from '../core/fault.js';
import { type HostId, type ObjectId, type ParcelId, type PeerName, type SourceId, sourceIdOf } from '../core/ids.js';
import type { Machine } from '../core/machine.js';
import type { ObjectReader, ObjectWriter } from '../core/objects.js';
import type { Signer } from '../core/signed.js';
import type { SourceSetting } from '../membership/policy.js';
import { dueAfter, lateness } from '../membership/schedule.js';
import { Turns } from '../store/turns.js';
import type { Alarms } from './alarms.js';
import type { Brakes } from './brakes.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import type { Clock } from './clock.js';
import type { Forgotten } from './forgotten.js';
import { runWithHooks } from './hooked-run.js';
import type { Hooks } from './hooks.js';
import type { OwnSource } from './live-parcels.js';
import type { OnceCopied } from './once-copied.js';
import { fromFuture, type Retainer, type Retention } from './retention.js';
import { SourceWatch } from './source-watch.js';

/** Torn files that are told of within this time are cut out together, in ms. */
const RECUT_AFTER_MS = 1_000;
/** Between two looks at which snapshots have come to be copied, in ms. A look ends at the first parcel that nobody has. */
const COPIED_LOOK_MS = 10 * 60_000;
/** After a run that failed, in ms. */
const RETRY_MS = 5 * 60_000;
const DAY_MS = 86_400_000;
/** Days for which holders keep a snapshot whatever later heads say: the first of a day, and others. */
const HOLD_DAYS_FIRST = 30;
const HOLD_DAYS_OTHER = 2;

export type Taken = Extract<SnapshotVerdict, { kind: 'taken' }> & { readonly timeMs: number };

interface Own {
  setting: SourceSetting;
  readonly source: SourceId;
  timer: NodeJS.Timeout | undefined;
  /** Where the policy wants it. */
  watch: SourceWatch | undefined;
  /** Why no snapshot can be taken. */
  missing: string | undefined;
  readonly torn: Map<ParcelId, Map<string, Buffer>>;
  recutTimer: NodeJS.Timeout | undefined;
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

interface TornFile {
  readonly parcel: ParcelId;
  readonly entry: Entry;
}

export interface OriginOptions {
  readonly host: HostId;
  readonly signer: Signer;
  readonly history: SourceHistory;
  readonly catalog: CatalogKeeper;
  readonly forgotten: Pick<Forgotten, 'seqOf'>;
  /** The catalog here; what is missing of it is read from those who have it. */
  readonly objects: ObjectWriter;
  readonly machine: Machine;
  readonly cache: ScanCache;
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
  readonly forbidden: () => readonly string[];
  /** Asks every reachable member for its state, so that their heads of our sources are here. */
  readonly askEverybody: () => Promise<void>;
}

export class Origin {
  readonly #options: OriginOptions;
  readonly #own = new Map<SourceId, Own>();
  readonly #turns = new Turns<SourceId>();
  #askedEverybody: Promise<void> | undefined;

  constructor(options: OriginOptions) {
    this.#options = options;
  }

  /**
   * A head of a source of ours that a peer, or a store of ours, remembers. If ours is older, this disk is an old image: go on above it. If it is
   * another one of the same number, this identity was used twice: both lists are kept, and a person is told.
   */
  async heardOwnHead(source: SourceId, sealed: Uint8Array, from: PeerName | ObjectReader): Promise<void> {
    const { history, catalog } = this.#options;
    const adoption = await this.#adopt(source, sealed);
    // Also when it was adopted before, and its snapshots and pages could not be read then.
    const own = history.head(source);
    if (own !== undefined && catalog.get(source)?.hash !== own.hash) await catalog.offer(own.sealed, from);
    await this.#listAgain(source, adoption);
  }

  async #adopt(source: SourceId, sealed: Uint8Array): Promise<Adoption> {
    const { history, alarms } = this.#options;
    const adoption = await history.adopt(source, sealed);
    if (adoption.kind === 'forked') {
      alarms.raise(
        'HEAD_FORKED',
        source,
        `source ${source} had two heads with one number: two machines have used this host's key. All snapshots of both are kept; keep only one of the machines`,
      );
    }
    return adoption;
  }

  /** What we listed, and a later head of ours does not. */
  async #listAgain(source: SourceId, adoption: Adoption): Promise<void> {
    if (adoption.kind !== 'adopted') return;
    const unlisted = adoption.unlisted.filter(snapshot => !this.#isForgotten(source, snapshot));
    if (unlisted.length === 0) return;
    await this.#publish(source, listed => {
      const known = new Set(listed.map(({ id }) => id));
      return [...listed, ...unlisted.filter(({ id }) => !known.has(id))];
    });
    this.#options.log.warn(
      { code: 'SNAPSHOTS_LISTED_AGAIN', source, snapshots: unlisted.map(({ id }) => id) },
      'a later head of ours was remembered that does not list these snapshots: they are listed again',
    );
  }

  /** The file of our own history may be gone, or older than the head in the catalog beside it: no number is given twice. */
  async #adoptOnDisk(source: SourceId): Promise<void> {
    const { catalog, history, log } = this.#options;
    const sealed = catalog.onDisk(source);
    if (sealed === undefined || headHash(sealed) === history.head(source)?.hash) return;
    let adoption: Adoption;
    try {
      adoption = await this.#adopt(source, sealed);
    } catch (error) {
      if (!(error instanceof BadSignature || error instanceof MalformedObject)) throw error;
      log.error(
        { code: 'HEAD_UNREADABLE', source, err: error },
        'the head of a source of ours in the catalog is damaged; our own history goes on without it',
      );
      return;
    }
    await this.#listAgain(source, adoption);
  }

  configure(settings: readonly SourceSetting[]): void {
    const wanted = new Map(settings.map(setting => [sourceIdOf(this.#options.host, setting.name), setting]));
    for (const [source, own] of this.#own) {
      if (wanted.has(source)) continue;
      this.#end(own);
      this.#own.delete(source);
      for (const code of ['SOURCE_MISSING', 'BACKUP_FAILED', 'HOOK_FAILED', 'RETENTION_FAILED', 'SNAPSHOT_FROM_FUTURE'])
        this.#options.alarms.clear(code, source);
    }
    for (const [source, setting] of wanted) {
      const known = this.#own.get(source);
      const own = known ?? {
        setting,
        source,
        timer: undefined,
        watch: undefined,
        missing: undefined,
        torn: new Map(),
        recutTimer: undefined,
        copiedTimer: undefined,
      };
      const isWatchedAsBefore =
        known !== undefined && isDeepStrictEqual(watchingOf(known.setting), watchingOf(setting));
      own.setting = setting;
      this.#own.set(source, own);
      if (!isWatchedAsBefore) this.#watch(own);
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
    return this.#own.get(source)?.missing;
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
    this.#turns
      .take(source, () => this.#retain(source))
      .then(
        () => this.#options.alarms.clear('RETENTION_FAILED', source),
        (error: unknown) => this.#retentionFailed(source, error),
      );
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
    return this.#turns.take(source, async () => {
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
    });
  }

  /** What `keep` (default: the policy's) makes of the source's snapshots now. Nothing is changed. */
  retention(source: SourceId, keep: KeepCounts | undefined, signal: AbortSignal): Promise<Retention> {
    const { setting } = this.#ownOf(source);
    return this.#options.retainer.judge(source, keep ?? setting.keep, signal);
  }

  /** Unlists what `keep` (default: the policy's) does not keep. @throws ClusterError RETENTION_STOPPED; then nothing was changed */
  forget(source: SourceId, keep: KeepCounts | undefined, signal: AbortSignal): Promise<Retention> {
    return this.#turns.take(source, async () => {
      const retention = await this.retention(source, keep, signal);
      if (retention.stopped !== undefined) throw retentionStopped(this.#ownOf(source), retention.stopped);
      await this.#unlist(source, retention);
      return retention;
    });
  }

  /** Listed snapshots that are from the future by this host's clock, oldest first. */
  fromFuture(source: SourceId): readonly ListedSnapshot[] {
    const { catalog, clock } = this.#options;
    return fromFuture(catalog.get(source)?.head.snapshots ?? [], clock.wallMs());
  }

  /**
   * Takes a snapshot in place of those from the future, which have the newest of the source: they are listed until it is.
   * @throws ClusterError RETENTION_STOPPED, and what `backup` throws; then nothing was changed
   */
  async forgetFuture(source: SourceId): Promise<void> {
    const { retainer, brakes } = this.#options;
    const why = retainer.clockOff() ?? brakes.on(source);
    if (why !== undefined) throw retentionStopped(this.#ownOf(source), why);
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
    const own = this.#own.get(source);
    // Who has a copy gives it; only what nobody has must leave the snapshot.
    if (own === undefined || this.#options.machine.holders(parcel).length > 0) return;
    const paths = own.torn.get(parcel) ?? new Map<string, Buffer>();
    paths.set(path.toString('latin1'), path);
    own.torn.set(parcel, paths);
    own.recutTimer ??= setTimeout(() => {
      this.cutOutTorn(source).catch((error: unknown) => {
        this.#options.log.error(
          { code: 'RECUT_FAILED', source, err: error },
          'a snapshot could not be cut anew; the next one replaces it',
        );
      });
    }, RECUT_AFTER_MS);
  }

  /** Cuts the source's snapshots anew without what was told to be torn and is; now, after any run that is under way. */
  async cutOutTorn(source: SourceId): Promise<void> {
    const own = this.#own.get(source);
    if (own === undefined) return;
    clearTimeout(own.recutTimer);
    own.recutTimer = undefined;
    await this.#turns.take(source, () => this.#recut(own));
  }

  /** Notes which of the source's snapshots are copied by now, after any run that is under way. @returns whether all are, or were */
  noteCopied(source: SourceId): Promise<boolean> {
    const { onceCopied, signal } = this.#options;
    return this.#turns.take(source, () => onceCopied.look(source, this.#wantedSnapshots(source), signal));
  }

  async stop(): Promise<void> {
    for (const own of this.#own.values()) this.#end(own);
    // Runs under way end by the signal; their turns are waited for, so that nothing writes after us.
    await Promise.all([...this.#own.keys()].map(source => this.#turns.take(source, async () => undefined)));
  }

  #end({ timer, recutTimer, copiedTimer, watch }: Own): void {
    for (const each of [timer, recutTimer, copiedTimer]) clearTimeout(each);
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

  #wantedSnapshots(source: SourceId): readonly { readonly id: ObjectId; readonly timeMs: number }[] {
    const { catalog } = this.#options;
    return [...catalog.heldSnapshots(source), ...(catalog.get(source)?.head.snapshots ?? [])];
  }

  #schedule(source: SourceId, notBeforeMs = 0): void {
    const own = this.#own.get(source);
    if (own === undefined || this.#options.signal.aborted) return;
    clearTimeout(own.timer);
    const last = this.#options.catalog.get(source)?.head.snapshots.at(-1);
    const wallMs = this.#options.clock.wallMs();
    // A snapshot from the future (the clock was wrong then) does not put the next one off.
    const lastMs = Math.min(last?.timeMs ?? Number.NEGATIVE_INFINITY, wallMs);
    const { schedule, jitterMs } = own.setting;
    const dueMs =
      last === undefined ? notBeforeMs : Math.max(notBeforeMs, dueAfter(schedule, lastMs, lateness(source, jitterMs)));
    const delayMs = Math.min(DAY_MS, Math.max(0, dueMs - wallMs));
    own.timer = setTimeout(() => {
      if (this.#options.clock.wallMs() < dueMs) {
        this.#schedule(source, notBeforeMs);
        return;
      }
      this.#takeDue(source);
    }, delayMs);
  }

  /** The schedule goes on from this snapshot. */
  #takeDue(source: SourceId): void {
    clearTimeout(this.#own.get(source)?.timer);
    this.backup(source, { acceptChanges: false }).then(
      () => this.#schedule(source),
      (error: unknown) => {
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
    const { catalog, cache, clock, alarms, signer, signal, log } = this.#options;
    const own = this.#ownOf(source);
    await this.#knowOurHeads();
    await watch?.scanBegins();
    const { setting } = own;
    const listed = catalog.get(source)?.head.snapshots ?? [];
    const wallMs = clock.wallMs();
    const leaving = new Set(unlistFuture ? fromFuture(listed, wallMs).map(({ id }) => id) : []);
    const lastStaying = listed.findLast(({ id }) => !leaving.has(id));
    const timeMs = Math.max(wallMs, (lastStaying?.timeMs ?? 0) + 1);
    const verdict = await takeSnapshot({
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
    });
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
    if (verdict.lastUnread !== undefined)
      log.warn(
        { code: 'LAST_SNAPSHOT_UNREAD', source, why: verdict.lastUnread },
        'not all that the last snapshot lists could be read, here or from others: what is in the folder was listed anew',
      );
    const complete = !isPartial(verdict);
    const { snapshot, filesBefore, filesGone, filesChanged } = verdict;
    const change = { filesBefore, filesGone, filesChanged };
    if (acceptChanges) await this.#options.brakes.release(source);
    else if (isMassChange({ ...change, brakePercent: setting.brakePercent }))
      await this.#options.brakes.pull(source, { snapshot, timeMs, ...change });
    if (leaving.size > 0) {
      // This run may have shown a mass change: what was before it is among those that would leave.
      const braked = this.#options.brakes.on(source);
      if (braked !== undefined) throw retentionStopped(own, braked);
      await this.#mendPages(source);
    }
    await this.#publish(source, snapshots => [
      ...snapshots.filter(({ id }) => !leaving.has(id)),
      { id: snapshot, timeMs, complete },
    ]);
    log.info(
      { code: 'SNAPSHOT_TAKEN', source, snapshot: verdict.snapshot, files: verdict.files, bytes: verdict.bytes },
      'snapshot taken',
    );
    return { ...verdict, timeMs };
  }

  async #retain(source: SourceId): Promise<void> {
    const own = this.#own.get(source);
    if (own === undefined) return;
    this.#tellFuture(own);
    const retention = await this.retention(source, undefined, this.#options.signal);
    if (retention.stopped === undefined) await this.#unlist(source, retention);
  }

  #tellFuture({ source, setting: { name } }: Own): void {
    const { alarms } = this.#options;
    const last = this.fromFuture(source).at(-1);
    if (last === undefined) {
      alarms.clear('SNAPSHOT_FROM_FUTURE', source);
      return;
    }
    const date = new Date(last.timeMs).toISOString().slice(0, 16);
    alarms.raise(
      'SNAPSHOT_FROM_FUTURE',
      source,
      `source ${name}: its newest snapshot is dated ${date}Z, which is in the future, and none is unlisted before that time. If this host's clock is wrong, set it. If it is right, it was ahead: 'cluster forget ${name} --future' takes a snapshot in place of those from the future`,
    );
  }

  #retentionFailed(source: SourceId, error: unknown): void {
    const { alarms, log, signal } = this.#options;
    if (signal.aborted) return;
    log.error({ code: 'RETENTION_FAILED', source, err: error }, 'no snapshot was unlisted');
    const own = this.#own.get(source);
    if (own === undefined) return;
    const why = error instanceof Error ? error.message : String(error);
    alarms.raise(
      'RETENTION_FAILED',
      source,
      `source ${own.setting.name}: no snapshot was unlisted, for ${why}. All stay listed, and it is tried again after the next one; let the other hosts be on then, for what is lost here comes from them`,
    );
  }

  async #unlist(source: SourceId, { snapshots }: Retention): Promise<void> {
    const leaving = new Set(snapshots.flatMap(({ listed, reasons }) => (reasons.length === 0 ? [listed.id] : [])));
    if (leaving.size === 0) return;
    await this.#mendPages(source);
    await this.#publish(source, listed => listed.filter(({ id }) => !leaving.has(id)));
    this.#options.log.info(
      { code: 'SNAPSHOTS_UNLISTED', source, snapshots: [...leaving] },
      'snapshots that the rules do not keep are listed no more; who saw them keeps them for their hold',
    );
  }

  /** What leaves is told by the pages of all that stays, from our own catalog; and it is too late to lack one when the head is signed. */
  async #mendPages(source: SourceId): Promise<void> {
    const { objects, signal } = this.#options;
    const read = new Set<ObjectId>();
    for (const { id } of this.#wantedSnapshots(source)) {
      for (const page of (await readSnapshot(objects, id)).pages) {
        signal.throwIfAborted();
        if (!read.has(page)) await readPage(objects, page);
        read.add(page);
      }
    }
    await objects.flush();
  }

  #ownOf(source: SourceId): Own {
    const own = this.#own.get(source);
    if (own !== undefined) return own;
    throw new ClusterError('SOURCE_UNKNOWN', `${source} is no source of this host any more`, { blame: 'operator' });
  }

  async #publish(
    source: SourceId,
    change: (snapshots: readonly SnapshotToList[]) => readonly SnapshotToList[],
  ): Promise<void> {
    const { history, catalog, brakes } = this.#options;
    await this.#adoptOnDisk(source);
    const { sealed } = await history.relist(source, newest => ({
      snapshots: change(newest?.snapshots.filter(snapshot => !this.#isForgotten(source, snapshot)) ?? []),
      // While the brakes cannot say since when, it stays as it was told.
      unacceptedSinceMs:
        brakes.sinceMs(source) ?? (brakes.on(source) === undefined ? undefined : newest?.unacceptedSinceMs),
    }));
    await catalog.offer(sealed, undefined);
  }

  /** From before an admin forgot the source: its objects are let go, here too. */
  #isForgotten(source: SourceId, { firstSeq }: ListedSnapshot): boolean {
    return firstSeq <= this.#options.forgotten.seqOf(source);
  }

  /** Cuts what nobody can give any more, and nobody ever had, out of every listed snapshot that has it. */
  async #recut(own: Own): Promise<void> {
    const { catalog, signer, log, machine } = this.#options;
    const told = [...own.torn].filter(([parcel]) => machine.holders(parcel).length === 0);
    own.torn.clear();
    const torn = await this.#neverCopied(own, await this.#stillGone(own, told));
    const known = catalog.get(own.source);
    if (torn.length === 0 || known === undefined) return;
    const replaced = new Map<ObjectId, SnapshotToList>();
    const parcels = new Set(torn.map(({ parcel }) => parcel));
    const { snapshots } = known.head;
    for (const [index, { id, timeMs }] of snapshots.entries()) {
      const within: ParcelId[] = [];
      for await (const ref of walkParcels(catalog.objects, id)) if (parcels.has(ref.id)) within.push(ref.id);
      if (within.length === 0) continue;
      const before = snapshots[index - 1];
      const previous = before === undefined ? undefined : (replaced.get(before.id)?.id ?? before.id);
      const lost: TornFile[] = [];
      for (const file of torn)
        if (within.includes(file.parcel) && !(await this.#isHeldBefore(file, previous))) lost.push(file);
      if (lost.length === 0) continue;
      const next = await recut({
        snapshot: id,
        previous,
        torn: lost.map(({ parcel, entry }) => ({ parcel, path: entry.path })),
        objects: this.#options.objects,
        signer,
      });
      replaced.set(id, { id: next.snapshot, timeMs, complete: !isPartial(next) });
    }
    if (replaced.size === 0) return;
    await catalog.objects.flush();
    await this.#publish(own.source, listed => listed.map(snapshot => replaced.get(snapshot.id) ?? snapshot));
    log.warn(
      { code: 'SNAPSHOT_RECUT', source: own.source, parcels: parcels.size },
      'files changed or vanished before anybody had a copy: their snapshot was cut anew without them',
    );
  }

  /** Those that cannot be read as they were now either: a file that was only touched while it was read is the same. */
  async #stillGone(own: Own, told: readonly (readonly [ParcelId, Map<string, Buffer>])[]): Promise<TornFile[]> {
    const { cache, objects, signal } = this.#options;
    const root = own.setting.path;
    const gone: TornFile[] = [];
    for (const [parcel, paths] of told) {
      const record = await objects.get(parcel);
      for (const entry of record === undefined ? [] : decodeRecord(record).entries) {
        if (entry.kind !== 'file' || !paths.has(entry.path.toString('latin1'))) continue;
        if ((await readSourceFile({ root, source: own.source, entry, cache, signal })) === 'gone')
          gone.push({ parcel, entry });
      }
    }
    return gone;
  }

  /** Those of which no host may have a copy, though none says so. */
  async #neverCopied({ source }: Own, torn: readonly TornFile[]): Promise<readonly TornFile[]> {
    if (torn.length === 0) return torn;
    const { catalog, onceCopied, log } = this.#options;
    const parcels = new Set(torn.map(({ parcel }) => parcel));
    const kept = new Set<ParcelId>();
    for (const snapshot of onceCopied.mayHaveCopies(source, this.#wantedSnapshots(source)))
      for await (const { id } of walkParcels(catalog.objects, snapshot)) if (parcels.has(id)) kept.add(id);
    if (kept.size > 0)
      log.warn(
        { code: 'RECUT_SPARED', source, parcels: kept.size },
        'files are gone that nobody says he holds, but somebody may: no snapshot was cut anew without them',
      );
    return torn.filter(({ parcel }) => !kept.has(parcel));
  }

  /** A file that could not be read was carried over: its bytes are with the holders of its earlier parcel, who take this one first. */
  async #isHeldBefore({ entry }: TornFile, previous: ObjectId | undefined): Promise<boolean> {
    const { objects, machine } = this.#options;
    const found = previous === undefined ? undefined : await findEntry(objects, previous, entry.path);
    return found !== undefined && found.entry.blob === entry.blob && machine.holders(found.parcel).length > 0;
  }

  /** Once in our life: what others remember of our heads, before we sign a new one. */
  #knowOurHeads(): Promise<void> {
    this.#askedEverybody ??= this.#options.askEverybody();
    return this.#askedEverybody;
  }
}

/** What of a setting the watching depends on. */
const watchingOf = ({ watch, path, exclude, crossMounts, schedule }: SourceSetting): object => ({
  watch,
  path,
  exclude,
  crossMounts,
  schedule,
});

const retentionStopped = ({ setting: { name } }: Own, why: string): ClusterError =>
  new ClusterError(
    'RETENTION_STOPPED',
    `no snapshot of ${name} was unlisted: ${why}. All are kept; look at 'cluster status'`,
    { blame: 'operator' },
  );

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
