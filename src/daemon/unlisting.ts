/**
 * Unlisting: takes snapshots of this host's sources out of the list, as the rules or a person say. It decides what is
 * checked before, and what a person is told. Holders that saw the snapshots keep them for their hold.
 *
 * Driven by the origin, in the source's turn: after each snapshot, and for `forget`.
 */
import type { Logger } from 'pino';
import { HEAD_SNAPSHOTS_MAX, type ListedSnapshot } from '../catalog/head.js';
import { ifReadable, readPage, readSnapshot } from '../catalog/read-object.js';
import type { KeepCounts } from '../catalog/retention.js';
import { ClusterError, messageOf } from '../core/fault.js';
import type { ObjectId, SourceId } from '../core/ids.js';
import type { ObjectWriter } from '../core/objects.js';
import type { SourceSetting } from '../membership/policy.js';
import type { Alarms } from './alarms.js';
import type { Brakes } from './brakes.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import type { Clock } from './clock.js';
import type { OwnHeads } from './own-heads.js';
import { fromFuture, type Retainer, type Retention } from './retention.js';
import type { SourceNames } from './source-names.js';

export interface UnlistingOptions {
  readonly heads: OwnHeads;
  readonly catalog: Pick<CatalogKeeper, 'get'>;
  /** The catalog of this host; what it lacks is read from hosts that have it. */
  readonly objects: ObjectWriter;
  readonly retainer: Retainer;
  readonly brakes: Brakes;
  readonly clock: Clock;
  /** A source's name as a person can type it on any host. */
  readonly names: Pick<SourceNames, 'nameOf'>;
  readonly alarms: Alarms;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

type Named = Pick<SourceSetting, 'name'>;

export class Unlisting {
  readonly #options: UnlistingOptions;

  constructor(options: UnlistingOptions) {
    this.#options = options;
  }

  /** How `keep` judges the source's snapshots now. Changes nothing. */
  judge(source: SourceId, keep: KeepCounts, signal: AbortSignal): Promise<Retention> {
    return this.#options.retainer.judge(source, keep, signal);
  }

