/**
 * Forgetting: what a person asks to let go: snapshots that the rules do not keep (with `--now`, also those that are
 * unlisted but still held), those that a clock which was ahead has dated into the future, and archived sources. The
 * origin decides what is listed. The rest overrides what holders have promised to keep, so an admin's key signs it.
 *
 * Nothing is deleted here: each holder lets go of what nobody wants, by its own running time.
 */
import { ClusterError } from '../core/fault.js';
import { type ObjectId, type SourceId, splitSourceId } from '../core/ids.js';
import { RELEASED_MAX } from '../membership/configuration.js';
import type { Membership } from '../membership/membership.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import { HOW_TO_EDIT } from './configuring.js';
import type { NamedSnapshots } from './named-snapshots.js';
import type { Origin } from './origin.js';
import type { Retention } from './retention.js';
import type { Roster } from './roster.js';
import type {
  ForgetArchivedRequest,
  ForgetFutureRequest,
  ForgetReport,
  ForgetRequest,
  JudgedSnapshot,
  SnapshotReport,
} from './service.js';
import type { SourceNames } from './source-names.js';

/** For a source of another host: what is listed is not judged. */
const NOT_JUDGED: Retention = { snapshots: [], stopped: undefined };

export interface ForgettingOptions {
  readonly membership: Membership;
  readonly catalog: CatalogKeeper;
  readonly origin: Origin;
  readonly roster: Roster;
  readonly names: SourceNames;
  readonly snapshots: NamedSnapshots;
}

export class Forgetting {
  readonly #o: ForgettingOptions;

  constructor(options: ForgettingOptions) {
    this.#o = options;
  }

