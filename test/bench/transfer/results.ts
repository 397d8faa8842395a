/** Results: what all rounds gave, and the median of each. */
import type { Usage } from './meter.js';
import type { Load } from './our-side.js';
import type { ToolName } from './side.js';
import type { WorkName } from './works.js';

export class Results {
  readonly #usages = new Map<string, Usage[]>();
  readonly #rawS: number[] = [];
  readonly #loads: Load[] = [];

  add(tool: ToolName, work: WorkName, usage: Usage): void {
    const key = `${tool} ${work}`;
    this.#usages.set(key, [...(this.#usages.get(key) ?? []), usage]);
  }

  addRaw(seconds: number): void {
    this.#rawS.push(seconds);
  }

  addLoad(load: Load): void {
    this.#loads.push(load);
  }

  /** Each number's own median; undefined when this tool never did it. */
  of(tool: ToolName, work: WorkName): Usage | undefined {
    const usages = this.#usages.get(`${tool} ${work}`);
    if (usages === undefined) return undefined;
    return {
      wallS: median(usages.map(({ wallS }) => wallS)),
      wireBytes: median(usages.map(({ wireBytes }) => wireBytes)),
      cpuS: median(usages.map(({ cpuS }) => cpuS)),
      peakBytes: median(usages.map(({ peakBytes }) => peakBytes)),
    };
  }

  get rawS(): number | undefined {
    return this.#rawS.length === 0 ? undefined : median(this.#rawS);
  }

  get load(): Load | undefined {
    if (this.#loads.length === 0) return undefined;
    return {
      overIdleBytes: median(this.#loads.map(({ overIdleBytes }) => overIdleBytes)),
      loop: {
        p99Ms: median(this.#loads.map(({ loop }) => loop.p99Ms)),
        maxMs: median(this.#loads.map(({ loop }) => loop.maxMs)),
      },
    };
  }
}

/** Of an even number the mean of the two in the middle; NaN of none. */
export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((one, other) => one - other);
  const middle = sorted.length / 2;
  const [below = Number.NaN, above = Number.NaN] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]];
  return (below + above) / 2;
}
