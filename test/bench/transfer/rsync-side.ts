/**
 * Rsync side: `rsync -a --delete` over ssh to two machines at the same time, as somebody would do it who keeps two copies
 * by a script. The time is that of the slower one.
 */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { atProcessEnd } from '../../helpers/at-process-end.js';
import { newTemporaryFolder } from '../../helpers/temporary-folder.js';
import { demandContents } from './demand-contents.js';
import type { Home } from './home.js';
import { measure, type Usage } from './meter.js';
import { makeNetwork, type Network, untilSent } from './network.js';
import { runCommand } from './run-command.js';
import { BELOW, type Folder, type Side } from './side.js';
import { Ssh } from './ssh.js';

const ORIGIN = 'ann';
const REPLICAS = ['ben', 'cleo'] as const;
const THIRD = 'dan';
const COPY_MS_MAX = 1_200_000;
/** From the end of one side of rsync to that of the other, at the most. */
const PARTIAL_KEPT_MS_MAX = 10_000;
/** Between two looks for what it keeps: of its time no more is lost. */
const LOOK_EVERY_MS = 5;
/** A server's rsync that was interrupted may still be writing its last file, 100 ms a try. */
const REMOVE_TRIES = 10;

export class RsyncSide implements Side {
  readonly tool;
  readonly #home: Home;
  readonly #options: readonly string[];
  readonly #folder = newTemporaryFolder();
  readonly #ends: (() => void)[] = [];
  readonly #network: Network;
  readonly #ssh: Ssh;

  constructor(home: Home, { fsync }: { readonly fsync: boolean }) {
    this.tool = fsync ? ('rsync --fsync' as const) : ('rsync' as const);
    this.#home = home;
    this.#options = ['-a', '--delete', ...(fsync ? ['--fsync'] : [])];
    const remove = (): void => rmSync(this.#folder, { recursive: true, force: true, maxRetries: REMOVE_TRIES });
    const forget = atProcessEnd(remove);
    this.#ends.push(forget, remove);
    this.#network = makeNetwork({ teardown: end => this.#ends.push(end) }, [ORIGIN, ...REPLICAS, THIRD]);
    this.#ssh = new Ssh(this.#folder, this.#network);
    this.#ends.push(() => this.#ssh.end());
  }

  get onLoopbackBecause(): string | undefined {
    return this.#network.because;
  }

  async start(): Promise<void> {
    const hosts = [...REPLICAS, THIRD];
    for (const host of hosts) mkdirSync(this.#replica(host, 'both'), { recursive: true });
    await this.#ssh.start(hosts);
  }

  /** It lies there as it should. */
  async know(): Promise<void> {}

  copy(folder: Folder): Promise<Usage> {
    return measure(this.#network.sentBytes, () => allEnded(REPLICAS.map(host => this.#push(folder, host))));
  }

  asShipped(work: () => Promise<Usage>): Promise<Usage> {
    return work();
  }

  copyInterrupted(folder: Folder, afterBytes: number): Promise<Usage> {
    const [victim, other] = REPLICAS;
    const cut = new AbortController();
    const pushTwice = async (): Promise<void> => {
      const partial = { signal: cut.signal, options: ['--partial'] };
      try {
        await this.#push(folder, victim, partial);
      } catch (error) {
        if (!cut.signal.aborted) throw error;
        // Its other end keeps what it got, under the file's name; else the next one would not find it.
        await untilKept(this.#replica(victim, folder));
        await this.#push(folder, victim, { options: ['--partial'] });
      }
    };
    const interrupt = async (): Promise<void> => {
      await untilSent(this.#network, afterBytes, { withinMs: COPY_MS_MAX });
      cut.abort();
    };
    return measure(this.#network.sentBytes, () => allEnded([pushTwice(), this.#push(folder, other), interrupt()]));
  }

  /** From one of the two: rsync has no way to ask both. */
  async restore(folder: Folder): Promise<Usage> {
    const [host] = REPLICAS;
    const target = join(this.#folder, 'restored');
    const usage = await measure(this.#network.sentBytes, () =>
      this.#rsync({
        on: THIRD,
        to: host,
        words: [`${this.#network.addressOf(host)}:${this.#replica(host, folder)}/`, target],
      }),
    );
    await demandContents({ of: this.#home.pathOf(folder), within: target });
    return usage;
  }

  addReplica(folder: Folder): Promise<Usage> {
    return measure(this.#network.sentBytes, () => this.#push(folder, THIRD));
  }

  /** Its script says where each folder goes. */
  async widen(): Promise<void> {}

  async verify(folders: readonly Folder[]): Promise<void> {
    for (const folder of folders) {
      for (const host of REPLICAS) {
        await demandContents({ of: this.#home.pathOf(folder), within: this.#replica(host, folder) });
      }
    }
  }

  async end(): Promise<void> {
    for (const end of this.#ends.reverse()) end();
  }

  #push(folder: Folder, host: string, more: Partial<RsyncRun> = {}): Promise<void> {
    const target = `${this.#network.addressOf(host)}:${this.#replica(host, folder)}/`;
    return this.#rsync({ on: ORIGIN, to: host, words: [`${this.#home.pathOf(folder)}/`, target], ...more });
  }

  async #rsync({ on, to, words, options = [], signal }: RsyncRun): Promise<void> {
    const rsync = ['rsync', ...this.#options, ...options, '-e', this.#ssh.commandTo(to), ...words];
    const limits = { withinMs: COPY_MS_MAX, ...(signal === undefined ? {} : { signal }) };
    await runCommand([...this.#network.on(on), ...rsync], limits);
  }

  #replica(host: string, folder: Folder): string {
    return join(this.#folder, host, BELOW[folder]);
  }
}

interface RsyncRun {
  readonly on: string;
  readonly to: string;
  /** From where, to where. */
  readonly words: readonly string[];
  readonly options?: readonly string[];
  /** Kills it. */
  readonly signal?: AbortSignal;
}

/** All to their end, also when one has failed: what is removed then must not be written to any more. */
async function allEnded(works: readonly Promise<void>[]): Promise<void> {
  for (const work of await Promise.allSettled(works)) if (work.status === 'rejected') throw work.reason;
}

/** rsync writes under a name that begins with a dot, and gives what it got the file's own name when it ends. */
async function untilKept(replica: string): Promise<void> {
  const untilMs = performance.now() + PARTIAL_KEPT_MS_MAX;
  const isKept = (): boolean =>
    readdirSync(replica).every(name => !name.startsWith('.')) && readdirSync(replica).length > 0;
  while (!isKept()) {
    if (performance.now() > untilMs) throw new Error(`rsync kept nothing in ${replica} of what was interrupted`);
    await delay(LOOK_EVERY_MS);
  }
}
