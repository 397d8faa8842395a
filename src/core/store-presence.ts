/** Store presence: whether a store of any host is there to be asked, or was, and what that means for its copies. */
import { mayHoldCopies } from './cluster-config.js';
import type { Holdings } from './holdings.js';
import type { Hosts } from './hosts.js';
import type { StoreSlot } from './parcel-table.js';
import type { Placement } from './placement.js';

/**
 * Whether a store is there. `dead`: its host is a member that is away for so long that its copies count no more. `unlisted`:
 * its host has it no more, or is draining or set aside. `gone`: its host is no member, or one that may hold no copies.
 */
export type StorePresence = 'there' | 'suspect' | 'dead' | 'unlisted' | 'gone';

export interface StorePresencesContext {
  readonly holdings: Pick<Holdings, 'hostOf'>;
  readonly hosts: Pick<Hosts, 'get'>;
  readonly placement: Pick<Placement, 'storeCounts'>;
}

export class StorePresences {
  readonly #of: StorePresencesContext;

  constructor(context: StorePresencesContext) {
    this.#of = context;
  }

  of(slot: StoreSlot): StorePresence {
    const { holdings, hosts, placement } = this.#of;
    const view = hosts.get(holdings.hostOf(slot));
    if (view === undefined || !mayHoldCopies(view.member)) return 'gone';
    if (view.liveness === 'dead') return 'dead';
    if (!placement.storeCounts(slot)) return 'unlisted';
    return view.liveness === 'live' ? 'there' : 'suspect';
  }

  /** It is there, and its host connected. */
  canBeAsked(slot: StoreSlot): boolean {
    const { holdings, hosts } = this.#of;
    return this.of(slot) === 'there' && hosts.get(holdings.hostOf(slot))?.connected === true;
  }
}
