/** Journal: a line for each event, with the seconds since the start, on stdout and in a file; and what did not hold. */
import { appendFileSync } from 'node:fs';

export class Journal {
  readonly #file: string;
  readonly #beganMs = performance.now();
  #failures = 0;

  constructor(file: string) {
    this.#file = file;
  }

  get failures(): number {
    return this.#failures;
  }

  get elapsedMs(): number {
    return performance.now() - this.#beganMs;
  }

  say(text: string): void {
    const line = `${(this.elapsedMs / 1000).toFixed(1).padStart(8)}  ${text}\n`;
    process.stdout.write(line);
    appendFileSync(this.#file, line);
  }

  /** Something that must always hold did not. */
  fail(text: string): void {
    this.#failures += 1;
    this.say(`FAILED: ${text}`);
  }
}
