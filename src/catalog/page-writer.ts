/**
 * Page writer: puts parcel references into pages, cut as in page.ts, and keeps the pages' ids: 32 bytes for some 4000
 * files.
 */
import type { ObjectId } from '../core/ids.js';
import type { ObjectWriter } from '../core/objects.js';
import type { ParcelRef } from '../core/parcel.js';
import { encodePage, endsPage } from './page.js';

export class PageWriter {
  readonly #objects: ObjectWriter;
  readonly #pages: ObjectId[] = [];
  #refs: ParcelRef[] = [];

  constructor(objects: ObjectWriter) {
    this.#objects = objects;
  }

  async add(ref: ParcelRef): Promise<void> {
    this.#refs.push(ref);
    if (endsPage(ref.key, this.#refs.length)) await this.#close();
  }

  async end(): Promise<readonly ObjectId[]> {
    if (this.#refs.length > 0) await this.#close();
    return this.#pages;
  }

  async #close(): Promise<void> {
    this.#pages.push(await this.#objects.put(encodePage(this.#refs)));
    this.#refs = [];
  }
}
