/**
 * Hooks: programs that a source's policy names and that run around its snapshots, so that what is backed up is
 * consistent: a database's dump, say. The policy has only a name; the program lies on the source's own host, in
 * `STATE/hooks`, so that somebody who can change the policy cannot run whatever they like there.
 *
 * A hook has no arguments and no input. Its environment has the source's folder and what the hook is about. Its output
 * goes into the log; if it fails, the end of the output goes into the error. When its time is up, the hook and all
 * that it started are ended, except what it started as another user, which this service may not end: then the service
 * stops waiting for it and tells a person.
 */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { ClusterError, messageOf } from '../core/fault.js';
import { type ProgramEnd, runToEnd } from './program-run.js';

export type HookMoment = 'before' | 'after' | 'onFailure';

export interface HookCall {
  readonly name: string;
  readonly moment: HookMoment;
  /** The source's name and folder. */
  readonly source: string;
  readonly path: string;
  readonly timeoutMs: number;
  /** More for its environment: what is known by that moment. */
  readonly more?: Readonly<Record<string, string>>;
}

/** Length of the end of a hook's output that an error quotes. */
const OUTPUT_CHARACTERS_TOLD = 500;
/** The variables of this service's environment that a hook gets: no service's secrets. */
const PASSED_ON = ['PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR'];
const GROUP_OR_OTHERS_WRITE = 0o022;
const ANY_EXECUTE = 0o111;

export class Hooks {
  readonly #folder: string;
  readonly #log: Logger;

  constructor({ stateDir, log }: { readonly stateDir: string; readonly log: Logger }) {
    this.#folder = join(stateDir, 'hooks');
    this.#log = log;
  }

  /** @throws ClusterError HOOK_FAILED; the signal's reason, once the hook has ended */
  async run(call: HookCall, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const file = await this.#programOf(call);
    const started = performance.now();
    const ended = await runToEnd({ file, environment: environmentOf(call), timeoutMs: call.timeoutMs, signal });
    const spentMs = Math.round(performance.now() - started);
    const { name, moment, source } = call;
    this.#log.info({ code: 'HOOK_RAN', source, hook: name, moment, spentMs, ...ended }, 'a hook has ended');
    if (ended.leftRunning)
      this.#log.warn(
        { code: 'HOOK_LEFT_RUNNING', source, hook: name, moment },
        'what a hook runs as another user goes on: this service may not end it',
      );
    signal.throwIfAborted();
    const why = whatWentWrong(ended, call.timeoutMs);
    if (why !== undefined) throw failed(call, `${why}${toldOutput(ended.output)}`);
  }

  async #programOf(call: HookCall): Promise<string> {
    const file = join(this.#folder, call.name);
    // Not the target of a link: somebody else may be able to change that.
    const found = await lstat(file).catch((error: unknown) => {
      throw failed(call, `there is no ${file} (${messageOf(error)})`);
    });
    if (!found.isFile() || (found.mode & ANY_EXECUTE) === 0) throw failed(call, `${file} is no executable file`);
    const isOurs = found.uid === 0 || found.uid === process.getuid?.();
    if (!isOurs || (found.mode & GROUP_OR_OTHERS_WRITE) !== 0)
      throw failed(
        call,
        `${file} can be changed by others: it must belong to root or the service's user, and only its owner may write it`,
      );
    return file;
  }
}

function environmentOf({ source, path, moment, more = {} }: HookCall): Record<string, string> {
  const passed = PASSED_ON.flatMap(name => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(passed), CLUSTER_SOURCE: source, CLUSTER_PATH: path, CLUSTER_HOOK: moment, ...more };
}

function whatWentWrong(
  { exitCode, killedBy, timedOut, leftRunning, fault }: ProgramEnd,
  timeoutMs: number,
): string | undefined {
  if (fault !== undefined) return `it could not be started: ${fault}`;
  const rest = leftRunning ? ', but for what it runs as another user: that goes on' : '';
  if (timedOut) return `it was not done after ${Math.round(timeoutMs / 1_000)} s and was ended${rest}`;
  if (killedBy !== null) return `it was ended by ${killedBy}`;
  return exitCode === 0 ? undefined : `it ended with ${exitCode}`;
}

const toldOutput = (output: string): string =>
  output === '' ? '' : `; the end of what it said: ${output.slice(-OUTPUT_CHARACTERS_TOLD)}`;

const failed = ({ name, moment, source }: HookCall, why: string): ClusterError =>
  new ClusterError('HOOK_FAILED', `source ${source}: its ${moment} hook ${name} failed: ${why}`, { blame: 'operator' });
