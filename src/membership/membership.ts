/**
 * Membership: what this host knows of who belongs to its cluster, and the one place where that changes.
 *
 * It holds the chain of configurations, the admissions and the invites, all on disk and checked. It answers at once who
 * is a member (roll.ts) and whether strangers may knock, and takes in what peers have. decide-admission.ts decides who
 * is admitted, and admin.ts what a host with an admin key signs; both come into force here.
 *
 * Invariants: nothing is acted on that is not durable, but for revocations, which shut out at once; changes are made one at a time; everything from a peer is
 * verified before it is kept. Time comes from the clock handed in, but is never earlier than what an admin has signed
 * plus how long this host has run since (signed-time.ts).
 *
 * Driven by src/daemon, join-protocol.ts and config-protocol.ts. Specified in
 * src/DESIGN.md, "How a host belongs to a cluster".
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { ClusterConfig, ConfigMark } from '../core/cluster-config.js';
import { inWords } from '../core/disk-trouble.js';
import { ClusterError, messageOf } from '../core/fault.js';
import type { ClusterId, PeerName } from '../core/ids.js';
import type { ConfigHint } from '../core/messages.js';
import type { Signer } from '../core/signed.js';
import { Admin, isAdminKey } from './admin.js';
import { adminRequestLine, mustBeOwn } from './admin-request.js';
import { type Admission, admissionFlaw, type Joiner, readAdmission, signAdmission } from './admission.js';
import { type ConfigStep, configHistory, policyOf } from './config-history.js';
import { ConfigStore, type Hearing, MARKS_MAX } from './config-store.js';
import {
  type Configuration,
  type ConfigurationMember,
  type Reader,
  type Revocation,
  shutOutBy,
  type UncheckedVersion,
} from './configuration.js';
import { ADMISSIONS_MAX, decideAdmission, type JoinRefusal, type JoinVerdict } from './decide-admission.js';
import { isMalformed } from './fields.js';
import { type AdminKey, type Identity, loadAdminKey, loadIdentity, loadOrCreateAdminKey } from './identity.js';
import { type Door, type Invite, readInvite } from './invite.js';
import { membershipAlarms } from './membership-alarms.js';
import { Notes } from './notes.js';
import { OpenInvites } from './open-invites.js';
import { hostIn, identityIn } from './replacement.js';
import { Roll } from './roll.js';
import { SignedTime } from './signed-time.js';

/**
 * This many admissions by an invite are kept beyond its uses: two members may have admitted at once, but not twenty.
 */
const ADMISSIONS_OVER_USES_MAX = 16;

/**
 * For each admin key that stands before it, a host waits so long before it writes down what is waiting, in ms. The first
 * admin that is up does it at once, and what it signed is everywhere within seconds; if several did, each would sign a
 * version that all but one of them lose. As long as a broken connection has to come back (`redial`).
 */
const ABSORB_TURN_MS = 30_000;

/** A disk that refused a version is tried again after this time, in ms. */
const WRITE_AGAIN_MS = 10_000;

export interface MembershipOptions {
  readonly stateDir: string;
  /** Default: `WRITE_AGAIN_MS`. */
  readonly writeAgainMs?: number;
  /** Default: `ABSORB_TURN_MS`. */
  readonly absorbTurnMs?: number;
  /** Wall clock, ms. */
  readonly clock: () => number;
  /** This host's running time, over all starts, ms. */
  readonly runMs: () => number;
  readonly log: Logger;
}

