/**
 * State hash: one number for everything that a run has done so far: every input and effect of every machine, in order,
 * and, every thousand events, what every machine believes. The same seed and build give the same chain (I9).
 */
import type { Effect, Input } from '../src/core/effects.js';
import type { Happening } from './happening.js';
import type { World } from './world.js';

/** Events between two links of the chain. */
export const LINK_EVENTS = 1_000;

export class StateHash {
  readonly #world: World;
  readonly #links: number[] = [];
  #hash = 0x811c_9dc5;

  constructor(world: World) {
    this.#world = world;
  }

  /** One link for each thousand events so far. */
  get links(): readonly number[] {
    return this.#links;
  }

  see(happening: Happening): void {
    if (happening.is === 'told') this.#mix(`${happening.by.host.number} ${wordOf(happening.input)}`);
    else if (happening.is === 'effect') this.#mix(`${happening.by.host.number} ${wordOf(happening.effect)}`);
  }

  link(): void {
    for (const { running, number } of this.#world.hosts) {
      if (running === undefined) continue;
      const pending = Object.values(running.machine.known.pending()).join();
      const positions = [...running.machine.known.positions()]
        .map(({ position }) => position.digest.slice(0, 16))
        .join();
      this.#mix(`${number} ${running.nowMs} ${pending} ${positions} ${running.machine.heartbeat().headsDigest}`);
    }
    this.#links.push(this.#hash);
  }

  /** FNV-1a (Fowler, Noll, Vo) over the text's UTF-16 units. */
  #mix(text: string): void {
    let hash = this.#hash;
    for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x0100_0193);
    this.#hash = hash >>> 0;
  }
}

/** A cheap text that tells one input or effect from another. */
function wordOf(of: Input | Effect): string {
  let word = '';
  for (const value of Object.values(of))
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') word += `${value} `;
  return word;
}
