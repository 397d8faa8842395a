/**
 * Cluster checks: what the doctor looks at in this host's part of the cluster: the configuration, this host's place in
 * it, and who has the admin key.
 */
import type { Standing } from '../membership/roll.js';
import { type Check, failed, ok, warning } from './check.js';
import { closedText, exposedText, isExposed, type KeyFacts } from './state-checks.js';
import { timeText } from './text.js';

// ── Configuration ──

export type ConfigurationFacts =
  | {
      readonly kind: 'read';
      readonly cluster: string;
      readonly version: number;
      readonly signedMs: number;
      /** Versions that lost a fork and are still kept. */
      readonly lost: number;
      /** What wants a person, and is not told by the service already: sentences. */
      readonly concerns: readonly string[];
    }
  | { readonly kind: 'damaged'; readonly because: string };

export function decideConfiguration(facts: ConfigurationFacts): Check {
  if (facts.kind === 'damaged') return failed('configuration', facts.because);
  const { cluster, version, signedMs, lost, concerns } = facts;
  const what = `version ${version} of the cluster ${cluster}, signed at ${timeText(signedMs)}`;
  if (concerns.length > 0) return warning('configuration', `${what}. ${concerns.join('. ')}`);
  if (lost > 0) return warning('configuration', `${what}; it was forked, and what lost is in config/lost`);
  return ok('configuration', what);
}

// ── Member ──

export interface MemberFacts {
  readonly name: string;
  readonly standing: Standing;
  readonly trust: 'trusted' | 'untrusted';
}

export function decideMember({ name, standing, trust }: MemberFacts): Check {
  const what = `this host is ${name}`;
  switch (standing) {
    case 'active':
      if (trust === 'trusted') return ok('member', what);
      return warning('member', `${what}; it is untrusted: its own sources are backed up, and it holds no copies`);
    case 'draining':
      return warning(
        'member',
        `${what}; it is to be emptied, and its copies do not count: 'cluster drain ${name} --undo' ends that`,
      );
    case 'provisional':
      return warning(
        'member',
        `${what}; it is admitted, and not yet in the configuration: its copies count once a host with an admin key has been reached`,
      );
    case 'revoked':
      return failed('member', `${what}, and was revoked: it is shut out for good. Let it join with a new state folder`);
    case 'refused':
      return failed(
        'member',
        `${what}, and its admission was refused. Make a new invite on a host with the admin key, and let it join with a new state folder`,
      );
    case 'unknown':
      return failed('member', 'the key of this host is in no configuration: it is not a member. Let it join anew');
  }
}

// ── Admin key ──

export interface AdminKeyFacts {
  readonly key: KeyFacts;
  /** It is one of those by which the configuration may be signed. */
  readonly isAdmins: boolean;
  /** The hosts that have one, by the configuration. */
  readonly hosts: readonly string[];
  /** This host is one of these. */
  readonly isExpected: boolean;
}

export function decideAdminKey({
  key: { path, mode, damage, isClosed },
  isAdmins,
  hosts,
  isExpected,
}: AdminKeyFacts): Check {
  const there = `by the configuration, ${hosts.join(', ')} ${hosts.length === 1 ? 'has' : 'have'} one`;
  if (damage !== undefined) return failed('admin-key', damage);
  if (mode === undefined) {
    if (!isExpected) return ok('admin-key', `it is not here; ${there}`);
    return warning(
      'admin-key',
      `by the configuration this host has one, and ${path} is not there: without it nothing can be changed in the cluster. Put it back from your copy, and start the service anew`,
    );
  }
  if (isExposed(mode))
    return failed(
      'admin-key',
      exposedText(path, mode, 'they can change the whole cluster until another admin revokes this host'),
    );
  if (isClosed) return warning('admin-key', closedText(path));
  if (!isAdmins) return warning('admin-key', `${path} is a key that the configuration does not know; ${there}`);
  return ok('admin-key', 'it is here; keep a copy of it away from this machine');
}
