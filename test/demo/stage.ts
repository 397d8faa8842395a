/**
 * Stage: what a person sees of the demo. A line for each step and what it found; bars that grow on a terminal, plain
 * lines elsewhere.
 *
 * Everything goes to stdout. Colours and bars only on a terminal; `NO_COLOR` removes the colours and leaves the bars.
 */
import { styleText } from 'node:util';
import cliProgress, { type MultiBar, type SingleBar } from 'cli-progress';

/** Something that the demo shows did not hold. */
export class DidNotHold extends Error {}

export interface Act {
  readonly title: string;
  readonly held: boolean;
  readonly ms: number;
}

/** One bar: a share of the whole, and a word on it. */
export interface Bar {
  readonly name: string;
  readonly share: number;
  readonly text: string;
}

const isTerminal = process.stdout.isTTY === true && process.env.TERM !== 'dumb';
const isColoured = isTerminal && !process.env.NO_COLOR;
/** Without a terminal: a line now and then, not one for each change. */
const LINE_MS = 2_000;
/** With the name, the text and the gaps this fits 80 columns. */
const BAR_COLUMNS = 30;
const NAME_COLUMNS = 8;
/** Shares are fractions; the bars count whole steps. */
const STEPS = 1000;

type Colour = Parameters<typeof styleText>[0];
export const paint = (colour: Colour, text: string): string =>
  isColoured ? styleText(colour, text, { validateStream: false }) : text;

export class Stage {
  readonly #acts: Act[] = [];
  readonly #startMs = performance.now();
  #bars: MultiBar | undefined;

  get acts(): readonly Act[] {
    return this.#acts;
  }

  get heldAll(): boolean {
    return this.#acts.every(({ held }) => held);
  }

  get elapsedMs(): number {
    return performance.now() - this.#startMs;
  }

  say(text = ''): void {
    process.stdout.write(`${text}\n`);
  }

  /** A remark below the step it belongs to. */
  note(text: string): void {
    for (const line of text.split('\n')) this.say(`    ${line}`);
  }

  /** One step: announces it, does it, says whether it held and how long it took. @throws whatever `work` throws */
  async act<Result>(title: string, work: () => Promise<Result>): Promise<Result> {
    const startMs = performance.now();
    this.say();
    this.say(`${paint('cyan', `${this.#acts.length + 1}.`)} ${paint('bold', title)}`);
    const end = (held: boolean): void => {
      this.closeBars();
      const ms = performance.now() - startMs;
      this.#acts.push({ title, held, ms });
      const word = held ? paint('green', '✔ held') : paint('red', '✘ did not hold');
      this.say(`   ${word} ${paint('dim', `(${seconds(ms)})`)}`);
    };
    try {
      const result = await work();
      end(true);
      return result;
    } catch (error) {
      end(false);
      throw error;
    }
  }

  /** Returns a function that shows the present levels. Bars stay as they last were when the step ends. */
  bars(): (levels: readonly Bar[]) => void {
    return isTerminal ? this.#drawnBars() : this.#lines();
  }

  closeBars(): void {
    this.#bars?.stop();
    this.#bars = undefined;
  }

  #drawnBars(): (levels: readonly Bar[]) => void {
    const multi = new cliProgress.MultiBar({
      format: `    {name} ${paint('green', '{bar}')} {text}`,
      barsize: BAR_COLUMNS,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      hideCursor: true,
      linewrap: false,
      emptyOnZero: true,
      stopOnComplete: false,
      stream: process.stdout,
      autopadding: false,
    });
    this.#bars = multi;
    const drawn = new Map<string, SingleBar>();
    return levels => {
      for (const { name, share, text } of levels) {
        const shown = { name: name.padEnd(NAME_COLUMNS), text };
        const bar = drawn.get(name);
        const value = Math.round(Math.min(share, 1) * STEPS);
        if (bar === undefined) drawn.set(name, multi.create(STEPS, value, shown));
        else bar.update(value, shown);
      }
      multi.update();
    };
  }

  #lines(): (levels: readonly Bar[]) => void {
    const startMs = performance.now();
    let saidMs = Number.NEGATIVE_INFINITY;
    let last = '';
    return levels => {
      const nowMs = performance.now();
      const line = levels.map(({ name, text }) => `${name} ${text}`).join(' | ');
      if (nowMs - saidMs < LINE_MS || line === last) return;
      saidMs = nowMs;
      last = line;
      this.note(`${Math.round((nowMs - startMs) / 1000)} s: ${line}`);
    };
  }
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

export const count = (number: number): string => number.toLocaleString('en-US');

export const size = (bytes: number): string =>
  bytes < 10_000_000 ? `${(bytes / 1e6).toFixed(1)} MB` : `${count(Math.round(bytes / 1e6))} MB`;
