/**
 * Program run: runs a program to its end. If its time is up or it is called off, ends it with all that it started.
 * What it started as another user this service may not end, and stops waiting for. Driven by hooks.ts.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { messageOf } from '../core/fault.js';
import { longTimer } from '../platform/long-timer.js';

/** How much of the end of its output is kept, in bytes. */
const OUTPUT_BYTES_KEPT = 64 * 1024;
/** Time between asking it to end and killing it, in ms. */
const KILL_AFTER_MS = 10_000;
/**
 * How long its output is read after its end, in ms: the last of it may come a little later, and what it left running
 * may keep the output open for ever.
 */
const LAST_OUTPUT_MS = 1_000;

export interface ProgramEnd {
  readonly exitCode: number | null;
  readonly killedBy: NodeJS.Signals | null;
  readonly timedOut: boolean;
  readonly output: string;
  /** It was to be ended, and what is left of it belongs to another user. */
  readonly leftRunning: boolean;
  /** It could not be started. */
  readonly fault: string | undefined;
}

export interface ProgramOrder {
  readonly file: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export async function runToEnd(order: ProgramOrder): Promise<ProgramEnd> {
  let child: ChildProcess;
  try {
    // In a group of its own, so that all that it starts can be ended with it.
    child = spawn(order.file, [], {
      cwd: '/',
      env: order.environment,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
  } catch (error) {
    const fault = messageOf(error);
    return { exitCode: null, killedBy: null, timedOut: false, output: '', leftRunning: false, fault };
  }
  return new ProgramRun(child, order).ended;
}

class ProgramRun {
  readonly ended: Promise<ProgramEnd>;
  readonly #child: ChildProcess;
  readonly #signal: AbortSignal;
  readonly #output = new Tail();
  readonly #timer: ReturnType<typeof longTimer>;
  #killTimer: NodeJS.Timeout | undefined;
  #outputTimer: NodeJS.Timeout | undefined;
  #fault: string | undefined;
  #timedOut = false;
  #leftRunning = false;
  #resolve: (end: ProgramEnd) => void = () => undefined;

  constructor(child: ChildProcess, { timeoutMs, signal }: ProgramOrder) {
    this.#child = child;
    this.#signal = signal;
    this.ended = new Promise(resolve => {
      this.#resolve = resolve;
    });
    child.once('error', error => {
      this.#fault = error.message;
    });
    // Neither stream exists when all descriptors are used up.
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => this.#output.add(chunk));
    this.#timer = longTimer(timeoutMs, () => {
      this.#timedOut = true;
      this.#askToEnd();
    });
    signal.addEventListener('abort', this.#askToEnd, { once: true });
    child.once('exit', this.#exited);
    child.once('close', this.#done);
  }

  readonly #askToEnd = (): void => {
    if (this.#killTimer !== undefined) return;
    this.#endGroup('SIGTERM');
    this.#killTimer = setTimeout(() => {
      this.#endGroup('SIGKILL');
      // The program itself now runs as another user: its end may never come.
      if (this.#leftRunning) this.#done(null, null);
    }, KILL_AFTER_MS);
  };

  #endGroup(by: 'SIGTERM' | 'SIGKILL'): void {
    this.#leftRunning = signalGroup(this.#child, by) === 'not-allowed';
  }

  readonly #exited = (exitCode: number | null, killedBy: NodeJS.Signals | null): void => {
    this.#timer.stop();
    this.#outputTimer = setTimeout(this.#done, LAST_OUTPUT_MS, exitCode, killedBy);
  };

  readonly #done = (exitCode: number | null, killedBy: NodeJS.Signals | null): void => {
    const child = this.#child;
    child.off('exit', this.#exited);
    child.off('close', this.#done);
    this.#timer.stop();
    clearTimeout(this.#killTimer);
    clearTimeout(this.#outputTimer);
    this.#signal.removeEventListener('abort', this.#askToEnd);
    if (this.#timedOut || this.#signal.aborted) this.#endGroup('SIGKILL');
    child.stdout?.destroy();
    child.stderr?.destroy();
    child.unref();
    this.#resolve({
      exitCode,
      killedBy,
      timedOut: this.#timedOut,
      output: this.#output.text(),
      leftRunning: this.#leftRunning,
      fault: this.#fault,
    });
  };
}

/**
 * `gone`: nothing of the group is left. `not-allowed`: all that is left of it belongs to another user, such as what
 * `sudo` started. If even one process of it is ours, the call succeeds and does not tell about the others.
 */
function signalGroup(child: ChildProcess, signal: NodeJS.Signals): 'told' | 'gone' | 'not-allowed' {
  if (child.pid === undefined) return 'gone';
  try {
    process.kill(-child.pid, signal);
    return 'told';
  } catch (error) {
    switch ((error as NodeJS.ErrnoException).code) {
      case 'ESRCH':
        return 'gone';
      case 'EPERM':
        return 'not-allowed';
      default:
        throw error;
    }
  }
}

/** The last bytes of a stream. */
class Tail {
  #bytes = Buffer.alloc(0);

  add(chunk: Buffer): void {
    const joined = Buffer.concat([this.#bytes, chunk]);
    this.#bytes = Buffer.from(joined.subarray(Math.max(0, joined.length - OUTPUT_BYTES_KEPT)));
  }

  text(): string {
    return this.#bytes.toString('utf8').trim();
  }
}
