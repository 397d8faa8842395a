/**
 * Snapshot runs: how one snapshot of a source of this host is taken. The last head is known and there is room for one
 * more snapshot; the folder is scanned; the brake looks at what has changed; and a head lists the snapshot. Each run
 * happens in the source's turn, which origin.ts gives.
 */
import type { Logger } from 'pino';
import type { ForbiddenFolder } from '../catalog/forbidden-folder.js';
import type { ListedSnapshot } from '../catalog/head.js';
import type { Unread } from '../catalog/merge-scan.js';
import { ifReadable, readSnapshot } from '../catalog/read-object.js';
import { beforeRecuts } from '../catalog/recut.js';
import type { ScanCache } from '../catalog/scan-cache.js';
import { isPartial, type Snapshot } from '../catalog/snapshot.js';
import type { SourceHistory } from '../catalog/source-history.js';
import { type MissingHandling, type SnapshotVerdict, takeSnapshot } from '../catalog/take-snapshot.js';
import { DAY_MS } from '../core/day.js';
import { ClusterError } from '../core/fault.js';
import { HOLD_DAYS_FIRST, HOLD_DAYS_OTHER, SEEN_MAX } from '../core/hold.js';
import type { ObjectId, SourceId } from '../core/ids.js';
import type { ObjectWriter } from '../core/objects.js';
import type { Signer } from '../core/signed.js';
import type { SourceSetting } from '../membership/policy.js';
import { scheduleText } from '../membership/schedule.js';
import type { Alarms } from './alarms.js';
import type { Clock } from './clock.js';
import { holdText } from './hold-text.js';
import type { MassChanges } from './mass-changes.js';
import type { OwnHeads } from './own-heads.js';
import { tellPartial } from './partial.js';
import { fromFuture } from './retention.js';
import { SomethingMissing } from './something-missing.js';
import type { SourceNames } from './source-names.js';
import { refusalText, unlessHanging } from './source-reading.js';
import type { SourceWatch } from './source-watch.js';
import { tellUnentered } from './unentered.js';
import type { Unlisting } from './unlisting.js';

type Scanned = Extract<SnapshotVerdict, { kind: 'taken' }>;

export type Taken = Scanned & {
  readonly timeMs: number;
  /** True if the snapshot has set the source's brake off. */
  readonly braked: boolean;
};

export interface RunOptions {
  readonly acceptChanges: boolean;
  /** With `acceptChanges`: let go of what is missing. Without it, nothing is accepted while anything is. Default: false. */
  readonly acceptMissing?: boolean;
  /** The snapshot replaces listed snapshots from the future. */
  readonly unlistFuture?: boolean;
  /** The source's watch when the run was asked for. */
  readonly watch: SourceWatch | undefined;
}

/** A source of this host, with its configuration at the moment it is looked at. */
export interface RunSource {
  readonly source: SourceId;
  readonly setting: SourceSetting;
  /** Why no snapshot can be taken. */
  missing: string | undefined;
  /** Some of what the last run of this start could not read. */
  unread: readonly Unread[];
}

export interface SnapshotRunsOptions {
  readonly signer: Signer;
  readonly history: SourceHistory;
  /** This host's catalog; what it lacks is read from hosts that have it. */
  readonly objects: ObjectWriter;
  readonly cache: ScanCache;
  /** Called before a scan uses the cache. @returns a function to call when the scan has ended */
  readonly beginScan: (source: SourceId) => () => void;
  readonly clock: Clock;
  /** A source's name as a person can type it on any host. */
  readonly names: Pick<SourceNames, 'nameOf'>;
  readonly alarms: Alarms;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** For a run's temporary file. On the state's disk, because the system's own temporary folder may be in memory. */
  readonly scratchFolder: string;
  /** Stores and state folders: never scanned. */
  readonly forbidden: () => readonly ForbiddenFolder[];
  readonly heads: OwnHeads;
  readonly unlisting: Unlisting;
  readonly massChanges: MassChanges;
}

/** What a run starts from. */
interface Begun {
  readonly setting: SourceSetting;
  readonly listed: readonly ListedSnapshot[];
  /** Listed snapshots that this one replaces. */
  readonly leaving: ReadonlySet<ObjectId>;
  readonly wallMs: number;
  /** The snapshot's time: later than that of every snapshot that stays. */
  readonly timeMs: number;
}

export class SnapshotRuns {
  readonly #options: SnapshotRunsOptions;

  constructor(options: SnapshotRunsOptions) {
    this.#options = options;
  }

