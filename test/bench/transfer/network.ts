/**
 * Network: the machines that a tool runs on, and how much they have sent. Network namespaces of its own where they can be
 * made; else this machine's loopback, where everybody else's bytes are counted with ours.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { type Made, Namespaces } from '../../helpers/namespaces.js';

const LOOK_EVERY_MS = 50;

export interface Network {
  /** What a program is started with to run on that machine. */
  on(host: string): readonly string[];
  addressOf(host: string): string;
  sentBytes(): number;
  /** Why there are no machines of their own; undefined where there are. */
  readonly because: string | undefined;
}

export function makeNetwork(t: { teardown(end: () => void): void }, hosts: readonly string[]): Network {
  const made: Made = Namespaces.make(t, hosts);
  if (made.kind === 'impossible') {
    return { because: made.because, on: () => [], addressOf: () => '127.0.0.1', sentBytes: loopbackBytes };
  }
  const { net } = made;
  return {
    because: undefined,
    on: host => net.on(host),
    addressOf: host => net.addressOf(host),
    sentBytes: () => hosts.reduce((sum, host) => sum + net.sentBytes(host), 0),
  };
}

/** Until so many bytes more have been sent than when it was asked. @throws when they are not in time */
export async function untilSent(
  network: Network,
  bytes: number,
  { withinMs }: { readonly withinMs: number },
): Promise<void> {
  const enough = network.sentBytes() + bytes;
  const untilMs = performance.now() + withinMs;
  while (network.sentBytes() < enough) {
    if (performance.now() > untilMs) throw new Error(`not ${bytes} bytes were sent within ${withinMs} ms`);
    await delay(LOOK_EVERY_MS);
  }
}

const loopbackBytes = (): number => Number(readFileSync('/sys/class/net/lo/statistics/tx_bytes', 'utf8'));
