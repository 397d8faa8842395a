/**
 * Near name: which of some names a person may have meant who wrote another one.
 *
 * One slip is a letter too many, too few, another one, or two that changed places. Pure.
 */

/** Slips that are forgiven: with two of them a name of four letters could be nearly any other. */
const slipsMax = (name: string): number => (name.length <= 4 ? 1 : 2);

/**
 * For so many names the one that was meant is looked for: more of them are no slip. A policy may have a thousand unknown
 * names beside a thousand members, and to compare all of them would hold the service up for ten seconds.
 */
const SOUGHT_MAX = 20;

/** `nearName` for the names of one text: beyond the first `SOUGHT_MAX` none is found. */
export function nearNames(): typeof nearName {
  let sought = 0;
  return (written, names) => {
    sought += 1;
    return sought <= SOUGHT_MAX ? nearName(written, names) : undefined;
  };
}

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

/** How many slips make the one name of the other; some number from `enough` on when it is that many or more. */
function slipsBetween(one: string, other: string, enough: number): number {
  if (Math.abs(one.length - other.length) >= enough) return enough;
  const [a, b] = unlikeParts(one, other);
  let before: readonly number[] = [];
  // Of the first letters of `a` seen so far: the slips to each beginning of `b`.
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      const slips = [(row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + change];
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) slips.push((before[j - 2] ?? 0) + 1);
      next.push(Math.min(...slips));
    }
    if (Math.min(...next) >= enough && Math.min(...row) >= enough) return enough;
    [before, row] = [row, next];
  }
  return row[b.length] ?? enough;
}

/** Without what both begin and end with: the machines of a laboratory have long names that differ in a few letters. */
function unlikeParts(a: string, b: string): readonly [string, string] {
  const shorter = Math.min(a.length, b.length);
  let start = 0;
  while (start < shorter && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < shorter - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end += 1;
  return [a.slice(start, a.length - end), b.slice(start, b.length - end)];
}
