/**
 * Examine host: all checks on a host whose state folder has a part of a cluster, in the order of CHECK_NAMES.
 *
 * What cannot be looked at without something else, such as the stores without the configuration, is left out: the
 * check that failed says what to do, and the next look sees further.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { readAccountNames } from '../catalog/account-names.js';
import { ClusterError, messageOf } from '../core/fault.js';
import { serviceAt } from '../daemon/control-client.js';
import { toErrorRecord } from '../daemon/control-wire.js';
import type { StatusReport } from '../daemon/service.js';
import type { Identity } from '../membership/identity.js';
import { publicKeyOf } from '../membership/peer-key.js';
import { LOCK_NAME, lockHolder } from '../platform/lock.js';
import { orAborted } from '../platform/or-aborted.js';
import { systemCode } from '../store/own-folder.js';
import type { Check } from './check.js';
import { decideConfiguration } from './cluster-checks.js';
import { type ClusterHere, checkCluster, lookAtCluster, lookAtHostKey } from './cluster-here.js';
import { LOOK_MS_MAX } from './look.js';
import { checkMachine } from './machine-checks.js';
import { checkService } from './service-checks.js';
import { checkSources, lookAtSources, recallSources, type SourceKnown } from './source-checks.js';
import { checkState, type ServiceAnswer } from './state-checks.js';
import type { StateSaid } from './state-folder.js';
import { checkStores, lookAtStores } from './store-checks.js';
import { timeLimit } from './time-limit.js';

export interface HostToExamine {
  readonly stateDir: string;
  readonly saidBy: StateSaid;
  readonly signal: AbortSignal;
}

/** @throws ClusterError NO_CLUSTER, after all that can be checked without one */
export async function* examineHost({ stateDir, saidBy, signal }: HostToExamine): AsyncGenerator<Check> {
  const pid = lockHolder(join(stateDir, LOCK_NAME));
  const answer = await askService(stateDir, signal);
  const status = answer.kind === 'status' ? answer.status : undefined;
  const { key: identity, ...hostKey } = await lookAtHostKey(stateDir);
  const found = identity === undefined ? undefined : await clusterOf(stateDir, identity);
  const here = found instanceof ClusterError ? undefined : found;
  const sources =
    here === undefined ? [] : await recallSources(here.setting?.sources ?? [], { stateDir, ...ownKeys(here) });

  yield* await checkMachine({
    status,
    pid,
    mayRun: pid !== undefined || answer.kind !== 'none' || answer.code !== 'SERVICE_NOT_RUNNING',
    signedMs: here?.latestSignedMs,
    snapshots: sources.flatMap(({ setting: { name }, newest }) =>
      newest.kind === 'known' ? [{ source: name, timeMs: newest.timeMs }] : [],
    ),
  });
  yield* checkState({ path: stateDir, saidBy, userText, service: { answer, pid }, hostKey });
  if (found instanceof ClusterError) {
    if (found.code === 'NO_CLUSTER') throw found;
    yield decideConfiguration({ kind: 'damaged', because: found.message });
  }
  if (here !== undefined) {
    yield* await checkCluster(stateDir, here, { isToldByService: status !== undefined });
    yield* await orAborted(checkFolders({ stateDir, here, status, pid, sources }), signal);
  }
  if (status !== undefined) yield* checkService(status);
}

/** This host, and all keys that it has had. */
const ownKeys = ({ configuration, identity: { host, peer } }: ClusterHere) => ({
  host,
  keys: [peer, ...configuration.replaced.filter(former => former.host === host).map(former => former.peer)].map(
    publicKeyOf,
  ),
});

interface FoldersToCheck {
  readonly stateDir: string;
  readonly here: ClusterHere;
  readonly status: StatusReport | undefined;
  /** The service's process. */
  readonly pid: number | undefined;
  readonly sources: readonly SourceKnown[];
}

/** All of them are looked at side by side, so that those that are late are so together. */
async function checkFolders({ stateDir, here, status, pid, sources }: FoldersToCheck): Promise<readonly Check[]> {
  const { configuration, identity, setting } = here;
  const { host } = identity;
  const [seenSources, seenStores] = await Promise.all([
    lookAtSources(sources),
    lookAtStores(setting?.stores ?? [], { stateDir, userText }),
  ]);
  const own = status?.hosts.find(({ self }) => self)?.stores ?? [];
  const serviceUser = statSync(stateDir).uid;
  const stores = checkStores(seenStores, {
    stateDir,
    reports: new Map(own.flatMap(store => (store.path === undefined ? [] : [[store.path, store] as const]))),
    facts: {
      cluster: configuration.cluster,
      host,
      nameOf: other => configuration.members.find(member => member.host === other)?.name ?? other,
      serviceUser: userText(serviceUser),
      isServiceUser: process.geteuid?.() === serviceUser,
    },
    sources: seenSources.flatMap(({ setting: { name }, seen }) =>
      seen.kind === 'seen' ? [{ name, device: seen.device }] : [],
    ),
  });
  const reports = status && new Map(status.sources.map(source => [source.sourceId, source] as const));
  return [...stores, ...checkSources(seenSources, { host, reports, pid })];
}

async function askService(stateDir: string, outer: AbortSignal): Promise<ServiceAnswer> {
  using limit = timeLimit(outer, LOOK_MS_MAX);
  try {
    return { kind: 'status', status: await serviceAt(stateDir).status(limit.signal) };
  } catch (error) {
    outer.throwIfAborted();
    if (limit.isUp()) return { kind: 'late' };
    const { code, message } = toErrorRecord(error);
    return { kind: 'none', code, message };
  }
}

/** What is wrong with it, as a value: the checks before come first. */
async function clusterOf(stateDir: string, identity: Identity): Promise<ClusterHere | ClusterError> {
  try {
    return await lookAtCluster(stateDir, identity);
  } catch (error) {
    if (error instanceof ClusterError) return error;
    if (systemCode(error) === undefined) throw error;
    return new ClusterError('CONFIG_DAMAGED', `it cannot be read: ${messageOf(error)}`, { blame: 'operator' });
  }
}

/** As chown takes it. */
const userText = (uid: number): string => readAccountNames().user(uid) || String(uid);
