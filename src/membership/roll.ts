/**
 * Roll: the members as this host knows them now, from the configuration in use, the revocations of lost branches, and
 * the admissions that it has.
 *
 * Computed again when one of these has changed (`settle`); in between it answers from memory. roster.ts decides which
 * of the admitted hosts belong.
 *
 * Driven by membership.ts.
 */
import type { ClusterConfig, MemberState } from '../core/cluster-config.js';
import type { PeerName } from '../core/ids.js';
import type { Admission } from './admission.js';
import type { ConfigStore } from './config-store.js';
import type { Configuration, ConfigurationMember, Reader, Trust } from './configuration.js';
import type { Identity } from './identity.js';
import type { Door } from './invite.js';
import type { Notes } from './notes.js';
import { isReplaced } from './replacement.js';
import { type Roster, settleAdmissions, toClusterConfig } from './roster.js';

/** A host's standing: a member's state, or a word for a host whose admission came to nothing. */
export type Standing = MemberState | 'refused' | 'unknown';

export interface RollContext {
  readonly identity: Identity;
  readonly store: Pick<ConfigStore, 'standing'>;
  readonly admissions: Pick<Notes<Admission>, 'values'>;
}

export class Roll {
  readonly #of: RollContext;
  readonly #peers = new Set<PeerName>();
  #roster: Roster = { provisional: [], refused: [] };
  #clusterConfig: ClusterConfig;

  constructor(context: RollContext) {
    this.#of = context;
    this.#clusterConfig = toClusterConfig(this.#configuration, context.admissions.values());
    this.settle();
  }

  /** Takes in changes of the configuration and the admissions. */
  settle(): void {
    const { admissions } = this.#of;
    this.#roster = settleAdmissions(this.#configuration, admissions.values());
    this.#clusterConfig = toClusterConfig(this.#configuration, admissions.values());
    this.#peers.clear();
    for (const { peer, state } of this.#clusterConfig.members) if (state !== 'revoked') this.#peers.add(peer);
  }

  get roster(): Roster {
    return this.#roster;
  }

  /** What the machine's decisions depend on: the configuration's part, with provisional members. */
  get clusterConfig(): ClusterConfig {
    return this.#clusterConfig;
  }

  /** What it would be with another policy. */
  clusterConfigWith(changed: Pick<Configuration, 'archived' | 'policy'>): ClusterConfig {
    return toClusterConfig({ ...this.#configuration, ...changed }, this.#of.admissions.values());
  }

  isMember(peer: PeerName): boolean {
    return this.#peers.has(peer);
  }

  /** This host's own name and standing. */
  get self(): { readonly name: string; readonly standing: Standing; readonly trust: Trust } {
    const { host } = this.#of.identity;
    const member = this.clusterConfig.members.find(other => other.host === host);
    if (member !== undefined) return { name: member.name, standing: member.state, trust: member.trust };
    const own = [...this.#of.admissions.values()].find(admission => admission.host === host);
    return {
      name: own?.wantedName ?? 'host',
      standing: own === undefined ? 'unknown' : 'refused',
      trust: own?.invite.trust ?? 'trusted',
    };
  }

  /** Where each other member may be reached, as configured or as it said when it joined. */
  doors(): readonly Door[] {
    const { policy, members } = this.#configuration;
    const written = members
      .filter(member => member.state !== 'revoked')
      .map(({ name, peer, addresses }) => ({ peer, addresses: policy.hosts.get(name)?.addresses ?? addresses }));
    const waiting = this.roster.provisional.map(({ admission: { peer, addresses } }) => ({ peer, addresses }));
    return [...written, ...waiting].filter(door => door.peer !== this.#of.identity.peer && door.addresses.length > 0);
  }

  /** What a peer may read here; `undefined` when it is no member. */
  readerOf(peer: PeerName): Reader | undefined {
    return this.clusterConfig.members.find(member => member.peer === peer && member.state !== 'revoked');
  }

  /** Admissions that are in no version yet. */
  unwritten(): readonly Admission[] {
    const { members } = this.#configuration;
    const hosts = new Set(members.map(({ host }) => host));
    const peers = new Set(members.map(({ peer }) => peer));
    return [...this.#of.admissions.values()].filter(({ host, peer }) => !hosts.has(host) && !peers.has(peer));
  }

  /** For a machine that was replaced, its host is revoked: the one that goes on under that name is another. */
  get #configuration(): Configuration {
    const { identity, store } = this.#of;
    const { standing } = store;
    if (!isReplaced(standing, identity.peer)) return standing;
    const members = standing.members.map(
      (member): ConfigurationMember => (member.host === identity.host ? { ...member, state: 'revoked' } : member),
    );
    return { ...standing, members };
  }
}