/** @throws ClusterError NO_CLUSTER, CONFIG_DAMAGED, KEY_DAMAGED, KEY_EXPOSED, IDENTITY_MISSING */
export async function openMembership({
  stateDir,
  absorbTurnMs = ABSORB_TURN_MS,
  writeAgainMs = WRITE_AGAIN_MS,
  clock,
  runMs,
  log,
}: MembershipOptions): Promise<Membership> {
  const store = await ConfigStore.open(stateDir);
  const own = await loadIdentity(stateDir);
  if (own === undefined) {
    throw new ClusterError(
      'IDENTITY_MISSING',
      `${stateDir} has a configuration but no identity.key; everything was left as it is. Put the key back from a copy`,
      {
        blame: 'operator',
      },
    );
  }
  const identity = identityIn(store.current, own);
  const admin = await loadAdminKey(stateDir);
  const invites = await Notes.open(join(stateDir, 'invites'), { read: readInvite, idOf: invite => invite.id, log });
  const admissions = await openAdmissions(stateDir, log);
  const signedTime = new SignedTime({ stateDir, runMs, log });
  const makeAdminKey = (): Promise<AdminKey> => loadOrCreateAdminKey(stateDir, identity.host);
  const kept = { invites, admissions, signedTime };
  const waits = { absorbTurnMs, writeAgainMs };
  const membership = new Membership({ store, identity, admin, makeAdminKey, ...waits, ...kept, clock, log });
  await membership.start();
  return membership;
}

export const openAdmissions = (stateDir: string, log: Logger): Promise<Notes<Admission>> =>
  Notes.open(join(stateDir, 'admissions'), { read: readAdmission, idOf: admission => admission.hash, log });

export class Membership {
  readonly identity: Identity;
  readonly cluster: ClusterId;
  /** The operator's actions with this host's key. */
  readonly admin: Admin;
  readonly #store: ConfigStore;
  readonly #invites: OpenInvites;
  readonly #admissions: Notes<Admission>;
  readonly #signedTime: SignedTime;
  readonly #makeAdminKey: () => Promise<AdminKey>;
  readonly #absorbTurnMs: number;
  readonly #writeAgainMs: number;
  readonly #clock: () => number;
  readonly #log: Logger;
  readonly #listeners = new Set<() => void>();
  readonly #roll: Roll;
  /** An admin has signed a policy that this release cannot read. */
  #hasUnreadable = false;
  #turn: Promise<unknown> = Promise.resolve();
  /** Undefined: this host has none. It may be no admin's. */
  #key: Signer | undefined;
  #absorbTimer: NodeJS.Timeout | undefined;
  #writeTimer: NodeJS.Timeout | undefined;
  /** Why the newest configuration could not be written. */
  #notWritten = '';

