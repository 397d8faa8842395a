/**
 * Our side: real services, one a machine, and the real commands. A copy's time is that of `backup --wait`: from the command's
 * start, through the scan, until the origin says that the snapshot is protected, which means two durable copies.
 *
 * The policy's waiting times are the demo's, set by `config apply`; but where nearly nothing moves, and waiting is all that is
 * measured, they are those that are shipped. Sources are configured while their folders are as good
 * as empty, for a source is backed up at once when it is new.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import type { LoopDelayReport } from '../../../src/daemon/loop-delay.js';
import type { StatusReport } from '../../../src/daemon/service.js';
import { contentsOf, countCopies } from '../../helpers/count-copies.js';
import { type Launch, type Plan, RealCluster } from '../../helpers/real-cluster.js';
import { demandContents } from './demand-contents.js';
import { type Home, TREES } from './home.js';
import { measure, type Usage } from './meter.js';
import { makeNetwork, type Network, untilSent } from './network.js';
import { peaks, residentBytes } from './processes.js';
import { rawStreams } from './raw-streams.js';
import type { Folder, Side } from './side.js';

const ORIGIN = 'ann';
const FIRST_HOLDERS = ['ben', 'cleo'] as const;
const THIRD = 'dan';
const FIFTH = 'eve';
const COPIES = 2;

/** As the demo's; but nobody dies here, and a busy machine must not look as if. */
const TIMING = {
  heartbeat: '500ms',
  heartbeatPerHost: '100ms',
  suspect: '20s',
  redial: '2s',
  dead: '60s',
  lastPlace: '1s',
  claimWait: '400ms',
  step: '1s',
  repairStep: '200ms',
  // The plain trees of the stores are for people to browse, which nobody does here.
  treeQuiet: '10m',
};
const COMMAND_MS_MAX = 1_200_000;
const PREPARE_MS_MAX = 600_000;
const GAUGE_MS_MAX = 30_000;
const LIMIT = '1 TB';
const GAUGE = new URL('./loop-gauge.js', import.meta.url).href;

/** What the services were like under all of a round's works. */
export interface Load {
  /** Over what it had when it was idle and empty, of the host with most, in bytes. */
  readonly overIdleBytes: number;
  /** Of the host with the worst. */
  readonly loop: LoopDelayReport;
}

export class OurSide implements Side {
  readonly tool = 'scatterhoard';
  readonly #home: Home;
  readonly #ends: (() => unknown)[] = [];
  readonly #cluster: RealCluster;
  readonly #network: Network;
  readonly #copies = new Map<Folder, number>();
  readonly #idleBytes = new Map<number, number>();
  #holders: readonly string[] = FIRST_HOLDERS;
  #folders: readonly Folder[] = TREES;
  #isAsShipped = false;
  #names: readonly string[] = [ORIGIN, ...FIRST_HOLDERS];
  #overIdleBytes = 0;
  #loop: LoopDelayReport = { p99Ms: 0, maxMs: 0 };

  constructor(home: Home) {
    this.#home = home;
    const ends = {
      teardown: (end: () => unknown): void => {
        this.#ends.push(end);
      },
    };
    this.#network = makeNetwork(ends, [ORIGIN, ...FIRST_HOLDERS, THIRD, FIFTH]);
    this.#cluster = new RealCluster(ends);
  }

  get onLoopbackBecause(): string | undefined {
    return this.#network.because;
  }

