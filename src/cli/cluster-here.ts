/**
 * Cluster here: what the state folder of this host says of its cluster, read without changing anything, while the
 * service may write there.
 */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { messageOf } from '../core/fault.js';
import { hexOf } from '../core/ids.js';
import { adminHosts } from '../membership/admin.js';
import { ConfigStore } from '../membership/config-store.js';
import type { Configuration } from '../membership/configuration.js';
import { ADMIN_FILE, IDENTITY_FILE, type Identity, loadAdminKey, loadIdentity } from '../membership/identity.js';
import { openAdmissions } from '../membership/membership.js';
import { membershipAlarms } from '../membership/membership-alarms.js';
import type { HostSetting } from '../membership/policy.js';
import { identityIn } from '../membership/replacement.js';
import { Roll } from '../membership/roll.js';
import { systemCode } from '../store/own-folder.js';
import type { Check } from './check.js';
import { decideAdminKey, decideConfiguration, decideMember, type MemberFacts } from './cluster-checks.js';
import type { KeyFacts } from './state-checks.js';

export interface ClusterHere {
  readonly configuration: Configuration;
  readonly latestSignedMs: number;
  readonly lost: number;
  readonly concerns: readonly string[];
  readonly identity: Identity;
  readonly self: MemberFacts;
  /** What the policy says of this host. */
  readonly setting: HostSetting | undefined;
}

export interface KeyHere<Key> extends KeyFacts {
  readonly key: Key | undefined;
}

export const lookAtHostKey = (stateDir: string): Promise<KeyHere<Identity>> =>
  keyHere(join(stateDir, IDENTITY_FILE), () => loadIdentity(stateDir, { evenExposed: true }));

async function keyHere<Key>(path: string, load: () => Promise<Key | undefined>): Promise<KeyHere<Key>> {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode;
  try {
    return { path, mode, damage: undefined, isClosed: false, key: await load() };
  } catch (error) {
    const isClosed = systemCode(error) === 'EACCES';
    return { path, mode, damage: isClosed ? undefined : messageOf(error), isClosed, key: undefined };
  }
}

/** @throws ClusterError NO_CLUSTER, CONFIG_DAMAGED */
export async function lookAtCluster(stateDir: string, own: Identity): Promise<ClusterHere> {
  const store = await ConfigStore.look(stateDir);
  const identity = identityIn(store.current, own);
  const log = pino({ level: 'silent' });
  const admissions = existsSync(join(stateDir, 'admissions'))
    ? await openAdmissions(stateDir, log)
    : { values: () => [].values() };
  const roll = new Roll({ identity, store, admissions });
  return {
    configuration: store.standing,
    latestSignedMs: store.latestSignedMs,
    lost: store.lost.length,
    concerns: membershipAlarms({
      self: identity,
      configuration: store.current,
      refused: roll.roster.refused,
      lost: store.lost,
      shutOut: store.shutOut,
      hasUnreadable: false,
      unwritten: { versions: [], because: '' },
      notAbsorbed: undefined,
      clockMs: Date.now(),
    }),
    identity,
    self: roll.self,
    setting: store.standing.policy.hosts.get(roll.self.name),
  };
}

/** @param isToldByService the service tells of what wants a person */
export async function checkCluster(
  stateDir: string,
  here: ClusterHere,
  { isToldByService }: { readonly isToldByService: boolean },
): Promise<readonly Check[]> {
  const { configuration, identity, lost, concerns, self } = here;
  const { admins, clusterName, version, signedMs } = configuration;
  const { key, ...facts } = await keyHere(join(stateDir, ADMIN_FILE), () =>
    loadAdminKey(stateDir, { evenExposed: true }),
  );
  return [
    decideConfiguration({
      kind: 'read',
      cluster: clusterName,
      version,
      signedMs,
      lost,
      concerns: isToldByService ? [] : concerns,
    }),
    decideMember(self),
    decideAdminKey({
      key: facts,
      isAdmins: key !== undefined && admins.some(admin => admin.key === hexOf(key.publicKey)),
      hosts: adminHosts(configuration),
      isExpected: admins.some(({ host }) => host === identity.host),
    }),
  ];
}
