/**
 * Configuring: what a person asks of the cluster's configuration: the policy and its one-line changes, invites, and members that leave.
 *
 * The membership checks and signs what this passes on. Added here is what only a running host can say beforehand:
 * which hosts there are, where they answer, and what would be lost without one of them.
 */
import type { Member } from '../core/cluster-config.js';
import { ClusterError } from '../core/fault.js';
import { type HostId, type SourceId, sourceIdOf, splitSourceId } from '../core/ids.js';
import type { Known } from '../core/known.js';
import type { PolicyApplied } from '../membership/admin.js';
import type { Configuration, Revocation } from '../membership/configuration.js';
import type { Membership } from '../membership/membership.js';
import { parseSize } from '../membership/policy-units.js';
import type { KnownPeer } from '../net/net.js';
import type { CatalogKeeper } from './catalog-keeper.js';
import { domainsFor } from './lending.js';
import type { OwnStores } from './own-stores.js';
import { fullNameOf, type Roster } from './roster.js';
import type {
  AddSource,
  AddStore,
  AdminAdd,
  AdminAdded,
  AdminRequested,
  ConfigApply,
  ConfigReport,
  ConfigRollback,
  DrainRequest,
  Invited,
  InviteRequest,
  ReplaceRequest,
  RevokeRequest,
} from './service.js';
import type { SourceNames } from './source-names.js';

/** What nobody but a host has, in parcels; and how many of its stores are not known. */
interface Losses {
  readonly under: number;
  readonly lost: number;
  readonly own: number;
  readonly unread: number;
  /** Why this host may lack the newest heads of its sources. */
  readonly doubts: readonly string[];
}

export interface ConfiguringOptions {
  readonly membership: Membership;
  readonly roster: Roster;
  readonly known: Pick<Known, 'copiesWanted' | 'heardSeq' | 'host' | 'summary' | 'unreadStores' | 'without'>;
  readonly stores: Pick<OwnStores, 'reports'>;
  readonly names: SourceNames;
  readonly catalog: CatalogKeeper;
  /** Asks every other member, except `without`, what it has. @returns the trusted ones that have not answered */
  readonly askMembers: (without: HostId) => Promise<readonly Member[]>;
  /** Where this host listens. */
  readonly addresses: () => readonly string[];
  /** Where the other members can be reached, as far as this host knows. */
  readonly knownAddresses: () => Iterable<KnownPeer>;
}

export class Configuring {
  readonly #options: ConfiguringOptions;

  constructor(options: ConfiguringOptions) {
    this.#options = options;
  }

