/**
 * Worker thread: answers requests (asks) one after the other by synchronous calls, in a thread of its own, so that
 * hashing and disks never hold up the event loop.
 *
 * The thread starts with the first session and ends a while after the last, since a thread costs some 10 MB and 40 ms
 * to start. Asks of all sessions are answered in the order in which they came, so none should take long. A session must
 * itself close what it keeps open in the thread. A thread that fails takes its sessions with it; the next session
 * starts another.
 *
 * The thread's own half is `answerAsks`.
 */
import { parentPort, Worker, workerData } from 'node:worker_threads';

/** How long an unused thread stays, in ms: fetches come in bursts. */
const IDLE_MS = 10_000;

export interface WorkerSession<Ask, Reply> {
  /** Unique among the sessions of the thread. */
  readonly number: number;
  /** @throws what the thread's answer threw, with its `code`; or why the thread ended */
  ask(ask: Ask, transfer?: readonly ArrayBuffer[]): Promise<Reply>;
  /** How many signs of life the thread has given: one when it begins an answer, and those that it gives meanwhile. */
  signs(): number;
  /** Harmless when already closed. Earlier asks are still answered. */
  close(): void;
}

interface Asked<Ask> {
  readonly number: number;
  readonly ask: Ask;
}

interface Answered<Reply> {
  readonly number: number;
  readonly reply?: Reply;
  readonly failure?: { readonly message: string; readonly code?: string | undefined };
}

interface Running<Reply> {
  readonly worker: Worker;
  /** A single counter, which the thread increments. */
  readonly signs: Int32Array;
  readonly open: Map<number, { readonly resolve: (reply: Reply) => void; readonly reject: (error: Error) => void }>;
  sessions: number;
  ended?: Error;
}

export class WorkerThread<Ask, Reply> {
  readonly #url: URL;
  readonly #name: string;
  #running: Running<Reply> | undefined;
  #idle: NodeJS.Timeout | undefined;
  #next = 0;

  constructor(url: URL, name: string) {
    this.#url = url;
    this.#name = name;
  }

  open(): WorkerSession<Ask, Reply> {
    clearTimeout(this.#idle);
    const running = this.#running ?? this.#begin();
    this.#running = running;
    running.sessions += 1;
    running.worker.ref();
    const number = this.#next++;
    let isOpen = true;
    return {
      number,
      ask: (ask, transfer = []) =>
        new Promise<Reply>((resolve, reject) => {
          if (running.ended !== undefined) return reject(running.ended);
          const asked: Asked<Ask> = { number: this.#next++, ask };
          running.open.set(asked.number, { resolve, reject });
          running.worker.postMessage(asked, transfer);
        }),
      signs: () => Atomics.load(running.signs, 0),
      close: () => {
        if (!isOpen) return;
        isOpen = false;
        running.sessions -= 1;
        if (running.sessions === 0 && running.ended === undefined) this.#rest(running);
      },
    };
  }

  /** Ends the thread if no session is open. */
  async end(): Promise<void> {
    clearTimeout(this.#idle);
    const running = this.#running;
    if (running === undefined || running.sessions > 0) return;
    this.#running = undefined;
    const ended = running.worker.terminate();
    // It ends after the call under way, which nobody awaits any longer: its disk may hang.
    if (running.open.size === 0) await ended;
  }

  #begin(): Running<Reply> {
    const signs = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    // Without this process's own options, which may be useless or wrong for a thread: `--input-type` of a script.
    const worker = new Worker(this.#url, { name: this.#name, execArgv: [], workerData: signs });
    const running: Running<Reply> = { worker, signs, open: new Map(), sessions: 0 };
    const ends = (error: Error): void => {
      if (running.ended !== undefined) return;
      running.ended = error;
      if (this.#running === running) this.#running = undefined;
      for (const { reject } of running.open.values()) reject(error);
      running.open.clear();
    };
    worker.on('message', ({ number, reply, failure }: Answered<Reply>) => {
      const asked = running.open.get(number);
      running.open.delete(number);
      if (failure === undefined) asked?.resolve(reply as Reply);
      else
        asked?.reject(
          Object.assign(new Error(failure.message), failure.code === undefined ? {} : { code: failure.code }),
        );
    });
    worker.on('error', ends);
    worker.on('messageerror', ends);
    worker.on('exit', () => ends(new Error(`the ${this.#name} thread ended`)));
    return running;
  }

  /** The idle thread no longer keeps the process alive, and is ended after IDLE_MS. */
  #rest(running: Running<Reply>): void {
    running.worker.unref();
    this.#idle = setTimeout(() => void this.end(), IDLE_MS);
    this.#idle.unref();
  }
}

/**
 * Called in the thread: answers each ask with `answer`; `transfer` names the parts of a reply that are handed over
 * instead of copied.
 *
 * @param answer must give a sign of life before each of several calls that may be slow: a disk that holds up one of
 * them is given up
 */
export function answerAsks<Ask, Reply>(
  answer: (ask: Ask, giveSign: () => void) => Reply,
  transfer: (reply: Reply) => readonly ArrayBuffer[] = () => [],
): void {
  const port = parentPort;
  if (port === null) throw new Error('asks are answered in a worker thread only');
  const signs = workerData as Running<Reply>['signs'];
  const giveSign = (): void => void Atomics.add(signs, 0, 1);
  port.on('message', ({ number, ask }: Asked<Ask>) => {
    giveSign();
    let answered: Answered<Reply>;
    let handed: readonly ArrayBuffer[] = [];
    try {
      const reply = answer(ask, giveSign);
      answered = { number, reply };
      handed = transfer(reply);
    } catch (error) {
      const code = (error as { readonly code?: unknown }).code;
      const message = error instanceof Error ? error.message : String(error);
      answered = { number, failure: { message, code: typeof code === 'string' ? code : undefined } };
    }
    port.postMessage(answered, handed);
  });
}
