/**
 * Admin: what a host does with the admin key that it has: new versions of the configuration, and invites.
 *
 * An operator's commands change the policy, the members and the admins; policy-change.ts and content-change.ts say how. On its own
 * the host writes down every admitted member, and the members that a lost branch has revoked. A host without a key
 * refuses, and names the hosts that have one.
 *
 * Invariants: a version is durable before it is acted on; changes are made one at a time. Driven by src/daemon, and by
 * membership.ts for admitted members. Specified in src/DESIGN.md, "How a host belongs to a cluster".
 */
import type { Logger } from 'pino';
import type { ClusterConfig } from '../core/cluster-config.js';
import { ClusterError, messageOf } from '../core/fault.js';
import { hashHex } from '../core/hash.js';
import { type HostId, hexOf, type ObjectId, type SourceId } from '../core/ids.js';
import type { Signer } from '../core/signed.js';
import { badRequest, readAdminRequest } from './admin-request.js';
import { changesBetween } from './config-history.js';
import type { ConfigStore } from './config-store.js';
import {
  type Configuration,
  type ConfigurationContent,
  contentOf,
  type Revocation,
  signVersion,
  type Trust,
} from './configuration.js';
import {
  withAddresses,
  withAdmin,
  withoutArchived,
  withoutHost,
  withReleased,
  withState,
  withTakenOver,
} from './content-change.js';
import type { Identity } from './identity.js';
import { type Door, type Invite, signInvite, TOKEN_PEERS_MAX, tokenText } from './invite.js';
import { INVITES_MAX } from './open-invites.js';
import { parsePolicy } from './parse-policy.js';
import type { Policy } from './policy.js';
import { archive, demandYes, lossesOf, type PolicyChange, warningsOf } from './policy-change.js';
import {
  addSource,
  addStore,
  drainStore,
  type SourceAddition,
  type StoreAddition,
  type StoreDrain,
} from './policy-edit.js';
import { splitPolicy } from './policy-parts.js';
import { type ReplacementOrder, withReplaced } from './replacement.js';
import type { Roll } from './roll.js';
import { memberFrom } from './roster.js';

export interface PolicyApplied {
  readonly configuration: Configuration;
  /** False when the text was in use already, so that no version was made. */
  readonly changed: boolean;
  readonly warnings: readonly string[];
}

interface PolicyText {
  readonly text: string;
  /** For error messages. */
  readonly file?: string;
}

/** What would come of putting a policy in force. */
export interface PolicyPlanned {
  /** False when the text is in use already. */
  readonly changed: boolean;
  /** As the history would have them. */
  readonly changes: readonly string[];
  /** What it would take away, for which a yes is wanted. */
  readonly losses: readonly string[];
  readonly notes: readonly string[];
  readonly before: Policy;
  readonly after: Policy;
  /** What the machine's decisions would depend on. */
  readonly clusterConfig: ClusterConfig;
}

/** A policy beside the one in use. */
interface Weighed {
  readonly change: PolicyChange;
  readonly losses: readonly string[];
  readonly notes: readonly string[];
  /** Notes on the new policy alone. */
  readonly strangers: readonly string[];
}

export interface InviteOrder {
  readonly uses: number;
  /** How long the invite is valid. */
  readonly lifeMs: number;
  readonly trust: Trust;
  /** Where this host can be reached. */
  readonly addresses: readonly string[];
  /** Where other members were last reached: some are put into the token, for times when this host is away. */
  readonly others?: readonly Door[];
}

/** What signing needs from the membership. */
export interface AdminContext {
  readonly identity: Identity;
  /** Undefined: this host has none. */
  readonly key: () => Signer | undefined;
  readonly store: Pick<ConfigStore, 'cluster' | 'current' | 'shutOut' | 'accept'>;
  readonly roll: Pick<Roll, 'clusterConfig' | 'clusterConfigWith' | 'roster' | 'doors'>;
  readonly log: Logger;
  /** This host's clock, ms: a version says by it when it was signed. */
  readonly clock: () => number;
  /** Never earlier than the latest signed time: invites are dated by it. */
  readonly nowMs: () => number;
  /** Runs one change at a time, among all changes of the membership. */
  readonly alone: <T>(change: () => Promise<T>) => Promise<T>;
  /** Acts on a version that has just become durable. */
  readonly changed: () => Promise<void>;
  /** False when there is no room for it. */
  readonly keepInvite: (invite: Invite) => Promise<boolean>;
}

