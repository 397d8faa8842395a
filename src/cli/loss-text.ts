/** Loss text: what the loss of hosts would take (core/worst-loss.ts), in words and in the fields of a record. */
import type { Loss, WorstLoss } from '../core/worst-loss.js';
import { countText, sizeText } from './text.js';

/** A line of 80 columns has so many for the names of hosts. */
const NAMES_LENGTH = 75;

type NameOf = (host: number) => string;

export function lossLines(
  { lose, bare, uncopied, lost, exact, setsThatUncopy, setsThatLose, sets }: WorstLoss,
  nameOf: NameOf,
): string[] {
  const what = lose === 1 ? 'any one host' : `any ${lose} hosts`;
  if (uncopied.parcels === 0 && lost.parcels === 0)
    return [
      `if ${what} went at once: ${exact ? 'every parcel would still have a copy' : 'no parcel without a copy was found'}`,
    ];
  const lines = [`if ${what} went at once, at the worst`];
  if (uncopied.parcels === 0) lines.push('  every parcel that has a copy would keep one,');
  else
    lines.push(
      `  ${parcelsText(uncopied)} would be without a copy, by the loss of`,
      `    ${namesText(uncopied, nameOf)},`,
    );
  if (lost.parcels === 0) lines.push('  and no parcel lost: what has no copy is still at its origin');
  else lines.push(`  ${parcelsText(lost)} would be lost for good, by the loss of`, `    ${namesText(lost, nameOf)}`);
  if (bare > 0) lines.push(`  ${countText(bare, 'parcel')} with no copy as it is would go with the origin`);
  lines.push(
    exact
      ? `  of ${countText(sets, 'such set')}, ${setsThatUncopy} would take some parcel's last copy, ${setsThatLose} one for good`
      : '  (not every set was looked at: there may be a worse one)',
  );
  return lines;
}

export const lossFields = (loss: WorstLoss, nameOf: NameOf): Readonly<Record<string, unknown>> => ({
  lose: loss.lose,
  without_copy: loss.bare,
  hosts: loss.uncopied.hosts.map(nameOf),
  parcels: loss.uncopied.parcels,
  bytes: loss.uncopied.bytes,
  lost_hosts: loss.lost.hosts.map(nameOf),
  lost_parcels: loss.lost.parcels,
  lost_bytes: loss.lost.bytes,
  exact: loss.exact,
  sets: loss.sets,
  sets_that_uncopy: loss.setsThatUncopy,
  sets_that_lose: loss.setsThatLose,
});

export const parcelsText = ({ parcels, bytes }: Pick<Loss, 'parcels' | 'bytes'>): string =>
  `${countText(parcels, 'parcel')} (${sizeText(bytes)})`;

/** As many as a line takes; --json has all. */
function namesText({ hosts }: Loss, nameOf: NameOf): string {
  const names = hosts.map(nameOf);
  let told = names.length;
  const text = (): string =>
    `${names.slice(0, told).join(', ')}${told < names.length ? ` and ${names.length - told} more` : ''}`;
  while (told > 1 && text().length > NAMES_LENGTH) told -= 1;
  return text();
}
