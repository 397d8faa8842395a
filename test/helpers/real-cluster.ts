/**
 * Real cluster: hosts as real service processes of the built program, each with its own state folder, all below one
 * temporary folder. Nothing is faked: they find each other, talk and write as they would at home; only `timing` is
 * short, and it is set by `config apply`, as anybody could.
 *
 * Whatever a test does, every process is ended by its pid and the folder is removed. A test always waits for a
 * condition, within a bound; when the time is up, the error names the condition and shows the ends of the hosts' logs.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { stringify } from 'yaml';
import { serviceAt } from '../../src/daemon/control-client.js';
import type { Service, StatusReport } from '../../src/daemon/service.js';
import { initCluster } from '../../src/membership/init-cluster.js';
import { atProcessEnd } from './at-process-end.js';
import { newTemporaryFolder } from './temporary-folder.js';

export const MAIN = fileURLToPath(new URL('../../src/cli/cluster.cjs', import.meta.url));

/** Far above what any step takes on two busy cores: a hang fails the test, slowness does not. */
const STEP_MS_MAX = 60_000;
const LOOK_EVERY_MS = 100;
/** Longer than any test. */
const INVITE_MS = 3_600_000;
/**
 * … for what a service has printed, which costs nothing to look at: `LOOK_EVERY_MS` would lose half of itself on
 * average, a twentieth of a service's start.
 */
const LOOK_AT_OUTPUT_EVERY_MS = 5;
/** How much of each host's log an error shows. */
const LOG_LINES_TOLD = 25;
const LOG_LINE_CHARACTERS_TOLD = 600;

/**
 * Short, but with room for a machine that is busy with other tests: a service that gets no processor time for seconds
 * must not be taken for dead.
 */
const QUICK_TIMING = {
  heartbeat: '500ms',
  heartbeatPerHost: 0,
  suspect: '3s',
  redial: '3s',
  dead: '8s',
  lastPlace: '1s',
  claimWait: '500ms',
  step: '600ms',
  repairStep: '300ms',
  claim: '10s',
  treeQuiet: '300ms',
  treeEvery: '1s',
} as const;

export interface SourcePlan {
  readonly path: string;
  readonly copies?: number;
  readonly every?: string;
  readonly jitter?: string;
  readonly watch?: boolean;
  readonly exclude?: readonly string[];
  readonly keep?: Readonly<Record<string, number>>;
  readonly brake?: string;
  readonly before?: string;
  readonly after?: string;
  readonly onFailure?: string;
}

/** What `config apply` is given, apart from the cluster's name and the timing. */
export interface Plan {
  readonly defaults?: { readonly copies?: number };
  readonly hosts: Readonly<
    Record<
      string,
      {
        readonly domain?: string;
        readonly stores?: readonly { readonly path: string; readonly limit?: string }[];
        readonly sources?: Readonly<Record<string, SourcePlan>>;
      }
    >
  >;
  readonly timing?: Readonly<Record<string, string | number>>;
  /** All waiting times that are not given are the service's own: else they are short. */
  readonly asShipped?: boolean;
}

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** How a host's processes are started: as which user, or in which network. Each must `exec`, so that the pid stays. */
export interface Launch {
  readonly by?: readonly string[];
  /** The uid and gid that `by` gives it, so that its folders can be made for it. */
  readonly owner?: number;
  /** Options of `up`, instead of a loopback address and no mDNS. */
  readonly up?: readonly string[];
  /** How long one of its commands may take, in ms; default `COMMAND_MS_MAX`. */
  readonly commandMsMax?: number;
}

export class RealCluster {
  readonly folder: string;
  readonly #hosts = new Map<string, RealHost>();

