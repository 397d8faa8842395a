/**
 * Progress: how far a long command has come. A bar on a terminal, a line now and then elsewhere, JSON records with
 * `--json`.
 *
 * To stderr (JSON: stdout, with the other records), so that results can be piped.
 */
import type { SingleBar } from 'cli-progress';
import type { Context } from './context.js';
import { sizeText, spanText } from './text.js';

export interface ProgressStep {
  readonly phase: string;
  readonly count: number;
  readonly bytes: number;
  /** Bytes that needed no work, and so say nothing about how long the rest takes. Default: 0. */
  readonly keptBytes?: number;
}

export interface ProgressTotal {
  /** What is counted: files, parcels. */
  readonly what: string;
  readonly count: number;
  readonly bytes: number;
}

/** Faster than eyes, slow enough not to cost anything. */
const BAR_MS = 100;
/** For logs: often enough to show that the command is alive. */
const LINE_MS = 10_000;
const RECORD_MS = 1_000;

export class Progress {
  readonly #context: Context;
  readonly #total: ProgressTotal;
  #bar: SingleBar | undefined;
  #phase = '';
  /** When the phase began. */
  #startMs = performance.now();
  #shownMs = performance.now();
  /** The words that `wait` noted last. */
  #waiting: string | undefined;

  private constructor(context: Context, total: ProgressTotal) {
    this.#context = context;
    this.#total = total;
  }

  static async start(context: Context, total: ProgressTotal): Promise<Progress> {
    const progress = new Progress(context, total);
    if (process.stderr.isTTY && !context.json && process.env.TERM !== 'dumb') {
      const { default: cliProgress } = await import('cli-progress');
      progress.#bar = new cliProgress.SingleBar({
        format: '{phase} [{bar}] {percentage}% | {shown} | {rate}/s | {left}',
        barsize: 24,
        hideCursor: true,
        clearOnComplete: true,
        stream: process.stderr,
        linewrap: false,
      });
      progress.#bar.start(Math.max(total.bytes, 1), 0, { phase: '', shown: '', rate: '', left: '' });
    }
    return progress;
  }

  step({ phase, count, bytes: workedBytes, keptBytes = 0 }: ProgressStep): void {
    const nowMs = performance.now();
    if (phase !== this.#phase) {
      this.#phase = phase;
      this.#startMs = nowMs;
    }
    const intervalMs = this.#bar !== undefined ? BAR_MS : this.#context.json ? RECORD_MS : LINE_MS;
    if (nowMs - this.#shownMs < intervalMs) return;
    this.#shownMs = nowMs;
    const seconds = Math.max((nowMs - this.#startMs) / 1000, 0.001);
    const rate = workedBytes / seconds;
    const bytes = workedBytes + keptBytes;
    const leftMs = rate > 0 ? Math.max(0, ((this.#total.bytes - bytes) / rate) * 1000) : 0;
    const { what } = this.#total;
    const shown = `${count}/${this.#total.count} ${what}, ${sizeText(bytes)}`;
    const left = leftMs > 0 ? `${spanText(leftMs)} left` : '';
    if (this.#bar !== undefined)
      this.#bar.update(Math.min(bytes, this.#total.bytes), { phase, shown, rate: sizeText(rate), left });
    else if (this.#context.json) {
      void this.#context.record({
        message_type: 'progress',
        phase,
        [what]: count,
        bytes,
        [`total_${what}`]: this.#total.count,
        total_bytes: this.#total.bytes,
        seconds_left: Math.round(leftMs / 1000),
      });
    } else
      this.#context.note(
        `${phase}: ${shown} of ${sizeText(this.#total.bytes)}, ${sizeText(rate)}/s${left && `, ${left}`}`,
      );
  }

  /** Says that a part of the work waits until one of these hosts is back, or is given up. */
  wait(hosts: readonly string[]): void {
    const words = `waiting for ${hosts.join(' or ')}`;
    if (this.#bar !== undefined) {
      this.#bar.update({ phase: words });
      return;
    }
    // Many parcels may wait for the same hosts: say it once.
    if (words === this.#waiting) return;
    this.#waiting = words;
    if (this.#context.json) void this.#context.record({ message_type: 'waiting', hosts });
    else this.#context.note(`${words}, gone just now`);
  }

  /** To be called also before any other lasting line is printed. */
  stop(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }
}
