/**
 * Near name: which of some names a person may have meant who wrote another one.
 *
 * One slip is a letter too many, too few, another one, or two that changed places. Pure.
 */

/** Slips that are forgiven: with two of them a name of four letters could be nearly any other. */
const slipsMax = (name: string): number => (name.length <= 4 ? 1 : 2);

/** The nearest of `names`, the first of several; undefined when none is near. */
export function nearName(written: string, names: Iterable<string>): string | undefined {
  let nearest: string | undefined;
  let fewest = slipsMax(written) + 1;
  for (const name of names) {
    const slips = slipsBetween(written, name, fewest);
    if (slips < fewest) [nearest, fewest] = [name, slips];
  }
  return nearest;
}

/** How many slips make `b` of `a`; some number from `enough` on when it is that many or more. */
function slipsBetween(a: string, b: string, enough: number): number {
  if (Math.abs(a.length - b.length) >= enough) return enough;
  let before: readonly number[] = [];
  // Of the first letters of `a` seen so far: the slips to each beginning of `b`.
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const other = a[i - 1] === b[j - 1] ? 0 : 1;
      const slips = [(row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + other];
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) slips.push((before[j - 2] ?? 0) + 1);
      next.push(Math.min(...slips));
    }
    // A cluster may have a thousand hosts, and a policy as many unknown names.
    if (Math.min(...next) >= enough && Math.min(...row) >= enough) return enough;
    [before, row] = [row, next];
  }
  return row[b.length] ?? enough;
}