  /**
   * Comes before a hook stops anything and before anything is read: a snapshot that cannot be listed must not be taken
   * again and again.
   * @throws ClusterError HEAD_FULL, HOLDS_FULL, HEAD_DAMAGED, …
   */
  async ready(own: RunSource, { acceptChanges, unlistFuture = false }: RunOptions): Promise<void> {
    const { heads, massChanges, unlisting } = this.#options;
    const { source } = own;
    await heads.knowAll();
    this.tellDamage(own);
    await heads.bringIntoForce(source);
    // The one snapshot that replaces those from the future does not make the list longer.
    if (!unlistFuture) {
      const last = heads.listed(source).at(-1);
      // A person who accepts has looked at all that is listed; what was accepted may be unlisted to make room.
      if (acceptChanges && last !== undefined && heads.isFull(source)) await massChanges.accept(source, last.timeMs);
      await unlisting.makeRoom(source, own.setting);
    }
    this.#mustFitHolds(own);
  }

  /**
   * Runs after `ready`.
   * @throws ClusterError SOURCE_MISSING, SomethingMissing, HEAD_DAMAGED, …; then no snapshot was listed
   */
  async run(own: RunSource, options: RunOptions): Promise<Taken> {
    const { acceptChanges, acceptMissing = false, unlistFuture = false, watch } = options;
    const { heads } = this.#options;
    const { source } = own;
    await heads.bringIntoForce(source);
    await watch?.scanBegins();
    const begun = this.#begin(own, unlistFuture);
    const scanned = await this.#scan(own, begun, acceptMissing ? 'let-go' : acceptChanges ? 'refuse' : 'keep');
    this.#tellScanned(own, begun, scanned);
    const braked = await this.#look(source, begun, { scanned, acceptChanges });
    await this.#list(source, begun, scanned);
    own.unread = scanned.unread;
    const { names, alarms } = this.#options;
    tellPartial(alarms, source, { name: names.nameOf(source), newest: scanned, unread: scanned.unread });
    return { ...scanned, timeMs: begun.timeMs, braked };
  }

  /** Raises or clears the alarm about a last head whose file cannot be understood. */
  tellDamage({ source, setting }: RunSource): void {
    const { history, alarms } = this.#options;
    const damage = history.damage(source);
    if (damage === undefined) alarms.clear('HEAD_DAMAGED', source);
    else alarms.raise('HEAD_DAMAGED', source, `source ${setting.name}: ${damage.message}`);
  }

  /** Raises or clears the alarm about what the newest snapshot lacks, where no run has just told it. */
  async tellPartial({ source, unread }: RunSource): Promise<void> {
    const { heads, names, alarms } = this.#options;
    const last = heads.listed(source).at(-1);
    if (last === undefined) return;
    const newest = last.complete ? { stale: 0, missed: 0 } : await this.#unreadOf(last.id);
    if (newest !== undefined) tellPartial(alarms, source, { name: names.nameOf(source), newest, unread });
  }

