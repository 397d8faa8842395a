/**
 * Wire ranges: the pieces of one blob that a fetch asks for, as they cross the border.
 */
import type { Range } from '../../protocols/fetch/fetch.js';
import type { ByteRange } from '../core/byte-range.js';
import { countFrom } from './malformed.js';

/** Ranges in one ask: some 70 KB of request. */
export const RANGES_PER_FETCH_MAX = 4096;

/** A longer range is asked for as several that adjoin: on the wire its length has 32 bits. */
const RANGE_BYTES_MAX = 2 ** 31;

/** As they are sent: in place of each that is too long, several. */
export function toWireRanges(ranges: readonly ByteRange[]): readonly Range[] {
  return ranges.flatMap(({ offset, bytes }) =>
    Array.from({ length: Math.ceil(bytes / RANGE_BYTES_MAX) }, (_, n) => ({
      offset: offset + n * RANGE_BYTES_MAX,
      bytes: Math.min(RANGE_BYTES_MAX, bytes - n * RANGE_BYTES_MAX),
    })),
  );
}

/** Throws a RangeError on what no honest build asks for. */
export function rangesFrom(wire: readonly Range[]): readonly ByteRange[] {
  if (wire.length > RANGES_PER_FETCH_MAX) throw new RangeError(`${wire.length} ranges`);
  let end = 0;
  return wire.map(({ offset, bytes }) => {
    if (countFrom(offset) < end) throw new RangeError(`a range at ${offset} begins before ${end}`);
    if (bytes === 0) throw new RangeError('a range of no bytes');
    end = countFrom(offset + bytes);
    return { offset, bytes };
  });
}
