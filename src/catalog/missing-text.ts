/** Missing text: says in words what a snapshot lacks because it is away, or because it could not be read. */
import type { Missing, MissingPart, Unread } from './merge-scan.js';
import { escapePath } from './path-text.js';

const WHY: Readonly<Record<string, string>> = {
  NOT_MOUNTED: 'what was mounted there is away',
  MOUNTED_OVER: 'something else is mounted there',
  EMPTY: 'it is empty, and was not',
  OTHER_DEVICE: 'another disk is there, or none',
  HISTORY_LOST: 'what it had that could not be read is lost in the catalog',
};

const placeText = (path: Uint8Array): string => (path.length === 0 ? "the source's folder" : escapePath(path));

/** A later version may have further reasons. */
export const missingPartText = ({ path, because }: MissingPart): string =>
  `${placeText(path)} (${WHY[because] ?? because})`;

/** What could not be read of a file is sometimes its attributes alone. */
export function unreadText({ path, because }: Pick<Unread, 'path' | 'because'>): string {
  switch (because) {
    case 'XATTRS_TOO_LARGE':
      return `read without all of its attributes: ${placeText(path)}: ${because}`;
    // Reported once, of the source's folder.
    case 'NO_XATTR_CALLS':
      return `read without attributes: ${placeText(path)} and all in it: ${because}`;
    default:
      return `not read: ${placeText(path)}: ${because}`;
  }
}

export function missingText({ count, parts }: Missing): string {
  const more = count - parts.length;
  return `${parts.map(missingPartText).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
