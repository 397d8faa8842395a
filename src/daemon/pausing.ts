/**
 * Pausing: the time for which this host begins nothing big of its own accord, because a person said so: no snapshot,
 * no scrub, no self-test, no fetch, no drop. What others need of it goes on: it is heard, grants, proves, restores and
 * takes part in the catalog, and gives to whoever could get it from nobody else. What a person asks for by name (a
 * backup, a scrub, a drill) is done.
 *
 * The pause is kept in `STATE/paused.json`, so that a restart does not end it: who is on a link that is paid by the
 * byte does not want it used because of an upgrade. It ends by itself, and no pause is longer than `PAUSE_MS_MAX`. Its
 * times are of the wall clock, by which a person counts, whether or not the computer sleeps meanwhile. A clock that is
 * set back to before the pause began ends it, so that no wrong clock makes it longer.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { ClusterError } from '../core/fault.js';
import { rm } from '../platform/disk-calls.js';
import { fsyncFolder, readIfThere, writeDurable } from '../platform/durable.js';
import { Turns } from '../store/turns.js';
import type { Clock } from './clock.js';

const FILE = 'paused.json';
const HOUR_MS = 3_600_000;
/**
 * The longest pause, in ms: three days, for which a host that is off is waited for at most (`absenceMax`). Longer than
 * that, a host that was forgotten while it is paused would be no better than one that is gone.
 */
export const PAUSE_MS_MAX = 72 * HOUR_MS;
/** The clock may have been set, and the computer may have slept: looked at again after this, in ms. */
const LOOK_MS_MAX = 60_000;

const time = z.int().nonnegative();
const pausedFile = z.strictObject({ fromMs: time, untilMs: time });
type Paused = z.infer<typeof pausedFile>;

export class Pausing {
  readonly #stateDir: string;
  readonly #clock: Pick<Clock, 'wallMs'>;
  readonly #log: Logger;
  readonly #turns = new Turns<'write'>();
  readonly #listeners = new Set<(paused: boolean) => void>();
  #paused: Paused | undefined;
  #timer: NodeJS.Timeout | undefined;
  #over: (() => void)[] = [];

  constructor({
    stateDir,
    clock,
    log,
  }: { readonly stateDir: string; readonly clock: Pick<Clock, 'wallMs'>; readonly log: Logger }) {
    this.#stateDir = stateDir;
    this.#clock = clock;
    this.#log = log;
    this.#paused = readPaused(this.#path, log);
    this.#look();
  }

  /** By the wall clock; undefined while the host is not paused. */
  get untilMs(): number | undefined {
    const nowMs = this.#clock.wallMs();
    const paused = this.#paused;
    return paused !== undefined && paused.fromMs <= nowMs && nowMs < paused.untilMs ? paused.untilMs : undefined;
  }

  get isPaused(): boolean {
    return this.untilMs !== undefined;
  }

  /**
   * Calls at once if the host is paused, and from then on: whoever begins to listen misses neither the pause nor its end.
   * @returns a function that ends the calls
   */
  follow(listener: (paused: boolean) => void): () => void {
    this.#listeners.add(listener);
    if (this.isPaused) listener(true);
    return () => void this.#listeners.delete(listener);
  }

  /** Calls once, when this pause is over. */
  whenOver(call: () => void): void {
    this.#over.push(call);
  }

  /**
   * From now on, whatever was said before. Durable when this returns.
   * @returns when it ends, by the wall clock
   * @throws ClusterError BAD_DURATION
   */
  async pause(forMs: number): Promise<number> {
    if (forMs > PAUSE_MS_MAX) {
      const text = `the longest pause is ${PAUSE_MS_MAX / HOUR_MS}h, and nothing was changed: what is new meanwhile has no copies. Say it again when it is over`;
      throw new ClusterError('BAD_DURATION', text, { blame: 'operator' });
    }
    const fromMs = Math.floor(this.#clock.wallMs());
    const paused = { fromMs, untilMs: fromMs + forMs };
    await this.#turns.take('write', async () => {
      await writeDurable(this.#path, `${JSON.stringify(paused)}\n`, { mode: 0o600 });
      this.#paused = paused;
    });
    this.#tell(true);
    this.#look();
    return paused.untilMs;
  }

  /** Durable when this returns. @returns whether the host was paused */
  async resume(): Promise<boolean> {
    const was = this.isPaused;
    await this.#turns.take('write', async () => {
      await this.#remove();
      this.#paused = undefined;
    });
    this.#look();
    return was;
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#turns.allDone();
    clearTimeout(this.#timer);
  }

  /** Whether the pause is over, and when to look again. */
  #look(): void {
    clearTimeout(this.#timer);
    const { untilMs } = this;
    if (untilMs !== undefined) {
      const inMs = Math.min(LOOK_MS_MAX, untilMs - this.#clock.wallMs());
      this.#timer = setTimeout(() => this.#look(), inMs);
      return;
    }
    this.#tell(false);
    const over = this.#over;
    this.#over = [];
    for (const call of over) call();
    if (this.#paused !== undefined) this.#forget();
  }

  /** A pause that is over must not begin again when the clock is set back. */
  #forget(): void {
    this.#turns
      .take('write', async () => {
        if (this.#paused === undefined || this.isPaused) return;
        this.#paused = undefined;
        await this.#remove();
      })
      .catch((error: unknown) =>
        this.#log.warn(
          { code: 'PAUSE_NOT_REMOVED', err: error },
          `the pause is over, and ${FILE} still says when it was`,
        ),
      );
  }

  #tell(paused: boolean): void {
    for (const listener of this.#listeners) listener(paused);
  }

  async #remove(): Promise<void> {
    await rm(this.#path, { force: true });
    await fsyncFolder(this.#stateDir);
  }

  get #path(): string {
    return join(this.#stateDir, FILE);
  }
}

/** A file that says nothing clear pauses nothing: work that is done is safer than work that is not. */
function readPaused(path: string, log: Logger): Paused | undefined {
  const text = readIfThere(path)?.toString('utf8');
  if (text === undefined) return undefined;
  try {
    const paused = pausedFile.parse(JSON.parse(text));
    if (paused.untilMs - paused.fromMs <= PAUSE_MS_MAX) return paused;
  } catch (error) {
    log.warn({ code: 'PAUSE_UNREADABLE', err: error, path }, 'this file is damaged, so the host is not paused');
  }
  return undefined;
}
