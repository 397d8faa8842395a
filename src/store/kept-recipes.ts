/**
 * Kept recipes: the recipes of the large blobs that a store holds, of older versions of such that are less large, and of no others.
 *
 * A recipe comes with its blob's commit and goes when the last PRESENT parcel that lists the blob goes. Recipes left
 * behind by a crash or a failure of the index cost room in it until the next opening, and nothing else: recipes are
 * never believed (recipe-index.ts).
 *
 * Driven by store.ts.
 */
import type { Logger } from 'pino';
import { assert } from '../core/fault.js';
import type { BlobRef } from '../core/parcel.js';
import { isRecipe, OLDER_BLOB_BYTES_MIN } from '../core/recipe.js';
import type { HeldBlobs } from './held-blobs.js';
import type { RecipeIndex } from './recipe-index.js';

export class KeptRecipes {
  readonly #recipes: RecipeIndex;
  readonly #blobs: HeldBlobs;
  readonly #log: Logger;
  /** The tidying under way; it never rejects. */
  #tidying: Promise<void> = Promise.resolve();

  constructor(parts: { readonly recipes: RecipeIndex; readonly blobs: HeldBlobs; readonly log: Logger }) {
    this.#recipes = parts.recipes;
    this.#blobs = parts.blobs;
    this.#log = parts.log;
  }

  /** Packed (core/recipe.ts); `undefined` when nobody has kept one. */
  recipe(blob: BlobRef): Uint8Array | undefined {
    return this.#recipes.recipe(blob);
  }

  async keep(ref: BlobRef, packed: Uint8Array): Promise<void> {
    const { blob, bytes } = ref;
    assert(isRecipe(packed, bytes), `what is kept as the recipe of blob ${blob} is none`);
    if (this.#blobs.lookup(blob)?.bytes !== bytes || this.#recipes.recipe(ref) !== undefined) return;
    await this.#recipes.put(blob, packed);
    // The blob may have left meanwhile.
    if (!this.#blobs.isListed(blob)) await this.#recipes.forget(blob);
  }

  async forget({ blob }: BlobRef): Promise<void> {
    await this.#recipes.forget(blob);
  }

  /** Forgets the recipes of those of these blobs that have left. */
  look(refs: readonly BlobRef[]): void {
    for (const { blob, bytes } of refs) {
      if (bytes >= OLDER_BLOB_BYTES_MIN && !this.#blobs.isListed(blob)) this.#tidy(this.#recipes.forget(blob));
    }
  }

  /** Checks all recipes, in the background. */
  sweep(signal: AbortSignal): void {
    this.#tidy(this.#recipes.sweep(blob => this.#blobs.isListed(blob), signal));
  }

  #tidy(work: Promise<void>): void {
    const failed = (error: unknown): void =>
      this.#log.warn({ code: 'INDEX_NOT_TIDIED', err: error }, 'recipes of blobs that left could not be removed');
    this.#tidying = Promise.all([this.#tidying, work.catch(failed)]).then(() => {});
  }

  /** Resolves when all that was begun is written. */
  async settled(): Promise<void> {
    await this.#tidying;
    await this.#recipes.settled();
  }
}
