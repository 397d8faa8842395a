/**
 * Explain: of each host, why it has a copy of a parcel that counts, or why it has none. For people: no decision is made
 * by it.
 *
 * The reason is the first that keeps the host from having one: grab.ts may have weighed others besides. A host's place
 * in the list is its rank (rendezvous.ts): the first that may take a copy are to have them, and the last that have one
 * too many drop it.
 *
 * Pure: same view, same reason. Driven by known.ts.
 */
import type { Claims } from './claims.js';
import type { Member } from './cluster-config.js';
import type { Fitting } from './fitting.js';
import type { Holdings } from './holdings.js';
import type { Hosts } from './hosts.js';
import type { HostId } from './ids.js';
import type { Liveness } from './liveness.js';
import type { OtherHolders } from './other-holders.js';
import type { ParcelTable, Row } from './parcel-table.js';
import type { Placement } from './placement.js';
import type { Pursuing } from './pursuing.js';
import type { Room } from './room.js';
import type { Wanted } from './wanted.js';

/** Why a host's copy does not count, or why it takes none, whatever the parcel. */
export type Unfit = 'provisional' | 'draining' | 'revoked' | 'untrusted' | 'two-machines' | 'dead';

export type Why =
  /** Its copy counts … */
  | { readonly has: 'copy' }
  /** … or does not, for this reason. */
  | {
      readonly has: 'uncounted-copy';
      readonly because: Unfit | 'origin' | 'same-domain' | 'store-away';
      /** Another host of its domain, whose copy counts for both. */
      readonly with?: HostId;
    }
  /** Its source lists the parcel, so it has the files themselves, and needs no copy of them. */
  | { readonly has: 'original' }
  /** It has said that it is about to fetch it, or does. */
  | { readonly has: 'claim' }
  | { readonly has: 'nothing'; readonly because: Unfit | 'not-seen' | 'no-store' | 'no-room' | 'enough-copies' }
  | { readonly has: 'nothing'; readonly because: 'same-domain'; readonly with: HostId }
  /** It may take a copy that is missing, when its turn comes. */
  | { readonly has: 'nothing'; readonly because: 'in-turn' };

/** What keeps a host from having a copy that counts. */
export type Because = Extract<Why, { readonly because: unknown }>['because'];

export interface ExplainView {
  readonly isOrigin: boolean;
  readonly member: Pick<Member, 'state' | 'trust'>;
  readonly liveness: Liveness;
  /** Two machines run with its identity. */
  readonly isSetAside: boolean;
  /** Some store's log of it has the parcel. */
  readonly holds: boolean;
  /** … and the store is there. */
  readonly isStoreThere: boolean;
  /** Another host of its domain that comes first, or has one alone, and whose copy counts. */
  readonly domainHolder: HostId | undefined;
  readonly claims: boolean;
  /** It has a store that is there. */
  readonly lends: boolean;
  readonly hasRoom: boolean;
  /** Copies that are missing. */
  readonly missing: number;
}

export function explainHost(view: ExplainView): Why {
  const unfit = unfitnessOf(view);
  const { domainHolder } = view;
  if (view.holds) {
    if (unfit !== undefined) return { has: 'uncounted-copy', because: unfit };
    if (view.isOrigin) return { has: 'uncounted-copy', because: 'origin' };
    if (!view.isStoreThere) return { has: 'uncounted-copy', because: 'store-away' };
    if (domainHolder !== undefined) return { has: 'uncounted-copy', because: 'same-domain', with: domainHolder };
    return { has: 'copy' };
  }
  if (view.isOrigin) return { has: 'original' };
  if (unfit !== undefined) return { has: 'nothing', because: unfit };
  if (view.claims) return { has: 'claim' };
  if (domainHolder !== undefined) return { has: 'nothing', because: 'same-domain', with: domainHolder };
  if (view.liveness !== 'live') return { has: 'nothing', because: 'not-seen' };
  if (!view.lends) return { has: 'nothing', because: 'no-store' };
  if (view.missing <= 0) return { has: 'nothing', because: 'enough-copies' };
  if (!view.hasRoom) return { has: 'nothing', because: 'no-room' };
  return { has: 'nothing', because: 'in-turn' };
}

function unfitnessOf({ member, liveness, isSetAside }: ExplainView): Unfit | undefined {
  if (member.state !== 'active') return member.state;
  if (member.trust !== 'trusted') return 'untrusted';
  if (isSetAside) return 'two-machines';
  return liveness === 'dead' ? 'dead' : undefined;
}

export interface HostExplained {
  readonly host: HostId;
  readonly why: Why;
}

export interface ExplainContext {
  readonly self: { readonly host: HostId; readonly member: () => Member | undefined };
  readonly table: Pick<ParcelTable, 'bytes' | 'holders'>;
  readonly holdings: Pick<Holdings, 'hostOf'>;
  readonly hosts: Pick<Hosts, 'others'>;
  readonly placement: Pick<Placement, 'domainOf' | 'livenessOf' | 'storeCounts'>;
  readonly others: Pick<OtherHolders, 'inOrder'>;
  readonly wanted: Pick<Wanted, 'copiesWanted' | 'knownOriginOf' | 'originsOf'>;
  readonly claims: Pick<Claims, 'on'>;
  readonly room: Pick<Room, 'size'>;
  readonly fitting: Pick<Fitting, 'placeFor'>;
  readonly pursuing: Pick<Pursuing, 'claims'>;
  readonly count: (row: Row) => { readonly copies: number };
}

/** All members, in the order of their ranks for the row, which a page has described. */
export function explain(of: ExplainContext, row: Row): readonly HostExplained[] {
  const { self, table, holdings, hosts, placement, wanted, claims, room, fitting, pursuing } = of;
  const origins = wanted.originsOf(row);
  const missing = (wanted.copiesWanted(row) ?? 0) - of.count(row).copies;
  const claimants = claims.on(row);
  const views = new Map([...hosts.others()].map(view => [view.id, view]));
  const holders = new Map<HostId, boolean>();
  for (const slot of table.holders(row, [])) {
    const host = holdings.hostOf(slot);
    holders.set(host, placement.storeCounts(slot) || holders.get(host) === true);
  }
  const order = of.others.inOrder(row, wanted.knownOriginOf(row), [self.host, ...views.keys()]);
  /** By domain, the best-ranked host with a copy that counts. */
  const domainHolders = new Map<string, HostId>();
  for (const host of order) {
    const domain = placement.domainOf(host);
    const counts = holders.get(host) === true && !origins.includes(host);
    if (counts && domain !== undefined && !domainHolders.has(domain)) domainHolders.set(domain, host);
  }
  return order.flatMap(host => {
    const view = views.get(host);
    const member = view === undefined ? self.member() : view.member;
    if (member === undefined) return [];
    const domainHolder = domainHolders.get(member.domain);
    const why = explainHost({
      isOrigin: origins.includes(host),
      member,
      liveness: placement.livenessOf(host),
      isSetAside: view?.isSetAside === true,
      holds: holders.has(host),
      isStoreThere: holders.get(host) === true,
      domainHolder: domainHolder === host ? undefined : domainHolder,
      claims: view === undefined ? pursuing.claims(row) : claimants.includes(host),
      lends: view === undefined ? room.size > 0 : view.weightMiB >= 1,
      hasRoom: view === undefined ? fitting.placeFor(row) !== undefined : view.freeBytes >= table.bytes(row),
      missing,
    });
    return [{ host, why }];
  });
}
