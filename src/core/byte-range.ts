/**
 * Byte range: a piece of a blob. Of several, in one list: ascending, and no byte is in two of them.
 */
export interface ByteRange {
  readonly offset: number;
  readonly bytes: number;
}

export const sumOf = (ranges: readonly ByteRange[]): number => ranges.reduce((sum, { bytes }) => sum + bytes, 0);

/** The ranges, in pieces of at most so many bytes. */
export function* inPieces(ranges: readonly ByteRange[], bytesMax: number): Generator<ByteRange> {
  for (const { offset, bytes } of ranges) {
    for (let at = 0; at < bytes; at += bytesMax) yield { offset: offset + at, bytes: Math.min(bytesMax, bytes - at) };
  }
}