  async unlist(request: ForgetRequest, signal: AbortSignal): Promise<ForgetReport> {
    const { origin, membership } = this.#o;
    const { keep, now, dryRun, yes } = request;
    const id = this.#o.names.named(request.source);
    const source = this.#o.names.nameOf(id);
    const isOurs = origin.ownSource(id) !== undefined;
    if (!isOurs && (!now || keep !== undefined)) this.#refuseElsewhere(id, source);
    if (keep !== undefined && Object.values(keep).every(count => count === 0))
      throw new ClusterError('BAD_ARGUMENT', 'these rules keep nothing: at least one of them must be above 0', {
        blame: 'operator',
      });
    if (now && !dryRun) membership.admin.mustHaveKey();
    const planned = isOurs ? await origin.retention(id, keep, signal) : NOT_JUDGED;
    const leaving = planned.snapshots.flatMap(({ listed, reasons }) => (reasons.length === 0 ? [listed.id] : []));
    const held = now ? await this.#held(id, signal) : [];
    if (!dryRun && !yes) {
      if (keep !== undefined && leaving.length > 0)
        throw needsYes(
          `these rules would unlist ${leaving.length} of ${planned.snapshots.length} snapshots of ${source}; nothing was changed. --dry-run shows which; --yes unlists them`,
        );
      if (leaving.length + held.length > 0 && now)
        throw needsYes(
          `this would end the hold of the snapshots of ${source} that it unlists (${leaving.length}) and of those that are unlisted already (${held.length}): nobody could get them back. Nothing was changed. --dry-run shows which; --yes lets them go`,
        );
    }
    // What was reported is what is done; whatever changed meanwhile is judged again.
    const reports = new Map<ObjectId, SnapshotReport>();
    for (const { listed } of planned.snapshots)
      reports.set(listed.id, await this.#o.snapshots.report(id, listed, signal));
    const { snapshots, stopped } = dryRun || !isOurs ? planned : await origin.forget(id, keep, signal);
    const mayGo = new Set([...held.map(snapshot => snapshot.id), ...leaving]);
    // Of those that are held here and were asked for: a head that came meanwhile adds nothing.
    const toRelease = dryRun || !now ? held : (await this.#held(id, signal)).filter(snapshot => mayGo.has(snapshot.id));
    const released = toRelease.slice(0, RELEASED_MAX);
    if (!dryRun && now) await membership.admin.releaseSnapshots(released.map(snapshot => snapshot.id));
    const heldStill = toRelease.length - released.length;
    return {
      source,
      snapshots: snapshots.flatMap(({ listed, reasons }) => {
        const snapshot = reports.get(listed.id);
        return snapshot === undefined ? [] : [{ snapshot, reasons }];
      }),
      released: released.filter(snapshot => !reports.has(snapshot.id)),
      graceMs: this.#graceMs,
      ...(isOurs ? {} : { unjudged: this.#o.snapshots.listed(id).length }),
      ...(heldStill === 0 ? {} : { heldStill }),
      ...(stopped === undefined ? {} : { stopped }),
    };
  }

  async future({ source: name, dryRun, yes }: ForgetFutureRequest, signal: AbortSignal): Promise<ForgetReport> {
    const { origin } = this.#o;
    const id = this.#o.names.named(name);
    const source = this.#o.names.nameOf(id);
    if (origin.ownSource(id) === undefined) this.#refuseElsewhere(id, source);
    const leaving = new Set(origin.fromFuture(id).map(listed => listed.id));
    const snapshots: JudgedSnapshot[] = [];
    for (const listed of this.#o.snapshots.listed(id))
      snapshots.push({
        snapshot: await this.#o.snapshots.report(id, listed, signal),
        reasons: leaving.has(listed.id) ? [] : ['not from the future'],
      });
    if (!dryRun && !yes && leaving.size > 0)
      throw needsYes(
        `${leaving.size} of ${snapshots.length} snapshots of ${source} are from the future by this host's clock: this would take a new snapshot and unlist them. Nothing was changed. --dry-run shows which; --yes does it`,
      );
    if (!dryRun && leaving.size > 0) await origin.forgetFuture(id);
    return { source, snapshots, released: [], graceMs: this.#graceMs };
  }

  async archived({ source: name, dryRun, yes }: ForgetArchivedRequest, signal: AbortSignal): Promise<ForgetReport> {
    const { membership, catalog, roster } = this.#o;
    const id = this.#o.names.named(name);
    const source = this.#o.names.nameOf(id);
    const { origin, source: own } = splitSourceId(id);
    if (!membership.configuration.archived.some(other => other.source === id))
      throw new ClusterError(
        'NOT_ARCHIVED',
        `${source} is not archived: it is in the policy, as hosts.${roster.nameOf(origin)}.sources.${own}. Take it out first: ${HOW_TO_EDIT}. Nothing was changed`,
        { blame: 'operator' },
      );
    if (!dryRun) membership.admin.mustHaveKey();
    const listed: SnapshotReport[] = [];
    for (const one of this.#o.snapshots.listed(id)) listed.push(await this.#o.snapshots.report(id, one, signal));
    const released = await this.#held(id, signal);
    if (!dryRun && !yes)
      throw needsYes(
        `the copies of ${source} (snapshots: ${listed.length + released.length}) may be all that is left of it: once forgotten, nobody can get them back. Nothing was changed. --dry-run shows them; --yes forgets the source`,
      );
    if (!dryRun) await membership.admin.forgetArchived(id, catalog.get(id)?.head.seq ?? 0);
    return {
      source,
      snapshots: listed.map(snapshot => ({ snapshot, reasons: [] })),
      released,
      graceMs: this.#graceMs,
    };
  }

  /** @throws ClusterError SOURCE_ARCHIVED, ORIGIN_ELSEWHERE */
  #refuseElsewhere(id: SourceId, source: string): never {
    if (this.#o.names.isArchived(id))
      throw new ClusterError(
        'SOURCE_ARCHIVED',
        `${source} is archived: it has left the policy, so no rules apply, and what is listed stays listed. 'cluster forget ${source} --now' lets go of what is unlisted and held, 'cluster forget ${source} --archived' of all of it. Nothing was changed`,
        { blame: 'operator' },
      );
    const host = this.#o.roster.nameOf(splitSourceId(id).origin);
    throw new ClusterError(
      'ORIGIN_ELSEWHERE',
      `which snapshots of ${source} stay listed is decided on ${host}, its origin; run this there. Nothing was changed`,
      { blame: 'operator' },
    );
  }

  async #held(id: SourceId, signal: AbortSignal): Promise<readonly SnapshotReport[]> {
    const reports: SnapshotReport[] = [];
    for (const one of this.#o.snapshots.held(id))
      reports.push({ ...(await this.#o.snapshots.report(id, one, signal)), held: true });
    return reports;
  }

  get #graceMs(): number {
    return this.#o.membership.clusterConfig.timing.gcGraceMs;
  }
}

const needsYes = (text: string): ClusterError => new ClusterError('NEEDS_YES', text, { blame: 'operator' });
