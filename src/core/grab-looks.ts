/**
 * Grab looks: this host's view of a row that it may take: which other hosts could take it or have claimed it, and what
 * it could do itself.
 *
 * It only reads; the verdict is grab.ts's. Driven by pursuing.ts.
 */
import type { Claims } from './claims.js';
import { type ClusterConfig, type Member, mayTakeCopies } from './cluster-config.js';
import type { Fitting } from './fitting.js';
import type { Givers } from './givers.js';
import { type GrabView, rankMaxOf } from './grab.js';
import type { HeldHere } from './held-here.js';
import type { Hosts } from './hosts.js';
import type { HostId } from './ids.js';
import { leaveUntilMs } from './leave-to-faster.js';
import type { OtherHolders } from './other-holders.js';
import type { Paces } from './paces.js';
import { FLAG, type ParcelTable, type Row } from './parcel-table.js';
import { type CopyCount, NO_STANDING, type Placement } from './placement.js';
import type { Pursuit } from './pursuit.js';
import type { Room } from './room.js';
import type { Wanted } from './wanted.js';

export interface GrabLooksContext {
  readonly self: HostId;
  readonly table: ParcelTable;
  readonly hosts: Hosts;
  readonly placement: Placement;
  readonly others: Pick<OtherHolders, 'hasTaker'>;
  readonly room: Pick<Room, 'size'>;
  readonly fitting: Pick<Fitting, 'placeFor'>;
  readonly claims: Claims;
  readonly wanted: Wanted;
  readonly paces: Paces;
  readonly givers: Pick<Givers, 'areThere' | 'best' | 'isHere'>;
  readonly nowMs: () => number;
  readonly config: () => ClusterConfig;
  /** This host as a member; undefined while it is none. */
  readonly member: () => Member | undefined;
  readonly here: Pick<HeldHere, 'isHeldToStay'>;
  /** This host's pursuit of the row, if any. */
  readonly pursuitOf: (row: Row) => Pursuit | undefined;
  /** Until when the row rests after a failure. */
  readonly notBeforeMs: (row: Row) => number;
  /** Bytes that are claimed and not here yet, over all rows. */
  readonly claimedBytes: () => number;
  /** When a row that was short last got its copies. */
  readonly filledMs: () => number;
}

export class GrabLooks {
  readonly #of: GrabLooksContext;

  constructor(context: GrabLooksContext) {
    this.#of = context;
  }

  /** `row`: one that is wanted. */
  at(row: Row, count: CopyCount, copiesWanted: number): GrabView {
    const { self, table, placement, room, fitting, claims, wanted, givers, config, member } = this.#of;
    const { here, pursuitOf, notBeforeMs } = this.#of;
    const nowMs = this.#of.nowMs();
    const { timing } = config();
    const pursuit = pursuitOf(row);
    const origins = wanted.originsOf(row);
    const isOrigin = origins.includes(self);
    const claimants = claims.on(row);
    const held = here.isHeldToStay(row);
    // Ranking asks every host, so it is skipped when cheaper answers already say no.
    const mayHold = mayTakeCopies(member()) && room.size > 0;
    const needed = pursuit?.relocated === true || (count.copies < copiesWanted && !count.domainTaken);
    const undecided = mayHold && !held && !isOrigin && needed;
    const repair = table.has(row, FLAG.hadCopies);
    const stepMs = repair ? timing.repairStepMs : timing.stepMs;
    const lastPlace = repair && count.liveCopies <= 1;
    const shortSinceMs = table.shortSinceMs(row);
    const atHand = undecided && givers.isHere(row);
    const hasSource = undecided && givers.areThere(row);
    const hasRoom = undecided && fitting.placeFor(row) !== undefined;
    // The rank decides only when a host begins: not whether one continues, nor anything for one that cannot begin.
    const isBegun = pursuit !== undefined && !atHand;
    const rankMax =
      isBegun || lastPlace || !hasRoom ? 0 : rankMaxOf({ copiesWanted, stepMs, shortForMs: nowMs - shortSinceMs });
    // For a host without room, only claims matter.
    const standing =
      hasSource && (pursuit !== undefined || hasRoom || claimants.length > 0)
        ? placement.standing(row, origins, copiesWanted, { claimants, copies: count.copies, rankMax })
        : NO_STANDING;
    return {
      nowMs,
      wanted: true,
      isOrigin,
      held,
      copiesWanted,
      copies: count.copies,
      relocated: pursuit?.relocated === true,
      domainTaken: count.domainTaken,
      mayHold,
      hasRoom,
      hasSource,
      atHand,
      rank: standing.rank,
      lackersBefore: standing.lackersBefore,
      claims: standing.claims,
      betterClaims: standing.betterClaims,
      ownDomainClaimed: standing.ownDomainClaimed,
      ownDomainBetterClaimed: standing.ownDomainBetterClaimed,
      // A repair is urgent, whichever host has most of the bytes.
      leftToFamily: standing.leftToFamily && !repair,
      leftToSteady: standing.leftToSteady,
      shortSinceMs,
      filledMs: this.#of.filledMs(),
      stepMs,
      lastPlace,
      leftUntilMs:
        hasSource && hasRoom && !atHand && pursuit === undefined ? this.#leftUntilMs(row) : Number.NEGATIVE_INFINITY,
      claimed: pursuit !== undefined,
      unsaid: pursuit?.stage === 'unsaid',
      notBeforeMs: notBeforeMs(row),
    };
  }

  /** Until when a row is left to hosts with faster links. */
  #leftUntilMs(row: Row): number {
    const { table, hosts, paces, filledMs, claimedBytes } = this.#of;
    return leaveUntilMs({
      shortSinceMs: table.shortSinceMs(row),
      filledMs: filledMs(),
      bytes: table.bytes(row),
      claimedBytes: claimedBytes(),
      ownBytesPerS: paces.own,
      hasTakerOf: bytesPerS => this.#hasTakerOf(row, bytesPerS),
      backlogBytes: table.shortBytes,
      togetherBytesPerS: paces.own + hosts.roomyBytesPerS,
    });
  }

  /** Whether another host with room could fetch the row at this rate. The cheapest answers come first. */
  #hasTakerOf(row: Row, bytesPerS: number): boolean {
    const { table, hosts, others, wanted, paces, givers } = this.#of;
    if (hosts.fastestBytesPerS < bytesPerS) return false;
    const source = givers.best(row);
    const given = source === undefined ? 0 : paces.hopedOf(source);
    // 0: nothing is known of it.
    if (given > 0 && given < bytesPerS) return false;
    const bytes = table.bytes(row);
    return others.hasTaker(
      row,
      wanted.originsOf(row),
      ({ id, freeBytes }) => freeBytes >= bytes && hosts.paceBytesPerS(id) >= bytesPerS,
    );
  }
}
