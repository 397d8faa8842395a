/**
 * Records: the JSON records that scripts rely on, made from the service's reports. src/DESIGN.md, "What scripts may rely on",
 * names the fields that must stay; more may be added, none may go. Bytes are integers, times RFC 3339 in UTC, unknown
 * times null, and bytes that are not text are written as `\xHH`.
 */
import type { Entry } from '../catalog/entry.js';
import { escapePath } from '../catalog/path-text.js';
import type { HostReport, ReplicaReport, SnapshotReport, SourceReport, StatusReport } from '../daemon/service.js';
import type { JsonRecord } from './context.js';
import { timeRecord } from './text.js';

export const snapshotRecord = (report: SnapshotReport): JsonRecord => ({
  message_type: 'snapshot',
  id: report.id,
  source: report.source,
  origin: report.origin,
  time: timeRecord(report.timeMs),
  files: report.unreadable === undefined ? report.files : null,
  bytes: report.unreadable === undefined ? report.bytes : null,
  partial: report.partial,
  stale: report.unreadable === undefined ? report.stale : null,
  missed: report.unreadable === undefined ? report.missed : null,
  protected: report.protected,
  held: report.held ?? false,
  ...(report.unreadable !== undefined && { unreadable: report.unreadable }),
});

export const hostRecord = (report: HostReport): JsonRecord => ({
  message_type: 'host',
  name: report.name,
  id: report.id,
  state: report.state,
  self: report.self,
  trust: report.trust,
  domain: report.domain,
  lent: report.lentBytes,
  used: report.usedBytes,
  free: report.freeBytes,
  seen: timeRecord(report.seenMs),
  alarms: report.alarms ?? null,
  parcels_left: report.parcelsLeft ?? null,
  stores: report.stores.map(store => ({
    id: store.id ?? null,
    path: store.path ?? null,
    path_one_of: store.pathOneOf ?? null,
    lent: store.lentBytes,
    used: store.usedBytes,
    mounted: store.mounted,
    draining: store.draining === true,
    unread: store.unread === true,
    parcels: store.parcels ?? null,
    because: store.because ?? null,
    scrub:
      store.scrub === undefined
        ? null
        : {
            began: timeRecord(store.scrub.beganMs),
            done: store.scrub.done,
            unread: store.scrub.unread,
            last_ended: timeRecord(store.scrub.endedMs),
          },
  })),
});

export const replicaRecord = (report: ReplicaReport): JsonRecord => ({
  message_type: 'replica',
  source: report.source,
  path: escapePath(report.path),
  size: report.sizeBytes,
  want: report.want,
  have: report.have,
  hosts: report.holders.map(({ host }) => host),
  // Scripts rely on the field, but no host keeps when a copy was last read.
  verified: null,
  holders: report.holders.map(({ host, counts }) => ({ host, counts })),
});

export const entryRecord = (entry: Entry): JsonRecord => ({
  message_type: 'entry',
  path: escapePath(entry.path),
  kind: entry.kind,
  mode: entry.mode.toString(8).padStart(4, '0'),
  uid: entry.uid,
  gid: entry.gid,
  user: entry.user,
  group: entry.group,
  size: entry.size,
  mtime: timeRecord(Number(entry.mtimeNs / 1_000_000n)),
  mtime_ns: entry.mtimeNs.toString(),
  blob: entry.blob ?? null,
  target: entry.target === undefined ? null : escapePath(entry.target),
  stale: entry.stale,
});

const sourceFields = (report: SourceReport): Readonly<Record<string, unknown>> => ({
  source: report.source,
  origin: report.origin,
  copies: report.copies,
  wanted: report.parcels.wanted,
  // Without a snapshot there is nothing to have copies of.
  have_min: report.lastSnapshot === undefined ? null : report.parcels.haveMin,
  under: report.parcels.under,
  over: report.parcels.over,
  fresh: report.fresh,
  archived: report.archived ?? false,
  origin_revoked: report.originRevoked ?? false,
  missing: report.missing ?? null,
  snapshot: report.lastSnapshot === undefined ? null : withoutType(snapshotRecord(report.lastSnapshot)),
});

export const statusRecord = (report: StatusReport): JsonRecord => ({
  message_type: 'status',
  cluster: report.cluster,
  cluster_id: report.clusterId,
  host: report.host,
  host_id: report.hostId,
  paused_until: timeRecord(report.pausedUntilMs),
  config_version: report.configVersion,
  addresses: report.addresses,
  protected: report.protected,
  settled: report.settled,
  pending: report.pending,
  process: {
    hasher: report.process.hasher,
    loop_delay_ms: { p99: report.process.loopDelay.p99Ms, max: report.process.loopDelay.maxMs },
  },
  sources: report.sources.map(sourceFields),
  hosts: report.hosts.map(host => withoutType(hostRecord(host))),
  alarms: report.alarms.map(({ code, text, sinceMs }) => ({ code, text, since: timeRecord(sinceMs) })),
});

function withoutType({ message_type: _, ...fields }: JsonRecord): Readonly<Record<string, unknown>> {
  return fields;
}
