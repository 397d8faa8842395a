/**
 * Grown: a copy of a typed array, at least `leastLength` long and a quarter longer than before; the new part is `fill`.
 *
 * Why a quarter: each number is copied some four times in all, and at most a fifth of a large table's memory is empty;
 * with doubling it would be up to half.
 */
export function grown<Numbers extends TypedArray>(from: Numbers, leastLength: number, fill: number): Numbers {
  const length = grownLength(from.length, leastLength);
  const to = new (from.constructor as new (length: number) => Numbers)(length);
  to.set(from);
  if (fill !== 0) to.fill(fill, from.length);
  return to;
}

export const grownLength = (length: number, leastLength: number): number =>
  Math.max(leastLength, length + Math.ceil(length / 4));

type TypedArray = Int32Array | Uint32Array | Uint8Array | Float64Array;
