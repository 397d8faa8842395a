/**
 * Moves: checks that a move of families to another host is over as soon as that host refuses it, or all has left (I10):
 * until then its claim keeps others from the parcel that needs the room. Also counts moves that the offering host
 * leaves to nobody else: when it hears that the other host has everything, it begins at once to drop all of it.
 *
 * That every accepted move ends so cannot be demanded: it may run out of time first, or another holder may drop its
 * copy first and have the room then. So there must be enough of those that do.
 */
import type { HostId, ParcelId } from '../../src/core/ids.js';
import type { Happening } from '../happening.js';
import type { Running } from '../sim-host.js';
import { Violation } from '../violation.js';
import type { World } from '../world.js';
import type { Checker } from './checker.js';

interface Move {
  readonly to: HostId;
  /** The offered parcels that are still here. */
  readonly staying: Set<ParcelId>;
  state: 'offered' | 'accepted' | 'handed-over';
}

export class MoveChecker implements Checker {
  readonly #world: World;
  /** By offer, all that may still be under way: a host may have given some of them up. */
  readonly #moves = new Map<Running, Map<number, Move>>();
  /** The parcels that the machine has begun to drop in this step. */
  readonly #begun = new Set<ParcelId>();

  constructor(world: World) {
    this.#world = world;
  }

  see(happening: Happening): void {
    switch (happening.is) {
      case 'effect':
        if (happening.effect.do === 'offer-relocation') {
          const { offer, to, parcels } = happening.effect;
          const moves = this.#moves.get(happening.by) ?? new Map<number, Move>();
          this.#moves.set(happening.by, moves.set(offer, { to, staying: new Set(parcels), state: 'offered' }));
        } else if (happening.effect.do === 'prove-own') this.#begun.add(happening.effect.parcel);
        return;
      case 'told':
        if (happening.input.is === 'relocation-answered') {
          const { offer, accepted } = happening.input;
          const moves = this.#moves.get(happening.by);
          const move = moves?.get(offer);
          if (!accepted) moves?.delete(offer);
          else if (move !== undefined) move.state = 'accepted';
        }
        return;
      case 'stepped': {
        const moves = this.#moves.get(happening.by);
        if (moves !== undefined) this.#stepped(happening.by, moves);
        if (this.#begun.size > 0) this.#begun.clear();
        return;
      }
      case 'stopped':
        this.#moves.delete(happening.by);
        return;
      default:
        return;
    }
  }

  #stepped(by: Running, moves: Map<number, Move>): void {
    const { known } = by.machine;
    for (const [offer, move] of moves) {
      const { to, staying } = move;
      for (const parcel of staying) if (known.storeOf(parcel) === undefined) staying.delete(parcel);
      if (staying.size === 0) moves.delete(offer);
      if (staying.size === 0 || move.state !== 'accepted') continue;
      const isAtTaker = [...staying].every(parcel =>
        known.holders(parcel).some(({ host, counts }) => host === to && counts),
      );
      if (!isAtTaker) continue;
      move.state = 'handed-over';
      if ([...staying].every(parcel => this.#begun.has(parcel))) this.#world.counts.handedOver += 1;
    }
    this.#areUnderWay(by, moves.size);
    if (known.pending().relocations === 0) this.#moves.delete(by);
  }

  #areUnderWay(by: Running, mostMoves: number): void {
    const { relocations } = by.machine.known.pending();
    if (relocations > mostMoves)
      throw new Violation('I10', `h${by.host.number} has ${relocations} moves under way, and ${mostMoves} may be`);
  }

  full(): void {
    for (const { running } of this.#world.hosts)
      if (running !== undefined) this.#areUnderWay(running, this.#moves.get(running)?.size ?? 0);
  }
}
