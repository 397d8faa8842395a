/**
 * Raw streams: what libp2p itself carries from one machine to two at once: TCP, noise and yamux as the service sets them up,
 * no disk, no hash, no protocol. The bar that a transfer can be held against.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { atProcessEnd } from '../../helpers/at-process-end.js';
import type { Network } from './network.js';
import { runCommand } from './run-command.js';

const PROGRAM = fileURLToPath(new URL('./raw-streams-run.js', import.meta.url));
const READY_MS_MAX = 30_000;
const SEND_MS_MAX = 600_000;

interface Sending {
  readonly from: string;
  readonly to: readonly string[];
  /** To each. */
  readonly bytes: number;
}

/** Seconds until every receiver has said that it got everything. Connecting is not in it. */
export async function rawStreams(network: Network, { from, to, bytes }: Sending): Promise<number> {
  const receivers = await Promise.all(to.map(host => startReceiver(network, host)));
  try {
    const addresses = receivers.map(({ address }) => address);
    const words = [...network.on(from), process.execPath, PROGRAM, 'send', String(bytes), ...addresses];
    return Number(await runCommand(words, { withinMs: SEND_MS_MAX }));
  } finally {
    for (const { end } of receivers) end();
  }
}

async function startReceiver(
  network: Network,
  host: string,
): Promise<{ readonly address: string; readonly end: () => void }> {
  const listen = `/ip4/${network.addressOf(host)}/tcp/0`;
  const [command = '', ...words] = [...network.on(host), process.execPath, PROGRAM, 'receive', listen];
  const child: ChildProcess = spawn(command, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  const forget = atProcessEnd(() => child.kill('SIGKILL'));
  const end = (): void => {
    child.kill('SIGKILL');
    forget();
  };
  try {
    return { address: await firstLine(child), end };
  } catch (error) {
    end();
    throw error;
  }
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('a raw receiver is not ready')), READY_MS_MAX);
    const settle = (done: () => void): void => {
      clearTimeout(timer);
      done();
    };
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).once('line', line => settle(() => resolve(line)));
    child.on('error', error => settle(() => reject(error)));
    child.on('close', code => settle(() => reject(new Error(`a raw receiver ended with ${code}`))));
  });
}
