/**
 * Drop proof: that a copy may go, for N others were read from disk by their holders in answer to this very attempt. Where the
 * host has the parcel in another store, too, that one may be one of the N: what goes then is not what it counts by, and where fewer
 * than N have it at all, these are enough.
 *
 * A store drops nothing without one, and `DropProof.from` is the only maker: it counts the grants itself, by what the
 * configuration in use says of their hosts. That the attempt entered DROPPING before it asked, and that nothing made it
 * void since, is kept by dropping.ts, which alone calls it.
 */
import type { Member } from './cluster-config.js';
import type { HostId, Nonce, ParcelId, Possession, StoreId } from './ids.js';

export interface Grant {
  readonly host: HostId;
  /** The attempt that it answers. */
  readonly nonce: Nonce;
  /** What the holder sent, and what it must have sent, by our own copy's bytes. */
  readonly possession: Possession;
  readonly expected: Possession | undefined;
}

export interface DropClaim {
  readonly parcel: ParcelId;
  readonly store: StoreId;
  /** Another store of this host in which the parcel was read whole, in this attempt, and stays; undefined where it has no other. */
  readonly stays: StoreId | undefined;
  /** The host that drops, and the origins of all sources that list the parcel: none of their own words counts. */
  readonly self: HostId;
  readonly origins: readonly HostId[];
  readonly nonce: Nonce;
  /** N. */
  readonly copiesWanted: number;
  /** How many domains seemed to have it when the attempt began. Where something `stays`, no more need to be read than that. */
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
   * The holders that were counted, one a domain: N or more; this host among them where another store of it has the parcel, and then
   * maybe fewer.
   */
  readonly granters: readonly HostId[];

  private constructor({ parcel, store, nonce, configVersion }: DropClaim, granters: readonly HostId[]) {
    this.parcel = parcel;
    this.store = store;
    this.nonce = nonce;
    this.configVersion = configVersion;
    this.granters = granters;
  }

  /** @returns undefined while the grants are too few. */
  static from(claim: DropClaim): DropProof | undefined {
    const byDomain = new Map<string, HostId>();
    /** @returns whether it counts, by itself or by another one of its domain */
    const count = (host: HostId): boolean => {
      const member = claim.memberOf(host);
      if (claim.origins.includes(host) || member?.state !== 'active' || member.trust !== 'trusted') return false;
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
