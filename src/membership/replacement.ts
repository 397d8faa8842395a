/**
 * Replacement: a reinstalled machine takes the place of one that is gone, and goes on as the same host.
 *
 * The machine has joined as a host of its own, with a new key. One version of the configuration gives that key to the
 * member that it is to be, lets its own entry go, and shuts the old key out: so at no time are there two machines for
 * one host. A machine finds out by its key which host it is. Nothing of what the host backed up changes: its id, its
 * name, and so its part of the policy stay.
 *
 * The new machine must be bare: what it has as a host of its own would be nobody's afterwards.
 *
 * Pure. Driven by admin.ts.
 */
import { ClusterError } from '../core/fault.js';
import { type HostId, type PeerName, splitSourceId } from '../core/ids.js';
import type { Configuration, ConfigurationContent, Revocation } from './configuration.js';
import { memberNamed, mustHaveAdmin, withoutAdmins } from './content-change.js';
import type { Identity } from './identity.js';
import { hostIdOf, publicKeyOf } from './peer-key.js';
import type { Policy } from './policy.js';

export interface ReplacementOrder {
  /** The name of the host that goes on. */
  readonly host: string;
  /** The name under which the machine has joined. */
  readonly by: string;
  /** The last heads of the host's sources that stay valid with the key that it had. */
  readonly heads: Revocation['heads'];
  /** The machine that is to take the place has backed something up. */
  readonly hasHistory: boolean;
}

/** Who signs, with which admin key; `key` throws where this host has none. */
export interface Signing {
  readonly signer: HostId;
  readonly key: () => string;
}

/** @throws ClusterError NO_SUCH_HOST, REPLACE_REFUSED, LAST_ADMIN; what `key` throws */
export function withReplaced(
  content: ConfigurationContent,
  { host: name, by, heads, hasHistory }: ReplacementOrder,
  { policy, signer, key }: Signing & { readonly policy: Policy },
): ConfigurationContent {
  const old = memberNamed(content, name);
  const fresh = memberNamed(content, by);
  if (old.host === fresh.host) throw refused(`${name} cannot take its own place: name the host, then the new machine`);
  for (const { host } of [old, fresh])
    if (host === signer)
      throw refused(`${host === old.host ? name : by} is this host: do it on another one with an admin key`);
  if (old.trust !== fresh.trust)
    throw refused(
      `${name} is ${old.trust}, and ${by} is ${fresh.trust}: let the new machine join by a token with '--trust ${old.trust}'`,
    );
  const section = policy.hosts.get(by);
  if ((section?.stores.length ?? 0) + (section?.sources.length ?? 0) > 0)
    throw refused(`${by} has stores or sources of its own in the policy: take hosts.${by} out of it first`);
  if (content.admins.some(admin => admin.host === fresh.host))
    throw refused(`${by} has an admin key: let the new machine join anew, with a new state folder`);
  if (hasHistory || content.archived.some(({ source }) => splitSourceId(source).origin === fresh.host))
    throw refused(`${by} has backed up sources of its own: let the new machine join anew, with a new state folder`);

  const { peer, addresses, invite } = fresh;
  const admins = withoutAdmins(content, new Set([old.host]), { signer, key: key() });
  const changed = {
    ...content,
    members: content.members.flatMap(member =>
      member === fresh ? [] : [member === old ? { ...old, peer, addresses, invite } : member],
    ),
    admins,
    replaced: [...content.replaced, { host: old.host, peer: old.peer, heads, invite: old.invite }],
  };
  mustHaveAdmin(changed, name, `replace ${name}`);
  return changed;
}

const refused = (why: string): ClusterError =>
  new ClusterError('REPLACE_REFUSED', `${why}. Nothing was changed`, { blame: 'operator' });

type Known = Pick<Configuration, 'members' | 'replaced'>;

/**
 * The host that a machine with this key is, or was until it was replaced; else its own first one, whichever it runs as:
 * a fork may undo both that it was written down and that it took the place of another.
 */
export const hostIn = ({ members, replaced }: Known, peer: PeerName): HostId =>
  [...members, ...replaced].find(one => one.peer === peer)?.host ?? hostIdOf(publicKeyOf(peer));

/** The identity of this machine by the configuration in use. */
export const identityIn = (configuration: Known, identity: Identity): Identity => ({
  ...identity,
  host: hostIn(configuration, identity.peer),
});

/** True for the key of a machine in whose place another one goes on. */
export const isReplaced = ({ replaced }: Pick<Configuration, 'replaced'>, peer: PeerName): boolean =>
  replaced.some(former => former.peer === peer);
