/**
 * Amid a drop: configuration changes that come just when a host begins to drop a copy, or asks for grants: one of the
 * hosts that are to grant is taken out, or N is changed. The signer is the dropper or another holder: hosts that hear
 * of the change later are past the drop by then.
 */
import type { Effect } from '../src/core/effects.js';
import type { ClusterFaults } from './cluster-faults.js';
import type { Fault, FaultKind } from './fault.js';
import type { Running } from './sim-host.js';
import type { World } from './world.js';

/** Every other fault of these kinds is timed this way. */
const KINDS: ReadonlySet<FaultKind> = new Set(['revoke', 'drain', 'copies']);

export interface AmidDropOptions {
  readonly world: World;
  readonly cluster: ClusterFaults;
  /** `end`: how to end a change that lasts; undefined for one that does not last, or was not made. */
  readonly begun: (fault: Fault, end: (() => void) | undefined) => void;
}

export class AmidDrop {
  readonly #world: World;
  readonly #cluster: ClusterFaults;
  readonly #begun: AmidDropOptions['begun'];
  /** Faults that wait for an attempt to drop. */
  readonly #waiting: Fault[] = [];

  constructor({ world, cluster, begun }: AmidDropOptions) {
    this.#world = world;
    this.#cluster = cluster;
    this.#begun = begun;
  }

  watch(): void {
    this.#world.witnesses.push(happening => {
      if (this.#waiting.length > 0 && happening.is === 'effect') this.#change(happening);
    });
  }

  /** @returns false for a fault that comes at its own time. */
  waits(fault: Fault): boolean {
    if (!KINDS.has(fault.kind) || (fault.dice >>> 16) % 2 !== 0) return false;
    this.#waiting.push(fault);
    return true;
  }

  /** From now on no change is made. */
  end(): void {
    this.#waiting.length = 0;
  }

  #change({ by, effect }: { readonly by: Running; readonly effect: Effect }): void {
    if (effect.do !== 'prove-own' && effect.do !== 'ask-grants') return;
    const at = this.#waiting.findIndex(fault => (fault.dice >>> 17) % 2 === (effect.do === 'prove-own' ? 0 : 1));
    const fault = this.#waiting[at];
    if (fault === undefined || by.host.isClone) return;
    const { dice } = fault;
    const granters = this.#world.hosts.filter(({ id, isClone }) => !isClone && effect.holders.includes(id));
    const goes = granters[(dice >>> 18) % Math.max(1, granters.length)];
    if (goes === undefined) return;
    const others = [...granters.filter(host => host !== goes || fault.kind === 'copies'), by.host].filter(
      ({ disk, isResponsive, signed }) => isResponsive && (signed ?? disk.config) === this.#world.config,
    );
    const signer = others[(dice >>> 24) % Math.max(1, others.length)];
    if (signer === undefined) return;
    this.#waiting.splice(at, 1);
    const { counts } = this.#world;
    switch (fault.kind) {
      case 'revoke':
        if (this.#cluster.revoke(goes, signer)) counts.membersOutAmidDrop += 1;
        return;
      case 'drain': {
        const end = this.#cluster.drain(goes, signer);
        if (end !== undefined) counts.membersOutAmidDrop += 1;
        this.#begun(fault, end);
        return;
      }
      default:
        counts.copiesAmidDrop += 1;
        this.#begun(fault, this.#cluster.changeCopies(dice, signer));
    }
  }
}
