/**
 * Recipe maker: makes the recipe of a file in a worker thread (recipe-worker.ts) and gives it out page by page as it is
 * made.
 */
import type { ByteRange } from '../core/byte-range.js';
import { chunksOf, RECIPE_CHUNKS_MAX } from '../core/recipe.js';
import { diskOf, watchedBy } from '../platform/disk.js';
import { type WorkerSession, WorkerThread } from '../platform/worker-thread.js';
import type { ContentStat } from './scan-cache-format.js';

export type RecipeAsk =
  | {
      readonly is: 'open';
      readonly session: number;
      readonly path: Uint8Array;
      readonly bytes: number;
      readonly stat: ContentStat | undefined;
      readonly ranges: readonly ByteRange[] | undefined;
    }
  | { readonly is: 'more' | 'close'; readonly session: number };

export type RecipeReply =
  | { readonly is: 'done' }
  | { readonly is: 'chunks'; readonly page: Uint8Array<ArrayBuffer>; readonly last: boolean }
  | { readonly is: 'changed' };

/** The file whose recipe is made. */
export interface RecipeFile {
  readonly path: Uint8Array;
  readonly bytes: number;
  /** What it must be before and after; undefined for a held blob: only its size is known, and its links come and go. */
  readonly stat: ContentStat | undefined;
}

/** Reads files of one disk only: a disk that hangs must hold up no other. */
export type RecipeThread = WorkerThread<RecipeAsk, RecipeReply>;

export const recipeThread = (): RecipeThread =>
  new WorkerThread(new URL('./recipe-worker.js', import.meta.url), 'recipe');

/**
 * There is no recipe: the file is not, or no longer, what it was said to be, or has too many chunks. Earlier pages may
 * be right.
 */
export class NoRecipe extends Error {}

/**
 * Packed pages, some 30 chunks each; for ranges the pages of their pieces, each range being cut by itself. @throws
 * NoRecipe, and whatever the disk says, with its `code`
 */
export async function* makeRecipe(
  thread: RecipeThread,
  { path, bytes, stat }: RecipeFile,
  signal: AbortSignal,
  ranges?: readonly ByteRange[],
): AsyncGenerator<Uint8Array, void, undefined> {
  signal.throwIfAborted();
  const session: WorkerSession<RecipeAsk, RecipeReply> = thread.open();
  const disk = diskOf(path);
  const ask = (asked: RecipeAsk): Promise<RecipeReply> => watchedBy(disk, session, asked);
  try {
    // Only these can be sent to a thread: a whole BigIntStats cannot.
    const seen = stat && { size: stat.size, mtimeNs: stat.mtimeNs, ctimeNs: stat.ctimeNs, ino: stat.ino };
    let chunks = 0;
    let reply = await ask({ is: 'open', session: session.number, path, bytes, stat: seen, ranges });
    while (reply.is !== 'changed') {
      signal.throwIfAborted();
      reply = await ask({ is: 'more', session: session.number });
      if (reply.is !== 'chunks') continue;
      chunks += [...chunksOf(reply.page)].length;
      if (chunks > RECIPE_CHUNKS_MAX)
        throw new NoRecipe(`a file of ${bytes} bytes has more chunks than a recipe may have`);
      // An ask may reach the end of the file without finding a chunk.
      if (reply.page.length > 0) yield reply.page;
      if (reply.last) return;
    }
    throw new NoRecipe('a file changed before its recipe was made');
  } finally {
    // It fails only if the thread has ended, and then nothing is open.
    session.ask({ is: 'close', session: session.number }).catch(() => {});
    session.close();
  }
}
