/**
 * Byte range: a piece of a blob. Lists of ranges ascend and do not overlap.
 */
export interface ByteRange {
  readonly offset: number;
  readonly bytes: number;
}

export const sumOf = (ranges: readonly ByteRange[]): number => ranges.reduce((sum, { bytes }) => sum + bytes, 0);

/** The ranges, cut into pieces of at most `bytesMax` bytes. */
export function* inPieces(ranges: readonly ByteRange[], bytesMax: number): Generator<ByteRange> {
  for (const { offset, bytes } of ranges) {
    for (let at = 0; at < bytes; at += bytesMax) yield { offset: offset + at, bytes: Math.min(bytesMax, bytes - at) };
  }
}
