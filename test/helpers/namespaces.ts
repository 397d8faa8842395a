/**
 * Namespaces: machines with a network card each, on one switch, made of Linux network namespaces: a bridge in a
 * namespace of its own, and a veth cable to each host. None of it is visible outside. It needs root and iproute2.
 *
 * Names contain this process's id and the switch's number, so that several switches do not collide; everything is
 * removed with the test, or with its process.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { atProcessEnd } from './at-process-end.js';

const COMMAND_MS_MAX = 20_000;

export type Made =
  | { readonly kind: 'made'; readonly net: Namespaces }
  | { readonly kind: 'impossible'; readonly because: string };

export class Namespaces {
  readonly #hosts: readonly string[];
  readonly #prefix: string;
  static #switches = 0;

  private constructor(hosts: readonly string[]) {
    this.#hosts = hosts;
    Namespaces.#switches += 1;
    this.#prefix = `sh${process.pid}-${Namespaces.#switches}`;
  }

  /** One machine per name, at addresses from 10.47.0.1 on. */
  static make(t: { teardown(end: () => void): void }, hosts: readonly string[]): Made {
    const because = whyNot();
    if (because !== undefined) return { kind: 'impossible', because };
    const net = new Namespaces(hosts);
    const forget = atProcessEnd(() => net.#remove());
    t.teardown(() => {
      net.#remove();
      forget();
    });
    net.#make();
    return { kind: 'made', net };
  }

  /** The command that a program is started with to run on that machine; the pid stays the same. */
  on(host: string): readonly string[] {
    return ['ip', 'netns', 'exec', this.#space(host)];
  }

  addressOf(host: string): string {
    return `10.47.0.${this.#hosts.indexOf(host) + 1}`;
  }

  /** Bytes that have left this host's card so far, headers included. */
  sentBytes(host: string): number {
    const out = ip('-n', this.#space(host), '-s', '-j', 'link', 'show', 'dev', 'eth0');
    const [card] = JSON.parse(out) as [{ readonly stats64: { readonly tx: { readonly bytes: number } } }];
    return card.stats64.tx.bytes;
  }

  /** Pulls a host's cable out at the switch. */
  cut(host: string): void {
    ip('-n', this.#switch, 'link', 'set', this.#port(host), 'down');
  }

  heal(host: string): void {
    ip('-n', this.#switch, 'link', 'set', this.#port(host), 'up');
  }

  /** What a host sends to another one is lost from now on; what it is sent by that one still comes. */
  mute(host: string, to: string): void {
    ip('-n', this.#space(host), 'route', 'add', 'blackhole', `${this.addressOf(to)}/32`);
  }

  unmute(host: string, to: string): void {
    ip('-n', this.#space(host), 'route', 'del', 'blackhole', `${this.addressOf(to)}/32`);
  }

  get #switch(): string {
    return `${this.#prefix}-switch`;
  }

  #space(host: string): string {
    if (!this.#hosts.includes(host)) throw new Error(`the test made no machine ${host}`);
    return `${this.#prefix}-${host}`;
  }

  #port(host: string): string {
    return `port${this.#hosts.indexOf(host)}`;
  }

  #make(): void {
    const hub = this.#switch;
    ip('netns', 'add', hub);
    ip('-n', hub, 'link', 'set', 'lo', 'up');
    // Like a plain switch, it forwards multicast to every machine.
    ip('-n', hub, 'link', 'add', 'br0', 'type', 'bridge', 'mcast_snooping', '0');
    ip('-n', hub, 'link', 'set', 'br0', 'up');
    for (const host of this.#hosts) {
      const [space, port] = [this.#space(host), this.#port(host)];
      ip('netns', 'add', space);
      ip('-n', space, 'link', 'set', 'lo', 'up');
      ip('link', 'add', 'eth0', 'netns', space, 'type', 'veth', 'peer', 'name', port, 'netns', hub);
      ip('-n', space, 'addr', 'add', `${this.addressOf(host)}/24`, 'dev', 'eth0');
      ip('-n', space, 'link', 'set', 'eth0', 'up');
      // Without a default route mDNS has nowhere to go.
      ip('-n', space, 'route', 'add', '224.0.0.0/4', 'dev', 'eth0');
      ip('-n', hub, 'link', 'set', port, 'master', 'br0');
      ip('-n', hub, 'link', 'set', port, 'up');
    }
  }

  #remove(): void {
    // A cable is removed with its ends. One that was never made is not a failure.
    for (const space of [...this.#hosts.map(host => this.#space(host)), this.#switch]) {
      spawnSync('ip', ['netns', 'del', space], { timeout: COMMAND_MS_MAX });
    }
  }
}

function ip(...args: readonly string[]): string {
  return execFileSync('ip', args, { timeout: COMMAND_MS_MAX, stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
}

function whyNot(): string | undefined {
  if (process.platform !== 'linux') return 'network namespaces are a thing of Linux';
  if (process.getuid?.() !== 0) return 'only root may make network namespaces';
  if (spawnSync('ip', ['-V']).error !== undefined) return 'iproute2 is not installed (there is no ip)';
  const trial = `sh${process.pid}-trial`;
  const { status, stderr } = spawnSync('ip', ['netns', 'add', trial], { timeout: COMMAND_MS_MAX });
  if (status !== 0) return `this machine does not let us make network namespaces: ${String(stderr).trim()}`;
  const veth = spawnSync('ip', ['-n', trial, 'link', 'add', 'v', 'type', 'veth', 'peer', 'name', 'w'], {
    timeout: COMMAND_MS_MAX,
  });
  spawnSync('ip', ['netns', 'del', trial], { timeout: COMMAND_MS_MAX });
  return veth.status === 0 ? undefined : `this kernel has no veth: ${String(veth.stderr).trim()}`;
}
