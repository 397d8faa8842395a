/**
 * Figures: the results held against the goals. What is called rsync in a goal runs without `--fsync`: its copies may be lost
 * in a power cut, ours not. The same with `--fsync` stands beside.
 */
import { atLeast, atMost, beside, type Figure } from '../../../sim/bench/figure.js';
import type { Home } from './home.js';
import type { Usage } from './meter.js';
import type { Results } from './results.js';
import type { ToolName } from './side.js';
import { WORK_NAMES, WORKS, type WorkName } from './works.js';

const MB = 1e6;
const COPIES = 2;
export const TOOLS: readonly ToolName[] = ['scatterhoard', 'rsync', 'rsync --fsync'];

/** Our wall time over rsync's. */
const WALL_GOALS: Partial<Record<WorkName, number>> = {
  mixed: 0.8,
  small: 1.0,
  large: 0.7,
  changed: 0.5,
  unchanged: 1.0,
  renamed: 0.1,
  restore: 0.8,
};
const CPU_GOAL = 1.0;
const CPU_WORKS: readonly WorkName[] = ['mixed', 'small', 'large'];
const WIRE_OVER_CONTENT_GOAL = 1.03;
const CHANGED_WIRE_GOAL = 1.2;
const RENAMED_WIRE_MB_GOAL = 1;
const RAW_SHARE_GOAL = 75;
const THIRD_COPY_GOAL = 0.6;
const LOOP_P99_MS_GOAL = 50;
const OVER_IDLE_MB_GOAL = 64;

/** What is held against a goal, and what stands beside it for comparison. Works that were not done are left out. */
export function* figuresOf(results: Results, extents: Home['extents']): Generator<Figure> {
  for (const work of WORK_NAMES) {
    const { title } = WORKS[work];
    const ours = results.of('scatterhoard', work);
    if (ours === undefined) continue;
    const rsync = results.of('rsync', work);
    if (rsync !== undefined) yield* againstRsync({ work, ours, rsync });
    const durable = results.of('rsync --fsync', work);
    if (durable !== undefined) {
      yield beside({ figure: `${title}: wall / rsync --fsync`, value: ours.wallS / durable.wallS, unit: 'ratio' });
    }
    yield* ofOursAlone(work, ours, { results, extents });
  }
  const { load } = results;
  if (load === undefined) return;
  yield atMost(LOOP_P99_MS_GOAL, { figure: 'event loop late, p99, worst work', value: load.loop.p99Ms, unit: 'ms' });
  yield beside({ figure: 'event loop late, longest', value: load.loop.maxMs, unit: 'ms' });
  const value = load.overIdleBytes / MB;
  yield atMost(OVER_IDLE_MB_GOAL, { figure: 'memory over idle, busiest host', value, unit: 'MB' });
}

function* againstRsync({
  work,
  ours,
  rsync,
}: {
  readonly work: WorkName;
  readonly ours: Usage;
  readonly rsync: Usage;
}): Generator<Figure> {
  const { title } = WORKS[work];
  const wall = { figure: `${title}: wall / rsync`, value: ours.wallS / rsync.wallS, unit: 'ratio' };
  const goal = WALL_GOALS[work];
  yield goal === undefined ? beside(wall) : atMost(goal, wall);
  // Both have moved the same content, so seconds a GiB are to each other as seconds.
  const cpu = { figure: `${title}: CPU / rsync and ssh`, value: ours.cpuS / rsync.cpuS, unit: 'ratio' };
  if (CPU_WORKS.includes(work)) yield atMost(CPU_GOAL, cpu);
  if (work !== 'changed') return;
  const figure = `${title}: wire / rsync`;
  yield atMost(CHANGED_WIRE_GOAL, { figure, value: ours.wireBytes / rsync.wireBytes, unit: 'ratio' });
}

function* ofOursAlone(
  work: WorkName,
  { wallS, wireBytes }: Usage,
  { results, extents }: { readonly results: Results; readonly extents: Home['extents'] },
): Generator<Figure> {
  const { title } = WORKS[work];
  switch (work) {
    case 'mixed': {
      const value = wireBytes / (COPIES * extents.mixed.bytes);
      yield atMost(WIRE_OVER_CONTENT_GOAL, { figure: `${title}: wire / content moved`, value, unit: 'ratio' });
      return;
    }
    case 'large': {
      const { rawS } = results;
      if (rawS === undefined) return;
      const rate = (COPIES * extents.large.bytes) / MB;
      yield atLeast(RAW_SHARE_GOAL, { figure: `${title}: of raw streams`, value: (100 * rawS) / wallS, unit: '%' });
      yield beside({ figure: 'raw libp2p streams, one to two', value: rate / rawS, unit: 'MB/s' });
      return;
    }
    case 'interrupted': {
      const value = wireBytes / (COPIES * extents.film.bytes);
      yield beside({ figure: `${title}: wire / content moved`, value, unit: 'ratio' });
      return;
    }
    case 'renamed':
      yield atMost(RENAMED_WIRE_MB_GOAL, { figure: `${title}: wire`, value: wireBytes / MB, unit: 'MB' });
      return;
    case 'replica': {
      const first = results.of('scatterhoard', 'mixed');
      if (first === undefined) return;
      const figure = `${title}: wall / the first two`;
      yield atMost(THIRD_COPY_GOAL, { figure, value: wallS / first.wallS, unit: 'ratio' });
      return;
    }
    default:
  }
}

/** Each tool's own numbers, for programs. People get them as a table. */
export function* usageFigures(results: Results): Generator<Figure> {
  for (const work of WORK_NAMES) {
    for (const tool of TOOLS) {
      const usage = results.of(tool, work);
      if (usage === undefined) continue;
      const what = `${WORKS[work].title}: ${tool}`;
      yield beside({ figure: `${what}, wall`, value: usage.wallS, unit: 's' });
      yield beside({ figure: `${what}, wire`, value: usage.wireBytes / MB, unit: 'MB' });
      yield beside({ figure: `${what}, CPU`, value: usage.cpuS, unit: 's' });
      yield beside({ figure: `${what}, peak memory of a process`, value: usage.peakBytes / MB, unit: 'MB' });
    }
  }
}