  show(): ConfigReport {
    return configReport(this.#options.membership.configuration);
  }

  /** @throws ClusterError NO_ADMIN_KEY */
  draft(): ConfigReport {
    this.#options.membership.admin.mustHaveKey();
    return this.show();
  }

  async at(version: number): Promise<ConfigReport> {
    return { version, ...(await this.#options.membership.policyOf(version)) };
  }

  async rollback({ version, yes }: ConfigRollback): Promise<ConfigReport> {
    const { text } = await this.#options.membership.policyOf(version);
    return this.apply({ text, fileName: `version ${version}`, yes });
  }

  async apply({ text, madeFrom, fileName, yes }: ConfigApply): Promise<ConfigReport> {
    const policy = { text, file: fileName, yes, ...(madeFrom !== undefined && { madeFrom }) };
    return appliedReport(await this.#options.membership.admin.applyPolicy(policy));
  }

  async addStore({ host, path, limit, reserve }: AddStore): Promise<ConfigReport> {
    const { membership, roster } = this.#options;
    needMember(roster, host);
    if (limit !== undefined) parseSize(limit);
    if (reserve !== undefined) parseSize(reserve);
    const applied = await membership.admin.addStore({
      host,
      path,
      ...(limit === undefined ? {} : { limit }),
      ...(reserve === undefined ? {} : { reserve }),
    });
    const report = appliedReport(applied);
    return host === membership.self.name ? report : warned(report, [knownThereAlone(host, path)]);
  }

  async addSource(addition: AddSource): Promise<ConfigReport> {
    needMember(this.#options.roster, addition.host);
    return appliedReport(await this.#options.membership.admin.addSource(addition));
  }

  async invite({ uses, expiresMs, trust }: InviteRequest): Promise<Invited> {
    const { membership, addresses, knownAddresses } = this.#options;
    const untilMs = membership.nowMs() + expiresMs;
    const token = await membership.admin.createInvite({
      uses,
      lifeMs: expiresMs,
      trust,
      addresses: addresses(),
      // Where they really answer, so that the token works while this host is away.
      others: [...knownAddresses()],
    });
    return { token, untilMs };
  }

  async drain({ host, path, undo }: DrainRequest): Promise<ConfigReport> {
    const { membership, roster } = this.#options;
    const lends = membership.configuration.policy.hosts.get(host)?.stores.filter(store => !store.draining) ?? [];
    const warnings = undo || lends.some(store => path !== undefined && store.path !== path) ? [] : this.homeless(host);
    if (path === undefined) {
      await membership.admin.drain(host, undo);
      return { ...this.show(), warnings };
    }
    needMember(roster, host);
    return warned(appliedReport(await membership.admin.drainStore({ host, path, undo })), warnings);
  }

  /** What a person who lets a host go should know: what only that host has, and where nothing can go. */
  homeless(name: string): readonly string[] {
    const { roster, known, names } = this.#options;
    const host = roster.named(name)?.host;
    const { under, lost } = host === undefined ? { under: 0, lost: 0 } : known.without(host);
    if (under === 0) return [];
    const gone = lost === 0 ? '' : `; with no copy elsewhere: ${lost}`;
    const told = [`until other hosts have copied them again, parcels with fewer copies than wanted: ${under}${gone}`];
    for (const source of names.all()) {
      const domains = domainsFor(source, this.#options, host);
      const copies = known.copiesWanted(source) ?? 0;
      if (domains >= copies || known.summary(source).parcels === 0) continue;
      told.push(
        `source ${names.nameOf(source)} wants ${copies} copies, but without ${name} only ${domains} other host(s) lend room: add a store on another host, or what is on ${name} stays there`,
      );
    }
    return told;
  }

  async adminRequest(): Promise<AdminRequested> {
    const { membership } = this.#options;
    const line = await membership.adminRequest();
    return { host: membership.self.name, line, isAdmin: membership.admin.isAdmin };
  }

  async adminAdd({ host, line }: AdminAdd): Promise<AdminAdded> {
    const { changed, replaced } = await this.#options.membership.admin.add(host, line);
    return { ...this.show(), changed, replaced };
  }

  async revoke({ host: name, yes }: RevokeRequest): Promise<ConfigReport> {
    const { membership, roster, known } = this.#options;
    const member = roster.named(name);
    const host = member?.host;
    membership.admin.mustHaveKey();
    const doubts = member === undefined || member.state === 'revoked' ? [] : await this.#doubtsOf(member);
    if (host !== undefined && !yes)
      this.#demandYesToLose(name, {
        ...known.without(host),
        own: this.#ownAlone(host),
        unread: known.unreadStores(host),
        doubts,
      });
    await membership.admin.revoke(name, host === undefined ? [] : this.#lastHeads(host));
    return { ...this.show(), warnings: this.#stillInPolicy(name) };
  }

  async replace({ host: name, by, yes }: ReplaceRequest): Promise<ConfigReport> {
    const { membership, roster, known } = this.#options;
    for (const one of [name, by]) this.#needWritten(one);
    const member = roster.named(name);
    const fresh = roster.named(by)?.host;
    if (member === undefined || fresh === undefined) throw new Error('bug: a member without an id');
    const { host } = member;
    membership.admin.mustHaveKey();
    const doubts = await this.#doubtsOf(member);
    if (!yes)
      this.#demandYesToReplace(name, {
        isHeard: known.host(host)?.liveness === 'live',
        ...known.without(host),
        own: this.#ownAlone(host),
        unread: known.unreadStores(host),
        doubts,
      });
    const heads = this.#lastHeads(host);
    await membership.admin.replace({ host: name, by, heads, hasHistory: this.#lastHeads(fresh).length > 0 });
    return { ...this.show(), warnings: this.#partLeft(by) };
  }

  #lastHeads(host: HostId): Revocation['heads'] {
    return [...this.#options.catalog.heads()]
      .filter(({ head }) => splitSourceId(head.source).origin === host)
      .map(({ head, hash }) => ({ source: head.source, seq: head.seq, hash }));
  }

  /** @throws ClusterError HOST_UNKNOWN, REPLACE_REFUSED */
  #needWritten(name: string): void {
    const { roster } = this.#options;
    needMember(roster, name);
    if (roster.named(name)?.state !== 'provisional') return;
    throw new ClusterError(
      'REPLACE_REFUSED',
      `${name} is admitted, and not yet in the configuration: wait until 'cluster hosts' shows it as active. Nothing was changed`,
      { blame: 'operator' },
    );
  }

  /** The part of the policy of a host that is none any more. */
  #partLeft(name: string): readonly string[] {
    if (!this.#options.membership.configuration.policy.hosts.has(name)) return [];
    return [`${name} is still in the policy, where it does nothing any more. Take hosts.${name} out: ${HOW_TO_EDIT}`];
  }

  #demandYesToReplace(
    name: string,
    { isHeard, under, lost, own, unread, doubts }: Losses & { readonly isHeard: boolean },
  ): void {
    if (!isHeard && under + own + unread + doubts.length === 0) return;
    const gone = lost === 0 ? '' : `, ${lost} of them with no copy elsewhere`;
    const told = [
      ...(isHeard ? [`${name} is heard: the machine that is ${name} now is cut off at once, and for good`] : []),
      ...(under === 0
        ? []
        : [
            `without the stores of ${name}, ${under} parcels have fewer copies than wanted${gone}: attach their disks to the new machine`,
          ]),
      ...(own === 0
        ? []
        : [
            `${own} parcels of its own sources are not copied yet: what is in them is only in the folders of ${name}, and is backed up again if the new machine has these`,
          ]),
      ...unreadTexts(name, unread),
      ...doubts,
    ];
    throw new ClusterError('NEEDS_YES', `${told.join('; ')}. Nothing was changed; --yes replaces it as it is`, {
      blame: 'operator',
    });
  }

  /** What is left to do after a host was revoked: the policy is its author's text, so it is not changed unasked. */
  #stillInPolicy(name: string): readonly string[] {
    const section = this.#options.membership.configuration.policy.hosts.get(name);
    if (section === undefined) return [];
    const sources = section.sources.map(source => source.name).join(', ');
    const archived =
      sources === ''
        ? ''
        : `. Its sources are archived by that (${sources}): their snapshots and copies stay until 'cluster forget SOURCE --archived --yes'`;
    return [
      `${name} is still in the policy, where it does nothing any more. Take hosts.${name} out: ${HOW_TO_EDIT}${archived}`,
    ];
  }

  /**
   * Heads that any member has heard of the host are to stay valid, not only those that this host has: so all are asked.
   * Later ones that come to light afterwards count no more, because whoever has the key could have made them; so a person
   * is told why there may be some.
   */
  async #doubtsOf({ host, name }: Member): Promise<readonly string[]> {
    const { askMembers, catalog, known, roster } = this.#options;
    const seqs = (): Map<SourceId, number> => new Map(this.#lastHeads(host).map(({ source, seq }) => [source, seq]));
    if (this.#sourcesOf(host, name).length + seqs().size === 0) return [];
    const silent = (await askMembers(host)).map(member => member.name);
    const heads = seqs();
    const sources = [...new Set([...this.#sourcesOf(host, name), ...heads.keys()])].sort();
    const named = (some: readonly SourceId[]): string => some.map(source => fullNameOf(source, roster)).join(', ');
    const absent = sources.filter(source => !heads.has(source));
    const behind = sources.filter(source => known.heardSeq(source) > (heads.get(source) ?? Number.POSITIVE_INFINITY));
    return [
      ...(silent.length === 0
        ? []
        : [
            `${silent.sort().join(', ')} cannot be asked, and may have heard of later snapshots of ${name} than this host has: those would be listed no more`,
          ]),
      ...(absent.length === 0
        ? []
        : [`no list of the snapshots of ${named(absent)} is here: if there are any, none would be listed any more`]),
      ...(behind.length === 0
        ? []
        : [
            `a later list of the snapshots of ${named(behind)} was heard of, and is not here: what only that has would be lost`,
          ]),
      ...(catalog.isUnsettled
        ? ['a list of snapshots cannot be read here, or is being read just now: a later one may come of it']
        : []),
    ];
  }

  /** Those that the policy has, and those that have left it. */
  #sourcesOf(host: HostId, name: string): readonly SourceId[] {
    const { policy, archived } = this.#options.membership.configuration;
    const configured = policy.hosts.get(name)?.sources.map(source => sourceIdOf(host, source.name)) ?? [];
    return [
      ...configured,
      ...archived.map(({ source }) => source).filter(source => splitSourceId(source).origin === host),
    ];
  }

  /** Parcels of the host's own sources that nobody has copied: they exist only as its own files. */
  #ownAlone(host: HostId): number {
    const { known, names } = this.#options;
    const own = names.all().filter(source => splitSourceId(source).origin === host);
    return own.reduce((sum, source) => sum + known.summary(source).without, 0);
  }

  #demandYesToLose(name: string, { under, lost, own, unread, doubts }: Losses): void {
    if (under + own + unread + doubts.length === 0) return;
    const gone = lost === 0 ? '' : `, ${lost} of them with no copy elsewhere`;
    const told = [
      ...(under === 0 ? [] : [`without ${name}, ${under} parcels have fewer copies than wanted${gone}`]),
      ...(own === 0
        ? []
        : [`${own} parcels of its own sources are not copied yet, and could not be copied from then on`]),
      ...unreadTexts(name, unread),
      ...doubts,
    ];
    const first = [
      ...(under === 0 ? [] : [`'cluster drain ${name}' moves them first`]),
      ...(own === 0 ? [] : ["'cluster status --wait protected' ends when all is copied"]),
      ...(unread === 0 ? [] : ["'cluster hosts' shows when that is done"]),
    ];
    throw new ClusterError(
      'NEEDS_YES',
      `${told.join('; ')}; nothing was changed. ${[...first, '--yes revokes it as it is'].join('; ')}`,
      { blame: 'operator' },
    );
  }
}

/** The commands by which a person takes something out of the policy, for the middle of a sentence. */
export const HOW_TO_EDIT =
  "'cluster config show > policy.yaml', edit that file, 'cluster config apply policy.yaml', which lists what that takes away and asks for --yes";

function unreadTexts(name: string, unread: number): readonly string[] {
  if (unread === 0) return [];
  const are = unread === 1 ? `a store of ${name} is` : `${unread} stores of ${name} are`;
  return [`${are} being read again, and nobody knows yet what only ${name} has`];
}

const configReport = ({ policyText, version, hash }: Configuration): ConfigReport => ({
  text: policyText,
  version,
  hash,
});

const appliedReport = ({ configuration, warnings }: PolicyApplied): ConfigReport => ({
  ...configReport(configuration),
  warnings,
});

const warned = (report: ConfigReport, warnings: readonly string[]): ConfigReport => ({
  ...report,
  warnings: [...warnings, ...(report.warnings ?? [])],
});

/** A mistyped path is taken like any other: no host sees the disks of another one. */
const knownThereAlone = (host: string, path: string): string =>
  `${host} alone can tell whether ${path} is there and can be used: run 'cluster status' on ${host}`;

/** @throws ClusterError HOST_UNKNOWN */
export function needHost(roster: Roster, name: string): void {
  if (roster.named(name) !== undefined) return;
  const names = [...roster.members()].map(member => member.name).sort();
  throw new ClusterError(
    'HOST_UNKNOWN',
    `no host ${JSON.stringify(name)} in this cluster; there are: ${names.join(', ')}. Nothing was changed`,
    { blame: 'operator' },
  );
}

/** … a host that is still a member. @throws ClusterError HOST_UNKNOWN */
function needMember(roster: Roster, name: string): void {
  needHost(roster, name);
  if (roster.named(name)?.state !== 'revoked') return;
  throw new ClusterError(
    'HOST_UNKNOWN',
    `${JSON.stringify(name)} was revoked, which is for good: it is no longer a host of this cluster. Nothing was changed`,
    { blame: 'operator' },
  );
}
