/**
 * Membership: what this host knows of who belongs to its cluster, and the one place where that changes.
 *
 * It holds the chain of configurations, the admissions and the invites, all on disk and checked; answers at once who is a
 * member and whether strangers may knock; takes in what peers have; and, on a host with an admin key, signs new versions,
 * also by itself when it meets an admission that nobody has written yet. Who is admitted is decided in decide-admission.ts, and what
 * a command makes of a configuration in content-change.ts and policy-change.ts; here they come into force.
 *
 * Invariants: nothing is acted on that is not durable; changes are made one at a time; whatever comes from a peer is
 * verified before it is kept. Time comes from the clock handed in, but is never earlier than what an admin has signed.
 *
 * Driven by src/daemon, join-protocol.ts and config-protocol.ts. Specified in DESIGN section 9.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { ClusterConfig, MemberState } from '../core/cluster-config.js';
import { ClusterError } from '../core/fault.js';
import { type ClusterId, hexOf, type ObjectId, type PeerName, type SourceId } from '../core/ids.js';
import type { ConfigHint } from '../core/messages.js';
import type { Signer } from '../core/signed.js';
import { type Admission, admissionFlaw, type Joiner, readAdmission, signAdmission } from './admission.js';
import { type Acceptance, ConfigStore, MARKS_MAX, type Mark } from './config-store.js';
import {
  type Configuration,
  type ConfigurationContent,
  contentOf,
  type Reader,
  type Revocation,
  signVersion,
  type Trust,
  type UncheckedVersion,
} from './configuration.js';
import { withAddresses, withoutArchived, withoutHost, withReleased, withState } from './content-change.js';
import { ADMISSIONS_MAX, decideAdmission, type JoinRefusal, type JoinVerdict } from './decide-admission.js';
import { isMalformed } from './fields.js';
import { type Identity, loadAdminKey, loadIdentity } from './identity.js';
import { type Door, type Invite, readInvite, signInvite, TOKEN_PEERS_MAX, tokenText } from './invite.js';
import { membershipAlarms } from './membership-alarms.js';
import { Notes } from './notes.js';
import { INVITES_MAX, OpenInvites } from './open-invites.js';
import { parsePolicy } from './parse-policy.js';
import { archive, demandYes, lossesOf, warnOfLeaving } from './policy-change.js';
import { addSource, addStore, type SourceAddition, type StoreAddition } from './policy-edit.js';
import { memberFrom, type Roster, settleAdmissions, toClusterConfig } from './roster.js';

/** Beyond an invite's uses, so many more admissions by it are kept: two members may have admitted at once, not twenty. */
const ADMISSIONS_OVER_USES_MAX = 16;

export interface MembershipOptions {
  readonly stateDir: string;
  /** Wall clock, ms. */
  readonly clock: () => number;
  readonly log: Logger;
}

/** How a host stands: a member's state, or a word for one whose admission came to nothing. */
export type Standing = MemberState | 'refused' | 'unknown';

export interface PolicyApplied {
  readonly configuration: Configuration;
  /** False when the text was in use already: no version was made. */
  readonly changed: boolean;
  readonly warnings: readonly string[];
}

export interface InviteOrder {
  readonly uses: number;
  /** How long it is good for. */
  readonly lifeMs: number;
  readonly trust: Trust;
  /** Where this host can be reached. */
  readonly addresses: readonly string[];
  /** Where other members were last reached: some go into the token, for when this host is away. */
  readonly others?: readonly Door[];
}

