/**
 * State hash: one number for everything that a run has done so far: every input and effect of every machine, in order
 * and with all that is in them, and, every thousand events, what every machine believes. The same seed and build give
 * the same chain (I9).
 */
import type { Effect, Input } from '../src/core/effects.js';
import type { Happening } from './happening.js';
import type { Running } from './sim-host.js';
import type { World } from './world.js';

/** Events between two links of the chain. */
export const LINK_EVENTS = 1_000;
/** Of a longer text, only so many units of its beginning and of its end are mixed in: an id is a hash, or begins with one. */
const TEXT_ENDS = 8;

export class StateHash {
  readonly #world: Pick<World, 'hosts'>;
  readonly #links: number[] = [];
  #hash = 0x811c_9dc5;

  constructor(world: Pick<World, 'hosts'>) {
    this.#world = world;
  }

  /** One link for each thousand events so far. */
  get links(): readonly number[] {
    return this.#links;
  }

  see(happening: Happening): void {
    if (happening.is === 'told') this.#mixMove(happening.by, happening.input);
    else if (happening.is === 'effect') this.#mixMove(happening.by, happening.effect);
  }

  link(): void {
    for (const { running } of this.#world.hosts) if (running !== undefined) this.#mixBeliefs(running);
    this.#links.push(this.#hash >>> 0);
  }

  #mixMove({ host }: Running, move: Input | Effect): void {
    this.#mixNumber(host.number);
    // Every version hangs on to those before it, and its hash stands for them all.
    if ('is' in move && move.is === 'config') this.#mixText(move.config.hash);
    else this.#mix(move);
  }

  #mixBeliefs({ host, nowMs, machine }: Running): void {
    const { known } = machine;
    this.#mixNumber(host.number);
    this.#mixNumber(nowMs);
    // Its claims among them, and its stores' room among what it tells others.
    this.#mix(known.pending());
    this.#mix(machine.heartbeat());
    for (const { id } of host.stores) this.#mixNumber(known.reservedBytes(id));
    for (const { host: of, position } of known.positions()) {
      this.#mixText(of);
      this.#mix(position);
    }
    for (const { source } of host.disk.config.sources) {
      this.#mix(known.head(source));
      this.#mix(known.summary(source));
      for (const { id } of known.wanted(source)) this.#mixText(id);
    }
  }

  #mix(value: unknown): void {
    if (typeof value === 'string') this.#mixText(value);
    else if (typeof value === 'number') this.#mixNumber(value);
    else if (typeof value === 'object' && value !== null) this.#mixObject(value);
    else this.#mixText(String(value));
  }

  #mixObject(value: object): void {
    if (Array.isArray(value)) {
      this.#mixUnit(value.length);
      for (const item of value) this.#mix(item);
    } else if (value instanceof Uint8Array) {
      this.#mixUnit(value.length);
      for (const byte of value) this.#mixUnit(byte);
    } else if (value instanceof Map || value instanceof Set) {
      // What is equal may have been filled in another order.
      const entries = [...value.entries()].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
      this.#mix(value instanceof Map ? entries : entries.map(([item]) => item));
    } else {
      // The first field says which fields there are: of the others' names a little is enough.
      for (const name in value) {
        this.#mixUnit((name.length << 16) | name.charCodeAt(0));
        this.#mix((value as Record<string, unknown>)[name]);
      }
      // Where it ends: two lists of objects must not run into each other.
      this.#mixUnit(OBJECT_END);
    }
  }

  #mixText(text: string): void {
    const { length } = text;
    let hash = step(this.#hash, length);
    const isShort = length <= 2 * TEXT_ENDS;
    const beginning = isShort ? length : TEXT_ENDS;
    for (let at = 0; at < beginning; at += 1) hash = step(hash, text.charCodeAt(at));
    if (!isShort) for (let at = length - TEXT_ENDS; at < length; at += 1) hash = step(hash, text.charCodeAt(at));
    this.#hash = hash;
  }

  #mixNumber(value: number): void {
    const whole = value | 0;
    if (whole === value) this.#mixUnit(whole);
    else this.#mixText(String(value));
  }

  #mixUnit(unit: number): void {
    this.#hash = step(this.#hash, unit);
  }
}

/** FNV-1a (Fowler, Noll, Vo), over units of up to 32 bits. */
const step = (hash: number, unit: number): number => Math.imul(hash ^ unit, 0x0100_0193);

const OBJECT_END = 0x7fff_ffff;
