/**
 * Roster: who belongs to the cluster right now: the members that an admin has written down, and the admitted ones that
 * no admin has written down yet.
 *
 * Any member can admit while admins are away and apart from each other, so several admissions may want one name or one
 * use of an invite. They are settled in the order of their hashes, the same on every host; an admin host then writes
 * down exactly this result (`absorb`). What was written down stays, whatever hash comes later.
 *
 * Pure.
 */
import type { ClusterConfig, Member, SourcePolicy } from '../core/cluster-config.js';
import { NAME_PATTERN, type SourceId, splitSourceId } from '../core/ids.js';
import { firstSeqAfter } from '../core/own-heads.js';
import { type Admission, admissionFlaw } from './admission.js';
import { type Configuration, type ConfigurationMember, MEMBERS_MAX, shutOutBy } from './configuration.js';
import { sourcesOf } from './policy-change.js';

type AdmissionRefusal =
  /** The uses of the invite went to other hosts. */
  | 'used-up'
  /** A host that joined by the invite was revoked. */
  | 'invite-closed'
  /** The key was revoked, or belongs to another host. */
  | 'key-taken'
  /** The invite's signer is no longer an admin, or the admitting member no longer a member. */
  | 'not-valid-here'
  /** The cluster has as many members as it may. */
  | 'full';

export interface Provisional {
  readonly admission: Admission;
  /** The wanted name, or the first of `name-2`, `name-3`, … that is free. */
  readonly name: string;
}

export interface Roster {
  readonly provisional: readonly Provisional[];
  readonly refused: readonly { readonly admission: Admission; readonly because: AdmissionRefusal }[];
}

export function settleAdmissions(configuration: Configuration, admissions: Iterable<Admission>): Roster {
  const { members, revoked, replaced } = configuration;
  const hosts = new Set(members.map(member => member.host));
  // A machine that has taken the place of another one is, or was, a member under that one's host id.
  const written = new Set([...members, ...replaced].map(({ peer }) => peer));
  const peers = new Set([...written, ...revoked.map(({ peer }) => peer)]);
  const names = new Set(members.map(member => member.name));
  const usesByInvite = new Map<string, number>();
  for (const { invite } of members)
    if (invite !== undefined) usesByInvite.set(invite, (usesByInvite.get(invite) ?? 0) + 1);

  const provisional: Provisional[] = [];
  const refused: Roster['refused'][number][] = [];
  for (const admission of [...admissions].sort((a, b) => (a.hash < b.hash ? -1 : 1))) {
    const { host, peer, invite } = admission;
    // Written down already, or admitted twice because the first answer got lost.
    if (hosts.has(host) || written.has(peer)) continue;
    const uses = usesByInvite.get(invite.id) ?? 0;
    const flaw = admissionFlaw(admission, configuration);
    const because: AdmissionRefusal | undefined = peers.has(peer)
      ? 'key-taken'
      : flaw === 'closed-invite'
        ? 'invite-closed'
        : flaw !== undefined
          ? 'not-valid-here'
          : uses >= invite.uses
            ? 'used-up'
            : hosts.size >= MEMBERS_MAX
              ? 'full'
              : undefined;
    if (because !== undefined) {
      refused.push({ admission, because });
      continue;
    }
    const name = freeName(admission.wantedName, names);
    hosts.add(host);
    peers.add(peer);
    names.add(name);
    usesByInvite.set(invite.id, uses + 1);
    provisional.push({ admission, name });
  }
  return { provisional, refused };
}

const NAME_CHARACTERS_MAX = 63;

/** `wanted`, or the first of `wanted-2`, `wanted-3`, … that is free. */
export function freeName(wanted: string, taken: ReadonlySet<string>): string {
  if (!taken.has(wanted)) return wanted;
  for (let number = 2; ; number++) {
    const ending = `-${number}`;
    const name = `${wanted.slice(0, NAME_CHARACTERS_MAX - ending.length)}${ending}`;
    if (!taken.has(name)) return name;
  }
}

/** A host name for the cluster, from what the operating system calls this machine: `Ann's iMac.local` → `ann-s-imac`. */
export function hostNameFrom(systemName: string): string {
  const [first = ''] = systemName.split('.');
  const name = first
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, NAME_CHARACTERS_MAX)
    .replace(/-+$/, '');
  return NAME_PATTERN.test(name) ? name : 'host';
}

/** The member that an admin writes down for an admission. */
export function memberFrom({ admission, name }: Provisional): ConfigurationMember {
  const { host, peer, addresses, invite } = admission;
  return { host, name, peer, trust: invite.trust, state: 'active', addresses, invite: invite.id };
}

/** What the machine's decisions depend on. */
export function toClusterConfig(configuration: Configuration, admissions: Iterable<Admission>): ClusterConfig {
  const { cluster, version, hash, policy, members, archived } = configuration;
  const written = members.map((member): Member => {
    const setting = policy.hosts.get(member.name);
    const { host, name, peer, state, trust } = member;
    return { host, name, peer, state, trust, domain: setting?.domain ?? host, roaming: setting?.roaming ?? false };
  });
  const waiting = settleAdmissions(configuration, admissions).provisional.map(
    ({ admission: { host, peer, invite }, name }): Member => ({
      host,
      name,
      peer,
      state: 'provisional',
      trust: invite.trust,
      domain: host,
      roaming: false,
    }),
  );
  const copies = new Map<SourceId, number>(archived.map(entry => [entry.source, entry.copies]));
  for (const [source, setting] of sourcesOf(policy, members)) copies.set(source, setting.copies);
  return {
    cluster,
    version,
    hash,
    members: [...written, ...waiting],
    sources: [...copies].map(([source, wanted]) => ({ source, copies: wanted, ...lastSeqOf(source, configuration) })),
    timing: policy.timing,
  };
}

/** For a source of a host of which a machine is shut out. */
function lastSeqOf(source: SourceId, configuration: Configuration): Pick<SourcePolicy, 'lastSeq' | 'goesOnSeq'> {
  const { origin } = splitSourceId(source);
  // Several keys of the host may be shut out: one that it had in a branch that lost, and each that it had in this one.
  const former = shutOutBy(configuration).filter(({ host }) => host === origin);
  if (former.length === 0) return {};
  const heads = former.flatMap(one => one.heads.filter(head => head.source === source));
  const lastSeq = Math.max(0, ...heads.map(({ seq }) => seq));
  const goesOn = configuration.members.some(({ host, state }) => host === origin && state !== 'revoked');
  return goesOn ? { lastSeq, goesOnSeq: firstSeqAfter(lastSeq) } : { lastSeq };
}
