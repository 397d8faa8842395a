/**
 * Config history: the versions of the configuration that this host has, what each one changed, and the policy of any of
 * them, which can be put in force again.
 *
 * It only reads. Members, admins and what was forgotten are no part of a policy, so going back never undoes them.
 */
import { ClusterError } from '../core/fault.js';
import type { ConfigStore } from './config-store.js';
import type { ConfigurationMember, UncheckedVersion } from './configuration.js';
import { joinPolicy, type PolicyPart } from './policy-parts.js';
import { policyChanges } from './section-changes.js';

export interface ConfigStep {
  readonly version: number;
  readonly hash: string;
  /** By its signer's clock. */
  readonly signedMs: number;
  /** The name of the host that signed it; undefined when it is not known whose the key is. */
  readonly signer: string | undefined;
  /** Phrases; of version 1, that it is the first. */
  readonly changes: readonly string[];
}

type Versions = Pick<ConfigStore, 'current' | 'from'>;

/** The newest first. */
export async function* configHistory(store: Versions): AsyncGenerator<ConfigStep> {
  let after = await versionOf(store, store.current.version);
  while (after !== undefined) {
    const before = after.version === 1 ? undefined : await versionOf(store, after.version - 1);
    yield {
      version: after.version,
      hash: after.hash,
      signedMs: after.signedMs,
      signer: signerOf(after, before),
      changes: changesBetween(before, after),
    };
    after = before;
  }
}

/** The policy of a version, comments kept, and the version's hash. @throws ClusterError NO_SUCH_VERSION, VERSION_INCOMPLETE */
export async function policyOf(
  store: Versions,
  version: number,
): Promise<{ readonly text: string; readonly hash: string }> {
  const found = await versionOf(store, version);
  if (found === undefined) {
    const newest = store.current.version;
    throw new ClusterError(
      'NO_SUCH_VERSION',
      `there is no version ${version} of the configuration: the newest is ${newest}. Nothing was changed`,
      { blame: 'operator' },
    );
  }
  const parts = found.parts.flatMap(({ name, text }): PolicyPart[] => (text === undefined ? [] : [{ name, text }]));
  if (parts.length < found.parts.length)
    throw new ClusterError(
      'VERSION_INCOMPLETE',
      `of version ${version} only a part was ever sent to this host: ask on another one. Nothing was changed`,
      { blame: 'operator' },
    );
  return { text: joinPolicy(parts), hash: found.hash };
}

async function versionOf(store: Versions, version: number): Promise<UncheckedVersion | undefined> {
  if (version < 1) return undefined;
  const [found] = await store.from(version - 1, { countMax: 1, bytesMax: 0 });
  return found;
}

/** Its key was an admin's before it, or, in version 1, is one in it. */
function signerOf(after: UncheckedVersion, before: UncheckedVersion = after): string | undefined {
  const host = before.admins.find(({ key }) => key === after.signer)?.host;
  return after.members.find(member => member.host === host)?.name;
}

export function changesBetween(before: UncheckedVersion | undefined, after: UncheckedVersion): readonly string[] {
  if (before === undefined) return ['the cluster was founded'];
  const changes = [...policyChanges(before.parts, after.parts), ...memberChanges(before, after)];
  if (!isSame(before.admins, after.admins)) changes.push('admin keys');
  const known = new Set(before.archived.map(({ source }) => source));
  const archived = after.archived.filter(({ source }) => !known.has(source)).length;
  if (archived > 0) changes.push(`sources archived: ${archived}`);
  if (!isSame(before.forgotten, after.forgotten)) changes.push('an archived source was forgotten');
  if (!isSame(before.released, after.released)) changes.push('unlisted snapshots were let go');
  return changes;
}

function memberChanges(before: UncheckedVersion, after: UncheckedVersion): string[] {
  const known = new Map(before.members.map(member => [member.host, member]));
  return after.members.flatMap(member => {
    const old: ConfigurationMember | undefined = known.get(member.host);
    if (old === undefined) return [`${member.name} was admitted`];
    const changes: string[] = [];
    if (old.peer !== member.peer) {
      const by = before.members.find(({ peer }) => peer === member.peer)?.name ?? 'another machine';
      return [`${member.name} goes on as the machine that joined as ${by}`];
    }
    if (old.state !== member.state) changes.push(`${member.name}: ${old.state} -> ${member.state}`);
    if (!isSame(old.addresses, member.addresses)) changes.push(`${member.name} has other addresses`);
    return changes;
  });
}

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
