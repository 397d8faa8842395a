/** Surroundings: what a simulated host's parts see of the world: its time, its chance, its network, its counters. */
import type { HoldingsLimits } from '../src/core/holdings.js';
import type { CatalogModel } from './catalog-model.js';
import type { ChanceStreams } from './chance-streams.js';
import type { Counts } from './counts.js';
import type { Happening } from './happening.js';
import type { LogRegistry } from './log-registry.js';
import type { Mutant } from './mutants.js';
import type { Network } from './network.js';
import type { SimHost } from './sim-host.js';
import type { Transfers } from './transfers.js';

export interface Surroundings {
  readonly nowMs: number;
  readonly chance: ChanceStreams;
  readonly catalog: CatalogModel;
  readonly logs: LogRegistry;
  readonly network: Network;
  readonly transfers: Transfers;
  readonly counts: Counts;
  readonly mutant: Mutant | undefined;
  /** No claims, no turns, and every asker is served: the baseline for the protocol's wasted bytes. */
  readonly greedy: boolean;
  /** Stores make a checkpoint of their logs after this many operations. */
  readonly checkpointEveryOps: number;
  /** Limits on what hosts remember of each other's logs. */
  readonly holdingsLimits: HoldingsLimits;
  after(delayMs: number, run: () => void): void;
  happened(happening: Happening): void;
  /** Ends a host's service and starts it again. */
  restart(host: SimHost): void;
}
