/**
 * Older version: finds what probably lay where some missing chunks of a new version of a file lie now.
 *
 * A small change costs its whole chunk, a MiB or two. But when the chunks before and behind it are copied from one
 * older blob, the bytes between them in that blob are most likely the same, with a changed middle. Both versions are cut
 * into small pieces, and only the pieces that the older one lacks are fetched. A wrong guess costs the hashes of the
 * pieces; each chunk is still checked as a whole.
 *
 * Pure. Driven by chunk-fetch.ts.
 */

import { type BlobId, hexOf } from '../core/ids.js';
import { type Chunk, chunksOf } from '../core/recipe.js';
import type { ChunkPlace } from '../store/recipe-index.js';
import type { Piece, Step } from './fetch-batch.js';

/** Most bytes of one gap, on either side: with more, too much has changed for small pieces. */
const GAP_BYTES_MAX = 16 * 1024 * 1024;

/** Consecutive missing chunks, and what lies in their place in an older blob. */
export interface Gap {
  readonly steps: readonly Step[];
  readonly old: ChunkPlace & { readonly bytes: number };
}

/** Where the next chunk lies in the older blob, if nothing has changed there. */
export type Following = ChunkPlace | undefined;

/** What repeats in the new blob says nothing of an older one. @param of the new blob */
export const followingOf = ({ place, chunk }: Step, of: BlobId): Following =>
  place === undefined || place.blob === of ? undefined : { blob: place.blob, offset: place.offset + chunk.bytes };

/** @param before what follows the last chunk, before these steps, that is copied from here */
export function gapsIn(
  steps: readonly Step[],
  { of, before }: { readonly of: BlobId; readonly before: Following },
): Gap[] {
  const gaps: Gap[] = [];
  let from = before;
  let missing: Step[] = [];
  const close = (to: ChunkPlace | undefined): void => {
    const bytes = missing.reduce((sum, { chunk }) => sum + chunk.bytes, 0);
    const old = oldOf(from, to, bytes);
    if (old !== undefined && bytes <= GAP_BYTES_MAX && old.bytes <= GAP_BYTES_MAX) gaps.push({ steps: missing, old });
    missing = [];
  };
  for (const step of steps) {
    if (step.place === undefined) {
      missing.push(step);
      continue;
    }
    if (missing.length > 0) close(step.place.blob === of ? undefined : step.place);
    from = followingOf(step, of);
  }
  if (missing.length > 0) close(undefined);
  return gaps;
}

function oldOf(from: Following, to: ChunkPlace | undefined, bytes: number): Gap['old'] | undefined {
  if (from !== undefined) {
    const isBetween = to !== undefined && to.blob === from.blob && to.offset > from.offset;
    return { ...from, bytes: isBetween ? to.offset - from.offset : bytes };
  }
  if (to === undefined || to.offset === 0) return undefined;
  const offset = Math.max(0, to.offset - bytes);
  return { blob: to.blob, offset, bytes: to.offset - offset };
}

/** Each piece of the old blobs, by its hash. */
export class OldPieces {
  readonly #places = new Map<string, ChunkPlace>();

  /** @param pieces the pieces of that part of a blob, in order */
  add({ blob, offset }: ChunkPlace, pieces: Iterable<Chunk>): void {
    let at = offset;
    for (const { hash, bytes } of pieces) {
      this.#places.set(hexOf(hash), { blob, offset: at });
      at += bytes;
    }
  }

  /** Notes for each missing chunk which of its pieces are here. @param theirs the pieces of these chunks, in order */
  note(steps: readonly Step[], theirs: Uint8Array): void {
    const pieces = chunksOf(theirs);
    for (const step of steps) {
      const found: { at: number; bytes: number; from: ChunkPlace | undefined }[] = [];
      for (let at = 0; at < step.chunk.bytes; ) {
        const { value: piece } = pieces.next();
        if (piece === undefined) return;
        const from = this.#places.get(hexOf(piece.hash));
        const last = found.at(-1);
        if (last !== undefined && adjoins(last, from)) last.bytes += piece.bytes;
        else found.push({ at, bytes: piece.bytes, from });
        at += piece.bytes;
      }
      step.pieces = found;
    }
  }
}

function adjoins({ bytes, from }: Piece, next: ChunkPlace | undefined): boolean {
  if (from === undefined || next === undefined) return from === next;
  return from.blob === next.blob && from.offset + bytes === next.offset;
}
