/**
 * Moving: carries the offers of hosts that are too full to those who may take a family over, and their answers back. What is
 * accepted is fetched like everything else.
 */
import type { Effect } from '../src/core/effects.js';
import type { HostId } from '../src/core/ids.js';
import type { RelocationQuestion } from './questions.js';
import type { Running } from './sim-host.js';
import type { Surroundings } from './surroundings.js';

type Effects<Do extends Effect['do']> = Extract<Effect, { do: Do }>;

export class Moving {
  readonly #of: Running;
  readonly #world: Surroundings;
  readonly #replies = new Map<number, (accepted: boolean) => void>();
  #nextAsk = 1;

  constructor(of: Running, world: Surroundings) {
    this.#of = of;
    this.#world = world;
  }

  offer({ offer, to, parcels }: Effects<'offer-relocation'>): void {
    const from: HostId = this.#of.host.id;
    this.#world.network.ask<boolean>({
      from: this.#of,
      to,
      ask: (asked, reply) => asked.answerRelocation({ from, parcels }, reply),
      answered: accepted => {
        if (accepted === true) this.#world.counts.relocations += 1;
        if (this.#of.dies('offer-relocation', 'done')) return;
        this.#of.tell({ is: 'relocation-answered', offer, accepted: accepted === true });
      },
    });
  }

  asked({ from, parcels }: RelocationQuestion, reply: (accepted: boolean) => void): void {
    const ask = this.#nextAsk;
    this.#nextAsk += 1;
    this.#replies.set(ask, reply);
    this.#of.tell({ is: 'relocation-offered', ask, from, parcels });
  }

  answer({ ask, accepted }: Effects<'answer-relocation'>): void {
    this.#replies.get(ask)?.(accepted);
    this.#replies.delete(ask);
  }
}
