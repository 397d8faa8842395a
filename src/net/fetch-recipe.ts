/**
 * Fetch recipe: the caller's half of asking for the recipe of a blob, over the fetch protocol. Pages come while the
 * other side is still making them. The only check here is whether they can be a recipe of a blob of that size; whether
 * they are one, the blob's own hash shows in the end. See protocols/fetch/fetch.md.
 */
import { type Part, Want } from '../../protocols/fetch/fetch.js';
import type { ByteRange } from '../core/byte-range.js';
import { type BlobId, bytesOf, type ParcelId, type PeerName } from '../core/ids.js';
import type { BlobRef } from '../core/parcel.js';
import { chunksOf, PiecesCheck, RecipeCheck } from '../core/recipe.js';
import { type AskOptions, ask } from './ask.js';
import {
  busyFrom,
  FETCH_PART_BYTES_MAX,
  FETCH_PROTOCOL,
  type FetchBusy,
  type FetchPurpose,
  isForPerson,
  LIMITED_PART,
  type Paced,
  pacedBy,
  toWant,
} from './fetch-protocol.js';
import { FloorRate } from './floor-rate.js';
import { malformed, reading } from './malformed.js';
import { cutShort } from './message-stream.js';
import type { Net } from './net.js';

export interface RecipeRequest {
  readonly parcel: ParcelId;
  readonly blob: BlobRef & { readonly blob: BlobId };
  readonly purpose: FetchPurpose;
  /** Asks not for the blob's recipe but for the pieces of these ranges of it. */
  readonly ranges?: readonly ByteRange[];
  /** As in a `FetchRequest`. */
  readonly doubted?: boolean;
}

/** Pages until all the blob's bytes are in chunks; or `busy` alone; or `gone`, at first or later. */
export type RecipePart =
  | FetchBusy
  | { readonly kind: 'chunks'; readonly page: Uint8Array }
  /** Says nothing about the bytes: a peer that cannot make the recipe may still have them. */
  | { readonly kind: 'gone' };

/** @throws as `askFetch`. Pages that came before can be used as they are. */
export function askRecipe(
  net: Net,
  peer: PeerName,
  { parcel, blob, purpose, ranges, doubted = false }: RecipeRequest,
  options: AskOptions = {},
): AsyncGenerator<RecipePart, void, undefined> {
  const question = {
    protocol: FETCH_PROTOCOL,
    request: toWant({
      parcel,
      blobs: [blob.blob],
      purpose,
      recipe: true,
      doubted,
      ...(ranges === undefined ? {} : { ranges }),
    }),
    requestCodec: Want,
    replyCodec: LIMITED_PART,
    what: 'recipe',
    bytesMax: FETCH_PART_BYTES_MAX,
  };
  return ask(net, peer, question, options, parts =>
    readPages(parts, blob.blob, {
      check: ranges === undefined ? new RecipeCheck(blob.bytes) : new PiecesCheck(ranges),
      floor: new FloorRate(options),
      paced: pacedBy(net.paces.download, { peer, isUrgent: isForPerson({ purpose }), signal: options.signal }),
    }),
  );
}

async function* readPages(
  parts: AsyncGenerator<Part, void, undefined>,
  blob: BlobId,
  {
    check,
    floor,
    paced,
  }: { readonly check: RecipeCheck | PiecesCheck; readonly floor: FloorRate; readonly paced: Paced },
): AsyncGenerator<RecipePart, void, undefined> {
  let isFirst = true;
  for (;;) {
    const { value, done } = await floor.next(parts);
    if (done === true) throw cutShort('recipe');
    const { busy, gone, recipe } = value;
    if (busy !== undefined && isFirst) return yield busyFrom(busy);
    if (gone !== undefined) {
      if (Buffer.compare(gone.blob, bytesOf(blob)) !== 0) throw malformed('recipe: another blob is gone');
      return yield { kind: 'gone' };
    }
    if (recipe === undefined || (recipe.chunks.length === 0 && !recipe.last))
      throw malformed('recipe: a part that does not belong to it');
    isFirst = false;
    reading('recipe', () => {
      check.take(recipe.chunks);
      if (recipe.last) check.end();
    });
    // A page is short; how fast it can come depends on the bytes that were read for it.
    for (const { bytes } of chunksOf(recipe.chunks)) floor.moved(bytes);
    await paced(recipe.chunks.length);
    if (recipe.chunks.length > 0) yield { kind: 'chunks', page: recipe.chunks };
    if (recipe.last) return;
  }
}
