/** Grown: a typed array at least so long, and twice as long as before, with what was in it; the rest is `fill`. */
export function grown<Numbers extends Int32Array | Float64Array>(
  from: Numbers,
  leastLength: number,
  fill: number,
): Numbers {
  const length = Math.max(leastLength, from.length * 2);
  const to = (from instanceof Int32Array ? new Int32Array(length) : new Float64Array(length)) as Numbers;
  to.fill(fill, from.length);
  to.set(from as Int32Array & Float64Array);
  return to;
}
