/**
 * Status reports: the state of the cluster as this host sees it: its hosts, its sources, what is pending and what
 * needs a person.
 *
 * They report what the decisions see, because they ask the machine. One report describes one moment.
 */
import type { ListedSnapshot } from '../catalog/head.js';
import { hasherName } from '../core/hash.js';
import type { HostView } from '../core/host-view.js';
import { type HostId, type SourceId, type StoreId, sourceIdOf, splitSourceId } from '../core/ids.js';
import type { Known } from '../core/known.js';
import type { Membership } from '../membership/membership.js';
import { freshUntil, lateness } from '../membership/schedule.js';
import type { AlarmCode } from './alarm-codes.js';
import type { Alarms } from './alarms.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import type { Clock } from './clock.js';
import { domainsFor } from './lending.js';
import type { LoopDelay } from './loop-delay.js';
import type { NamedSnapshots } from './named-snapshots.js';
import type { Origin } from './origin.js';
import type { OwnScrubs } from './own-scrubs.js';
import type { OwnStores } from './own-stores.js';
import { pause } from './pause.js';
import type { Pausing } from './pausing.js';
import { fromFuture } from './retention.js';
import type { Roster } from './roster.js';
import type { Alarm, HostReport, HostState, HostStore, SourceReport, StatusReport } from './service.js';
import type { SourceNames } from './source-names.js';

/** A stream of reports looks again at most this often, in ms. */
export const REPORT_EVERY_MS = 250;
/** How often a source is looked at when its newest snapshot changes during the look. */
const LOOKS_MAX = 3;
/** An alarm that was absent for this long, in ms, and then found again is a new one. */
const STANDING_MS = 10 * 60_000;
/** In how many steps the progress of a scrub is reported. */
const DONE_STEPS = 1_000;
/** How many alarm texts are remembered. */
const STANDING_MAX = 500;

export interface StatusReportsOptions {
  readonly membership: Membership;
  readonly known: Pick<Known, 'copiesWanted' | 'host' | 'left' | 'pending' | 'summary'>;
  readonly catalog: CatalogKeeper;
  readonly stores: OwnStores;
  readonly scrubs: Pick<OwnScrubs, 'progress'>;
  readonly origin: Origin;
  readonly roster: Roster;
  readonly pausing: Pick<Pausing, 'untilMs'>;
  readonly alarms: Alarms;
  readonly clock: Clock;
  /** Where this host listens. */
  readonly addresses: () => readonly string[];
  /** How many alarms another host last said that it has; undefined while it has not been heard since the start. */
  readonly alarmsOf: (host: HostId) => number | undefined;
  readonly loopDelay: LoopDelay;
  readonly names: SourceNames;
  readonly snapshots: NamedSnapshots;
}

/**
 * What another host lends, by its heartbeats. They name no paths. If the policy has only one store of that host, its
 * path is known; if it has several and some are mounted, only how many of them are missing. A host not heard of since
 * this start says nothing about its stores.
 *
 * @param paths of the stores in the policy, except those that are to leave: their host does not report them
 */
function storesOfOther(
  { heartbeat, reports }: Pick<HostView, 'heartbeat' | 'reports'>,
  paths: readonly string[],
): readonly HostStore[] {
  const [path] = paths.length === 1 ? paths : [];
  const seen = [...reports.values()].map(({ position, lentBytes, usedBytes, unread }) => ({
    id: position.store,
    lentBytes,
    usedBytes,
    mounted: true,
    ...(unread ? { unread } : {}),
    ...(path === undefined ? {} : { path }),
  }));
  const unseen = heartbeat === undefined ? [] : paths.slice(reports.size);
  return [
    ...seen,
    ...unseen.map(one => ({
      lentBytes: 0,
      usedBytes: 0,
      mounted: false,
      because: 'is not seen mounted',
      ...(seen.length === 0 ? { path: one } : { pathOneOf: paths }),
    })),
  ];
}

export class StatusReports {
  readonly #options: StatusReportsOptions;
  /** Alarms that are found again at each look. */
  readonly #seen = new Map<string, { readonly sinceMs: number; readonly lastMs: number }>();

  constructor(options: StatusReportsOptions) {
    this.#options = options;
  }