/** @throws ClusterError NO_CLUSTER, CONFIG_DAMAGED, KEY_DAMAGED, KEY_EXPOSED, IDENTITY_MISSING */
export async function openMembership({ stateDir, clock, log }: MembershipOptions): Promise<Membership> {
  const store = await ConfigStore.open(stateDir);
  const identity = await loadIdentity(stateDir);
  if (identity === undefined) {
    throw new ClusterError(
      'IDENTITY_MISSING',
      `${stateDir} has a configuration but no identity.key; everything was kept. Put the key back from a copy`,
      {
        blame: 'operator',
      },
    );
  }
  const admin = await loadAdminKey(stateDir);
  const invites = await Notes.open(join(stateDir, 'invites'), { read: readInvite, idOf: invite => invite.id, log });
  const admissions = await openAdmissions(stateDir, log);
  const membership = new Membership({ store, identity, admin, invites, admissions, clock, log });
  await membership.start();
  return membership;
}

export const openAdmissions = (stateDir: string, log: Logger): Promise<Notes<Admission>> =>
  Notes.open(join(stateDir, 'admissions'), { read: readAdmission, idOf: admission => admission.hash, log });

export class Membership {
  readonly identity: Identity;
  readonly cluster: ClusterId;
  readonly #store: ConfigStore;
  readonly #admin: Signer | undefined;
  readonly #invites: OpenInvites;
  readonly #admissions: Notes<Admission>;
  readonly #clock: () => number;
  readonly #log: Logger;
  readonly #listeners = new Set<() => void>();
  readonly #members = new Set<PeerName>();
  /** An admin has signed a policy that this release cannot read. */
  #hasUnreadable = false;
  #roster: Roster = { provisional: [], refused: [] };
  #clusterConfig: ClusterConfig;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(parts: {
    readonly store: ConfigStore;
    readonly identity: Identity;
    readonly admin: Signer | undefined;
    readonly invites: Notes<Invite>;
    readonly admissions: Notes<Admission>;
    readonly clock: () => number;
    readonly log: Logger;
  }) {
    this.identity = parts.identity;
    this.cluster = parts.store.cluster;
    this.#store = parts.store;
    this.#admin = parts.admin;
    this.#invites = new OpenInvites({
      notes: parts.invites,
      cluster: this.cluster,
      isAdmin: key => this.#isAdminKey(key),
      nowMs: () => this.nowMs(),
    });
    this.#admissions = parts.admissions;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#clusterConfig = toClusterConfig(this.configuration, this.#admissions.values());
    this.#settle();
  }

  /** Forgets what has no more use, and writes down what another start had no time for. Called once, before use. */
  async start(): Promise<void> {
    await this.#alone(async () => {
      const nowMs = this.nowMs();
      await this.#invites.prune();
      const waiting = new Set(this.#roster.provisional.map(({ admission }) => admission.hash));
      await this.#admissions.prune(
        ({ hash, host, invite }) => !waiting.has(hash) && host !== this.identity.host && invite.expiresMs <= nowMs,
      );
      this.#settle();
      await this.#absorb();
    });
  }

  /** The newest version in use. */
  get configuration(): Configuration {
    return this.#store.current;
  }

  /** What the machine's decisions depend on: the configuration's part, with provisional members. */
  get clusterConfig(): ClusterConfig {
    return this.#clusterConfig;
  }

  /** True on a host that may sign configurations. */
  get isAdmin(): boolean {
    const admin = this.#admin;
    return admin !== undefined && this.#isAdminKey(hexOf(admin.publicKey));
  }

  /** This host's own name and standing. */
  get self(): { readonly name: string; readonly standing: Standing; readonly trust: Trust } {
    const { host } = this.identity;
    const member = this.#clusterConfig.members.find(other => other.host === host);
    if (member !== undefined) return { name: member.name, standing: member.state, trust: member.trust };
    const own = [...this.#admissions.values()].find(admission => admission.host === host);
    return {
      name: own?.wantedName ?? 'host',
      standing: own === undefined ? 'unknown' : 'refused',
      trust: own?.invite.trust ?? 'trusted',
    };
  }

  /** The clock, or the latest time that an admin has signed if that is later. */
  nowMs(): number {
    return Math.max(this.#clock(), this.#store.latestSignedMs, this.#invites.latestMadeMs);
  }

  // For the gate: from memory, at once.

  isMember(peer: PeerName): boolean {
    return this.#members.has(peer);
  }

  /**
   * True while an invite has not expired and this host may admit. Also when its uses are taken: who comes too late shall
   * hear that, and the one handler open to strangers does nothing else for them.
   */
  strangersWelcome(): boolean {
    return this.#mayAdmit() && this.openInvites().length > 0;
  }

  openInvites(): readonly Invite[] {
    return this.#invites.open();
  }

  /** Where each other member may be reached, as configured or as it said when it joined. */
  doors(): readonly Door[] {
    const { policy, members } = this.configuration;
    const written = members
      .filter(member => member.state !== 'revoked')
      .map(({ name, peer, addresses }) => ({ peer, addresses: policy.hosts.get(name)?.addresses ?? addresses }));
    const waiting = this.#roster.provisional.map(({ admission: { peer, addresses } }) => ({ peer, addresses }));
    return [...written, ...waiting].filter(door => door.peer !== this.identity.peer && door.addresses.length > 0);
  }

  /** One line for each thing that wants a person. */
  alarms(): readonly string[] {
    return membershipAlarms({
      self: this.identity.host,
      configuration: this.configuration,
      refused: this.#roster.refused,
      lost: this.#store.lost,
      hasUnreadable: this.#hasUnreadable,
    });
  }

  /** Calls back after every change, when it is durable and in use. Returns the function that ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  // What hosts tell each other.

  hint(): ConfigHint {
    const { version, hash } = this.configuration;
    return {
      kind: 'config',
      version,
      hash,
      admissions: this.#roster.provisional.map(({ admission }) => admission.host),
    };
  }

  /** True when the writer of this hint has, or may have, something that this host lacks: ask it. */
  lacks({ version, hash, admissions }: ConfigHint): boolean {
    return (
      !this.#store.has({ version, hash }) ||
      admissions.some(host => !this.#clusterConfig.members.some(member => member.host === host))
    );
  }

  /** What this host has, for whoever may have more: of our chain first, then of branches that lost. */
  async marks(): Promise<readonly Mark[]> {
    return [...this.#store.marks(), ...(await this.#store.lostMarks())].slice(0, MARKS_MAX);
  }

  hasVersion(mark: Mark): boolean {
    return this.#store.has(mark);
  }

  versionsAfter(
    marks: readonly Mark[],
    limits: { readonly countMax: number; readonly bytesMax: number },
  ): Promise<readonly UncheckedVersion[]> {
    return this.#store.from(this.#store.commonWith(marks), limits);
  }

  versionsFrom(
    version: number,
    limits: { readonly countMax: number; readonly bytesMax: number },
  ): Promise<readonly UncheckedVersion[]> {
    return this.#store.from(version, limits);
  }

  /** As whom a peer reads here; `undefined` when it is no member. */
  readerOf(peer: PeerName): Reader | undefined {
    return this.#clusterConfig.members.find(member => member.peer === peer && member.state !== 'revoked');
  }

  /** Admissions that no version has yet. */
  unwritten(): readonly Admission[] {
    const written = new Set(this.configuration.members.map(({ host }) => host));
    return [...this.#admissions.values()].filter(({ host }) => !written.has(host));
  }

  hasAdmission(hash: string): boolean {
    return this.#admissions.has(hash);
  }

  hasInvite(id: string): boolean {
    return this.#invites.has(id);
  }

  acceptVersion(raw: Uint8Array): Promise<Acceptance> {
    return this.#alone(async () => {
      const { host } = this.identity;
      const acceptance = await this.#store.accept(raw, { host, trust: this.self.trust });
      switch (acceptance.kind) {
        case 'accepted':
        case 'fork-won':
          this.#hasUnreadable = false;
          await this.#changed();
          break;
        case 'refused':
          this.#log.warn(
            { code: 'CONFIG_REFUSED', because: acceptance.because },
            'a configuration from a peer was refused',
          );
          if (acceptance.because === 'policy-unreadable' && !this.#hasUnreadable) {
            this.#hasUnreadable = true;
            this.#tell();
          }
          break;
        case 'fork-lost':
          this.#log.warn(
            { code: 'CONFIG_FORK', version: acceptance.lost.version },
            'a rival of our configuration lost and was kept',
          );
          this.#tell();
          break;
        case 'known':
        case 'gap':
          break;
      }
      return acceptance;
    });
  }

  /** Takes in an admission of a peer's. True when it is kept, or was already. */
  acceptAdmission(raw: Uint8Array): Promise<boolean> {
    return this.#alone(async () => {
      const admission = readOr(readAdmission, raw);
      if (admission === undefined) return false;
      if (this.#admissions.has(admission.hash)) return true;
      if (this.configuration.members.some(({ host }) => host === admission.host)) return true; // written already
      if (admissionFlaw(admission, this.configuration) !== undefined) return false;
      const same = [...this.#admissions.values()].filter(other => other.invite.id === admission.invite.id).length;
      if (same >= admission.invite.uses + ADMISSIONS_OVER_USES_MAX || this.#admissions.size >= ADMISSIONS_MAX)
        return false;
      await this.#admissions.add(admission);
      await this.#changed();
      return true;
    });
  }

  /** Takes in an invite of a peer's. True when it is kept, or was already. */
  acceptInvite(raw: Uint8Array): Promise<boolean> {
    return this.#alone(async () => {
      const invite = readOr(readInvite, raw);
      if (invite === undefined || !this.#invites.isOurs(invite) || this.#invites.hasExpired(invite)) return false;
      return await this.#keepInvite(invite);
    });
  }

  /** Lets a stranger in that has proved an invite before this host, or says why not. */
  admit({
    invite: rawInvite,
    joiner,
    nonce,
    proof,
  }: {
    readonly invite: Uint8Array;
    readonly joiner: Joiner;
    readonly nonce: Uint8Array;
    readonly proof: Uint8Array;
  }): Promise<JoinVerdict> {
    return this.#alone(async () => {
      const flaw = this.inviteFlaw(rawInvite);
      if (flaw !== undefined) return { kind: 'refused', because: flaw };
      const invite = readInvite(rawInvite);
      const { signer } = this.identity;
      const verdict = decideAdmission({
        invite,
        joiner,
        configuration: this.configuration,
        members: this.#clusterConfig.members,
        provisional: this.#roster.provisional,
        admissions: [...this.#admissions.values()],
        sign: () => signAdmission(joiner, { invite, nonce, proof, signer, nowMs: this.nowMs() }),
      });
      if (verdict.kind === 'refused' || this.#admissions.has(verdict.admission.hash)) return verdict;
      await this.#keepInvite(invite);
      await this.#admissions.add(verdict.admission);
      await this.#changed();
      return verdict;
    });
  }

  /** What stands against an invite before anything was proved; `undefined` for nothing. */
  inviteFlaw(raw: Uint8Array): JoinRefusal | undefined {
    if (!this.#mayAdmit()) return 'not-admitting';
    const invite = readOr(readInvite, raw);
    if (invite === undefined) return 'unknown-invite';
    if (invite.cluster !== this.cluster) return 'other-cluster';
    if (!this.#invites.isOurs(invite)) return 'unknown-invite';
    return this.#invites.hasExpired(invite) ? 'expired' : undefined;
  }

  // What an operator does. All but the last need this host's admin key.

  /** Signs an invite and returns the token: one line. @throws ClusterError NO_ADMIN_KEY, BAD_INVITE, TOO_MANY_INVITES */
  createInvite({ uses, lifeMs, trust, addresses, others = [] }: InviteOrder): Promise<string> {
    return this.#alone(async () => {
      const admin = this.#needAdmin();
      const nowMs = this.nowMs();
      const { invite, seed } = signInvite(
        { cluster: this.cluster, uses, nowMs, expiresMs: nowMs + lifeMs, trust },
        admin,
      );
      if (!(await this.#keepInvite(invite))) {
        throw new ClusterError(
          'TOO_MANY_INVITES',
          `${INVITES_MAX} invites are open; no invite was made. Wait for one to expire`,
          {
            blame: 'operator',
          },
        );
      }
      const admitting = new Set(
        this.configuration.members
          .filter(({ state, trust: t }) => state !== 'revoked' && t === 'trusted')
          .map(({ peer }) => peer),
      );
      const known = new Map([...this.doors(), ...others].map(door => [door.peer, door]));
      const more = [...known.values()].filter(({ peer }) => admitting.has(peer) && peer !== this.identity.peer);
      const doors = [{ peer: this.identity.peer, addresses }, ...more].slice(0, TOKEN_PEERS_MAX);
      return tokenText({ invite, seed, doors });
    });
  }

  /**
   * Puts a policy in force.
   *
   * @throws PolicyError; ClusterError NEEDS_YES with what falls, NO_ADMIN_KEY, POLICY_LAYOUT, CONFIG_TOO_LARGE
   */
  applyPolicy({
    text,
    file,
    yes = false,
  }: {
    readonly text: string;
    readonly file?: string;
    readonly yes?: boolean;
  }): Promise<PolicyApplied> {
    return this.#alone(() => this.#applyPolicy(text, file, yes));
  }

  /** @throws as `applyPolicy`, and STORE_EXISTS */
  addStore(addition: StoreAddition): Promise<PolicyApplied> {
    return this.#alone(() => this.#applyPolicy(addStore(this.configuration.policyText, addition), 'policy', false));
  }

  /** @throws as `applyPolicy`, and SOURCE_EXISTS */
  addSource(addition: SourceAddition): Promise<PolicyApplied> {
    return this.#alone(() => this.#applyPolicy(addSource(this.configuration.policyText, addition), 'policy', false));
  }

  /** Says anew where a member listens. @throws ClusterError NO_ADMIN_KEY, NO_SUCH_HOST, BAD_ADDRESS */
  async setAddresses(hostName: string, addresses: readonly string[]): Promise<Configuration> {
    return (await this.#change(content => withAddresses(content, hostName, addresses))).configuration;
  }

  /** Lets a host be emptied, or hold copies again. @throws ClusterError NO_ADMIN_KEY, NO_SUCH_HOST */
  async drain(hostName: string, undo: boolean): Promise<Configuration> {
    return (await this.#change(content => withState(content, hostName, undo ? 'active' : 'draining'))).configuration;
  }

  /**
   * Ends a membership. `heads`: the last ones of its sources that stay valid.
   * @throws ClusterError NO_ADMIN_KEY, NO_SUCH_HOST, LAST_ADMIN
   */
  async revoke(hostName: string, heads: Revocation['heads']): Promise<Configuration> {
    const by = { signer: this.identity.host, key: () => hexOf(this.#needAdmin().publicKey) };
    return (await this.#change(content => withoutHost(content, hostName, { heads, ...by }))).configuration;
  }

  /**
   * Ends what keeps an archived source. `seq`: of its newest head here. @returns false when it is not archived (any more)
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
  mustBeAdmin(): void {
    this.#needAdmin();
  }

  async #applyPolicy(text: string, file: string | undefined, yes: boolean): Promise<PolicyApplied> {
    const members = this.#clusterConfig.members.map(({ host, name }) => ({ host, name }));
    const { policy: after, warnings: strangers } = parsePolicy(text, {
      ...(file === undefined ? {} : { file }),
      members: members.map(({ name }) => name),
    });
    this.#needAdmin();
    const content = contentOf(this.configuration);
    if (text === content.policyText) return { configuration: this.configuration, changed: false, warnings: strangers };
    const { policy: before } = this.configuration;
    const change = { before, after, archived: content.archived, members };
    demandYes(lossesOf(change), yes);
    const configuration = await this.#sign({ ...content, policyText: text, archived: archive(change) });
    return { configuration, changed: true, warnings: [...warnOfLeaving(change), ...strangers] };
  }

  /** Signs what `change` makes of the content. */
  #change(
    change: (content: ConfigurationContent) => ConfigurationContent,
  ): Promise<Pick<PolicyApplied, 'configuration' | 'changed'>> {
    return this.#alone(async () => {
      const before = contentOf(this.configuration);
      const after = change(before);
      if (after === before) return { configuration: this.configuration, changed: false };
      return { configuration: await this.#sign(after), changed: true };
    });
  }

  /** Signs the next version, keeps it, acts on it. */
  async #sign(content: ConfigurationContent): Promise<Configuration> {
    const signed = signVersion(content, { parent: this.configuration, signer: this.#needAdmin(), nowMs: this.nowMs() });
    const { kind } = await this.#store.accept(signed.raw, { host: this.identity.host, trust: 'trusted' });
    if (kind !== 'accepted') throw new Error(`bug: the version just signed is ${kind}`);
    await this.#changed();
    return signed;
  }

  #needAdmin(): Signer {
    const admin = this.#admin;
    if (admin !== undefined && this.isAdmin) return admin;
    const { admins, members } = this.configuration;
    const hosts = admins.map(({ host }) => members.find(member => member.host === host)?.name ?? host).join(', ');
    throw new ClusterError(
      'NO_ADMIN_KEY',
      `this needs an admin key, which this host has not; nothing was changed. Do it on: ${hosts}`,
      {
        blame: 'operator',
      },
    );
  }

  /** On an admin host: writes every provisional member into the configuration. */
  async #absorb(): Promise<void> {
    const { provisional } = this.#roster;
    if (!this.isAdmin || provisional.length === 0) return;
    const content = contentOf(this.configuration);
    try {
      await this.#sign({ ...content, members: [...content.members, ...provisional.map(memberFrom)] });
    } catch (error) {
      // Nobody asked for this version, so nobody is there to be told: they stay provisional until the next change or start.
      this.#log.error(
        { err: error, code: 'NOT_ABSORBED' },
        'admitted hosts could not be written into the configuration',
      );
    }
  }

  /** False when there is no room for it. */
  async #keepInvite(invite: Invite): Promise<boolean> {
    const kept = await this.#invites.keep(invite);
    if (kept === 'new') this.#tell();
    return kept !== 'full';
  }

  #isAdminKey(hex: string): boolean {
    return this.configuration.admins.some(({ key }) => key === hex);
  }

  #mayAdmit(): boolean {
    const { standing, trust } = this.self;
    return (standing === 'active' || standing === 'draining') && trust === 'trusted';
  }

  async #changed(): Promise<void> {
    this.#settle();
    this.#tell();
    await this.#absorb();
  }

  #settle(): void {
    this.#roster = settleAdmissions(this.configuration, this.#admissions.values());
    this.#clusterConfig = toClusterConfig(this.configuration, this.#admissions.values());
    this.#members.clear();
    for (const { peer, state } of this.#clusterConfig.members) if (state !== 'revoked') this.#members.add(peer);
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  /** One change at a time; a failure of one is its caller's alone. */
  #alone<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(change);
    this.#turn = result.catch(() => undefined); // told to its caller through `result`
    return result;
  }
}

/** What `read` makes of a peer's bytes; `undefined` when they are malformed, which is the peer's fault and no error here. */
function readOr<T>(read: (raw: Uint8Array) => T, raw: Uint8Array): T | undefined {
  try {
    return read(raw);
  } catch (error) {
    if (isMalformed(error)) return undefined;
    throw error;
  }
}