  /** How much a snapshot's scan could not read. Undefined: nobody has it any longer, and the next run says it. */
  async #unreadOf(id: ObjectId): Promise<Pick<Snapshot, 'stale' | 'missed'> | undefined> {
    const { objects } = this.#options;
    const snapshot = await ifReadable(readSnapshot(objects, id));
    if (snapshot === undefined) return undefined;
    const taken = await ifReadable(beforeRecuts(objects, { id, snapshot }));
    // Rather too much than too little is told where the snapshot before a re-cut is lost.
    return taken?.snapshot ?? snapshot;
  }

  /** @throws ClusterError HOLDS_FULL */
  #mustFitHolds({ source, setting }: RunSource): void {
    const { heads, names, alarms } = this.#options;
    if (heads.room(source) > 0) {
      alarms.clear('HOLDS_FULL', source);
      return;
    }
    const { schedule, watch, holdDays } = setting;
    const name = names.nameOf(source);
    const how = `${scheduleText(schedule)}${watch ? ' and at each change' : ''}`;
    const text = `source ${name} was not backed up: ${SEEN_MAX} snapshots of it are listed or in their hold, and more cannot be. They are taken ${how}, and each is held for ${holdText(holdDays)}: take them less often, or with a shorter \`hold\`. The next is taken when a hold has run out; 'cluster forget ${name} --now --yes' ends holds of what is unlisted. All snapshots are kept`;
    alarms.raise('HOLDS_FULL', source, text);
    throw new ClusterError('HOLDS_FULL', text, { blame: 'operator' });
  }

  #begin({ source, setting }: RunSource, unlistFuture: boolean): Begun {
    const { heads, clock } = this.#options;
    const listed = heads.listed(source);
    const wallMs = clock.wallMs();
    const leaving = new Set(unlistFuture ? fromFuture(listed, wallMs).map(({ id }) => id) : []);
    const lastStaying = listed.findLast(({ id }) => !leaving.has(id));
    return { setting, listed, leaving, wallMs, timeMs: Math.max(wallMs, (lastStaying?.timeMs ?? 0) + 1) };
  }

  /** @throws ClusterError SOURCE_MISSING, SomethingMissing */
  async #scan(own: RunSource, { setting, listed, wallMs, timeMs }: Begun, handling: MissingHandling): Promise<Scanned> {
    const { objects, cache, beginScan, forbidden, signer, scratchFolder, alarms, signal } = this.#options;
    const { source } = own;
    const scanEnds = beginScan(source);
    const taking = takeSnapshot({
      path: setting.path,
      source,
      previous: listed.at(-1)?.id,
      objects,
      cache,
      exclude: setting.exclude,
      crossMounts: setting.crossMounts,
      forbidden: forbidden(),
      nowMs: timeMs,
      holdDays: setting.holdDays ?? holdDaysOf(wallMs, listed),
      signer,
      missing: handling,
      scratchFolder,
      signal,
    }).finally(scanEnds);
    const verdict = await unlessHanging(setting, taking);
    if (verdict.kind === 'taken') return verdict;
    const { missing } = verdict;
    if (handling === 'refuse' && missing !== undefined)
      throw new SomethingMissing(this.#options.names.nameOf(source), missing);
    const why = refusalText(verdict, setting.path);
    own.missing = why;
    const kept = listed.length > 0 ? 'its earlier snapshots are kept' : 'it has no snapshot yet';
    alarms.raise('SOURCE_MISSING', source, `source ${setting.name}: ${why}; ${kept}`);
    throw new ClusterError('SOURCE_MISSING', `source ${setting.name} was not backed up: ${why}; ${kept}`, {
      blame: 'operator',
    });
  }

  #tellScanned(own: RunSource, { setting }: Begun, { unentered, lastUnread }: Scanned): void {
    const { alarms, log } = this.#options;
    const { source } = own;
    own.missing = undefined;
    alarms.clear('SOURCE_MISSING', source);
    tellUnentered(alarms, source, { name: setting.name, unentered });
    if (lastUnread !== undefined)
      log.warn(
        { code: 'LAST_SNAPSHOT_UNREAD', source, why: lastUnread },
        'not all that the last snapshot lists could be read, here or from others: what is in the folder was listed anew',
      );
  }

  /** @returns whether enough has changed to set the brake off */
  async #look(
    source: SourceId,
    { setting, timeMs }: Begun,
    { scanned, acceptChanges }: { readonly scanned: Scanned; readonly acceptChanges: boolean },
  ): Promise<boolean> {
    const { heads, massChanges, signal } = this.#options;
    const { snapshot, filesBefore, filesGone, filesChanged } = scanned;
    const { brakePercent } = setting;
    const wanted = heads.wanted(source);
    const change = { snapshot, timeMs, filesBefore, filesGone, filesChanged, brakePercent, wanted };
    if (!acceptChanges) return massChanges.look(source, change, signal);
    await massChanges.accept(source, timeMs);
    return false;
  }

  async #list(source: SourceId, { setting, leaving, timeMs }: Begun, scanned: Scanned): Promise<void> {
    const { heads, unlisting, log } = this.#options;
    const { snapshot, files, bytes } = scanned;
    const complete = !isPartial(scanned);
    if (leaving.size > 0) await unlisting.readyToReplace(source, setting, leaving);
    await heads.publish(source, snapshots => [
      ...snapshots.filter(({ id }) => !leaving.has(id)),
      { id: snapshot, timeMs, complete },
    ]);
    log.info({ code: 'SNAPSHOT_TAKEN', source, snapshot, files, bytes }, 'snapshot taken');
  }
}

/** Goes by the wall clock: snapshots dated after one from the future belong to no day. */
function holdDaysOf(wallMs: number, listed: readonly ListedSnapshot[]): number {
  const day = Math.floor(wallMs / DAY_MS);
  return listed.some(snapshot => Math.floor(snapshot.timeMs / DAY_MS) === day) ? HOLD_DAYS_OTHER : HOLD_DAYS_FIRST;
}