  constructor(t: { teardown(end: () => Promise<void>): void }) {
    // The name is short, because a socket's path must be. Open to hosts that run as other users.
    this.folder = newTemporaryFolder();
    chmodSync(this.folder, 0o755);
    const forget = atProcessEnd(() => this.killNow());
    t.teardown(async () => {
      await Promise.all([...this.#hosts.values()].map(host => host.kill()));
      rmSync(this.folder, { recursive: true, force: true });
      forget();
    });
  }

  path(...names: readonly string[]): string {
    return join(this.folder, ...names);
  }

  /** Adds a host that is not a member yet. */
  add(name: string, launch: Launch = {}): RealHost {
    const host = new RealHost(this, name, launch);
    this.#hosts.set(name, host);
    return host;
  }

  host(name: string): RealHost {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new Error(`the test made no host ${name}`);
    return host;
  }

  /**
   * The first host founds the cluster `home` and is its admin, the others join; then all run. Where it can, this does
   * by itself what the commands would do, because a command that joins costs as much as starting a service. The
   * commands are tested in test/cli, admission and refusals.
   */
  async found<const Names extends readonly [string, ...string[]]>(
    names: Names,
    launches: Readonly<Record<string, Launch>> = {},
  ): Promise<{ readonly [Index in keyof Names]: RealHost }> {
    const hosts = names.map(name => this.add(name, launches[name]));
    const [founder, ...others] = hosts as [RealHost, ...RealHost[]];
    await founder.init();
    await founder.up();
    if (others.length > 0) {
      const order = { uses: others.length, expiresMs: INVITE_MS, trust: 'trusted' } as const;
      const { token } = await founder.service().invite(order, AbortSignal.timeout(STEP_MS_MAX));
      await Promise.all(
        others.map(async host => {
          await host.join(token);
          await host.up();
        }),
      );
    }
    return hosts as unknown as { readonly [Index in keyof Names]: RealHost };
  }

  /** Puts a policy in force, through a host that has an admin key; default: the first host. */
  async apply(plan: Plan, { by, yes = false }: { readonly by?: RealHost; readonly yes?: boolean } = {}): Promise<void> {
    const [first] = this.#hosts.values();
    const admin = by ?? first;
    if (admin === undefined) throw new Error('there is no host yet');
    const text = readFileSync(this.policyFile(plan), 'utf8');
    await admin.service().configApply({ text, fileName: 'policy.yaml', yes }, AbortSignal.timeout(STEP_MS_MAX));
  }

  policyFile(plan: Plan): string {
    const file = this.path('policy.yaml');
    const { timing: given = {}, asShipped = false, ...rest } = plan;
    const timing = asShipped ? given : { ...QUICK_TIMING, ...given };
    writeFileSync(file, stringify({ cluster: 'home', ...rest, timing }), {
      mode: 0o644,
    });
    return file;
  }

  makeFolder(name: string, { mode = 0o755, owner }: { readonly mode?: number; readonly owner?: number } = {}): string {
    const path = this.path(name);
    mkdirSync(path, { recursive: true, mode });
    if (owner !== undefined) chownSync(path, owner, owner);
    return path;
  }

  /** Waits until `condition` returns something. @throws with the ends of all logs when it has not by then */
  async until<T>(
    what: string,
    condition: () => Promise<T | undefined | false> | T | undefined | false,
    { withinMs = STEP_MS_MAX, everyMs = LOOK_EVERY_MS }: { readonly withinMs?: number; readonly everyMs?: number } = {},
  ): Promise<T> {
    const untilMs = Date.now() + withinMs;
    for (;;) {
      const found = await condition();
      if (found !== undefined && found !== false) return found;
      if (Date.now() >= untilMs) throw new Error(`not within ${withinMs} ms: ${what}\n${this.logs()}`);
      await delay(everyMs);
    }
  }

  /** The ends of all hosts' logs. */
  logs(): string {
    return [...this.#hosts.values()].map(host => `--- ${host.name}\n${host.logTail()}`).join('\n');
  }

  /** Removes everything at once, when this process ends without the test's teardown. */
  killNow(): void {
    for (const host of this.#hosts.values()) host.killNow();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export class RealHost {
  readonly name: string;
  readonly state: string;
  readonly #cluster: RealCluster;
  readonly #launch: Launch;
  readonly #commands = new Set<ChildProcess>();
  #service: { readonly child: ChildProcess; readonly ended: Promise<number | null> } | undefined;
  #addresses: readonly string[] = [];

  constructor(cluster: RealCluster, name: string, launch: Launch) {
    this.#cluster = cluster;
    this.name = name;
    this.state = cluster.path(`${name}.state`);
    this.#launch = launch;
    const { owner } = launch;
    if (owner !== undefined) cluster.makeFolder(`${name}.state`, { mode: 0o700, owner });
  }

  /** Where the host listened when it last became ready. */
  get addresses(): readonly string[] {
    return this.#addresses;
  }

  get pid(): number | undefined {
    return this.#service?.child.pid;
  }

  // --------------------------------------------------------------------------------------------------------- membership

  /** Does what `cluster init` does. */
  async init(): Promise<void> {
    if (this.#launch.by !== undefined) {
      await this.ok('init', '--name', 'home', '--host', this.name);
      return;
    }
    await initCluster({ stateDir: this.state, clusterName: 'home', hostName: this.name, nowMs: Date.now() });
  }

  /** Does what `cluster join` does. */
  async join(token: string): Promise<void> {
    if (this.#launch.by !== undefined) {
      await this.ok('join', token, '--host', this.name);
      return;
    }
    // Loading the network code takes a second of work, which a cluster of one host can do without.
    const { joinCluster } = await import('../../src/membership/join-cluster.js');
    const log = pino({ level: 'silent' });
    await joinCluster({ token, stateDir: this.state, hostName: this.name, mdns: false, clock: Date.now, log });
  }

  // ------------------------------------------------------------------------------------------------------------- service

  /** Starts the service; returns when it is ready. It listens where it did before, as a real one does. */
  async up(...args: readonly string[]): Promise<void> {
    if (this.#service !== undefined) throw new Error(`${this.name} runs already`);
    const { up = ['--no-mdns', '--listen', this.#listenAgain()] } = this.#launch;
    const log = openSync(this.#logFile, 'a');
    const [command, words] = this.#command(['--json', 'up', ...up, ...args]);
    const child = spawn(command, words, { env: ENVIRONMENT, stdio: ['ignore', 'pipe', log] });
    closeSync(log);
    const ended = new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    const service = { child, ended };
    this.#service = service;
    const forgotten = ended.then(
      code => {
        if (this.#service === service) this.#service = undefined;
        return code;
      },
      () => null,
    );

    let out = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      out += chunk;
    });
    let code: number | null | undefined;
    void forgotten.then(given => {
      code = given;
    });
    const ready = await this.#cluster.until(
      `${this.name} is ready`,
      () => {
        if (code !== undefined)
          throw new Error(`${this.name} ended with ${code} before it was ready\n${this.logTail()}`);
        const end = out.indexOf('\n');
        return end >= 0 && out.slice(0, end);
      },
      { everyMs: LOOK_AT_OUTPUT_EVERY_MS },
    );
    this.#addresses = (JSON.parse(ready) as { readonly addresses: readonly string[] }).addresses;
  }

  /** SIGKILL, as when the plug is pulled. */
  async kill(): Promise<void> {
    const service = this.#service;
    this.killNow();
    await service?.ended;
    this.#service = undefined;
  }

  killNow(): void {
    this.#service?.child.kill('SIGKILL');
    for (const command of this.#commands) command.kill('SIGKILL');
  }

  /** SIGTERM, as a service manager does; it must end cleanly. */
  async stop(): Promise<void> {
    const service = this.#service;
    if (service === undefined) throw new Error(`${this.name} does not run`);
    service.child.kill('SIGTERM');
    const late = new AbortController();
    const code = await Promise.race([service.ended, delay(STEP_MS_MAX, 'late' as const, { signal: late.signal })]);
    late.abort();
    if (code !== 0) throw new Error(`${this.name} was stopped and ended with ${code}\n${this.logTail()}`);
    this.#service = undefined;
  }

  // ------------------------------------------------------------------------------------------------------------ commands

  /** Runs the real command on this host, to its end. */
  run(...args: readonly string[]): Promise<Ended> {
    return new Promise((resolve, reject) => {
      const [command, words] = this.#command(args);
      const { commandMsMax: timeout = COMMAND_MS_MAX } = this.#launch;
      const child = spawn(command, words, { env: ENVIRONMENT, timeout, killSignal: 'SIGKILL' });
      this.#commands.add(child);
      const out: Buffer[] = [];
      const err: Buffer[] = [];
      child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
      child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
      child.on('error', reject);
      child.on('close', code => {
        this.#commands.delete(child);
        resolve({ code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() });
      });
      child.stdin.end();
    });
  }

  /** Runs a command that must end with 0. Returns what it printed. */
  async ok(...args: readonly string[]): Promise<string> {
    const { code, out, err } = await this.run(...args);
    if (code === 0) return out;
    throw new Error(`${this.name}: cluster ${args.join(' ')} ended with ${code}\n${out}${err}${this.#cluster.logs()}`);
  }

  /** Runs a command that must end with 0. Returns its records. */
  async records(...args: readonly string[]): Promise<JsonRecord[]> {
    return recordsOf(await this.ok('--json', ...args));
  }

  async invite(uses = 1, ...args: readonly string[]): Promise<string> {
    return (await this.ok('invite', '--uses', String(uses), ...args)).trim();
  }

  /** The service that its commands ask, over the socket, without the cost of a process. */
  service(): Service {
    return serviceAt(this.state);
  }

  status(): Promise<StatusReport> {
    return this.service().status(AbortSignal.timeout(STEP_MS_MAX));
  }

  /** Waits until this host's view of the cluster is as wanted. */
  async sees(what: string, is: (status: StatusReport) => boolean, withinMs = STEP_MS_MAX): Promise<StatusReport> {
    return this.#cluster.until(
      `${this.name} sees ${what}`,
      async () => {
        const status = await this.status();
        return is(status) && status;
      },
      { withinMs },
    );
  }

  // ---------------------------------------------------------------------------------------------------------------- logs

  get #logFile(): string {
    return this.#cluster.path(`${this.name}.log`);
  }

  /** Everything it logged, over all its starts. */
  log(): JsonRecord[] {
    return existsSync(this.#logFile) ? recordsOf(readFileSync(this.#logFile, 'utf8')) : [];
  }

  logTail(): string {
    if (!existsSync(this.#logFile)) return '(never started)';
    const lines = readFileSync(this.#logFile, 'utf8').trimEnd().split('\n');
    return lines
      .slice(-LOG_LINES_TOLD)
      .map(line => line.slice(0, LOG_LINE_CHARACTERS_TOLD))
      .join('\n');
  }

  #listenAgain(): string {
    return this.#addresses[0]?.replace(/\/p2p\/.*$/, '') ?? '/ip4/127.0.0.1/tcp/0';
  }

  #command(args: readonly string[]): [string, string[]] {
    const [command = '', ...words] = [...(this.#launch.by ?? []), process.execPath, MAIN, '--state', this.state];
    return [command, [...words, ...args]];
  }
}

/** For one command: above every `--timeout` that a test gives. */
const COMMAND_MS_MAX = 90_000;

const ENVIRONMENT = {
  PATH: process.env.PATH,
  HOME: '/nonexistent',
  XDG_STATE_HOME: '/nonexistent',
  TZ: 'UTC',
};

export type JsonRecord = Readonly<Record<string, unknown>>;

/** Lines that are not JSON come from a crash; the tail of the log shows them. */
const recordsOf = (text: string): JsonRecord[] =>
  text
    .split('\n')
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line) as JsonRecord);
