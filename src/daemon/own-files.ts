/**
 * Own files: what a store of this host lacks of a parcel and another of its stores has is read from there, so that it
 * need not come over the network: a store that is to be emptied hands on its copies in this way, even the last ones.
 *
 * The other store's disk is trusted no more than a peer: every blob is hashed as it lands. One that cannot be read there
 * or has other bytes is left to whoever else has it, and the copy that it belongs to is looked at.
 */
import type { BlobId, StoreId } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import { orAborted } from '../platform/or-aborted.js';
import type { Store } from '../store/store.js';

type Giver = Pick<Store, 'id' | 'holds' | 'openBlob'>;
type Taker = Pick<Store, 'id' | 'receive' | 'discardPartial'>;

export interface OwnFilesOptions {
  readonly into: Taker;
  /** The stores that answer; also the one that lacks them, which is passed over. */
  readonly stores: Iterable<Giver>;
  readonly missing: readonly BlobRef[];
  readonly onFound: (bytes: number) => void;
  /** Called when the store could not give a blob that it holds; `error` says why. */
  readonly onUnread: (store: StoreId, blob: BlobId, error: unknown) => void;
}

/** True when the other stores hold all of these. */
export function holdAll(
  stores: Iterable<Giver>,
  { but, blobs }: { readonly but: StoreId; readonly blobs: readonly BlobRef[] },
): boolean {
  const others = [...stores].filter(({ id }) => id !== but);
  return blobs.every(({ blob }) => others.some(store => store.holds(blob)));
}

/** @returns what is still missing. @throws what the disk of the store says that takes them; the signal's reason */
export async function takeOwnFiles(
  { into, stores, missing, onFound, onUnread }: OwnFilesOptions,
  signal: AbortSignal,
): Promise<readonly BlobRef[]> {
  const others = [...stores].filter(({ id }) => id !== into.id);
  if (others.length === 0) return missing;
  const left: BlobRef[] = [];
  for (const ref of missing) {
    const giver = others.find(store => store.holds(ref.blob));
    if (giver === undefined || !(await takeOne(ref, { into, giver, onFound, onUnread }, signal))) left.push(ref);
  }
  return left;
}

async function takeOne(
  ref: BlobRef,
  {
    into,
    giver,
    onFound,
    onUnread,
  }: Pick<OwnFilesOptions, 'into' | 'onFound' | 'onUnread'> & { readonly giver: Giver },
  signal: AbortSignal,
): Promise<boolean> {
  const blob = ref.blob as BlobId;
  const stored = await giver.openBlob(blob);
  if (stored === undefined) return false;
  await into.discardPartial(ref, signal);
  const incoming = await into.receive(ref);
  const pieces = stored.read(signal);
  try {
    for (;;) {
      const piece = await orAborted(pieces.next(), signal).catch((error: unknown) => ({ error }));
      if ('error' in piece) {
        signal.throwIfAborted();
        onUnread(giver.id, blob, piece.error);
        await incoming.abort();
        return false;
      }
      if (piece.done === true) break;
      await incoming.write(piece.value);
      onFound(piece.value.length);
    }
  } catch (error) {
    await incoming.abort();
    throw error;
  } finally {
    // Its file is closed; not waited for, because a disk that hangs would hold up the end of the fetch.
    pieces.return(undefined).catch(() => {}); // nothing more is wanted of it, and its errors were reported
  }
  try {
    await incoming.finish();
    return true;
  } catch (error) {
    if ((error as { readonly code?: unknown }).code !== 'BLOB_MISMATCH') throw error;
    onUnread(giver.id, blob, error);
    return false;
  }
}
