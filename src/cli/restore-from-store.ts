/**
 * Restore from stores: `cluster restore --from-store PATH…`, for when the house is gone and only disks are left.
 *
 * Nothing is written to the disks. What they lack is named as far as its name is on them; the rest is restored.
 */
import { existsSync, realpathSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type BlobFault, contentFromDisks } from '../catalog/blob-content.js';
import { lackingIn } from '../catalog/gap-text.js';
import { readSnapshot } from '../catalog/read-object.js';
import type { ContentFrame, ContentRequest, LackingEntries, PlacedEntry } from '../catalog/restore-content.js';
import { isNothing, shortfallOf } from '../catalog/shortfall.js';
import { isPartial } from '../catalog/snapshot.js';
import { walkReadable } from '../catalog/walk-readable.js';
import { ClusterError } from '../core/fault.js';
import type { BareStores } from '../store/bare-stores.js';
import type { Context } from './context.js';
import { type AskedOfStores, type FoundOnStores, findOnStores, lackText, openStores, tellIfLong } from './on-stores.js';
import type { Restorable } from './restorable.js';
import type { StoresContent } from './sources-on-stores.js';
import { shortId, timeText } from './text.js';

export interface RestoreFromStores extends AskedOfStores {
  readonly target: string;
  readonly dryRun: boolean;
  /** Told in a dry run about each file whose content is on none of the disks: a real restore finds these by itself. */
  readonly onMissing: (path: Buffer) => void;
}

/** @throws ClusterError for whatever is wrong with what was typed; then nothing was written */
export async function restorableFrom(context: Context, from: RestoreFromStores): Promise<Restorable> {
  const open = await openStores(context, from);
  const { stores, content } = open;
  refuseTargetInStore(from.target, stores);
  const found = await findOnStores(context, open);
  const { source, snapshot, under } = found;
  const counting = shortfallOf(stores, snapshot.id, {
    under,
    signal: context.signal,
    ...(from.dryRun && { onMissing: from.onMissing }),
  });
  const { stale, missed } = await readSnapshot(stores.objects, snapshot.id);
  const shortfall = await tellIfLong(context, 'counting how much of it is on these disks …', counting);
  if (!isNothing(shortfall)) {
    context.note(`snapshot ${shortId(snapshot.id)} is not whole: ${lackText(shortfall)}`);
    const others = otherStores(content, stores);
    if (others !== undefined) context.note(others);
  }
  return {
    source: source.name,
    sourceId: source.id,
    snapshot: { ...snapshot, partial: isPartial({ stale, missed }), stale, missed },
    under,
    total: shortfall,
    entries: signal => entriesOf(stores, found, signal),
    content: (request, signal) => contentOf(stores, request, signal),
    advice: `With more of the stores, run it again as ${source.name}@${shortId(snapshot.id)}: it goes on from what is written.`,
    isShort: from.dryRun && !isNothing(shortfall),
  };
}

/** The target may not be in a store, not even through a symlink, nor around one: nothing of a store may be touched. */
function refuseTargetInStore(target: string, { stores }: BareStores): void {
  let place = resolve(target);
  while (!existsSync(place)) place = dirname(place);
  const real = realpathSync(place);
  for (const { folder, path } of stores) {
    const isAround = existsSync(target) && `${folder}/`.startsWith(real === '/' ? '/' : `${real}/`);
    if (!`${real}/`.startsWith(`${folder}/`) && !isAround) continue;
    throw new ClusterError(
      'TARGET_IN_STORE',
      `the target ${target} ${isAround ? 'holds' : 'lies in'} the store ${path}, and a restore never writes to a store. Nothing was changed: name another folder`,
      { blame: 'operator' },
    );
  }
}

/** Where else to look, by the policy on these disks. */
function otherStores({ configuration }: StoresContent, { stores }: BareStores): string | undefined {
  const others = (configuration?.hosts ?? []).flatMap(({ host, name, stores: lent }) => {
    const here = stores.filter(({ marker }) => marker?.host === host).length;
    return lent.length > here ? [`${name} (${lent.join(', ')})`] : [];
  });
  if (configuration === undefined || others.length === 0) return undefined;
  return `The configuration of ${timeText(configuration.signedMs)} also names the stores of ${others.join(', ')}`;
}

async function* entriesOf(
  { objects }: BareStores,
  { snapshot, under }: FoundOnStores,
  signal: AbortSignal,
): AsyncGenerator<PlacedEntry | LackingEntries> {
  for await (const item of walkReadable(objects, snapshot.id, { under, signal })) {
    if (item.is === 'gap') yield lackingIn(item.gap, 'these disks have');
    else yield { entry: item.entry, parcel: item.parcel, isStandIn: item.is === 'stand-in' };
  }
}

async function* contentOf(
  stores: BareStores,
  { blobs, from }: ContentRequest,
  signal: AbortSignal,
): AsyncGenerator<ContentFrame> {
  const received = from === undefined ? undefined : { bytes: from };
  for (const blob of blobs) {
    const damagedOn: string[] = [];
    const isGiven = yield* contentFromDisks(blob, stores.stores, {
      received,
      signal,
      onFault: (store, fault) => {
        stores.damaged(store, `the blob ${blob}`, errorOf(fault));
        damagedOn.push(store.path);
      },
    });
    if (isGiven) continue;
    const because =
      damagedOn.length === 0
        ? 'its content is on none of these disks'
        : `its content is damaged on ${damagedOn.join(' and ')}, and is on no other of these disks`;
    yield { kind: 'unavailable', blob, because, hosts: [] };
  }
}

const errorOf = (fault: BlobFault): unknown =>
  fault.is === 'changed' ? new Error('its bytes have another hash') : fault.error;
