/**
 * A fleet of nets on loopback, each on a port of its own choosing, for tests. All are members of each other unless a test
 * says otherwise; `stop` runs when the test ends.
 */
import { randomBytes } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { type Logger, pino } from 'pino';
import { type ClusterId, type PeerName, parseClusterId } from '../../src/core/ids.js';
import type { Net, NetOptions } from '../../src/net/net.js';
import { startNet } from '../../src/net/start-net.js';

export const CLUSTER: ClusterId = parseClusterId('0123456789abcdef0123456789abcdef');

/** Long enough on a busy machine, short enough to fail a test before ava's own limit. */
export const WAIT_MS_MAX = 15_000;

export interface Host {
  readonly net: Net;
  readonly seed: Uint8Array;
  /** Its log lines as objects: `{ level, msg, … }`. */
  readonly lines: readonly Record<string, unknown>[];
}

/** Who is a member, for every net of one test; and whether strangers are welcome. */
export class House {
  readonly members = new Set<PeerName>();
  readonly cluster: ClusterId;
  strangersWelcome = false;
  readonly #t: ExecutionContext;

  constructor(t: ExecutionContext, cluster: ClusterId = CLUSTER) {
    this.#t = t;
    this.cluster = cluster;
  }

  /** A net whose gate admits this house's members; a member itself unless `member` is false. */
  async host({ member = true, ...options }: Partial<NetOptions> & { readonly member?: boolean } = {}): Promise<Host> {
    const lines: Record<string, unknown>[] = [];
    const seed = options.privateKeySeed ?? randomBytes(32);
    const net = await startNet({
      privateKeySeed: seed,
      boot: 1,
      listen: ['/ip4/127.0.0.1/tcp/0'],
      mdns: false,
      cluster: this.cluster,
      gate: { isMember: peer => this.members.has(peer), strangersWelcome: () => this.strangersWelcome },
      log: logInto(lines),
      knownAddresses: () => [],
      redialEveryMs: 100,
      ...options,
    });
    this.#t.teardown(() => net.stop());
    if (member) this.members.add(net.peer);
    return { net, seed, lines };
  }

  /** Members in one clique, all connected. */
  async clique(count: number, options: Partial<NetOptions> = {}): Promise<Host[]> {
    const hosts: Host[] = [];
    for (let i = 0; i < count; i++) hosts.push(await this.host(options));
    for (const [i, { net }] of hosts.entries()) for (const other of hosts.slice(i + 1)) await connect(net, other.net);
    return hosts;
  }
}

export function logInto(lines: Record<string, unknown>[]): Logger {
  return pino(
    { level: 'debug' },
    { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
  );
}

export function addressOf(net: Net): string {
  const [address] = net.addresses();
  if (address === undefined) throw new Error('this net does not listen');
  return address;
}

/** Connects two nets, and waits until each counts the other as connected. */
export async function connect(from: Net, to: Net): Promise<void> {
  await from.dial(addressOf(to));
  await until(() => from.connected().includes(to.peer) && to.connected().includes(from.peer), 'both to be connected');
}

/** Waits for something that comes by itself, looking every 5 ms. @throws when it has not come within `withinMs`. */
export async function until(what: () => boolean, name: string, withinMs = WAIT_MS_MAX): Promise<void> {
  const giveUpMs = Date.now() + withinMs;
  while (!what()) {
    if (Date.now() > giveUpMs) throw new Error(`waited in vain for ${name}`);
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}

/** Waits until a number has not changed for 100 ms: what is to come by itself has come. */
export async function settled(what: () => number): Promise<void> {
  let last = what();
  let sinceMs = Date.now();
  await until(() => {
    const now = what();
    if (now !== last) [last, sinceMs] = [now, Date.now()];
    return Date.now() - sinceMs >= 100;
  }, 'something to settle');
}
