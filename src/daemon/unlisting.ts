/**
 * Unlisting: snapshots of our own sources that are listed no more, as the rules or a person say: what is asked before, and what a
 * person is told. Holders that saw them keep them for their hold.
 *
 * Driven by the origin, in the source's turn: after each snapshot, and for `forget`.
 */
import type { Logger } from 'pino';
import type { ListedSnapshot } from '../catalog/head.js';
import { ifReadable, readPage, readSnapshot } from '../catalog/read-object.js';
import type { KeepCounts } from '../catalog/retention.js';
import { ClusterError } from '../core/fault.js';
import type { ObjectId, SourceId } from '../core/ids.js';
import type { ObjectWriter } from '../core/objects.js';
import type { SourceSetting } from '../membership/policy.js';
import type { Alarms } from './alarms.js';
import type { Brakes } from './brakes.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import type { Clock } from './clock.js';
import type { OwnHeads } from './own-heads.js';
import { fromFuture, type Retainer, type Retention } from './retention.js';

export interface UnlistingOptions {
  readonly heads: OwnHeads;
  readonly catalog: Pick<CatalogKeeper, 'get'>;
  /** The catalog here; what is missing of it is read from those who have it. */
  readonly objects: ObjectWriter;
  readonly retainer: Retainer;
  readonly brakes: Brakes;
  readonly clock: Clock;
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

  /** What `keep` makes of the source's snapshots now. Nothing is changed. */
  judge(source: SourceId, keep: KeepCounts, signal: AbortSignal): Promise<Retention> {
    return this.#options.retainer.judge(source, keep, signal);
  }

  /** By the policy, where anything may be unlisted now. */
  async byPolicy(source: SourceId, { name, keep }: Pick<SourceSetting, 'name' | 'keep'>): Promise<void> {
    this.tellFuture(source, name);
    const retention = await this.judge(source, keep, this.#options.signal);
    if (retention.stopped === undefined) await this.#unlist(source, retention);
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

  /** How `byPolicy` ended. `setting`: undefined when the source is none of ours any more. */
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
    const why = error instanceof Error ? error.message : String(error);
    alarms.raise(
      'RETENTION_FAILED',
      source,
      `source ${setting.name}: no snapshot was unlisted, for ${why}. All stay listed, and it is tried again after the next one; let the other hosts be on then, for what is lost here comes from them`,
    );
  }

  /** Listed snapshots that are from the future by this host's clock, oldest first. */
  fromFuture(source: SourceId): readonly ListedSnapshot[] {
    const { catalog, clock } = this.#options;
    return fromFuture(catalog.get(source)?.head.snapshots ?? [], clock.wallMs());
  }

  /** Before a run that is to take the place of those from the future. @throws ClusterError RETENTION_STOPPED */
  mayReplaceFuture(source: SourceId, { name }: Named): void {
    const { retainer, brakes } = this.#options;
    const why = retainer.clockOff() ?? brakes.on(source);
    if (why !== undefined) throw retentionStopped(name, why);
  }

  /** Right before a head is signed that replaces `leaving`. @throws ClusterError RETENTION_STOPPED, OBJECT_MISSING */
  async readyToReplace(source: SourceId, { name }: Named, leaving: ReadonlySet<ObjectId>): Promise<void> {
    // This run may have shown a mass change: what was before it is among those that would leave.
    const braked = this.#options.brakes.on(source);
    if (braked !== undefined) throw retentionStopped(name, braked);
    await this.#mendPages(source, leaving);
  }

  /** A person, of what is from the future: nothing is unlisted before that time. */
  tellFuture(source: SourceId, name: string): void {
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

  async #unlist(source: SourceId, { snapshots }: Retention): Promise<void> {
    const leaving = new Set(snapshots.flatMap(({ listed, reasons }) => (reasons.length === 0 ? [listed.id] : [])));
    if (leaving.size === 0) return;
    await this.#mendPages(source, leaving);
    await this.#options.heads.publish(source, listed => listed.filter(({ id }) => !leaving.has(id)));
    this.#options.log.info(
      { code: 'SNAPSHOTS_UNLISTED', source, snapshots: [...leaving] },
      'snapshots that the rules do not keep are listed no more; who saw them keeps them for their hold',
    );
  }

  /**
   * What leaves is told by the pages of all that stays, from our own catalog; and it is too late to lack one when the head is signed.
   * What leaves, or stays by its hold alone, keeps nothing up when nobody has it.
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
