/**
 * Content change: how an operator's commands change a configuration's content, except for the policy
 * (policy-change.ts).
 *
 * Pure: takes the content and returns the next one; the same object when there is nothing to change, so that no version
 * is made.
 */
import type { MemberState } from '../core/cluster-config.js';
import { ClusterError } from '../core/fault.js';
import type { HostId, ObjectId, SourceId } from '../core/ids.js';
import { type AdminRequest, badRequest } from './admin-request.js';
import {
  ADMINS_MAX,
  type ConfigurationContent,
  type ConfigurationMember,
  MEMBER_ADDRESSES_MAX,
  RELEASED_MAX,
  type Revocation,
} from './configuration.js';
import { publicKeyOf } from './peer-key.js';
import { isAddress } from './policy-schema.js';

/** @throws ClusterError NO_SUCH_HOST, BAD_ADDRESS */
export function withAddresses(
  content: ConfigurationContent,
  hostName: string,
  addresses: readonly string[],
): ConfigurationContent {
  const wrong = addresses.find(address => !isAddress(address));
  if (wrong !== undefined || addresses.length > MEMBER_ADDRESSES_MAX) {
    throw new ClusterError(
      'BAD_ADDRESS',
      `${wrong === undefined ? `${addresses.length} addresses` : JSON.stringify(wrong)}: expected at most ${MEMBER_ADDRESSES_MAX} multiaddrs; nothing was changed`,
      { blame: 'operator' },
    );
  }
  return withMember(content, memberNamed(content, hostName), { addresses });
}

/** @throws ClusterError NO_SUCH_HOST */
export function withState(
  content: ConfigurationContent,
  hostName: string,
  state: Extract<MemberState, 'active' | 'draining'>,
): ConfigurationContent {
  const member = memberNamed(content, hostName);
  return member.state === state ? content : withMember(content, member, { state });
}

/**
 * Writes down another admin key, behind all others: their order decides forks, and who writes down new members first.
 * If the host had one before, that counts no more: it makes a second one only when it has lost the first.
 *
 * @throws ClusterError NO_SUCH_HOST, BAD_ADMIN_REQUEST, TOO_MANY_ADMINS
 */
export function withAdmin(
  content: ConfigurationContent,
  hostName: string,
  request: AdminRequest,
): ConfigurationContent {
  const { host, peer, trust } = memberNamed(content, hostName);
  const { admins } = content;
  const isTheirs = host === request.host && request.isSignedBy(publicKeyOf(peer));
  if (!isTheirs) throw badRequest(`it is not a line of ${hostName}`);
  if (trust !== 'trusted') throw badRequest(`${hostName} is untrusted, and has only a part of the policy`);
  const known = admins.find(({ key }) => key === request.key);
  if (known?.host === host) return content;
  if (known !== undefined) throw badRequest('it has the key of another admin, of which a copy is there');
  const others = admins.filter(admin => admin.host !== host);
  if (others.length >= ADMINS_MAX) {
    const why = `there are ${ADMINS_MAX} admin keys already, and no more can be: nothing was changed`;
    throw new ClusterError('TOO_MANY_ADMINS', why, { blame: 'operator' });
  }
  return { ...content, admins: [...others, { key: request.key, host }] };
}

/**
 * Ends a membership. The key that signs this, at `signer`, stays an admin key even if the host on which it was made is
 * the one revoked: that host is dead, and its key was brought here.
 *
 * @throws ClusterError NO_SUCH_HOST, LAST_ADMIN; what `key` throws where this host has none
 */
export function withoutHost(
  content: ConfigurationContent,
  hostName: string,
  { heads, signer, key }: { readonly heads: Revocation['heads']; readonly signer: HostId; readonly key: () => string },
): ConfigurationContent {
  const member = memberNamed(content, hostName);
  const { host, peer } = member;
  const changed = withTakenOver(content, [{ host, peer, heads }], { signer, key: key() });
  mustHaveAdmin(changed, hostName, `revoke ${hostName}`);
  return changed;
}