  constructor(parts: {
    readonly store: ConfigStore;
    readonly identity: Identity;
    readonly admin: Signer | undefined;
    readonly makeAdminKey: () => Promise<AdminKey>;
    readonly absorbTurnMs: number;
    readonly writeAgainMs: number;
    readonly invites: Notes<Invite>;
    readonly admissions: Notes<Admission>;
    readonly signedTime: SignedTime;
    readonly clock: () => number;
    readonly log: Logger;
  }) {
    this.identity = parts.identity;
    this.cluster = parts.store.cluster;
    this.#store = parts.store;
    this.#invites = new OpenInvites({
      notes: parts.invites,
      cluster: this.cluster,
      isAdmin: key => isAdminKey(this.configuration, key),
      nowMs: () => this.nowMs(),
    });
    this.#admissions = parts.admissions;
    this.#signedTime = parts.signedTime;
    this.#key = parts.admin;
    this.#makeAdminKey = parts.makeAdminKey;
    this.#absorbTurnMs = parts.absorbTurnMs;
    this.#writeAgainMs = parts.writeAgainMs;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#roll = new Roll(parts);
    this.admin = new Admin({
      identity: parts.identity,
      key: () => this.#key,
      store: parts.store,
      roll: this.#roll,
      log: parts.log,
      clock: parts.clock,
      nowMs: () => this.nowMs(),
      // What this host signs must follow what it has verified, or it would sign a rival.
      alone: change => this.#alone(() => this.#writeUnwritten().then(change)),
      changed: () => this.#changed(),
      keepInvite: invite => this.#keepInvite(invite),
    });
  }

  /** Forgets what is no longer of use, and writes down what an earlier run had no time for. Called once, before use. */
  async start(): Promise<void> {
    await this.#alone(async () => {
      await this.#hearTimes();
      const nowMs = this.nowMs();
      await this.#invites.prune();
      const waiting = new Set(this.#roll.roster.provisional.map(({ admission }) => admission.hash));
      // A version in which a member was written down may be lost in a fork; then its admission stands again. So may be
      // one in which a machine has taken a host's place: it is found by its key.
      const members = new Set([this.identity.peer, ...this.configuration.members.map(({ peer }) => peer)]);
      await this.#admissions.prune(
        ({ hash, peer, invite }) => !waiting.has(hash) && !members.has(peer) && invite.expiresMs <= nowMs,
      );
      this.#roll.settle();
      await this.#absorb();
    });
  }

  /** Nothing more is written by itself once this returns. */
  async stop(): Promise<void> {
    this.#clearTimers();
    await this.#turn;
    this.#clearTimers();
  }

  #clearTimers(): void {
    clearTimeout(this.#absorbTimer);
    clearTimeout(this.#writeTimer);
  }

  /**
   * A line by which an admin can make this host one, too. The key is made if there is none.
   * @throws ClusterError KEY_DAMAGED, KEY_EXPOSED; KEY_OF_ANOTHER_HOST
   */
  adminRequest(): Promise<string> {
    return this.#alone(async () => {
      const made = await this.#makeAdminKey();
      mustBeOwn(made, { self: this.identity.host, configuration: this.configuration });
      this.#key = made.signer;
      return adminRequestLine(this.cluster, this.identity, made.signer);
    });
  }

  /** The newest version in use. */
  get configuration(): Configuration {
    return this.#store.current;
  }

  /** Every version that this host has, the newest first. */
  history(): AsyncGenerator<ConfigStep> {
    return configHistory(this.#store);
  }

  /** The policy of a version. @throws ClusterError NO_SUCH_VERSION, VERSION_INCOMPLETE */
  policyOf(version: number): ReturnType<typeof policyOf> {
    return policyOf(this.#store, version);
  }

  /**
   * For each key that is shut out, by the configuration in use or a lost branch, because its host was revoked or goes on
   * with another key: which of its words stay valid.
   */
  get revoked(): readonly Revocation[] {
    return shutOutBy(this.#store.standing);
  }

  /**
   * True once the configuration says that this machine is another host than it was at the start of this service: it has
   * taken the place of one, or a fork has undone that. The service must start again, as that host.
   */
  get isOtherHost(): boolean {
    return hostIn(this.configuration, this.identity.peer) !== this.identity.host;
  }

  /** How many other machines were this host before this one. */
  get predecessors(): number {
    const { host, peer } = this.identity;
    return this.revoked.filter(former => former.host === host && former.peer !== peer).length;
  }

  /** What the machine's decisions depend on: the configuration's part, with provisional members. */
  get clusterConfig(): ClusterConfig {
    return this.#roll.clusterConfig;
  }

  /** True on a host that may sign configurations. */
  get isAdmin(): boolean {
    return this.admin.isAdmin;
  }

  /** This host's own name and standing. */
  get self(): Roll['self'] {
    return this.#roll.self;
  }

  /** The clock; or, if that is later, the latest time that an admin has signed plus what this host has run since. */
  nowMs(): number {
    return Math.max(this.#clock(), this.#signedTime.leastMs());
  }

  // For the gate: answered from memory, at once.

  isMember(peer: PeerName): boolean {
    return this.#roll.isMember(peer);
  }

  /**
   * True while an invite has not expired and this host may admit. Also when its uses are taken: a late joiner should be
   * told that, and the one handler open to strangers does nothing else for them.
   */
  strangersWelcome(): boolean {
    return this.#mayAdmit() && this.openInvites().length > 0;
  }

  openInvites(): readonly Invite[] {
    return this.#invites.open();
  }

  /** Where each other member may be reached, as configured or as it said when it joined. */
  doors(): readonly Door[] {
    return this.#roll.doors();
  }

  /** One line for each thing that wants a person. */
  alarms(): readonly string[] {
    return membershipAlarms({
      self: this.identity,
      configuration: this.configuration,
      refused: this.#roll.roster.refused,
      lost: this.#store.lost,
      shutOut: this.#store.shutOut,
      hasUnreadable: this.#hasUnreadable,
      unwritten: { versions: this.#store.unwritten, because: this.#notWritten },
      notAbsorbed: this.admin.notAbsorbed,
      clockMs: this.#clock(),
    });
  }

  /** Calls back after every change, when it is durable and in use. Returns a function that ends this. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  // What hosts exchange.

  hint(): ConfigHint {
    const { version, hash } = this.configuration;
    return {
      kind: 'config',
      version,
      hash,
      admissions: this.#roll.roster.provisional.map(({ admission }) => admission.host),
    };
  }

  /** True when the writer of this hint has, or may have, something that this host lacks: ask that host. */
  lacks({ version, hash, admissions }: ConfigHint): boolean {
    return (
      !this.#store.has({ version, hash }) ||
      admissions.some(host => !this.#roll.clusterConfig.members.some(member => member.host === host))
    );
  }

  /** What this host has, for a member that may have more: first its own chain, then lost branches. */
  async marks(): Promise<readonly ConfigMark[]> {
    return [...this.#store.marks(), ...(await this.#store.lostMarks())].slice(0, MARKS_MAX);
  }

  hasVersion(mark: ConfigMark): boolean {
    return this.#store.has(mark);
  }

  versionsAfter(
    marks: readonly ConfigMark[],
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

  /** What a peer may read here; `undefined` when it is no member. */
  readerOf(peer: PeerName): Reader | undefined {
    return this.#roll.readerOf(peer);
  }

  /** Admissions that are in no version yet. */
  unwritten(): readonly Admission[] {
    return this.#roll.unwritten();
  }

  hasAdmission(hash: string): boolean {
    return this.#admissions.has(hash);
  }

  hasInvite(id: string): boolean {
    return this.#invites.has(id);
  }

  acceptVersion(raw: Uint8Array): Promise<Hearing> {
    return this.#alone(async () => {
      const acceptance = await this.#store.hear(raw, this.#reader);
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
            'a rival of the configuration in use lost and was kept',
          );
          await this.#changed();
          break;
        case 'unwritten':
          this.#notWritten = messageOf(inWords(acceptance.error));
          this.#writeAgain();
          if (!acceptance.isNews) break;
          this.#log.error(
            { code: 'CONFIG_NOT_WRITTEN', err: acceptance.error },
            'a configuration could not be written: whom it revokes is shut out, and the rest waits for the disk',
          );
          this.#roll.settle();
          this.#tell();
          break;
        case 'known':
        case 'gap':
          break;
      }
      return acceptance;
    });
  }

  /** Who reads the configuration here: parts that it may not read can be missing. */
  get #reader(): Reader {
    return { host: this.identity.host, peer: this.identity.peer, trust: this.self.trust };
  }

  #writeAgain(): void {
    clearTimeout(this.#writeTimer);
    this.#writeTimer = setTimeout(() => {
      this.#alone(() => this.#writeUnwritten()).catch((error: unknown) => {
        this.#log.debug({ code: 'CONFIG_NOT_WRITTEN', err: error }, 'the disk still takes no configuration');
        this.#writeAgain();
      });
    }, this.#writeAgainMs).unref();
  }

  async #writeUnwritten(): Promise<void> {
    if (await this.#store.writeUnwritten(this.#reader)) await this.#changed();
    if (this.#store.unwritten.length > 0) this.#writeAgain();
  }

  /** Takes in an admission from a peer. True when it is kept, or was already. */
  acceptAdmission(raw: Uint8Array): Promise<boolean> {
    return this.#alone(async () => {
      const admission = readOr(readAdmission, raw);
      if (admission === undefined) return false;
      if (this.#admissions.has(admission.hash)) return true;
      const isWritten = ({ host, peer }: ConfigurationMember) => host === admission.host || peer === admission.peer;
      if (this.configuration.members.some(isWritten)) return true;
      if (admissionFlaw(admission, this.#store.standing) !== undefined) return false;
      const same = [...this.#admissions.values()].filter(other => other.invite.id === admission.invite.id).length;
      if (same >= admission.invite.uses + ADMISSIONS_OVER_USES_MAX || this.#admissions.size >= ADMISSIONS_MAX)
        return false;
      await this.#admissions.add(admission);
      await this.#changed();
      return true;
    });
  }

  /** Takes in an invite from a peer. True when it is kept, or was already. */
  acceptInvite(raw: Uint8Array): Promise<boolean> {
    return this.#alone(async () => {
      const invite = readOr(readInvite, raw);
      if (invite === undefined || !this.#invites.isOurs(invite) || this.#invites.hasExpired(invite)) return false;
      return await this.#keepInvite(invite);
    });
  }

  /** Lets in a stranger that has proved an invite before this host, or says why not. */
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
        configuration: this.#store.standing,
        members: this.#roll.clusterConfig.members,
        provisional: this.#roll.roster.provisional,
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

  /** Why an invite is not valid, before anything was proved; `undefined` when it is. */
  inviteFlaw(raw: Uint8Array): JoinRefusal | undefined {
    if (!this.#mayAdmit()) return 'not-admitting';
    const invite = readOr(readInvite, raw);
    if (invite === undefined) return 'unknown-invite';
    if (invite.cluster !== this.cluster) return 'other-cluster';
    if (!this.#invites.isOurs(invite)) return 'unknown-invite';
    return this.#invites.hasExpired(invite) ? 'expired' : undefined;
  }

  /** False when there is no room for the invite. */
  async #keepInvite(invite: Invite): Promise<boolean> {
    const kept = await this.#invites.keep(invite);
    await this.#hearTimes();
    if (kept === 'new') this.#tell();
    return kept !== 'full';
  }

  #mayAdmit(): boolean {
    const { standing, trust } = this.self;
    return (standing === 'active' || standing === 'draining') && trust === 'trusted';
  }

  #hearTimes(): Promise<void> {
    return this.#signedTime.hear(Math.max(this.#store.latestSignedMs, this.#invites.latestMadeMs));
  }

  async #changed(): Promise<void> {
    await this.#hearTimes();
    this.#roll.settle();
    this.#tell();
    await this.#absorb();
  }

  /** In this host's turn among the admins. When that comes, another one may have done it. */
  async #absorb(): Promise<void> {
    clearTimeout(this.#absorbTimer);
    if (this.#store.unwritten.length > 0) return;
    const { place = 0 } = this.admin;
    if (place === 0) return this.admin.absorb();
    this.#absorbTimer = setTimeout(() => {
      this.#alone(() => this.admin.absorb()).catch((error: unknown) =>
        this.#log.error({ code: 'NOT_ABSORBED', err: error }, 'what is waiting could not be written down'),
      );
    }, place * this.#absorbTurnMs).unref();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  /** One change at a time; a failure is reported only to its own caller. */
  #alone<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(change);
    this.#turn = result.catch(() => undefined); // reported to its caller through `result`
    return result;
  }
}

/** Reads a peer's bytes; `undefined` when they are malformed, which is the peer's fault and no error here. */
function readOr<T>(read: (raw: Uint8Array) => T, raw: Uint8Array): T | undefined {
  try {
    return read(raw);
  } catch (error) {
    if (isMalformed(error)) return undefined;
    throw error;
  }
}