  /** Unlists by the policy, if anything may be unlisted now. */
  async byPolicy(source: SourceId, { keep }: Pick<SourceSetting, 'keep'>): Promise<void> {
    this.tellFuture(source);
    const retention = await this.judge(source, keep, this.#options.signal);
    if (retention.stopped === undefined) await this.#unlist(source, retention);
  }

  /**
   * Called before a run. If the list is full, unlists by the policy. While the brake is on, it unlists only snapshots
   * taken since the brake went on, except the first of them: so the history from before the mass change stays whole, as
   * does the snapshot that shows the change, and the source goes on being backed up. Taking no snapshots would lose
   * what is new for as long as nobody looks.
   * @throws ClusterError HEAD_FULL
   */
  async makeRoom(source: SourceId, { keep }: Pick<SourceSetting, 'keep'>): Promise<void> {
    const { heads, brakes, names, alarms, signal } = this.#options;
    let stopped: string | undefined;
    if (heads.isFull(source)) {
      const retention = await this.judge(source, keep, signal);
      stopped = retention.stopped;
      const brakedSinceMs = stopped === brakes.on(source) ? brakes.sinceMs(source) : undefined;
      const afterMs = stopped === undefined ? Number.NEGATIVE_INFINITY : (brakedSinceMs ?? Number.POSITIVE_INFINITY);
      const snapshots = retention.snapshots.filter(({ listed }) => listed.timeMs > afterMs);
      await this.#unlist(source, { ...retention, snapshots });
    }
    if (!heads.isFull(source)) {
      alarms.clear('HEAD_FULL', source);
      return;
    }
    const name = names.nameOf(source);
    const why =
      stopped === undefined
        ? `the rules keep all of them: set a smaller \`keep\` in the policy, or use 'cluster forget ${name} --keep-last N'`
        : `nothing is unlisted, for ${stopped}: put that right, or look at what changed and use 'cluster backup ${name} --accept-changes'`;
    const text = `source ${name} was not backed up: ${HEAD_SNAPSHOTS_MAX} snapshots of it are listed, and more cannot be; ${why}. 'cluster forget ${name} --dry-run' shows what the rules keep. All snapshots are kept`;
    alarms.raise('HEAD_FULL', source, text);
    throw new ClusterError('HEAD_FULL', text, { blame: 'operator' });
  }

  /** @throws ClusterError RETENTION_STOPPED; then nothing was changed */
  async byPerson(
    source: SourceId,
    { name, keep }: Pick<SourceSetting, 'name' | 'keep'>,
    signal: AbortSignal,
  ): Promise<Retention> {
    const retention = await this.judge(source, keep, signal);
    if (retention.stopped !== undefined) throw retentionStopped(name, retention.stopped);
    await this.#unlist(source, retention);
    return retention;
  }

  /** Reports how `byPolicy` ended. `setting`: undefined when the source is no longer one of this host's. */
  told(source: SourceId, setting: Named | undefined, failure: { readonly error: unknown } | undefined): void {
    const { alarms, log, signal } = this.#options;
    if (failure === undefined) {
      alarms.clear('RETENTION_FAILED', source);
      return;
    }
    const { error } = failure;
    if (signal.aborted) return;
    log.error({ code: 'RETENTION_FAILED', source, err: error }, 'no snapshot was unlisted');
    if (setting === undefined) return;
    const why = messageOf(error);
    alarms.raise(
      'RETENTION_FAILED',
      source,
      `source ${setting.name}: no snapshot was unlisted, because ${why}. All stay listed, and this is tried again after the next snapshot; keep the other hosts on then, because they have what is lost here`,
    );
  }

  /** Listed snapshots that are in the future by this host's clock, oldest first. */
  fromFuture(source: SourceId): readonly ListedSnapshot[] {
    const { catalog, clock } = this.#options;
    return fromFuture(catalog.get(source)?.head.snapshots ?? [], clock.wallMs());
  }

  /** Called before a run that is to replace the snapshots from the future. @throws ClusterError RETENTION_STOPPED */
  mayReplaceFuture(source: SourceId, { name }: Named): void {
    const { retainer, brakes } = this.#options;
    const why = retainer.clockOff() ?? brakes.on(source);
    if (why !== undefined) throw retentionStopped(name, why);
  }

  /**
   * Called right before a head is signed that drops `leaving` from the list.
   * @throws ClusterError RETENTION_STOPPED, OBJECT_MISSING
   */
  async readyToReplace(source: SourceId, { name }: Named, leaving: ReadonlySet<ObjectId>): Promise<void> {
    // This run may have shown a mass change: the snapshots before it are among those that would leave.
    const braked = this.#options.brakes.on(source);
    if (braked !== undefined) throw retentionStopped(name, braked);
    await this.#mendPages(source, leaving);
  }

  /** Tells a person about snapshots from the future: nothing is unlisted before their time has come. */
  tellFuture(source: SourceId): void {
    const { names, alarms } = this.#options;
    const last = this.fromFuture(source).at(-1);
    if (last === undefined) {
      alarms.clear('SNAPSHOT_FROM_FUTURE', source);
      return;
    }
    const name = names.nameOf(source);
    const date = new Date(last.timeMs).toISOString().slice(0, 16);
    alarms.raise(
      'SNAPSHOT_FROM_FUTURE',
      source,
      `source ${name}: its newest snapshot is dated ${date}Z, which is in the future, and none is unlisted before that time. If this host's clock is wrong, set it. If it is right, it was ahead then: 'cluster forget ${name} --future' takes a new snapshot in place of those from the future`,
    );
  }

  async #unlist(source: SourceId, { snapshots }: Retention): Promise<void> {
    const leaving = new Set(snapshots.flatMap(({ listed, reasons }) => (reasons.length === 0 ? [listed.id] : [])));
    if (leaving.size === 0) return;
    await this.#mendPages(source, leaving);
    await this.#options.heads.publish(source, listed => listed.filter(({ id }) => !leaving.has(id)));
    this.#options.log.info(
      { code: 'SNAPSHOTS_UNLISTED', source, snapshots: [...leaving] },
      'snapshots that the rules do not keep were unlisted; hosts that saw them keep them for their hold',
    );
  }

  /**
   * The pages of all snapshots that stay, in this host's own catalog, show what leaves; once the head is signed it is
   * too late to lack one of them. A lost page of a snapshot that leaves, or that stays by its hold alone, stops
   * nothing if nobody has it.
   */
  async #mendPages(source: SourceId, leaving: ReadonlySet<ObjectId>): Promise<void> {
    const { heads, catalog, objects, signal } = this.#options;
    const listed = catalog.get(source)?.head.snapshots ?? [];
    const staying = new Set(listed.flatMap(({ id }) => (leaving.has(id) ? [] : [id])));
    const others = heads.wanted(source).flatMap(({ id }) => (staying.has(id) ? [] : [id]));
    const sought = new Set<ObjectId>();
    for (const id of [...staying, ...others]) {
      const reading = <Result>(read: Promise<Result>) => (staying.has(id) ? read : ifReadable(read));
      for (const page of (await reading(readSnapshot(objects, id)))?.pages ?? []) {
        signal.throwIfAborted();
        if (!sought.has(page)) await reading(readPage(objects, page));
        sought.add(page);
      }
    }
    await objects.flush();
  }
}

const retentionStopped = (name: string, why: string): ClusterError =>
  new ClusterError(
    'RETENTION_STOPPED',
    `no snapshot of ${name} was unlisted: ${why}. All are kept; look at 'cluster status'`,
    { blame: 'operator' },
  );