/** @throws ClusterError LAST_ADMIN */
export function mustHaveAdmin({ admins }: Pick<ConfigurationContent, 'admins'>, hostName: string, todo: string): void {
  if (admins.length > 0) return;
  throw new ClusterError(
    'LAST_ADMIN',
    `${hostName} is the only host with an admin key; nothing was changed. Put its admin.key into the state folder of another member, restart the service on that member and ${todo} there`,
    { blame: 'operator' },
  );
}

/**
 * Writes down the revocations of another branch. As `withoutHost`, but also for hosts that this branch does not have;
 * never for the host that signs.
 */
export function withTakenOver(
  content: ConfigurationContent,
  revocations: readonly Revocation[],
  { signer, key }: { readonly signer: HostId; readonly key: string },
): ConfigurationContent {
  const isGone = isOneOf(revocations);
  const gone = new Set(content.members.filter(isGone).map(({ host }) => host));
  return withRevoked({ ...content, admins: withoutAdmins(content, gone, { signer, key }) }, revocations);
}

/** The admins without those of these hosts; the key that signs stays, as that of the host at which it is now. */
export const withoutAdmins = (
  { admins }: Pick<ConfigurationContent, 'admins'>,
  gone: ReadonlySet<HostId>,
  { signer, key }: { readonly signer: HostId; readonly key: string },
): ConfigurationContent['admins'] =>
  admins
    .map(admin => (admin.key === key && gone.has(admin.host) ? { ...admin, host: signer } : admin))
    .filter(admin => !gone.has(admin.host));

/** By its key: a branch may have given a host another one, and then means no longer the machine that is known here. */
function isOneOf(revocations: readonly Pick<Revocation, 'peer'>[]): (member: ConfigurationMember) => boolean {
  const peers = new Set(revocations.map(({ peer }) => peer));
  return ({ peer }) => peers.has(peer);
}

/** The same content with these members shut out; the admins stay as they are. */
export function withRevoked<T extends Pick<ConfigurationContent, 'members' | 'revoked'>>(
  content: T,
  revocations: readonly Revocation[],
): T {
  if (revocations.length === 0) return content;
  const isGone = isOneOf(revocations);
  const members = content.members.map(member => (isGone(member) ? { ...member, state: 'revoked' } : member));
  return { ...content, members, revoked: [...content.revoked, ...revocations] };
}

/** `seq`: that of the source's newest head here. */
export function withoutArchived(content: ConfigurationContent, source: SourceId, seq: number): ConfigurationContent {
  const archived = content.archived.filter(other => other.source !== source);
  if (archived.length === content.archived.length) return content;
  const others = content.forgotten.filter(other => other.source !== source);
  return { ...content, archived, forgotten: [...others, { source, seq }] };
}

/** Keeps the newest `RELEASED_MAX`. */
export function withReleased(content: ConfigurationContent, snapshots: readonly ObjectId[]): ConfigurationContent {
  const released = new Set(content.released);
  const added = snapshots.filter(snapshot => !released.has(snapshot));
  return added.length === 0 ? content : { ...content, released: [...content.released, ...added].slice(-RELEASED_MAX) };
}

const withMember = (
  content: ConfigurationContent,
  { host }: ConfigurationMember,
  changes: Partial<Pick<ConfigurationMember, 'addresses' | 'state'>>,
): ConfigurationContent => ({
  ...content,
  members: content.members.map(member => (member.host === host ? { ...member, ...changes } : member)),
});

/** @throws ClusterError NO_SUCH_HOST */
export function memberNamed({ members }: ConfigurationContent, name: string): ConfigurationMember {
  const admitted = members.filter(({ state }) => state !== 'revoked');
  const member = admitted.find(other => other.name === name);
  if (member !== undefined) return member;
  const what = members.some(other => other.name === name)
    ? `${JSON.stringify(name)} was revoked, which is final: it is no longer a host of this cluster`
    : `there is no host ${JSON.stringify(name)} in this cluster`;
  const names = admitted.map(other => other.name).join(', ');
  throw new ClusterError('NO_SUCH_HOST', `${what} (there are: ${names}); nothing was changed`, { blame: 'operator' });
}
