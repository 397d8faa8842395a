/**
 * Finished moves: counts relocations that made the room they were meant for. An accepted offer is only a beginning: the
 * families must leave, and the parcel that needed the room must become durable in its place.
 */
import type { ParcelId } from '../src/core/ids.js';
import type { Counts } from './counts.js';
import type { Happening } from './happening.js';
import type { Running } from './sim-host.js';

interface Move {
  readonly offer: number;
  /** The offered parcels that are still at the host that offered them. */
  readonly staying: Set<ParcelId>;
  isAccepted: boolean;
}

export class FinishedMoves {
  readonly #counts: Counts;
  /** By the parcel that needs the room. */
  readonly #moves = new Map<Running, Map<ParcelId, Move>>();

  constructor(counts: Counts) {
    this.#counts = counts;
  }

  see(happening: Happening): void {
    if (happening.is === 'effect' && happening.effect.do === 'offer-relocation') {
      const { offer, needed, parcels } = happening.effect;
      const moves = this.#moves.get(happening.by) ?? new Map<ParcelId, Move>();
      this.#moves.set(happening.by, moves.set(needed, { offer, staying: new Set(parcels), isAccepted: false }));
    } else if (happening.is === 'told' && happening.input.is === 'relocation-answered') {
      const { offer, accepted } = happening.input;
      for (const move of this.#moves.get(happening.by)?.values() ?? [])
        if (move.offer === offer) move.isAccepted = accepted;
    } else if (happening.is === 'durable' && happening.host.running !== undefined) {
      this.#durable(this.#moves.get(happening.host.running), happening.op);
    } else if (happening.is === 'stopped') {
      this.#moves.delete(happening.by);
    }
  }

  #durable(moves: Map<ParcelId, Move> | undefined, op: Extract<Happening, { is: 'durable' }>['op']): void {
    if (moves === undefined) return;
    if (op.op === 'del') for (const { staying } of moves.values()) staying.delete(op.parcel);
    if (op.op !== 'add') return;
    const move = moves.get(op.parcel);
    moves.delete(op.parcel);
    if (move?.isAccepted === true && move.staying.size === 0) this.#counts.relocations += 1;
  }
}
