/**
 * Drop proof: evidence that a copy may go, because N others were read from disk by their holders in answer to this very
 * attempt. If the host has the parcel in another store as well, that copy may be one of the N: dropping the second one
 * does not change what the host counts for. If fewer than N hosts have the parcel at all, grants from these are enough
 * to drop the second copy.
 *
 * A store drops nothing without one, and `DropProof.from` is the only maker: it counts the grants itself, judging their
 * hosts by the configuration in use. dropping.ts, its only caller, ensures that the attempt entered DROPPING before it
 * asked, and that nothing has made it void since.
 */
import { type Member, mayTakeCopies } from './cluster-config.js';
import type { HostId, Nonce, ParcelId, Possession, StoreId } from './ids.js';

export interface Grant {
  readonly host: HostId;
  /** The attempt that it answers. */
  readonly nonce: Nonce;
  /** What the holder sent, and what it should have sent according to the bytes of our own copy. */
  readonly possession: Possession;
  readonly expected: Possession | undefined;
}

export interface DropClaim {
  readonly parcel: ParcelId;
  readonly store: StoreId;
  /**
   * Another store of this host in which the parcel was read whole, in this attempt, and stays; undefined if there is
   * none.
   */
  readonly stays: StoreId | undefined;
  /** The host that drops, and the origins of all sources that list the parcel: grants of these do not count. */
  readonly self: HostId;
  readonly origins: readonly HostId[];
  readonly nonce: Nonce;
  /** N. */
  readonly copiesWanted: number;
  /**
   * How many domains seemed to have it when the attempt began. If a copy `stays`, no more than this many must be shown.
   */
  readonly grantable: number;
  readonly configVersion: number;
  readonly memberOf: (host: HostId) => Member | undefined;
  readonly grants: readonly Grant[];
}

export class DropProof {
  readonly parcel: ParcelId;
  readonly store: StoreId;
  readonly nonce: Nonce;
  readonly configVersion: number;
  /**
   * The holders that were counted, one per domain, N or more. If another store of this host has the parcel, this host
   * is among them, and there may be fewer than N.
   */
  readonly granters: readonly HostId[];

  private constructor({ parcel, store, nonce, configVersion }: DropClaim, granters: readonly HostId[]) {
    this.parcel = parcel;
    this.store = store;
    this.nonce = nonce;
    this.configVersion = configVersion;
    this.granters = granters;
  }

  /** @returns undefined when there are too few grants. */
  static from(claim: DropClaim): DropProof | undefined {
    const byDomain = new Map<string, HostId>();
    /** @returns whether the host counts, by itself or through another one of its domain */
    const count = (host: HostId): boolean => {
      const member = claim.memberOf(host);
      if (claim.origins.includes(host) || !mayTakeCopies(member)) return false;
      if (!byDomain.has(member.domain)) byDomain.set(member.domain, host);
      return true;
    };
    for (const { host, nonce, possession, expected } of claim.grants)
      if (nonce === claim.nonce && possession === expected && host !== claim.self) count(host);
    const isSecond = claim.stays !== undefined && claim.stays !== claim.store && count(claim.self);
    const needed = isSecond ? Math.min(claim.copiesWanted, claim.grantable) : claim.copiesWanted;
    if (needed < 1 || byDomain.size < needed) return undefined;
    return new DropProof(claim, [...byDomain.values()]);
  }
}