  async now(signal: AbortSignal): Promise<StatusReport> {
    const { membership, known, roster, pausing, alarms, addresses } = this.#options;
    const { configuration } = membership;
    const { untilMs: pausedUntilMs } = pausing;
    const sources = await Promise.all(this.#options.names.all().map(source => this.#sourceReport(source, signal)));
    const { pursuits, fetches, othersClaims, attempts, relocations } = known.pending();
    return {
      cluster: configuration.clusterName,
      clusterId: configuration.cluster,
      host: roster.nameOf(roster.self),
      hostId: roster.self,
      ...(pausedUntilMs === undefined ? {} : { pausedUntilMs }),
      configVersion: configuration.version,
      addresses: addresses(),
      sources,
      hosts: this.hosts(),
      alarms: [
        ...alarms.list(),
        ...membership.alarms().map(text => this.#standing({ code: 'MEMBERSHIP', text })),
        ...this.#shortAlarms(sources),
      ],
      pending: { claims: pursuits + othersClaims, fetches, drops: attempts, relocations },
      process: { hasher: hasherName, loopDelay: this.#options.loopDelay.report() },
      protected: sources.every(
        ({ lastSnapshot, sourceId }) => lastSnapshot?.protected === true || this.#options.names.isVoid(sourceId),
      ),
      settled:
        pursuits + othersClaims + attempts + relocations === 0 && sources.every(({ parcels }) => parcels.over === 0),
    };
  }

  /** Each report that differs from the one before, until the signal aborts. */
  async *changes(signal: AbortSignal): AsyncGenerator<StatusReport> {
    let told = '';
    for (;;) {
      const report = await this.now(signal);
      const hosts = report.hosts.map(host => ({ ...host, seenMs: 0 }));
      const text = JSON.stringify({ ...report, process: undefined, hosts });
      if (text !== told) yield report;
      told = text;
      await pause(REPORT_EVERY_MS, signal);
    }
  }

  hosts(): readonly HostReport[] {
    const reports = [...this.#options.roster.members()].map(({ host }) => this.#hostReport(host));
    return reports.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #hostReport(host: HostId): HostReport {
    const { roster, known, stores, clock, membership } = this.#options;
    const member = roster.member(host);
    const self = host === roster.self;
    const view = known.host(host);
    const name = roster.nameOf(host);
    const settings = membership.configuration.policy.hosts.get(name)?.stores ?? [];
    const hostStores: readonly HostStore[] = self
      ? stores.reports().map(({ path, id, mounted, draining, parcels, isUnread, lentBytes, usedBytes, because }) => ({
          path,
          lentBytes,
          usedBytes,
          mounted,
          parcels,
          ...(draining ? { draining } : {}),
          ...(isUnread ? { unread: true } : {}),
          ...this.#scrubOf(id),
          ...(id === undefined ? {} : { id }),
          ...(because === undefined ? {} : { because }),
        }))
      : view === undefined
        ? []
        : storesOfOther(
            view,
            settings.filter(({ draining }) => !draining).map(({ path }) => path),
          );
    const trust = member?.trust ?? 'trusted';
    // A store that is to be emptied gives no room, and its host does not report it. One of an untrusted host gives none.
    const taking = hostStores.filter(store => trust === 'trusted' && store.draining !== true);
    const lentBytes = taking.reduce((sum, store) => sum + store.lentBytes, 0);
    const usedBytes = taking.reduce((sum, store) => sum + store.usedBytes, 0);
    const state = this.#stateOf(host);
    const parcelsLeft = state === 'draining' ? known.left(host) : undefined;
    const seenMs = self ? clock.wallMs() : view?.lastHeardMs;
    const alarms = this.#options.alarmsOf(host);
    return {
      name,
      id: host,
      state,
      self,
      trust,
      domain: member?.domain ?? host,
      roaming: member?.roaming ?? false,
      lentBytes,
      usedBytes,
      freeBytes: Math.max(0, lentBytes - usedBytes),
      stores: hostStores,
      ...(alarms === undefined ? {} : { alarms }),
      ...(parcelsLeft === undefined ? {} : { parcelsLeft }),
      ...(seenMs === undefined ? {} : { seenMs: Math.round(seenMs) }),
    };
  }

  /** `done` is rounded, or each parcel that is read would be news to whoever watches the status. */
  #scrubOf(store: StoreId | undefined): Pick<HostStore, 'scrub'> {
    const scrub = store === undefined ? undefined : this.#options.scrubs.progress(store);
    if (scrub === undefined) return {};
    return { scrub: { ...scrub, done: Math.floor(scrub.done * DONE_STEPS) / DONE_STEPS } };
  }

  #stateOf(host: HostId): HostState {
    const { roster, known } = this.#options;
    const state = roster.member(host)?.state ?? 'revoked';
    if (state !== 'active' || host === roster.self) return state;
    const liveness = known.host(host)?.liveness ?? 'suspect';
    return liveness === 'live' ? 'active' : liveness;
  }

  async #sourceReport(source: SourceId, signal: AbortSignal): Promise<SourceReport> {
    const { known, catalog, roster, origin } = this.#options;
    const owner = splitSourceId(source).origin;
    const newest = (): ListedSnapshot | undefined => catalog.get(source)?.head.snapshots.at(-1);
    let listed = newest();
    let lastSnapshot = listed === undefined ? undefined : await this.#options.snapshots.report(source, listed, signal);
    // One report describes one moment. If a snapshot came meanwhile, that one is looked at instead. The parcels are
    // counted last, so that copies that come in between never make it say both protected and short.
    for (let looks = 0; looks < LOOKS_MAX && newest()?.id !== listed?.id; looks += 1) {
      listed = newest();
      lastSnapshot = listed === undefined ? undefined : await this.#options.snapshots.report(source, listed, signal);
    }
    const summary = known.summary(source);
    const missing = origin.missing(source);
    return {
      source: this.#options.names.nameOf(source),
      sourceId: source,
      origin: roster.nameOf(owner),
      copies: known.copiesWanted(source) ?? 0,
      parcels: { wanted: summary.parcels, haveMin: summary.haveMin, under: summary.under, over: summary.over },
      fresh: listed === undefined ? this.#options.names.isVoid(source) : this.#isFresh(source, listed),
      ...(this.#options.names.isArchived(source) ? { archived: true } : {}),
      ...(this.#options.names.isOriginRevoked(source) ? { originRevoked: true } : {}),
      ...(lastSnapshot === undefined ? {} : { lastSnapshot }),
      ...(missing === undefined ? {} : { missing }),
    };
  }

  /** A source that is no longer configured, or whose origin was revoked, is not late. Nobody knows the age of a snapshot from the future. */
  #isFresh(source: SourceId, listed: ListedSnapshot): boolean {
    const setting = this.#settingOf(source);
    if (setting === undefined || this.#options.names.isOriginRevoked(source)) return true;
    const nowMs = this.#options.clock.wallMs();
    if (fromFuture([listed], nowMs).length > 0) return false;
    return nowMs <= freshUntil(setting.schedule, listed.timeMs, lateness(source, setting.jitterMs));
  }

  /** Since when an alarm that is found again at each look has stood. */
  #standing({ code, text }: { readonly code: AlarmCode; readonly text: string }): Alarm {
    const nowMs = this.#options.clock.wallMs();
    const seen = this.#seen.get(text);
    const sinceMs = seen === undefined || nowMs - seen.lastMs > STANDING_MS ? nowMs : seen.sinceMs;
    if (seen === undefined && this.#seen.size >= STANDING_MAX) this.#seen.clear();
    this.#seen.set(text, { sinceMs, lastMs: nowMs });
    return { code, text, sinceMs };
  }

  /** Where copies cannot be made at all, a person must add a host or room; waiting does not help. */
  #shortAlarms(sources: readonly SourceReport[]): StatusReport['alarms'] {
    const alarms: StatusReport['alarms'][number][] = [];
    for (const { source, sourceId, copies, parcels } of sources) {
      if (parcels.under === 0) continue;
      const domains = domainsFor(sourceId, this.#options);
      if (domains >= copies) continue;
      const text = `source ${source} wants ${copies} copies, but only ${domains} other host(s) lend room: add a store on another host`;
      alarms.push(this.#standing({ code: 'TOO_FEW_HOSTS', text }));
    }
    return alarms;
  }

  #settingOf(source: SourceId) {
    const { origin, source: name } = splitSourceId(source);
    const host = this.#options.membership.configuration.policy.hosts.get(this.#options.roster.nameOf(origin));
    return host?.sources.find(setting => sourceIdOf(origin, setting.name) === source && setting.name === name);
  }
}