  async start(): Promise<void> {
    mkdirSync(this.#gauges);
    const launches = Object.fromEntries([ORIGIN, ...FIRST_HOLDERS].map(name => [name, this.#launch(name)]));
    await this.#cluster.found([ORIGIN, ...FIRST_HOLDERS], launches);
    await this.#apply();
    this.#rememberIdle();
  }

  async know(folder: Folder): Promise<void> {
    if (this.#folders.includes(folder)) return;
    this.#folders = [...this.#folders, folder];
    await this.#apply();
  }

  copy(folder: Folder): Promise<Usage> {
    return this.#measureLoaded(() => this.#backUp(folder));
  }

  async asShipped(work: () => Promise<Usage>): Promise<Usage> {
    this.#isAsShipped = true;
    await this.#apply();
    try {
      return await work();
    } finally {
      this.#isAsShipped = false;
      await this.#apply();
    }
  }

  copyInterrupted(folder: Folder, afterBytes: number): Promise<Usage> {
    const [victim] = FIRST_HOLDERS;
    const interrupt = async (): Promise<void> => {
      await untilSent(this.#network, afterBytes, { withinMs: COMMAND_MS_MAX });
      await this.#cluster.host(victim).kill();
      await this.#cluster.host(victim).up();
      this.#rememberIdle();
    };
    return this.#measureLoaded(async () => {
      await Promise.all([this.#backUp(folder), interrupt()]);
    });
  }

  /** The origin is off meanwhile: a machine that is gone is why somebody restores. */
  async restore(folder: Folder): Promise<Usage> {
    await this.#join(THIRD);
    const origin = this.#cluster.host(ORIGIN);
    await origin.stop();
    const target = this.#cluster.path('restored');
    const usage = await this.#measureLoaded(async () => {
      await this.#cluster.host(THIRD).ok('restore', folder, '--target', target);
    });
    await demandContents({ of: this.#home.pathOf(folder), within: target });
    rmSync(target, { recursive: true });
    await origin.up();
    this.#rememberIdle();
    await this.#untilProtected();
    return usage;
  }

  async addReplica(folder: Folder): Promise<Usage> {
    await this.#lend(THIRD);
    this.#copies.set(folder, COPIES + 1);
    const wait = ['--wait', 'protected', '--timeout', `${COMMAND_MS_MAX / 1000}s`];
    return this.#measureLoaded(async () => {
      await this.#cluster.apply(this.#plan());
      await this.#cluster.host(ORIGIN).ok('status', ...wait);
    });
  }

  async widen(): Promise<void> {
    for (const name of [THIRD, FIFTH]) {
      await this.#join(name);
      await this.#lend(name);
    }
  }

  async verify(folders: readonly Folder[]): Promise<void> {
    const { copies, wrong } = await countCopies(this.#holders.map(host => ({ host, path: this.#store(host) })));
    if (wrong.length > 0) throw new Error(`scatterhoard: ${wrong[0]}`);
    for (const folder of folders) {
      const wanted = [...(await contentsOf(this.#home.pathOf(folder))).keys()];
      const least = this.#copies.get(folder) ?? COPIES;
      const short = wanted.filter(hash => (copies.get(hash)?.hosts.length ?? 0) < least).length;
      if (short > 0) throw new Error(`scatterhoard: ${short} contents of ${folder} have fewer than ${least} copies`);
    }
  }

  /** How long raw libp2p streams take to carry so many bytes from the origin to both receivers, on the same machines. */
  rawStreamsS(bytes: number): Promise<number> {
    return rawStreams(this.#network, { from: ORIGIN, to: FIRST_HOLDERS, bytes });
  }

  get load(): Load {
    return { overIdleBytes: this.#overIdleBytes, loop: this.#loop };
  }

  async end(): Promise<void> {
    for (const end of this.#ends.reverse()) await end();
  }

  async #backUp(folder: Folder): Promise<void> {
    await this.#cluster.host(ORIGIN).ok('backup', folder, '--wait', '--timeout', `${COMMAND_MS_MAX / 1000}s`);
  }

  // ------------------------------------------------------------------------------------------------------------- the cluster

  #launch(name: string): Launch {
    const gauge = ['env', `NODE_OPTIONS=--import=${GAUGE}`, `LOOP_GAUGE=${this.#gauges}`];
    const launch = {
      by: [...this.#network.on(name), ...gauge],
      // It ends by its own --timeout before.
      commandMsMax: COMMAND_MS_MAX + PREPARE_MS_MAX,
    };
    if (this.#network.because !== undefined) return launch;
    return { ...launch, up: ['--no-mdns', '--listen', `/ip4/${this.#network.addressOf(name)}/tcp/4747`] };
  }

  async #join(name: string): Promise<void> {
    if (this.#names.includes(name)) return;
    const host = this.#cluster.add(name, this.#launch(name));
    await host.ok('join', await this.#cluster.host(ORIGIN).invite(), '--host', name);
    await host.up();
    this.#names = [...this.#names, name];
    const count = this.#names.length;
    await host.sees('all others', ({ hosts }) => hosts.filter(({ state }) => state === 'active').length === count);
    // Else it might be asked for what it has not heard of yet.
    await this.#untilProtected(name);
    this.#rememberIdle();
  }

  async #lend(name: string): Promise<void> {
    if (this.#holders.includes(name)) return;
    this.#holders = [...this.#holders, name];
    await this.#apply();
    await this.#cluster
      .host(ORIGIN)
      .sees(`the room of ${name}`, ({ hosts }) => hosts.some(host => host.name === name && host.lentBytes > 0));
  }

  async #apply(): Promise<void> {
    await this.#cluster.apply(this.#plan());
    await this.#untilProtected();
  }

  #plan(): Plan {
    const stores = this.#holders.map(name => {
      const path = this.#cluster.makeFolder(`${name}.store`);
      return [name, { stores: [{ path, limit: LIMIT }] }] as const;
    });
    const sources = this.#folders.map(folder => {
      const copies = this.#copies.get(folder) ?? COPIES;
      // No snapshot but those that are asked for.
      return [folder, { path: this.#home.pathOf(folder), copies, every: '7d' }] as const;
    });
    const hosts = { ...Object.fromEntries(stores), [ORIGIN]: { sources: Object.fromEntries(sources) } };
    return { defaults: { copies: COPIES }, hosts, ...(this.#isAsShipped ? { asShipped: true } : { timing: TIMING }) };
  }

  /** In the eyes of that host. */
  async #untilProtected(name: string = ORIGIN): Promise<void> {
    const isReady = ({ sources, protected: all }: StatusReport): boolean =>
      all && sources.length === this.#folders.length && sources.every(({ lastSnapshot }) => lastSnapshot !== undefined);
    await this.#cluster.host(name).sees('everything protected', isReady, PREPARE_MS_MAX);
  }

  get #pids(): number[] {
    return this.#names.flatMap(name => this.#cluster.host(name).pid ?? []);
  }

  #store(name: string): string {
    return this.#cluster.path(`${name}.store`);
  }

  // ------------------------------------------------------------------------------------------------------- under their load

  async #measureLoaded(work: () => Promise<void>): Promise<Usage> {
    await this.#loopDelays();
    const usage = await measure(this.#network.sentBytes, work);
    const peakOf = peaks();
    for (const [pid, idleBytes] of this.#idleBytes) {
      this.#overIdleBytes = Math.max(this.#overIdleBytes, (peakOf.get(pid) ?? 0) - idleBytes);
    }
    for (const { p99Ms, maxMs } of await this.#loopDelays()) {
      this.#loop = { p99Ms: Math.max(this.#loop.p99Ms, p99Ms), maxMs: Math.max(this.#loop.maxMs, maxMs) };
    }
    return usage;
  }

  /** Of every service that is new since the last time. */
  #rememberIdle(): void {
    for (const pid of this.#pids) if (!this.#idleBytes.has(pid)) this.#idleBytes.set(pid, residentBytes(pid));
  }

  get #gauges(): string {
    return this.#cluster.path('gauges');
  }

  /** Since they were asked last, of each service. */
  async #loopDelays(): Promise<LoopDelayReport[]> {
    const delays: LoopDelayReport[] = [];
    for (const pid of this.#pids) {
      const file = `${this.#gauges}/${pid}`;
      process.kill(pid, 'SIGUSR2');
      await this.#cluster.until(`the gauge of process ${pid}`, () => existsSync(file), { withinMs: GAUGE_MS_MAX });
      delays.push(JSON.parse(readFileSync(file, 'utf8')) as LoopDelayReport);
      rmSync(file);
    }
    return delays;
  }
}
