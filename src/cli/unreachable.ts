/** Unreachable: what is missing now, and which hosts to switch on to get it. */
import { escapePath } from '../catalog/path-text.js';
import type { Resolved, Unreachable } from '../daemon/service.js';
import type { Context } from './context.js';
import { countText, shortId, sizeText, timeText } from './text.js';

function unreachableText({ parcels, bytes, hosts }: Unreachable): string {
  const what = `${countText(parcels, 'parcel')} (${sizeText(bytes)}) cannot be reached`;
  return hosts.length === 0 ? `${what}, and no known host holds them` : `${what}: switch on ${hosts.join(' or ')}`;
}

export function tellNewer(context: Context, newer: Resolved['newer']): void {
  if (newer === undefined) return;
  const { id, timeMs } = newer.snapshot;
  context.note(
    `a newer snapshot ${shortId(id)} of ${timeText(timeMs)} exists, but ${unreachableText(newer.unreachable)}`,
  );
}

export function tellUnreachable(context: Context, unreachable: Unreachable | undefined): void {
  if (unreachable !== undefined) context.note(`of this snapshot, ${unreachableText(unreachable)}`);
}

/** For commands that list entries, some of which cannot be listed. */
export function tellLacking(
  context: Context,
  { after, lacking }: { readonly after: Buffer; readonly lacking: string },
): void {
  context.note(`not listed: after ${escapePath(after) || 'the beginning'}: ${lacking}`);
}
