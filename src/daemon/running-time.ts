/**
 * Running time: how long this service has run in all, over every start. Holds and `gcGrace` are counted in it, so that
 * a host that was off for a month does not wake up and clear its disk.
 *
 * The file also says when that was, by the wall clock, so that the next start knows how long the host was off.
 *
 * It runs by the steady clock, whatever the wall clock does, and stands still while the service or the computer does.
 * It is written once a minute: a crash loses at most that minute, which only makes everything wait longer.
 */
import { join } from 'node:path';
import type { Logger } from 'pino';
import { ClusterError } from '../core/fault.js';
import { readIfThere, writeDurable } from '../platform/durable.js';
import type { Clock } from './clock.js';

/** Between two writes, in ms. Each looks at the clock, which must not go unwatched for long (clock.ts). */
const WRITE_EVERY_MS = 60_000;

export class RunningTime {
  /** Of all starts before this one. */
  readonly beforeMs: number;
  /** Between the last start and this one, by the wall clock; 0 where that is unknown or the clock has gone back. */
  readonly offForMs: number;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #startMs: number;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  /** @throws ClusterError STATE_DAMAGED */
  constructor({ stateDir, clock, log }: { readonly stateDir: string; readonly clock: Clock; readonly log: Logger }) {
    this.#path = join(stateDir, 'running.json');
    this.#clock = clock;
    this.#log = log;
    const { ranMs, wallMs } = readRan(this.#path);
    this.beforeMs = ranMs;
    this.offForMs = wallMs === undefined ? 0 : Math.max(0, clock.wallMs() - wallMs);
    this.#startMs = clock.nowMs();
  }

  /** In ms, this start included. */
  nowMs(): number {
    return this.beforeMs + this.#clock.nowMs() - this.#startMs;
  }

  /** Writes the time down from now on. */
  start(): void {
    this.#timer = setInterval(() => {
      this.#write().catch((error: unknown) =>
        this.#log.warn(
          { code: 'RUNNING_TIME_NOT_KEPT', err: error },
          'how long the service has run could not be recorded; holds and removals wait longer',
        ),
      );
    }, WRITE_EVERY_MS);
  }

  /** Writes the time down once more, for the last time. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#write();
  }

  /** Writes run one after the other, so the time in the file never goes back. */
  #write(): Promise<void> {
    // Read now, however long the previous write takes.
    const ran = { ranMs: Math.floor(this.nowMs()), wallMs: Math.floor(this.#clock.wallMs()) };
    const write = (): Promise<void> => writeDurable(this.#path, `${JSON.stringify(ran)}\n`, { mode: 0o600 });
    // The previous write has reported its own failure.
    this.#writing = this.#writing.then(write, write);
    return this.#writing;
  }
}

/** Older builds wrote no `wallMs`. */
function readRan(path: string): { readonly ranMs: number; readonly wallMs: number | undefined } {
  const text = readIfThere(path)?.toString('utf8');
  if (text === undefined) return { ranMs: 0, wallMs: undefined };
  let ranMs: unknown;
  let wallMs: unknown;
  try {
    ({ ranMs, wallMs } = JSON.parse(text) as { readonly ranMs?: unknown; readonly wallMs?: unknown });
  } catch (cause) {
    throw damaged(path, text, cause);
  }
  if (!Number.isSafeInteger(ranMs) || (ranMs as number) < 0) throw damaged(path, text);
  return { ranMs: ranMs as number, wallMs: Number.isSafeInteger(wallMs) ? (wallMs as number) : undefined };
}

function damaged(path: string, text: string, cause?: unknown): ClusterError {
  const shown = JSON.stringify(text.slice(0, 60));
  return new ClusterError(
    'STATE_DAMAGED',
    `${path} does not say how long the service has run: ${shown}; nothing was changed. Remove the file: what nobody wants is then kept longer`,
    { blame: 'operator', cause },
  );
}
