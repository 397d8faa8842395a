/**
 * Grant: may this host say "I hold it, read from disk just now, and am not dropping it"?
 *
 * There are two questions. When asked: is it worth a read, or is the answer no already? After the read: is everything
 * still as it was? In between, the parcel may have been dropped, found corrupt, or taken back after either; a changed
 * `generation` shows that. A host that is about to drop the parcel itself gives no grant; before its commit it yields
 * to an asker with a higher priority to drop, which makes its own attempt void. Both hosts must use the very same
 * configuration: under another one, other copies may count, or more be wanted; this includes the other branch of a
 * fork, with the same version.
 *
 * The rules are those of src/DESIGN.md, "How a copy is dropped", and of protocols/drop/drop.md; what each prevents is shown there and by
 * the simulator's mutants. Pure. Driven by dropping.ts.
 */
import type { ConfigMark } from './cluster-config.js';
import type { Nonce, Possession } from './ids.js';

/** Why there is no grant. Crosses the wire as a number. */
export type DenyReason =
  /** No store of ours has such a copy. */
  | 'absent'
  /** We are dropping it ourselves, and have priority or are past turning back. */
  | 'dropping'
  /** The bytes on our disk are wrong, or cannot be read. */
  | 'corrupt'
  /** By the newest head that we have, it is unwanted. */
  | 'unwanted'
  /** Our host or store is draining, or we are not an active, trusted member. */
  | 'draining'
  /** Too many requests at once; ask again. */
  | 'busy'
  /** The asker's configuration is older than ours: it must not go on with it. */
  | 'config-newer'
  /** Ours is older than the asker's: we are fetching it. */
  | 'config-older'
  /** They have the same version but are on two branches of a fork: the host on the losing branch gets the other one. */
  | 'config-differs';

export type GrantAnswer =
  | { readonly answer: 'grant'; readonly possession: Possession; readonly configVersion: number }
  | { readonly answer: 'deny'; readonly because: DenyReason; readonly configVersion: number };

/** A request from another host: one that is about to drop asks every holder. */
export interface GrantAsk {
  readonly nonce: Nonce;
  /** The asker's. */
  readonly config: ConfigMark;
}

/** How far this host is with removing the parcel itself. */
export type OwnRemoval = 'none' | 'asking' | 'committing';

export interface GrantView {
  /** The asker is a member that may hold copies. */
  readonly askerIsMember: boolean;
  readonly askerConfig: ConfigMark;
  readonly config: ConfigMark;
  /** This host is an active, trusted member, and the store is not draining. */
  readonly mayGrant: boolean;
  /** PRESENT by the log of a store of ours. */
  readonly held: boolean;
  /** A listed or held snapshot references it. */
  readonly wanted: boolean;
  readonly ownRemoval: OwnRemoval;
  /** The asker has the higher priority to drop. */
  readonly askerFirst: boolean;
  /** Running reads for grants, of all parcels. */
  readonly reads: number;
}

export type GrantVerdict =
  /** Read the parcel; `yields`: our own attempt is void from now on. */
  { readonly act: 'read'; readonly yields: boolean } | { readonly act: 'deny'; readonly because: DenyReason };

/** Reads for grants at once: each costs a pass over the parcel on disk. */
export const GRANT_READS_MAX = 64;

export function decideGrant(view: GrantView): GrantVerdict {
  if (!view.askerIsMember || !view.mayGrant) return { act: 'deny', because: 'draining' };
  const differs = compareConfigs(view);
  if (differs !== undefined) return { act: 'deny', because: differs };
  if (!view.held) return { act: 'deny', because: 'absent' };
  if (!view.wanted) return { act: 'deny', because: 'unwanted' };
  if (view.ownRemoval === 'committing') return { act: 'deny', because: 'dropping' };
  if (view.ownRemoval === 'asking' && !view.askerFirst) return { act: 'deny', because: 'dropping' };
  if (view.reads >= GRANT_READS_MAX) return { act: 'deny', because: 'busy' };
  return { act: 'read', yields: view.ownRemoval === 'asking' };
}

export interface SignView {
  readonly held: boolean;
  /** At the start of the read, and now. */
  readonly readGeneration: number;
  readonly generation: number;
  readonly ownRemoval: OwnRemoval;
  /** The result of the read: undefined when the bytes are wrong or cannot be read. */
  readonly possession: Possession | undefined;
  readonly mayGrant: boolean;
  readonly askerConfig: ConfigMark;
  readonly config: ConfigMark;
}

/** Decides after the read. @returns why not; undefined when the grant may be signed. */
export function decideSign(view: SignView): DenyReason | undefined {
  if (view.possession === undefined) return 'corrupt';
  if (!view.mayGrant) return 'draining';
  // A newer configuration came meanwhile, or the losing branch of a fork was given up.
  const differs = compareConfigs(view);
  if (differs !== undefined) return differs;
  if (!view.held) return 'absent';
  if (view.ownRemoval !== 'none') return 'dropping';
  // The parcel was dropped and taken back while we read, or an attempt was given up: the read was of an earlier
  // generation.
  if (view.readGeneration !== view.generation) return 'dropping';
  return undefined;
}

/** @returns undefined for the very same configuration. */
function compareConfigs({ askerConfig, config }: Pick<GrantView, 'askerConfig' | 'config'>): DenyReason | undefined {
  if (askerConfig.version < config.version) return 'config-newer';
  if (askerConfig.version > config.version) return 'config-older';
  return askerConfig.hash === config.hash ? undefined : 'config-differs';
}
