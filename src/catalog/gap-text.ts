/** Gap text: says in words what a walk could not read: how much, and before which path it ends. */
import prettyBytes from 'pretty-bytes';
import { escapePath } from './path-text.js';
import type { LackingEntries } from './restore-content.js';
import type { WalkGap } from './walk-readable.js';

/** @param who what lacks it, with the verb, such as `these disks have` */
export const lackingIn = (gap: WalkGap, who: string): LackingEntries => ({
  after: gap.after ?? Buffer.alloc(0),
  lacking: gapText(gap, who),
});

function gapText({ before, parcels, bytes, pages }: WalkGap, who: string): string {
  const parts: string[] = [];
  if (parcels > 0) parts.push(`${counted(parcels, 'parcel')} (${prettyBytes(bytes)})`);
  if (pages > 0) parts.push(`${counted(pages, 'page')} of parcels`);
  const end = before === undefined ? '' : ` before ${escapePath(before)}`;
  return `${parts.join(' and ')}${end}, of which ${who} not even the names`;
}

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
