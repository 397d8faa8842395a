/**
 * Context: what a command has to work with: where to print and how, when to stop, which service to ask.
 *
 * Results go to stdout, as text or, with `--json`, as one JSON record a line; everything else (progress, warnings,
 * errors) goes to stderr. So a pipe always gets results and nothing else.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ClusterError } from '../core/fault.js';
import { serviceAt } from '../daemon/control-client.js';
import type { Service } from '../daemon/service.js';
import type { WritingCommand } from '../daemon/state-owner.js';
import {
  findStateFolder,
  newStateFolder,
  ownStateFolder,
  type StatePlaces,
  type StateSaid,
  stateCandidates,
  stateSaid,
} from './state-folder.js';
import { onTerminal, paragraphText, printable } from './text.js';

export interface JsonRecord {
  readonly message_type: string;
  readonly [field: string]: unknown;
}

export class Context {
  readonly json: boolean;
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  /** Runs something that starts another program on this terminal: until it ends, interrupts are for that program. */
  readonly handOver: <T>(work: () => Promise<T>) => Promise<T>;
  readonly #places: StatePlaces;

  constructor({
    json,
    signal,
    handOver,
    places,
  }: Pick<Context, 'handOver' | 'json' | 'signal'> & { readonly places: StatePlaces }) {
    this.json = json;
    this.signal = signal;
    this.handOver = handOver;
    this.#places = places;
  }

  /** Tables for people, rather than text for pipes. */
  get isTerminal(): boolean {
    return process.stdout.isTTY === true && !this.json;
  }

  /** A line of the result. Waits while the reader is slow. */
  async print(line: string): Promise<void> {
    await write(`${line}\n`);
  }

  /** A text of the result: in lines on a terminal, and in one line in a pipe, where it can be searched. */
  async printText(text: string): Promise<void> {
    await this.print(this.isTerminal ? onTerminal(text) : text);
  }

  /** A text of the result that a pipe gets as it is. On a terminal its control characters are seen, and do nothing. */
  async printAsIs(text: string): Promise<void> {
    await this.print(process.stdout.isTTY === true ? printable(text) : text);
  }

  /** A record of the result. */
  async record(record: JsonRecord): Promise<void> {
    await write(`${JSON.stringify(record)}\n`);
  }

  /** Bytes of the result, as they are. */
  async write(bytes: Uint8Array): Promise<void> {
    await write(bytes);
  }

  /** Something that a person should know and a pipe should not get. */
  note(line: string): void {
    process.stderr.write(`${paragraphText(line)}\n`);
  }

  get stateSaid(): StateSaid {
    return stateSaid(this.#places);
  }

  /** Where the state folder may be: these folders are not looked at yet. */
  get stateCandidates(): readonly string[] {
    return stateCandidates(this.#places);
  }

  /** @throws ClusterError NO_STATE_FOLDER, CONTROL_FORBIDDEN */
  stateFolder(): string {
    return findStateFolder(this.#places);
  }

  /** For `command` to write in. @throws ClusterError NO_STATE_FOLDER, CONTROL_FORBIDDEN, STATE_OF_ANOTHER_USER */
  ownStateFolder(command: WritingCommand): string {
    return ownStateFolder(this.#places, command);
  }

  /** The folder may exist already. @throws ClusterError CONTROL_FORBIDDEN, STATE_OF_ANOTHER_USER */
  newStateFolder(command: WritingCommand): string {
    return newStateFolder(this.#places, command);
  }

  /** The service of this host. Only its first call shows whether it runs. */
  service(): Service {
    return serviceAt(this.clusterFolder());
  }

  /** The state folder of a cluster. @throws ClusterError NO_STATE_FOLDER, NO_CLUSTER, CONTROL_FORBIDDEN */
  clusterFolder(): string {
    const folder = this.stateFolder();
    if (existsSync(join(folder, 'config')) || existsSync(join(folder, 'control.sock'))) return folder;
    throw new ClusterError(
      'NO_CLUSTER',
      `no cluster here: ${folder} holds none. Create one with 'cluster init --name NAME' or join one with 'cluster join TOKEN'.`,
      { blame: 'operator' },
    );
  }
}

/** Also resolves when the reader has closed the pipe: main.ts decides whether the command ends then. */
function write(text: string | Uint8Array): Promise<void> {
  return new Promise(resolve => {
    if (process.stdout.write(text, () => resolve())) resolve();
  });
}