/** The hosts that this host should have written down, and why it could not. */
export interface NotAbsorbed {
  readonly names: readonly string[];
  readonly because: string;
}

export class Admin {
  readonly #of: AdminContext;
  #notAbsorbed: NotAbsorbed | undefined;

  constructor(context: AdminContext) {
    this.#of = context;
  }

  /** True when this host's key is one of the configuration's admin keys. */
  get isAdmin(): boolean {
    const key = this.#of.key();
    return key !== undefined && isAdminKey(this.#configuration, hexOf(key.publicKey));
  }

  /** The place of this host's key among the admin keys; undefined while it is none of them. */
  get place(): number | undefined {
    const key = this.#of.key();
    const hex = key && hexOf(key.publicKey);
    const place = this.#configuration.admins.findIndex(admin => admin.key === hex);
    return place < 0 ? undefined : place;
  }

  get notAbsorbed(): NotAbsorbed | undefined {
    return this.#notAbsorbed;
  }

  get #configuration(): Configuration {
    return this.#of.store.current;
  }

  /** Signs an invite and returns the token: one line. @throws ClusterError NO_ADMIN_KEY, BAD_INVITE, TOO_MANY_INVITES */
  createInvite({ uses, lifeMs, trust, addresses, others = [] }: InviteOrder): Promise<string> {
    return this.#of.alone(async () => {
      const admin = this.#needKey();
      const nowMs = this.#of.nowMs();
      const { invite, seed } = signInvite(
        { cluster: this.#of.store.cluster, uses, nowMs, expiresMs: nowMs + lifeMs, trust },
        admin,
      );
      if (!(await this.#of.keepInvite(invite))) {
        throw new ClusterError(
          'TOO_MANY_INVITES',
          `${INVITES_MAX} invites are open already; no invite was made. Wait for one to expire`,
          {
            blame: 'operator',
          },
        );
      }
      const admitting = new Set(
        this.#configuration.members
          .filter(({ state, trust: t }) => state !== 'revoked' && t === 'trusted')
          .map(({ peer }) => peer),
      );
      const known = new Map([...this.#of.roll.doors(), ...others].map(door => [door.peer, door]));
      const more = [...known.values()].filter(({ peer }) => admitting.has(peer) && peer !== this.#of.identity.peer);
      const doors = [{ peer: this.#of.identity.peer, addresses }, ...more].slice(0, TOKEN_PEERS_MAX);
      return tokenText({ invite, seed, doors });
    });
  }

  /**
   * Puts a policy in force. `madeFrom`: the policy that was edited; only while that one is in force.
   *
   * @throws PolicyError; ClusterError POLICY_CHANGED, NEEDS_YES with what would be lost, NO_ADMIN_KEY, POLICY_LAYOUT, CONFIG_TOO_LARGE
   */
  applyPolicy({
    text,
    madeFrom,
    file,
    yes = false,
  }: PolicyText & { readonly madeFrom?: string; readonly yes?: boolean }): Promise<PolicyApplied> {
    return this.#of.alone(async () => {
      const { policyText, version } = this.#configuration;
      if (madeFrom !== undefined && madeFrom !== policyText) {
        const why = `the policy was changed meanwhile, and nothing was changed now: configuration ${version} has another one. 'cluster config history' tells what was changed`;
        throw new ClusterError('POLICY_CHANGED', why, { blame: 'passing' });
      }
      return this.#applyPolicy(text, file, yes);
    });
  }

  /**
   * What putting a policy in force would do. Changes nothing, and needs no key.
   *
   * @throws PolicyError; ClusterError POLICY_LAYOUT, POLICY_WITHHELD
   */
  planPolicy({ text, file }: PolicyText): PolicyPlanned {
    const configuration = this.#configuration;
    if (configuration.parts.some(part => part.text === undefined)) {
      const why =
        'this host is not trusted, and has only a part of the policy: ask on one that is. Nothing was changed';
      throw new ClusterError('POLICY_WITHHELD', why, { blame: 'operator' });
    }
    const { change, losses, notes } = this.#weigh(text, file);
    const archived = archive(change);
    const parts = splitPolicy(text).map(part => ({ ...part, hash: hashHex(Buffer.from(part.text)) }));
    return {
      changed: text !== configuration.policyText,
      changes: changesBetween(configuration, { ...configuration, parts, archived }),
      losses,
      notes,
      before: change.before,
      after: change.after,
      clusterConfig: this.#of.roll.clusterConfigWith({ policy: change.after, archived }),
    };
  }

  /** @throws as `applyPolicy`, and STORE_EXISTS */
  addStore(addition: StoreAddition): Promise<PolicyApplied> {
    return this.#of.alone(() => this.#applyPolicy(addStore(this.#configuration.policyText, addition), 'policy', false));
  }

  /** Marks a store as to be emptied, or lets it hold copies again. @throws as `applyPolicy`, and NO_SUCH_STORE */
  drainStore(drain: StoreDrain): Promise<PolicyApplied> {
    return this.#of.alone(() => this.#applyPolicy(drainStore(this.#configuration.policyText, drain), 'policy', false));
  }

  /** @throws as `applyPolicy`, and SOURCE_EXISTS */
  addSource(addition: SourceAddition): Promise<PolicyApplied> {
    return this.#of.alone(() =>
      this.#applyPolicy(addSource(this.#configuration.policyText, addition), 'policy', false),
    );
  }

  /** Replaces the addresses at which a member listens. @throws ClusterError NO_ADMIN_KEY, NO_SUCH_HOST, BAD_ADDRESS */
  async setAddresses(hostName: string, addresses: readonly string[]): Promise<Configuration> {
    return (await this.#change(content => withAddresses(content, hostName, addresses))).configuration;
  }

  /** Marks a host as to be emptied, or lets it hold copies again. @throws ClusterError NO_ADMIN_KEY, NO_SUCH_HOST */
  async drain(hostName: string, undo: boolean): Promise<Configuration> {
    return (await this.#change(content => withState(content, hostName, undo ? 'active' : 'draining'))).configuration;
  }

  /**
   * Ends a membership. `heads`: the last heads of its sources that stay valid.
   * @throws ClusterError NO_ADMIN_KEY, NO_SUCH_HOST, LAST_ADMIN
   */
  async revoke(hostName: string, heads: Revocation['heads']): Promise<Configuration> {
    const by = { signer: this.#of.identity.host, key: () => hexOf(this.#needKey().publicKey) };
    return (await this.#change(content => withoutHost(content, hostName, { heads, ...by }))).configuration;
  }

  /**
   * Lets a machine that has joined go on in the place of a host's own.
   * @throws ClusterError NO_ADMIN_KEY, NO_SUCH_HOST, REPLACE_REFUSED, LAST_ADMIN, REPLACED_FULL
   */
  async replace(order: ReplacementOrder): Promise<Configuration> {
    const by = { signer: this.#of.identity.host, key: () => hexOf(this.#needKey().publicKey) };
    const change = (content: ConfigurationContent) =>
      withReplaced(content, order, { ...by, policy: this.#configuration.policy });
    return (await this.#change(change)).configuration;
  }

  /**
   * Writes down the key of another host, from the line that `requestLine` gave there.
   * @returns `replaced`: the host had another key, which counts no more
   * @throws ClusterError NO_ADMIN_KEY, BAD_ADMIN_REQUEST, NO_SUCH_HOST, TOO_MANY_ADMINS
   */
  async add(
    hostName: string,
    line: string,
  ): Promise<Pick<PolicyApplied, 'configuration' | 'changed'> & { readonly replaced: boolean }> {
    let before = 0;
    const made = await this.#change(content => {
      this.#needKey();
      const request = readAdminRequest(line);
      if (request.cluster !== this.#of.store.cluster) throw badRequest('it is of a host of another cluster');
      before = content.admins.length;
      return withAdmin(content, hostName, request);
    });
    return { ...made, replaced: made.changed && made.configuration.admins.length === before };
  }

  /**
   * Removes the entry that keeps an archived source. `seq`: that of its newest head here. @returns false when it is
   * not, or no longer, archived
   * @throws ClusterError NO_ADMIN_KEY
   */
  async forgetArchived(source: SourceId, seq: number): Promise<boolean> {
    return (await this.#change(content => withoutArchived(content, source, seq))).changed;
  }

  /** Ends the hold of snapshots that no head lists. At most `RELEASED_MAX`. @throws ClusterError NO_ADMIN_KEY */
  async releaseSnapshots(snapshots: readonly ObjectId[]): Promise<void> {
    await this.#change(content => withReleased(content, snapshots));
  }

  /** @throws ClusterError NO_ADMIN_KEY, which names the hosts that have one */
  mustHaveKey(): void {
    this.#needKey();
  }

  async #applyPolicy(text: string, file: string | undefined, yes: boolean): Promise<PolicyApplied> {
    const { change, losses, notes, strangers } = this.#weigh(text, file);
    this.#needKey();
    const content = contentOf(this.#configuration);
    if (text === content.policyText) return { configuration: this.#configuration, changed: false, warnings: strangers };
    demandYes(losses, { yes, notes });
    const configuration = await this.#sign({ ...content, policyText: text, archived: archive(change) });
    return { configuration, changed: true, warnings: [...losses, ...notes] };
  }

  /** @throws PolicyError */
  #weigh(text: string, file: string | undefined): Weighed {
    const { members } = this.#of.roll.clusterConfig;
    const { policy: after, warnings: strangers } = parsePolicy(text, {
      ...(file === undefined ? {} : { file }),
      members: members.map(({ name }) => name),
    });
    const { policy: before, archived } = this.#configuration;
    const change = { before, after, archived, members };
    return { change, losses: lossesOf(change), notes: [...warningsOf(change), ...strangers], strangers };
  }

  /** Signs the content that `change` makes of the present one. */
  #change(
    change: (content: ConfigurationContent) => ConfigurationContent,
  ): Promise<Pick<PolicyApplied, 'configuration' | 'changed'>> {
    return this.#of.alone(async () => {
      const before = contentOf(this.#configuration);
      const after = change(before);
      if (after === before) return { configuration: this.#configuration, changed: false };
      return { configuration: await this.#sign(after), changed: true };
    });
  }

  /** Signs the next version, keeps it and acts on it. */
  async #sign(content: ConfigurationContent): Promise<Configuration> {
    const signed = signVersion(content, {
      parent: this.#configuration,
      signer: this.#needKey(),
      nowMs: this.#of.clock(),
    });
    const { kind } = await this.#of.store.accept(signed.raw, { host: this.#of.identity.host, trust: 'trusted' });
    if (kind !== 'accepted') throw new Error(`bug: the version just signed is ${kind}`);
    await this.#of.changed();
    return signed;
  }

  #needKey(): Signer {
    const key = this.#of.key();
    if (key !== undefined && this.isAdmin) return key;
    const hosts = adminHosts(this.#configuration).join(', ');
    throw new ClusterError(
      'NO_ADMIN_KEY',
      `this needs an admin key, which this host does not have; nothing was changed. Do it on: ${hosts}`,
      {
        blame: 'operator',
      },
    );
  }

  /**
   * On an admin host: writes into the configuration every provisional member, and the revocations that only lost
   * branches have.
   */
  async absorb(): Promise<void> {
    const { roll, store, identity } = this.#of;
    const key = this.#of.key();
    const { provisional } = roll.roster;
    const { shutOut } = store;
    this.#notAbsorbed = undefined;
    if (key === undefined || !this.isAdmin || provisional.length + shutOut.length === 0) return;
    // A host that is itself shut out must not be the one to write that down.
    if (shutOut.some(({ host }) => host === identity.host)) return;
    const by = { signer: identity.host, key: hexOf(key.publicKey) };
    const content = withTakenOver(contentOf(this.#configuration), shutOut, by);
    try {
      await this.#sign({ ...content, members: [...content.members, ...provisional.map(memberFrom)] });
    } catch (error) {
      // No command asked for this version, so only an alarm can report the failure. The hosts stay as they are until
      // the next change or start.
      const nameOf = (host: HostId): string => roll.clusterConfig.members.find(one => one.host === host)?.name ?? host;
      this.#notAbsorbed = {
        names: [...provisional.map(({ name }) => name), ...shutOut.map(({ host }) => nameOf(host))],
        because: messageOf(error),
      };
      this.#of.log.error(
        { err: error, code: 'NOT_ABSORBED' },
        'admitted or shut-out hosts could not be written into the configuration',
      );
    }
  }
}

export const isAdminKey = ({ admins }: Configuration, hex: string): boolean => admins.some(({ key }) => key === hex);

/** The names of the hosts that have an admin key, by the configuration. */
export const adminHosts = ({ admins, members }: Pick<Configuration, 'admins' | 'members'>): readonly string[] =>
  admins.map(({ host }) => members.find(member => member.host === host)?.name ?? host);
