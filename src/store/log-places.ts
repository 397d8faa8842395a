/**
 * Log places: where to find operations in a log file without reading it from its beginning.
 *
 * A place is the beginning of a frame (log-frames.ts). Not all are remembered, so a reader starts at the last place
 * before the operation and skips.
 *
 * Driven by log-file.ts and log-opening.ts.
 */
import { assert } from '../core/fault.js';
import { type LogOp, type LogPosition, logAfter } from '../core/holdings-log.js';
import { encodeFrame, payloadOf, runsOf } from './log-frames.js';

/**
 * One place is remembered for this many operations: the most that a reader has to skip, for some 200 bytes of memory.
 */
const PLACE_EVERY_OPS = 1024;

/** Where a frame begins, and the log's position before it. */
export interface Place {
  readonly position: LogPosition;
  readonly offset: number;
}

export function notePlace(places: Place[], place: Place): void {
  const last = places.at(-1);
  if (last === undefined || place.position.seq - last.position.seq >= PLACE_EVERY_OPS) places.push(place);
}

/** The last place from which operation `seq + 1` can be found. The first place must be such a one. */
export function placeBefore(places: readonly Place[], seq: number): Place {
  let low = 0;
  for (let high = places.length; high - low > 1; ) {
    const middle = (low + high) >> 1;
    if ((places[middle]?.position.seq ?? 0) <= seq) low = middle;
    else high = middle;
  }
  const place = places[low];
  assert(place !== undefined, 'a log has a place to start from');
  return place;
}

/** Encodes operations into frames, as they are written behind this place. */
export function framesOf(
  ops: readonly LogOp[],
  { position: before, offset: from }: Place,
): { readonly bytes: Buffer; readonly positions: readonly LogPosition[]; readonly places: readonly Place[] } {
  const positions: LogPosition[] = [];
  const parts: Buffer[] = [];
  const places: Place[] = [];
  let position = before;
  let offset = from;
  for (const some of runsOf(ops)) {
    places.push({ position, offset });
    for (const op of some) {
      position = logAfter(position, op);
      positions.push(position);
    }
    const frame = encodeFrame(payloadOf(some), some.length, position.digest);
    parts.push(frame);
    offset += frame.length;
  }
  return { bytes: Buffer.concat(parts), positions, places };
}
