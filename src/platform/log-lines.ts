/**
 * Log lines: where the log goes, which is stderr. Writing it holds nobody up: a line that cannot be written, as on a
 * full disk, is dropped, and once something can be written again the log says how many were.
 *
 * Pino's own destination ends the process by the error, and then tries for ever to write what it has left. This one
 * keeps no more lines than `KEPT_BYTES_MAX`, tries each once, and never throws. Its calls wait apart (disk.ts), so that
 * a log that hangs does not keep the process from ending (end-process.ts).
 */
import { write as writeFile, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { DestinationStream } from 'pino';
import { setApart } from './disk.js';

/** What waits for a log that is slower than who writes it, in characters: some thousands of lines. */
const KEPT_CHARACTERS_MAX = 1_048_576;
/** Who ends waits this long for the last lines, in ms: a pipe that is read takes them at once. */
const LAST_LINES_MS_MAX = 2_000;
/** A terminal or a pipe may be set so that it refuses what it cannot take at once. */
const FULL_PIPE_REST_MS = 100;
const WARNING = 40;
const NEW_LINE = 10;

/** Writes some of the bytes, at least one; says how many. */
export type WriteSome = (bytes: Uint8Array) => Promise<number>;

const STDERR = 2;
const writeDescriptor = promisify(writeFile);

const toStderr: WriteSome = async bytes => {
  const { bytesWritten } = await setApart('/dev/stderr').run(() => writeDescriptor(STDERR, bytes));
  return bytesWritten;
};

export class LogLines implements DestinationStream {
  readonly #writeSome: WriteSome;
  #waiting: string[] = [];
  #waitingCharacters = 0;
  #writing: Promise<void> | undefined;
  #dropped = 0;
  /** The last line was written in part. */
  #isTorn = false;

  constructor(writeSome: WriteSome = toStderr) {
    this.#writeSome = writeSome;
  }

  /** Called by pino, with one line and its line break. */
  write(line: string): void {
    if (this.#waitingCharacters + line.length > KEPT_CHARACTERS_MAX) {
      this.#dropped += 1;
      return;
    }
    this.#waiting.push(line);
    this.#waitingCharacters += line.length;
    this.#writing ??= this.#writeAll();
  }

  /** Waits for the last lines, but not for long. */
  async end(): Promise<void> {
    const late = new AbortController();
    await Promise.race([
      this.#writing,
      delay(LAST_LINES_MS_MAX, undefined, { signal: late.signal }).catch(() => {
        // The lines were written first.
      }),
    ]);
    late.abort();
  }

  /**
   * For a process that ends by an error that nobody caught: what still waits is tried once. It may hang no longer than
   * the write under way, for which Node waits too.
   */
  endNow(): void {
    try {
      if (this.#waiting.length > 0) writeSync(STDERR, this.#takeWaiting().join(''));
    } catch {
      // The log is where that would be said.
    }
  }

  #takeWaiting(): string[] {
    this.#waitingCharacters = 0;
    return this.#waiting.splice(0);
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) await this.#put(this.#takeWaiting());
    this.#writing = undefined;
  }

  async #put(lines: readonly string[]): Promise<void> {
    const dropped = this.#dropped;
    const before = `${this.#isTorn ? '\n' : ''}${dropped > 0 ? droppedLine(dropped) : ''}`;
    const bytes = Buffer.from(before + lines.join(''));
    const written = bytes.subarray(0, await this.#writeUntilRefused(bytes));
    if (written.length > 0) this.#isTorn = written.at(-1) !== NEW_LINE;
    if (written.length >= before.length) this.#dropped -= dropped;
    this.#dropped += lines.length - linesIn(written.subarray(before.length));
  }

  /** How many bytes were written. */
  async #writeUntilRefused(bytes: Uint8Array): Promise<number> {
    let written = 0;
    while (written < bytes.length) {
      try {
        written += await this.#writeSome(bytes.subarray(written));
      } catch (error) {
        // Any other error is told by the line about dropped lines, once there is one.
        if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) break;
        await delay(FULL_PIPE_REST_MS);
      }
    }
    return written;
  }
}

const linesIn = (bytes: Uint8Array): number => bytes.filter(byte => byte === NEW_LINE).length;

const droppedLine = (lines: number): string =>
  `${JSON.stringify({
    level: WARNING,
    time: new Date().toISOString(),
    code: 'LOG_LINES_DROPPED',
    lines,
    msg: 'lines of this log could not be written and were dropped',
  })}\n`;
