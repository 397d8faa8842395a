/**
 * Config use: how a host takes into use a configuration that wins over its own: it asks for it, or is handed it, and
 * makes it durable first.
 */
import type { HostId } from '../src/core/ids.js';
import { goesBefore } from './config-chain.js';
import type { SignedConfig } from './host-disk.js';
import type { Running } from './sim-host.js';
import type { StateWrites } from './state-writes.js';
import type { Surroundings } from './surroundings.js';

/** One machine does not ask another for its configuration more often than this, in ms. */
const ASK_EVERY_MS = 1_000;

export class ConfigUse {
  readonly #of: Running;
  readonly #world: Surroundings;
  readonly #state: StateWrites;
  #askAtMs = Number.NEGATIVE_INFINITY;

  constructor({
    of,
    world,
    state,
  }: { readonly of: Running; readonly world: Surroundings; readonly state: StateWrites }) {
    this.#of = of;
    this.#world = world;
    this.#state = state;
  }

  /** Does it win over the one in use? */
  isNews(config: SignedConfig): boolean {
    return goesBefore(config, this.#of.host.disk.config);
  }

  ask(host: HostId): void {
    if (this.#world.nowMs < this.#askAtMs) return;
    this.#askAtMs = this.#world.nowMs + ASK_EVERY_MS;
    this.#world.network.ask<SignedConfig>({
      from: this.#of,
      to: host,
      ask: (asked, reply) => reply(asked.host.disk.config),
      answered: config => {
        if (config !== undefined && !this.#of.dies('ask-config', 'done')) this.offer(config);
      },
    });
  }

  offer(config: SignedConfig): void {
    if (!this.isNews(config)) return;
    const { host } = this.#of;
    this.#state.write(
      () => {
        if (!this.isNews(config)) return;
        host.disk.config = config;
        this.#world.network.endRefused(host);
        this.#of.tell({ is: 'config', config });
        this.#world.network.review(host);
      },
      () => {
        // Its signer learns that it came to nothing; other hosts hear of it again.
        if (host.signed === config) host.signed = undefined;
      },
    );
  }
}
