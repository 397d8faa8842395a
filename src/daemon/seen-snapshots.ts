/**
 * Seen snapshots: which snapshots of a source this host has seen listed and not yet let go, in `<source>.seen` beside
 * the source's head. The head would do for the listed ones; the file is for those that later heads leave out
 * (core/hold.ts).
 */
import { ClusterError } from '../core/fault.js';
import type { SeenSnapshot } from '../core/hold.js';
import { parseObjectId } from '../core/ids.js';
import { readIfThere, writeDurable } from '../platform/durable.js';

export interface SeenListed extends SeenSnapshot {
  /** The time that the head listing it gives. */
  readonly timeMs: number;
}

/**
 * Empty when there is no file. A time later than now (the running time was lost) is taken to be now.
 * @throws ClusterError HOLDS_DAMAGED
 */
export function readSeen(path: string, runMs: number): readonly SeenListed[] {
  const bytes = readIfThere(path);
  if (bytes === undefined) return [];
  try {
    const { seen } = JSON.parse(bytes.toString('utf8')) as { readonly seen: readonly Record<string, unknown>[] };
    return seen.map(({ id, timeMs, holdMs, seenRunMs }) => ({
      id: parseObjectId(String(id)),
      timeMs: numberFrom(timeMs),
      holdMs: numberFrom(holdMs),
      seenRunMs: Math.min(numberFrom(seenRunMs), runMs),
    }));
  } catch (cause) {
    throw new ClusterError('HOLDS_DAMAGED', `${path} cannot be read`, { blame: 'operator', cause });
  }
}

/** Durable when this returns. */
export async function writeSeen(path: string, seen: readonly SeenListed[]): Promise<void> {
  const lines = seen.map(({ id, timeMs, holdMs, seenRunMs }) => JSON.stringify({ id, timeMs, holdMs, seenRunMs }));
  await writeDurable(path, `{"seen":[\n${lines.join(',\n')}\n]}\n`, { mode: 0o600 });
}

function numberFrom(value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) throw new RangeError(`not a time: ${value}`);
  return value;
}
