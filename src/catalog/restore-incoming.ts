/**
 * Restore incoming: a blob on its way into an unfinished file, hashed as it comes.
 *
 * Driven by restore-files.ts.
 */
import { closeSync, rmSync } from 'node:fs';
import { createHasher, type Hasher } from '../core/hash.js';
import { type BlobId, hexOf } from '../core/ids.js';
import { hashInto } from './restore-hash.js';
import type { WantedFile } from './restore-outcome.js';
import { SparseWriter } from './sparse-writer.js';

export class Incoming {
  readonly blob: BlobId;
  readonly sharers: readonly WantedFile[];
  /** The path of its unfinished file, if that is to outlast the run. */
  readonly begunPath: Buffer | undefined;
  part: Part | undefined;
  #content: SparseWriter | undefined;
  readonly #hasher: Hasher = createHasher();
  readonly #expectedBytes: number;
  #bytes = 0;
  #digest: string | undefined;
  #isDiscarded = false;

  constructor(blob: BlobId, sharers: readonly WantedFile[], begunPath?: Buffer) {
    this.blob = blob;
    this.sharers = sharers;
    this.begunPath = begunPath;
    this.#expectedBytes = sharers[0]?.entry.size ?? 0;
  }

  /** How many bytes have come. */
  get bytes(): number {
    return this.#bytes;
  }

  async takeUp(part: Part, signal: AbortSignal): Promise<void> {
    this.part = part;
    this.#bytes = await hashInto(this.#hasher, part.path, signal);
    this.#content = new SparseWriter(part.fd, this.#bytes);
  }

  write(data: Uint8Array): void {
    if (this.#isDiscarded || this.part === undefined) return;
    this.#bytes += data.length;
    // A giver that sends too much must not fill the disk; `isRight` will return false.
    if (this.#bytes > this.#expectedBytes) return;
    this.#hasher.update(data);
    this.#content ??= new SparseWriter(this.part.fd);
    this.#content.write(data);
    if (this.#bytes === this.#expectedBytes) this.#content.end();
  }

  get hasHoles(): boolean {
    return this.#content?.hasHoles === true;
  }

  /** Whether all bytes came and hash to the blob's name. */
  isRight(): boolean {
    if (this.#isDiscarded || this.#bytes !== this.#expectedBytes) return false;
    this.#digest ??= hexOf(this.#hasher.digest());
    return this.#digest === this.blob;
  }

  /** Hands the unfinished file over to the caller. */
  release(): Part | undefined {
    const part = this.part;
    this.part = undefined;
    return part;
  }

  /** Called when it is incomplete: a file that outlasts the run stays where it is. */
  leave(): void {
    if (this.part !== undefined && this.begunPath !== undefined) this.part.isHandedOn = true;
    this.discard();
  }

  discard(): void {
    if (!this.#isDiscarded && this.#digest === undefined) this.#hasher.dispose();
    this.#isDiscarded = true;
    if (this.part !== undefined) removePart(this.part);
    this.part = undefined;
  }
}

/** A large file whose unfinished bytes outlast the run. */
export interface Begun {
  readonly blob: BlobId;
  readonly file: WantedFile;
  readonly path: Buffer;
}

export interface Part {
  path: Buffer;
  readonly fd: number;
  isClosed?: boolean;
  /** The file waits for its name or for the next run, or has been removed: there is nothing left to remove. */
  isHandedOn?: boolean;
}

/** Closes an unfinished file and removes it; one that waits for its name is only closed. */
export function removePart(part: Part): void {
  if (part.isClosed !== true) closeSync(part.fd);
  part.isClosed = true;
  if (part.isHandedOn !== true) rmSync(part.path, { force: true });
  part.isHandedOn = true;
}
