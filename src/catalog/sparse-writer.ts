/**
 * Sparse writer: writes a new file's bytes in order, with holes for long runs of zeros.
 *
 * A sparse file (a virtual machine's disk, say) would otherwise take its whole size on the target, and might not fit.
 * Which zeros were holes at the origin is not known, and no reader can tell. Holes are whole blocks, so that each saves
 * the room that it covers.
 *
 * Driven by restore-files.ts.
 */
import { closeSync, constants, ftruncateSync, openSync, readSync, rmSync, writeSync } from 'node:fs';

/** The block size of nearly all file systems, and the page size of memory: no smaller hole saves anything. */
const BLOCK_BYTES = 4096;
/** Shorter runs of zeros are written: thousands of small holes make a file slow to read, for little room. */
const HOLE_BYTES_MIN = 64 * 1024;
const ZEROS = Buffer.alloc(HOLE_BYTES_MIN);
const READ_BYTES = 1024 * 1024;

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;

export class SparseWriter {
  readonly #fd: number;
  /** Bytes taken so far: where the next ones belong. */
  #taken: number;
  /** Up to here everything is written, or is a hole; from here to `#taken` there are zeros. */
  #done: number;
  #hasHoles = false;

  /** `fd`: a file open for writing, empty, or with the first `from` bytes. */
  constructor(fd: number, from = 0) {
    this.#fd = fd;
    this.#taken = from;
    this.#done = from;
  }

  get hasHoles(): boolean {
    return this.#hasHoles;
  }

  write(data: Uint8Array): void {
    const start = this.#taken;
    const end = start + data.length;
    let zerosFrom = this.#done < start ? this.#done : undefined;
    for (let at = start; at < end; ) {
      const next = Math.min(end, at + BLOCK_BYTES - (at % BLOCK_BYTES));
      if (isZero(data, at - start, next - start)) zerosFrom ??= at;
      else if (zerosFrom !== undefined) {
        this.#leaveHole(data, zerosFrom, at);
        zerosFrom = undefined;
      }
      at = next;
    }
    this.#put(data, zerosFrom ?? end);
    this.#taken = end;
  }

  /** Completes the file, so that it has all that was taken and its full size. */
  end(): void {
    const holeFrom = wholeBlocksFrom(this.#done);
    const isHole = this.#taken - holeFrom >= HOLE_BYTES_MIN;
    this.#put(ZEROS, isHole ? holeFrom : this.#taken);
    if (!isHole) return;
    ftruncateSync(this.#fd, this.#taken);
    this.#done = this.#taken;
    this.#hasHoles = true;
  }

  /** There are zeros from `from` to `to`: the whole blocks among them become a hole if they are worth one. */
  #leaveHole(data: Uint8Array, from: number, to: number): void {
    const holeFrom = wholeBlocksFrom(from);
    const holeTo = Math.floor(to / BLOCK_BYTES) * BLOCK_BYTES;
    if (holeTo - holeFrom < HOLE_BYTES_MIN) return;
    this.#put(data, holeFrom);
    this.#done = holeTo;
    this.#hasHoles = true;
  }

  /**
   * Writes up to this place of the file: first the zeros that wait, then the part of `data` (which begins at `#taken`)
   * before it.
   */
  #put(data: Uint8Array, to: number): void {
    while (this.#done < Math.min(to, this.#taken)) {
      const zeros = Math.min(this.#taken - this.#done, to - this.#done, ZEROS.length);
      this.#done += writeSync(this.#fd, ZEROS, 0, zeros, this.#done);
    }
    while (this.#done < to) {
      const at = this.#done - this.#taken;
      this.#done += writeSync(this.#fd, data, at, to - this.#done, this.#done);
    }
  }
}

const wholeBlocksFrom = (place: number): number => Math.ceil(place / BLOCK_BYTES) * BLOCK_BYTES;

/** Checks the ends first: one byte decides for most blocks of most files. */
function isZero(data: Uint8Array, from: number, to: number): boolean {
  if (data[from] !== 0 || data[to - 1] !== 0) return false;
  return ZEROS.compare(data, from, to, 0, to - from) === 0;
}

/** Copies a file to a path that does not exist yet. Node's own copy fills the holes where blocks cannot be shared. */
export function copySparse(from: Buffer, to: Buffer): void {
  const source = openSync(from, O_RDONLY | O_NOFOLLOW);
  let target: number | undefined;
  let isWhole = false;
  try {
    target = openSync(to, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    const writer = new SparseWriter(target);
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    for (let got = readSync(source, buffer); got > 0; got = readSync(source, buffer))
      writer.write(buffer.subarray(0, got));
    writer.end();
    isWhole = true;
  } finally {
    closeSync(source);
    if (target !== undefined) {
      closeSync(target);
      if (!isWhole) rmSync(to);
    }
  }
}
