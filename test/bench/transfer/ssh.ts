/**
 * Ssh: servers for rsync, with their own configuration, host key and client key in a temporary folder, one a machine. The
 * user's own keys and known hosts are neither read nor written. Ciphers and all else that costs are the defaults.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { atProcessEnd } from '../../helpers/at-process-end.js';
import type { Network } from './network.js';
import { runCommand } from './run-command.js';

/** sshd wants to be called by its full name; where Debian, Fedora and FreeBSD have it. */
const SSHD = '/usr/sbin/sshd';
/** Debian's sshd, when root, wants this folder, which only the system's own sshd makes. */
const PRIVILEGE_FOLDER = '/run/sshd';
const READY_MS_MAX = 10_000;
const KEYGEN_MS_MAX = 20_000;
const LOOK_EVERY_MS = 50;
/** fsync is of rsync 3.2.4. */
const RSYNC_LEAST = [3, 2, 4] as const;

/** A clear word on what there is not; undefined when all is there. */
export function whyNoRsync(): string | undefined {
  const { stdout } = spawnSync('rsync', ['--version'], { encoding: 'utf8', timeout: KEYGEN_MS_MAX });
  if (!stdout) return 'rsync is not installed (apt-get install rsync)';
  if (!isNewEnough(stdout))
    return `rsync ${RSYNC_LEAST.join('.')} or later is needed, and this is ${stdout.split('\n')[0]}`;
  if (!existsSync(SSHD)) return `there is no ${SSHD} (apt-get install openssh-server)`;
  if (spawnSync('ssh', ['-V'], { timeout: KEYGEN_MS_MAX }).error)
    return 'there is no ssh (apt-get install openssh-client)';
  return undefined;
}

export function isNewEnough(versionText: string): boolean {
  const found = /version v?(\d+)\.(\d+)\.(\d+)/.exec(versionText)?.slice(1).map(Number) ?? [];
  for (const [index, least] of RSYNC_LEAST.entries()) {
    const number = found[index] ?? 0;
    if (number !== least) return number > least;
  }
  return true;
}

export class Ssh {
  readonly #folder: string;
  readonly #network: Network;
  readonly #servers: ChildProcess[] = [];
  /** By host: in one network each host has its own address, on loopback its own port. */
  readonly #ports = new Map<string, number>();
  readonly #forget: () => void;

  constructor(folder: string, network: Network) {
    this.#folder = folder;
    this.#network = network;
    this.#forget = atProcessEnd(() => this.end());
  }

  async start(hosts: readonly string[]): Promise<void> {
    if (process.getuid?.() === 0) mkdirSync(PRIVILEGE_FOLDER, { recursive: true, mode: 0o755 });
    const [hostKey, clientKey] = [this.#makeKey('host-key'), this.#makeKey('client-key')];
    writeFileSync(this.#file('authorized'), readFileSync(`${clientKey}.pub`), { mode: 0o600 });
    const lines: string[] = [];
    for (const host of hosts) {
      const port = await freePort();
      this.#ports.set(host, port);
      const address = this.#network.addressOf(host);
      lines.push(`[${address}]:${port} ${readFileSync(`${hostKey}.pub`, 'utf8').split(' ').slice(0, 2).join(' ')}`);
      const config = this.#file(`${host}.config`);
      writeFileSync(config, serverConfig({ address, port, hostKey, authorized: this.#file('authorized') }));
      const [command = '', ...words] = [...this.#network.on(host), SSHD, '-D', '-E', this.#logOf(host), '-f', config];
      this.#servers.push(spawn(command, words, { stdio: 'ignore' }));
    }
    writeFileSync(this.#file('known'), `${lines.join('\n')}\n`);
    for (const host of hosts) await this.#untilReady(host);
  }

  /** What rsync is to reach this host by. */
  commandTo(host: string): string {
    const options = ['BatchMode=yes', 'IdentitiesOnly=yes', 'StrictHostKeyChecking=yes', 'LogLevel=ERROR'];
    const known = `UserKnownHostsFile=${this.#file('known')}`;
    const set = [...options, known, 'GlobalKnownHostsFile=/dev/null'].flatMap(option => ['-o', option]);
    return ['ssh', '-F', 'none', '-i', this.#file('client-key'), '-p', this.#ports.get(host), ...set].join(' ');
  }

  end(): void {
    for (const server of this.#servers) server.kill('SIGTERM');
    this.#forget();
  }

  #file(name: string): string {
    return join(this.#folder, name);
  }

  #logOf(host: string): string {
    return this.#file(`${host}.log`);
  }

  #logText(host: string): string {
    const file = this.#logOf(host);
    return existsSync(file) ? readFileSync(file, 'utf8').trim() : 'nothing';
  }

  #makeKey(name: string): string {
    const file = this.#file(name);
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'bench', '-f', file], {
      timeout: KEYGEN_MS_MAX,
    });
    return file;
  }

  /** The whole way: a command on the other side. */
  async #untilReady(host: string): Promise<void> {
    const untilMs = performance.now() + READY_MS_MAX;
    const words = [
      ...this.#network.on(host),
      ...this.commandTo(host).split(' '),
      this.#network.addressOf(host),
      'true',
    ];
    for (;;) {
      try {
        await runCommand(words, { withinMs: READY_MS_MAX });
        return;
      } catch (error) {
        if (performance.now() > untilMs) throw new Error(`sshd said: ${this.#logText(host)}`, { cause: error });
        await delay(LOOK_EVERY_MS);
      }
    }
  }
}

interface ServerPlan {
  readonly address: string;
  readonly port: number;
  readonly hostKey: string;
  readonly authorized: string;
}

function serverConfig({ address, port, hostKey, authorized }: ServerPlan): string {
  return [
    `ListenAddress ${address}:${port}`,
    `HostKey ${hostKey}`,
    `AuthorizedKeysFile ${authorized}`,
    'PidFile none',
    'UsePAM no',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'PermitRootLogin prohibit-password',
    // The folder is in the temporary one, which others may write to.
    'StrictModes no',
    'LogLevel ERROR',
    '',
  ].join('\n');
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}
